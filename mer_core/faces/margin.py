"""How much of a dataset's crops lies inside its images, and which crop shows more of them."""

from __future__ import annotations

import numpy as np

from mer_core.faces.alignment import eye_transform, share_inside
from mer_core.faces.points import levelled

ENOUGH_INSIDE = 0.6  # median share of a crop inside its source below which a closer crop is advised
GOAL = 0.7  # what it is to reach
STEP = 0.01  # of eye_distance
FACES_KEPT = 0.95  # share of the faces whose brows and mouth must stay in the crop
BROWS_TO_MOUTH = slice(17, 68)


def tell_inside(inside: np.ndarray) -> str:
    """In one sentence, how much of the crops lies inside their images; `inside` (N,)."""
    middle, least = 100 * np.median(inside), 100 * np.min(inside)
    return f"{middle:.0f} % of a crop lie inside the source (median of {len(inside)}; least {least:.0f} %)"


def advise(
    dataset: str,
    landmarks: np.ndarray,
    shapes: np.ndarray,
    eye_distance: float,
    eye_center: tuple[float, float],
) -> str:
    """What to write so that more of a crop lies inside its image: one value for all images of a dataset.

    (A margin that shrank image by image would itself tell images apart.)

    Args:
        dataset: its name in the configuration.
        landmarks: (N, 68, 2) in source pixels.
        shapes: (N, 2), height and width of the sources.
        eye_distance, eye_center: of the crops as they are; see `config.alignment.Alignment`.
    """
    closest = np.quantile(_closest(landmarks, eye_center), 1 - FACES_KEPT)
    steps = STEP * np.arange(np.floor(eye_distance / STEP + 0.001) + 1, np.floor(closest / STEP) + 1)
    way_out = (
        f"{{mode: precropped}} takes the images as they are (datasets.{dataset}.alignment, docs/data.md)"
    )
    for wanted in steps:
        reached = np.median(
            [
                share_inside(eye_transform(points, 1000, wanted, eye_center), 1000, tuple(shape))
                for points, shape in zip(landmarks, shapes, strict=True)
            ]
        )
        if reached >= GOAL or wanted == steps[-1]:
            rest = "" if reached >= GOAL else f", and a closer one cuts brows or mouth; {way_out}"
            return (
                f"write datasets.{dataset}.alignment: {{eye_distance: {wanted:.2f}}} for a closer crop, "
                f"of which {100 * reached:.0f} % lie inside{rest}"
            )
    return f"a closer crop cuts brows or mouth; {way_out}"


def _closest(landmarks: np.ndarray, eye_center: tuple[float, float]) -> np.ndarray:
    """The largest eye_distance that keeps brows and mouth of each face in its crop, (N,)."""
    away, center = levelled(landmarks)[:, BROWS_TO_MOUTH], np.array(eye_center)
    with np.errstate(divide="ignore"):
        room = np.where(away > 0, 1 - center, center) / np.abs(away)
    return room.min(axis=(1, 2))
