"""Aligned faces and their labels as tensors on the device, and who is trained on and who is tested."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mer_core.datasets import manifest
from mer_core.errors import UserError
from mer_core.faces.cache import read_cache
from mer_core.provenance import value_digest

_LOG = logging.getLogger(__name__)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SUBJECT_ORDERS = 200  # random orders of the subjects that split_by_subject chooses from


@dataclass(frozen=True, eq=False)
class Samples:
    """A dataset in memory.

    Attributes:
        images: uint8 (N, H, W, C) on the device; C is 3 or 1.
        labels: int64 (N,) on the device, indices into classes.
        table: the N rows of the manifest; row i describes image i.
        classes: class names in order.
        absent: sample_id of the included samples that have no aligned image.
        subjects: everyone in the manifest, with or without samples that can be used.
        digests: `cache`, of the cache's attributes; `manifest`, of subjects and labels by sample.
        mean, std: float32 (3, 1, 1), per channel, of images in [0, 1].
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

    def pixels(self, index: Tensor) -> Tensor:
        """Some images in [0, 1]: float32 (n, C, H, W), channels last in memory."""
        return self.images[index].permute(0, 3, 1, 2).float() / 255

    def normalize(self, pixels: Tensor) -> Tensor:
        """What the network sees: float32 (n, 3, H, W); one gray channel becomes three."""
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

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
    labels = pd.Index(classes).get_indexer(table["label"])
    if (labels < 0).any():
        row = table[labels < 0].iloc[0]
        raise UserError(
            f"{samples}: sample '{row.sample_id}' has the label '{row.label}', which is none of "
            f"{', '.join(classes)}; delete the manifest and run again"
        )
    images = torch.from_numpy(aligned.images[at]).to(device)
    _LOG.info("%d images of %d x %d, %d subjects", *images.shape[:3], table["subject"].nunique())
    return Samples(
        images=images,
        labels=torch.from_numpy(labels.astype(np.int64)).to(device),
        table=table,
        classes=list(classes),
        absent=absent,
        subjects=set(everything["subject"]),
        digests={
            "cache": value_digest(aligned.attributes),
            "manifest": value_digest(table[["sample_id", "subject", "label"]].to_numpy().tolist()),
        },
        mean=torch.zeros(3, 1, 1, device=device),
        std=torch.ones(3, 1, 1, device=device),
    )


def with_normalization(
    samples: Samples, kind: Literal["imagenet", "dataset", "none"], train: Tensor
) -> Samples:
    """The samples with the channel statistics that inputs are normalised by.

    Args:
        samples: the dataset.
        kind: `imagenet`; `dataset`, the mean and standard deviation over all pixels of the training
            part, and of nothing else; or `none`, which leaves images in [0, 1].
        train: indices of the training part.
    """
    if kind == "none":
        return replace(samples, mean=torch.zeros_like(samples.mean), std=torch.ones_like(samples.std))
    if kind == "imagenet":
        mean, std = (torch.tensor(values) for values in IMAGENET)
    else:
        pixels = samples.images[train].double().div(255).flatten(0, 2)
        mean, std = pixels.mean(0).expand(3), pixels.std(0, correction=0).expand(3)
        std = std.clamp(min=1 / 255)  # a channel that never varies
    mean, std = (values.float().to(samples.images.device).view(3, 1, 1) for values in (mean, std))
    return replace(samples, mean=mean, std=std)


def split_fold(samples: Samples, subject: str) -> tuple[Tensor, Tensor]:
    """Leave one subject out.

    Returns:
        Indices of the training and of the test samples, in manifest order; no test samples when the
        manifest knows the subject but none of its samples can be used.

    Raises:
        UserError: the manifest does not know the subject.
    """
    if subject not in samples.subjects:
        known = ", ".join(sorted(samples.subjects))
        raise UserError(f"subject '{subject}' is not in the manifest; it has {known}")
    held_out = (samples.table["subject"] == subject).to_numpy()
    return _indices(samples, ~held_out, held_out, apart="subject")


