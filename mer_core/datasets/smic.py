"""SMIC: clips of one camera, labelled by their folders and names; or the long clips of SMIC-E with a table.

Li, Pfister, Huang, Zhao, Pietikainen, A spontaneous micro-expression database, FG 2013.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.layouts.smic import Smic
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Candidate, Key, clip_key
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import folders_above, tree_above

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
LABELS = {"ne": "negative", "po": "positive", "sur": "surprise"}
KINDS = ("whole", "cropped")
CAMERAS = frozenset({"HS", "VIS", "NIR"})
_HS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20)
_CLIPS = (6, 6, 39, 19, 2, 4, 13, 4, 7, 9, 10, 10, 4, 7, 2, 22)
_COPIES = {
    "the 157 long clips of SMIC-E, which lack seven of the 164": {"all": 157},
    "the 162 names in the original workbook of SMIC-E": {"all": 162},
}
_CLIP = re.compile(
    rf"s0*([1-9][0-9]?)[_-](ne|po|sur)[a-z]*[_-]?0*([1-9][0-9]?){frames.COPIED}", re.IGNORECASE
)
_SUBJECT = re.compile(rf"s0*([1-9][0-9]?){frames.COPIED}", re.IGNORECASE)


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


def _cut(
    name: str, settings: Smic, root: Root, candidates: Sequence[Candidate], findings: Findings
) -> list[dict[str, Any]]:
    """A manifest row for every clip that is cut to its expression: from its first file to its last."""
    by_key: dict[Key, list[Candidate]] = defaultdict(list)
    for clip in candidates:
        by_key[clip.key].append(clip)
    samples = []
    for key in sorted(by_key, key=lambda key: frames.natural_key("/".join(key))):
        best = min(by_key[key], key=lambda one: (KINDS.index(one.kind), -len(one.series.files)))
        numbers, where = best.series.files, root.relative(best.folder)
        sample = new_sample(name, *key, onset=min(numbers), offset=max(numbers))
        assign_class(sample, _label(key), settings.classes, findings, where)
        _check_ends(sample, best, by_key[key], root, findings)
        if sample["included"] and len(numbers) < 3:
            findings.leave_out(sample, "impossible_interval", f"{len(numbers)} frames", where)
        samples.append(sample)
    return samples


def _check_ends(
    sample: dict[str, Any], used: Candidate, found: Sequence[Candidate], root: Root, findings: Findings
) -> None:
    """Leave out a clip of which another folder has further frames: its ends would be those of a piece.

    They are not joined, since the other may as well be a copy that is numbered otherwise.
    """
    for other in found:
        more = sorted(other.series.files.keys() - used.series.files.keys())
        if not more or not sample["included"]:
            continue
        where, home = root.relative(other.folder), root.relative(used.folder)
        if other.kind == used.kind:
            why = (
                f"frames {more[0]} to {more[-1]} are not in {home}, which has {len(used.series.files)}; "
                "put them into one folder, or move away the copy that is not meant"
            )
            findings.leave_out(sample, "split_clip", why, where)
        else:
            action = f"{home} is used; frames that lack there: {', '.join(map(str, more[:3]))}"
            findings.add("unused_frames", action, row=sample["sample_id"], file=where)


def _mend(table: pd.DataFrame, *_: Any) -> pd.DataFrame:
    """SMIC-E's table without the notes below it, and with the offsets that are formulas without a value."""
    keys, onsets = table["clip"].map(_key), table["onset"].map(workbook.whole_number)
    table = table[keys.notna() | onsets.notna()].assign(action_units="")
    for row, cells in table.iterrows():
        onset, length = (workbook.whole_number(cells[column]) for column in ("onset", "length"))
        untold = not cells["offset"] or cells["offset"].startswith(workbook.NO_VALUE)
        if untold and onset is not None and length is not None:
            table.loc[row, "offset"] = str(onset + length - 1)
    return table


def _may_be_table(settings: Smic, name: str) -> bool:
    return "annotation" in name.lower() and "smic" in name.lower() and _is_of_camera(settings, name)


def _is_of_camera(settings: Smic, name: str) -> bool:
    """Whether the name of a table or sheet names no other camera."""
    return _tokens(name) & CAMERAS in (set(), {settings.camera})


def _key(clip: str) -> Key | None:
    """(s01, s01_ne_01) of s01_ne_01, or of s1_ne_1."""
    match = _CLIP.fullmatch(frames.plain(clip))
    if match is None:
        return None
    subject = f"s{int(match[1]):02d}"
    return subject, f"{subject}_{match[2].lower()}_{int(match[3]):02d}"


def _label(key: Key) -> str:
    return LABELS[key[1].split("_")[1]]


def _place(settings: Smic, root: Root, folder: Path) -> tuple[Path, Key] | None:
    """The tree and clip of a folder, if it shows a micro-expression by the camera that is asked for."""
    key = _key(folder.name)
    if key is None or _aside(settings, root, folder) is not None:
        return None
    above = folders_above(root, folder)
    subject = next((parent for parent in above if _SUBJECT.fullmatch(parent.name)), folder)
    return tree_above(root, subject), clip_key(*key)


def _aside(settings: Smic, root: Root, folder: Path) -> str | None:
    """What passes a folder over; its camera is told by the four above it, too, where the root is a person."""
    real = folder.resolve()
    is_linked = real != folder and real.is_relative_to(root.path)
    if is_linked and (aside := _aside(settings, root, real)) is not None:  # where it leads counts as well
        return aside
    above = folders_above(root, folder)
    said = [_tokens(parent.name) for parent in (*above, *folder.parents[len(above) : 4])]
    if any({"NON", "MICRO"} <= tokens or "NONMICRO" in tokens for tokens in [_tokens(folder.name), *said]):
        return ""
    camera = next((tokens & CAMERAS for tokens in said if len(tokens & CAMERAS) == 1), {settings.camera})
    if camera != {settings.camera}:
        return f"camera: {''.join(camera)}"
    is_extended = any(tokens & {"LONG", "E"} and tokens & {"SMIC", *CAMERAS} for tokens in said)
    return None if is_extended == settings.extended else f"extended: {str(is_extended).lower()}"


def _person(root: Root, folder: Path) -> str | None:
    matches = (_SUBJECT.fullmatch(parent.name) for parent in folders_above(root, folder))
    return next((f"s{int(match[1]):02d}" for match in matches if match), None)


def _folder_label(root: Root, folder: Path) -> str | None:
    names = (frames.plain(parent.name) for parent in folders_above(root, folder))
    return next((name for name in names if name in LABELS.values()), None)


def _tokens(name: str) -> set[str]:
    return {*re.split(r"[^A-Z]+", name.upper())}


def _layout(settings: Smic) -> ClipLayout:
    of = f"{settings.camera}_long/" if settings.extended else f"{settings.camera}/s1/micro/negative/"
    table = Table(
        columns=COLUMNS,
        named=lambda cells: _key(cells["clip"]),
        may_be=partial(_may_be_table, settings),
        example="SMIC-HS-E_annotation.xlsx",
        optional=("subject", "apex", "length", "label"),
        is_meant=partial(_is_of_camera, settings),
        mend=_mend,
        label_of=_label,
    )
    return ClipLayout(
        example=f"{of}s1_ne_01/image563854.bmp",
        place=partial(_place, settings),
        table=table if settings.extended else None,
        cut=None if settings.extended else _cut,
        aside=partial(_aside, settings),
        kinds=KINDS,
        person=_person,
        folder_label=_folder_label,
    )


read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
