"""Attention inside a residual unit: the paper's equations 3 to 5, and CBAM to compare with.

F is the output of a unit's second batch norm, (N, C, H, W). Both gates lie in (0, 1):

    S(F) = sigmoid(conv7x7([max over channels; mean over channels]))        (3)
    C(F) = sigmoid(MLP(global max pool) + MLP(global mean pool))            (4)
    F''' = F + C(F) * S(F) * F = F * (1 + S(F) * C(F))                      (5)

In (5) both gates see the raw F, so that their order does not matter and every feature is
multiplied by a number in (1, 2): the paper's attention can only amplify. CBAM's factor lies in
(0, 1), and its second gate sees the result of the first.

What attention costs is moving features through memory, not arithmetic. Autograd reads and writes a
unit's features about 40 times per step; the two functions below, whose gradients are written by hand,
do it about 20 times (docs/performance.md): all that the pools need of the features on the way back are
the places of the maxima and one matrix of rank two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from mer_core.errors import UserError

KERNEL = 7


class Pools(NamedTuple):
    """Maximum and mean of features (N, C, H, W), in this order; None where nobody asked for them."""

    over_channels: Tensor | None  # (N, 2, H, W)
    over_positions: Tensor | None  # (2, N, C)


class SpatialAttention(nn.Module):
    """The spatial gate S(F), equation 3: one number per position.

    Args:
        batch_norm: normalise the convolution's output, as CBAM's reference code does.
    """

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2, bias=False)  # see convolve
        self.norm = nn.BatchNorm2d(1) if batch_norm else nn.Identity()

    def forward(self, features: Tensor, pools: Pools | None = None) -> Tensor:
        """Features (N, C, H, W) to the gate (N, 1, H, W); `pools` are theirs, where they are known."""
        pooled = (pools or pool(features, channels=True)[1]).over_channels
        with _as_precise_as_its_weights(pooled):
            kernel = self.conv.weight
            return self.norm(convolve(pooled.to(kernel.dtype), kernel)).sigmoid()


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

    def forward(self, features: Tensor, pools: Pools | None = None) -> Tensor:
        """Features (N, C, H, W) to the gate (N, C, 1, 1); `pools` are theirs, where they are known."""
        pooled = (pools or pool(features, positions=True)[1]).over_positions
        with _as_precise_as_its_weights(pooled):
            return self.mlp(pooled.to(self.mlp[0].weight.dtype)).sum(0).sigmoid()[..., None, None]


class SpatialUnit(nn.Module):
    """F * (1 + S(F)): equation 5 with the spatial gate alone."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.spatial = SpatialAttention()

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        features, pools = pool(features, channels=True)
        return amplify(features, self.spatial(features, pools), None)


class ChannelUnit(nn.Module):
    """F * (1 + C(F)): equation 5 with the channel gate alone."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        features, pools = pool(features, positions=True)
        return amplify(features, None, self.channel(features, pools))


class DualAttention(nn.Module):
    """F * (1 + S(F) * C(F)): equation 5, the paper's unit."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.spatial = SpatialAttention()
        self.channel = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to amplified features of the same shape."""
        features, pools = pool(features, channels=True, positions=True)
        return amplify(features, self.spatial(features, pools), self.channel(features, pools))


class CBAM(nn.Module):
    """F' = C(F) * F, then S(F') * F': the block of Woo et al. (ECCV 2018) as in its reference code."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(batch_norm=True)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) to attenuated features of the same shape."""
        features, pools = pool(features, positions=True)
        features = features * self.channel(features, pools).to(features.dtype)
        features, pools = pool(features, channels=True)
        return features * self.spatial(features, pools).to(features.dtype)


def pool(features: Tensor, channels: bool = False, positions: bool = False) -> tuple[Tensor, Pools]:
    """The maxima and means of features over channels, over positions, or both.

    Args:
        features: (N, C, H, W), contiguous or channels last.
        channels: pool over the channels.
        positions: pool over height and width.

    Returns:
        The features, to be used in place of those given, by one function alone, and their pools, in
        float32 at least. Gradients are those of `max` with the first of equals.
    """
    features, *pooled = _Pool.apply(features, channels, positions)
    over_channels = pooled.pop(0) if channels else None
    return features, Pools(over_channels, pooled.pop(0) if positions else None)


def amplify(features: Tensor, spatial: Tensor | None, channel: Tensor | None) -> Tensor:
    """F * (1 + S * C), equation 5; a gate that is None counts as 1.

    Args:
        features: (N, C, H, W).
        spatial: S, (N, 1, H, W).
        channel: C, (N, C, 1, 1).
    """
    return _Amplify.apply(features, spatial, channel)


