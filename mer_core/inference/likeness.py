"""How unlike an input is to those that a model was trained on."""

from __future__ import annotations

import numpy as np

from mer_core.inference.bundle import Likeness

QUANTILE = 0.99


def describe_likeness(features: np.ndarray, subjects: np.ndarray) -> Likeness:
    """What the training samples' features are like, and how far a new person's are from them.

    Args:
        features: float (n, D), before the classifier.
        subjects: (n,), two people at least.
    """
    mean, deviation = _statistics(features)
    apart = np.concatenate(
        [
            distances(features[subjects == who], *_statistics(features[subjects != who]))
            for who in np.unique(subjects)
        ]
    )
    return Likeness(
        mean=mean.tolist(), deviation=deviation.tolist(), threshold=float(np.quantile(apart, QUANTILE))
    )


def distances(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Root mean square over the features of how many standard deviations each is from its mean; (n,)."""
    return np.sqrt(np.mean(((features - mean) / deviation) ** 2, axis=1))


def _statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    deviation = features.std(0)
    # A feature that never varies in training says little; it may not make everything else look strange.
    return features.mean(0), np.maximum(deviation, 0.1 * deviation.mean() + 1e-9)
