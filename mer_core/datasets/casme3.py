"""CAS(ME)^3: recordings of numbered frames, in which a workbook annotates several expressions each.

Li, Dong, Lu, Wang, Yan, Wang, Liu, Huang, Fu, CAS(ME)^3: A third generation facial spontaneous
micro-expression database with depth information and high ecological validity, IEEE Transactions on Pattern
Analysis and Machine Intelligence 45(3), 2023.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.casme3 import Casme3
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import tree_above

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "action_units": ("AU", "Action Units"),
}
LABELS = {"emotion": ("emotion", "Estimated Emotion"), "objective": ("Objective class",)}
# Of part C.
MOCK_CRIME = {
    "subject": ("sub", "Subject"),
    "clip": ("count",),
    "onset": ("onset",),
    "apex": ("apex",),
    "offset": ("offset",),
    "action_units": ("au",),
    "label": ("emotion",),
}
INTERVAL = ["onset", "apex", "offset"]
_EMOTIONS = {
    **{"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sad": 57},
    **{"happy": 55},
}
_OBJECTIVE = {"vii": 373, "iii": 234, "ii": 151, "v": 47, "iv": 37, "i": 15, "vi": 3}
_COPIES = {"the first version, of which 61 rows turned out to be macro-expressions": {"all": 921}}
_SUBJECT = re.compile(r"sp[ _-]?no[. _-]*0*([1-9][0-9]{0,2})")
_LETTER = re.compile(r"[a-z]")
_NUMBER = re.compile(r"0*([1-9][0-9]{0,2})")


def _published(settings: Casme3) -> Published:
    """The 860 micro-expressions in the second version of part A's table, or the 165 of part C's."""
    if settings.expressions == "macro":
        return Published(copies={"the second version, 3346 macro- and 860 micro-expressions": {"all": 4206}})
    if settings.part == "C":
        people = tuple(f"c{n:02d}" for n in range(1, 32) if n != 22)
        labels = {"negative": 99, "surprise": 30, "others": 20, "positive": 16}
        return Published(labels, people, copies={"the counts in part_C.xls": {"all": 160}})
    return Published(_OBJECTIVE if settings.labels == "objective" else _EMOTIONS, copies=_COPIES)


def _subject(text: str) -> str | None:
    """sp001 of spNO.1, or of spNo.1."""
    match = _SUBJECT.fullmatch(frames.plain(text))
    return f"sp{int(match[1]):03d}" if match else None


def _named(cells: pd.Series) -> Key | None:
    subject, letter = _subject(cells["subject"]), frames.plain(cells["clip"])
    return (subject, letter) if subject and _LETTER.fullmatch(letter) else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """The colour pictures of a recording, or the recording's folder where they lie right in it."""
    recording = folder.parent if folder.name.lower() == "color" else folder
    subject, letter = _subject(recording.parent.name), frames.plain(recording.name)
    if subject is None or not _LETTER.fullmatch(letter):
        return None
    return tree_above(root, recording.parent), clip_key(subject, letter)


def _repair(table: pd.DataFrame, full: pd.DataFrame | None, findings: Findings) -> pd.DataFrame:
    """Take intervals that are out of order from the table of micro- and macro-expressions, if there is one.

    The second version of that table has those rows in order, but no emotions. A row is found again by
    subject, recording and onset.
    """
    if full is None:
        return table
    known = {(_named(cells), cells["onset"]): cells for _, cells in full.iterrows() if _is_ordered(cells)}
    table = table.copy()
    for row, cells in table.iterrows():
        other = known.get((_named(cells), cells["onset"]))
        if _is_ordered(cells) or other is None:
            continue
        before, after = (" ".join(one[INTERVAL]) for one in (cells, other))
        table.loc[row, INTERVAL] = other[INTERVAL]
        findings.add(
            "repaired_interval", f"{before} read as {after} of {other['where']}", file=cells["where"]
        )
    return table


def _is_ordered(cells: pd.Series) -> bool:
    onset, apex, offset = (workbook.whole_number(cells[column]) for column in INTERVAL)
    return None not in (onset, apex, offset) and onset < apex < offset


def _may_be_full(file: str) -> bool:
    """CAS(ME)3_part_A_v2.xls, of which the first version has the same faults."""
    return bool(re.search(r"part_?a_?v[2-9]\b", file.lower()))


def _passed_over(cells: pd.Series) -> str:
    kind = frames.plain(cells["type"])
    return "" if kind.startswith("macro") else f"{kind}: not asked for by expressions"


_FULL = Table(COLUMNS, _named, _may_be_full, "CAS(ME)3_part_A_v2.xls")
_MACRO = replace(
    _FULL,
    columns=COLUMNS | {"label": LABELS["objective"], "type": ("Expression type",)},
    passed_over=_passed_over,
    repeats=True,
)


def _named_by_count(cells: pd.Series) -> Key | None:
    subject, count = (_NUMBER.fullmatch(cells[column]) for column in ("subject", "clip"))
    return (f"c{int(subject[1]):02d}", count[1]) if subject and count else None


def _place_of_count(root: Root, folder: Path) -> tuple[Path, Key] | None:
    if folder.name.lower() != "color":
        return None
    clip = folder.parent
    subject, count = _NUMBER.fullmatch(clip.parent.name), _NUMBER.fullmatch(clip.name)
    if subject is None or count is None:
        return None
    return tree_above(root, clip.parent), clip_key(f"c{int(subject[1]):02d}", count[1])


def _layout(settings: Casme3) -> ClipLayout:
    if settings.part == "C":
        table = Table(
            columns=MOCK_CRIME,
            named=_named_by_count,
            may_be=lambda file: bool(re.search(r"part_?c_?me", file.lower())),
            example="CAS(ME)3_part_C_ME.xlsx",
            optional=("apex", "action_units"),
            longest=10.0,
        )
        return ClipLayout("ME_C/01/1/color/355.jpg", _place_of_count, table, kinds=("whole",))
    micro = Table(
        columns=COLUMNS | {"label": LABELS[settings.labels]},
        named=_named,
        may_be=lambda file: bool(re.search(r"part_?a_?me", file.lower())),
        example="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        rank=lambda file: "v2" not in file.lower(),
        beside=_FULL,
        mend=_repair,
        longest=10.0,
        repeats=True,
    )
    table = _MACRO if settings.expressions == "macro" else micro
    return ClipLayout("part_A/spNO.1/a/color/355.jpg", _place, table, kinds=("whole",))


SETTINGS = Casme3
PUBLISHED = _published
read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
