"""A trained model, and what it says of pictures and clips that it never saw."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import logsigmoid
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mer_core.errors import UserError
from mer_core.images import read_image
from mer_core.inference.bundle import WEIGHTS, Description, read_description
from mer_core.inference.calibration import tempered
from mer_core.inference.likeness import distances
from mer_core.inference.preparation import Face, Preparation
from mer_core.models import build_network
from mer_core.models.weights import load_weights
from mer_core.training.device import kernels, lay_out, memory_format

BATCH = 64
LEAST_EDGE = 6  # positions along the edge of a map, below which it says little of a face


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one face.

    Attributes:
        answer: the class with the largest probability, of equals the first.
        probabilities: class -> probability, summing to 1; calibrated where the model has a temperature.
        entropy: of the probabilities in bits; log2 of the number of classes means "no idea".
        distance: how unlike the training samples the face is, in standard deviations of features.
        attention: (h, w) in (0, 1), the last spatial gate that has `LEAST_EDGE` positions along an edge, else
            the first; None for a network without one.
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


def load_model(folder: str | Path, device: str | torch.device | None = "cpu") -> Model:
    """Open a model that `train_final` wrote.

    Args:
        folder: with weights.safetensors, model.json and README.md.
        device: where the network computes; None: on a GPU where there is one.

    Raises:
        UserError: the folder is no model, its files are not those that were written, or there is no such
            device.
    """
    folder = Path(folder)
    description = read_description(folder)
    network = build_network(description.network, len(description.classes), description.channels)
    load_weights(network, folder / WEIGHTS)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return Model(description, _fused(network.eval()).to(device))
    except (RuntimeError, AssertionError) as error:  # torch's words for no such device
        reason = str(error).partition("\n")[0]
        raise UserError(f"device {device}: torch cannot compute there ({reason}); name cpu") from None


class Model(Preparation):
    """A trained network with all that stands before and behind it.

    Attributes:
        network: from normalised inputs to logits.
    """

    def __init__(self, description: Description, network: nn.Module) -> None:
        super().__init__(description)
        self.network, self.device = network, next(network.parameters()).device
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(-1, 1, 1)
            for values in (description.mean, description.std)
        )
        self._likeness = [np.array(description.likeness.mean), np.array(description.likeness.deviation)]
        self._format = memory_format(self.device, (self.input or self).size)
        lay_out(network, self._format)

    def predict(self, image: np.ndarray | str | Path) -> list[Prediction]:
        """What every face of a picture shows, the largest face first.

        Args:
            image: uint8 (H, W, 3) RGB, or an image file.

        Raises:
            NoFace: no face is found.
            UserError: the file is no image, or the model sees motion and needs a clip.
        """
        is_array = isinstance(image, np.ndarray)
        return self.judge(self.faces(image if is_array else read_image(image, self.description.bit_depth)))

    def predict_clip(
        self, frames: Sequence[np.ndarray], apex: int | None = None, onset: int | None = None
    ) -> Prediction:
        """What the largest face of a clip shows.

        Args:
            frames: uint8 (H, W, 3) RGB each, of one size, the face at rest first.
            apex: its place among the frames; spotted where it is not given.
            onset: the place of the frame that motion is measured from; spotted where a model of motion needs
                it and it is not given.

        Raises:
            NoFace: no face is found in the apex.
            UserError: there are too few frames, or a place is none of theirs.
        """
        return self.judge([self.face_of_clip(frames, apex, onset)])[0]

    def curve(
        self, frames: Sequence[np.ndarray], apex: int, onset: int | None = None, points: int = 40
    ) -> list[Prediction]:
        """What the model says when other frames of a clip are taken for the apex.

        Args:
            frames: as for `predict_clip`.
            apex: whose face all frames are aligned by.
            onset: that motion is measured from, of a model of motion; only frames after it are taken.
            points: how many frames at most, at equal distances, are taken.
        """
        found = None if self.finder is None else self.finder.find(frames[apex])
        first = 0 if onset is None else onset + 1
        places = np.unique(np.linspace(first, len(frames) - 1, points).round().astype(int)).tolist()
        return self.judge(self.faces_at(frames, found, onset, places))

    def judge(self, faces: Sequence[Face]) -> list[Prediction]:
        """What the network says of some faces, `BATCH` at a time."""
        answers: list[Prediction] = []
        with kernels("float32", True, self.device):
            for start in range(0, len(faces), BATCH):
                answers += self._judge(faces[start : start + BATCH])
        return answers

    @torch.inference_mode()
    def _judge(self, faces: Sequence[Face]) -> list[Prediction]:
        pixels = torch.from_numpy(np.stack([face.pixels for face in faces])).to(self.device)
        inputs = (pixels.movedim(-1, -3) - self._mean) / self._std
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self._format)
        # Before the hooks: features and gates are those of the image as it is.
        mirrored = self.network(inputs.flip(-1)).float() if self.description.mirrored_test else None
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            module.register_forward_hook(_keep_output(seen))
            for name, module in self.network.named_modules()
            if name.endswith("attention.spatial")
        ]
        hooks.append(self.network.fc.register_forward_pre_hook(_keep_input(seen, "features")))
        try:
            logits = self.network(inputs).float()
        finally:
            for hook in hooks:
                hook.remove()
        if mirrored is not None:
            logits = (logits + mirrored) / 2
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


def _fused(network: nn.Module) -> nn.Module:
    """The same network with batch norms taken into the convolutions before them, which saves passes."""
    for module in [*network.modules()]:
        children = module._modules
        names = [*children]
        if isinstance(module, nn.Sequential):
            pairs = list(itertools.pairwise(names))
        else:  # a ResNet's, by their names
            pairs = [(f"conv{n}", f"bn{n}") for n in (1, 2) if f"conv{n}" in names and f"bn{n}" in names]
        for conv, norm in pairs:
            if isinstance(children[conv], nn.Conv2d) and isinstance(children[norm], nn.BatchNorm2d):
                children[conv] = fuse_conv_bn_eval(children[conv], children[norm])
                children[norm] = nn.Identity()
    return network


def _keep_output(seen: dict[str, torch.Tensor]):
    def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        if "gate" not in seen or output.shape[-1] >= LEAST_EDGE:
            seen["gate"] = output

    return hook


def _keep_input(seen: dict[str, torch.Tensor], name: str):
    def hook(module: nn.Module, inputs: tuple) -> None:
        seen[name] = inputs[0]

    return hook
