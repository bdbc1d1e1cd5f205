"""A dynamic image: one picture of how a clip changes, a weighted sum of its frames.

Bilen, Fernando, Gavves, Vedaldi and Gould, Dynamic image networks for action recognition, CVPR 2016
(approximate rank pooling).
"""

from __future__ import annotations

import numpy as np

from mer_core.config.motion import Pooling


def frame_weights(length: int, pooling: Pooling) -> np.ndarray:
    """The weight of each frame, float64 (T,).

    `bilen` is approximate rank pooling, sum over k = t..T of (2k - T - 1) / k: its weights add up to zero,
    so that what does not change is gone. `learnet` is what LEARNet's code computes, with 2k - T: its
    weights add up to T, so that T times the mean face stays in the picture.
    """
    k = np.arange(1, length + 1)
    terms = (2 * k - length - (pooling == "bilen")) / k
    return terms[::-1].cumsum()[::-1]


def dynamic_image(frames: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Pool a clip.

    Args:
        frames: (T, H, W, C).
        pooling: see `frame_weights`.

    Returns:
        float32 (H, W, C) in [0, 1], stretched over all channels together; zero for a clip that is all alike.
    """
    pooled = np.tensordot(frame_weights(len(frames), pooling), frames.astype(np.float64), axes=1)
    low, high = pooled.min(), pooled.max()
    if high - low < 1e-6:  # of grey levels: rounding of weights that add up to zero
        return np.zeros(pooled.shape, np.float32)
    return ((pooled - low) / (high - low)).astype(np.float32)
