"""DTSCNN: shallow three-dimensional convolutions over flow, one stream per temporal scale.

Peng, Wang, Chen, Liu and Fu, Dual temporal scale convolutional neural network for micro-expression
recognition, Frontiers in Psychology 8, 2017. Only the idea could be read; the layers of a stream are those
of a third party's re-implementation that names the paper. Assumed: one linear layer over the features of both
streams, trained with them (the paper trains the streams apart and puts a support vector machine on both), and
dropout before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Dtscnn(nn.Module):
    """Streams that see the same clip at several temporal scales, and one classifier over all.

    Args:
        num_classes: outputs of the classifier.
        streams: flow maps that each stream sees.
        dropout: before the classifier.
    """

    def __init__(self, num_classes: int, streams: Sequence[int] = (64, 128), dropout: float = 0.5) -> None:
        super().__init__()
        self.lengths = tuple(streams)
        self.streams = nn.ModuleList(_stream() for _ in self.lengths)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(128 * len(self.lengths), num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Flow of a clip (N, T, 2, H, W), T the longest stream's, to logits (N, num_classes).

        A shorter stream sees the means of neighbouring maps, as flow over longer steps.
        """
        maps, size = clip.transpose(1, 2), clip.shape[-2:]
        features = [
            stream(interpolate(maps, (length, *size), mode="area")).amax((2, 3, 4))
            for length, stream in zip(self.lengths, self.streams, strict=True)
        ]
        return self.fc(self.dropout(torch.cat(features, 1)))


class MaxPool(nn.Module):
    """MaxPool3d over (length, 2, 2), whose own gradient does not repeat on a GPU, and torch refuses it."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, C, T / length, H / 2, W / 2); what is left over at an end is not seen."""
        n, c, *edges = maps.shape
        t, h, w = (edge // size for edge, size in zip(edges, (self.length, 2, 2), strict=True))
        whole = maps[..., : t * self.length, : h * 2, : w * 2]
        return whole.reshape(n, c, t, self.length, h, 2, w, 2).amax((3, 5, 7))


def _stream() -> nn.Sequential:
    """(N, 2, T, H, W) to (N, 128, T', H', W')."""
    return nn.Sequential(
        nn.Conv3d(2, 16, (8, 3, 3), stride=(4, 2, 2), padding=(2, 1, 1)),
        *(nn.ReLU(), MaxPool(1)),
        nn.Conv3d(16, 32, 3, padding=1),
        *(nn.ReLU(), MaxPool(2)),
        nn.Conv3d(32, 64, 3, padding=1),
        *(nn.ReLU(), MaxPool(2)),
        nn.Conv3d(64, 128, (4, 3, 3), padding=(0, 1, 1)),
        *(nn.ReLU(), MaxPool(1)),
    )


build = Dtscnn
