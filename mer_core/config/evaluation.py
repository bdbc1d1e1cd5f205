"""Statistics over the folds' predictions."""

from __future__ import annotations

from typing import Literal

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
    mixed: Literal["note", "refuse"] = "note"
    """Folds of one variant that were made on different devices, in different precision, or with different
    versions of torch, CUDA or cuDNN: said under every table, or refused."""


class Evaluation(Scoring):
    """Statistics over the folds' predictions."""

    permutations: Draws
    """Draws of the permutation tests."""

    @property
    def scoring(self) -> Scoring:
        """Without what only comparisons of methods depend on."""
        return Scoring(**{key: getattr(self, key) for key in Scoring.model_fields})
