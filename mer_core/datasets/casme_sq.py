"""CAS(ME)^2: long videos as numbered frames, and a workbook without header for the expressions in them.

Qu, Wang, Yan, Li, Wu, Fu, CAS(ME)^2: A database for spontaneous macro-expression and micro-expression
spotting and recognition, IEEE Transactions on Affective Computing 9(4), 2018.
"""

from __future__ import annotations

import itertools
import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.casme_sq import CasmeSq
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table, mirror_offsets
from mer_core.datasets.trees import folders_above, tree_above
from mer_core.errors import UserError

TYPES = ("micro-expression", "macro-expression")
# Of the first sheet, whose eighth column is the type.
COLUMNS = ("number", "clip", "onset", "apex", "offset", "action_units", "valence", "type", "emotion")
# What a video shows -> its code in the names of folders, as the third sheet has it.
CODES = {
    **{"disgust1": "0101", "disgust2": "0102", "anger1": "0401", "anger2": "0402"},
    **{"happy1": "0502", "happy2": "0503", "happy3": "0505", "happy4": "0507", "happy5": "0508"},
}
PEOPLE = tuple(f"s{n}" for n in (15, 16, *range(19, 28), *range(29, 39), 40))
_COUNTS = {"micro": {TYPES[0]: 57}, "macro": {TYPES[1]: 300}, "all": {TYPES[0]: 57, TYPES[1]: 300}}
_VIDEO = re.compile(r"([1-9][0-9])_([0-9]{4})[^0-9].*|([1-9][0-9])_([0-9]{4})")
_CLIP = re.compile(r"([a-z]+[1-9])_[0-9]+")
_PERSON = re.compile(r"s?([1-9][0-9])")


def _published(settings: CasmeSq) -> Published:
    """The expressions by type; micro-expressions are of 14 people, whom nobody names."""
    counts = _COUNTS[settings.expressions]
    labels = counts if settings.labels == "type" else {}
    people = PEOPLE if settings.expressions == "all" else ()
    return Published(labels, people, copies={"the released list, 57 micro and 300 macro": {"all": 357}})


def _parse(settings: CasmeSq, path: Path) -> pd.DataFrame:
    """The sheets of the workbook as one table: expressions, whose folders the others name."""
    sheets = [*workbook.read_sheets(path)]
    clips = [(title, found) for title, rows in sheets if len(found := _expressions(rows))]
    # A row of the second sheet holds the folder, s15, and behind it the number that the first sheet uses.
    people = {
        number: folder.lower()
        for _, rows in sheets
        for _, cells in rows
        for folder, number in itertools.pairwise(cells)
        if re.fullmatch(r"[sS][1-9][0-9]", folder) and number.isdecimal()
    }
    if not clips or not people:
        lacks = "expressions" if not clips else "folders of people"
        raise UserError(f"{path}: tells no {lacks}; give the released workbook with its three sheets")
    table = workbook.join_sheets(clips)
    missing = table[["apex", "offset"]].replace("0", "")
    subjects = table["number"].map(people).fillna(table["number"])
    return table.assign(subject=subjects, label=table[settings.labels], **missing)


def _expressions(rows: workbook.Rows) -> pd.DataFrame:
    """Those that one sheet lists, by row."""
    clips = {
        row: dict(zip(COLUMNS, cells, strict=False))
        for row, cells in rows
        if len(cells) >= len(COLUMNS) - 1 and frames.plain(cells[7]) in TYPES
    }
    return pd.DataFrame.from_dict(clips, orient="index", columns=list(COLUMNS), dtype=str).fillna("")


def _named(cells: pd.Series) -> Key | None:
    """The person's folder, and the code of the video that an expression is in: 0401 of anger1_1."""
    match = _CLIP.fullmatch(frames.plain(cells["clip"]))
    code = CODES.get(match[1]) if match else None
    return (cells["subject"], code) if cells["subject"].startswith("s") and code else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """A long video, by the digits of its own name, or an expression cut out of it, by the folder above."""
    name, above = frames.plain(folder.name), folder.parent
    if video := _VIDEO.fullmatch(name):
        person, code = video[1] or video[3], video[2] or video[4]
        tree = tree_above(root, above if _PERSON.fullmatch(frames.plain(above.name)) else folder)
        return tree, clip_key(f"s{person}", code)
    clip, person = _CLIP.fullmatch(name), _person(root, folder)
    if clip is None or person is None or clip[1] not in CODES:
        return None
    return tree_above(root, above), clip_key(person, name)


def _person(root: Root, folder: Path) -> str | None:
    above = folders_above(root, folder)
    match = _PERSON.fullmatch(frames.plain(above[0].name)) if above else None
    return f"s{match[1]}" if match else None


def _mend(settings: CasmeSq, table: pd.DataFrame, _: pd.DataFrame | None, findings: Findings) -> pd.DataFrame:
    return mirror_offsets(table, findings) if settings.missing_offset == "mirror" else table


def _passed_over(settings: CasmeSq, cells: pd.Series) -> str:
    kind = frames.plain(cells["type"])
    return "" if settings.expressions in ("all", kind[:5]) else f"{kind}: not asked for by expressions"


def _layout(settings: CasmeSq) -> ClipLayout:
    return ClipLayout(
        example="rawpic/s15/15_0101disgustingteeth/img001.jpg or selectedpic/s15/anger1_1/img557.jpg",
        place=_place,
        table=Table(
            columns={},
            named=_named,
            may_be=lambda file: "code_final" in file.lower(),
            example="CAS(ME)^2code_final.xlsx",
            rank=lambda file: "updated" not in file.lower(),
            mend=partial(_mend, settings),
            repeats=True,
            parse=partial(_parse, settings),
            cut_out=lambda cells: frames.plain(cells["clip"]),
            passed_over=partial(_passed_over, settings),
        ),
        person=_person,
    )


SETTINGS = CasmeSq
PUBLISHED = _published
read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