def convolve(maps: Tensor, kernel: Tensor) -> Tensor:
    """The convolution of a few maps to one, zero-padded to the same size, as one product of matrices.

    A row of the result is the product of the rows around it with a banded matrix of the kernel's rows. It
    stands in for torch's convolution, whose gradients for so few maps, where they have to repeat bit for bit
    on a GPU, took a fifth of the network's step (docs/performance.md); on a CPU it is as fast.

    Args:
        maps: (N, C, H, W).
        kernel: (1, C, K, K), K odd.

    Returns:
        (N, 1, H, W).
    """
    n, _, h, w = maps.shape
    size = kernel.shape[-1]
    rows = pad(maps, [size // 2] * 4).unfold(2, size, 1).permute(0, 2, 1, 4, 3)  # N, H, C, K, W + K - 1
    distance = torch.arange(w + size - 1, device=maps.device)[:, None] - torch.arange(w, device=maps.device)
    bands = distance == torch.arange(size, device=maps.device)[:, None, None]
    banded = kernel.flatten(0, 2) @ bands.to(kernel.dtype).flatten(1)
    return (rows.reshape(n * h, -1) @ banded.view(-1, w)).view(n, 1, h, w)


class _Pool(torch.autograd.Function):
    """See pool."""

    @staticmethod
    def forward(ctx, features: Tensor, channels: bool, positions: bool) -> tuple[Tensor, ...]:
        n, _, h, w = features.shape
        ctx.layout = _layout(features)
        ctx.dims = _pooled_dims(channels, positions, ctx.layout)
        matrices = _matrices(features, ctx.layout)
        places, pools = [], []
        for dim, over_channels in ctx.dims:
            largest, place = matrices.max(dim, keepdim=True)
            pair = [largest.squeeze(dim), matrices.mean(dim)]
            pooled = torch.stack(pair, 1).view(n, 2, h, w) if over_channels else torch.stack(pair)
            pools.append(pooled.to(torch.promote_types(pooled.dtype, torch.float32)))
            places.append(place)
        ctx.save_for_backward(*places)
        return features, *pools

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor, *of_pools: Tensor) -> tuple[Tensor, None, None]:
        # Changed in place: the one user of the features has made it for this function.
        gradient = gradient.contiguous(memory_format=ctx.layout)
        matrices = _matrices(gradient, ctx.layout)
        n, a, b = matrices.shape
        columns, rows, of_maxima = [], [], []
        for (dim, over_channels), of_pool in zip(ctx.dims, of_pools, strict=True):
            of_pool = of_pool.to(matrices.dtype)
            of_max, of_mean = of_pool.flatten(2).unbind(1) if over_channels else of_pool.unbind(0)
            of_maxima.append(of_max.unsqueeze(dim))
            columns.append(of_mean / b if dim == 2 else of_mean.new_ones(n, a))
            rows.append(of_mean / a if dim == 1 else of_mean.new_ones(n, b))
        matrices.baddbmm_(torch.stack(columns, 2), torch.stack(rows, 1))
        with _in_any_order():
            for (dim, _), place, of_max in zip(ctx.dims, ctx.saved_tensors, of_maxima, strict=True):
                matrices.scatter_add_(dim, place, of_max)
        return gradient, None, None


def _pooled_dims(channels: bool, positions: bool, layout: torch.memory_format) -> list[tuple[int, bool]]:
    """Over which dimensions of the matrices is pooled, each with whether it is the channels."""
    of_channels = 2 if layout == torch.channels_last else 1
    dims = ((of_channels, True, channels), (3 - of_channels, False, positions))
    return [(dim, over_channels) for dim, over_channels, wanted in dims if wanted]


class _Amplify(torch.autograd.Function):
    """See amplify."""

    @staticmethod
    def forward(ctx, features: Tensor, spatial: Tensor | None, channel: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, spatial, channel)
        layout = _layout(features)
        gates = _factors(spatial, channel, layout, features.dtype)
        return _amplified(features, *gates, layout, torch.empty_like(features, memory_format=layout))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        features, spatial, channel = ctx.saved_tensors
        layout = _layout(features)
        column, row = _factors(spatial, channel, layout, features.dtype)
        gradient = gradient.contiguous(memory_format=layout)
        product = gradient * features
        products = _matrices(product, layout)
        n, a, b = products.shape
        ones = products.new_ones(1, 1, 1)
        of_column = torch.bmm(products, (ones if row is None else row).expand(n, 1, b).mT)
        of_row = torch.bmm((ones if column is None else column).expand(n, a, 1).mT, products)
        of_spatial, of_channel = _spatial_and_channel(of_column, of_row, layout)
        return (
            _amplified(gradient, column, row, layout, product),
            None if spatial is None else of_spatial.reshape(spatial.shape).to(spatial.dtype),
            None if channel is None else of_channel.reshape(channel.shape).to(channel.dtype),
        )


def _amplified(
    features: Tensor, column: Tensor | None, row: Tensor | None, layout: torch.memory_format, into: Tensor
) -> Tensor:
    """Features * (1 + column * row) in their layout, written over `into`, which has it."""
    matrices, result = _matrices(features, layout), _matrices(into, layout)
    if column is not None and row is not None:
        gate = torch.mul(column, row, out=result)
    else:
        gate = row if column is None else column
    torch.addcmul(matrices, matrices, gate, out=result)
    return into


def _factors(
    spatial: Tensor | None, channel: Tensor | None, layout: torch.memory_format, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None]:
    """The gates as a column (N, A, 1) and a row (N, 1, B) to multiply matrices by."""
    column, row = _spatial_and_channel(spatial, channel, layout)
    return (
        None if column is None else column.to(dtype).flatten(1).unsqueeze(2),
        None if row is None else row.to(dtype).flatten(1).unsqueeze(1),
    )


def _spatial_and_channel(spatial: Any, channel: Any, layout: torch.memory_format) -> tuple[Any, Any]:
    """What belongs to positions and to channels, as column and row of the matrices; and the other way."""
    return (spatial, channel) if layout == torch.channels_last else (channel, spatial)


def _layout(features: Tensor) -> torch.memory_format:
    last = features.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _matrices(features: Tensor, layout: torch.memory_format) -> Tensor:
    """Features as they lie in memory: for each sample positions x channels, or channels x positions."""
    features = features.contiguous(memory_format=layout)
    if layout == torch.channels_last:
        return features.permute(0, 2, 3, 1).flatten(1, 2)
    return features.flatten(2)


@contextmanager
def _in_any_order() -> Iterator[None]:
    """Leaves out the sorting by which a GPU repeats sums: no place of a maximum occurs twice."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def _as_precise_as_its_weights(like: Tensor) -> torch.autocast:
    """Gates are small: they are computed without autocast."""
    return torch.autocast(like.device.type, enabled=False)


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
