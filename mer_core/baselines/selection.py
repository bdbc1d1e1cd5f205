"""Selecting features by an evolutionary search inside the training subjects.

Patel, Hong and Zhao, Selective deep features for micro-expression recognition, ICPR 2016, select features
of networks by an evolutionary search; which search, fitness and classifier could not be read. Assumed here:
a genetic algorithm over masks, whose fitness is the macro-F1 of ridge regression when each training subject
is left out in turn, less a price on the number of features. The searched score of the winner is too good by
the search itself, so it is recorded and never reported as a result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_core.config.baselines import GeneticSelection
from mer_core.evaluation.metrics import scores

TOURNAMENT, ELITE = 3, 2
PRICE = 0.01  # of macro-F1, for all features


@dataclass(frozen=True, eq=False)
class Selection:
    """The features chosen.

    Attributes:
        mask: bool (D,).
        inner_macro_f1: of the winner, over the training subjects left out in turn.
    """

    mask: np.ndarray
    inner_macro_f1: float


def held_out_values(kernel: np.ndarray, targets: np.ndarray, groups: np.ndarray, ridge: float) -> np.ndarray:
    """What kernel ridge regression says of each sample when its group is left out of the training.

    In closed form, without refitting: with H = K (K + aI)^-1, the residual of a group g is
    (I - H_gg)^-1 (y_g - (H y)_g).

    Args:
        kernel: K (n, n).
        targets: (n, c).
        groups: (n,).
        ridge: a > 0.

    Returns:
        (n, c).
    """
    n = len(kernel)
    hat = np.linalg.solve(kernel + ridge * np.eye(n), kernel).T
    residual = targets - hat @ targets
    values = np.empty_like(residual)
    for group in np.unique(groups):
        of = np.flatnonzero(groups == group)
        left_out = np.linalg.solve(np.eye(len(of)) - hat[np.ix_(of, of)], residual[of])
        values[of] = targets[of] - left_out
    return values


def inner_macro_f1(features: np.ndarray, labels: np.ndarray, subjects: np.ndarray, ridge: float) -> float:
    """Macro-F1 over the classes that occur when each subject is left out in turn.

    Args:
        features: (n, D), standardised.
        labels: int (n,).
        subjects: (n,).
        ridge: strength of the regression's penalty, relative to the mean of the kernel's diagonal.
    """
    present = np.unique(labels)
    targets = np.where(labels[:, None] == present, 1.0, 0.0)
    kernel = features @ features.T + 1.0  # 1: a constant feature, in place of an intercept
    values = held_out_values(kernel, targets, subjects, ridge * np.trace(kernel) / len(kernel))
    confusion = np.zeros((len(present), len(present)), np.int64)
    np.add.at(confusion, (np.searchsorted(present, labels), values.argmax(1)), 1)
    return float(scores(confusion)["macro_f1"])


def select_features(
    features: np.ndarray, labels: np.ndarray, subjects: np.ndarray, settings: GeneticSelection, seed: int
) -> Selection:
    """Choose features by a genetic algorithm.

    Args:
        features: float (n, D), of the training subjects alone, standardised.
        labels: int (n,).
        subjects: (n,).
        settings: of the search.
        seed: of the search.

    Returns:
        The best mask that was ever looked at, of equals the first.
    """
    rng, d = np.random.default_rng(seed), features.shape[1]
    masks = rng.random((settings.population, d)) < settings.start
    known: dict[bytes, float] = {}

    def fitness(mask: np.ndarray) -> float:
        key = np.packbits(mask).tobytes()
        if key not in known:
            score = inner_macro_f1(features[:, mask], labels, subjects, settings.ridge) if mask.any() else 0.0
            known[key] = score - PRICE * mask.mean()
        return known[key]

    for _ in range(settings.generations):
        fit = np.array([fitness(mask) for mask in masks])
        order = np.argsort(-fit, kind="stable")
        children = settings.population - ELITE
        entrants = rng.integers(settings.population, size=(2, children, TOURNAMENT))
        parents = np.take_along_axis(entrants, fit[entrants].argmax(-1)[..., None], -1)[..., 0]
        mixed = np.where(rng.random((children, d)) < 0.5, masks[parents[0]], masks[parents[1]])
        mixed ^= rng.random((children, d)) < 1 / d
        masks = np.concatenate([masks[order[:ELITE]], mixed])
    best = masks[np.argmax([fitness(mask) for mask in masks])]
    return Selection(best, float(fitness(best) + PRICE * best.mean()))
