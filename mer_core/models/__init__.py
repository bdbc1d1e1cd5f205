"""The networks: attention, ResNet18, those to compare with, losses, and weights on disk."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from mer_core.models.attention import ATTENTION
from mer_core.models.resnet import AttentionMaps, attention_maps, build_model

__all__ = ["ATTENTION", "AttentionMaps", "attention_maps", "build_model", "build_network"]


def build_network(settings: Mapping[str, Any], num_classes: int, channels: int) -> nn.Module:
    """A network by its settings; every one ends in a classifier `fc`.

    Args:
        settings: `kind` and what the network can be built with; of resnet18 `attention` and `reduction`, too.
        num_classes: outputs of the classifier.
        channels: of the inputs; only resnet18 can be built for any number.

    Returns:
        A model from inputs (N, channels, H, W) to logits (N, num_classes), randomly initialised but for
        weights that it brings along.
    """
    options = dict(settings)
    kind = options.pop("kind")
    if kind == "resnet18":
        return build_model(num_classes=num_classes, channels=channels, **options)
    # By name: the code of one network is no part of what the results of others depend on.
    return importlib.import_module(f"mer_core.models.{kind}").build(num_classes, **options)
