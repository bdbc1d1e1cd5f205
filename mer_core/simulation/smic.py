"""The fast camera of a simulated SMIC as the real one lies on disk, with its oddities."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_core.simulation.plan import Clip, ClipSet

TOKENS = {"negative": "ne", "positive": "po", "surprise": "sur"}


def _name(subject: str, number: int, label: str) -> str:
    # Neither the person's number nor the clip's is padded as in the names of subjects elsewhere.
    return f"s{int(subject[1:])}_{TOKENS[label]}_{number:02d}"


def _file(clip: Clip, place: int, frame: int) -> str:
    # The real ones are bmp, at a megabyte each: one clip shows that they are read.
    folder = f"SMIC_all_raw/HS/{clip.name.split('_')[0]}/micro/{clip.label}/{clip.name}"
    return f"{folder}/image{frame:06d}.{'jpg' if place else 'bmp'}"


def _without_apex(clips: list[Clip], _: np.random.Generator) -> list[Clip]:
    return [replace(clip, apex_cell=None, units_cell="") for clip in clips]


def _finish(folder: Path, clips: list[Clip]) -> None:
    """A clip that shows no expression."""
    first = (folder / _file(clips[0], 0, 0)).parent
    shutil.copytree(first, first.parents[2] / "non_micro" / first.name)


CLIPS = ClipSet(
    names=[f"s{n:02d}" for n in range(1, 21) if n not in (7, 10, 16, 17)],
    counts={
        "tiny": (4, 4, 3),
        "demo": (8, 6, 5, 4, 2),
        "full": (6, 6, 39, 19, 2, 4, 13, 4, 7, 9, 10, 10, 4, 7, 2, 22),
    },
    classes={
        "tiny": {"negative": 4, "positive": 4, "surprise": 3},
        "demo": {"negative": 11, "positive": 8, "surprise": 6},
        "full": {"negative": 70, "positive": 51, "surprise": 43},
    },
    length=(34, 0.3, 11, 58),
    start=(7700, 600000),
    name=_name,
    fps=lambda clip: 100,
    file=_file,
    step=3,
    flaws=_without_apex,
    finish=_finish,
)
