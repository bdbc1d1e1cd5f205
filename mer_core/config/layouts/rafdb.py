"""The section of a dataset in the layouts of RAF-DB."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import StandIn
from mer_core.config.layouts.stills import Stills


class Rafdb(Stills):
    """RAF-DB: one image per face of the basic expressions (Li et al. 2017)."""

    stand_in: ClassVar[StandIn] = {"frames": ["auto", "aligned"]}

    layout: Literal["rafdb"]
    frames: Literal["auto", "aligned", "original"] = "auto"
    """Which images to use when a copy holds both: auto prefers the aligned faces, of one person each."""
