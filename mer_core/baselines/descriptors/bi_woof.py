"""Bi-weighted oriented optical flow from onset to apex (Liong et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mer_core.baselines.blocks import grid_of, sums_of
from mer_core.motion.strain import optical_strain

if TYPE_CHECKING:
    from mer_core.config.descriptors import BiWoof
    from mer_core.motion.clip import Clip


def describe(clip: Clip, settings: BiWoof) -> np.ndarray:
    """float32, as `oriented_flow`."""
    return oriented_flow(clip.flow_to_apex(settings.flow), settings)


def oriented_flow(flow: np.ndarray, settings: BiWoof) -> np.ndarray:
    """Bi-weighted oriented optical flow (Bi-WOOF), as in the authors' code.

    In every block the orientations are counted, each weighted by its length; the histogram is divided by its
    sum and multiplied by the block's summed strain; the whole has Euclidean length 1. Blocks do not
    overlap (the authors' share a line of pixels).

    Args:
        flow: float32 (H, W, 2) from onset to apex.
        settings: blocks, bins, strain.

    Returns:
        float32 (blocks * blocks, bins); the first bin begins at -180 degrees. Zeros where nothing moves.
    """
    right, down = flow[..., 0], flow[..., 1]
    turn = (np.arctan2(down, right) + np.pi) / (2 * np.pi)
    orientation = np.minimum((turn * settings.bins).astype(int), settings.bins - 1)
    grid = grid_of(*flow.shape[:2], settings.blocks) * settings.bins + orientation
    shape = (settings.blocks**2, settings.bins)
    histograms = np.bincount(grid.ravel(), np.hypot(right, down).ravel(), np.prod(shape)).reshape(shape)
    tiny = np.finfo(float).tiny
    histograms /= np.maximum(histograms.sum(axis=1, keepdims=True), tiny)
    histograms *= sums_of(optical_strain(flow, settings.strain), settings.blocks)[:, None]
    return (histograms / max(np.linalg.norm(histograms), tiny)).astype(np.float32)
