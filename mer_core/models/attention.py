"""Attention inside a residual unit: the paper's equations 3 to 5, and CBAM to compare with.

F is the output of a unit's second batch norm, (N, C, H, W). Both gates lie in (0, 1):

    S(F) = sigmoid(conv7x7([max over channels; mean over channels]))        (3)
    C(F) = sigmoid(MLP(global max pool) + MLP(global mean pool))            (4)
    F''' = F + C(F) * S(F) * F = F * (1 + S(F) * C(F))                      (5)

In (5) both gates see the raw F, so that their order does not matter and every feature is
multiplied by a number in (1, 2): the paper's attention can only amplify. CBAM's factor lies in
(0, 1), and its second gate sees the result of the first.

What attention costs is moving features through memory, not arithmetic. `amax` keeps their layout
and is deterministic on a GPU; the gradients of `max(dim)` and AdaptiveMaxPool2d are not both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mer_core.errors import UserError

KERNEL = 7


class SpatialAttention(nn.Module):
    """The spatial gate S(F), equation 3: one number per position.

    Args:
        batch_norm: normalise the convolution's output, as CBAM's reference code does.
    """

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2, bias=False)
        self.norm = nn.BatchNorm2d(1) if batch_norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to the gate (N, 1, H, W)."""
        pooled = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
        return self.norm(self.conv(pooled)).sigmoid()


class ChannelAttention(nn.Module):
    """The channel gate C(F), equation 4: one number per channel, from one MLP shared by both pools.

    Args:
        channels: C of the features.
        reduction: the MLP's hidden layer has channels / reduction units.

    Raises:
        UserError: when reduction does not divide channels.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if reduction < 1 or channels % reduction:
            raise UserError(
                f"reduction: {reduction} does not divide the {channels} channels; use a divisor, such as 16"
            )
        hidden = channels // reduction
        # On pooled vectors a linear layer is the 1x1 convolution, and faster.
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to the gate (N, C, 1, 1)."""
        pooled = torch.stack([features.amax((2, 3)), features.mean((2, 3))])
        return self.mlp(pooled).sum(0).sigmoid()[..., None, None]


class SpatialUnit(nn.Module):
    """F * (1 + S(F)): equation 5 with the spatial gate alone."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.spatial = SpatialAttention()

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        return features * (1 + self.spatial(features))


class ChannelUnit(nn.Module):
    """F * (1 + C(F)): equation 5 with the channel gate alone."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        return features * (1 + self.channel(features))


class DualAttention(nn.Module):
    """F * (1 + S(F) * C(F)): equation 5, the paper's unit."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.spatial = SpatialAttention()
        self.channel = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        # F + (S * F) * C keeps the memory layout of F; S * C alone has none to keep.
        return torch.addcmul(features, features * self.spatial(features), self.channel(features))


class CBAM(nn.Module):
    """F' = C(F) * F, then S(F') * F': the block of Woo et al. (ECCV 2018) as in its reference code."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(batch_norm=True)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to attenuated features of the same shape."""
        features = features * self.channel(features)
        return features * self.spatial(features)


def _none(channels: int, reduction: int = 16) -> nn.Module:
    return nn.Identity()


ATTENTION: dict[str, Callable[[int, int], nn.Module]] = {
    "none": _none,
    "spatial": SpatialUnit,
    "channel": ChannelUnit,
    "dual": DualAttention,
    "cbam": CBAM,
}


def build_attention(kind: str, channels: int, reduction: int = 16) -> nn.Module:
    """The attention of one residual unit, by its name in the configuration.

    Args:
        kind: a name of ATTENTION.
        channels: C of the unit's output.
        reduction: see ChannelAttention.

    Returns:
        A module from (N, C, H, W) to the same shape.

    Raises:
        UserError: when no such kind is known, or reduction does not divide channels.
    """
    if kind not in ATTENTION:
        raise UserError(f"attention: '{kind}' is unknown; use one of {', '.join(ATTENTION)}")
    return ATTENTION[kind](channels, reduction)
