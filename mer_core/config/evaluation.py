"""Statistics over the folds' predictions."""

from __future__ import annotations

from pydantic import Field

from mer_core.config.section import Draws, Real, Section, Seed


class Scoring(Section):
    """What the scores of one method depend on."""

    confidence: Real = Field(gt=0.5, lt=1)
    """Of the intervals."""
    bootstrap: Draws
    """Draws of subjects for the intervals."""
    seed: Seed
    """Of these draws, and of the permutations."""
    partial: bool


class Evaluation(Scoring):
    """Statistics over the folds' predictions."""

    permutations: Draws
    """Draws of the permutation tests."""

    @property
    def scoring(self) -> Scoring:
        """Without what only comparisons of methods depend on."""
        return Scoring(**{key: getattr(self, key) for key in Scoring.model_fields})
