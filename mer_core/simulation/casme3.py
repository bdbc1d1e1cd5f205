"""Part A of a simulated CAS(ME)^3 as the real one lies on disk, with its oddities."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mer_core.simulation.plan import MICRO, ROMAN, Clip, ClipSet, Sheets, one_after_another, shares

WORKBOOK = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
FULL = "CAS(ME)3_part_A_v2.xls"
COLUMNS = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class"]
RECORDINGS = "abcdefghijklm"


def _file(clip: Clip, place: int, frame: int) -> str:
    # The folders spell it otherwise than the tables.
    return f"part_A/spNo.{int(clip.subject[2:])}/{clip.name}/color/{frame}.jpg"


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Several expressions in a recording; apexes of the real table that equal the onset."""
    clips = one_after_another(clips)
    micro = sum(not clip.macro for clip in clips)
    for place in (3 + rng.permutation(micro - 3))[: max(1, micro * 55 // 860)].tolist():
        clips[place] = replace(clips[place], apex_cell=clips[place].onset)
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    micro: list[list[Any]] = [[*COLUMNS, "emotion"]]
    full: list[list[Any]] = [[*COLUMNS[:-1], "Expression type", COLUMNS[-1]]]
    for place, clip in enumerate(clips):
        clip_of = [f"spNO.{int(clip.subject[2:])}", clip.name.upper() if place == 1 else clip.name]
        apex, offset, units = clip.apex_cell, clip.offset, str(clip.units_cell)
        objective = ROMAN[clip.objective_class - 1]
        if place == 2:  # out of order here, in order in the full table
            offset = 0
        if apex == clip.apex:
            full.append([*clip_of, clip.onset, apex, clip.offset, units, clip.kind.capitalize(), objective])
        label = "Others" if clip.label == "others" else clip.label
        if not clip.macro:
            micro.append([*clip_of, *map(str, (clip.onset, apex, offset)), units, objective, label])
    return {WORKBOOK: {"label": micro, "Sheet1": [], "Sheet3": []}, FULL: {"label": full}}


def _finish(folder: Path, clips: list[Clip]) -> None:
    """What the depth camera saw."""
    color = (folder / _file(clips[0], 0, 0)).parent
    depth = color.with_name("depth")
    depth.mkdir()
    for frame in sorted(color.iterdir()):
        shutil.copyfile(frame, depth / f"{frame.stem}.png")


def _name(subject: str, number: int, label: str) -> str:
    return RECORDINGS[(number - 1) // 2 % len(RECORDINGS)]


def _fps(clip: Clip) -> int:
    return 30


MACRO = ClipSet(
    names=[f"sp{n:03d}" for n in range(1, 101)],
    counts={"tiny": (5, 4, 3, 2), "demo": (9, 8, 6, 5, 4, 3), "full": shares(3346, 100)},
    # How many there are of each expression is not published.
    classes={
        "tiny": {"disgust": 5, "happy": 5, "surprise": 4},
        "demo": {"disgust": 11, "happy": 10, "surprise": 6, "anger": 8},
        "full": {"disgust": 900, "happy": 900, "surprise": 500, "anger": 500, "others": 546},
    },
    length=(40, 0.4, 16, 110),
    start=(30, 3000),
    name=_name,
    fps=_fps,
    file=_file,
    step=4,
)
CLIPS = ClipSet(
    names=[f"sp{n:03d}" for n in range(1, 95)],
    counts={"tiny": (4, 4, 3), "demo": (8, 6, 5, 4, 2), "full": shares(860, 94)},
    classes={
        "tiny": {"disgust": 4, "surprise": 3, "happy": 3, "others": 1},
        "demo": {"disgust": 8, "surprise": 6, "happy": 4, "fear": 3, "others": 4},
        "full": {
            **{"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64},
            **{"sad": 57, "happy": 55},
        },
    },
    length=(12, 0.3, 5, 60),
    start=(30, 3000),
    name=_name,
    fps=_fps,
    file=_file,
    looks={"sad": MICRO["sadness"]},
    step=4,
    tables=_tables,
    flaws=_flaws,
    finish=_finish,
    macro=MACRO,
)
