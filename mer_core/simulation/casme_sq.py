"""A simulated CAS(ME)^2, micro- and macro-expressions, as the real one lies on disk, with its oddities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mer_core.simulation.plan import MICRO, Clip, ClipSet, Sheets, one_after_another, shares

WORKBOOK = "CAS(ME)^2code_final.xlsx"
VIDEOS = {
    **{"disgust1": "0101", "disgust2": "0102", "anger1": "0401", "anger2": "0402"},
    **{"happy1": "0502", "happy2": "0503", "happy3": "0505", "happy4": "0507", "happy5": "0508"},
}
STIMULI = {code: name for name, code in VIDEOS.items()}
PEOPLE = [f"s{n}" for n in (15, 16, *range(19, 28), *range(29, 39), 40)]


def _file(clip: Clip, place: int, frame: int) -> str:
    video = f"{clip.subject[1:]}_{clip.name}{STIMULI[clip.name][:-1]}ing"
    return f"rawpic/rawpic/{clip.subject}/{video}/img{frame:03d}.jpg"


def _is_without_offset(clip: Clip, place: int) -> bool:
    """One macro-expression in seven, as 44 of the real 300: its offset is 0 and taken to mirror the onset."""
    return clip.macro and place % 7 == 0


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Several expressions in a video, an apex that is 0, and offsets that are."""
    for place, clip in enumerate(clips):
        if _is_without_offset(clip, place):
            clips[place] = replace(clip, offset=2 * clip.apex - clip.onset)
    clips = one_after_another(clips)
    place = int(rng.integers(sum(not clip.macro for clip in clips)))
    clips[place] = replace(clips[place], apex_cell=0)
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: list[list[Any]] = []
    for place, clip in enumerate(clips):
        name = f"{STIMULI[clip.name]}_{place + 1}"
        offset = 0 if _is_without_offset(clip, place) else clip.offset
        interval = [clip.onset, clip.apex_cell, offset]
        told = [clip.units_cell, clip.valence, clip.kind, clip.label]
        rows.append([PEOPLE.index(clip.subject) + 1, name, *interval, *told])
    people = [[int(name[1:]), name, place] for place, name in enumerate(PEOPLE, start=1)]
    videos = [[code, name] for name, code in VIDEOS.items()]
    return {WORKBOOK: {"CASFEcode_final": rows, "naming rule1": people, "naming rule2": videos}}


def _name(subject: str, number: int, label: str) -> str:
    return [*STIMULI][(number - 1) // 2 % len(STIMULI)]


def _fps(clip: Clip) -> int:
    return 30


MACRO = ClipSet(
    names=PEOPLE,
    counts={"tiny": (5, 4, 3, 2), "demo": (9, 8, 6, 5, 4, 3), "full": shares(300, 22)},
    # How many there are of each expression is not published.
    classes={
        "tiny": {"disgust": 5, "happiness": 5, "surprise": 4},
        "demo": {"disgust": 11, "happiness": 10, "surprise": 6, "anger": 8},
        "full": {"disgust": 90, "happiness": 90, "surprise": 40, "anger": 60, "fear": 10, "sadness": 10},
    },
    length=(40, 0.4, 16, 110),
    start=(20, 2000),
    name=_name,
    fps=_fps,
    file=_file,
    step=9,
)
CLIPS = ClipSet(
    names=PEOPLE[:14],
    counts={
        "tiny": (4, 4, 3),
        "demo": (8, 6, 5, 4, 2),
        "full": (12, 9, 7, 6, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1),
    },
    # The real list gives emotions to 54 of the 57; the other three are made up.
    classes={
        "tiny": {"disgust": 4, "happiness": 4, "surprise": 3},
        "demo": {"disgust": 9, "happiness": 7, "surprise": 5, "anger": 4},
        "full": {
            **{"disgust": 17, "happiness": 13, "surprise": 11, "anger": 8, "fear": 4},
            **{"pain": 2, "helpless": 1, "sadness": 1},
        },
    },
    length=(13, 0.15, 9, 17),
    start=(20, 2000),
    name=_name,
    fps=_fps,
    file=_file,
    looks={"pain": MICRO["disgust"], "helpless": MICRO["sadness"]},
    step=9,
    tables=_tables,
    flaws=_flaws,
    macro=MACRO,
)
