"""Dividing a length into blocks of nearly equal size."""

from __future__ import annotations

import numpy as np

from mer_core.errors import UserError


def edges(length: int, blocks: int) -> np.ndarray:
    """Borders of the blocks: block b is edges[b] to edges[b + 1], none is empty, sizes differ by one at most.

    Raises:
        UserError: when there are more blocks than pixels or frames.
    """
    if blocks > length:
        raise UserError(f"{length} pixels or frames cannot be divided into {blocks} blocks; set fewer blocks")
    return np.arange(blocks + 1) * length // blocks


def block_of(length: int, blocks: int) -> np.ndarray:
    """The number of the block that each position lies in; int64 (length,). Raises as `edges`."""
    return np.repeat(np.arange(blocks), np.diff(edges(length, blocks)))


def grid_of(height: int, width: int, blocks: int) -> np.ndarray:
    """The number of the block, row by row, of each pixel; int64 (height, width). Raises as `edges`."""
    return block_of(height, blocks)[:, None] * blocks + block_of(width, blocks)


def sums_of(values: np.ndarray, blocks: int) -> np.ndarray:
    """Sums over the blocks of a grid; float64 (blocks * blocks,)."""
    grid = grid_of(*values.shape, blocks)
    return np.bincount(grid.ravel(), values.ravel().astype(float), blocks**2)
