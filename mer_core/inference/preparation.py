"""What stands before the network: from pictures and clips to aligned faces as it sees them.

Without torch, so that the processes that look for faces start fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter

from mer_core.batch import workers
from mer_core.config.inputs import AnyInput
from mer_core.errors import UserError
from mer_core.faces import spotting
from mer_core.faces.alignment import align_clip, eye_transform, resize, resizing, share_inside, warp
from mer_core.faces.landmarks import FaceFinder, Found
from mer_core.images import read_image
from mer_core.inference.bundle import Description, read_description
from mer_core.inference.sources import Source, read_clip
from mer_core.inputs.maps import draw
from mer_core.motion.clip import Clip

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
        onset: number of the frame that motion is measured from; None where the apex alone is seen.
        spotted: which of "onset" and "apex" were found, rather than told.
        notes: what to think of before believing the answer.
    """

    pixels: np.ndarray
    crop: np.ndarray
    step: str
    inside: float
    frame: int | None = None
    onset: int | None = None
    spotted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Preparation:
    """Finds and aligns faces as a model's description says.

    Attributes:
        description: what stands in model.json.
        input: settings of the input; None: the apex alone.
        size: edge of the crop in pixels.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self.input = TypeAdapter(AnyInput).validate_python(description.input) if description.input else None
        self.size = description.alignment.size

    @cached_property
    def finder(self) -> FaceFinder | None:
        """Loaded with the first picture; none where faces are cropped already."""
        return FaceFinder() if self.description.alignment.mode == "landmarks" else None

    def faces(self, image: np.ndarray) -> list[Face]:
        """The faces of a picture, the largest first, ready for `judge`.

        Raises:
            NoFace: there is none.
            UserError: the model sees motion, which a single picture has not.
        """
        if self.input is not None:
            raise UserError(
                f"this model sees {self.description.input['kind']}, which takes a clip; give a video, or a "
                "clip's frames"
            )
        if self.finder is None:
            return [self._face(image, None)]
        return [self._face(image, found) for found in self.finder.find_all(image)]

    def face_of_clip(
        self, frames: Sequence[np.ndarray], apex: int | None = None, onset: int | None = None
    ) -> Face:
        """The largest face of a clip at its apex, ready for `judge`; arguments and errors as
        `Model.predict_clip`."""
        if len(frames) < 2:
            raise UserError(f"a clip has two frames at least, this one has {len(frames)}")
        told = {"onset": onset, "apex": apex}
        for name, place in told.items():
            if place is not None and not 0 <= place < len(frames):
                raise UserError(
                    f"{name} {place} is none of the clip's {len(frames)} frames, 0 to {len(frames) - 1}"
                )
        if self.input is None:
            del told["onset"]
        elif None not in (onset, apex) and onset >= apex:
            raise UserError(f"onset {onset} is not before the apex, {apex}; give the onset first")
        spotted = tuple(name for name, place in told.items() if place is None)
        if spotted:
            onset, apex = self._spotted(frames, onset, apex)
        found = None if self.finder is None else self.finder.find(frames[apex])
        return replace(self.faces_at(frames, found, onset, [apex])[0], spotted=spotted)

    def faces_at(
        self, frames: Sequence[np.ndarray], found: Found | None, onset: int | None, apexes: Sequence[int]
    ) -> list[Face]:
        """The face at each of several frames taken for the apex, all aligned alike."""
        if self.input is None:
            return [self._face(frames[apex], found, apex) for apex in apexes]
        crop = self.input.crop
        transform, landmarks = self._transform(frames[apexes[0]], found, crop)
        colors = {n: warp(frame, transform, crop) for n, frame in enumerate(frames) if n >= onset}
        gray = {n: cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for n, frame in colors.items()}
        clips = [Clip("the clip", gray, onset, apex, len(frames) - 1, colors=colors) for apex in apexes]
        faces = [
            self._face(frames[clip.apex], found, clip.apex, draw(clip, self.input, landmarks))
            for clip in clips
        ]
        return [replace(face, onset=onset) for face in faces]

    def _spotted(self, frames: Sequence[np.ndarray], onset: int | None, apex: int | None) -> tuple[int, int]:
        """The places of onset and apex, as told or by the motion since the onset, else the first frame."""
        settings = self.description.alignment.model_copy(update={"size": spotting.SIZE})
        start = onset or 0
        aligned, first = align_clip(frames[start:], self.finder, settings)
        numbers = range(start, len(frames))
        course = spotting.follow_motion(aligned, first.landmarks_aligned, numbers, self.finder)
        apex = spotting.apex_of(course) if apex is None else apex
        return spotting.onset_of(course, apex) if onset is None else onset, apex

    def _transform(self, image: np.ndarray, found: Found | None, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels to pixels of a crop (2, 3), and the landmarks there (68, 2)."""
        settings = self.description.alignment
        if found is None:
            return resizing(image.shape, size), np.full((68, 2), np.nan)
        transform = eye_transform(found.landmarks, size, settings.eye_distance, settings.eye_center)
        return transform, found.landmarks @ transform[:, :2].T + transform[:, 2]

    def _face(
        self, image: np.ndarray, found: Found | None, frame: int | None = None, maps: np.ndarray | None = None
    ) -> Face:
        transform, _ = self._transform(image, found, self.size)
        crop, notes = resize(image, self.size) if found is None else warp(image, transform, self.size), []
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
            maps, crop, step, share_inside(transform, self.size, image.shape[:2]), frame, notes=tuple(notes)
        )


def prepare(
    folder: str | Path, here: Preparation, sources: Sequence[Source], processes: int
) -> Iterator[list[Face] | str]:
    """The faces of each source in order, or why there are none.

    Args:
        folder: of the model.
        here: of the model, for this process.
        sources: what to look at.
        processes: that look at them; below 2 this one does.
    """
    if processes < 2:
        yield from (_faces(here, source) for source in sources)
        return
    jobs = ((str(folder), source) for source in sources)
    with workers(processes, cv2.setNumThreads, 1) as spread:
        yield from spread(_faces_elsewhere, jobs)


def _faces(here: Preparation, source: Source) -> list[Face] | str:
    try:
        depth = here.description.bit_depth
        if source.is_clip:
            return [here.face_of_clip(read_clip(source.files, depth), source.apex, source.onset)]
        return here.faces(read_image(source.files[0], depth))
    except UserError as error:
        return str(error)


def _faces_elsewhere(job: tuple[str, Source]) -> list[Face] | str:
    folder, source = job
    return _faces(_own(folder), source)


@cache
def _own(folder: str) -> Preparation:
    return Preparation(read_description(Path(folder)))


def _turned(landmarks: np.ndarray) -> float:
    """1 for a face seen from the front, towards 0 for one turned to a side."""
    left, right = (
        np.linalg.norm(landmarks[NOSE] - landmarks[corner]) for corner in (LEFT_OUTER_EYE, RIGHT_OUTER_EYE)
    )
    return float(min(left, right) / max(left, right))
