"""DTSCNN: shallow three-dimensional convolutions over flow, one stream per temporal scale.

Peng, Wang, Chen, Liu and Fu, Dual temporal scale convolutional neural network for micro-expression
recognition, Frontiers in Psychology 8, 2017. Only the idea could be read; the layers of a stream are those
of a third party's re-implementation that names the paper. Assumed: the streams' logits are averaged (the
paper trains the streams apart and puts a support vector machine on both), one linear layer per stream,
dropout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Dtscnn(nn.Module):
    """The mean of the logits of streams that see the same clip at several temporal scales.

    Args:
        num_classes: outputs of the classifier.
        streams: flow maps that each stream sees.
        dropout: before each stream's classifier.
    """

    def __init__(self, num_classes: int, streams: Sequence[int] = (64, 128), dropout: float = 0.5) -> None:
        super().__init__()
        self.lengths = tuple(streams)
        self.streams = nn.ModuleList(_stream() for _ in self.lengths)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.ModuleList(nn.Linear(128, num_classes) for _ in self.lengths)

    def forward(self, clip: Tensor) -> Tensor:
        """Flow of a clip (N, T, 2, H, W), T the longest stream's, to logits (N, num_classes).

        A shorter stream sees the means of neighbouring maps, as flow over longer steps.
        """
        maps = clip.transpose(1, 2)
        size = clip.shape[-2:]
        logits = [
            classify(self.dropout(stream(interpolate(maps, (length, *size), mode="area")).amax((2, 3, 4))))
            for length, stream, classify in zip(self.lengths, self.streams, self.fc, strict=True)
        ]
        return torch.stack(logits).mean(0)


def _stream() -> nn.Sequential:
    """(N, 2, T, H, W) to (N, 128, T', H', W')."""
    return nn.Sequential(
        nn.Conv3d(2, 16, (8, 3, 3), stride=(4, 2, 2), padding=(2, 1, 1)),
        *(nn.ReLU(), nn.MaxPool3d((1, 2, 2))),
        nn.Conv3d(16, 32, 3, padding=1),
        *(nn.ReLU(), nn.MaxPool3d(2)),
        nn.Conv3d(32, 64, 3, padding=1),
        *(nn.ReLU(), nn.MaxPool3d(2)),
        nn.Conv3d(64, 128, (4, 3, 3), padding=(0, 1, 1)),
        *(nn.ReLU(), nn.MaxPool3d((1, 2, 2))),
    )


build = Dtscnn
