"""A trained model, and what it says of pictures and clips that it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import TypeAdapter
from torch.nn.functional import logsigmoid

from mer_core.config.inputs import AnyInput
from mer_core.errors import UserError
from mer_core.faces.alignment import align_clip, eye_transform, share_inside, warp
from mer_core.faces.landmarks import FaceFinder, Found
from mer_core.faces.spotting import spot_apex
from mer_core.images import read_image
from mer_core.inference.bundle import WEIGHTS, Description, read_description
from mer_core.inference.calibration import tempered
from mer_core.inference.likeness import distances
from mer_core.inputs.maps import draw
from mer_core.models import build_network
from mer_core.models.weights import load_weights
from mer_core.motion.clip import Clip

BATCH = 64
SPOTTING_SIZE = 224
SMALL = 0.25  # pixels of the picture per pixel of the crop, along an edge, below which a face is called small
# Of the nose's distances to the outer corners of the eyes, the smaller as a share of the larger.
TURNED = 0.4
NOSE, LEFT_OUTER_EYE, RIGHT_OUTER_EYE = 30, 36, 45


@dataclass(frozen=True, eq=False)
class Face:
    """A face made ready for the network.

    Attributes:
        pixels: float32 (H, W, C), what the network gets, before normalisation.
        crop: uint8 (H, W, 3), the aligned apex, to look at.
        step: of the detector, that found it.
        inside: share of the crop that lies inside the picture.
        frame: number of the apex in its clip; None for a single picture.
        notes: what to think of before believing the answer.
    """

    pixels: np.ndarray
    crop: np.ndarray
    step: str
    inside: float
    frame: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one face.

    Attributes:
        answer: the class with the largest probability, of equals the first.
        probabilities: class -> probability, summing to 1; calibrated where the model has a temperature.
        entropy: of the probabilities in bits; log2 of the number of classes means "no idea".
        distance: how unlike the training samples the face is, in standard deviations of features.
        attention: (h, w) in (0, 1), the last spatial gate; None for a network without one.
        face: what was looked at.
        notes: what to think of before believing the answer.
    """

    answer: str
    probabilities: Mapping[str, float]
    entropy: float
    distance: float
    attention: np.ndarray | None = field(repr=False)
    face: Face = field(repr=False)
    notes: tuple[str, ...] = ()


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> Model:
    """Open a model that `train_final` wrote.

    Args:
        folder: with weights.safetensors, model.json and README.md.
        device: where the network computes.

    Raises:
        UserError: the folder is no model, or its files are not those that were written.
    """
    folder = Path(folder)
    description = read_description(folder)
    network = build_network(description.network, len(description.classes), description.channels)
    load_weights(network, folder / WEIGHTS)
    return Model(description, network.eval().to(device))


