"""SAMM Long Videos: whole recordings as numbered frames, and a workbook of the movements in them.

Yap, Kendrick, Yap, SAMM Long Videos: A spontaneous facial micro- and macro-expressions dataset, FG 2020.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.layouts.samm_long import SammLong
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import tree_above

# The released file has notes in its first nine rows. The type stands for the label: `Micro - 1/2`, `Macro`.
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "Onset Frame"),
    "apex": ("Apex", "Apex Frame"),
    "offset": ("Offset", "Offset Frame"),
    "action_units": ("Action Units",),
    "label": ("Type",),
}
SETTINGS = SammLong
PUBLISHED = Published({"macro": 343, "micro": 159})
_MOVEMENT = re.compile(r"0*([1-9][0-9]{0,2})_([0-9]{1,2})(?:_[0-9]{1,2})?")  # person, video, movement
_VIDEO = re.compile(r"0*([1-9][0-9]{0,2})_([0-9]{1,2})")


def _named(cells: pd.Series) -> Key | None:
    """The person and the video of a movement's name: (006, 006_1) of 006_1_2."""
    return _key(_MOVEMENT, cells["clip"])


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    key = _key(_VIDEO, folder.name)
    return None if key is None else (tree_above(root, folder), clip_key(*key))


def _key(pattern: re.Pattern[str], name: str) -> Key | None:
    match = pattern.fullmatch(frames.plain(name))
    return (f"{int(match[1]):03d}", f"{int(match[1]):03d}_{int(match[2])}") if match else None


def _mend(table: pd.DataFrame, *_: Any) -> pd.DataFrame:
    return table.assign(label=table["label"].map(lambda kind: frames.plain(kind)[:5]))


LAYOUT = ClipLayout(
    example="SAMM_longvideos/006_1/006_1_0001.jpg",
    place=_place,
    table=Table(
        columns=COLUMNS,
        named=_named,
        may_be=lambda file: "samm" in file.lower() and "long" in file.lower(),
        example="SAMM_LongVideos_V3_Release.xlsx",
        optional=("action_units", "subject"),
        rank=lambda file: -int("0" + "".join(re.findall(r"_v([0-9])", file.lower()))),
        mend=_mend,
        repeats=True,
    ),
    kinds=("whole",),
)
read = partial(read_clips, lambda _: LAYOUT)
list_subjects = partial(list_people, lambda _: LAYOUT)
beside = partial(list_beside, lambda _: LAYOUT)
