"""Scores of pooled predictions: the paper's equations 11 to 14 and the field's usual companions.

Everything is a function of confusion matrices, added up over all folds before anything is divided. A
fold holds one person, who seldom shows every class, so a mean over the folds' F1 would score even a
perfect classifier far below 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

HEADLINE = ("accuracy", "macro_f1", "uar", "f1_of_means", "weighted_f1", "mean_subject_accuracy")


def confusion_matrices(predictions: pd.DataFrame, classes: Sequence[str], by: Sequence[str]) -> np.ndarray:
    """Count true class against predicted class, once per combination of the columns `by`.

    Args:
        predictions: columns label, predicted and those of `by`.
        classes: the class names in order.
        by: columns to group by, such as ['subject', 'seed']; none gives one matrix.

    Returns:
        int64 (*groups, K, K), rows true and columns predicted; each leading axis is sorted.

    Raises:
        ValueError: a label or a prediction is none of the classes.
    """
    axes = [pd.factorize(predictions[column], sort=True) for column in by]
    axes += [
        (pd.Index(classes).get_indexer(predictions[column]), classes) for column in ("label", "predicted")
    ]
    codes = tuple(code for code, _ in axes)
    if any((code < 0).any() for code in codes):
        raise ValueError(f"labels and predictions must be among {list(classes)}")
    counts = np.zeros([len(values) for _, values in axes], dtype=np.int64)
    np.add.at(counts, codes, 1)
    return counts


def scores(confusion: np.ndarray, counted: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The scores of one confusion matrix, or of a whole stack at once.

    A ratio with denominator zero is 0: a class that is never predicted has precision 0 and F1 0.

    Args:
        confusion: counts (..., K, K), rows true.
        counted: bool (..., K), the classes that enter the means over classes; all by default.

    Returns:
        accuracy (eq. 11); macro_f1, the mean of the classes' F1, also called UF1; uar, the mean recall;
        mean_precision; f1_of_means, eq. 12 of mean precision and mean recall (never below macro_f1);
        weighted_f1, the mean of F1 weighted by true counts: each of shape (...).
        precision, recall, f1 (eq. 12-14): each (..., K).
    """
    confusion = np.asarray(confusion, dtype=float)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, answers = confusion.sum(-1), confusion.sum(-2)
    counted = np.ones(support.shape) if counted is None else counted
    precision, recall, f1 = _ratio(hits, answers), _ratio(hits, support), _ratio(2 * hits, support + answers)

    def mean(values: np.ndarray) -> np.ndarray:
        return _ratio((values * counted).sum(-1), counted.sum(-1))

    return {
        "accuracy": _ratio(hits.sum(-1), support.sum(-1)),
        "macro_f1": mean(f1),
        "uar": mean(recall),
        "mean_precision": mean(precision),
        "f1_of_means": _ratio(2 * mean(precision) * mean(recall), mean(precision) + mean(recall)),
        "weighted_f1": _ratio((f1 * support).sum(-1), support.sum(-1)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def seeds_averaged(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """One answer per sample: the class whose probability is largest in the mean over the seeds.

    Args:
        predictions: sample_id, subject, label, p_{class}..., of one seed or several.
        classes: the class names in order; of equals the first is taken.

    Returns:
        Predictions as `evaluate` takes them.
    """
    probabilities = predictions.groupby("sample_id")[[f"p_{name}" for name in classes]].mean()
    answers = probabilities.idxmax(axis=1).str.removeprefix("p_")
    samples = predictions.drop_duplicates("sample_id")[["sample_id", "subject", "label"]]
    return samples.assign(predicted=samples["sample_id"].map(answers)).reset_index(drop=True)


def evaluate(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Score the predictions of one training per fold, pooled over all folds.

    Args:
        predictions: one row per sample: sample_id, subject, label, predicted.
        classes: the class names in order; means over classes take all of them.

    Returns:
        JSON-able: n; accuracy, macro_f1, uar, mean_precision, f1_of_means, weighted_f1 as in `scores`;
        mean_subject_accuracy, the mean over subjects of each one's accuracy;
        per_class {class: {precision, recall, f1, support}}; confusion (rows true);
        accuracy_per_subject {subject: accuracy}; never_predicted, the classes no sample was given.

    Raises:
        ValueError: no rows, a sample twice, or a label that is none of the classes.
    """
    if predictions.empty or predictions["sample_id"].duplicated().any():
        raise ValueError("predictions must hold at least one sample and each sample once")
    by_subject = confusion_matrices(predictions, classes, by=["subject"])
    confusion = by_subject.sum(0)
    score = scores(confusion)
    subject_accuracy = scores(by_subject)["accuracy"]
    columns = {name: score.pop(name) for name in ("precision", "recall", "f1")}
    return {
        "n": len(predictions),
        **{name: float(value) for name, value in score.items()},
        "mean_subject_accuracy": float(subject_accuracy.mean()),
        "per_class": {
            name: {key: float(values[k]) for key, values in columns.items()}
            | {"support": int(confusion[k].sum())}
            for k, name in enumerate(classes)
        },
        "confusion": confusion.tolist(),
        "accuracy_per_subject": dict(
            zip(sorted(predictions["subject"].unique()), subject_accuracy.tolist(), strict=True)
        ),
        "never_predicted": never_predicted(confusion, classes),
    }


def never_predicted(confusion: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes that were given to no sample, from counts (K, K) with rows true."""
    return [name for name, answers in zip(classes, np.sum(confusion, axis=0), strict=True) if not answers]


def macro_f1_range(uar: float, support: Sequence[int]) -> tuple[float, float]:
    """Between which values the macro-F1 of one confusion matrix lies whose mean recall is known.

    Let class k have n_k clips, h_k of them hit, and be answered a_k times, N = sum n = sum a: its F1 is
    2 h_k / (n_k + a_k).

    Least: for given a the sum of F1 is linear in h, so on {sum h_k / n_k = K uar, 0 <= h_k <= n_k} it is
    least at a corner, where all classes but one are hit wholly or not at all. There, with S the classes
    that are hit, Cauchy and Schwarz give sum_S 2 h_k / (n_k + a_k) >= (sum_S sqrt(2 h_k))^2 / (n_S + N).

    Greatest: as h_k <= a_k, F1 is at most 2r / (1 + r) of the recall r; given the hits, the sum is convex
    in a, hence greatest where one class j takes all wrong answers, and then F1_j <= r_j. Concavity shares
    the recall equally among the other classes, as much as leaves none above 1.

    Args:
        uar: the mean recall, in [0, 1].
        support: clips of each of the K >= 2 classes, all above 0.

    Returns:
        A lower and an upper bound; no matrix lies outside, not every value inside is one's.
    """
    counts, classes, whole = np.asarray(support, dtype=float), len(support), uar * len(support)
    full, part = divmod(min(whole, classes), 1)
    corners = []
    for hit in itertools.combinations(range(classes), int(full)):
        rest = [k for k in range(classes) if k not in hit] if part else [None]
        for one in rest:
            hits = np.zeros(classes)
            hits[[*hit]] = counts[[*hit]]
            if one is not None:
                hits[one] = part * counts[one]
            corners.append(np.sqrt(2 * hits).sum() ** 2 / (counts[hits > 0].sum() + counts.sum()))
    shared = min(whole / (classes - 1), max(math.sqrt(2) - 1, (whole - 1) / (classes - 1)))
    most = (classes - 1) * 2 * shared / (1 + shared) + whole - (classes - 1) * shared
    return float(min(corners)) / classes, most / classes


def possible(macro_f1: float, uar: float, support: Sequence[int], rounding: float = 1e-9) -> bool:
    """Whether one confusion matrix of classes with these counts can have both scores, as far as is known.

    What is not possible was misprinted, or pooled in another way (a mean over folds, say).

    Args:
        macro_f1: as printed.
        uar: as printed.
        support: clips of each class.
        rounding: by how much a printed figure may be off, such as 5e-5 for four decimals.
    """
    low, _ = macro_f1_range(max(0.0, uar - rounding), support)
    _, high = macro_f1_range(min(1.0, uar + rounding), support)
    return low - rounding <= macro_f1 <= high + rounding


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    # `out` matters: without it numpy leaves the places of a zero denominator uninitialised.
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator != 0)
