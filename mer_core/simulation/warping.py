"""Control points of a face and smooth warps that move them (thin-plate splines)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

# The spline is evaluated on every STEPth pixel; between them it is smooth enough to be interpolated.
STEP = 8

# Points that dlib's 68 do not cover, each a mean of landmarks and an offset (right, down) in eye
# distances. The last ones never move: they keep hair, ears and neck in their place.
_EXTRA: tuple[tuple[tuple[int, ...], tuple[float, float]], ...] = (
    ((41, 41, 48, 2), (0.0, 0.0)),  # 68, 69 cheeks
    ((46, 46, 54, 14), (0.0, 0.0)),
    ((19,), (0.0, -0.35)),  # 70, 71 forehead above the brows
    ((24,), (0.0, -0.35)),
    ((21, 22), (0.0, -0.35)),  # 72 middle of the forehead
    ((57, 8), (0.0, 0.0)),  # 73 chin boss
    ((31, 48), (-0.08, 0.0)),  # 74, 75 nasolabial furrow
    ((35, 54), (0.08, 0.0)),
    ((21, 22), (0.0, -1.0)),  # 76 and on: at rest
    ((17,), (-0.3, -0.4)),
    ((26,), (0.3, -0.4)),
    ((0,), (-0.35, 0.0)),
    ((16,), (0.35, 0.0)),
    ((4,), (-0.5, 0.1)),
    ((12,), (0.5, 0.1)),
    ((8,), (0.0, 0.7)),
)
POINTS = 68 + len(_EXTRA)


def _mirror_index() -> np.ndarray:
    """For every control point the one on the other side of the face."""
    mirror = np.arange(POINTS)
    lines = [range(0, 17), range(17, 27), range(31, 36), range(48, 55), range(60, 65)]
    for line in lines:
        mirror[list(line)] = list(line)[::-1]
    pairs = [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (55, 59), (56, 58), (65, 67)]
    pairs += [(68, 69), (70, 71), (74, 75), (77, 78), (79, 80), (81, 82)]
    for left, right in pairs:
        mirror[[left, right]] = right, left
    return mirror


MIRROR = _mirror_index()
# Points on the image's left, which is the subject's right; on the lower lip dlib counts from the right.
LEFT = (np.arange(POINTS) < MIRROR) ^ np.isin(np.arange(POINTS), [55, 56, 58, 59, 65, 67])


def control_points(landmarks: np.ndarray) -> np.ndarray:
    """The landmarks, float (68, 2), and what is derived from them: float (POINTS, 2)."""
    unit = eye_distance(landmarks)
    extra = [landmarks[list(of)].mean(axis=0) + unit * np.array(offset) for of, offset in _EXTRA]
    return np.vstack([landmarks, extra])


def eye_distance(landmarks: np.ndarray) -> float:
    """Distance between the centres of the eyes, in pixels."""
    return float(np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0)))


def two_sided(moves: Mapping[int, tuple[float, float]]) -> np.ndarray:
    """Displacements of all control points from those of the face's left half in the image.

    Args:
        moves: control point -> (outward, down) in hundredths, outward being away from the middle line.

    Returns:
        float (POINTS, 2) in x and y: the moves and their mirror images, in whole units.
    """
    field = np.zeros((POINTS, 2))
    for point, (outward, down) in moves.items():
        if MIRROR[point] == point:
            field[point] = 0.0, down
        else:
            field[point] = -outward, down
            field[MIRROR[point]] = outward, down
    return field / 100


class Window(NamedTuple):
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width


# Every face is first brought to this canvas, eyes level: centre between the eyes, and their distance.
CANVAS = Window(0, 0, 640, 480)
EYES = np.array([320.0, 222.0])
EYE_DISTANCE = 105.0
IDENTITY = np.eye(2, 3)


def backward_map(
    source: np.ndarray, target: np.ndarray, window: Window = CANVAS, to_canvas: np.ndarray = IDENTITY
) -> np.ndarray:
    """Where each output pixel comes from when control points move from `source` to `target`.

    Args:
        source: float (P, 2), x and y on the canvas.
        target: float (P, 2), where these points shall be.
        window: the pixels to be drawn.
        to_canvas: float (2, 3), from these pixels to the canvas.

    Returns:
        float32 (height, width, 2): place on the canvas per pixel. The canvas's border does not move.
    """
    pixels, nodes = (cv2.transform(p, to_canvas) for p in (_blocks(window), _blocks(window, STEP, margin=1)))
    centres = np.vstack([target, _BORDER])
    shifts = np.vstack([source - target, np.zeros_like(_BORDER)])
    shift = RBFInterpolator(centres, shifts, smoothing=1.0)(nodes.reshape(-1, 2)).reshape(nodes.shape)
    shift = cv2.resize(shift.astype(np.float32), None, fx=STEP, fy=STEP, interpolation=cv2.INTER_CUBIC)
    return pixels + shift[STEP : STEP + window.height, STEP : STEP + window.width]


def sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The image at the places that a backward map names; beyond its border it is mirrored."""
    return cv2.remap(image, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _blocks(window: Window, size: int = 1, margin: int = 0) -> np.ndarray:
    """Centres of the square blocks that cover a window and `margin` more on every side: float32 (.., .., 2).

    These are the places where cv2.resize assumes the samples of an image that it makes `size` times larger.
    """
    xs, ys = (
        start + size * np.arange(-margin, -(-length // size) + margin) + (size - 1) / 2
        for start, length in ((window.left, window.width), (window.top, window.height))
    )
    return np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float32)


def _border() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, CANVAS.width, 5), np.linspace(0, CANVAS.height, 5))
    edge = (x % CANVAS.width == 0) | (y % CANVAS.height == 0)
    return np.stack([x[edge], y[edge]], axis=-1)


_BORDER = _border()
