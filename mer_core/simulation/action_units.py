"""FACS action units as movements of a face's control points and as furrows of its skin."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from mer_core.simulation.plan import ActionUnit
from mer_core.simulation.warping import CANVAS, EYE_DISTANCE, LEFT, MIRROR, two_sided

# Movements at full strength (FACS intensity E), for the face's half on the image's left: control point
# -> (outward, down) in hundredths of the eye distance. After the appearance changes that the FACS manual
# (Ekman, Friesen and Hager 2002) describes; the amounts are ours.
# fmt: off
MOVES: dict[int, dict[int, tuple[float, float]]] = {
    # inner brow raiser
    1: {19: (0, -6), 20: (1, -13), 21: (2, -16), 70: (0, -3), 72: (0, -7)},
    # outer brow raiser
    2: {17: (0, -12), 18: (0, -16), 19: (0, -13), 20: (0, -5), 70: (0, -6)},
    # brow lowerer
    4: {
        17: (0, 2), 18: (-1, 5), 19: (-3, 8), 20: (-5.5, 10), 21: (-7, 10), 27: (0, 2), 37: (0, 1.2),
        38: (0, 1.5), 72: (0, 5),
    },
    # upper lid raiser
    5: {37: (0, -5), 38: (0, -5), 40: (0, 0.8), 41: (0, 0.8)},
    # cheek raiser
    6: {17: (0, 2), 36: (1, -0.5), 37: (0, 1.2), 40: (0, -3), 41: (0, -3), 68: (0, -8)},
    # lid tightener
    7: {37: (0, 3), 38: (0, 3), 40: (0, -4), 41: (0, -4)},
    # nose wrinkler
    9: {
        20: (-2, 4), 21: (-3, 6), 29: (0, -3), 30: (0, -5), 31: (2, -8), 32: (1, -7), 33: (0, -5),
        40: (0, -1.5), 49: (0, -3), 50: (0, -7), 51: (0, -5), 61: (0, -4), 62: (0, -3), 68: (-1, -5),
        74: (0, -8),
    },
    # upper lip raiser
    10: {
        31: (3, -3), 49: (1, -8), 50: (0, -11), 51: (0, -9), 60: (0, -1), 61: (0, -9), 62: (0, -8),
        68: (0, -3), 74: (3, -7),
    },
    # lip corner puller
    12: {
        41: (0, -1.2), 48: (14, -13), 49: (9, -6), 50: (3, -2), 58: (4, -1), 59: (9, -5), 60: (12, -12),
        61: (4, -2), 67: (4, -2), 68: (2, -6), 74: (6, -6),
    },
    # dimpler
    14: {48: (8, -1), 49: (5, 2), 50: (2, 1.5), 58: (2, -2), 59: (5, -2), 60: (6, -1)},
    # lip corner depressor
    15: {48: (2, 13), 49: (1, 5), 58: (0, 2), 59: (1, 7), 60: (1, 11), 74: (0, 3)},
    # chin raiser
    17: {
        7: (0, -3), 8: (0, -3), 48: (0, 1.5), 50: (0, -3), 51: (0, -3.5), 57: (0, -9), 58: (0, -8),
        61: (0, -4), 62: (0, -4), 66: (0, -5), 67: (0, -5), 73: (0, -10),
    },
    # lip stretcher
    20: {48: (14, 4), 49: (8, 2), 50: (3, 1), 58: (4, 1), 59: (8, 3), 60: (12, 3)},
    # lip tightener
    23: {48: (-6, 0), 49: (-3, 2), 50: (0, 3), 51: (0, 3), 57: (0, -3), 58: (0, -3), 60: (-5, 0)},
    # lip pressor
    24: {48: (-2, 0), 49: (-1, 2), 50: (0, 3), 51: (0, 3), 57: (0, -3), 58: (0, -3), 59: (-1, -2)},
    # lips part
    25: {
        50: (0, -2), 51: (0, -2), 57: (0, 9), 58: (0, 9), 59: (0, 5.4), 61: (0, -2.5), 62: (0, -2.5),
        66: (0, 9), 67: (0, 9),
    },
    # jaw drop
    26: {
        4: (0, 4), 5: (0, 8), 6: (0, 14), 7: (0, 19), 8: (0, 20), 48: (-2, 5), 57: (0, 20), 58: (0, 20),
        59: (0, 12), 60: (-2, 5), 66: (0, 20), 67: (0, 20), 73: (0, 19),
    },
    # mouth stretch
    27: {
        4: (0, 8), 5: (0, 16), 6: (0, 28), 7: (0, 38), 8: (0, 40), 48: (-5, 12), 50: (0, -2),
        51: (0, -2), 57: (0, 42), 58: (0, 42), 59: (0, 25.2), 60: (-4, 12), 61: (0, -2), 62: (0, -2),
        66: (0, 42), 67: (0, 42), 73: (0, 38),
    },
}
# fmt: on

# Where skin folds: strokes through control points, moved (outward, down) by hundredths of the eye distance.
_Stroke = tuple[tuple[int, float, float], ...]
# fmt: off
FURROWS: dict[int, tuple[_Stroke, ...]] = {
    1: (((20, 0, -12), (21, -5, -10), (72, 0, 20)), ((20, 0, -22), (72, 0, 8))),
    2: (((18, 0, -12), (19, 0, -14), (20, 0, -13)),),
    4: (((21, -6, 8), (21, -7, -12)), ((27, 6, -5), (27, -6, -5))),
    6: (((36, 5, 0), (36, 18, -3)), ((36, 5, 4), (36, 18, 6)), ((41, 10, 10), (40, 0, 11))),
    7: (((41, 2, 6), (40, 0, 6)),),
    9: (((27, 10, 3), (28, 2, -6)), ((28, 10, 5), (28, 2, 2)), ((31, 4, -6), (31, 12, 6))),
    10: (((31, 2, -6), (31, 12, 2), (74, 8, 3)),),
    12: (((31, 6, -2), (74, 10, 0), (48, 10, -2)),),
    14: (((48, 5, -6), (48, 6, 6)),),
    15: (((48, 3, 3), (48, 7, 16)),),
    17: (((73, 14, 2), (73, 5, -7), (73, 0, -8)),),
    20: (((48, 8, -5), (48, 10, 8)),),
    23: (((57, 12, 5), (57, 0, 6)),),
    24: (((57, 12, 5), (57, 0, 6)),),
}
# fmt: on
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
                line = points[index] + EYE_DISTANCE / 100 * np.array(offsets)
                cv2.polylines(ink, [np.rint(16 * line).astype(np.int32)], False, 1.0, 2, cv2.LINE_AA, 4)
    ink = cv2.GaussianBlur(ink, (0, 0), WIDTH * EYE_DISTANCE)
    return ink / ink.max()


def _side_weight(side: str) -> np.ndarray:
    """1 for the points that a one-sided unit moves, 0 on the other side, and half on the middle line."""
    if not side:
        return np.ones((len(MIRROR), 1))
    moved = LEFT if side == "R" else LEFT[MIRROR]
    return np.where(np.arange(len(MIRROR)) == MIRROR, 0.5, moved.astype(float))[:, None]
