"""The two sections of a simulated CASME as the real ones lie on disk, with their oddities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mer_core.simulation.plan import MICRO, Clip, ClipSet, Sheets, one_after_another

# The third and the eighth column have no header, the ninth and the tenth are milliseconds.
HEADER = ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "Onset", "Total"]
HEADER += ["AU", "Emotion"]
FPS = 60


def _section(clip: Clip) -> str:
    return "A" if int(clip.subject[3:]) < 8 else "B"


def _file(clip: Clip, place: int, frame: int) -> str:
    section = _section(clip)
    name = f"{clip.name}-{frame}" if section == "A" else f"img{frame}"
    return f"CASME_{section}/Section {section}/{clip.subject}/{clip.name}/{name}.jpg"


def _flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Two expressions in one clip, and an apex that is missing."""
    clips = one_after_another(clips)
    place = int(rng.integers(len(clips)))
    clips[place] = replace(clips[place], apex_cell="\\")
    return clips


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: dict[str, list[list[Any]]] = {section: [HEADER] for section in map(_section, clips)}
    for place, clip in enumerate(clips):
        held = clip.apex + 1 if place % 3 else "\\"
        frames = [clip.onset, clip.apex_cell, held, clip.offset]
        length = [round(1000 * (last - clip.onset) / FPS) for last in (clip.apex, clip.offset)]
        label = clip.label.replace("contempt", "comtempt")
        told = [*frames, None, *length, clip.units_cell, label]
        rows[_section(clip)].append([clip.subject.removeprefix("sub"), clip.name, None, *told])
    return {
        f"CASME_{section}/Section {section}/Section {section}.xls": {"Sheet1": of}
        for section, of in rows.items()
    }


CLIPS = ClipSet(
    # From both sections where there are few; nobody is left out of eighteen.
    names=[f"sub{n:02d}" for n in (*range(6, 19), *range(1, 6))],
    counts={
        "tiny": (4, 4, 3),
        "demo": (8, 6, 5, 4, 2),
        "full": (18, 26, 24, 7, 6, 1, 3, 9, 11, 3, 4, 10, 15, 38, 2, 5, 5, 2),
    },
    classes={
        "tiny": {"tense": 4, "disgust": 3, "repression": 2, "surprise": 2},
        "demo": {"tense": 9, "disgust": 7, "repression": 5, "surprise": 3, "contempt": 1},
        "full": {
            **{"tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7},
            **{"sadness": 6, "contempt": 2, "fear": 2},
        },
    },
    length=(18, 0.3, 7, 40),
    start=(5, 150),
    name=lambda subject, number, label: "EP01_6" if number < 3 else f"EP{number:02d}_{number}",
    fps=lambda clip: FPS,
    file=_file,
    looks={"tense": MICRO["others"]},
    step=6,
    tables=_tables,
    flaws=_flaws,
)
