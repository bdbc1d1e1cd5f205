"""Spotting the apex of a clip where it is not annotated, the frame of the largest facial motion, and the
onset before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from mer_core.errors import UserError
from mer_core.faces.landmarks import FaceFinder, to_gray
from mer_core.faces.points import eye_vector, lid_aperture

SIZE = 224  # pixels of the crops; in the small ones that a quick run trains on micro-motion is lost
# Landmarks around each brow with its eye, and around the mouth.
REGIONS = ([*range(17, 22), *range(36, 42)], [*range(22, 27), *range(42, 48)], [*range(48, 60)])
MARGIN = 0.25  # by which the regions are widened, in inner-eye distances
STRIDE = 4  # flow is looked at on every fourth pixel; it is smooth
SMOOTHING = 2.0  # frames, standard deviation; at 200 frames per second a micro-expression rises over 30
# How open the eyes are, as a share of the clip's median: below SHUT they are, below HALF_OPEN on the way.
# Simulated blinks go down to 0.55 and less, brow lowerer with lid tightener at half their strength to 0.6.
SHUT, HALF_OPEN = 0.57, 0.85
EYES = (range(36, 42), range(42, 48))
# Share of the way from the motion at rest to that of the apex, within which a face counts as at rest.
AT_REST = 0.05


class Course(NamedTuple):
    """How far a face has moved since the first frame of a clip.

    Attributes:
        numbers: int (T,), ascending, of the frames that count: those in which the eyes blink do not.
        motion: float (T,), pixels; 0 in the first frame.
    """

    numbers: np.ndarray
    motion: np.ndarray


def follow_motion(
    frames: np.ndarray, landmarks: np.ndarray, numbers: Sequence[int], finder: FaceFinder | None = None
) -> Course:
    """The motion of a face in the regions of eyes, brows and mouth.

    Motion is the dense optical flow (DIS, Kroeger et al. 2016) from the first frame to each. The head's
    own motion, fitted as an affine flow to the rest of the face, is subtracted: in a micro-expression
    it is the larger of the two. What counts is the mean length over the regions. Frames in which the
    eyes blink are left out: their lids move more than any micro-expression.

    Args:
        frames: uint8 (T, H, W) or (T, H, W, C), aligned in clip mode, the face at rest first.
        landmarks: (68, 2) in aligned pixels; NaN (precropped images) makes the whole image the region.
        numbers: of the T frames, ascending; they may have gaps.
        finder: follows the lids; without it, or without landmarks, blinks are not told apart.

    Raises:
        UserError: when there is but one frame.
    """
    if len(frames) < 2:
        raise UserError(f"frame {numbers[0]} is alone: an apex is spotted among two frames or more")
    frames, numbers = np.stack([to_gray(frame) for frame in frames]), np.asarray(numbers)
    if finder and not np.isnan(landmarks).any():
        awake = ~blinks(_openness(frames, landmarks, finder))
        if awake.sum() > 2:
            frames, numbers = frames[awake], numbers[awake]
    return Course(numbers, _motion(frames, landmarks))


def spot_apex(
    frames: np.ndarray, landmarks: np.ndarray, numbers: Sequence[int], finder: FaceFinder | None = None
) -> int:
    """The frame that moved most since the onset: `apex_of` of `follow_motion`, which has the arguments."""
    return apex_of(follow_motion(frames, landmarks, numbers, finder))


def apex_of(course: Course) -> int:
    """The number of the frame that moved most, over which the motion is smoothed in time.

    Never that of the first frame, and that of the last only if there are two.
    """
    motion = _smoothed(course.motion, course.numbers.astype(float))
    inner = motion[1:-1] if len(motion) > 2 else motion[1:]
    return int(course.numbers[1 + int(np.argmax(inner))])


def onset_of(course: Course, apex: int) -> int:
    """The number of the last frame before the apex in which the face is still at rest.

    At rest it has moved by no more than its least motion before the apex and `AT_REST` of the way from there
    to that of the apex: the threshold of Moilanen, Zhao and Pietikainen (ICPR 2014), a share of the way
    between a level of the curve and its peak, over the level at rest. Of a clip that moves from its start it
    is one of the first frames.

    Args:
        course: of a clip that begins at rest.
        apex: the number of the apex.
    """
    # The first frame's motion is 0 by definition: the others at rest have that of noise.
    numbers, motion = course.numbers[1:], _smoothed(course.motion[1:], course.numbers[1:].astype(float))
    before = numbers < apex
    if not before.any():
        return int(course.numbers[0])
    rest, peak = motion[before].min(), np.interp(apex, numbers, motion)
    still = motion[before] <= rest + AT_REST * max(peak - rest, 0)
    return int(numbers[before][still][-1])


def blinks(openness: np.ndarray) -> np.ndarray:
    """In which frames the eyes shut, are shut or open again: bool (T,), of how open they are (T,)."""
    share = openness / np.median(openness)
    _, runs = cv2.connectedComponents(np.uint8(share < HALF_OPEN)[None])
    return (runs[0] > 0) & np.isin(runs[0], runs[0][share < SHUT])


def _openness(frames: np.ndarray, landmarks: np.ndarray, finder: FaceFinder) -> np.ndarray:
    """How open the eyes are in gray frames, (T,): aperture of the lids times contrast of what lies between.

    Either alone misses some: the predictor takes the crease of a shut lid for the lid's edge, and lashes
    have contrast, too.
    """
    eyes = [np.zeros(frames.shape[1:], np.uint8) for _ in EYES]
    for mask, outline in zip(eyes, EYES, strict=True):
        cv2.fillConvexPoly(mask, np.rint(landmarks[outline]).astype(np.int32), 1)
    contrast = np.mean([frames[:, mask > 0].std(axis=1) for mask in eyes], axis=0)
    return lid_aperture(finder.follow(frames, landmarks)) * np.maximum(contrast, 1)


def _motion(frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean length of the flow from the first frame in the regions, less the head's; pixels, (T,)."""
    grid = (slice(None, None, STRIDE), slice(None, None, STRIDE))
    regions, face = (mask[grid] for mask in _masks(frames.shape[1:], landmarks))
    rest = face & ~regions if (face & ~regions).any() else face
    y, x = np.indices(regions.shape)
    affine = np.stack([x, y, np.ones_like(x)], axis=-1).astype(float)
    solve = np.linalg.pinv(affine[rest])
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    motion = np.zeros(len(frames))
    for t in range(1, len(frames)):
        steady_light = cv2.add(frames[t], frames[0].mean() - frames[t].mean())
        flow = estimator.calc(frames[0], steady_light, None)[grid]
        head = affine[regions] @ (solve @ flow[rest])
        motion[t] = np.linalg.norm(flow[regions] - head, axis=1).mean()
    return motion


def _masks(shape: tuple[int, int], landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regions of expression, and the whole face; bool (H, W) each."""
    if np.isnan(landmarks).any():
        return np.ones(shape, bool), np.ones(shape, bool)
    points = np.rint(landmarks).astype(np.int32)
    regions, face = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for region in REGIONS:
        cv2.fillConvexPoly(regions, cv2.convexHull(points[region]), 1)
    cv2.fillConvexPoly(face, cv2.convexHull(points), 1)
    eyes = np.linalg.norm(eye_vector(landmarks))
    edge = 1 + 2 * max(1, round(MARGIN * eyes))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
    return cv2.dilate(regions, disc) > 0, face > 0


def _smoothed(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Mean weighted by distance in time, which holds for clips with gaps."""
    weights = np.exp(-((numbers[:, None] - numbers) ** 2) / (2 * SMOOTHING**2))
    return weights @ values / weights.sum(axis=1)
