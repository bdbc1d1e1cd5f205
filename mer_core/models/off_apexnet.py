"""OFF-ApexNet: two small streams, one per component of the flow from onset to apex.

Gan, Liong, Yau, Huang and Tan, OFF-ApexNet on micro-expression recognition system, Signal Processing: Image
Communication 74, 2019. The layers are those of an independent implementation, whose number of parameters is
the published one. Assumed: the activation of the convolutions, the optimiser and its epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

HIDDEN = 1024


class OffApexNet(nn.Module):
    """Two convolutions and two poolings per component, then two hidden layers over both.

    Args:
        num_classes: outputs of the classifier.
        conv_activation: a ReLU after each convolution. The implementation has none and the paper does not
            say: an assumption.
    """

    def __init__(self, num_classes: int, conv_activation: bool = True) -> None:
        super().__init__()
        self.u = _stream(conv_activation)
        self.v = _stream(conv_activation)
        self.hidden = nn.Sequential(
            *(nn.Linear(2 * 16 * 7 * 7, HIDDEN), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(0.5)),
        )
        self.fc = nn.Linear(HIDDEN, num_classes)

    def forward(self, flow: Tensor) -> Tensor:
        """Flow (N, 2, 28, 28), its components u and v, to logits (N, num_classes)."""
        streams = self.u(flow[:, :1]), self.v(flow[:, 1:2])
        return self.fc(self.hidden(torch.cat([stream.flatten(1) for stream in streams], 1)))


def _stream(activation: bool) -> nn.Sequential:
    """(N, 1, 28, 28) to (N, 16, 7, 7)."""
    between = [nn.ReLU()] if activation else []
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), *between, nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5, padding=2), *between, nn.MaxPool2d(2)),
    )


build = OffApexNet
