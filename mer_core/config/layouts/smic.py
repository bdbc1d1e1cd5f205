"""The section of a dataset in the layout of SMIC."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import StandIn
from mer_core.config.layouts.annotated import AnnotatedClips


class Smic(AnnotatedClips):
    """SMIC: one frame per clip of one camera, its label that of folder and name (Li et al. 2013)."""

    stand_in: ClassVar[StandIn] = {"camera": ["HS"], "extended": [False]}

    layout: Literal["smic"]
    camera: Literal["HS", "VIS", "NIR"] = "HS"
    """HS is the fast camera; VIS and NIR show events of HS once more."""
    extended: bool = False
    """Take the long clips of SMIC-E, whose expressions a table tells, in place of the clips cut to them."""
    missing_apex: Literal["spot", "midpoint"] = "spot"
    """SMIC tells no apex: spot finds the frame of the largest motion, midpoint the middle of the clip."""
    frame_numbers: Literal["annotated"] = "annotated"
    """As in the files' names."""

    @property
    def fps(self) -> float:
        """Frames per second of the camera."""
        return 100.0 if self.camera == "HS" else 25.0
