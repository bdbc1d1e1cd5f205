"""LBP-TOP with its blocks weighted by optical strain (Liong et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mer_core.baselines.blocks import sums_of
from mer_core.baselines.descriptors import lbptop
from mer_core.motion.strain import optical_strain

if TYPE_CHECKING:
    from mer_core.config.descriptors import Osw
    from mer_core.motion.clip import Clip


def describe(clip: Clip, settings: Osw) -> np.ndarray:
    """float32, as of LBP-TOP; only the XY plane is weighted, and nothing is normalised afterwards."""
    histograms = lbptop.describe(clip, settings)
    histograms[:, :, 0] *= strain_weights(clip.flows(settings.flow), settings)[:, None]
    return histograms


def strain_weights(flows: np.ndarray, settings: Osw) -> np.ndarray:
    """Weights of the blocks of optical strain weighted LBP-TOP.

    Strain is averaged over each block, then over time (Liong et al. 2016; the version of 2014 sums), and
    divided by the largest block's. The normaliser is not stated in what we could read: an assumption.

    Args:
        flows: float32 (T - 1, H, W, 2) between consecutive frames.
        settings: blocks, strain, and the radii, whose margins LBP-TOP does not code.

    Returns:
        float32 (blocks * blocks,) from 0 to 1; zeros for a clip without any strain.
    """
    radius_x, radius_y, _ = settings.radii
    strain = np.mean([optical_strain(flow, settings.strain) for flow in flows], axis=0)
    coded = strain[radius_y:-radius_y, radius_x:-radius_x]
    sums, counts = sums_of(coded, settings.blocks), sums_of(np.ones_like(coded), settings.blocks)
    means = sums / counts
    return (means / max(means.max(), np.finfo(np.float32).tiny)).astype(np.float32)
