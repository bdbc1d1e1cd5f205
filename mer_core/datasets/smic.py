"""SMIC: clips of one camera, labelled by their folders and names; or the long clips of SMIC-E with a table.

Li, Pfister, Huang, Zhao, Pietikainen, A spontaneous micro-expression database, FG 2013.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mer_core.config.datasets import SIMULATED
from mer_core.config.layouts.smic import Smic
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Candidate, Key, clip_key, find_frames
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.datasets.tables import find_table, read_rows
from mer_core.datasets.trees import (
    Listing,
    check_people,
    find_clips,
    find_foreign,
    is_cropped,
    tree_above,
)

# Of SMIC-E. The last frame is a formula, which files written by some programs hold no value of.
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetF", "Onset1F"),
    "apex": ("ApexF",),
    "offset": ("OffsetF", "Offset1F"),
    "length": ("TotalMF1", "TotalMF"),
    "label": ("Emotion",),
}
OPTIONAL = ("subject", "apex", "length", "label")
LABELS = {"ne": "negative", "po": "positive", "sur": "surprise"}
KINDS = ("whole", "cropped")
CAMERAS = frozenset({"HS", "VIS", "NIR"})
_HS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20)
_CLIPS = (6, 6, 39, 19, 2, 4, 13, 4, 7, 9, 10, 10, 4, 7, 2, 22)
_COPIES = {
    "the 157 long clips of SMIC-E, which lack seven of the 164": {"all": 157},
    "the 162 names in the original workbook of SMIC-E": {"all": 162},
}
_CLIP = re.compile(r"s0*([1-9][0-9]?)[_-](ne|po|sur)[a-z]*[_-]0*([1-9][0-9]?)", re.IGNORECASE)
_SUBJECT = re.compile(r"s0*([1-9][0-9]?)", re.IGNORECASE)


def _published(settings: Smic) -> Published:
    """The clips of one camera, by their names."""
    if settings.camera != "HS":
        people = tuple(f"s{n:02d}" for n in _HS if n > 9)
        return Published({"negative": 23, "positive": 28, "surprise": 20}, people)
    people = tuple(f"s{n:02d}" for n in _HS)
    if settings.extended:
        return Published({"negative": 65, "positive": 51, "surprise": 41}, people)
    per_subject = {frozenset(LABELS.values()): _CLIPS}
    return Published({"negative": 70, "positive": 51, "surprise": 43}, people, per_subject, copies=_COPIES)


SETTINGS = Smic
PUBLISHED = _published


def read(name: str, settings: Smic, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per clip, its apex not annotated.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by subject and clip, or in the order of SMIC-E's table.

    Raises:
        UserError: there is no tree of frames, or no table where it is asked for.
    """
    listing = [*frames.walk(root)]
    candidates = _find_clips(name, settings, root, listing)
    check_people(candidates, partial(_person, root), root, findings)
    if settings.extended:
        samples = _annotated(name, settings, root, listing, findings)
    else:
        samples = [*_cut(name, settings, root, candidates, findings)]
    foreign = find_foreign(listing, partial(_place, root, settings))
    find_frames(name, settings, samples, candidates, KINDS, foreign, root, findings)
    return samples


def list_subjects(settings: Smic, root: Root) -> list[str]:
    """Those of the camera, whatever of them is there; of a simulated copy, those on disk."""
    if settings.root != SIMULATED:
        return _published(settings).people(settings.classes)
    return sorted({clip.key[0] for clip in _find_clips("smic", settings, root, [*frames.walk(root)])})


def _cut(
    name: str, settings: Smic, root: Root, candidates: Iterable[Candidate], findings: Findings
) -> Iterator[dict[str, Any]]:
    """A manifest row for every clip that is cut to its expression: from its first file to its last."""
    by_key: dict[Key, list[Candidate]] = defaultdict(list)
    for clip in candidates:
        by_key[clip.key].append(clip)
    for key in sorted(by_key, key=lambda key: frames.natural_key("/".join(key))):
        best = min(by_key[key], key=lambda one: (KINDS.index(one.kind), -len(one.series.files)))
        numbers, where = best.series.files, root.relative(best.folder)
        sample = new_sample(name, *key, onset=min(numbers), offset=max(numbers))
        label = _label(key)
        for clip in by_key[key]:
            told = _folder_label(root, clip.folder)
            if told not in (label, None):
                action = f"used as {label}, the folder says {told}"
                findings.add(
                    "contradicted_label", action, row=sample["sample_id"], file=root.relative(clip.folder)
                )
        assign_class(sample, label, settings.classes, findings, where)
        if sample["included"] and len(numbers) < 3:
            findings.leave_out(sample, "impossible_interval", f"{len(numbers)} frames", where)
        yield sample


