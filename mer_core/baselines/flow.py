"""Dense optical flow between two frames, and the strain of the skin that it shows."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

from mer_core.config import Flow, Strain


def optical_flow(first: np.ndarray, second: np.ndarray, estimator: Flow) -> np.ndarray:
    """Where each pixel of the first frame has gone in the second.

    Args:
        first, second: uint8 (H, W).
        estimator: dis (Kroeger et al. 2016, OpenCV's preset medium: the faster ones miss micro-motion), tvl1
            (Zach et al. 2007, scikit-image's defaults; many times slower) or farneback (2003, three levels,
            windows of 15 pixels, neighbourhoods of 5).

    Returns:
        float32 (H, W, 2), pixels to the right and downwards.
    """
    if estimator == "dis":
        return _dis().calc(first, second, None)
    if estimator == "farneback":
        return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    down, right = optical_flow_tvl1(first, second)
    return np.stack([right, down], axis=-1).astype(np.float32)


@cache
def _dis() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def optical_strain(flow: np.ndarray, definition: Strain) -> np.ndarray:
    """Magnitude of the strain tensor e = (grad f + grad f') / 2.

    Derivatives are central differences over two pixels, one-sided at the border. (Sources differ: backward
    differences and 3 x 3 Sobel filters are found, too.)

    Args:
        flow: float (..., H, W, 2), pixels to the right and downwards.
        definition: four_term, sqrt(exx^2 + eyy^2 + exy^2 + eyx^2) (Liong et al. 2014), or three_term, which
            counts the shear once (STSTNet's equation 7).

    Returns:
        float (..., H, W), without unit; zero where the flow is a translation.
    """
    right, down = flow[..., 0], flow[..., 1]
    stretch_x, stretch_y = np.gradient(right, axis=-1), np.gradient(down, axis=-2)
    shear = (np.gradient(right, axis=-2) + np.gradient(down, axis=-1)) / 2
    times = {"four_term": 2, "three_term": 1}[definition]
    return np.sqrt(stretch_x**2 + stretch_y**2 + times * shear**2)
