"""Facial dynamics map: principal directions of the flow in cuboids (Xu et al. 2017)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from mer_core.baselines.blocks import edges

if TYPE_CHECKING:
    from mer_core.config.descriptors import Fdm
    from mer_core.motion.clip import Clip

TOLERANCE = 0.1  # pixels within which a flow counts as equal to the head's


def describe(clip: Clip, settings: Fdm) -> np.ndarray:
    """float32, as `dynamics_map`."""
    return dynamics_map(clip.flows(settings.flow), settings)


def dynamics_map(flows: np.ndarray, settings: Fdm) -> np.ndarray:
    """The facial dynamics map (FDM): the principal direction of the flow in every cuboid.

    The source's text could not be read; this follows its abstract and is an assumption as a whole. The
    head's motion between two frames (`head_motion`) is subtracted, the flow is divided into cuboids, and each
    yields the vector of `principal_direction`.

    Args:
        flows: float32 (T - 1, H, W, 2) between consecutive frames.
        settings: blocks, temporal_blocks, direction.

    Returns:
        float32 (temporal_blocks, blocks, blocks, 2), pixels per frame.

    Raises:
        UserError: the clip has fewer flows than temporal_blocks.
    """
    find = {"sweep": principal_direction, "fixed_point": iterated_direction}[settings.direction]
    steady = flows - np.stack([head_motion(flow) for flow in flows])[:, None, None]
    times, rows, columns = (
        itertools.pairwise(edges(length, blocks))
        for length, blocks in zip(
            flows.shape, (settings.temporal_blocks, settings.blocks, settings.blocks), strict=False
        )
    )
    vectors = [
        find(steady[slice(*time), slice(*row), slice(*column)].reshape(-1, 2))
        for time, row, column in itertools.product(times, rows, columns)
    ]
    shape = (settings.temporal_blocks, settings.blocks, settings.blocks, 2)
    return np.reshape(vectors, shape).astype(np.float32)


def head_motion(flow: np.ndarray) -> np.ndarray:
    """The translation that the most pixels share: per axis the centre of the fullest window.

    Args:
        flow: float (H, W, 2).

    Returns:
        float (2,), right and down: the mean of the values in a window of twice `TOLERANCE`, placed such that
        it holds as many of them as possible.
    """
    shift = []
    for values in np.sort(flow.reshape(-1, 2), axis=0).T:
        last = np.searchsorted(values, values + 2 * TOLERANCE, side="right")
        first = int(np.argmax(last - np.arange(len(values))))
        shift.append(values[first : last[first]].mean())
    return np.array(shift)


def principal_direction(vectors: np.ndarray) -> np.ndarray:
    """The direction d that maximises sum max(0, <d, f>) over the vectors f, exactly.

    The maximum is the longest sum of vectors within a half-plane. Every half-plane holds a run of the
    vectors sorted by angle; those that begin at a vector and their complements are all there are.

    Args:
        vectors: float (n, 2).

    Returns:
        float64 (2,): the mean over n of the vectors in the best half-plane, zero if there are none. Its
        direction is d, its length the maximum divided by n.
    """
    if not len(vectors):
        return np.zeros(2)
    vectors = vectors.astype(float)
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    order = np.argsort(angles)
    angles, vectors = angles[order], vectors[order]
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(np.concatenate([vectors, vectors]), axis=0)])
    last = np.searchsorted(np.concatenate([angles, angles + 2 * np.pi]), angles + np.pi, side="left")
    halves = sums[last] - sums[: len(vectors)]
    candidates = np.concatenate([halves, sums[len(vectors)] - halves])
    return candidates[np.argmax(np.linalg.norm(candidates, axis=1))] / len(vectors)


def iterated_direction(vectors: np.ndarray) -> np.ndarray:
    """A local maximum of the same sum by the fixed point: from the mean, sum what lies in its half-plane.

    No step lowers the sum and there are finitely many half-planes, so it ends; not always at the maximum.

    Args:
        vectors: float (n, 2).

    Returns:
        float64 (2,), as `principal_direction`.
    """
    vectors = vectors.astype(float)
    total, chosen = vectors.sum(axis=0), np.ones(len(vectors), bool)
    while True:
        ahead = vectors @ total > 0
        if (ahead == chosen).all() or not ahead.any():
            return total / max(len(vectors), 1)
        total, chosen = vectors[ahead].sum(axis=0), ahead
