"""The section of a dataset in the layout of SAMM Long Videos."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.layouts.annotated import AnnotatedClips


class SammLong(AnnotatedClips):
    """SAMM Long Videos: one apex frame per movement, micro or macro, without emotions (Yap et al. 2020)."""

    fps: ClassVar[float | None] = 200.0

    layout: Literal["samm_long"]
    frames: Literal["auto"] = "auto"
    """There are whole pictures alone."""
    frame_numbers: Literal["annotated"] = "annotated"
    """As in the files' names: those of the long video, which are not those of SAMM."""

    @property
    def people(self) -> str | None:
        """Those of SAMM, by the same names."""
        return "samm"