def split_by_frame(samples: Samples, test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """The paper's split: a random share of the images is the test part.

    Frames of one sequence then stand on both sides; see `shared_with_training`.
    """
    n = len(samples.table)
    if n < 2:
        raise UserError("pretraining needs at least two images; look at the source's manifest")
    test = np.zeros(n, dtype=bool)
    chosen = np.random.default_rng(seed).permutation(n)[: int(np.clip(round(n * test_fraction), 1, n - 1))]
    test[chosen] = True
    return _indices(samples, ~test, test, apart="sample_id")


def split_by_subject(
    samples: Samples, test_fraction: float, seed: int, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A random split with no person on both sides.

    Of 200 random orders of the subjects, each cut where the share of images comes nearest to
    `test_fraction`, the one is taken that leaves the fewest classes out on either side, and among
    those the one that comes nearest.

    Args:
        samples: the dataset.
        test_fraction: wanted share of the test part.
        seed: same seed, same split.
        among: indices to split; all by default.

    Returns:
        Indices of the training and of the test part, in manifest order.

    Raises:
        UserError: there are fewer than two subjects.
    """
    use = np.arange(len(samples.table)) if among is None else np.sort(among.cpu().numpy())
    table = samples.table.iloc[use]
    counts = pd.crosstab(table["subject"], table["label"]).to_numpy()  # subjects x classes that occur
    if len(counts) < 2:
        raise UserError("a split by subject needs at least two subjects; use more subjects or another split")
    rng = np.random.default_rng(seed)
    best, best_score = None, None
    for _ in range(SUBJECT_ORDERS):
        order = rng.permutation(len(counts))
        taken = counts[order].cumsum(axis=0)[:-1]
        error = np.abs(taken.sum(1) - test_fraction * len(use))
        cut = int(error.argmin())
        missing = int((taken[cut] == 0).sum() + (counts.sum(0) - taken[cut] == 0).sum())
        if best_score is None or (missing, error[cut]) < best_score:
            best, best_score = order[: cut + 1], (missing, error[cut])
    subjects = np.sort(table["subject"].unique())[best]
    used, test = np.zeros((2, len(samples.table)), dtype=bool)
    used[use] = True
    test[use] = table["subject"].isin(subjects)
    return _indices(samples, used & ~test, test, apart="subject")


def tell_missing_classes(samples: Samples, train: Tensor) -> None:
    """Say in the log which classes the training part lacks, or knows from one sample only."""
    for name, count in zip(samples.classes, samples.counts(train), strict=True):
        if count == 0:
            _LOG.warning("no training sample of class %s: it will hardly ever be predicted", name)
        elif count == 1:
            _LOG.warning("a single training sample of class %s", name)


def shared_with_training(samples: Samples, train: Tensor, test: Tensor) -> dict[str, float]:
    """How much of the test part the training has nearly seen.

    Returns:
        siblings: share of the test images with a frame of the same sequence in training;
        same_person: share of the test images whose person is in training.
    """
    table = samples.table
    train_rows, test_rows = table.iloc[train.cpu().numpy()], table.iloc[test.cpu().numpy()]
    sequences = pd.MultiIndex.from_frame(train_rows[["subject", "clip"]])
    return {
        "siblings": float(pd.MultiIndex.from_frame(test_rows[["subject", "clip"]]).isin(sequences).mean()),
        "same_person": float(test_rows["subject"].isin(train_rows["subject"]).mean()),
    }


def _indices(samples: Samples, train: np.ndarray, test: np.ndarray, apart: str) -> tuple[Tensor, Tensor]:
    """Masks as indices on the device, after a check that the column `apart` shares no value."""
    both = set(samples.table[apart][train]) & set(samples.table[apart][test])
    if both:
        raise RuntimeError(f"leak: {sorted(both)} in training and in test")
    device = samples.images.device
    return tuple(torch.from_numpy(np.flatnonzero(mask)).to(device) for mask in (train, test))
