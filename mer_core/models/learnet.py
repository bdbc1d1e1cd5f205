"""LEARNet: four lateral branches with accretive layers over one dynamic image of the clip.

Verma, Vipparthi, Singh and Murala, LEARNet: dynamic imaging network for micro expression recognition, IEEE
Transactions on Image Processing 29, 2020. Layers from the authors' Keras code, its uneven padding written
out. Assumed: all of the training, which is published nowhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu


class LearNet(nn.Module):
    """A stem, four branches of which two take up what their neighbours found, and a classifier.

    Args:
        num_classes: outputs of the classifier.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.plain = nn.ModuleList(_Branch(normalised=False) for _ in range(2))
        self.accretive = nn.ModuleList(_Branch(normalised=True) for _ in range(2))
        self.norm = _norm(256)
        self.merge = nn.Conv2d(256, 256, 3, stride=2, padding=1)
        self.hidden = nn.Sequential(nn.Linear(4 * 4 * 256, 256), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(256, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """A dynamic image (N, 3, 112, 112) to logits (N, num_classes)."""
        stem = relu(self.stem(pad(image, (0, 1, 0, 1))))
        ends = []
        for plain, accretive in zip(self.plain, self.accretive, strict=True):
            found = plain.steps(stem)
            ends += [found[-1], accretive.steps(stem, lateral=found)[-1]]
        merged = relu(self.merge(self.norm(torch.cat(ends, 1))))
        return self.fc(self.hidden(merged.flatten(1)))


class _Branch(nn.Module):
    """Convolutions of 1, 3 and 5 pixels, each halving the image."""

    def __init__(self, normalised: bool) -> None:
        super().__init__()
        self.one = nn.Conv2d(16, 16, 1, stride=2)
        self.three = nn.Conv2d(16, 32, 3, stride=2)
        self.five = nn.Conv2d(32, 64, 5, stride=2)
        self.norms = nn.ModuleList([_norm(16), _norm(32)] if normalised else [])

    def steps(self, stem: Tensor, lateral: list[Tensor] | None = None) -> list[Tensor]:
        """(N, 16, 28, 28), (N, 32, 14, 14), (N, 64, 7, 7); a lateral branch's are added and normalised."""
        one = relu(self.one(stem))
        one = self.norms[0](one + lateral[0]) if lateral else one
        three = relu(self.three(pad(one, (0, 1, 0, 1))))
        three = self.norms[1](three + lateral[1]) if lateral else three
        return [one, three, relu(self.five(pad(three, (1, 2, 1, 2))))]


def _norm(channels: int) -> nn.BatchNorm2d:
    """With the constants of Keras, whose momentum of 0.99 is torch's 0.01."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


build = LearNet
