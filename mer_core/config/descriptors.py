"""How a sample is described, kind by kind.

The step that describes imports none of it: a new kind is no part of what the others' results depend on.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mer_core.config.motion import Flow, Needs, Strain
from mer_core.config.section import Count, Name, Section, Whole

Points = Annotated[Whole, Field(ge=4, le=16)]
Frames = Annotated[Whole, Field(ge=2)]
Codes = Literal["u2", "full"]


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


class Embedding(Section):
    """What the last layer of a network sees of the aligned apex (after Patel et al. 2016)."""

    needs: ClassVar[Needs] = "apex"


class Pretrained(Embedding):
    """What the classifier of a pretrained variant sees of the aligned apex."""

    kind: Literal["pretrained"] = "pretrained"
    variant: Name
    """Whose pretrained weights are used, those of the first seed; it sees the apex itself."""


class ImageNet(Embedding):
    """What the classifier of EfficientNet-Lite0 sees of the aligned apex, with weights for objects."""

    kind: Literal["imagenet"] = "imagenet"


Description = Annotated[
    Lbp | LbpTop | Osw | Fdm | BiWoof | FlowImage | Pretrained | ImageNet, Field(discriminator="kind")
]
