"""The section of a dataset in the layout of CASME II."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Casme2(AnnotatedClips):
    """CASME II: one apex frame per annotated clip (Yan et al. 2014)."""

    fps: ClassVar[float | None] = 200.0

    layout: Literal["casme2"]
    frames: Literal["auto", "raw", "raw_selected", "cropped"] = "auto"
