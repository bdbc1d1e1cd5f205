"""MMEW: crops of faces in folders by label and clip, and a workbook that annotates the clips.

Ben, Ren, Zhang, Wang, Kpalma, Meng, Liu, Video-based facial micro-expression analysis: A survey of datasets,
features and algorithms, IEEE Transactions on Pattern Analysis and Machine Intelligence 44(9), 2022.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.mmew import Mmew
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import folders_above, tree_above

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "action_units": ("Action Units", "AU"),
    "label": ("Estimated Emotion", "Emotion"),
}
SETTINGS = Mmew
# Of the article; who is in the set is known by the table alone.
PUBLISHED = Published(
    {
        **{"happiness": 36, "anger": 8, "surprise": 89, "disgust": 72, "fear": 16, "sadness": 13},
        "others": 66,
    }
)
# What the table calls others lies in a folder named repression.
FOLDERS = {label: label for label in PUBLISHED.labels} | {"repression": "others"}
_CLIP = re.compile(r"s0*([1-9][0-9]?)-([0-9]{1,2})-([0-9]{1,3})")  # person, emotion, sample
_SUBJECT = re.compile(r"s?0*([1-9][0-9]?)")


def _key(clip: str) -> Key | None:
    """(S03, S03-01-002) of S03-01-002."""
    match = _CLIP.fullmatch(frames.plain(clip))
    if match is None:
        return None
    subject, emotion, sample = map(int, match.groups())
    return f"S{subject:02d}", f"S{subject:02d}-{emotion:02d}-{sample:03d}"


def _subject(text: str) -> str | None:
    match = _SUBJECT.fullmatch(frames.plain(text))
    return f"S{int(match[1]):02d}" if match else None


def _named(cells: pd.Series) -> Key | None:
    """Subject and clip by the clip's name, which a cell of the subject must not contradict."""
    key = _key(cells["clip"])
    return None if key is None or _subject(cells["subject"]) not in (key[0], None) else key


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """A clip's folder in that of its label, which may lie in that of the person."""
    key = _key(folder.name)
    if key is None or any(parent.name.lower().startswith("macro") for parent in folders_above(root, folder)):
        return None
    label = folder.parent if frames.plain(folder.parent.name) in FOLDERS else folder
    above = label.parent
    return tree_above(root, above if _is_person(above) else label), clip_key(*key)


def _is_person(folder: Path) -> bool:
    return folder.name[:1] in "sS" and _subject(folder.name) is not None


def _person(root: Root, folder: Path) -> str | None:
    people = (_subject(parent.name) for parent in folders_above(root, folder) if _is_person(parent))
    return next(people, None)


LAYOUT = ClipLayout(
    example="Micro_Expression/happiness/S03-01-002/1.jpg",
    place=_place,
    table=Table(
        columns=COLUMNS,
        named=_named,
        may_be=lambda file: "mmew" in file.lower() and "micro" in file.lower(),
        example="MMEW_Micro_Exp.xlsx",
        optional=("action_units", "subject"),
        rank=lambda file: "v2" not in file.lower(),
    ),
    kinds=("cropped",),
    person=_person,
    folder_label=lambda root, folder: FOLDERS.get(frames.plain(folder.parent.name)),
)
read = partial(read_clips, lambda _: LAYOUT)
list_subjects = partial(list_people, lambda _: LAYOUT)
beside = partial(list_beside, lambda _: LAYOUT)
