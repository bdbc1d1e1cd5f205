"""What datasets of single images share of which nobody knows whom they show: labels by folder or by list.

A module of a dataset says which number means which expression. Labels are names, the same for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mer_core.config.layouts.stills import Stills
from mer_core.datasets import frames
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import UNNAMED, new_sample

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
    listed: Callable[[Path], Said | None],
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
        listed: what is said of an image elsewhere than by its folder; None where nothing is.
        example: of the images' files, for the message.
        findings: where defects go.

    Raises:
        UserError: there are no images.
    """
    samples, silent, known = [], Counter[str](), {*NAMES, *codes.values()}
    for folder, names in listing:
        by_folder = label_of_folder(folder, root, codes)
        for file in names:
            if Path(file).suffix.lower() not in frames.IMAGE_SUFFIXES:
                continue
            path = folder / file
            relative = root.relative(path)
            labels = [said for said in (listed(path), by_folder) if said is not None]
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
        raise frames.nothing_there(name, "labelled images", example, listing, root)
    for place, count in silent.items():
        findings.add("frames_without_annotation", f"not used: {count} images", file=place)
    return samples


def label_of_folder(folder: Path, root: Root, codes: Mapping[int, str]) -> Said | None:
    """The label by a folder's number, by its name, or by that of the nearest above it in the root."""
    own = frames.plain(folder.name)
    if own.isdecimal() and int(own) in codes:
        return codes[int(own)], root.relative(folder)
    for above in (folder, *folder.parents):
        if not above.is_relative_to(root.path):
            break
        if label := _SPELLINGS.get(frames.plain(above.name)):
            return label, root.relative(above)
    return None


def of_code(text: str, codes: Mapping[int, str]) -> str:
    """The label of a number as it is written; the number itself where it means none."""
    return codes.get(int(text), text) if text.isdecimal() else text


def _written(codes: Mapping[int, str]) -> str:
    return ", ".join(f"{code} ({label})" for code, label in codes.items())
