"""The visible camera of a simulated Oulu-CASIA, in strong light, as the real one lies on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from mer_core.simulation.plan import FULL, Clip, ClipSet

TREE = "OriginalImg/VL/Strong"
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
PEOPLE = {"tiny": 4, "demo": 10, "full": 80}


class Sequence(Clip):
    """A clip that ends at its apex."""

    def frames(self, mode: Literal["key", "all"]) -> list[int]:
        """Frame numbers to write, ascending; `key` is the neutral first and the last five."""
        if mode == "all":
            return super().frames(mode)
        return [self.onset, *range(self.offset - 4, self.offset + 1)]


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"{TREE}/{clip.subject}/{clip.label.capitalize()}/{frame:03d}.jpeg"


def _to_the_peak(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """What is shown on purpose, up to its peak, and told by no table."""
    return [Sequence(**vars(replace(clip, apex=clip.offset))) for clip in clips]


def _finish(folder: Path, clips: list[Clip]) -> None:
    (folder / TREE / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")


CLIPS = ClipSet(
    names=[f"P{n:03d}" for n in range(1, 81)],
    counts={size: (len(LABELS),) * people for size, people in PEOPLE.items()},
    classes={size: dict.fromkeys(LABELS, people) for size, people in PEOPLE.items()},
    length=(20, 0.3, 9, 36),
    start=(0, 1),
    name=lambda subject, number, label: label,
    fps=lambda clip: 25,
    file=_file,
    step=4,
    flaws=_to_the_peak,
    looks=FULL,
    strength=1.0,
    finish=_finish,
)
