"""The strain of the skin that a flow shows."""

from __future__ import annotations

import numpy as np

from mer_core.config.motion import Strain


def optical_strain(flow: np.ndarray, definition: Strain) -> np.ndarray:
    """Magnitude of the strain tensor e = (grad f + grad f') / 2.

    Derivatives are central differences over two pixels, one-sided at the border. (Sources differ: backward
    differences and 3 x 3 Sobel filters are found, too.)

    Args:
        flow: float (..., H, W, 2), pixels to the right and downwards.
        definition: four_term, sqrt(exx^2 + eyy^2 + exy^2 + eyx^2) (Liong et al. 2014; STSTNet's equation 7
            equals it, its misprint mended), or three_term, which counts the shear once, as is found in code.

    Returns:
        float (..., H, W), without unit; zero where the flow is a translation.
    """
    right, down = flow[..., 0], flow[..., 1]
    stretch_x, stretch_y = np.gradient(right, axis=-1), np.gradient(down, axis=-2)
    shear = (np.gradient(right, axis=-2) + np.gradient(down, axis=-1)) / 2
    times = {"four_term": 2, "three_term": 1}[definition]
    return np.sqrt(stretch_x**2 + stretch_y**2 + times * shear**2)
