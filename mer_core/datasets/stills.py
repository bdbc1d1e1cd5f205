"""What datasets of single images share of which nobody knows whom they show: labels by folder or by list.

A module of a dataset says which number means which expression. Labels are names, the same for all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mer_core.config.layouts.stills import Stills
from mer_core.datasets import frames
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import UNNAMED, new_sample
from mer_core.errors import UserError
from mer_core.provenance import file_digest

NAMES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
# How copies name their folders otherwise.
_SPELLINGS = {name: name for name in NAMES} | {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "suprise": "surprise",
}
Said = tuple[str, str]
"""A label and where it stands."""


def read_stills(
    name: str,
    settings: Stills,
    root: Root,
    listing: Sequence[tuple[Path, Sequence[str]]],
    codes: Mapping[int, str],
    listed: Callable[[Path], Sequence[Said]],
    example: str,
    findings: Findings,
) -> list[dict[str, Any]]:
    """One sample per labelled image.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder.
        listing: folders under the root with the names of their files; what is not to be used left out.
        codes: the number of a folder or in a list -> its label.
        listed: all that is said of an image elsewhere than by its folder.
        example: of the images' files, for the message.
        findings: where defects go.

    Raises:
        UserError: there are no labelled images, or the numbers of folders are no labels.
    """
    images = {
        folder: [file for file in names if Path(file).suffix.lower() in frames.IMAGE_SUFFIXES]
        for folder, names in listing
    }
    numbered: dict[Path, set[int]] = defaultdict(set)
    for folder, files in images.items():
        if files and (number := _number(folder)) is not None:
            numbered[folder.parent].add(number)
    samples, silent, known = [], Counter[str](), {*NAMES, *codes.values()}
    for folder, files in images.items():
        number, strange = _number(folder), min(numbered[folder.parent] - codes.keys(), default=None)
        by_folder = label_of_folder(folder, root)
        if by_folder is None and number is not None and strange is None:
            by_folder = codes[number], root.relative(folder)
        for file in files:
            path = folder / file
            relative = root.relative(path)
            labels = [*listed(path), *([by_folder] if by_folder else [])]
            if not labels and number is not None:
                raise UserError(
                    f"{folder.parent}: {strange} is none of {_written(codes)}; are the numbers of these "
                    "folders labels? Sort the images into folders by label, such as anger"
                )
            if not labels:
                silent[root.relative(folder)] += 1
                continue
            sample = new_sample(name, UNNAMED, relative, sample_id=f"{name}/{relative}", frame_path=relative)
            raw, where = labels[0]
            if len({said for said, _ in labels}) > 1:
                shown = ", ".join(f"{said} in {place}" for said, place in labels)
                findings.leave_out(sample, "conflicting_annotation", shown, where)
            elif raw not in known:
                findings.leave_out(sample, "bad_label_file", f"{raw!r} is none of {_written(codes)}", where)
            else:
                assign_class(sample, raw, settings.classes, findings, where)
            samples.append(sample)
    if not samples:
        place, count = next(iter(silent.items()), ("", 0))
        unlabelled = (
            f"{silent.total()} images without a label ({count} in {place}): put their labels there, or sort "
            "them into folders by label"
        )
        raise frames.nothing_there(
            name, "labelled images", example, listing, root, instead=unlabelled if count else ""
        )
    for place, count in silent.items():
        findings.add("frames_without_annotation", f"not used: {count} images", file=place)
    for folder, names in listing:
        # Among images only, elsewhere they may be anything; and without those that were converted.
        stems = {Path(file).stem for file in images[folder]}
        others = [file for file in names if frames.is_foreign_image(file) and Path(file).stem not in stems]
        if stems and others:
            action = f"not used: {frames.describe_foreign([(folder, others)], root)}"
            findings.add("frames_without_annotation", action, file=root.relative(folder))
    return _each_once(samples, root, findings)


def _each_once(samples: Sequence[dict[str, Any]], root: Root, findings: Findings) -> list[dict[str, Any]]:
    """Samples without copies of one name and label: of doubled folders, and in another format beside it."""
    known: dict[tuple[str, str], list[Path]] = defaultdict(list)
    kept, copies = [], Counter[tuple[Path, Path]]()
    for sample in samples:
        path = root.path / sample["frame_path"]
        others = known[sample["label_raw"], path.stem]
        if first := next((other for other in others if _is_copy(path, other)), None):
            copies[first.parent, path.parent] += 1
        else:
            others.append(path)
            kept.append(sample)
    for (used, folder), count in copies.items():
        where = root.relative(folder)
        if used == folder:
            findings.add(
                "ambiguous_frames", f"{count} images are there in two formats; one is used", file=where
            )
        else:
            findings.add(
                "unused_place", f"{root.relative(used)} is used for {count} images of both", file=where
            )
    return kept


def _is_copy(path: Path, other: Path) -> bool:
    if path.parent == other.parent:
        return True
    return path.stat().st_size == other.stat().st_size and file_digest(path) == file_digest(other)


def label_of_folder(folder: Path, root: Root) -> Said | None:
    """The label by a folder's name, or by that of the nearest above it in the root."""
    for above in (folder, *folder.parents):
        if not above.is_relative_to(root.path):
            break
        if label := _SPELLINGS.get(frames.plain(above.name)):
            return label, root.relative(above)
    return None


def labels_above(root: Root, is_labels: Callable[[str], object], named: str) -> list[Path]:
    """Where labels may lie above a root that is a part of a dataset: files, and folders of a name."""
    found = []
    for folder, folders, files in frames.above(root):
        found += [folder / file for file in files if is_labels(file)]
        found += [inner for inner in folders if frames.plain(inner.name) == named]
    return found


def opened(places: Iterable[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Files, and what folders hold, as `frames.walk` gives it."""
    for place in places:
        yield from frames.walk(Root(place)) if place.is_dir() else [(place.parent, [place.name])]


def _number(folder: Path) -> int | None:
    name = frames.plain(folder.name)
    return int(name) if name.isdecimal() else None


def of_code(text: str, codes: Mapping[int, str]) -> str:
    """The label of a number as it is written; the number itself where it means none."""
    return codes.get(int(text), text) if text.isdecimal() else text


def _written(codes: Mapping[int, str]) -> str:
    return ", ".join(f"{code} ({label})" for code, label in codes.items())
