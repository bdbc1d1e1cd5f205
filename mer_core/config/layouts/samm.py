"""The section of a dataset in the layout of SAMM."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips
from mer_core.config.section import PathText


class Samm(AnnotatedClips):
    """SAMM: one apex frame per annotated clip (Davison et al. 2018)."""

    fps: ClassVar[float | None] = 200.0

    layout: Literal["samm"]
    workbook: PathText | None = None
    """The annotation table (xlsx or csv) when it lies elsewhere; null finds it under root."""
    frames: Literal["auto", "whole", "cropped"] = "auto"
    """Which frames to use when a copy holds both: auto prefers the whole heads."""
    labels: Literal["emotion", "objective"] = "emotion"
    """What `classes` maps: the estimated emotion, or the objective class (1 to 7)."""
