"""Facial action units as movements of control points and as furrows, and faces that show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from mer_core.simulation.identities import CANVAS, EYE_DISTANCE, EYES, Face
from mer_core.simulation.plan import ActionUnit
from mer_core.simulation.warping import MIRROR, backward_map, control_points, sample, two_sided

# Movements at full strength (FACS intensity E), for the face's half on the image's left: control point
# -> (outward, down) in eye distances. After the appearance changes that the FACS manual describes.
_CHIN = {5: (0, 0.4), 6: (0, 0.7), 7: (0, 0.95), 8: (0, 1.0), 4: (0, 0.2), 73: (0, 0.95)}
_LOWER_LIP = {
    56: (0, 1.0),
    57: (0, 1.0),
    58: (0, 1.0),
    59: (0, 0.6),
    65: (0, 1.0),
    66: (0, 1.0),
    67: (0, 1.0),
}


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
# How much a furrow darkens the skin at full strength, and its width in eye distances.
DEPTH = 0.15
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


@dataclass(frozen=True)
class Camera:
    """How one recording sees the head: turn, size and place, their slow drift, and the sensor.

    Attributes:
        tilt: degrees in the image plane.
        scale: 1 is an eye distance of 105 pixels.
        shift: x and y, in pixels.
        drift: size of the slow movements, in pixels (and a fifth of it in degrees).
        phase: of these movements.
        noise: standard deviation, in grey levels.
    """

    tilt: float
    scale: float
    shift: tuple[float, float]
    drift: float
    phase: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Camera:
        """A camera at random: tilts up to 12 degrees."""
        tilt = float(np.clip(rng.normal(0, 5), -12, 12))
        shift = (float(rng.uniform(-8, 8)), float(rng.uniform(-6, 6)))
        return cls(
            tilt, float(rng.uniform(0.95, 1.04)), shift, *(float(rng.uniform(*r)) for r in _CAMERA_RANGES)
        )

    def transform(self, seconds: float) -> np.ndarray:
        """Canvas to image at a time, float64 (2, 3)."""
        beat = np.sin(2 * np.pi * (0.7 * seconds * np.array([1.0, 1.3, 0.8])) + self.phase + [0.0, 2.0, 4.0])
        centre = EYES + [0, 0.55 * EYE_DISTANCE]
        turn = cv2.getRotationMatrix2D(centre.tolist(), self.tilt + 0.2 * self.drift * beat[2], self.scale)
        turn[:, 2] += np.array(self.shift) + self.drift * beat[:2]
        return turn


_CAMERA_RANGES = ((0.3, 1.0), (0.0, 6.28), (1.2, 2.4))


class Actor:
    """A face that can show action units.

    Args:
        face: the neutral face.
    """

    def __init__(self, face: Face) -> None:
        self.face = face
        # Lips that touch are set a little apart: a spline cannot part points that coincide.
        self.points = control_points(_part_lips(face.landmarks))
        self._furrow = lru_cache(maxsize=None)(self._draw_furrow)

    def frame(
        self,
        units: Iterable[ActionUnit],
        strength: float,
        camera: Camera,
        seconds: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """One picture of a recording.

        Args:
            units: action units and their intensities.
            strength: share of the full expression at this moment.
            camera: of the recording.
            seconds: since its start.
            rng: for the sensor's noise.

        Returns:
            uint8 (480, 640, 3), RGB.
        """
        units = list(units)
        target = self.points + EYE_DISTANCE * displacement(units, strength)
        canvas_to_image = camera.transform(seconds)
        image = self._skin(units, strength)
        places = backward_map(self.points, target, CANVAS) if strength > 0 else None
        image_to_canvas = cv2.invertAffineTransform(canvas_to_image)
        pixels = cv2.transform(_GRID, image_to_canvas)
        if places is not None:
            pixels = cv2.remap(places, pixels, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        image = sample(image, pixels).astype(np.float32)
        image = self._open_mouth(image, target, canvas_to_image)
        image += camera.noise * rng.standard_normal((*CANVAS, 1), dtype=np.float32)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _skin(self, units: list[ActionUnit], strength: float) -> np.ndarray:
        """The neutral face with its furrows, which the warp then carries along."""
        shade = sum(
            (
                unit.intensity * self._furrow(unit.number, unit.side)
                for unit in units
                if unit.number in FURROWS
            ),
            start=np.float32(0),
        )
        if strength == 0 or np.ndim(shade) == 0:
            return self.face.image
        return (self.face.image * np.exp(-DEPTH * strength * shade)[..., None]).astype(np.uint8)

    def _draw_furrow(self, number: int, side: str) -> np.ndarray:
        """Depth of a unit's furrows on the canvas, float32, 1 at the deepest."""
        ink = np.zeros(CANVAS, np.float32)
        for stroke in FURROWS[number]:
            for half, sign in (("R", -1), ("L", 1)):
                if side in ("", half):
                    index = [point if half == "R" else MIRROR[point] for point, _, _ in stroke]
                    offsets = [(sign * outward, down) for _, outward, down in stroke]
                    line = self.points[index] + EYE_DISTANCE * np.array(offsets)
                    line = np.rint(16 * line).astype(np.int32)[:, None]
                    cv2.polylines(ink, [line], False, 1.0, 2, cv2.LINE_AA, shift=4)
        ink = cv2.GaussianBlur(ink, (0, 0), WIDTH * EYE_DISTANCE)
        return ink / ink.max()

    def _open_mouth(self, image: np.ndarray, target: np.ndarray, transform: np.ndarray) -> np.ndarray:
        """Paint what is seen between parted lips: dark, with a hint of the upper teeth."""
        parted = (target - self.points)[65:68, 1].mean() - (target - self.points)[61:64, 1].mean()
        if parted < 0.01 * EYE_DISTANCE:
            return image
        upper, lower = target[60:65], target[[60, 67, 66, 65, 64]]
        mask = _polygon_mask(np.vstack([upper, lower[::-1]]), transform)
        dark = image * (1 - 0.85 * mask) + 0.85 * mask * np.array([52, 22, 20], np.float32)
        reach = min(0.6 * parted, 0.09 * EYE_DISTANCE)
        middle = slice(1, 4)
        teeth = np.vstack([upper[middle], (upper[middle] + [0, reach])[::-1]])
        mask *= 0.7 * min(1.0, parted / (0.1 * EYE_DISTANCE)) * _polygon_mask(teeth, transform)
        return dark * (1 - mask) + mask * np.array([205, 196, 184], np.float32)


