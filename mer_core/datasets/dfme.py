"""DFME: a folder of frames per clip, in a training part and two test parts, and a table for each part.

Zhao, Tang, Mao, Liu, Wang, Xu, Wang, Chen, DFME: A new benchmark for dynamic facial micro-expression
recognition, IEEE Transactions on Affective Computing 15(3), 2024. What is read is its part in the challenges
of CCAC.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.dfme import Dfme
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import folders_above, tree_above

# The frames of a clip are counted from 0, which is no sign for a missing number.
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "action_units": ("AU", "Action Units"),
    "label": ("Emotion",),
    "fps": ("Fps",),
}
SETTINGS = Dfme
# Training part, test A and test B.
PUBLISHED = Published(
    {
        "anger": 161 + 39 + 41,
        "contempt": 100 + 34 + 37,
        "disgust": 548 + 129 + 58,
        "fear": 265 + 62 + 38,
        "happiness": 206 + 63 + 42,
        "sadness": 278 + 46 + 35,
        "surprise": 298 + 101 + 48,
    },
    copies={"the training part alone": {"all": 1856}, "the training part and test A": {"all": 1856 + 474}},
)
_CLIP = re.compile(r"sub0*([1-9][0-9]{0,3})_0*([0-9]{1,3})")
_SUBJECT = re.compile(r"(?:sub)?0*([1-9][0-9]{0,3})")
_TEST = re.compile(r"test(?:[ _-]?data)?(?:[ _-]?([ab]))?")


def _key(clip: str) -> Key | None:
    """(sub0003, sub0003_01) of sub0003_01."""
    match = _CLIP.fullmatch(frames.plain(clip))
    if match is None:
        return None
    subject = f"sub{int(match[1]):04d}"
    return subject, f"{subject}_{int(match[2]):02d}"


def _named(cells: pd.Series) -> Key | None:
    """Subject and clip by the clip's name, which a cell of the subject must not contradict."""
    key, subject = _key(cells["clip"]), frames.plain(cells["subject"])
    match = _SUBJECT.fullmatch(subject)
    return key if key and (f"sub{int(match[1]):04d}" if match else subject) in (key[0], "") else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    key = _key(folder.name)
    return None if key is None else (tree_above(root, folder), clip_key(*key))


def _split(root: Root, path: Path) -> str:
    """The official part, by the nearest folder that is named as one."""
    for parent in folders_above(root, path):
        name = parent.name.lower()
        if match := _TEST.fullmatch(name):
            return f"test_{match[1]}" if match[1] else "test"
        if name.startswith("train"):
            return "train"
    return ""


LAYOUT = ClipLayout(
    example="train_data/sub0003_01/00095.png",
    place=_place,
    table=Table(
        columns=COLUMNS,
        named=_named,
        # Each user's tables have other names: every one that has the columns is read.
        may_be=lambda file: True,
        example="training.xlsx, with columns Subject, Filename, OnsetFrame, ..., Emotion, Fps",
        optional=("action_units", "subject"),
        part=None,
    ),
    kinds=("whole",),
    split=_split,
)
read = partial(read_clips, lambda _: LAYOUT)
list_subjects = partial(list_people, lambda _: LAYOUT)
beside = partial(list_beside, lambda _: LAYOUT)
