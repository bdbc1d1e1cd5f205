"""4DME: the grey 2D clips by person, and a workbook that gives some of them several labels.

Li, Cheng, Li, Behzad, Shen, Zafeiriou, Pantic, Zhao, 4DME: A spontaneous 4D micro-expression dataset with
multimodalities, IEEE Transactions on Affective Computing 14(4), 2023.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pandas as pd

from mer_core.config.layouts.fourdme import Fourdme
from mer_core.datasets import frames
from mer_core.datasets.annotated import Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.layouts import ClipLayout, list_beside, list_people, read_clips
from mer_core.datasets.published import Published
from mer_core.datasets.tables import Table
from mer_core.datasets.trees import folders_above, tree_above

COLUMNS = {
    "subject": ("sub_ID", "Subject"),
    "clip": ("fold_name", "Filename"),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "action_units": ("AUs", "AU"),
    "label": ("Emotion",),
}
SETTINGS = Fourdme
PUBLISHED = Published(copies={"the 267 clips of 4DME_Labelling_Micro_release v1": {"all": 267}})
_SUBJECT = re.compile(r"(?:s|sub)?[ _-]?0*([1-9][0-9]{0,2})")
_OF_CLIP = re.compile(r"s0*([1-9][0-9]{0,2})_.+")


def _subject(text: str) -> str | None:
    """S13 of S13, s013 or 13."""
    match = _SUBJECT.fullmatch(frames.plain(text))
    return f"S{int(match[1]):02d}" if match else None


def _of_clip(clip: str) -> str | None:
    """The person that a clip's own name begins with: S13 of S13_1st_001_01_1."""
    match = _OF_CLIP.fullmatch(frames.plain(clip))
    return f"S{int(match[1]):02d}" if match else None


def _named(cells: pd.Series) -> Key | None:
    """Subject and clip, which must not contradict each other."""
    subject, clip = _subject(cells["subject"]), cells["clip"].strip()
    if subject is None or not clip or "/" in clip or _of_clip(clip) not in (subject, None):
        return None
    return subject, clip


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    """A clip's folder in that of its person; one whose own name tells a person is that one's."""
    person, clip = _person(root, folder), _of_clip(folder.name)
    if person is None and clip is None:
        return None
    above = folder.parent
    tree = tree_above(root, above if _subject(above.name) else folder)
    return tree, clip_key(clip or person or "", folder.name)


def _person(root: Root, folder: Path) -> str | None:
    above = folders_above(root, folder)
    return _subject(above[0].name) if above else None


def _mend(table: pd.DataFrame, _: pd.DataFrame | None, findings: Findings) -> pd.DataFrame:
    """The first label of each clip, the others noted; without the sums below the table."""
    table = table[table["clip"].ne("")].copy()
    for row, cells in table.iterrows():
        first, *others = (label.strip() for label in cells["label"].split("+"))
        if others:
            action = f"used as {first.lower()}, also {', '.join(others).lower()}"
            findings.add(
                "several_labels", action, row=f"{cells['subject']}/{cells['clip']}", file=cells["where"]
            )
            table.loc[row, "label"] = first
    return table


LAYOUT = ClipLayout(
    example="gray_micro/S13/S13_1st_001_01_1/Frame_000001826.jpg",
    place=_place,
    table=Table(
        columns=COLUMNS,
        named=_named,
        may_be=lambda file: "4dme" in file.lower() and "macro" not in file.lower(),
        example="4DME_Labelling_Micro_release v1.xlsx",
        mend=_mend,
        repeats=True,
    ),
    person=_person,
)
read = partial(read_clips, lambda _: LAYOUT)
list_subjects = partial(list_people, lambda _: LAYOUT)
beside = partial(list_beside, lambda _: LAYOUT)
