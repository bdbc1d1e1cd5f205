"""torchvision's ResNet18 with attention in every residual unit."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import linear, unfold
from torchvision.models.resnet import BasicBlock, ResNet

from mer_core.models.attention import build_attention

FEW_POSITIONS = 4  # of a map: 2 x 2, the last stage's from images of 48 or 64 pixels


class AttentionBlock(BasicBlock):
    """torchvision's residual unit with attention between its second batch norm and the addition."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.attention: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, planes, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(_convolve(self.conv1, x)))
        out = self.attention(self.bn2(_convolve(self.conv2, out)))
        out += identity
        return self.relu(out)


class AttentionMaps(NamedTuple):
    """The gates of one residual unit; None where the kind has no such gate."""

    spatial: Tensor | None  # S(F), (N, 1, H, W)
    channel: Tensor | None  # C(F), (N, C, 1, 1)


def build_model(
    attention: str, num_classes: int, reduction: int = 16, dropout: float = 0.0, channels: int = 3
) -> ResNet:
    """ResNet18 with one kind of attention in each of its eight residual units.

    The names of the backbone's weights are torchvision's for every kind, those of the attention are
    `layerK.B.attention.*`. The attention is drawn from torch's generator after the backbone: one seed
    gives the same backbone to all kinds, and to `none` the very weights of torchvision's resnet18.

    Args:
        attention: a name of attention.ATTENTION.
        num_classes: outputs of the classifier.
        reduction: of the channel attention's MLP.
        dropout: share of the pooled features that training sets to zero before the classifier.
        channels: of the images.

    Returns:
        A randomly initialised model from images (N, channels, H, W) to logits (N, num_classes).

    Raises:
        UserError: when the kind is unknown, or reduction does not divide the channels.
    """
    model = ResNet(AttentionBlock, [2, 2, 2, 2], num_classes=num_classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    for unit in residual_units(model):
        unit.attention = build_attention(attention, unit.conv2.out_channels, reduction)
    if dropout:
        model.avgpool = nn.Sequential(model.avgpool, nn.Dropout(dropout))  # which has no weights to name
    return model


def residual_units(model: nn.Module) -> list[AttentionBlock]:
    """The residual units from input to output."""
    return [module for module in model.modules() if isinstance(module, AttentionBlock)]


def attention_maps(model: nn.Module, images: Tensor) -> tuple[Tensor, list[AttentionMaps]]:
    """A forward pass that also returns what the attention of every residual unit computed.

    The pass runs in the model's present mode; call `model.eval()` first to look at a trained model.

    Args:
        model: made by build_model.
        images: (N, 3, H, W).

    Returns:
        Logits (N, K), and the gates, detached, of each unit from input to output.
    """
    seen: list[dict[str, Tensor]] = []
    hooks = []
    for unit in residual_units(model):
        gates: dict[str, Tensor] = {}
        seen.append(gates)
        for name, gate in unit.attention.named_children():
            hooks.append(gate.register_forward_hook(_keep(gates, name)))
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, [AttentionMaps(gates.get("spatial"), gates.get("channel")) for gates in seen]


def _keep(gates: dict[str, Tensor], name: str):
    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        gates[name] = output.detach()

    return hook


def _convolve(layer: nn.Conv2d, features: Tensor) -> Tensor:
    """`layer(features)`; to maps of FEW_POSITIONS on a CPU as one product of matrices.

    A convolution there is mostly weights, and a product reads them faster (docs/performance.md).

    Args:
        layer: without dilation or groups.
        features: (N, C, H, W).
    """
    kernel, padding, stride = layer.kernel_size, layer.padding, layer.stride
    n, _, *edges = features.shape
    h, w = ((e + 2 * p - k) // s + 1 for e, k, p, s in zip(edges, kernel, padding, stride, strict=True))
    if features.device.type != "cpu" or h * w > FEW_POSITIONS:
        return layer(features)
    patches = unfold(features, kernel, padding=padding, stride=stride).transpose(1, 2)  # N, H * W, C * K * K
    maps = linear(patches.flatten(0, 1), layer.weight.flatten(1), layer.bias)
    return maps.view(n, h, w, -1).permute(0, 3, 1, 2)
