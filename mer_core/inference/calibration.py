"""Probabilities that mean what they say: one temperature, fitted on held-out predictions.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

LEAST, MOST = 0.05, 50.0


def fit_temperature(probabilities: np.ndarray, answers: np.ndarray) -> float:
    """The temperature T that makes held-out predictions likeliest.

    Args:
        probabilities: (n, K), rows summing to 1, of samples that training did not see. Their logarithms
            stand for the logits, from which they differ by a constant per row.
        answers: int (n,), the true classes.

    Returns:
        T: probabilities become softmax(log p / T). Above 1 the model was too sure.
    """
    logits = np.log(np.clip(probabilities, 1e-12, None))

    def surprise(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(answers)), answers]))

    found = minimize_scalar(surprise, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T), (n, K)."""
    scaled = np.log(np.clip(probabilities, 1e-12, None)) / temperature
    return np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
