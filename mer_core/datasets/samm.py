"""SAMM: clips of numbered frames by person, and a workbook that annotates them.

Davison, Lansley, Costen, Tan, Yap, SAMM: A spontaneous micro-facial movement dataset, IEEE Transactions on
Affective Computing 9(1), 2018.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.datasets import SIMULATED
from mer_core.config.layouts.samm import Samm
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Candidate, Key, clip_key, find_frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.datasets.published import Published
from mer_core.datasets.tables import find_table, read_rows
from mer_core.datasets.trees import (
    Listing,
    check_people,
    find_clips,
    find_foreign,
    is_cropped,
    tree_above,
)

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
KINDS = ("whole", "cropped")
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
_SUBJECT = re.compile(r"0*([1-9][0-9]{0,2})(?:\.0)?")


def _published(settings: Samm) -> Published:
    """The 159 clips of the released workbook."""
    if settings.labels == "objective":
        return Published(_OBJECTIVE, _SUBJECTS)
    return Published(_EMOTIONS, _SUBJECTS, only={"025": frozenset({"other"})}, copies=_COPIES)


SETTINGS = Samm
PUBLISHED = _published


def read(name: str, settings: Samm, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per annotated clip: its apex frame.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows, in the order of the table.

    Raises:
        UserError: there is no annotation table or no tree of frames, or it cannot be chosen.
    """
    listing = [*frames.walk(root)]
    columns = COLUMNS | {"label": LABELS[settings.labels]}
    optional = ["action_units", "subject"]
    if settings.workbook is None:
        key = f"datasets.{name}.workbook"
        example = "SAMM_Micro_FACS_Codes_v2.xlsx"
        path = find_table(root, listing, _may_be_table, columns, optional, key, example)
    else:
        path = frames.spelled(root.path, settings.workbook)
    table = workbook.read_table(path, columns, optional)
    samples = read_rows(name, settings, table, path.name, _named, findings)
    candidates = _find_clips(name, settings, root, listing)
    check_people(candidates, lambda folder: _subject(folder.parent.name), root, findings)
    foreign = find_foreign(listing, partial(_place, root))
    find_frames(name, settings, samples, candidates, KINDS, foreign, root, findings)
    return samples


def list_subjects(settings: Samm, root: Root) -> list[str]:
    """Those of the released set, whatever of it is there; of a simulated copy, those on disk."""
    if settings.root != SIMULATED:
        return _published(settings).people(settings.classes)
    return sorted({clip.key[0] for clip in _find_clips("samm", settings, root, [*frames.walk(root)])})


def _may_be_table(name: str) -> bool:
    return "samm" in name.lower() and "long" not in name.lower()


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


def _find_clips(name: str, settings: Samm, root: Root, listing: Listing) -> list[Candidate]:
    def kind(tree: Path, _: Series) -> str:
        return "cropped" if is_cropped(root, tree) else "whole"

    example = "006/006_1_2/006_05562.jpg"
    return find_clips(name, settings.frames, root, listing, partial(_place, root), kind, example)


def _place(root: Root, folder: Path) -> tuple[Path, Key] | None:
    key = _key(folder.name)
    if key is None:
        return None
    above = folder.parent
    return tree_above(root, above if _subject(above.name) else folder), clip_key(*key)
