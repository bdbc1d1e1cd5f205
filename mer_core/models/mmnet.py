"""MMNet: the difference of apex and onset, modulated by a transformer over the onset's positions.

Li, Sui, Zhu and Zhao, MMNet: muscle motion-guided network for micro-expression recognition, IJCAI 2022.
Layers from the authors' code, without what it declares and never runs.
Assumed: the alignment. Onset and apex are those annotated, where the authors draw neighbours within a frame;
each is normalised by statistics of its own, where theirs share ImageNet's; the rate follows a cosine, where
they multiply it by 0.987 after each of the first 50 epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

WIDTH = 512


class MmNet(nn.Module):
    """A main branch over apex - onset and a branch of positions over the onset.

    Args:
        num_classes: outputs of the classifier.
        size: edge of the images in pixels; a multiple of 16. The authors use 224.
    """

    def __init__(self, num_classes: int, size: int = 224) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 180, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(180), nn.ReLU()),
            *(nn.Conv2d(180, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
        )
        shapes = [(128, 128, 1), (128, 128, 2), (128, 256, 2), (256, WIDTH, 2)]
        self.blocks = nn.ModuleList(_Block(*shape) for shape in shapes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.positions = _Positions(size // 16)
        self.fc = nn.Linear(WIDTH * (size // 16) ** 2, num_classes)

    def forward(self, pair: Tensor) -> Tensor:
        """Onset and apex (N, 6, H, W), normalised, to logits (N, num_classes)."""
        onset, apex = pair[:, :3], pair[:, 3:]
        maps, gate = self.stem(apex - onset), None
        for block in self.blocks:
            maps, gate = block(maps, gate)
        return self.fc((maps + self.positions(onset)).flatten(1))


class _Block(nn.Module):
    """A residual block whose spatial gate is multiplied by that of the block before."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (channels, stride) != (width, 1):
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.gate = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        out = (self.body(x) + self.shortcut(x)).relu()
        gate = self.gate(torch.cat([out.mean(1, keepdim=True), out.amax(1, keepdim=True)], 1))
        if before is not None:
            same = before.shape[-1] == gate.shape[-1]
            gate = gate * (before if same else max_pool2d(before, 3, stride=2, padding=1))
        return out * gate, gate


class _Positions(nn.Module):
    """What a transformer makes of the onset's pixels, one token per position."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.embed = nn.Conv2d(3, WIDTH, 1)
        self.place = nn.Parameter(torch.zeros(1, grid * grid, WIDTH))
        nn.init.trunc_normal_(self.place, std=0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH,
            4,
            4 * WIDTH,
            0.0,
            nn.functional.gelu,
            layer_norm_eps=1e-6,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, 2, nn.LayerNorm(WIDTH, eps=1e-6), enable_nested_tensor=False
        )

    def forward(self, onset: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 512, grid, grid)."""
        small = interpolate(onset, (self.grid, self.grid), mode="bilinear", align_corners=False)
        tokens = self.embed(small).flatten(2).transpose(1, 2) + self.place
        return self.layers(tokens).transpose(1, 2).unflatten(2, (self.grid, self.grid))


build = MmNet
