"""Simulated SAMM as the real one lies on disk, with its oddities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mer_core.simulation.plan import ActionUnit, Clip, ClipSet, Sheets

WORKBOOK = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration"]
HEADER += ["Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]
NOTES = [["SAMM Dataset - Master FACS Codes"], [], [*[None] * 4, "Apex: the frame of the largest movement"]]
NOTES += [[], [*[None] * 8, "Coded by FACS"], *[[]] * 8]


def _file(clip: Clip, place: int, frame: int) -> str:
    digits = 4 if place % 5 == 4 else 5  # mostly five
    return f"SAMM/{clip.subject}/{clip.name}/{clip.subject}_{frame:0{digits}d}.jpg"


def _cell(units: tuple[ActionUnit, ...], rng: np.random.Generator) -> str:
    # Intensities behind the numbers, as coders of FACS write them.
    return "+".join(f"{unit.side}{unit.number}{rng.choice([*'ABC', ''])}" for unit in units)


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Apexes of the real table: past the offset, before the onset, and one frame after it."""
    past, before, next_to = rng.permutation(len(clips))[:3].tolist()
    clips[past] = replace(clips[past], apex_cell=clips[past].apex + 1000)
    clips[before] = replace(clips[before], apex_cell=clips[before].onset // 10)
    after = clips[next_to].onset + 1
    clips[next_to] = replace(clips[next_to], apex=after, apex_cell=after)
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows = [*NOTES, HEADER]
    for row, clip in enumerate(clips, start=len(rows) + 1):
        interval = [clip.onset, clip.apex_cell, clip.offset, f"=SUM(F{row}-D{row})+1"]
        told = [clip.units_cell, clip.label, clip.objective_class, None]
        rows.append([clip.subject, clip.name, int(clip.name.split("_")[1]), *interval, "Micro - 1/2", *told])
    return {WORKBOOK: {"MICRO_ONLY": rows}}


CLIPS = ClipSet(
    names=[f"{n:03d}" for n in range(6, 38) if n not in (8, 27, 29)],
    counts={
        "tiny": (4, 4, 3),
        "demo": (8, 6, 5, 4, 2),
        "full": (19, 14, 12, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 4, 3, 2, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1),
    },
    classes={
        "tiny": {"Anger": 4, "Happiness": 3, "Surprise": 3, "Other": 1},
        "demo": {"Anger": 9, "Happiness": 4, "Surprise": 3, "Contempt": 3, "Disgust": 2, "Other": 4},
        "full": {
            **{"Other": 26, "Anger": 57, "Happiness": 26, "Surprise": 15},
            **{"Contempt": 12, "Disgust": 9, "Fear": 8, "Sadness": 6},
        },
    },
    length=(74, 0.25, 30, 101),
    start=(83, 12300),
    name=lambda subject, number, label: f"{subject}_{1 + number % 7}_{number}",
    fps=lambda clip: 200,
    file=_file,
    step=2,
    tables=_tables,
    cell=_cell,
    flaws=_flaws,
    only={"025": ("Other",)},
    grey=True,
)
