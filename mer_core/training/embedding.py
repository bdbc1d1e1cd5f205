"""What the classifier of a network sees of samples: the features that it has learnt on other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from mer_core.models.efficientnet_lite0 import EDGE, MEAN, STD, EfficientNetLite0
from mer_core.models.weights import load_weights
from mer_core.provenance import file_digest, value_digest
from mer_core.training import data
from mer_core.training.fold import network_of

if TYPE_CHECKING:
    from mer_core.config.models import Variant

AT_ONCE = 64  # images


def embed(
    cache: Path,
    manifest: Path,
    classes: Sequence[str],
    *,
    variant: Variant | None,
    reduction: int,
    normalization: str,
    weights: Path | None,
    code: str = "",
) -> tuple[list[str], np.ndarray, list[str]]:
    """Describe every aligned sample by what reaches the classifier of a network.

    Nothing is learnt of these samples: weights and normalisation are those of other images.

    Args:
        cache: the dataset's aligned faces.
        manifest: its manifest.
        classes: its classes in order.
        variant: whose network it is; None is EfficientNet-Lite0 with its packaged weights, which sees images
            as it was trained on them, 224 pixels wide.
        reduction: of the channel attention.
        normalization: `imagenet` or `none`, as in the variant's pretraining.
        weights: the variant's, a safetensors file.
        code: digest of the code.

    Returns:
        sample_id of the N samples, float32 (N, D), and N times the digest of what these were made of.

    Raises:
        UserError: a file is damaged, or the weights do not fit.
    """
    samples = data.load(cache, manifest, classes, torch.device("cpu"))
    everyone = torch.arange(len(samples.labels))
    if variant is None:
        model, edge = EfficientNetLite0(len(classes)), EDGE
        own = {"mean": torch.full_like(samples.mean, MEAN), "std": torch.full_like(samples.std, STD)}
        samples = replace(samples, **own)
    else:
        model, edge = network_of(variant, samples, reduction, dropout=0.0), None
        load_weights(model, weights, skip_classifier=True)
        samples = data.with_normalization(samples, normalization, everyone)
    values = reaching_the_classifier(model, samples, edge)
    made_of = [samples.digests, variant and variant.model_dump(), reduction, normalization]
    made_of += [weights and file_digest(weights), code]
    return samples.table["sample_id"].tolist(), values, [value_digest(made_of)] * len(values)


@torch.inference_mode()
def reaching_the_classifier(model: nn.Module, samples: data.Samples, edge: int | None = None) -> np.ndarray:
    """What a model's classifier `fc` gets of every sample, float32 (N, D).

    Args:
        model: on the device of the samples; left without its classifier, in evaluation mode.
        samples: with their normalisation.
        edge: pixels that images are brought to first; None leaves them.
    """
    model.eval()
    model.fc = nn.Identity()
    found = []
    for part in torch.arange(len(samples.labels)).split(AT_ONCE):
        pixels = samples.pixels(part)
        if edge:
            pixels = interpolate(pixels, (edge, edge), mode="bilinear", antialias=True)
        found.append(model(samples.normalize(pixels)).cpu())
    return torch.cat(found).numpy()
