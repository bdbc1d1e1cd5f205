"""HTNet: a hierarchical transformer over four patches of flow, around the eyes and the corners of the mouth.

Wang, Zhang, Luo and Sankaranarayana, HTNet for micro-expression recognition, Neurocomputing 602, 2024.
Layers from the authors' code, in whose published setting every attention runs over one token: the softmax
of one number is 1, so queries and keys change nothing and get no gradient. Here that form is `attention:
degenerate`. Assumed: landmarks of the aligned face, mapped to the grid without the exchange of x and y in the
authors' code.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

EDGE = 28  # of the tiled image, pixels
LEVELS = 3


class HtNet(nn.Module):
    """Three levels of transformers in blocks: 4 x 4 of them, then 2 x 2, then one.

    Args:
        num_classes: outputs of the classifier.
        dim: channels of the first level, doubled with every level; the authors use 256.
        attention: `degenerate`, patches of 7 pixels, one token per block (as published), or `true`, patches
            of one pixel, 49 tokens per block.
        heads: per level; the authors use 3, 6, 12.
        depths: layers per level; the authors use 2, 2, 10.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int = 64,
        attention: Literal["degenerate", "true"] = "degenerate",
        heads: Sequence[int] = (2, 2, 2),
        depths: Sequence[int] = (2, 2, 10),
    ) -> None:
        super().__init__()
        patch = 7 if attention == "degenerate" else 1
        tokens = EDGE // patch >> (LEVELS - 1)  # along the edge of a block, the same on every level
        self.embed = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(3 * patch * patch, dim, 1))
        dims = [dim << level for level in range(LEVELS)]
        self.levels = nn.ModuleList(
            _Level(own, heads[level], depths[level], 1 << (LEVELS - 1 - level), tokens)
            for level, own in enumerate(dims)
        )
        self.between = nn.ModuleList(_merge(*pair) for pair in itertools.pairwise(dims))
        self.norm = _ChannelNorm(dims[-1])
        self.fc = nn.Linear(dims[-1], num_classes)

    def forward(self, patches: Tensor) -> Tensor:
        """Four tiled patches of u, v and strain, (N, 3, 28, 28), to logits (N, num_classes)."""
        maps = self.embed(patches)
        for level, own in enumerate(self.levels):
            maps = own(maps)
            if level < len(self.between):
                maps = self.between[level](maps)
        return self.fc(self.norm(maps).mean((2, 3)))


class _ChannelNorm(nn.Module):
    """Layer norm over the channels of each position."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dim, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
        return (x - mean) * (variance + 1e-5).rsqrt() * self.gain + self.bias


class _Attention(nn.Module):
    """Self-attention among the positions of a block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * (dim // heads)
        self.qkv = nn.Conv2d(dim, 3 * inner, 1, bias=False)
        self.out = nn.Conv2d(inner, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        queries, keys, values = (
            self.qkv(x).view(n, 3, self.heads, -1, height * width).transpose(-1, -2).unbind(1)
        )
        # Not scaled_dot_product_attention, which on a GPU refuses heads whose width is no multiple of 8, and
        # has nothing to save among 49 tokens at most.
        weights = (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-1, -2)).softmax(-1)
        mixed = weights @ values
        return self.out(mixed.transpose(-1, -2).reshape(n, -1, height, width))


class _Level(nn.Module):
    """Transformer layers over blocks x blocks parts of a map, each part by itself."""

    def __init__(self, dim: int, heads: int, depth: int, blocks: int, tokens: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.position = nn.Parameter(torch.randn(tokens * tokens))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.Sequential(_ChannelNorm(dim), _Attention(dim, heads)),
                    nn.Sequential(
                        _ChannelNorm(dim), nn.Conv2d(dim, 4 * dim, 1), nn.GELU(), nn.Conv2d(4 * dim, dim, 1)
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, dim, height, width = x.shape
        b, h, w = self.blocks, height // self.blocks, width // self.blocks
        x = x.view(n, dim, b, h, b, w).permute(0, 2, 4, 1, 3, 5)  # (N, b, b, C, h, w)
        x = x.reshape(n * b * b, dim, h, w) + self.position.view(h, w)
        for attend, feed in self.layers:
            x = x + attend(x)
            x = x + feed(x)
        return x.view(n, b, b, dim, h, w).permute(0, 3, 1, 4, 2, 5).reshape(n, dim, height, width)


def _merge(small: int, large: int) -> nn.Sequential:
    """Halves the map: (N, small, H, W) to (N, large, H / 2, W / 2)."""
    return nn.Sequential(
        nn.Conv2d(small, large, 3, padding=1), _ChannelNorm(large), nn.MaxPool2d(3, stride=2, padding=1)
    )


build = HtNet
