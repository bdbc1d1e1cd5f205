"""The networks: rows of the ablation and their losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mer_core.config.section import Fraction, Name, NonNegative, PathText, Section


class Loss(Section):
    """One loss function; variants refer to it by its name."""

    kind: Literal["cross_entropy", "focal"]
    form: Literal["softmax", "sigmoid"] = "softmax"
    gamma: NonNegative = 2.0
    alpha: Literal["balanced"] | Fraction | list[Fraction] | None = None
    reduction: Literal["mean", "sum"] = "mean"
    smoothing: float = Field(0.0, ge=0, lt=1)


class Variant(Section):
    """One row of the ablation."""

    name: Name
    attention: Literal["none", "spatial", "channel", "dual", "cbam"]
    loss: Name
    init: PathText = "random"
