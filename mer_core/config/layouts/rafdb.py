"""The section of a dataset in the layouts of RAF-DB."""

from __future__ import annotations

from typing import Literal

from mer_core.config.layouts.stills import Stills


class Rafdb(Stills):
    """RAF-DB: one image per face of the basic expressions (Li et al. 2017)."""

    layout: Literal["rafdb"]
    frames: Literal["auto", "aligned", "original"] = "auto"
    """Which images to use when a copy holds both: auto prefers the aligned faces, of one person each."""

    @property
    def can_be_simulated(self) -> bool:
        """The aligned faces alone are."""
        return self.frames != "original"
