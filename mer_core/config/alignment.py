"""From a photograph to a crop of a face."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mer_core.config.section import Fraction, Section, Whole


class Alignment(Section):
    """From a face in a photograph to a canonical square crop (equations 1 and 2)."""

    mode: Literal["landmarks", "precropped"]
    """landmarks: eyes levelled by dlib's landmarks; precropped: face crops, only resized."""
    size: Whole = Field(ge=16, le=1024)
    eye_distance: float = Field(gt=0.05, lt=0.8)
    """Distance between the inner eye corners as a share of size."""
    eye_center: tuple[Fraction, Fraction]
    """Midpoint between the inner eye corners (x, y) as shares of size."""
    color: Literal["rgb", "gray"]
