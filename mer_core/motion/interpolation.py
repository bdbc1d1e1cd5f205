"""Temporal interpolation (TIM): clips of any length brought to the same number of frames.

Zhou, Zhao and Pietikainen, Towards a practical lipreading system, CVPR 2011; for micro-expressions Pfister et
al., Recognising spontaneous facial micro-expressions, ICCV 2011.
"""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def interpolation_matrix(length: int, frames: int) -> np.ndarray:
    """The matrix W by which TIM maps a clip, frames as columns, to another length: X W.

    The source sees the frames as a path graph, whose Laplacian's eigenvectors sample the curve
    y_k(t) = sin(pi k t + pi (n - k) / (2 n)), k = 1 .. n - 1, at t = 1/n, 2/n, ..., 1; it fits a linear map
    from the curve to the centred frames and reads it at other times. The samples form an orthogonal
    basis (of the discrete cosine transform), so for linearly independent frames the fit is exact and
    depends on n and m alone: W = 1/n + 2/n Y' F, Y the samples and F the curve at m times from 1/n to 1.

    Args:
        length: n, frames that there are.
        frames: m, frames wanted.

    Returns:
        float64 (n, m); columns sum to 1, weights may be negative.
    """
    k = np.arange(1, length)[:, None]

    def curve(times: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * k * times + np.pi * (length - k) / (2 * length))

    samples = curve(np.arange(1, length + 1) / length)
    return 1 / length + 2 / length * samples.T @ curve(np.linspace(1 / length, 1, frames))


def interpolate(clip: np.ndarray, frames: int) -> np.ndarray:
    """Bring a clip to another number of frames; the first and the last one stay as they are.

    Args:
        clip: uint8 (T, H, W).
        frames: at least 2.

    Returns:
        uint8 (frames, H, W), rounded, and cut off at 0 and 255.
    """
    weights = interpolation_matrix(len(clip), frames).astype(np.float32)
    mixed = np.tensordot(weights.T, clip.astype(np.float32), axes=1)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
