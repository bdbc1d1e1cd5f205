"""The spotted apex is where the face moved most, whatever the head, the light and the sensor do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from mer_core.config.alignment import Alignment
from mer_core.errors import UserError
from mer_core.faces.alignment import align_image
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.spotting import Course, _smoothed, apex_of, blinks, follow_motion, onset_of, spot_apex
from mer_core.simulation.blinks import shut_eyes

SIZE, LENGTH, APEX = 224, 41, 16
TOLERANCE = 5  # frames: that near the apex the intensity is still above 0.9
BROW, MOUTH_CORNER = 20, 54


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray]:
    """The astronaut's aligned face and landmarks."""
    settings = Alignment(mode="landmarks", size=SIZE, eye_distance=0.2, eye_center=(0.5, 0.3), color="gray")
    aligned = align_image(skimage.data.astronaut(), FaceFinder(), settings)
    return aligned.image[:, :, 0], aligned.landmarks_aligned


def intensity(t: int) -> float:
    """Rises from 0 to 1 at the apex and returns halfway."""
    if t <= 0:
        return 0.0
    if t <= APEX:
        return np.sin(np.pi / 2 * t / APEX) ** 2
    return 1 - 0.5 * np.sin(np.pi / 2 * (t - APEX) / (LENGTH - 1 - APEX)) ** 2


