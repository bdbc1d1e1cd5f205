"""The section of a dataset in the layout of CASME."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class Casme(AnnotatedClips):
    """CASME: one apex frame per annotated expression (Yan et al. 2013)."""

    fps: ClassVar[float | None] = 60.0

    layout: Literal["casme"]
    frame_numbers: Literal["annotated"] = "annotated"
    """As in the files' names: several expressions may share a clip."""
    missing_offset: Literal["drop", "mirror"] = "drop"
    """Where the offset is not annotated: drop leaves the expression out, mirror puts it as far from the apex
    as the onset is."""
