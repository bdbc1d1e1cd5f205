"""CASME II: clips of numbered frames in one of several trees, and a workbook that annotates them.

Yan et al., CASME II: An improved spontaneous micro-expression database, PLoS ONE 9(1), 2014.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.casme2 import Casme2
from mer_core.config.names import NAME
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import folders_above, tree_above
from mer_core.errors import UserError

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name", "Clip", "Video"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "action_units": ("Action Units", "Action Unit", "AUs", "AU"),
    "label": ("Estimated Emotion", "Emotion", "Label"),
}
_SUBJECTS = tuple(f"sub{n:02d}" for n in range(1, 27))
_OBJECTIVE_COUNTS = dict(zip("1234567", (25, 15, 99, 26, 20, 1, 69), strict=True))
# The released CASME2-coding-20140508.xlsx: 255 clips (the 2014 article counts 247), 246 of them under the
# five labels that the paper's experiment uses.
_EMOTIONS = Published(
    labels={
        **{"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25},
        **{"sadness": 7, "fear": 2},
    },
    subjects=_SUBJECTS,
    clips_per_subject={
        frozenset({"others", "disgust", "happiness", "repression", "surprise"}): (
            *(9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8),
            *(4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16),
        )
    },
    only=dict.fromkeys(("sub10", "sub18"), frozenset({"others", "sadness", "fear"})),
)
_SUBJECT = re.compile(
    rf"(?:s|sub|subj|subject)[ _-]?0*([1-9][0-9]?){frames.COPIED}(?:\.zip|\.rar)?", re.IGNORECASE
)
_NUMBER = re.compile(r"0*([1-9][0-9]?)")
_CLIP = re.compile(NAME)


def _published(settings: Casme2) -> Published:
    """The 255 clips of the released workbook, by emotion or by objective class."""
    return Published(_OBJECTIVE_COUNTS, _SUBJECTS) if settings.labels == "objective" else _EMOTIONS


def _named(cells: pd.Series) -> tuple[str, str] | None:
    subject, clip = _subject(cells["subject"]), _without_suffix(cells["clip"])
    return (subject, clip) if subject is not None and _CLIP.fullmatch(clip) else None


def _without_suffix(clip: str) -> str:
    stem, dot, suffix = clip.rpartition(".")
    return stem.strip() if f"{dot}{suffix}".lower() in frames.VIDEO_SUFFIXES else clip


def _subject(text: str, numbers: bool = True) -> str | None:
    """sub01, however it is written; as a bare number only where such count."""
    match = _SUBJECT.fullmatch(frames.plain(text)) or (numbers and _NUMBER.fullmatch(text.strip()))
    return f"sub{int(match[1]):02d}" if match else None


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """The nearest folder above that is named sub01 or the like tells the person, else the nearest number.

    The root itself may be a subject's folder, or a clip's.
    """
    above = folders_above(root, folder) or [folder.parent]
    for numbers in (False, True):
        for parent in above:
            if (subject := _subject(parent.name, numbers)) is not None:
                return tree_above(root, parent), clip_key(subject, folder.name)
    return None


def _kind(root: Root, tree: Path, series: Series) -> str:
    """What frames show, told by the innermost folder name that says so, else by their own names."""
    for part in reversed((root.path.name, *tree.relative_to(root.path).parts)):
        for word, kind in (("crop", "cropped"), ("select", "raw_selected"), ("raw", "raw")):
            if word in part.lower():
                return kind
    first = next(iter(series.files.values()))
    return "cropped" if first.name.lower().startswith("reg_") else "raw_selected"


_OBJECTIVE = Table(
    columns={"subject": COLUMNS["subject"], "clip": COLUMNS["clip"], "label": ("Objective Class",)},
    named=_named,
    may_be=lambda file: "casme" in file.lower() and "objective" in file.lower(),
    example="CASME2-ObjectiveClasses.xlsx",
)


def _with_objective_classes(table: pd.DataFrame, classes: pd.DataFrame | None, _: Findings) -> pd.DataFrame:
    """The table of emotions with the classes of the other one in their place."""
    if classes is None:
        raise UserError(
            f"CASME II: no table of objective classes ({_OBJECTIVE.example}); put it beside the annotation "
            "table, or set labels: emotion"
        )
    told = {_named(cells): cells["label"] for _, cells in classes.iterrows()}
    return table.assign(label=[told.get(_named(cells), "") for _, cells in table.iterrows()])


LAYOUT = ClipLayout(
    example="sub01/EP02_01f/img46.jpg or reg_img46.jpg",
    place=_place,
    table=Table(
        columns=COLUMNS,
        named=_named,
        may_be=lambda file: "casme" in file.lower() and "objective" not in file.lower(),
        example="CASME2-coding-*.xlsx",
    ),
    # `auto` prefers the whole head where copies hold several. The raw recordings hold the same frames as the
    # selection, among many more.
    kinds=("raw_selected", "raw", "cropped"),
    kind=_kind,
)
OBJECTIVE = replace(LAYOUT, table=replace(LAYOUT.table, beside=_OBJECTIVE, mend=_with_objective_classes))


def _layout(settings: Casme2) -> ClipLayout:
    return OBJECTIVE if settings.labels == "objective" else LAYOUT


SETTINGS = Casme2
PUBLISHED = _published
read = partial(read_clips, _layout)
list_subjects = partial(list_people, _layout)
beside = partial(list_beside, _layout)
