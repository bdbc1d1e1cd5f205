"""The networks by name: what each can be built with, and which inputs it takes.

A step gets the settings of its own network as plain values, so that a new network here is no part of what the
results of others depend on.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from mer_core.config.section import Real, Section, Whole

Width = Annotated[Whole, Field(ge=1, le=1024)]
Depth = Annotated[Whole, Field(ge=1, le=32)]
Length = Annotated[Whole, Field(ge=64, le=512)]


class Network(Section):
    """What all networks have."""

    # The kinds of input that the network takes.
    takes: ClassVar[frozenset[str]]
    # Of the input in pixels, where it is fixed.
    edge: ClassVar[int | None] = None
    # Pixels of the input below which nothing is left to the last layers.
    least: ClassVar[int] = 16
    # Of a clip in maps, where it is fixed.
    length: ClassVar[int | None] = None


class ResNet18(Network):
    """ResNet18, with the attention of the variant in every residual unit."""

    takes = frozenset({"apex", "difference", "pair", "flow", "flow_strain", "dynamic_image", "clip"})

    kind: Literal["resnet18"]


class OffApexNet(Network):
    """OFF-ApexNet (Gan et al. 2019)."""

    takes, edge = frozenset({"flow"}), 28

    kind: Literal["off_apexnet"]
    conv_activation: bool = True
    """A ReLU after each convolution; an assumption."""


class Ststnet(Network):
    """STSTNet (Liong et al. 2019)."""

    takes, edge = frozenset({"flow_strain"}), 28

    kind: Literal["ststnet"]
    layers: Literal["port", "table"] = "port"
    """The authors' PyTorch code (port), or Table I of the paper (table)."""


class RcnA(Network):
    """RCN-A (Xia et al. 2020)."""

    takes, edge = frozenset({"flow_strain"}), 60

    kind: Literal["rcn_a"]
    features: Width = 32
    """Maps of each layer."""
    pooled: Whole = Field(5, ge=1, le=14)
    """Edge of the maps before the classifier."""


class LearNet(Network):
    """LEARNet (Verma et al. 2020)."""

    takes, edge = frozenset({"dynamic_image"}), 112

    kind: Literal["learnet"]


class Dtscnn(Network):
    """DTSCNN (Peng et al. 2017), as far as it is known."""

    takes, least = frozenset({"flow_clip"}), 31

    kind: Literal["dtscnn"]
    streams: tuple[Length, ...] = Field((64, 128), min_length=1)
    """Flow maps that each stream sees; the input has as many as the longest."""
    dropout: Real = Field(0.5, ge=0, lt=1)
    """Before the classifier."""

    @property
    def length(self) -> int:
        """Of the input in maps."""
        return max(self.streams)


class HtNet(Network):
    """HTNet (Wang et al. 2024)."""

    takes, edge = frozenset({"flow_patches"}), 28

    kind: Literal["htnet"]
    dim: Width = 64
    """Channels of the first level; the authors use 256."""
    attention: Literal["degenerate", "true"] = "degenerate"
    """Patches of 7 pixels, one token per block (degenerate, as published), or of one, 49 tokens (true)."""
    heads: tuple[Width, Width, Width] = Field((2, 2, 2), validate_default=True)
    """Per level; the authors use 3, 6, 12."""
    depths: tuple[Depth, Depth, Depth] = (2, 2, 10)
    """Layers per level; the authors use 2, 2, 10."""

    @field_validator("heads")
    @classmethod
    def _have_a_channel_each(cls, heads: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        dim = info.data.get("dim")
        if dim and any(count > dim << level for level, count in enumerate(heads)):
            most = f"{dim}, {2 * dim} and {4 * dim}"
            raise ValueError(f"no more than {most} have a channel each; give fewer, or a larger dim")
        return heads


class MmNet(Network):
    """MMNet (Li et al. 2022); its size is that of the input."""

    takes = frozenset({"pair"})

    kind: Literal["mmnet"]
    size: Whole = Field(224, ge=32, le=1024, multiple_of=16)
    """Edge of the pair in pixels; the authors use 224."""

    @property
    def edge(self) -> int:
        """Of the input in pixels."""
        return self.size


class EfficientNetLite0(Network):
    """EfficientNet-Lite0 (Tan and Le 2019)."""

    takes, least = frozenset({"apex", "difference", "dynamic_image"}), 32

    kind: Literal["efficientnet_lite0"]
    weights: Literal["imagenet", "random"] = "imagenet"
    """What all but the classifier starts from, where the row's init is random."""


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


_Kind = Literal[
    "resnet18", "off_apexnet", "ststnet", "rcn_a", "learnet", "dtscnn", "htnet", "mmnet", "efficientnet_lite0"
]
_Block = Annotated[
    ResNet18 | OffApexNet | Ststnet | RcnA | LearNet | Dtscnn | HtNet | MmNet | EfficientNetLite0,
    Field(discriminator="kind"),
]
AnyNetwork = Annotated[_Block, BeforeValidator(_named, json_schema_input_type=_Block | _Kind)]
"""A network by its name alone, or a block with `kind` and its settings."""
