"""The comparison methods: how a sample is described, and how descriptions are classified."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mer_core.config.section import Count, Name, Positive, Real, Section, Whole


class Features(Section):
    """What all baselines are computed on: grey clips, aligned by the apex's transform."""

    size: Whole = Field(ge=32, le=512)


class GeneticSelection(Section):
    """Choose features by a genetic algorithm over the training subjects."""

    kind: Literal["genetic"]
    population: Whole = Field(default=50, ge=8, le=10_000)
    """Masks of a generation."""
    generations: Whole = Field(default=100, ge=1, le=10_000)
    """Rounds of the search."""
    start: Real = Field(default=0.5, gt=0, le=1)
    """Share of the features in the first masks."""
    ridge: Positive = 1.0
    """Penalty of the regression that scores a mask, relative to the mean of its kernel's diagonal."""


class RandomSelection(Section):
    """Keep a random share of the features: what a search must be better than."""

    kind: Literal["random"]
    share: Real = Field(default=0.5, gt=0, le=1)
    """Of the features."""


Selection = Annotated[GeneticSelection | RandomSelection, Field(discriminator="kind")]


class SupportVectorMachine(Section):
    """One-versus-one support vector machines on features that are normalised by the training clips."""

    transductive: ClassVar[bool] = False
    kind: Literal["svm"]
    kernel: Literal["linear", "rbf"] = "linear"
    """The width of rbf is scikit-learn's `scale`."""
    normalization: Literal["none", "l2", "hellinger", "standard"] = "none"
    """Of the descriptions, by what the training clips show."""
    cost: list[Positive] = Field(default=[1.0], min_length=1)
    """Of several, each fold takes the best on its training subjects, left out in turn."""
    class_weight: Literal["balanced"] | None = None
    """balanced: costs divided by the class's frequency in training."""
    selection: Selection | None = None
    """Of features, by a search among the training subjects (genetic), or at random; null keeps all."""


class AdaBoost(Section):
    """Multi-class AdaBoost (SAMME) of decision stumps."""

    kind: Literal["adaboost"]
    rounds: Count = 50
    """Stumps at most."""
    learning_rate: Positive = 1.0
    """Share of each stump's weight."""
    weights: Literal["uniform", "kmm", "stm"] = "uniform"
    """What boosting starts with; kmm and stm look at the unlabelled clips of the subject left out."""

    @property
    def transductive(self) -> bool:
        """Whether training looks at the unlabelled clips of the subject left out."""
        return self.weights != "uniform"


Classifier = Annotated[SupportVectorMachine | AdaBoost, Field(discriminator="kind")]


class Baseline(Section):
    """One comparison method: how a sample is described, and how descriptions are classified."""

    name: Name
    """Of the row; a name of Table 3 puts it beside the printed figure."""
    features: dict[str, Any]
    """How a sample is described, by its kind."""
    classifier: Classifier
    """How descriptions are classified, by its kind."""
