"""Attention as plain expressions, which autograd differentiates: what the gradient by hand stands beside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mer_core.models import attention


@contextmanager
def autograd_attention() -> Iterator[None]:
    """Networks compute their attention by the plain expressions for as long as the context lasts."""
    before = attention.pool, attention.amplify, attention.convolve
    attention.pool, attention.amplify, attention.convolve = plain_pool, plain_amplify, plain_convolve
    try:
        yield
    finally:
        attention.pool, attention.amplify, attention.convolve = before


def plain_pool(
    features: Tensor, channels: bool = False, positions: bool = False
) -> tuple[Tensor, attention.Pools]:
    """attention.pool by torch's own reductions."""
    over_channels = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
    over_positions = torch.stack([features.amax((2, 3)), features.mean((2, 3))])
    return features, attention.Pools(
        over_channels if channels else None, over_positions if positions else None
    )


def plain_amplify(features: Tensor, spatial: Tensor | None, channel: Tensor | None) -> Tensor:
    """attention.amplify by torch's own products."""
    gates = [gate.to(features.dtype) for gate in (spatial, channel) if gate is not None]
    if len(gates) == 1:
        return torch.addcmul(features, features, *gates)
    return torch.addcmul(features, features * gates[0], gates[1])


def plain_convolve(maps: Tensor, kernel: Tensor) -> Tensor:
    """attention.convolve by torch's own convolution."""
    return torch.conv2d(maps, kernel, padding=kernel.shape[-1] // 2)
