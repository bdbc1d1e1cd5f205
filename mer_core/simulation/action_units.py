"""FACS action units as movements of a face's control points and as furrows of its skin."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from mer_core.simulation.plan import ActionUnit
from mer_core.simulation.warping import CANVAS, EYE_DISTANCE, LEFT, MIRROR, two_sided

# Movements at full strength (FACS intensity E), for the face's half on the image's left: control point
# -> (outward, down) in eye distances. After the appearance changes that the FACS manual describes.
_CHIN = {5: (0, 0.4), 6: (0, 0.7), 7: (0, 0.95), 8: (0, 1.0), 4: (0, 0.2), 73: (0, 0.95)}
_LOWER_LIP = {57: (0, 1.0), 58: (0, 1.0), 59: (0, 0.6), 66: (0, 1.0), 67: (0, 1.0)}


def _times(share: float, moves: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    return {point: (share * outward, share * down) for point, (outward, down) in moves.items()}


MOVES: dict[int, dict[int, tuple[float, float]]] = {
    # inner brow raiser
    1: {21: (0.02, -0.16), 20: (0.01, -0.13), 19: (0, -0.06), 72: (0, -0.07), 70: (0, -0.03)},
    # outer brow raiser
    2: {17: (0, -0.12), 18: (0, -0.16), 19: (0, -0.13), 20: (0, -0.05), 70: (0, -0.06)},
    # brow lowerer
    4: {
        21: (-0.07, 0.1),
        20: (-0.055, 0.1),
        19: (-0.03, 0.08),
        18: (-0.01, 0.05),
        17: (0, 0.02),
        72: (0, 0.05),
        27: (0, 0.02),
        37: (0, 0.012),
        38: (0, 0.015),
    },
    # upper lid raiser
    5: {37: (0, -0.05), 38: (0, -0.05), 41: (0, 0.008), 40: (0, 0.008)},
    # cheek raiser
    6: {68: (0, -0.08), 41: (0, -0.03), 40: (0, -0.03), 36: (0.01, -0.005), 37: (0, 0.012), 17: (0, 0.02)},
    # lid tightener
    7: {41: (0, -0.04), 40: (0, -0.04), 37: (0, 0.03), 38: (0, 0.03)},
    # nose wrinkler
    9: {
        31: (0.02, -0.08),
        32: (0.01, -0.07),
        33: (0, -0.05),
        30: (0, -0.05),
        29: (0, -0.03),
        74: (0, -0.08),
        68: (-0.01, -0.05),
        49: (0, -0.03),
        50: (0, -0.07),
        51: (0, -0.05),
        61: (0, -0.04),
        62: (0, -0.03),
        21: (-0.03, 0.06),
        20: (-0.02, 0.04),
        40: (0, -0.015),
    },
    # upper lip raiser
    10: {
        49: (0.01, -0.08),
        50: (0, -0.11),
        51: (0, -0.09),
        61: (0, -0.09),
        62: (0, -0.08),
        60: (0, -0.01),
        31: (0.03, -0.03),
        74: (0.03, -0.07),
        68: (0, -0.03),
    },
    # lip corner puller
    12: {
        48: (0.14, -0.13),
        60: (0.12, -0.12),
        49: (0.09, -0.06),
        59: (0.09, -0.05),
        58: (0.04, -0.01),
        50: (0.03, -0.02),
        67: (0.04, -0.02),
        61: (0.04, -0.02),
        68: (0.02, -0.06),
        74: (0.06, -0.06),
        41: (0, -0.012),
    },
    # dimpler
    14: {
        48: (0.08, -0.01),
        60: (0.06, -0.01),
        49: (0.05, 0.02),
        59: (0.05, -0.02),
        50: (0.02, 0.015),
        58: (0.02, -0.02),
    },
    # lip corner depressor
    15: {
        48: (0.02, 0.13),
        60: (0.01, 0.11),
        49: (0.01, 0.05),
        59: (0.01, 0.07),
        58: (0, 0.02),
        74: (0, 0.03),
    },
    # chin raiser
    17: {
        73: (0, -0.1),
        8: (0, -0.03),
        7: (0, -0.03),
        57: (0, -0.09),
        58: (0, -0.08),
        66: (0, -0.05),
        67: (0, -0.05),
        51: (0, -0.035),
        50: (0, -0.03),
        62: (0, -0.04),
        61: (0, -0.04),
        48: (0, 0.015),
    },
    # lip stretcher
    20: {
        48: (0.14, 0.04),
        60: (0.12, 0.03),
        49: (0.08, 0.02),
        59: (0.08, 0.03),
        58: (0.04, 0.01),
        50: (0.03, 0.01),
    },
    # lip tightener
    23: {
        48: (-0.06, 0),
        60: (-0.05, 0),
        49: (-0.03, 0.02),
        50: (0, 0.04),
        51: (0, 0.04),
        57: (0, -0.04),
        58: (0, -0.04),
    },
    # lip pressor
    24: {
        50: (0, 0.05),
        51: (0, 0.05),
        57: (0, -0.05),
        58: (0, -0.05),
        48: (-0.02, 0),
        49: (-0.01, 0.03),
        59: (-0.01, -0.03),
    },
    # lips part
    25: {**_times(0.09, _LOWER_LIP), 61: (0, -0.025), 62: (0, -0.025), 50: (0, -0.02), 51: (0, -0.02)},
    # jaw drop
    26: {**_times(0.2, _CHIN), **_times(0.2, _LOWER_LIP), 48: (-0.02, 0.05), 60: (-0.02, 0.05)},
    # mouth stretch
    27: {
        **_times(0.4, _CHIN),
        **_times(0.42, _LOWER_LIP),
        48: (-0.05, 0.12),
        60: (-0.04, 0.12),
        50: (0, -0.02),
        51: (0, -0.02),
        61: (0, -0.02),
        62: (0, -0.02),
    },
}

# Where skin folds: strokes through control points with offsets (outward, down) in eye distances.
_Stroke = tuple[tuple[int, float, float], ...]
FURROWS: dict[int, tuple[_Stroke, ...]] = {
    1: (((20, 0.0, -0.12), (21, -0.05, -0.1), (72, 0, 0.2)), ((20, 0.0, -0.22), (72, 0, 0.08))),
    2: (((18, 0.0, -0.12), (19, 0.0, -0.14), (20, 0.0, -0.13)),),
    4: (((21, -0.06, 0.08), (21, -0.07, -0.12)), ((27, 0.06, -0.05), (27, -0.06, -0.05))),
    6: (
        ((36, 0.05, 0.0), (36, 0.18, -0.03)),
        ((36, 0.05, 0.04), (36, 0.18, 0.06)),
        ((41, 0.1, 0.1), (40, 0.0, 0.11)),
    ),
    7: (((41, 0.02, 0.06), (40, 0.0, 0.06)),),
    9: (
        ((27, 0.1, 0.03), (28, 0.02, -0.06)),
        ((28, 0.1, 0.05), (28, 0.02, 0.02)),
        ((31, 0.04, -0.06), (31, 0.12, 0.06)),
    ),
    10: (((31, 0.02, -0.06), (31, 0.12, 0.02), (74, 0.08, 0.03)),),
    12: (((31, 0.06, -0.02), (74, 0.1, 0.0), (48, 0.1, -0.02)),),
    14: (((48, 0.05, -0.06), (48, 0.06, 0.06)),),
    15: (((48, 0.03, 0.03), (48, 0.07, 0.16)),),
    17: (((73, 0.14, 0.02), (73, 0.05, -0.07), (73, 0, -0.08)),),
    20: (((48, 0.08, -0.05), (48, 0.1, 0.08)),),
    23: (((57, 0.12, 0.05), (57, 0, 0.06)),),
    24: (((57, 0.12, 0.05), (57, 0, 0.06)),),
}
# Width of a furrow in eye distances.
WIDTH = 0.03


def displacement(units: Iterable[ActionUnit], strength: float) -> np.ndarray:
    """Where the control points go, relative to the neutral face.

    Args:
        units: what is shown. L is the subject's left, which is on the image's right.
        strength: 1 is the strongest expression.

    Returns:
        float (POINTS, 2), x and y in eye distances.
    """
    total = np.zeros((len(MIRROR), 2))
    for unit in units:
        total += strength * unit.intensity * two_sided(MOVES[unit.number]) * _side_weight(unit.side)
    return total


def furrows(number: int, side: str, points: np.ndarray) -> np.ndarray:
    """Depth of a unit's furrows on a neutral face.

    Args:
        number: of the unit; one of `FURROWS`.
        side: `L`, `R`, or empty for both.
        points: float (POINTS, 2), the face's control points on the canvas.

    Returns:
        float32 (480, 640), 1 at the deepest.
    """
    ink = np.zeros(CANVAS.shape, np.float32)
    for stroke in FURROWS[number]:
        for half, sign in (("R", -1), ("L", 1)):
            if side in ("", half):
                index = [point if half == "R" else MIRROR[point] for point, _, _ in stroke]
                offsets = [(sign * outward, down) for _, outward, down in stroke]
                line = points[index] + EYE_DISTANCE * np.array(offsets)
                cv2.polylines(ink, [np.rint(16 * line).astype(np.int32)], False, 1.0, 2, cv2.LINE_AA, 4)
    ink = cv2.GaussianBlur(ink, (0, 0), WIDTH * EYE_DISTANCE)
    return ink / ink.max()


def _side_weight(side: str) -> np.ndarray:
    """1 for the points that a one-sided unit moves, 0 on the other side, and half on the middle line."""
    if not side:
        return np.ones((len(MIRROR), 1))
    moved = LEFT if side == "R" else LEFT[MIRROR]
    return np.where(np.arange(len(MIRROR)) == MIRROR, 0.5, moved.astype(float))[:, None]
