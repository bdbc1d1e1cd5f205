"""What people hand to a model: pictures, folders, clips, videos, lists; and how each is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer_core.csvs import read_csv
from mer_core.datasets.frames import IMAGE_SUFFIXES, natural_key
from mer_core.errors import UserError
from mer_core.images import MAX_PIXELS, read_image
from mer_core.job import check_readable

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v"})
MAX_FRAMES = 2000  # of a clip; ten seconds at 200 frames per second


@dataclass(frozen=True)
class Source:
    """One thing to judge: a picture, or the frames of a clip.

    Attributes:
        name: as it was given.
        files: one picture, a clip's frames in order, or one video.
        is_clip: whether the files are a clip.
    """

    name: str
    files: tuple[Path, ...]
    is_clip: bool

    def frames(self, bit_depth: int | None = None) -> list[np.ndarray]:
        """All frames, uint8 (H, W, 3) RGB; those of 16 bits as `read_image` reads them.

        Raises:
            UserError: one cannot be read, or there are more than `MAX_FRAMES`.
        """
        if len(self.files) == 1 and self.files[0].suffix.lower() in VIDEO_SUFFIXES:
            return read_video(self.files[0])
        return [read_image(file, bit_depth) for file in self.files]


def find_sources(paths: Iterable[str | Path], clips: bool = False) -> Iterator[Source]:
    """What lies at some paths.

    Args:
        paths: images; folders of images; videos; CSV tables with a column `path`, relative to the table.
        clips: a folder is the frames of one clip, rather than so many pictures.

    Raises:
        UserError: a path is missing, holds no images, or is of no kind that can be read.
    """
    for path in map(Path, paths):
        suffix = path.suffix.lower()
        if path.is_dir():
            yield from _folder(path, clips)
        elif not path.is_file():
            raise UserError(
                f"{path}: no such file or folder; give an image, a folder, a video or a CSV table"
            )
        elif suffix == ".csv":
            yield from _listed(path, clips)
        elif suffix in VIDEO_SUFFIXES:
            yield Source(str(path), (path,), True)
        elif suffix in IMAGE_SUFFIXES:
            yield Source(str(path), (path,), False)
        else:
            known = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES | {".csv"}))
            raise UserError(f"{path}: is neither image nor video nor table; its name should end in {known}")


def read_video(path: Path) -> list[np.ndarray]:
    """All frames of a video, uint8 (H, W, 3) RGB.

    Raises:
        UserError: it cannot be decoded, or is larger than `MAX_FRAMES` frames or `MAX_PIXELS` pixels in all.
    """
    check_readable(path)
    video, frames, pixels = cv2.VideoCapture(str(path)), [], 0
    try:
        while True:
            there, frame = video.read()
            if not there:
                break
            pixels += frame.shape[0] * frame.shape[1]
            if len(frames) == MAX_FRAMES or pixels > 20 * MAX_PIXELS:
                raise UserError(
                    f"{path}: longer than {MAX_FRAMES} frames, or too large; cut out the expression"
                )
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        video.release()
    if not frames:
        raise UserError(f"{path}: no frame can be decoded; save it as frames, or as MJPEG in .avi")
    return frames


def _folder(path: Path, clips: bool) -> Iterator[Source]:
    images = sorted(
        (
            file
            for file in path.iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        ),
        key=lambda file: natural_key(file.name),
    )
    if not images:
        raise UserError(f"{path}: no images right inside; give the folder that holds them")
    if not clips:
        yield from (Source(str(image), (image,), False) for image in images)
    elif len(images) > MAX_FRAMES:
        raise UserError(f"{path}: {len(images)} frames, more than {MAX_FRAMES}; cut out the expression")
    else:
        yield Source(str(path), tuple(images), True)


def _listed(path: Path, clips: bool) -> Iterator[Source]:
    table = read_csv(path)
    if "path" not in table:
        raise UserError(f"{path}: has no column 'path'; name the column of the images so")
    yield from find_sources([path.parent / name for name in table["path"]], clips)
