"""The networks: rows of the ablation and their losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mer_core.config.section import Fraction, Name, NonNegative, PathText, Real, Section


class Loss(Section):
    """One loss function; variants refer to it by its name."""

    kind: Literal["cross_entropy", "focal"]
    """Which loss; docs/models.md has the formulas."""
    form: Literal["softmax", "sigmoid"] = "softmax"
    """One answer of several classes (softmax), or one yes or no for each class (sigmoid, equation 10)."""
    gamma: NonNegative = 2.0
    """How much the focal loss turns away from what is answered well."""
    alpha: Literal["balanced"] | Fraction | list[Fraction] | None = None
    """Weight: a number, one per class, balanced (from the training fold's counts), or null (1)."""
    reduction: Literal["mean", "sum"] = "mean"
    """Over the samples of a batch."""
    smoothing: Real = Field(0.0, ge=0, lt=1)
    """Share of the loss that is its mean against every class."""


class Variant(Section):
    """One row of the ablation."""

    name: Name
    """Of the row, its files and its lines in tables."""
    attention: Literal["none", "spatial", "channel", "dual", "cbam"]
    """What stands in every residual unit; docs/models.md has the formulas."""
    loss: Name
    """One of losses, by its name."""
    init: PathText = "random"
    """random, pretrained (on the source), or the path of a safetensors file of the network's weights."""
