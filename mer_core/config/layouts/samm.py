"""The section of a dataset in the layout of SAMM."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Samm(AnnotatedClips):
    """SAMM: one apex frame per annotated clip (Davison et al. 2018)."""

    fps: ClassVar[float | None] = 200.0

    layout: Literal["samm"]
    labels: Literal["emotion", "objective"] = "emotion"
    """What `classes` maps: the estimated emotion, or the objective class (1 to 7)."""
