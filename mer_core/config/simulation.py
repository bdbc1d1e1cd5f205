"""The stand-in for licensed data."""

from __future__ import annotations

from typing import Literal

from mer_core.config.section import PathText, Positive, Section, Seed


class Simulation(Section):
    """The stand-in for licensed data."""

    size: Literal["tiny", "demo", "full"]
    faces: PathText
    frames: Literal["key", "all"]
    casme2_tree: Literal["cropped", "raw_selected"]
    micro_strength: Positive
    seed: Seed
    """Of all that is drawn at random there."""
