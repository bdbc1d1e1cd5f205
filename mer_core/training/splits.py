"""Who is trained on and who is tested."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mer_core.errors import UserError
from mer_core.training.data import Samples

SUBJECT_ORDERS = 200  # random orders of the subjects that split_by_subject chooses from


def split_fold(samples: Samples, subjects: Collection[str]) -> tuple[Tensor, Tensor]:
    """Leave some subjects out.

    Returns:
        Indices of the training and of the test samples, in manifest order; no test samples where none
        of these subjects' can be used.
    """
    held_out = samples.table["subject"].isin(set(subjects)).to_numpy()
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
