"""The section of a dataset in the layout of DFME."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Dfme(AnnotatedClips):
    """DFME, its challenge part: one apex frame per annotated clip (Zhao et al. 2023)."""

    has_split: ClassVar[bool] = True

    layout: Literal["dfme"]
    frames: Literal["auto"] = "auto"
    """There is one kind."""
