"""The section of a dataset in the layouts of CK+."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import Copy
from mer_core.config.section import Count


class Ckplus(Copy):
    """CK+: the last frames of each labelled sequence (Lucey et al. 2010)."""

    has_motion: ClassVar[bool] = True

    layout: Literal["ckplus"]
    last_frames: Count = 3

    @property
    def samples_per_clip(self) -> int:
        """The last frames of a sequence."""
        return self.last_frames
