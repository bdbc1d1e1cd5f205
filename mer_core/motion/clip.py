"""A clip as arrays: its frames from onset to offset, all aligned as the apex is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mer_core import provenance
from mer_core.config.motion import Flow
from mer_core.datasets.clips import clip_frames
from mer_core.errors import UserError
from mer_core.faces.alignment import warp
from mer_core.images import depth_of, read_image
from mer_core.motion.flow import optical_flow

COMPLETE = 0.9  # share of a clip's frames that must be there; frames beside a gap count as consecutive


class AlignedFrames(Mapping[int, np.ndarray]):
    """Frame number -> uint8 (size, size), in colour (size, size, 3), decoded and aligned when asked for."""

    def __init__(
        self,
        files: Mapping[int, Path],
        transform: np.ndarray,
        size: int,
        color: bool = False,
        bit_depth: int | None = None,
    ) -> None:
        """`transform`, (2, 3), takes source pixels to pixels of a crop with edge `size`."""
        self.files, self.transform, self.size, self.color = files, transform, size, color
        self.bit_depth = bit_depth

    def __getitem__(self, number: int) -> np.ndarray:
        image = read_image(self.files[number], self.bit_depth)
        if not self.color:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return warp(image, self.transform, self.size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True, eq=False)
class Clip:
    """One sample: what it consists of, each part computed once and only when needed.

    Attributes:
        sample_id: for messages.
        images: frame number -> uint8 (H, W), ascending, from onset to offset as far as they exist.
        onset, apex, offset: frame numbers; all the same for a single image.
        colors: the same frames in colour, uint8 (H, W, 3).
    """

    sample_id: str
    images: Mapping[int, np.ndarray]
    onset: int
    apex: int
    offset: int
    colors: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False)
    _flows: dict[Flow, np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def apex_image(self) -> np.ndarray:
        """uint8 (H, W)."""
        return self.images[self.apex]

    @cached_property
    def frames(self) -> np.ndarray:
        """The whole clip, uint8 (T, H, W).

        Raises:
            UserError: this is a single image, or more than a tenth of the frames are missing.
        """
        self._check_is_complete()
        return np.stack(list(self.images.values()))

    @property
    def color_frames(self) -> np.ndarray:
        """The whole clip in colour, uint8 (T, H, W, 3). Raises as `frames`."""
        self._check_is_complete()
        return np.stack(list(self.colors.values()))

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Onset and apex in colour, uint8 (H, W, 3) each. Raises as `flow_to_apex`."""
        self._check_has_onset()
        return self.colors[self.onset], self.colors[self.apex]

    def flows(self, estimator: Flow) -> np.ndarray:
        """Flow between consecutive frames, float32 (T - 1, H, W, 2). Raises as `frames`."""
        if estimator not in self._flows:
            pairs = zip(self.frames[:-1], self.frames[1:], strict=True)
            self._flows[estimator] = np.stack([optical_flow(*pair, estimator) for pair in pairs])
        return self._flows[estimator]

    def flow_to_apex(self, estimator: Flow) -> np.ndarray:
        """Flow from onset to apex, float32 (H, W, 2).

        Raises:
            UserError: this is a single image, or the onset's frame is missing.
        """
        self._check_has_onset()
        return optical_flow(self.images[self.onset], self.apex_image, estimator)

    def _check_is_complete(self) -> None:
        self._check_is_clip()
        length = self.offset - self.onset + 1
        if len(self.images) < max(2, COMPLETE * length):
            raise UserError(
                f"{self.sample_id}: has {len(self.images)} of {length} frames; set simulation.frames: all, "
                "complete your copy of the dataset, or leave out what needs whole clips"
            )

    def _check_has_onset(self) -> None:
        self._check_is_clip()
        if self.onset not in self.images:
            raise UserError(
                f"{self.sample_id}: the onset, frame {self.onset}, is missing; "
                "complete your copy of the dataset, or leave out what needs motion"
            )

    def _check_is_clip(self) -> None:
        if self.onset == self.offset:
            raise UserError(
                f"{self.sample_id}: is a single image, without an onset or a neutral frame before it, as are "
                "all of CK+48; take the original tree of CK+, or leave out what needs motion"
            )


def open_clip(root: str | Path | Mapping[str, str], row: pd.Series, transform: np.ndarray, size: int) -> Clip:
    """The clip of a sample; nothing is decoded yet.

    Args:
        root: the dataset's folder, or those of several by their names.
        row: of the manifest, an included sample.
        transform: float (2, 3), source pixels to pixels of the crop (see `scaled`).
        size: edge of the crop in pixels.

    Raises:
        UserError: the clip's folder is gone.
    """
    root = root[row["dataset"]] if isinstance(root, Mapping) else root
    if pd.isna(row["onset"]):
        files, interval = {0: Path(root) / row["frame_path"]}, (0, 0, 0)
    else:
        files = clip_frames(Path(root), row)
        interval = (int(row["onset"]), int(row["apex"]), int(row["offset"]))
    depth = depth_of(row["bit_depth"])
    gray, color = (AlignedFrames(files, transform, size, color, depth) for color in (False, True))
    return Clip(row["sample_id"], gray, *interval, colors=color)


def clip_digest(clip: Clip) -> str:
    """Digest of all that can be seen of a clip that `open_clip` gave, and of which frame is which.

    Raises:
        UserError: a file cannot be read.
    """
    images = clip.images
    frames = {number: provenance.file_digest(file) for number, file in images.files.items()}
    interval = [clip.onset, clip.apex, clip.offset]
    return provenance.value_digest(
        [clip.sample_id, interval, images.transform.tolist(), images.size, images.bit_depth, frames]
    )


def scaled(transform: np.ndarray, size: int, wanted: int) -> np.ndarray:
    """The transform to a crop of edge `wanted` that shows the same as one of edge `size`; float (2, 3)."""
    factor = wanted / size
    result = factor * np.asarray(transform, float)
    result[:, 2] += (factor - 1) / 2  # pixel centres carry whole numbers
    return result
