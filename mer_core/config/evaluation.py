"""Statistics over the folds' predictions."""

from __future__ import annotations

from pydantic import Field

from mer_core.config.section import Draws, Real, Section, Seed


class Evaluation(Section):
    """Statistics over the folds' predictions."""

    confidence: Real = Field(gt=0.5, lt=1)
    """Of the intervals."""
    bootstrap: Draws
    """Draws of subjects for the intervals."""
    permutations: Draws
    """Draws of the permutation tests."""
    seed: Seed
    """Of these draws."""
    partial: bool
