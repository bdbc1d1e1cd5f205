"""What a network sees of a sample other than its apex frame."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mer_core.config.motion import Flow, Needs, Pooling, Strain
from mer_core.config.section import Section, Whole

Edge = Annotated[Whole, Field(ge=16, le=1024)]
Scale = Literal["minmax_joint", "minmax_channel", "none"]


class Input(Section):
    """What all inputs have: the crop that motion is measured in, and the size that the network gets.

    Flow on tiny pictures loses motion of less than a pixel, so it is measured at `crop` and made small
    afterwards.
    """

    needs: ClassVar[Needs] = "pair"
    # Whether values are flow, which changes its sign when mirrored and its direction when rotated.
    directed: ClassVar[bool] = False

    crop: Edge = 224
    """Edge of the crop that motion is measured in."""
    size: Edge
    """Edge of what the network gets."""


class Difference(Input):
    """Apex minus onset, in colour."""

    kind: Literal["difference"]
    size: Edge = 224
    """Edge of what the network gets."""


class Pair(Input):
    """Onset and apex, in colour, one after the other."""

    kind: Literal["pair"]
    size: Edge = 224
    """Edge of what the network gets."""


class FlowMaps(Input):
    """The flow (u, v) from onset to apex."""

    directed: ClassVar[bool] = True

    kind: Literal["flow"]
    size: Edge = 28
    """Edge of what the network gets."""
    estimator: Flow = "dis"
    """How flow is estimated; docs/methods.md."""
    scale: Scale = "minmax_joint"
    """Stretched to 0..1 over all maps or each, or left in pixels."""


class FlowStrainMaps(FlowMaps):
    """The flow (u, v) from onset to apex and the magnitude of its strain."""

    kind: Literal["flow_strain"]
    strain: Strain = "four_term"
    """Its definition; docs/methods.md."""


class FlowPatches(FlowStrainMaps):
    """Four patches of flow and strain, around the eyes and the corners of the mouth, tiled to one picture.

    `size` is that of the picture of the whole face; the patches are half as wide.
    """

    kind: Literal["flow_patches"]


class DynamicImage(Input):
    """The whole clip pooled over time into one picture."""

    needs: ClassVar[Needs] = "clip"

    kind: Literal["dynamic_image"]
    size: Edge = 112
    """Edge of what the network gets."""
    pooling: Pooling = "bilen"
    """The zero-sum form of rank pooling (bilen), or that of LEARNet's code (learnet)."""


class ClipFrames(Input):
    """Some grey frames at equal distances from onset to offset, as channels."""

    needs: ClassVar[Needs] = "clip"

    kind: Literal["clip"]
    size: Edge = 112
    """Edge of what the network gets."""
    frames: Whole = Field(default=8, ge=2, le=64)
    """How many."""


class FlowClip(Input):
    """The flow (u, v) between consecutive frames of the clip, which TIM brings to one length."""

    needs: ClassVar[Needs] = "clip"
    directed: ClassVar[bool] = True

    kind: Literal["flow_clip"]
    size: Edge = 64
    """Edge of what the network gets."""
    frames: Whole = Field(default=128, ge=8, le=512)
    """Flow maps that the clip is brought to."""
    estimator: Flow = "dis"
    """How flow is estimated; docs/methods.md."""
    scale: Scale = "none"
    """As in flow."""


AnyInput = Annotated[
    Difference | Pair | FlowMaps | FlowStrainMaps | FlowPatches | DynamicImage | ClipFrames | FlowClip,
    Field(discriminator="kind"),
]
