"""CASME II: clips of numbered frames in one of several trees, and a workbook that annotates them.

Yan et al., CASME II: An improved spontaneous micro-expression database, PLoS ONE 9(1), 2014.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.datasets import SIMULATED
from mer_core.config.layouts.casme2 import Casme2
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Candidate, Key, clip_key, find_frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.datasets.manifest import NAME
from mer_core.datasets.published import Published
from mer_core.datasets.tables import find_table, read_rows
from mer_core.datasets.trees import Listing, find_clips, find_foreign, tree_above

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name", "Clip", "Video"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "action_units": ("Action Units", "Action Unit", "AUs", "AU"),
    "label": ("Estimated Emotion", "Emotion", "Label"),
}
SETTINGS = Casme2
# The released CASME2-coding-20140508.xlsx: 255 clips (the 2014 article counts 247), 246 of them under the
# five labels that the paper's experiment uses.
PUBLISHED = Published(
    labels={
        **{"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25},
        **{"sadness": 7, "fear": 2},
    },
    subjects=tuple(f"sub{n:02d}" for n in range(1, 27)),
    clips_per_subject={
        frozenset({"others", "disgust", "happiness", "repression", "surprise"}): (
            *(9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8),
            *(4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16),
        )
    },
    only=dict.fromkeys(("sub10", "sub18"), frozenset({"others", "sadness", "fear"})),
)
# `auto` prefers the whole head where copies hold several. The raw recordings hold the same frames as the
# selection, among many more.
KINDS = ("raw_selected", "raw", "cropped")
# With the (1) that a second part of a download gets.
_SUBJECT = re.compile(r"(?:s|sub|subject)[ _-]?0*([1-9][0-9]?)(?: ?\([0-9]\))?", re.IGNORECASE)
_NUMBER = re.compile(r"0*([1-9][0-9]?)(?:\.0)?")
_CLIP = re.compile(NAME)


def read(name: str, settings: Casme2, root: Root, findings: Findings) -> list[dict[str, Any]]:
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
    if settings.workbook is None:
        key = f"datasets.{name}.workbook"
        path = find_table(
            root, listing, _may_be_table, COLUMNS, ["action_units"], key, "CASME2-coding-*.xlsx"
        )
    else:
        path = frames.spelled(root.path, settings.workbook)
    table = workbook.read_table(path, COLUMNS, optional=["action_units"])
    samples = read_rows(name, settings, table, path.name, _named, findings)
    candidates = _find_clips(name, settings, root, listing)
    foreign = find_foreign(listing, partial(_place, root=root))
    find_frames(name, settings, samples, candidates, KINDS, foreign, root, findings)
    return samples


def list_subjects(settings: Casme2, root: Root) -> list[str]:
    """Those of the released set, whatever of it is there; of a simulated copy, those on disk."""
    if settings.root != SIMULATED:
        return PUBLISHED.people(settings.classes)
    return sorted({clip.key[0] for clip in _find_clips("casme2", settings, root, [*frames.walk(root)])})


def _may_be_table(name: str) -> bool:
    return "casme" in name.lower() and "objective" not in name.lower()


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


def _find_clips(name: str, settings: Casme2, root: Root, listing: Listing) -> list[Candidate]:
    """Every folder of frames in the folder of a subject, at any depth of the listing."""
    place, kind = partial(_place, root=root), partial(_kind, root)
    example = "sub01/EP02_01f/img46.jpg or reg_img46.jpg"
    return find_clips(name, settings.frames, root, listing, place, kind, example)


def _place(folder: Path, root: Root) -> tuple[Path, Key] | None:
    """The tree and the clip that a folder belongs to by its name; None outside of a subject's folder.

    The nearest folder above that is named sub01 or the like tells the person, else the nearest number. The
    root itself may be a subject's folder, or a clip's.
    """
    above = [parent for parent in folder.parents if parent.is_relative_to(root.path)] or [folder.parent]
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
