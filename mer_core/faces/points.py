"""The 68 points of a face: where its eyes are, how open they are, and whether the points fit the person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEFT_INNER_EYE, RIGHT_INNER_EYE = 39, 42  # as seen in the image, counted from 0

UNLIKE = "unlike the subject's other faces"
# Points that expressions hardly move: nose, eyes, and the face's outline beside them.
STILL = [*range(27, 48), *range(3), *range(14, 17)]
# Mean distance of these points from where they are in the subject's median face, in inner-eye distances. A
# neutral and a smiling portrait of one person agree within 0.09; eyes found a fifth too far apart give 0.14.
FAR = 0.12
ENOUGH = 3  # faces of a subject, of which most are right


def eye_vector(landmarks: np.ndarray) -> np.ndarray:
    """From one inner eye corner to the other, left to right in the image; (..., 68, 2) to (..., 2)."""
    return landmarks[..., RIGHT_INNER_EYE, :] - landmarks[..., LEFT_INNER_EYE, :]


def eye_middle(landmarks: np.ndarray) -> np.ndarray:
    """The point between the inner eye corners; (..., 68, 2) to (..., 2)."""
    return (landmarks[..., RIGHT_INNER_EYE, :] + landmarks[..., LEFT_INNER_EYE, :]) / 2


def are_inside(landmarks: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether both eyes and the middle of the face, by its points (68, 2), lie in an image of this shape."""
    middles = np.array([landmarks[part].mean(axis=0) for part in (slice(36, 42), slice(42, 48), slice(None))])
    return bool((middles >= 0).all() and (middles <= shape[1::-1]).all())


def lid_aperture(landmarks: np.ndarray) -> np.ndarray:
    """How wide the eyes are open: distance of the lids over length of the eye, of both eyes; (..., 68, 2).

    The eye aspect ratio of Soukupova and Cech (2016): about 0.3 in open eyes.
    """

    def distance(one: int, other: int) -> np.ndarray:
        return np.linalg.norm(landmarks[..., one, :] - landmarks[..., other, :], axis=-1)

    lids = sum(distance(*pair) for pair in ((37, 41), (38, 40), (43, 47), (44, 46)))
    return lids / (2 * (distance(36, 39) + distance(42, 45)))


def unlike_others(landmarks: np.ndarray, subjects: Sequence[str]) -> np.ndarray:
    """Which faces have their landmarks elsewhere than the same subject's other faces.

    A fit may be steady and wrong, on the rim of glasses for one. All faces are compared with their eyes level
    and at the same distance, so that a wrong distance between the eyes shows in all other points.

    Args:
        landmarks: (N, 68, 2) in source pixels; NaN where none were sought.
        subjects: N names.

    Returns:
        bool (N,); False for subjects of fewer than three faces.
    """
    shapes = levelled(np.asarray(landmarks, float))[:, STILL]
    far = np.zeros(len(shapes), bool)
    for subject in sorted(set(subjects)):
        own = np.flatnonzero(np.array(subjects) == subject)
        if len(own) >= ENOUGH:
            away = shapes[own] - np.median(shapes[own], axis=0)
            far[own] = np.linalg.norm(away, axis=2).mean(axis=1) > FAR
    return far


def levelled(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks about the middle between the eyes, in inner-eye distances along their line."""
    right = eye_vector(landmarks)
    unit = right / np.sum(right**2, axis=-1, keepdims=True)
    down = np.stack([-unit[:, 1], unit[:, 0]], axis=-1)
    centered = landmarks - eye_middle(landmarks)[:, None]
    return np.einsum("npi,nki->npk", centered, np.stack([unit, down], axis=1))
