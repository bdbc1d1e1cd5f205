"""The comparison methods: how a sample is described, and how descriptions are classified."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mer_core.config.motion import Flow, Needs, Strain
from mer_core.config.section import Count, Name, Positive, Real, Section, Whole

Points = Annotated[Whole, Field(ge=4, le=16)]
Frames = Annotated[Whole, Field(ge=2)]
Codes = Literal["u2", "full"]


class Features(Section):
    """What all baselines are computed on: grey clips, aligned by the apex's transform."""

    size: Whole = Field(ge=32, le=512)


class Lbp(Section):
    """Local binary patterns of the apex frame."""

    needs: ClassVar[Needs] = "apex"
    kind: Literal["lbp"] = "lbp"
    blocks: Count = 5
    """Per side."""
    points: Points = 8
    """Neighbours of a pixel."""
    radius: Count = 1
    """Of the circle of neighbours, in pixels."""
    mapping: Codes = "u2"
    """u2: one bin for all codes that are not uniform; full: a bin for every code."""


class LbpTop(Section):
    """Local binary patterns on three orthogonal planes."""

    needs: ClassVar[Needs] = "clip"
    kind: Literal["lbptop"] = "lbptop"
    blocks: Count = 5
    """Per side."""
    temporal_blocks: Count = 1
    """Along time."""
    points: Points = 4
    """Neighbours of a pixel."""
    radii: tuple[Count, Count, Count] = (1, 1, 4)
    """Along x, y and t."""
    mapping: Codes = "u2"
    """u2: one bin for all codes that are not uniform; full: a bin for every code."""
    frames: Frames | None = None
    """The length that temporal interpolation brings every clip to; null leaves clips as they are."""


class Osw(LbpTop):
    """Optical strain weighted LBP-TOP (Liong et al. 2014)."""

    kind: Literal["osw"] = "osw"
    flow: Flow = "dis"
    """How optical flow is measured."""
    strain: Strain = "four_term"
    """How strain is derived from it."""


class Fdm(Section):
    """Facial dynamics map: principal directions of the flow in cuboids (Xu et al. 2017)."""

    needs: ClassVar[Needs] = "clip"
    kind: Literal["fdm"] = "fdm"
    blocks: Count = 8
    """Per side."""
    temporal_blocks: Count = 2
    """Along time."""
    direction: Literal["sweep", "fixed_point"] = "sweep"
    """How a cuboid's principal direction is found."""
    flow: Flow = "dis"
    """How optical flow is measured."""


class BiWoof(Section):
    """Bi-weighted oriented optical flow from onset to apex (Liong et al. 2018)."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["bi_woof"] = "bi_woof"
    blocks: Count = 5
    """Per side."""
    bins: Whole = Field(default=8, ge=2)
    """Of the histogram of orientations."""
    flow: Flow = "dis"
    """How optical flow is measured."""
    strain: Strain = "four_term"
    """How strain is derived from it."""


class FlowImage(Section):
    """The flow from onset to apex itself, as a small image."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["flow"] = "flow"
    size: Count = 32
    """Edge in pixels, of the flow that is averaged down."""
    flow: Flow = "dis"
    """How optical flow is measured."""


Description = Annotated[Lbp | LbpTop | Osw | Fdm | BiWoof | FlowImage, Field(discriminator="kind")]


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
    features: Description
    """How a sample is described, by its kind."""
    classifier: Classifier
    """How descriptions are classified, by its kind."""
