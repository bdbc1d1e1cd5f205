"""The section of a dataset in the layout of Oulu-CASIA."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import Copy, StandIn
from mer_core.config.section import Count


class OuluCasia(Copy):
    """Oulu-CASIA: the last frames of each sequence of one camera in one light (Zhao et al. 2011)."""

    fps: ClassVar[float | None] = 25.0
    has_motion: ClassVar[bool] = True
    stand_in: ClassVar[StandIn] = {"camera": ["VL"], "light": ["Strong"]}

    layout: Literal["oulu_casia"]
    camera: Literal["VL", "NI"] = "VL"
    """Visible light, or near infrared. Both show the same people."""
    light: Literal["Strong", "Weak", "Dark"] = "Strong"
    """In which light. The same people are in all three."""
    frames: Literal["auto", "whole", "cropped"] = "auto"
    """Which frames to use when a copy holds both: auto prefers the whole pictures."""
    last_frames: Count = 3
    """Frames taken from the end of each sequence, where the expression is strongest."""

    @property
    def samples_per_clip(self) -> int:
        """The last frames of a sequence."""
        return self.last_frames
