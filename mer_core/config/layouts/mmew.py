"""The section of a dataset in the layout of MMEW."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Mmew(AnnotatedClips):
    """MMEW: one apex frame per annotated micro-expression (Ben et al. 2022)."""

    fps: ClassVar[float | None] = 90.0

    layout: Literal["mmew"]
    frames: Literal["auto"] = "auto"
    """There are crops of faces alone."""