_GRID = np.stack(np.meshgrid(np.arange(CANVAS[1]), np.arange(CANVAS[0])), axis=-1).astype(np.float32)


def _side_weight(side: str) -> np.ndarray:
    """1 for the points that a one-sided unit moves, 0 on the other side, and half on the middle line."""
    if not side:
        return np.ones((len(MIRROR), 1))
    middle = np.arange(len(MIRROR)) == MIRROR
    return np.where(middle, 0.5, np.where(_IMAGE_LEFT, float(side == "R"), float(side == "L")))[:, None]


def _image_left() -> np.ndarray:
    left = np.zeros(len(MIRROR), bool)
    left[[*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]] = True
    left[[68, 70, 74, 77, 79, 81]] = True
    return left


_IMAGE_LEFT = _image_left()


def _part_lips(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks whose inner lips are at least 3 % of the eye distance apart."""
    parted = landmarks.copy()
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        lack = max(0.0, 0.03 * EYE_DISTANCE - (landmarks[lower, 1] - landmarks[upper, 1])) / 2
        parted[upper, 1] -= lack
        parted[lower, 1] += lack
    return parted


def _polygon_mask(polygon: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """A soft-edged polygon of canvas points, in the image: float32 (480, 640, 1)."""
    mask = np.zeros(CANVAS, np.uint8)
    corners = polygon @ transform[:, :2].T + transform[:, 2]
    cv2.fillPoly(mask, [np.rint(16 * corners).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None].astype(np.float32) / 255
