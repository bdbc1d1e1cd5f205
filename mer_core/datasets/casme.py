"""CASME: clips of numbered frames in two sections, and workbooks that annotate them.

Yan, Wu, Liu, Wang, Fu, CASME database: A dataset of spontaneous micro-expressions collected from neutralized
faces, FG 2013.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.casme import Casme
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table, mirror_offsets
from mer_core.datasets.trees import folders_above, tree_above

# `Onset` and `Total` of the released files are milliseconds, and no frame numbers.
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetF", "OnsetFrame"),
    "apex": ("ApexF1", "ApexF", "ApexFrame"),
    "offset": ("OffsetF", "OffsetFrame"),
    "action_units": ("AU", "AUs", "Action Units"),
    "label": ("Emotion", "Estimated Emotion"),
}
SETTINGS = Casme
# What most work takes: 189 rows of the file of 2019, whose labels were coded anew.
PUBLISHED = Published(
    {
        **{"tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7, "sadness": 6},
        **{"contempt": 2, "fear": 2},
    },
    copies={
        "CASME-coded-20190721.xls, from which most work leaves four rows out": {"all": 193},
        "the 195 clips of the article, before labels were coded anew": {"all": 195},
    },
)
_SUBJECT = re.compile(r"sub(?:ject)?[ _-]?0*([1-9][0-9]?)")
_NUMBER = re.compile(r"0*([1-9][0-9]?)")
_CLIP = re.compile(r"ep[0-9]+(?:_[0-9]+){0,2}")


def _subject(text: str) -> str | None:
    match = _SUBJECT.fullmatch(frames.plain(text))
    return f"sub{int(match[1]):02d}" if match else None


def _named(cells: pd.Series) -> Key | None:
    number = _NUMBER.fullmatch(cells["subject"])
    subject = f"sub{int(number[1]):02d}" if number else _subject(cells["subject"])
    named = subject is not None and _CLIP.fullmatch(frames.plain(cells["clip"]))
    return (subject, frames.plain(cells["clip"]).upper()) if named else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """A clip's folder in that of its person."""
    if not _CLIP.fullmatch(frames.plain(folder.name)):
        return None
    for parent in folders_above(root, folder):
        if (subject := _subject(parent.name)) is not None:
            return tree_above(root, parent), clip_key(subject, folder.name)
    return None


def _mend(settings: Casme, table: pd.DataFrame, _: pd.DataFrame | None, findings: Findings) -> pd.DataFrame:
    """The same labels in all files, and the rule for missing offsets."""
    table = table.assign(label=table["label"].map(frames.plain).replace("comtempt", "contempt"))
    return mirror_offsets(table, findings) if settings.missing_offset == "mirror" else table


def _section(file: str) -> str:
    """A or B of the tables that came with the sections; empty for one of the whole."""
    match = re.search(r"section[ _-]*([ab])\b", file.lower())
    return match[1].upper() if match else ""


def _layout(settings: Casme) -> ClipLayout:
    return ClipLayout(
        example="Section A/sub07/EP01_6/EP01_6-12.jpg or sub01/EP01_12/EP01_12-73.jpg",
        place=_place,
        table=Table(
            columns=COLUMNS,
            named=_named,
            may_be=lambda file: bool(_section(file) or re.search(r"casme(?!2|_2|_sq)", file.lower())),
            example="CASME-coded-20190721.xls, or Section A.xls and Section B.xls",
            rank=lambda file: bool(_section(file)),
            part=lambda path: _section(path.name),
            mend=partial(_mend, settings),
            repeats=True,
        ),
    )


read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
