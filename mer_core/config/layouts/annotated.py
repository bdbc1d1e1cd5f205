"""What the sections of datasets of annotated clips have in common."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import Copy
from mer_core.config.section import PathText


class AnnotatedClips(Copy):
    """Clips whose onset, apex and offset a table tells by frame number."""

    has_clips: ClassVar[bool] = True
    has_motion: ClassVar[bool] = True

    workbook: PathText | None = None
    """The annotation table (xlsx, xls or csv) when it lies elsewhere; null finds it under root."""
    frames: Literal["auto", "whole", "cropped"] = "auto"
    """Which frames to use when a copy holds both: auto prefers the whole heads."""
    missing_apex: Literal["spot", "midpoint", "drop", "keep", "keep_later"] = "spot"
    """Where the apex is not annotated, or annotated as onset or offset: spot finds the frame of the largest
    motion, midpoint takes the middle of the clip, drop leaves the clip out; keep takes what is annotated as
    it is, and leaves out clips of which nothing is; keep_later does so, too, but leaves out an apex that is
    the onset, which shows no motion (the rule of MEGC 2019)."""
    frame_numbers: Literal["annotated", "from_onset"] = "annotated"
    """How the files of a clip are numbered: as the table counts, or from_onset where each clip was written
    anew and its first file, 0 or 1, is the onset. The doctor says when they are."""
