"""Folders and numbered image files on disk, never outside of what the configuration names."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mer_core.config.names import plain as plain
from mer_core.datasets.defects import as_yaml
from mer_core.errors import UserError

# Of a loop of links, and of a name that no file system takes: no file, rather than one that cannot be read.
NO_NAMES = {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff"})
# What people have in place of frames -> how the files end, and what to do with them.
FOREIGN = {
    "videos": (
        frozenset({".avi", ".mp4", ".mov", ".mkv", ".wmv", ".mpg", ".mpeg", ".m4v", ".webm"})
        | frozenset({".flv", ".3gp", ".mts", ".m2ts"}),
        "write their frames as numbered images: python -m mer_core.motion.videos {folder}",
    ),
    "archives": (
        frozenset(
            {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".001", ".z01", ".iso"}
        ),
        "unpack them there",
    ),
    "images of another format": (
        frozenset(
            {".gif", ".webp", ".jp2", ".heic", ".heif", ".avif", ".tga", ".exr", ".dng", ".raw", ".dcm"}
        )
        | frozenset({".pgm", ".ppm", ".pbm", ".pnm", ".npy", ".npz", ".mat"}),
        "convert them to png",
    ),
}
VIDEO_SUFFIXES = FOREIGN["videos"][0]
_FOREIGN_SUFFIXES = frozenset().union(*(suffixes for suffixes, _ in FOREIGN.values()))
# Of the frames themselves; other numbered images beside such are something else, made of them.
KNOWN_PREFIXES = frozenset({"", "img", "reg_img", "image", "reg_image", "frame"})
# At the end of a folder's name: of a second part of a download (on a Mac sub01 2), and of a copy.
COPIED = r"(?: ?\([0-9]\)| [2-9]| ?-? copy)?"
# What shares and systems keep in any folder: thumbnails, what was deleted, earlier states.
_SYSTEMS = frozenset(
    {"@eadir", "#recycle", "@recycle", "#snapshot", "~snapshot", "$recycle.bin", "lost+found"}
)
_SYSTEMS |= {"system volume information", "__macosx"}
MAX_DEPTH = 8
_NUMBERED = re.compile(r"(?P<prefix>(?:.*[^0-9])?)(?P<number>[0-9]{1,9})", re.DOTALL)
# img (46), as Windows renames several at once.
_RENAMED = re.compile(r"(?P<prefix>[^0-9]*[^0-9 ]) ?\((?P<number>[0-9]{1,9})\)")


class Root:
    """A dataset's folder, and the folders beside it that its links may lead to.

    Attributes:
        path: the dataset's folder, resolved.
        link_roots: the others, resolved.
        refused: links met so far that lead elsewhere, and are not followed -> where they lead.
        broken: links met so far that lead nowhere -> where they lead.
    """

    def __init__(
        self, path: str | os.PathLike[str], link_roots: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        self.path = Path(path).resolve()
        self.link_roots = [Path(other).resolve() for other in link_roots]
        self.refused: dict[Path, Path] = {}
        self.broken: dict[Path, Path] = {}

    def holds(self, path: Path) -> bool:
        """Whether a path, its links followed, lies in one of the folders; a link that does not is noted."""
        try:
            target = path.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            target = path.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in NO_NAMES:
                raise
            return False
        if any(target.is_relative_to(folder) for folder in (self.path, *self.link_roots)):
            return True
        if Path(os.path.normpath(path)).is_relative_to(self.path):
            self.refused[path] = target
        return False

    def shows(self, target: Path) -> bool:
        """Whether a path without links is found in the dataset's folder by itself, hidden nowhere."""
        return target.is_relative_to(self.path) and not any(
            part.startswith(".") for part in target.relative_to(self.path).parts
        )

    def inner(self, written: str) -> str:
        """A path of a table; an absolute one from here on, where it names this folder or a link to it."""
        path = Path(os.path.normpath(written.replace("\\", "/")))
        if not path.is_absolute():
            return path.as_posix()
        linked = (above for above in path.parents if os.path.realpath(above) == str(self.path))
        here = self.path if path.is_relative_to(self.path) else next(linked, None)
        return (path.relative_to(here) if here else path).as_posix()

    def relative(self, path: Path) -> str:
        """A path as manifest and messages write it."""
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else path.name


def scan(folder: Path, root: Root) -> tuple[list[Path], list[str]]:
    """The folders and the names of the files right inside a folder, in natural order.

    Hidden ones, and what systems and shares keep, are passed over; links are followed as far as `root` holds
    them.
    """
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.casefold() in _SYSTEMS:
                continue
            try:
                is_dir, is_file = entry.is_dir(), entry.is_file()
            except OSError as error:
                if error.errno not in NO_NAMES:
                    raise
                continue
            if entry.is_symlink():
                path = Path(entry.path)
                if not (is_dir or is_file):
                    root.broken[path] = path.parent / path.readlink()
                elif not root.holds(path):
                    continue
            if is_dir:
                folders.append(Path(entry.path))
            elif is_file:
                files.append(entry.name)
    return sorted(folders, key=lambda path: natural_key(path.name)), sorted(files, key=natural_key)


