"""Dense optical flow between two frames."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

from mer_core.config.motion import Flow


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
