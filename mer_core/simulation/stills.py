"""Single images of expressions: what the simulated data sets of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from mer_core.simulation.plan import FULL, Clip, ClipSet

IMAGES = 8  # of each person at most
MOST = 40_000  # of a set: a core draws some 18 a second, and people are looked up in the whole plan


class Still(Clip):
    """A clip of which nothing is seen but its apex."""

    def frames(self, mode: Literal["key", "all"]) -> list[int]:
        """The one frame there is."""
        return [self.apex]


def as_stills(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """The same clips, of which single images are left."""
    return [Still(**vars(clip)) for clip in clips]


def in_the_wild(
    published: Mapping[str, int],
    crop: int,
    file: Callable[[Clip, int, int], str],
    step: int,
    finish: Callable[[Path, list[Clip]], None],
    grey: bool = False,
) -> ClipSet:
    """Faces from the Internet, cut out, of people whom nobody names.

    Args:
        published: label -> images of the real set; `full` has as many, or `MOST` in the same shares.
        crop, file, step, finish, grey: as for `ClipSet`.
    """
    total = sum(published.values())
    classes = {
        "tiny": dict.fromkeys(published, 3),
        "demo": dict.fromkeys(published, 10),
        "full": {label: images * min(MOST, total) // total for label, images in published.items()},
    }
    counts = {size: _dealt(sum(images.values())) for size, images in classes.items()}
    return ClipSet(
        names=[f"person {n}" for n in range(1, len(counts["full"]) + 1)],
        counts=counts,
        classes=classes,
        length=(30, 0.3, 10, 60),
        start=(0, 1),
        name=lambda subject, number, label: f"{number}",
        fps=lambda clip: 30,
        file=file,
        looks=FULL,
        step=step,
        strength=1.0,
        crop=crop,
        grey=grey,
        flaws=as_stills,
        finish=finish,
    )


def _dealt(images: int) -> tuple[int, ...]:
    """How many of the images each person has."""
    whole, rest = divmod(images, IMAGES)
    return (IMAGES,) * whole + (rest,) * bool(rest)
