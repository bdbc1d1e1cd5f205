"""Simulated SAMM Long Videos as the real ones lie on disk, with their oddities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mer_core.simulation.plan import MICRO, Clip, ClipSet, Sheets, one_after_another, shares

WORKBOOK = "SAMM_LongVideos_V3_Release.xlsx"
HEADER = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type"]
HEADER += ["Action Units", "Notes"]
NOTES = [["SAMM Long Videos"], *[["note"]] * 8]


def _file(clip: Clip, place: int, frame: int) -> str:
    # Four digits, and five beyond 9999.
    return f"SAMM_longvideos/{clip.name}/{clip.name}_{frame:04d}.jpg"


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Several movements in a video, and apexes that are -1."""
    clips = one_after_another(clips)
    for place in rng.permutation(len(clips))[: max(1, len(clips) * 6 // 502)].tolist():
        clips[place] = replace(clips[place], apex_cell=-1)
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: list[list[Any]] = [*NOTES, HEADER]
    for place, clip in enumerate(clips, start=1):
        interval = [clip.onset, clip.apex_cell, clip.offset, clip.offset - clip.onset + 1]
        kind = "Micro - 1/2" if clip.label == "micro" else "Macro"
        name = f"{clip.name}_{place}"
        told = [kind, clip.units_cell, None]
        rows.append([clip.subject, name, int(clip.name.split("_")[1]), *interval, *told])
    return {WORKBOOK: {"Sheet1": rows}}


CLIPS = ClipSet(
    names=[f"{n:03d}" for n in range(6, 38) if n not in (27, 29)],
    counts={"tiny": (4, 4, 3), "demo": (8, 6, 5, 4, 2), "full": shares(502, 30)},
    classes={
        "tiny": {"macro": 7, "micro": 4},
        "demo": {"macro": 17, "micro": 8},
        "full": {"macro": 343, "micro": 159},
    },
    length=(74, 0.25, 30, 101),
    start=(1, 9990),
    name=lambda subject, number, label: f"{subject}_{1 + (number - 1) // 2 % 7}",
    fps=lambda clip: 200,
    file=_file,
    looks={"micro": MICRO["disgust"], "macro": MICRO["happiness"]},
    step=10,
    tables=_tables,
    flaws=_flaws,
    grey=True,
)
