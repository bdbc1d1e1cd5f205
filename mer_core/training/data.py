"""Aligned faces and their labels as tensors on the device."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from mer_core import container
from mer_core.datasets import manifest
from mer_core.errors import UserError
from mer_core.faces.cache import read_cache
from mer_core.training.device import memory_format

_LOG = logging.getLogger(__name__)
SUMMED_AT_ONCE = 16  # images, or clips, whose values are added up in eight bytes each
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Samples:
    """A dataset in memory.

    Attributes:
        images: uint8 (N, H, W, C) on the device, C is 3 or 1; or float16 (N, ..., C), the maps of an input.
        labels: int64 (N,) on the device, indices into classes.
        table: the N rows of the manifest; row i describes image i.
        classes: class names in order.
        absent: sample_id of the included samples that have no aligned image.
        subjects: everyone in the manifest, with or without samples that can be used.
        digests: `cache`, its checksum; `manifest`, of subjects and labels by sample.
        mean, std: float32 (channels, 1, 1), per channel, of images in [0, 1] or of maps.
    """

    images: Tensor
    labels: Tensor
    table: pd.DataFrame
    classes: list[str]
    absent: list[str]
    subjects: set[str]
    digests: dict[str, str]
    mean: Tensor
    std: Tensor

    @property
    def are_maps(self) -> bool:
        """Whether the images are the maps of an input rather than photographs."""
        return self.images.is_floating_point()

    @property
    def channels(self) -> int:
        """Of what the network sees."""
        return max(3, self.images.shape[-1]) if not self.are_maps else self.images.shape[-1]

    @property
    def edge(self) -> int:
        """Of the images, or of each frame or map of a clip, in pixels."""
        return self.images.shape[-2]

    @property
    def memory_format(self) -> torch.memory_format:
        """How images and weights lie in memory."""
        return memory_format(self.images.device, self.edge)

    def pixels(self, index: Tensor) -> Tensor:
        """Some images in [0, 1], or maps as they are: float32 (n, C, H, W), of clips (n, T, C, H, W)."""
        pixels = self.images[index].movedim(-1, -3).float()
        return pixels if self.are_maps else pixels / 255

    def normalize(self, pixels: Tensor) -> Tensor:
        """What the network sees: float32 (n, channels, H, W); one gray channel becomes three."""
        seen = (pixels - self.mean) / self.std
        return seen.contiguous(memory_format=self.memory_format) if seen.ndim == 4 else seen

    def counts(self, index: Tensor) -> list[int]:
        """How many of some samples belong to each class."""
        return torch.bincount(self.labels[index].cpu(), minlength=len(self.classes)).tolist()


def load(cache: Path, samples: Path, classes: Sequence[str], device: torch.device) -> Samples:
    """Join a cache and a manifest by sample_id and put the images on the device, once.

    Included samples without an aligned image are left out, counted in the log and listed in `absent`;
    images of samples that the manifest does not include are left out, too.

    Args:
        cache: the merged cache of a dataset.
        samples: its manifest.
        classes: class names in order.
        device: where the tensors go.

    Raises:
        UserError: a label is no class, nothing is left, or one of the files is damaged.
    """
    everything = manifest.read_manifest(samples)
    table = manifest.included(everything)
    aligned = read_cache(cache)
    at = pd.Index(aligned.sample_id).get_indexer(table["sample_id"])
    absent = table.loc[at < 0, "sample_id"].tolist()
    if absent:
        _LOG.warning("%d of %d included samples have no aligned image: %s", len(absent), len(table), absent)
    table, at = table[at >= 0].reset_index(drop=True), at[at >= 0]
    if table.empty:
        raise UserError(f"{cache}: holds no image of {samples}; delete both and run again")
    labels = manifest.class_indices(table, classes, samples)
    images = torch.from_numpy(aligned.images[at]).to(device)
    size = " x ".join(map(str, images.shape[1:]))
    _LOG.info("%d images of %s, %d subjects", len(images), size, table["subject"].nunique())
    channels = images.shape[-1] if images.is_floating_point() else 3
    return Samples(
        images=images,
        labels=torch.from_numpy(labels).to(device),
        table=table,
        classes=list(classes),
        absent=absent,
        subjects=set(everything["subject"]),
        digests={"cache": container.seal(cache), "manifest": manifest.digest(table)},
        mean=torch.zeros(channels, 1, 1, device=device),
        std=torch.ones(channels, 1, 1, device=device),
    )


def with_normalization(
    samples: Samples, kind: Literal["imagenet", "dataset", "none"], train: Tensor
) -> Samples:
    """The samples with the channel statistics that inputs are normalised by.

    Args:
        samples: the dataset.
        kind: `imagenet`, of photographs, whereas maps are normalised as by `dataset`; `dataset`, the mean
            and standard deviation over all pixels of the training part, and of nothing else; or `none`,
            which leaves images in [0, 1].
        train: indices of the training part.
    """
    if kind == "none":
        return replace(samples, mean=torch.zeros_like(samples.mean), std=torch.ones_like(samples.std))
    if samples.are_maps:
        mean, std = _statistics_of_maps(samples.images, train)
    elif kind == "imagenet":
        mean, std = (torch.tensor(values) for values in IMAGENET)
    else:
        mean, std = _statistics(samples.images, train)
    mean, std = (values.float().to(samples.images.device).view(-1, 1, 1) for values in (mean, std))
    return replace(samples, mean=mean, std=std)


def _statistics(images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each of three channels, float64 (3,); exact sums, part by part."""
    total = squares = torch.zeros(images.shape[3], dtype=torch.int64, device=images.device)
    for part in index.split(SUMMED_AT_ONCE):
        pixels = images[part].flatten(0, 2).long()
        total, squares = total + pixels.sum(0), squares + (pixels**2).sum(0)
    n = len(index) * images[0, :, :, 0].numel()
    mean = total.double() / n
    std = (squares.double() / n - mean**2).clamp(min=1).sqrt()  # a channel that never varies
    return mean.div(255).expand(3), std.div(255).expand(3)


def _statistics_of_maps(images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, float64 (C,)."""
    n = len(index) * images[0, ..., 0].numel()
    total = squares = torch.zeros(images.shape[-1], dtype=torch.float64, device=images.device)
    for part in index.split(SUMMED_AT_ONCE):
        total = total + images[part].double().flatten(0, -2).sum(0)
    for part in index.split(SUMMED_AT_ONCE):
        squares = squares + (images[part].double().flatten(0, -2) - total / n).square().sum(0)
    return total / n, (squares / n).sqrt().clamp(min=1e-6)


def tell_missing_classes(samples: Samples, train: Tensor) -> None:
    """Say in the log which classes the training part lacks, or knows from one sample only."""
    for name, count in zip(samples.classes, samples.counts(train), strict=True):
        if count == 0:
            _LOG.warning("no training sample of class %s: it will hardly ever be predicted", name)
        elif count == 1:
            _LOG.warning("a single training sample of class %s", name)