def above(root: Root) -> Iterator[tuple[Path, list[Path], list[str]]]:
    """The two folders above a root inside of a copy, the nearer first, with what `scan` gives of each.

    The folder that leads back to the root is left out, and so is what may not be read: there need be nothing.
    """
    for folder in root.path.parents[:2]:
        try:
            folders, files = scan(folder, Root(folder))
        except OSError:
            continue
        yield folder, [inner for inner in folders if not root.path.is_relative_to(inner)], files


def walk(root: Root, aliases: bool = False) -> Iterator[tuple[Path, list[str]]]:
    """Every folder from the root down to eight deep, with the names of its files.

    A folder stands before what it holds; folders and names are in natural order. What links alone lead to,
    out of the root or to what is hidden in it, comes once.

    Args:
        root: the dataset's folder.
        aliases: whether links to folders that are walked anyhow are followed, too, after all others: where
            names tell what a folder holds, it may be the link that has the right one.
    """
    pending, apart = [(root.path, 0, False)], set()
    while pending:
        folder, depth, by_alias = pending.pop()
        target = folder.resolve()
        if target in apart:  # several links lead there, or a loop of them
            continue
        if not root.shows(target):
            apart.add(target)
        folders, files = scan(folder, root)
        yield folder, files
        if depth == MAX_DEPTH:
            continue
        links = {child for child in folders if child.is_symlink() and root.shows(child.resolve())}
        pending += [(child, depth + 1, by_alias) for child in reversed(folders) if child not in links]
        if aliases and not by_alias:
            loops = {link for link in links if target.is_relative_to(link.resolve())}
            pending[:0] = [(child, depth + 1, True) for child in reversed(folders) if child in links - loops]


@dataclass(frozen=True)
class Series:
    """The frames in one folder.

    Attributes:
        files: frame number -> file, ascending.
        doubtful: frame number -> the files that would all do, where there are several.
        passed_over: names of numbered images that are no frames.
    """

    files: dict[int, Path] = field(default_factory=dict)
    doubtful: dict[int, list[Path]] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)


def series(folder: Path, names: Iterable[str]) -> Series:
    """Which of the files in a folder are the frames of its clip.

    Images whose prefix is in `KNOWN_PREFIXES` go before others (flow_91.jpg is made of img91.jpg); of
    several prefixes alike the commonest is taken, and of two files of one number (img46, img046) the less
    padded. What could as well be meant otherwise is told in `doubtful`.
    """
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        if (key := frame_number(name)) is not None:
            found[key[0].casefold()].append((key[1], name))
    if not found:
        return Series()
    known = [prefix for prefix in found if prefix in KNOWN_PREFIXES] or [*found]
    chosen = min(known, key=lambda prefix: (-len(found[prefix]), prefix))
    alike: dict[int, list[str]] = defaultdict(list)
    for prefix in sorted(known, key=lambda prefix: prefix != chosen):
        for number, name in sorted(found[prefix], key=lambda one: (len(one[1]), one[1])):
            alike[number].append(name)
    taken = {number: alike[number][0] for number in sorted({number for number, _ in found[chosen]})}
    every = {name for group in found.values() for _, name in group}
    return Series(
        {number: folder / name for number, name in taken.items()},
        {number: [folder / name for name in group] for number, group in alike.items() if len(group) > 1},
        sorted(every - set(taken.values()), key=natural_key),
    )


