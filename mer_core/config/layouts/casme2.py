"""The section of a dataset in the layout of CASME II."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Casme2(AnnotatedClips):
    """CASME II: one apex frame per annotated clip (Yan et al. 2014)."""

    fps: ClassVar[float | None] = 200.0

    layout: Literal["casme2"]
    labels: Literal["emotion", "objective"] = "emotion"
    """What `classes` maps: the estimated emotion, or the objective class (1 to 7) of a table of its own."""
    frames: Literal["auto", "raw", "raw_selected", "cropped"] = "auto"
