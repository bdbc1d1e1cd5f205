"""The networks: attention, ResNet18, losses, and weights on disk."""

from mer_core.models.attention import ATTENTION
from mer_core.models.resnet import AttentionMaps, attention_maps, build_model

__all__ = ["ATTENTION", "AttentionMaps", "attention_maps", "build_model"]
