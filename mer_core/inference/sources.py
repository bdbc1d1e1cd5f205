"""What people hand to a model: pictures, folders, clips, videos, lists; and how each is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer_core.datasets.frames import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key, spelled
from mer_core.errors import UserError
from mer_core.images import MAX_PIXELS, image_size, read_image
from mer_core.job import check_readable

MAX_FRAMES = 2000  # of a clip; ten seconds at 200 frames per second
MAX_CLIP_PIXELS = 20 * MAX_PIXELS  # of all its frames: 3 GB
# How videos begin, and at which byte. FFmpeg goes by what a file holds: a list of other files (HLS, concat)
# under a video's name would make it open them.
_BEGINNINGS = (
    *((0, start) for start in (b"RIFF", b"\x1aE\xdf\xa3", b"0&\xb2u", b"FLV\1")),
    *((0, start) for start in (b"\0\0\1\xba", b"\0\0\1\xb3")),
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
)
# Of MPEG-TS and of a camera's m2ts: where packets begin with a G, and how long they are.
_PACKETS = ((0, 188), (4, 192))


@dataclass(frozen=True)
class Source:
    """One thing to judge: a picture, or the frames of a clip.

    Attributes:
        name: as it was given.
        files: one picture, a clip's frames in order, or one video.
        is_clip: whether the files are a clip.
        onset, apex: their places among a clip's frames, where they are told.
    """

    name: str
    files: tuple[Path, ...]
    is_clip: bool
    onset: int | None = None
    apex: int | None = None


def find_sources(
    paths: Iterable[str | Path], clips: bool = False, onset: int | None = None, apex: int | None = None
) -> Iterator[Source]:
    """What lies at some paths.

    Args:
        paths: images; folders of images; videos; tables with a column `path`, relative to the table, and for
            clips `onset` and `apex` where they are known; a folder of which one is told is a clip there.
        clips: a folder is the frames of one clip, rather than so many pictures.
        onset, apex: of clips for which no table tells them.

    Raises:
        UserError: a path is missing, holds no images, or is of no kind that can be read; an onset or apex is
            told of what is no clip.
    """
    for path in map(Path, paths):
        suffix = path.suffix.lower()
        told = onset is not None or apex is not None
        if told and path.is_dir() and not clips:
            raise UserError(f"{path}: pictures have no onset and apex; add --clip for one clip")
        if path.is_dir():
            yield from _folder(path, clips, onset, apex)
        elif not path.is_file():
            raise UserError(
                f"{path}: no such file or folder; give an image, a folder, a video or a CSV table"
            )
        elif suffix == ".csv":
            yield from _listed(path, clips, onset, apex)
        elif suffix in VIDEO_SUFFIXES:
            yield Source(str(path), (path,), True, onset, apex)
        elif suffix in IMAGE_SUFFIXES and told:
            raise UserError(
                f"{path}: one picture has no onset and apex; tell none, or give its clip's folder and --clip"
            )
        elif suffix in IMAGE_SUFFIXES:
            yield Source(str(path), (path,), False)
        else:
            known = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES | {".csv"}))
            raise UserError(f"{path}: is neither image nor video nor table; its name should end in {known}")


def read_clip(files: Sequence[Path], bit_depth: int | None = None) -> list[np.ndarray]:
    """All frames of a clip, uint8 (H, W, 3) RGB: of one video, or one of each picture.

    Pictures of 16 bits are read as `read_image` reads them.

    Raises:
        UserError: one cannot be read, they differ in size, or are larger than `MAX_CLIP_PIXELS` in all.
    """
    if files[0].suffix.lower() in VIDEO_SUFFIXES:
        return _read_video(files[0])
    sizes = [image_size(file) for file in files]
    for file, size in zip(files, sizes, strict=True):
        if size != sizes[0]:
            shown = " and ".join(f"{width} x {height}" for width, height in (sizes[0], size))
            raise UserError(
                f"{file}: not of one clip with the frames before it ({shown} pixels); give pictures that are "
                "no clip one by one"
            )
    if len(files) * sizes[0][0] * sizes[0][1] > MAX_CLIP_PIXELS:
        raise UserError(
            f"{files[0]}: with all frames more than {MAX_CLIP_PIXELS:,} pixels; cut out the expression"
        )
    return [read_image(file, bit_depth) for file in files]


def _read_video(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path)) if _begins_as_video(path) else cv2.VideoCapture()
    frames: list[np.ndarray] = []
    try:
        # The file tells a size, before anything is decoded; frames may have another.
        too_large = video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT) > MAX_PIXELS
        pixels = 0
        while not too_large:
            there, frame = video.read()
            if not there:
                break
            pixels += frame.shape[0] * frame.shape[1]
            too_large = len(frames) == MAX_FRAMES or pixels > MAX_CLIP_PIXELS
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        video.release()
    if too_large:
        raise UserError(
            f"{path}: a frame of more than {MAX_PIXELS:,} pixels, more than {MAX_FRAMES} frames, or "
            f"{MAX_CLIP_PIXELS:,} pixels in all; cut out the expression"
        )
    if not frames:
        raise UserError(f"{path}: no frame can be decoded; save it as frames, or as MJPEG in .avi")
    return frames


def _begins_as_video(path: Path) -> bool:
    check_readable(path)
    with path.open("rb") as file:
        beginning = file.read(400)
    return any(beginning.startswith(kind, place) for place, kind in _BEGINNINGS) or any(
        beginning[place::length][:2] == b"GG" for place, length in _PACKETS
    )


def _folder(path: Path, clips: bool, onset: int | None, apex: int | None) -> Iterator[Source]:
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
        yield Source(str(path), tuple(images), True, onset, apex)


def _listed(path: Path, clips: bool, onset: int | None, apex: int | None) -> Iterator[Source]:
    # Not at the top: processes that look for faces start faster without.
    from mer_core.datasets.workbook import read_table, whole_number

    names = {"path": ["path"], "onset": ["onset"], "apex": ["apex"]}
    remedy = "name the column of the images or clips so"
    table = read_table(path, names, optional=("onset", "apex"), remedy=remedy, verbatim=["path"])
    for row, cells in table.iterrows():
        if Path(cells["path"]).suffix.lower() == ".csv":
            raise UserError(f"{path}: row {row} names a table; list images, folders and videos")
        told = {"onset": onset, "apex": apex}
        for name in told:
            if cells[name]:
                told[name] = whole_number(cells[name])
                if told[name] is None:
                    raise UserError(
                        f"{path}: row {row}: {name} {cells[name]!r} is no frame; give its number, from 0, or "
                        "nothing"
                    )
        is_clip = clips or any(place is not None for place in told.values())
        try:
            yield from find_sources([spelled(path.parent, cells["path"])], is_clip, **told)
        except UserError as error:
            raise UserError(f"{path}: row {row}: {error}") from None