class Model:
    """A trained network with all that stands before and behind it.

    Attributes:
        description: what stands in model.json.
        network: from normalised inputs to logits.
    """

    def __init__(self, description: Description, network: torch.nn.Module) -> None:
        self.description, self.network = description, network
        self.device = next(network.parameters()).device
        self.input = TypeAdapter(AnyInput).validate_python(description.input) if description.input else None
        settings = description.alignment
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(-1, 1, 1)
            for values in (description.mean, description.std)
        )
        self._likeness = [np.array(description.likeness.mean), np.array(description.likeness.deviation)]
        self.size = settings.size

    @cached_property
    def finder(self) -> FaceFinder | None:
        """Loaded with the first picture; none where faces are cropped already."""
        return FaceFinder() if self.description.alignment.mode == "landmarks" else None

    def predict(self, image: np.ndarray | str | Path) -> list[Prediction]:
        """What every face of a picture shows, the largest face first.

        Args:
            image: uint8 (H, W, 3) RGB, or an image file.

        Raises:
            NoFace: no face is found.
            UserError: the file is no image, or the model sees motion and needs a clip.
        """
        return self.judge(self.faces(image if isinstance(image, np.ndarray) else read_image(image)))

    def predict_clip(
        self, frames: Sequence[np.ndarray], apex: int | None = None, onset: int = 0
    ) -> Prediction:
        """What a clip shows.

        Args:
            frames: uint8 (H, W, 3) RGB each.
            apex: its place among the frames; spotted where it is not given.
            onset: the place of the neutral frame that motion is measured from.

        Raises:
            NoFace: no face is found in the apex.
            UserError: there are too few frames, or a place is none of theirs.
        """
        return self.judge([self.face_of_clip(frames, apex, onset)])[0]

    def faces(self, image: np.ndarray) -> list[Face]:
        """The faces of a picture, the largest first, ready for `judge`.

        Raises:
            NoFace: there is none.
            UserError: the model sees motion, which a single picture has not.
        """
        if self.input is not None:
            raise UserError(
                f"this model sees {self.description.input['kind']}, which takes a clip; give a folder of "
                "frames, "
                "a video, or a clip's frames"
            )
        if self.finder is None:
            return [self._face(image, None)]
        return [self._face(image, found) for found in self.finder.find_all(image)]

    def face_of_clip(self, frames: Sequence[np.ndarray], apex: int | None = None, onset: int = 0) -> Face:
        """The largest face of a clip at its apex, ready for `judge`; arguments and errors as
        `predict_clip`."""
        if len(frames) < 2:
            raise UserError(f"a clip has two frames at least, this one has {len(frames)}")
        for name, place in (("apex", apex), ("onset", onset)):
            if place is not None and not 0 <= place < len(frames):
                raise UserError(
                    f"{name} {place} is none of the clip's {len(frames)} frames, 0 to {len(frames) - 1}"
                )
        if apex is None:
            apex = onset + self._spotted(frames[onset:])
        found = None if self.finder is None else self.finder.find(frames[apex])
        return self._faces_of_clip(frames, found, onset, [apex])[0]

    def curve(
        self, frames: Sequence[np.ndarray], apex: int, onset: int = 0, points: int = 40
    ) -> list[Prediction]:
        """What the model says when other frames of a clip are taken for the apex.

        Args:
            frames: as for `predict_clip`.
            apex: whose face all frames are aligned by.
            onset: as for `predict_clip`.
            points: how many frames at most, at equal distances, are taken.
        """
        found = None if self.finder is None else self.finder.find(frames[apex])
        places = np.unique(np.linspace(onset + 1, len(frames) - 1, points).round().astype(int)).tolist()
        return self.judge(self._faces_of_clip(frames, found, onset, places))

    def _faces_of_clip(
        self, frames: Sequence[np.ndarray], found: Found | None, onset: int, apexes: Sequence[int]
    ) -> list[Face]:
        """The face at each of several frames taken for the apex, all aligned alike."""
        if self.input is None:
            return [self._face(frames[apex], found, apex) for apex in apexes]
        crop = self.input.crop
        transform, landmarks = self._transform(frames[apexes[0]], found, crop)
        colors = {n: warp(frame, transform, crop) for n, frame in enumerate(frames) if n >= onset}
        gray = {n: cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for n, frame in colors.items()}
        clips = [Clip("the clip", gray, onset, apex, len(frames) - 1, colors=colors) for apex in apexes]
        return [
            self._face(frames[clip.apex], found, clip.apex, draw(clip, self.input, landmarks))
            for clip in clips
        ]

    def judge(self, faces: Sequence[Face]) -> list[Prediction]:
        """What the network says of some faces, `BATCH` at a time."""
        answers: list[Prediction] = []
        for start in range(0, len(faces), BATCH):
            answers += self._judge(faces[start : start + BATCH])
        return answers

    @torch.inference_mode()
    def _judge(self, faces: Sequence[Face]) -> list[Prediction]:
        pixels = torch.from_numpy(np.stack([face.pixels for face in faces])).to(self.device)
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            module.register_forward_hook(_keep_output(seen, "gate"))
            for name, module in self.network.named_modules()
            if name.endswith("attention.spatial")
        ]
        hooks.append(self.network.fc.register_forward_pre_hook(_keep_input(seen, "features")))
        try:
            logits = self.network((pixels.movedim(-1, -3) - self._mean) / self._std).float()
        finally:
            for hook in hooks:
                hook.remove()
        if self.description.form == "sigmoid":
            logits = logsigmoid(logits)
        probabilities = tempered(logits.softmax(1).double().cpu().numpy(), self.description.temperature)
        entropies = -(probabilities * np.log2(np.clip(probabilities, 1e-12, None))).sum(1)
        apart = distances(seen["features"].float().cpu().numpy(), *self._likeness)
        gates = seen["gate"].float()[:, 0].cpu().numpy() if "gate" in seen else [None] * len(faces)
        return [
            Prediction(
                answer=self.description.classes[int(row.argmax())],
                probabilities=dict(zip(self.description.classes, row.tolist(), strict=True)),
                entropy=float(entropy),
                distance=float(distance),
                attention=gate,
                face=face,
                notes=(*face.notes, *self._doubts(float(distance))),
            )
            for row, entropy, distance, gate, face in zip(
                probabilities, entropies, apart, gates, faces, strict=True
            )
        ]

    def _doubts(self, distance: float) -> list[str]:
        doubts = []
        if distance > self.description.likeness.threshold:
            doubts.append("unlike anything the model was trained on")
        if self.description.simulated:
            doubts.append("the model was trained on simulated data and says nothing about people")
        return doubts

    def _spotted(self, frames: Sequence[np.ndarray]) -> int:
        """The place of the apex, by the largest motion since the first frame."""
        settings = self.description.alignment.model_copy(update={"size": SPOTTING_SIZE})
        aligned, first = align_clip(frames, self.finder, settings)
        return spot_apex(aligned, first.landmarks_aligned, range(len(frames)))

    def _transform(self, image: np.ndarray, found: Found | None, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels to pixels of a crop (2, 3), and the landmarks there (68, 2)."""
        settings = self.description.alignment
        if found is None:
            scale = size / np.array(image.shape[1::-1], float)
            return np.column_stack([np.diag(scale), (scale - 1) / 2]), np.full((68, 2), np.nan)
        transform = eye_transform(found.landmarks, size, settings.eye_distance, settings.eye_center)
        return transform, found.landmarks @ transform[:, :2].T + transform[:, 2]

    def _face(
        self, image: np.ndarray, found: Found | None, frame: int | None = None, maps: np.ndarray | None = None
    ) -> Face:
        transform, _ = self._transform(image, found, self.size)
        crop, notes = warp(image, transform, self.size), []
        if found is not None:
            if 1 / np.sqrt(abs(np.linalg.det(transform[:, :2]))) < SMALL:
                notes.append("the face is small: most of the crop is enlarged")
            if _turned(found.landmarks) < TURNED:
                notes.append("the face is turned far to one side")
        if maps is None:
            gray = self.description.alignment.color == "gray"
            picture = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None] if gray else crop
            maps = picture.astype(np.float32) / 255
            if self.description.channels == 3:
                maps = np.broadcast_to(maps, (*maps.shape[:2], 3))
        step = "precropped" if found is None else found.step
        return Face(
            maps, crop, step, share_inside(transform, self.size, image.shape[:2]), frame, tuple(notes)
        )


def _turned(landmarks: np.ndarray) -> float:
    """1 for a face seen from the front, towards 0 for one turned to a side."""
    left, right = (
        np.linalg.norm(landmarks[NOSE] - landmarks[corner]) for corner in (LEFT_OUTER_EYE, RIGHT_OUTER_EYE)
    )
    return float(min(left, right) / max(left, right))


def _keep_output(seen: dict[str, torch.Tensor], name: str):
    def hook(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        seen[name] = output

    return hook


def _keep_input(seen: dict[str, torch.Tensor], name: str):
    def hook(module: torch.nn.Module, inputs: tuple) -> None:
        seen[name] = inputs[0]

    return hook
