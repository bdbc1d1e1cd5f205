"""SAMM: clips of numbered frames by person, and a workbook that annotates them.

Davison, Lansley, Costen, Tan, Yap, SAMM: A spontaneous micro-facial movement dataset, IEEE Transactions on
Affective Computing 9(1), 2018.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.samm import Samm
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import tree_above

# The released file has notes in its first 13 rows.
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset Frame", "Onset"),
    "apex": ("Apex Frame", "Apex"),
    "offset": ("Offset Frame", "Offset"),
    "action_units": ("Action Units",),
}
LABELS = {"emotion": ("Estimated Emotion", "Emotion"), "objective": ("Objective Classes", "Objective Class")}
_SUBJECTS = tuple(f"{n:03d}" for n in range(6, 38) if n not in (8, 27, 29))
_EMOTIONS = {
    **{"anger": 57, "happiness": 26, "other": 26, "surprise": 15},
    **{"contempt": 12, "disgust": 9, "fear": 8, "sadness": 6},
}
_OBJECTIVE = dict(zip("1234567", (24, 13, 20, 8, 3, 7, 84), strict=True))
_COPIES = {
    "an edited one, in which 011_4_2 is happiness in place of contempt": {"happiness": 27, "contempt": 11}
}
_CLIP = re.compile(r"0*([1-9][0-9]{0,2})_([0-9]{1,2})_([0-9]{1,2})")
_SUBJECT = re.compile(r"0*([1-9][0-9]{0,2})")


def _published(settings: Samm) -> Published:
    """The 159 clips of the released workbook."""
    if settings.labels == "objective":
        return Published(_OBJECTIVE, _SUBJECTS)
    return Published(_EMOTIONS, _SUBJECTS, only={"025": frozenset({"other"})}, copies=_COPIES)


SETTINGS = Samm
PUBLISHED = _published


def _named(cells: pd.Series) -> tuple[str, str] | None:
    """Subject and clip by the clip's name, which a cell of the subject must not contradict."""
    key = _key(cells["clip"])
    return None if key is None or _subject(cells["subject"]) not in (key[0], None) else key


def _key(clip: str) -> Key | None:
    """(006, 006_1_2) of 006_1_2, or of 6_1_2."""
    match = _CLIP.fullmatch(frames.plain(clip))
    if match is None:
        return None
    subject, inducement, number = map(int, match.groups())
    return f"{subject:03d}", f"{subject:03d}_{inducement}_{number}"


def _subject(text: str) -> str | None:
    match = _SUBJECT.fullmatch(text.strip())
    return f"{int(match[1]):03d}" if match else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    key = _key(folder.name)
    if key is None:
        return None
    above = folder.parent
    return tree_above(root, above if _subject(above.name) else folder), clip_key(*key)


def _layout(settings: Samm) -> ClipLayout:
    return ClipLayout(
        example="006/006_1_2/006_05562.jpg",
        place=_place,
        table=Table(
            columns=COLUMNS | {"label": LABELS[settings.labels]},
            named=_named,
            may_be=lambda file: "samm" in file.lower() and "long" not in file.lower(),
            example="SAMM_Micro_FACS_Codes_v2.xlsx",
            optional=("action_units", "subject"),
        ),
        person=lambda root, folder: _subject(folder.parent.name),
    )


read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
