"""RCN-A: a shallow recurrent convolutional network with attention that has no parameters of its own.

Xia, Peng, Khor and Zhao, Revealing the invisible with model and data shrinking for composite-database
micro-expression recognition, IEEE Transactions on Image Processing 29, 2020. Layers from the authors' code.
Assumed: how flow is estimated, the edge of 60 pixels, 100 epochs at a constant rate (their text says 20,
their code defaults to 100, and the decay that it creates is never applied).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

EPSILON = 1e-8  # where a map is flat; the authors' code divides by zero there: an assumption


class RcnA(nn.Module):
    """One convolution, one recurrent block, and attention made of the classifier's weights.

    Args:
        num_classes: outputs of the classifier.
        features: maps of each layer; the authors' README runs 32, their code's default is 64.
        pooled: edge of the maps before the classifier; 5 in the README, 7 in the code.
    """

    def __init__(self, num_classes: int, features: int = 32, pooled: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, features, 5), nn.BatchNorm2d(features), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.5)),
        )
        self.first = nn.Sequential(nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU())
        # Used twice: weights and statistics of the normalisation are shared over the recurrence.
        self.again = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features), nn.ReLU()
        )
        self.after = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5))
        self.pooled = pooled
        self.fc = nn.Linear(features * pooled * pooled, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, 3, 60, 60), u, v and strain, to logits (N, num_classes)."""
        seen = self.stem(maps)
        state = self.first(seen)
        for _ in range(2):
            state = self.again(seen + state)
        attended = pool(self.after(state), self.pooled) * self.attention(pool(seen, self.pooled))
        return self.fc(attended.flatten(1))

    def attention(self, features: Tensor) -> Tensor:
        """Where the classifier's weights meet the features: (N, F, P, P) to (N, 1, P, P) in [0, 1].

        For each class the mean over channels of weight times feature, stretched to 0..1 per sample; then
        the mean over classes. Its gradient reaches the classifier, too, as in the authors' code.
        """
        weights = self.fc.weight.view(-1, *features.shape[1:])
        maps = (features[:, None] * weights).mean(2)  # (N, K, P, P)
        low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        return ((maps - low) / (high - low + EPSILON)).mean(1, keepdim=True)


def pool(maps: Tensor, edge: int) -> Tensor:
    """AdaptiveAvgPool2d, as two products: its own gradient does not repeat on a GPU, and torch refuses it."""
    rows, columns = (
        adaptive_avg_pool1d(torch.eye(size, dtype=maps.dtype, device=maps.device)[None], edge)[0]
        for size in maps.shape[-2:]
    )
    return rows.T @ maps @ columns


build = RcnA
