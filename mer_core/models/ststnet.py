"""STSTNet: three shallow streams over horizontal flow, vertical flow and strain.

Liong, Gan, See, Khor and Huang, Shallow triple stream three-dimensional CNN (STSTNet) for micro-expression
recognition, FG 2019. "Three-dimensional" counts the channels: nothing is convolved along time. Assumed: the
settings of the flow, and how much of the face the crop shows.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

KERNELS = (3, 5, 8)  # of the streams


class Ststnet(nn.Module):
    """One convolution per stream.

    Args:
        num_classes: outputs of the classifier.
        layers: `port`, the authors' PyTorch code (ReLU, batch norm and dropout in each stream, images
            padded by two pixels), or `table`, Table I of the paper, which has none of these.
    """

    def __init__(self, num_classes: int, layers: Literal["port", "table"] = "port") -> None:
        super().__init__()
        self.streams = nn.ModuleList(_port(k) if layers == "port" else _table(k) for k in KERNELS)
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(5 * 5 * sum(KERNELS), num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, 3, 28, 28), u, v and strain, to logits (N, num_classes)."""
        return self.fc(self.pool(torch.cat([stream(maps) for stream in self.streams], 1)).flatten(1))


def _table(kernels: int) -> nn.Sequential:
    """(N, 3, 28, 28) to (N, kernels, 10, 10)."""
    return nn.Sequential(nn.Conv2d(3, kernels, 3, padding=1), nn.MaxPool2d(3, padding=1))


def _port(kernels: int) -> nn.Sequential:
    """(N, 3, 28, 28) to (N, kernels, 10, 10)."""
    return nn.Sequential(
        *(nn.Conv2d(3, kernels, 3, padding=2), nn.ReLU(), nn.BatchNorm2d(kernels)),
        *(nn.MaxPool2d(3, padding=1), nn.Dropout(0.5)),
    )


build = Ststnet
