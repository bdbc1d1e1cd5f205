"""The macro-expressions of MMEW: single images in folders by person and label. See `mmew`."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mer_core.config.layouts.mmew_macro import MmewMacro
from mer_core.datasets import frames
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.datasets.trees import folders_above

SETTINGS = MmewMacro
# 900 images in all; how many of each expression is not said.
PUBLISHED = Published()
_IMAGE = re.compile(r"s0*([1-9][0-9]?)-([0-9]{1,2})-([0-9]{1,3})", re.IGNORECASE)  # person, emotion, sample
_PERSON = re.compile(r"s0*([1-9][0-9]?)", re.IGNORECASE)


def read(name: str, settings: MmewMacro, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per image.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by path.

    Raises:
        UserError: there are no images.
    """
    listing = [*frames.walk(root)]
    samples: dict[str, dict[str, Any]] = {}
    known = {*map(frames.plain, settings.classes)}
    for folder, names in listing:
        others = []
        for file in names:
            if (person := _person(file)) is None:
                others += [file] if Path(file).suffix.lower() in frames.IMAGE_SUFFIXES else []
                continue
            where = root.relative(folder / file)
            stem = Path(file).stem.upper()
            sample = new_sample(name, person, stem, sample_id=f"{name}/{stem}", frame_path=where)
            if (first := samples.setdefault(stem, sample)) is not sample:
                _add_twin(first, frames.plain(folder.name), known, where, findings)
                continue
            above = _PERSON.fullmatch(folder.parent.name.strip())
            if above and f"S{int(above[1]):02d}" != person:
                action = f"counted as {person}, among the images of {folder.parent.name}; move it there"
                findings.add("other_person", action, row=sample["sample_id"], file=where)
            assign_class(sample, folder.name, settings.classes, findings, where)
        if others and not _is_micro(folder, root):
            action = f"not used: {len(others)} images not named as S01-07-001.jpg, first {others[0]}"
            findings.add("frames_without_annotation", action, file=root.relative(folder))
    if not samples:
        example = "Macro_Expression/S01/anger/S01-07-001.jpg"
        raise frames.nothing_there(name, "images", example, listing, root)
    return [*samples.values()]


def _add_twin(
    first: dict[str, Any], label: str, known: Collection[str], where: str, findings: Findings
) -> None:
    """Note a second image of a name; where it has another of the `known` labels, neither is used."""
    if first["included"] and label in known and label != first["label_raw"]:
        why = f"{first['label_raw']} by {first['frame_path']}, {label} by {where}"
        findings.leave_out(first, "conflicting_annotation", why, where)
    else:
        findings.add("ambiguous_frames", f"{first['frame_path']} is used", row=first["sample_id"], file=where)


def list_subjects(settings: MmewMacro, root: Root) -> list[str]:
    """The people on disk."""
    named = {_person(file) for _, names in frames.walk(root) for file in names}
    return sorted(named - {None})


def _is_micro(folder: Path, root: Root) -> bool:
    """Whether a folder holds frames of the micro-expressions, or is named as a clip of them."""
    above = folders_above(root, folder)
    return _IMAGE.fullmatch(folder.name) is not None or any(
        "micro" in one.name.lower() for one in (folder, *above)
    )


def _person(file: str) -> str | None:
    """S01 of S01-07-001.jpg; None for other files."""
    match = _IMAGE.fullmatch(Path(file).stem)
    is_image = Path(file).suffix.lower() in frames.IMAGE_SUFFIXES
    return f"S{int(match[1]):02d}" if match and is_image else None
