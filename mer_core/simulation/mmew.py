"""The micro-expressions of a simulated MMEW as the real ones lie on disk, with their oddities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mer_core.simulation.mmew_names import NAMES, name_of
from mer_core.simulation.plan import Clip, ClipSet, Sheets, shares

WORKBOOK = "MMEW_Micro_Exp.xlsx"
HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units"]
HEADER += ["Estimated Emotion", "remarks"]


def _file(clip: Clip, place: int, frame: int) -> str:
    folder = "repression" if clip.label == "others" else clip.label
    return f"Micro_Expression/{folder}/{clip.name}/{frame}.jpg"


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Apexes past the offset."""
    for place in rng.permutation(len(clips))[: max(1, len(clips) * 16 // 300)].tolist():
        clips[place] = replace(clips[place], apex_cell=clips[place].offset + 5)
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: list[list[Any]] = [HEADER]
    for clip in clips:
        interval = [clip.onset, clip.apex_cell, clip.offset]
        rows.append([clip.subject, clip.name, *interval, clip.units_cell, clip.label, None])
    return {WORKBOOK: {"Sheet1": rows}}


CLIPS = ClipSet(
    names=NAMES,
    counts={"tiny": (4, 4, 3), "demo": (8, 6, 5, 4, 2), "full": shares(300, 36)},
    classes={
        "tiny": {"surprise": 4, "disgust": 3, "happiness": 2, "others": 2},
        "demo": {"surprise": 8, "disgust": 7, "happiness": 4, "others": 5, "fear": 1},
        "full": {
            **{"happiness": 36, "anger": 8, "surprise": 89, "disgust": 72, "fear": 16},
            **{"sadness": 13, "others": 66},
        },
    },
    length=(35, 0.3, 10, 90),
    start=(1, 20),
    name=name_of,
    fps=lambda clip: 90,
    file=_file,
    step=5,
    tables=_tables,
    flaws=_flaws,
)
