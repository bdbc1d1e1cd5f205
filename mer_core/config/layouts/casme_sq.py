"""The section of a dataset in the layout of CAS(ME)^2."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class CasmeSq(AnnotatedClips):
    """CAS(ME)^2: one apex frame per expression in long videos, micro and macro (Qu et al. 2018)."""

    fps: ClassVar[float | None] = 30.0

    layout: Literal["casme_sq"]
    expressions: Literal["micro", "macro", "all"] = "micro"
    """Which expressions are used. The same people show both."""
    labels: Literal["emotion", "valence", "type"] = "emotion"
    """What `classes` maps: the emotion that people report, its valence, or the type (micro-expression or
    macro-expression)."""
    frame_numbers: Literal["annotated"] = "annotated"
    """As in the files' names: those of the long video."""
    missing_offset: Literal["drop", "mirror"] = "drop"
    """Where the offset is not annotated (44 macro-expressions): drop leaves the expression out, mirror puts
    it as far from the apex as the onset is."""
