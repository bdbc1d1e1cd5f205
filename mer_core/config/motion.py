"""How motion is measured, and how much of a clip that takes."""

from __future__ import annotations

from typing import Literal

Flow = Literal["dis", "tvl1", "farneback"]
Strain = Literal["four_term", "three_term"]
Pooling = Literal["bilen", "learnet"]
Needs = Literal["apex", "pair", "clip"]
