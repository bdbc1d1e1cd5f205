"""How motion is measured."""

from __future__ import annotations

from typing import Literal

Flow = Literal["dis", "tvl1", "farneback"]
Strain = Literal["four_term", "three_term"]
