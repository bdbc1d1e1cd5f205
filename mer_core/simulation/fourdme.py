"""The grey clips of a simulated 4DME as the real ones lie on disk, with their oddities."""

from __future__ import annotations

from typing import Any

from mer_core.simulation.plan import Clip, ClipSet, Sheets, shares

WORKBOOK = "4DME_Labelling_Micro_release v1.xlsx"
LABELS = ("Positive", "Negative", "Surprise", "Repression", "Others")
HEADER = ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", *LABELS, "eye blink"]


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"gray_micro/{clip.subject}/{clip.name}/Frame_{frame:09d}.jpg"


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: list[list[Any]] = [HEADER]
    for place, clip in enumerate(clips):
        second = next(label for label in LABELS if label != clip.label)
        labels = [clip.label, second] if place == 0 else [clip.label]
        interval = [clip.onset, clip.apex_cell, clip.offset]
        told = ["+".join(labels), *interval, clip.units_cell, *(int(label in labels) for label in LABELS)]
        rows.append([clip.subject, clip.name, *told, 0])
    return {WORKBOOK: {"Sheet1": rows}}


CLIPS = ClipSet(
    names=[f"S{n:02d}" for n in range(1, 42)],
    counts={"tiny": (4, 4, 3), "demo": (8, 6, 5, 4, 2), "full": shares(267, 41)},
    # How the real ones divide is not published with the set; these numbers are made up.
    classes={
        "tiny": {"Negative": 4, "Surprise": 3, "Positive": 2, "Repression": 1, "Others": 1},
        "demo": {"Negative": 10, "Surprise": 6, "Positive": 4, "Repression": 3, "Others": 2},
        "full": {"Negative": 122, "Surprise": 48, "Positive": 37, "Repression": 34, "Others": 26},
    },
    length=(22, 0.3, 8, 40),
    start=(200, 6000),
    name=lambda subject, number, label: f"{subject}_1st_{number:03d}_01_1",
    fps=lambda clip: 60,
    file=_file,
    step=8,
    tables=_tables,
    grey=True,
)
