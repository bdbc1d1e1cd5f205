"""The comparison methods: how a sample is described, and how descriptions are classified."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mer_core.config.motion import Flow, Needs, Strain
from mer_core.config.section import Count, Name, Positive, Section, Whole

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
    points: Points = 8
    radius: Count = 1
    mapping: Codes = "u2"


class LbpTop(Section):
    """Local binary patterns on three orthogonal planes; radii along x, y and t.

    `frames` is the length that temporal interpolation brings every clip to; null leaves clips as they are.
    """

    needs: ClassVar[Needs] = "clip"
    kind: Literal["lbptop"] = "lbptop"
    blocks: Count = 5
    temporal_blocks: Count = 1
    points: Points = 4
    radii: tuple[Count, Count, Count] = (1, 1, 4)
    mapping: Codes = "u2"
    frames: Frames | None = None


class Osw(LbpTop):
    """Optical strain weighted LBP-TOP (Liong et al. 2014)."""

    kind: Literal["osw"] = "osw"
    flow: Flow = "dis"
    strain: Strain = "four_term"


class Fdm(Section):
    """Facial dynamics map: principal directions of the flow in cuboids (Xu et al. 2017)."""

    needs: ClassVar[Needs] = "clip"
    kind: Literal["fdm"] = "fdm"
    blocks: Count = 8
    temporal_blocks: Count = 2
    direction: Literal["sweep", "fixed_point"] = "sweep"
    flow: Flow = "dis"


class BiWoof(Section):
    """Bi-weighted oriented optical flow from onset to apex (Liong et al. 2018)."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["bi_woof"] = "bi_woof"
    blocks: Count = 5
    bins: Whole = Field(default=8, ge=2)
    flow: Flow = "dis"
    strain: Strain = "four_term"


class FlowImage(Section):
    """The flow from onset to apex itself, as a small image."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["flow"] = "flow"
    size: Count = 32
    flow: Flow = "dis"


Description = Annotated[Lbp | LbpTop | Osw | Fdm | BiWoof | FlowImage, Field(discriminator="kind")]


class SupportVectorMachine(Section):
    """One-versus-one support vector machines on features that are normalised by the training clips."""

    transductive: ClassVar[bool] = False
    kind: Literal["svm"]
    kernel: Literal["linear", "rbf"] = "linear"
    normalization: Literal["none", "l2", "hellinger", "standard"] = "none"
    cost: list[Positive] = Field(default=[1.0], min_length=1)
    class_weight: Literal["balanced"] | None = None


class AdaBoost(Section):
    """Multi-class AdaBoost (SAMME) of decision stumps."""

    kind: Literal["adaboost"]
    rounds: Count = 50
    learning_rate: Positive = 1.0
    weights: Literal["uniform", "kmm", "stm"] = "uniform"

    @property
    def transductive(self) -> bool:
        """Whether training looks at the unlabelled clips of the subject left out."""
        return self.weights != "uniform"


Classifier = Annotated[SupportVectorMachine | AdaBoost, Field(discriminator="kind")]


class Baseline(Section):
    """One comparison method: how a sample is described, and how descriptions are classified."""

    name: Name
    features: Description
    classifier: Classifier