def _annotated(
    name: str, settings: Smic, root: Root, listing: Listing, findings: Findings
) -> list[dict[str, Any]]:
    """A manifest row for every clip in the table of SMIC-E; of several expressions in a clip, the first."""
    if settings.workbook is None:
        key, example = f"datasets.{name}.workbook", "SMIC-HS-E_annotation.xlsx"
        path = find_table(root, listing, partial(_may_be_table, settings), COLUMNS, OPTIONAL, key, example)
    else:
        path = frames.spelled(root.path, settings.workbook)
    table = workbook.read_table(path, COLUMNS, OPTIONAL)
    keys = table["clip"].map(_key)
    # What stands below the table are notes.
    table = table[keys.notna() | table["onset"].map(workbook.whole_number).notna()].assign(action_units="")
    for number, cells in table.iterrows():
        if (clip := keys[number]) is None:
            continue
        label, told = _label(clip), frames.plain(cells["label"])
        if told not in (label, ""):
            row, where = f"{name}/{'/'.join(clip)}", f"{path.name}:{number}"
            findings.add("contradicted_label", f"used as {label}, the table says {told}", row=row, file=where)
        table.loc[number, "label"] = label
        onset, length = (workbook.whole_number(cells[column]) for column in ("onset", "length"))
        if not cells["offset"] and onset is not None and length is not None:
            table.loc[number, "offset"] = str(onset + length - 1)
    return read_rows(name, settings, table, path.name, lambda cells: _key(cells["clip"]), findings)


def _may_be_table(settings: Smic, name: str) -> bool:
    said = _tokens(name) & CAMERAS
    return "annotation" in name.lower() and "smic" in name.lower() and said in (set(), {settings.camera})


def _key(clip: str) -> Key | None:
    """(s01, s01_ne_01) of s01_ne_01, or of s1_ne_1."""
    match = _CLIP.fullmatch(frames.plain(clip))
    if match is None:
        return None
    subject = f"s{int(match[1]):02d}"
    return subject, f"{subject}_{match[2].lower()}_{int(match[3]):02d}"


def _label(key: Key) -> str:
    return LABELS[key[1].split("_")[1]]


def _find_clips(name: str, settings: Smic, root: Root, listing: Listing) -> list[Candidate]:
    def kind(tree: Path, _: Series) -> str:
        return "cropped" if is_cropped(root, tree) else "whole"

    of = f"{settings.camera}_long/" if settings.extended else f"{settings.camera}/s1/micro/negative/"
    place = partial(_place, root, settings)
    return find_clips(name, settings.frames, root, listing, place, kind, f"{of}s1_ne_01/image563854.bmp")


def _place(root: Root, settings: Smic, folder: Path) -> tuple[Path, Key] | None:
    """The tree and clip of a folder, if it shows a micro-expression by the camera that is asked for."""
    key = _key(folder.name)
    above = [_tokens(parent.name) for parent in _above(root, folder)]
    camera = next((tokens & CAMERAS for tokens in above if len(tokens & CAMERAS) == 1), {settings.camera})
    is_extended = any(tokens & {"LONG", "E"} and tokens & {"SMIC", *CAMERAS} for tokens in above)
    if (
        key is None
        or camera != {settings.camera}
        or is_extended != settings.extended
        or any({"NON", "MICRO"} <= tokens or "NONMICRO" in tokens for tokens in above)
    ):
        return None
    subject = next((parent for parent in _above(root, folder) if _SUBJECT.fullmatch(parent.name)), folder)
    return tree_above(root, subject), clip_key(*key)


def _above(root: Root, folder: Path) -> list[Path]:
    """The folders above, the nearest first, up to the root."""
    return [parent for parent in folder.parents if parent.is_relative_to(root.path)]


def _person(root: Root, folder: Path) -> str | None:
    matches = (_SUBJECT.fullmatch(parent.name) for parent in _above(root, folder))
    return next((f"s{int(match[1]):02d}" for match in matches if match), None)


def _folder_label(root: Root, folder: Path) -> str | None:
    names = (frames.plain(parent.name) for parent in _above(root, folder))
    return next((name for name in names if name in LABELS.values()), None)


def _tokens(name: str) -> set[str]:
    return {*re.split(r"[^A-Z]+", name.upper())}
