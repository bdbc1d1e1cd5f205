"""From a face in a photograph to a canonical square crop (the paper's equations 1 and 2)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from mer_core.config.alignment import Alignment
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.points import eye_middle, eye_vector


class AlignedImage(NamedTuple):
    """One aligned face.

    Attributes:
        image: uint8 (size, size, C).
        landmarks: float32 (68, 2) in source pixels, NaN in mode precropped.
        transform: float64 (2, 3), source pixels to aligned pixels.
        step: what found the face (`landmarks.Found.step`), or 'precropped'.
        inside: share of the crop that lies inside the source image; the rest is replicated border.
    """

    image: np.ndarray
    landmarks: np.ndarray
    transform: np.ndarray
    step: str
    inside: float

    @property
    def landmarks_aligned(self) -> np.ndarray:
        """float64 (68, 2) in aligned pixels, NaN in mode precropped."""
        return self.landmarks @ self.transform[:, :2].T + self.transform[:, 2]


def eye_transform(
    landmarks: np.ndarray, size: int, eye_distance: float, eye_center: tuple[float, float]
) -> np.ndarray:
    """The similarity that levels the inner eye corners and brings them to their canonical place.

    Equation 1 gives the tilt and the distance of the corners. Equation 2 is the paper's rotation by the
    tilt about their midpoint, read as the map from output to input by which a warp samples; this function
    returns the map from input to output, its inverse. (As a map of points, equation 2 doubles the tilt.)
    The paper does not say how the distance sets the crop; here it is the scale.

    Args:
        landmarks: (68, 2) x and y in source pixels.
        size: edge of the crop in pixels.
        eye_distance: distance of the corners in the crop, as a share of size.
        eye_center: x and y of their midpoint in the crop, as shares of size.

    Returns:
        float64 (2, 3), source pixels to aligned pixels.

    Raises:
        ValueError: when the corners coincide.
    """
    landmarks = np.asarray(landmarks, float)
    dx, dy = eye_vector(landmarks)
    theta, distance = np.arctan2(dy, dx), np.hypot(dx, dy)
    if not distance > 0:
        raise ValueError("the inner eye corners coincide")
    scale = eye_distance * size / distance
    cos, sin = scale * np.cos(theta), scale * np.sin(theta)
    rotation = np.array([[cos, sin], [-sin, cos]])
    shift = np.multiply(eye_center, size) - rotation @ eye_middle(landmarks)
    return np.column_stack([rotation, shift])


def share_inside(transform: np.ndarray, size: int, shape: tuple[int, int]) -> float:
    """The share of a crop that lies inside its source image.

    Args:
        transform: (2, 3), source pixels to aligned pixels.
        size: edge of the crop in pixels.
        shape: height and width of the source.
    """
    crop, source = (
        np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5 for w, h in ((size, size), (shape[1], shape[0]))
    )
    source = source @ transform[:, :2].T + transform[:, 2]
    area, _ = cv2.intersectConvexConvex(source.astype(np.float32), crop.astype(np.float32))
    return min(1.0, area / size**2)


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Resample an image through a similarity, with replicated borders and without aliasing.

    Where the transform shrinks, the crop is first sampled on a grid fine enough for the source and then
    averaged over blocks.

    Args:
        image: uint8 (H, W, 3) or (H, W).
        transform: (2, 3), source pixels to aligned pixels.
        size: edge of the result in pixels.

    Returns:
        uint8 (size, size, 3) or (size, size).
    """
    scale = np.sqrt(abs(np.linalg.det(transform[:, :2])))
    fine = max(1, int(np.ceil(1 / scale - 0.01)))
    # Pixel centres carry whole numbers: block k of the fine grid is centred on pixel k of the crop.
    refined = fine * transform
    refined[:, 2] += (fine - 1) / 2
    sampling = cv2.INTER_LINEAR if fine > 1 else cv2.INTER_CUBIC
    crop = cv2.warpAffine(
        image, refined, (fine * size, fine * size), flags=sampling, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) if fine > 1 else crop


def align_image(image: np.ndarray, finder: FaceFinder | None, settings: Alignment) -> AlignedImage:
    """Align one image by its own landmarks (frame mode, as the paper).

    Args:
        image: uint8 (H, W, 3) RGB.
        finder: may be None in mode precropped.
        settings: mode, size, place of the eyes, color.

    Raises:
        NoFace: when no face is found.
    """
    return _align([image], finder, settings)[0]


def align_clip(
    frames: Iterable[np.ndarray], finder: FaceFinder | None, settings: Alignment
) -> tuple[np.ndarray, AlignedImage]:
    """Align all frames of a clip by the transform of the first, so that motion is kept (clip mode).

    Args:
        frames: uint8 (H, W, 3) RGB each, the onset first; one at a time lies in memory.
        finder: may be None in mode precropped.
        settings: as for `align_image`.

    Returns:
        uint8 (T, size, size, C), and the aligned onset.

    Raises:
        NoFace: when no face is found in the onset.
    """
    aligned = _align(frames, finder, settings)
    return np.stack([frame.image for frame in aligned]), aligned[0]


def _align(
    frames: Iterable[np.ndarray], finder: FaceFinder | None, settings: Alignment
) -> list[AlignedImage]:
    """All frames by the transform of the first."""
    frames, size = iter(frames), settings.size
    first = next(frames)
    if settings.mode == "precropped":
        landmarks, step = np.full((68, 2), np.nan, np.float32), "precropped"
        transform = resizing(first.shape, size)
    else:
        found = finder.find(first)
        landmarks, step = found.landmarks, found.step
        transform = eye_transform(landmarks, size, settings.eye_distance, settings.eye_center)
    inside = share_inside(transform, size, first.shape[:2])
    aligned = []
    for frame in itertools.chain([first], frames):
        pixels = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if settings.color == "gray" else frame
        image = resize(pixels, size) if settings.mode == "precropped" else warp(pixels, transform, size)
        aligned.append(AlignedImage(image.reshape(size, size, -1), landmarks, transform, step, inside))
    return aligned


def resizing(shape: tuple[int, ...], size: int) -> np.ndarray:
    """What `resize` does to an image of this shape: float64 (2, 3), source pixels to aligned pixels."""
    scale = size / np.array(shape[1::-1], float)
    return np.column_stack([np.diag(scale), (scale - 1) / 2])


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """A face that is cropped already, uint8 (H, W, 3) or (H, W), as a crop of another size."""
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