def clip(
    image: np.ndarray,
    place: np.ndarray,
    amplitude: float = 1.5,
    drift: float = 0.0,
    flicker: float = 0.0,
    noise: float = 2.0,
    still: int = 0,
) -> np.ndarray:
    """A clip in which the skin at one place is lifted by `amplitude` pixels at the apex.

    Args:
        image: uint8 (H, W).
        place: x and y of the middle of the motion.
        amplitude: pixels.
        drift: of the head, pixels, growing until the end.
        flicker: of the light, grey levels.
        noise: of the sensor, grey levels.
        still: frames at rest before the motion begins.
    """
    generator = np.random.default_rng(0)
    ys, xs = np.indices(image.shape).astype(np.float32)
    squared = (xs - place[0]) ** 2 + (ys - place[1]) ** 2
    bump = np.exp(-squared / (2 * 12**2)).astype(np.float32)
    frames = []
    for t in range(-still, LENGTH):
        head = drift * (t + still) / (LENGTH + still - 1)
        lift = np.float32(amplitude * intensity(t)) * bump
        frame = cv2.remap(
            image, xs - np.float32(head), ys + lift, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        light = flicker * generator.standard_normal()
        frame = frame + light + noise * generator.standard_normal(image.shape)
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize("landmark", [BROW, MOUTH_CORNER])
@pytest.mark.parametrize(
    "disturbance", [{}, {"drift": 3.0}, {"flicker": 25.0}, {"noise": 5.0}, {"drift": -2.0, "flicker": 4.0}]
)
def test_finds_the_apex(face: tuple[np.ndarray, np.ndarray], landmark: int, disturbance: dict) -> None:
    image, landmarks = face
    frames = clip(image, landmarks[landmark], **disturbance)
    numbers = list(range(46, 46 + LENGTH))
    assert abs(spot_apex(frames, landmarks, numbers) - (46 + APEX)) <= TOLERANCE


@pytest.mark.parametrize("landmark", [BROW, MOUTH_CORNER])
@pytest.mark.parametrize("still", [0, 12, 60])
@pytest.mark.parametrize(
    "disturbance", [{}, {"drift": 3.0}, {"flicker": 25.0}, {"noise": 5.0}, {"drift": -2.0, "flicker": 4.0}]
)
def test_finds_the_onset(
    face: tuple[np.ndarray, np.ndarray], landmark: int, still: int, disturbance: dict
) -> None:
    """Less than a quarter of the motion is over, and it has not long to begin."""
    image, landmarks = face
    frames = clip(image, landmarks[landmark], still=still, **disturbance)
    course = follow_motion(frames, landmarks, range(46 - still, 46 + LENGTH))
    onset = onset_of(course, apex_of(course))
    assert intensity(onset - 46) < 0.25 and onset > 46 - max(10, still / 2)


def test_smoothing_damps_a_single_frame_and_leaves_a_lonely_one() -> None:
    numbers = np.array([0.0, 1, 2, 3, 4, 5, 6, 60])
    np.testing.assert_allclose(_smoothed(np.full(8, 3.0), numbers), 3)
    spike = _smoothed(np.array([0, 0, 0, 9.0, 0, 0, 0, 5.0]), numbers)
    assert spike[3] < 9 / 4
    assert np.isclose(spike[7], 5)


def test_motion_outside_the_face_does_not_count(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    frames = clip(image, landmarks[MOUTH_CORNER])
    decoy = clip(image, np.array([205, 20]), amplitude=4)[::-1]
    frames[:, :60, 170:] = decoy[:, :60, 170:]
    assert abs(spot_apex(frames, landmarks, list(range(LENGTH))) - APEX) <= TOLERANCE


def test_color_is_no_matter(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    gray = clip(image, landmarks[BROW])
    numbers = list(range(LENGTH))
    expected = spot_apex(gray, landmarks, numbers)
    assert spot_apex(gray[..., None], landmarks, numbers) == expected
    assert spot_apex(np.stack([gray] * 3, axis=-1), landmarks, numbers) == expected


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def blinking(frames: np.ndarray, landmarks: np.ndarray, middle: int, length: int = 16) -> np.ndarray:
    """The same clip with a blink of so many frames, 80 ms at 200 per second."""
    shares = np.sin(np.pi * np.clip((np.arange(LENGTH) - middle + length / 2) / length, 0, 1)) ** 0.5
    return np.stack([*map(shut_eyes, frames, [landmarks] * LENGTH, shares)])


@pytest.mark.parametrize("landmark", [BROW, MOUTH_CORNER])
@pytest.mark.parametrize("middle", [29, 33])
def test_a_blink_is_no_apex(
    face: tuple[np.ndarray, np.ndarray], finder: FaceFinder, landmark: int, middle: int
) -> None:
    image, landmarks = face
    frames, numbers = blinking(clip(image, landmarks[landmark]), landmarks, middle), list(range(LENGTH))
    assert abs(spot_apex(frames, landmarks, numbers) - APEX) > TOLERANCE, "else the blink disturbs nobody"
    assert abs(spot_apex(frames, landmarks, numbers, finder) - APEX) <= TOLERANCE


def test_eyes_that_do_not_blink_change_nothing(
    face: tuple[np.ndarray, np.ndarray], finder: FaceFinder
) -> None:
    image, landmarks = face
    for frames in (clip(image, landmarks[BROW]), clip(image, landmarks[37], amplitude=-1.5)):
        numbers = list(range(LENGTH))
        assert spot_apex(frames, landmarks, numbers, finder) == spot_apex(frames, landmarks, numbers)


def test_eyes_that_are_hardly_open_leave_frames_to_choose_from(
    face: tuple[np.ndarray, np.ndarray], finder: FaceFinder
) -> None:
    image, landmarks = face
    frames = np.stack([image, shut_eyes(image, landmarks, 1), shut_eyes(image, landmarks, 0.9)])
    assert spot_apex(frames, landmarks, [1, 2, 3], finder) == 2


def test_a_blink_is_one_run_around_shut_eyes() -> None:
    openness = np.array([1, 1, 0.8, 0.5, 0.3, 0.7, 0.9, 1, 1, 0.8, 0.75, 1, 1, 1, 1])
    assert np.flatnonzero(blinks(3 * openness)).tolist() == [2, 3, 4, 5]


def test_gaps_between_frames(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    kept = [0, 3, 9, APEX - 1, 27, 33, 40]
    frames = clip(image, landmarks[BROW])[kept]
    assert spot_apex(frames, landmarks, [100 + t for t in kept]) == 100 + APEX - 1


def test_the_onset_is_the_last_frame_at_rest() -> None:
    """At rest a face may have moved before, and moves by what noise moves it; frames may be missing."""
    numbers = np.array([*range(20), *range(25, 60)])
    motion = np.interp(numbers, [0, 1, 4, 8, 12, 30, 40, 59], [0, 0.2, 0.7, 0.2, 0.2, 0.2, 1.4, 0.2])
    assert onset_of(Course(numbers, motion), 40) in (29, 30, 31)
    assert onset_of(Course(numbers, motion), 1) == 0
    assert onset_of(Course(np.array([3, 5]), np.array([0, 1.0])), 5) == 3


def test_without_landmarks_the_whole_image_is_searched(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    frames = clip(image, landmarks[MOUTH_CORNER], amplitude=3, drift=2)
    unknown = np.full((68, 2), np.nan)
    assert abs(spot_apex(frames, unknown, list(range(LENGTH))) - APEX) <= TOLERANCE


@pytest.mark.parametrize(("length", "apex"), [(2, 5), (3, 5)])
def test_short_clips(face: tuple[np.ndarray, np.ndarray], length: int, apex: int) -> None:
    image, landmarks = face
    frames = clip(image, landmarks[BROW])[:length]  # still rising: the last moved most
    assert spot_apex(frames, landmarks, [3, 5, 6][:length]) == apex


def test_a_still_clip_gives_a_frame_between_onset_and_offset(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    assert spot_apex(np.stack([image] * 5), landmarks, [1, 2, 3, 4, 5]) in (2, 3, 4)


def test_a_single_frame_is_refused(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, landmarks = face
    with pytest.raises(UserError, match="frame 7 is alone"):
        spot_apex(image[None], landmarks, [7])
