"""The three parts of a simulated DFME as the real ones lie on disk, with their oddities."""

from __future__ import annotations

from typing import Any

from mer_core.simulation.plan import Clip, ClipSet, Sheets, shares

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
HEADER = [
    "Subject",
    "Filename",
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    "Emotion",
    "EmotionId",
    "Fps",
    "AU",
]
TABLES = {"train_data": "training.xlsx", "test_data_A": "test_A.xlsx", "test_data_B": "test_B.xlsx"}


def _part(clip: Clip) -> str:
    return {3: "test_data_A", 4: "test_data_B"}.get(int(clip.subject[3:]) % 6, "train_data")


def _fps(clip: Clip) -> int:
    return (200, 300, 500)[int(clip.subject[3:]) % 3]


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"{_part(clip)}/{clip.name}/{frame:05d}.png"


def _tables(clips: list[Clip]) -> dict[str, Sheets]:
    rows: dict[str, list[list[Any]]] = {part: [HEADER] for part in TABLES}
    for clip in clips:
        interval = [clip.onset, clip.apex_cell, clip.offset]
        told = [clip.label, EMOTIONS.index(clip.label), _fps(clip), clip.units_cell]
        rows[_part(clip)].append([clip.subject, clip.name, *interval, *told])
    return {TABLES[part]: {"Sheet1": of} for part, of in rows.items()}


CLIPS = ClipSet(
    names=[f"sub{n:04d}" for n in range(1, 260)],
    counts={"tiny": (4, 4, 3, 3), "demo": (8, 6, 5, 4, 2), "full": shares(2629, 259)},
    classes={
        "tiny": {"disgust": 5, "surprise": 5, "happiness": 4},
        "demo": {"disgust": 9, "surprise": 6, "happiness": 5, "fear": 3, "contempt": 2},
        "full": {
            **{"anger": 241, "contempt": 171, "disgust": 735, "fear": 365, "happiness": 311},
            **{"sadness": 359, "surprise": 447},
        },
    },
    length=(90, 0.3, 30, 250),
    start=(0, 2),
    name=lambda subject, number, label: f"{subject}_{number:02d}",
    fps=_fps,
    file=_file,
    step=7,
    tables=_tables,
)
