"""Folders and numbered image files on disk, never outside the dataset's root."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MAX_DEPTH = 6
_NUMBERED = re.compile(r"(?P<prefix>(?:.*[^0-9])?)(?P<number>[0-9]{1,9})", re.DOTALL)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which img9 stands before img10."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part]


def frame_number(name: str) -> tuple[str, int] | None:
    """Prefix and number of a frame's file name, whatever its prefix and padding.

    The number is the run of digits just before the suffix: ('reg_img', 46) of reg_img46.jpg,
    ('006_', 5562) of 006_05562.jpg. None for what is no frame: hidden files, other suffixes, no number,
    unprintable names.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a name, not a path)
    match = _NUMBERED.fullmatch(stem)
    if (
        name.startswith(".")
        or not name.isprintable()
        or suffix.lower() not in IMAGE_SUFFIXES
        or match is None
    ):
        return None
    return match["prefix"], int(match["number"])


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, lies in `root`, which is resolved already."""
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (FileNotFoundError, NotADirectoryError):
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file system takes
        return False


def list_frames(folder: Path, root: Path) -> tuple[dict[int, Path], list[str]]:
    """The frames of one clip, by number.

    Files that are no numbered images are ignored, and so are links that leave the root. Where images of
    several prefixes lie together, those of the commonest prefix are the frames; of two files with
    one number (img46, img046) it is the less padded.

    Returns:
        Frame number -> file, ascending by number; and the names of numbered images passed over.
    """
    found: list[tuple[str, int, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            key = frame_number(entry.name)
            if key is None or (entry.is_symlink() and not is_inside(Path(entry.path), root)):
                continue
            if entry.is_file():
                found.append((*key, entry.name))
    counts = Counter(prefix for prefix, _, _ in found)
    if not counts:
        return {}, []
    commonest = min(counts, key=lambda prefix: (-counts[prefix], prefix))
    alike = sorted((number, -len(name), name) for prefix, number, name in found if prefix == commonest)
    chosen = {number: name for number, _, name in alike}
    passed_over = sorted({name for _, _, name in found} - set(chosen.values()), key=natural_key)
    return {number: folder / name for number, name in chosen.items()}, passed_over


def first_gap(numbers: Collection[int], start: int) -> int:
    """The first number from `start` on that is not among these."""
    return next(number for number in itertools.count(start) if number not in numbers)


def walk(root: Path, is_leaf: Callable[[Path], bool], on_leaving: Callable[[Path], None]) -> Iterator[Path]:
    """Folders from `root` down to six deep, each before what it holds, in natural order.

    Hidden folders are passed over and no link is followed.

    Args:
        root: resolved.
        is_leaf: a folder for which this holds is yielded, but not entered.
        on_leaving: called with each linked folder that lies outside of the root.
    """
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        yield folder
        if depth < MAX_DEPTH and not is_leaf(folder):
            pending += [(child, depth + 1) for child in reversed(subfolders(folder, root, on_leaving))]


def subfolders(folder: Path, root: Path, on_leaving: Callable[[Path], None]) -> list[Path]:
    """The folders right inside a folder, in natural order; arguments as in `walk`."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            if not entry.is_symlink():
                found.append(Path(entry.path))
            elif not is_inside(Path(entry.path), root):
                on_leaving(Path(entry.path))
    return sorted(found, key=lambda path: natural_key(path.name))
