"""The section of a dataset in the layout of 4DME."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Fourdme(AnnotatedClips):
    """4DME, its grey 2D videos: one apex frame per annotated micro-expression (Li et al. 2023)."""

    fps: ClassVar[float | None] = 60.0

    layout: Literal["fourdme"]
