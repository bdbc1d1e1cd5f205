"""The networks: rows of the ablation and their losses."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mer_core.config.section import Name, NonNegative, PathText, Real, Section


class Loss(Section):
    """One loss function; variants refer to it by its name."""

    kind: Literal["cross_entropy", "focal"]
    """Which loss; docs/models.md has the formulas."""
    form: Literal["softmax", "sigmoid"] = "softmax"
    """One answer of several classes (softmax), or one yes or no for each class (sigmoid, equation 10)."""
    gamma: NonNegative = 2.0
    """How much the focal loss turns away from what is answered well."""
    alpha: Literal["balanced"] | NonNegative | list[NonNegative] | dict[Name, NonNegative] | None = None
    """Weight: a number, one per class in order or by name, balanced (from the training's counts), or null."""
    reduction: Literal["mean", "sum"] = "mean"
    """Over the samples of a batch."""
    smoothing: Real = Field(0.0, ge=0, lt=1)
    """Share of the loss that is its mean against every class that occurs in training."""
    prior: Real | None = Field(None, gt=0, lt=1)
    """Probability at which every output of the sigmoid form starts; null: where chance puts it."""

    @field_validator("gamma")
    @classmethod
    def _belongs_to_the_focal_loss(cls, gamma: float, info: ValidationInfo) -> float:
        # Written out with all that is by default, a cross entropy has the gamma that it ignores.
        if gamma != cls.model_fields["gamma"].default and info.data.get("kind") == "cross_entropy":
            raise ValueError("belongs to kind: focal; leave it out")
        return gamma

    @field_validator("alpha")
    @classmethod
    def _is_a_share_in_the_sigmoid_form(cls, alpha: Any, info: ValidationInfo) -> Any:
        weights = (
            alpha.values() if isinstance(alpha, dict) else [alpha] if isinstance(alpha, float) else alpha
        )
        if info.data.get("form") == "sigmoid" and alpha != "balanced" and max(weights or [0]) > 1:
            raise ValueError("is a share in the sigmoid form; give numbers from 0 to 1")
        return alpha

    @field_validator("prior")
    @classmethod
    def _belongs_to_the_sigmoid_form(cls, prior: float | None, info: ValidationInfo) -> float | None:
        if prior is not None and info.data.get("form") == "softmax":
            raise ValueError("belongs to form: sigmoid; leave it out")
        return prior

    def misfit(self, classes: list[str]) -> str | None:
        """What is wrong with alpha for some classes in order; None where it fits."""
        if isinstance(self.alpha, list) and len(self.alpha) != len(classes):
            return f"lists {len(self.alpha)} numbers"
        missing = [name for name in classes if isinstance(self.alpha, dict) and name not in self.alpha]
        return f"has none for {', '.join(missing)}" if missing else None


class Variant(Section):
    """One row of the ablation."""

    name: Name
    """Of the row, its files and its lines in tables."""
    network: dict[str, Any] = Field(default={"kind": "resnet18"})
    """By its name alone, or a block with kind and what it can be built with (docs/methods.md)."""
    attention: Literal["none", "spatial", "channel", "dual", "cbam"] = "none"
    """What stands in every residual unit of resnet18; docs/models.md has the formulas."""
    input: Name = "apex"
    """What the network sees of a sample: apex, or one of inputs by its name."""
    loss: Name
    """One of losses, by its name."""
    init: PathText = "random"
    """random, pretrained (on the source), or the path of a safetensors file of the network's weights."""
    training: dict[str, Any] = Field(default={})
    """Keys of training that are otherwise in this row; its augmentation and normalization hold in
    pretraining, too."""

    @property
    def network_kind(self) -> str:
        """The network's name."""
        return self.network["kind"]

    @property
    def is_the_papers(self) -> bool:
        """Whether this is a row of the paper's kind: ResNet18 that sees the apex alone."""
        return self.network_kind == "resnet18" and self.input == "apex"
