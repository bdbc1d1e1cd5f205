"""What every row answered, clip by clip: agreement between rows, and how far probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

BINS = 10


def first_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the first seed, which variants and comparison methods share."""
    return predictions[predictions["seed"] == predictions["seed"].iloc[0]]


def agreement(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often two rows give a clip the same answer, by the first seed.

    Args:
        predictions: sample_id, predicted and seed of each row's clips, by the row's name.

    Returns:
        (rows, rows), shares of the clips that both predicted; NaN where there is none.
    """
    answers = {
        name: first_seed(frame).set_index("sample_id")["predicted"] for name, frame in predictions.items()
    }
    table = pd.DataFrame(answers).T
    given = table.notna().to_numpy()
    same = (table.to_numpy()[:, None] == table.to_numpy()[None]) & given[:, None]
    both = (given[:, None] & given[None]).sum(-1)
    shares = np.divide(same.sum(-1), both, out=np.full(both.shape, np.nan), where=both > 0)
    return pd.DataFrame(shares, table.index, table.index)


def confidence(predictions: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """The probability of the answer that was given, (N,); it need not be the largest one.

    Args:
        predictions: predicted, and p_{class} of every class.
        classes: the class names.
    """
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(float)
    given = pd.Index(classes).get_indexer(predictions["predicted"])
    return probabilities[np.arange(len(given)), given]


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Confidence against the share of right answers, in bins of confidence of equal width.

    Args:
        confidences: (N,) in [0, 1].
        right: (N,) bool, whether the answer was right.
        bins: their number; bin k of K holds confidences in (k/K, (k+1)/K], the first one 0, too.

    Returns:
        One row per bin that is not empty: n, confidence and accuracy, the means over its answers.
    """
    frame = pd.DataFrame({"confidence": confidences, "accuracy": np.asarray(right, float)})
    groups = frame.groupby(_bin(confidences, bins))
    return groups.mean().assign(n=groups.size()).reset_index(drop=True)


def calibration_error(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy, weighted by the bins' n.

    Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning. AAAI 2015;
    for the answer given, as Guo et al.: On calibration of modern neural networks. ICML 2017.
    """
    table = reliability(confidences, right, bins)
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["n"]))


def calibration_error_by_chance(
    confidences: np.ndarray, seed: int, bins: int = BINS, draws: int = 1000
) -> float:
    """What the error would be, on average, if every probability held: few clips never give zero.

    Args:
        confidences: (N,) in [0, 1]; each draw makes an answer right with this very probability.
        seed: of the draws.
        bins: as for `calibration_error`.
        draws: how many.
    """
    right = np.random.default_rng(seed).random((draws, len(confidences))) < confidences
    members = _bin(confidences, bins)[:, None] == np.arange(bins)
    return float(np.abs((right - confidences) @ members).sum(1).mean() / len(confidences))


def _bin(confidences: np.ndarray, bins: int) -> np.ndarray:
    return np.digitize(confidences, np.linspace(0, 1, bins + 1)[1:-1], right=True)