def frame_number(name: str) -> tuple[str, int] | None:
    """Prefix and number of a frame's file name, whatever its prefix and padding.

    The number is the run of digits just before the suffix: ('reg_img', 46) of reg_img46.jpg,
    ('006_', 5562) of 006_05562.jpg. None for what is no frame: hidden files, other suffixes, no number,
    unprintable names.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a name, not a path)
    while (inner := os.path.splitext(stem))[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 (img46.jpg.jpg)
        stem = inner[0]
    match = _NUMBERED.fullmatch(stem) or _RENAMED.fullmatch(stem)
    if (
        name.startswith(".")
        or not name.isprintable()
        or suffix.lower() not in IMAGE_SUFFIXES
        or match is None
    ):
        return None
    return match["prefix"], int(match["number"])


def is_foreign(name: str) -> bool:
    """Whether a file may hold frames, but not as images that can be read here."""
    return os.path.splitext(name)[1].lower() in _FOREIGN_SUFFIXES  # noqa: PTH122 (a name, not a path)


def is_foreign_image(name: str) -> bool:
    """Whether a file is an image by its name, of a format that is not read here."""
    suffixes, _ = FOREIGN["images of another format"]
    return Path(name).suffix.lower() in suffixes


def is_filled(folder: Path) -> bool:
    """Whether it is a folder that holds anything."""
    return folder.is_dir() and any(folder.iterdir())


def describe_foreign(folders: Iterable[tuple[Path, Collection[str]]], root: Root) -> str:
    """What lies there in place of frames, with the first names; empty where nothing does.

    What was written or unpacked into a folder of its name already is not meant.
    """
    found = [
        root.relative(folder / name)
        for folder, names in folders
        for name in names
        if is_foreign(name) and not is_filled(folder / Path(name).stem)
    ]
    said = []
    for what, (suffixes, remedy) in FOREIGN.items():
        names = [name for name in found if Path(name).suffix.lower() in suffixes]
        if names:
            shown = ", ".join(name[-60:] for name in names[:3]) + (", ..." if len(names) > 3 else "")
            said.append(f"{what} ({shown}): {remedy.format(folder=shlex.quote(str(root.path)))}")
    return "; ".join(said)


def nothing_there(
    name: str,
    what: str,
    example: str,
    listing: Collection[tuple[Path, Collection[str]]],
    root: Root,
    instead: str = "",
) -> UserError:
    """That a folder holds nothing of what it should, with what lies there in its place.

    Args:
        name: of the dataset in the configuration.
        what: is looked for.
        example: of the files' names.
        listing: folders under the root with the names of their files.
        root: the dataset's folder.
        instead: what else is there, with a remedy.
    """
    images = [
        root.relative(folder / file)
        for folder, names in listing
        for file in names
        if Path(file).suffix.lower() in IMAGE_SUFFIXES
    ]
    if images and not instead:
        shown = f"{len(images)} images of other names or in other folders ({images[0][-60:]})"
        instead = f"{shown}: rename them so, or list them in a table"
    found = [text for text in (describe_foreign(listing, root), instead) if text]
    return UserError(
        f"datasets.{name}.root: no {what} there ({example}, down to {MAX_DEPTH} folders deep)"
        + ("".join(f", but {text}" for text in found) or "; give the folder of your copy")
        + "".join(f"; {line}" for line in describe_links(root, name))
    )


def of_settings(others: Collection[str]) -> str:
    """What other settings, such as camera: NI, would take of a folder; empty where there is nothing."""
    return f"those of {', '.join(others)}; write one of these" if others else ""


def describe_links(root: Root, name: str) -> list[str]:
    """The links that were met and not followed, with what to do: a line for those out of the root, and one
    for those that lead nowhere.

    Args:
        root: of the dataset, as far as it was walked.
        name: of the dataset in the configuration.
    """
    said = []
    leading: dict[str, list[Path]] = defaultdict(list)  # by disk, as far as its name tells
    for link, target in root.refused.items():
        if _holds_data(target):
            leading["/".join(target.parts[:2])].append(link)
    folders = [
        os.path.commonpath([root.refused[link].parent for link in links]) for links in leading.values()
    ]
    if folders:
        links = [link for group in leading.values() for link in group]
        wanted = [*map(str, root.link_roots), *folders]
        said.append(
            f"not followed: {len(links)} links such as {root.relative(links[0])} that lead to "
            f"{', '.join(folders)}; to follow them, write datasets.{name}.link_roots: {as_yaml(wanted)}"
        )
    broken = {link: target for link, target in root.broken.items() if _holds_data(target)}
    if broken:
        link, target = next(iter(broken.items()))
        said.append(
            f"{len(broken)} links such as {root.relative(link)} lead nowhere ({target}); mount or fetch "
            "what they stand for"
        )
    return said


def _holds_data(target: Path) -> bool:
    """Whether a link's target is a folder, an image or a label, and not a table or a readme, say."""
    is_label = target.name.lower().endswith("_emotion.txt")
    return target.is_dir() or target.suffix.lower() in {"", *IMAGE_SUFFIXES} or is_label


Spellings = dict[Path, dict[str, list[Path]]]
"""What folders hold, by names however they are spelled."""


def spelled(folder: Path, relative: str, known: Spellings | None = None) -> Path:
    """A path inside a folder as the disk spells it, where letters are composed otherwise there or differ in
    case, which does not matter where many tables are made.

    Args:
        folder: to look from.
        relative: the path.
        known: what folders hold, as far as they were looked into, for who asks for many paths.
    """
    path, known = folder / relative, {} if known is None else known
    if os.path.lexists(path):
        return path
    for part in Path(relative).parts:
        here = folder / part
        if not os.path.lexists(here):
            if folder not in known:
                known[folder] = defaultdict(list)
                with suppress(OSError):  # of what is no folder, or may not be looked into
                    for inner in folder.iterdir():
                        known[folder][_letters(inner.name)].append(inner)
            alike = known[folder].get(_letters(part), ())
            here = alike[0] if len(alike) == 1 else here
        folder = here
    return folder


def _letters(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which img9 stands before img10."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part]


def first_gap(numbers: Collection[int], start: int) -> int:
    """The first number from `start` on that is not among these."""
    return next(number for number in itertools.count(start) if number not in numbers)
