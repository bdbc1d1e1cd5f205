"""Pictures of a simulated face that shows action units to a camera."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np

from mer_core.simulation.action_units import FURROWS, displacement, furrows
from mer_core.simulation.identities import Face
from mer_core.simulation.plan import ActionUnit
from mer_core.simulation.warping import (
    CANVAS,
    EYE_DISTANCE,
    EYES,
    Window,
    backward_map,
    control_points,
    sample,
)

# How each channel (RGB) fades in the deepest furrow, as an exponent: skin reddens in the shade.
FURROW_DEPTH = np.array([0.12, 0.24, 0.30], np.float32)
# Landmarks that lie above each other, and the least share of their distance that any expression leaves.
FACING = (
    *((19, 37), (20, 38), (21, 39), (22, 42), (23, 43), (24, 44)),  # brow and upper lid
    *((37, 41), (38, 40), (43, 47), (44, 46)),  # lids
    *((50, 61), (51, 62), (52, 63), (67, 58), (66, 57), (65, 56)),  # edges of each lip
    *((61, 67), (62, 66), (63, 65)),  # lips
)
LEAST_GAP = 0.35
MOUTH = np.array([52, 22, 20], np.float32)
TEETH = np.array([205, 196, 184], np.float32)


@dataclass(frozen=True)
class Camera:
    """How one recording sees the head: turn, size and place, their slow drift, and the sensor.

    Attributes:
        tilt: degrees in the image plane.
        scale: 1 is an eye distance of 105 pixels.
        shift: x and y, in pixels.
        drift: size of the slow movements, in pixels (and a fifth of it in degrees).
        phase: of these movements, in radians.
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
        """A camera at random, tilted by up to 12 degrees."""
        return cls(
            tilt=float(np.clip(rng.normal(0, 5), -12, 12)),
            scale=float(rng.uniform(0.95, 1.04)),
            shift=(float(rng.uniform(-8, 8)), float(rng.uniform(-6, 6))),
            drift=float(rng.uniform(0.3, 1.0)),
            phase=float(rng.uniform(0, 2 * np.pi)),
            noise=float(rng.uniform(1.2, 2.4)),
        )

    def transform(self, seconds: float) -> np.ndarray:
        """Canvas to image at a time, float64 (2, 3)."""
        # Three slow movements out of step: sideways, up and down, turning.
        swing = np.sin(2 * np.pi * seconds * np.array([0.7, 0.9, 0.5]) + self.phase + [0.0, 2.0, 4.0])
        centre = EYES + [0, 0.55 * EYE_DISTANCE]
        turn = cv2.getRotationMatrix2D(centre.tolist(), self.tilt + 0.2 * self.drift * swing[2], self.scale)
        turn[:, 2] += np.array(self.shift) + self.drift * swing[:2]
        return turn


class Actor:
    """A face that can show action units.

    Args:
        face: the neutral face.
    """

    def __init__(self, face: Face) -> None:
        self.image = face.image
        # Lips that touch are set a little apart: a spline cannot part points that coincide.
        self.points = control_points(_part_lips(face.landmarks))
        self._furrows = lru_cache(maxsize=None)(partial(furrows, points=self.points))

    def frame(
        self,
        units: Iterable[ActionUnit],
        strength: float,
        camera: Camera,
        seconds: float,
        rng: np.random.Generator,
        window: Window = CANVAS,
    ) -> np.ndarray:
        """One picture of a recording.

        Args:
            units: action units and their intensities.
            strength: share of the full expression at this moment.
            camera: of the recording.
            seconds: since its start.
            rng: for the sensor's noise.
            window: the part of the 640 x 480 picture that is wanted.

        Returns:
            uint8 (height, width, 3), RGB.
        """
        units = list(units)
        target = self._moved(units, strength)
        transform = camera.transform(seconds)
        places = backward_map(self.points, target, window, cv2.invertAffineTransform(transform))
        image = sample(self._skin(units, strength), places).astype(np.float32)
        self._open_mouth(image, target, transform - [[0, 0, window.left], [0, 0, window.top]])
        image += camera.noise * rng.standard_normal((*window.shape, 1), dtype=np.float32)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _moved(self, units: list[ActionUnit], strength: float) -> np.ndarray:
        """The control points under an expression. Lids, lips and brows come near, but never cross."""
        target = self.points + EYE_DISTANCE * displacement(units, strength)
        for upper, lower in FACING:
            least = LEAST_GAP * (self.points[lower, 1] - self.points[upper, 1])
            lack = max(0.0, least - (target[lower, 1] - target[upper, 1])) / 2
            target[[upper, lower], 1] += -lack, lack
        return target

    def _skin(self, units: list[ActionUnit], strength: float) -> np.ndarray:
        """The neutral face with its furrows, which the warp then carries along."""
        folded = [unit for unit in units if unit.number in FURROWS]
        if strength == 0 or not folded:
            return self.image
        depth = sum(unit.intensity * self._furrows(unit.number, unit.side) for unit in folded)
        return np.rint(self.image * np.exp(-strength * depth[..., None] * FURROW_DEPTH)).astype(np.uint8)

    def _open_mouth(self, image: np.ndarray, target: np.ndarray, transform: np.ndarray) -> None:
        """Paint what is seen between parted lips: dark, with a hint of the upper teeth."""
        moved = (target - self.points)[:, 1]
        parted = moved[65:68].mean() - moved[61:64].mean()
        if parted < 0.01 * EYE_DISTANCE:
            return
        upper, lower = target[60:65], target[[64, 65, 66, 67, 60]]
        reach = min(0.6 * parted, 0.09 * EYE_DISTANCE)
        # A row that ends halfway to the corners, where the lips cover it.
        ends = (upper[[0, 4]] + upper[[1, 3]]) / 2
        row = np.vstack([ends[:1], upper[1:4], ends[1:]])
        edge = row + reach * np.array([[0, 0.4], [0, 0.9], [0, 1], [0, 0.9], [0, 0.4]])
        teeth = np.vstack([row, edge[::-1]])
        _paint(image, np.vstack([upper, lower]), transform, 0.85, MOUTH)
        _paint(image, teeth, transform, 0.7 * min(1.0, parted / (0.1 * EYE_DISTANCE)), TEETH)


def _paint(
    image: np.ndarray, polygon: np.ndarray, transform: np.ndarray, opacity: float, colour: np.ndarray
) -> None:
    """Fill a polygon of canvas points in the picture, its edge feathered."""
    corners = polygon @ transform[:, :2].T + transform[:, 2]
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(16 * corners).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    left, top, width, height = cv2.boundingRect(mask)
    box = (slice(max(top - 5, 0), top + height + 5), slice(max(left - 5, 0), left + width + 5))
    alpha = opacity / 255 * cv2.GaussianBlur(mask[box], (0, 0), 1.2)[..., None].astype(np.float32)
    image[box] += alpha * (colour - image[box])


def _part_lips(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks whose inner lips are at least 3 % of the eye distance apart."""
    parted = landmarks.copy()
    upper, lower = [61, 62, 63], [67, 66, 65]
    lack = np.maximum(0, 0.03 * EYE_DISTANCE - (landmarks[lower, 1] - landmarks[upper, 1])) / 2
    parted[upper, 1] -= lack
    parted[lower, 1] += lack
    return parted
