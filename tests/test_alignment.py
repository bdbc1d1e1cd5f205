"""After alignment the inner eye corners lie level, at their distance and in their place."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import cbook

from mer_core.config.alignment import Alignment
from mer_core.faces.alignment import (
    align_clip,
    align_image,
    eye_transform,
    share_inside,
    warp,
)
from mer_core.faces.landmarks import FaceFinder, Found, NoFace
from mer_core.faces.margin import advise
from mer_core.faces.points import LEFT_INNER_EYE, RIGHT_INNER_EYE
from mer_core.images import read_image

EYES = [LEFT_INNER_EYE, RIGHT_INNER_EYE]
PORTRAITS = Path(__file__).parents[2] / "shared" / "data" / "portraits" / "images"

tilts = st.floats(-180, 180)
places = st.tuples(st.floats(-500, 3000), st.floats(-500, 3000))
distances = st.floats(2, 2000)
crops = st.tuples(st.integers(16, 1024), st.floats(0.05, 0.8), st.tuples(st.floats(0, 1), st.floats(0, 1)))


def settings(**changes: object) -> Alignment:
    values = {"mode": "landmarks", "size": 64, "eye_distance": 0.2, "eye_center": (0.5, 0.3), "color": "rgb"}
    return Alignment(**(values | changes))


def face(tilt: float, distance: float, place: tuple[float, float]) -> np.ndarray:
    """Landmarks, of which only the inner eye corners matter: tilted by degrees (clockwise, y down)."""
    landmarks = np.random.default_rng(0).normal(size=(68, 2)) * distance + place
    half = distance / 2 * np.array([np.cos(np.radians(tilt)), np.sin(np.radians(tilt))])
    landmarks[EYES] = np.array(place) - half, np.array(place) + half
    return landmarks


def moved(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


def tilt_of(corners: np.ndarray) -> float:
    dx, dy = corners[1] - corners[0]
    return float(np.degrees(np.arctan2(dy, dx)))


def equation_2(points: np.ndarray, theta: float, center: np.ndarray) -> np.ndarray:
    """The paper's equation 2 as printed."""
    x, y = (points - center).T
    turned = [x * np.cos(theta) + y * -np.sin(theta), x * np.sin(theta) + y * np.cos(theta)]
    return np.stack(turned, axis=-1) + center


class KnownFace(FaceFinder):
    """Finds the same landmarks in every image and counts how often it is asked."""

    def __init__(self, landmarks: np.ndarray) -> None:
        self.landmarks, self.asked, self.digest = landmarks.astype(np.float32), 0, "f00"

    def find(self, image: np.ndarray) -> Found:
        self.asked += 1
        return Found(self.landmarks, "plain")


@given(tilt=tilts, distance=distances, place=places, crop=crops)
def test_eyes_are_level_at_their_distance_and_in_their_place(
    tilt: float, distance: float, place: tuple[float, float], crop: tuple
) -> None:
    size, eye_distance, eye_center = crop
    corners = moved(eye_transform(face(tilt, distance, place), *crop), face(tilt, distance, place))[EYES]
    assert abs(tilt_of(corners)) < 0.5
    assert np.isclose(np.linalg.norm(corners[1] - corners[0]), eye_distance * size)
    np.testing.assert_allclose(corners.mean(0), np.multiply(eye_center, size), atol=1e-6 * size)


@given(tilt=tilts, distance=distances, place=places)
def test_is_a_similarity_that_never_mirrors(tilt: float, distance: float, place: tuple[float, float]) -> None:
    linear = eye_transform(face(tilt, distance, place), 224, 0.2, (0.5, 0.3))[:, :2]
    scale = 0.2 * 224 / distance
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-9 * scale**2)
    assert np.linalg.det(linear) > 0


@given(turn=tilts, scale=st.floats(0.1, 10), shift=places)
def test_does_not_depend_on_how_the_photograph_was_held(
    turn: float, scale: float, shift: tuple[float, float]
) -> None:
    landmarks = face(5, 60, (320, 240))
    held = np.column_stack([cv2.getRotationMatrix2D((0, 0), turn, scale)[:, :2], shift])
    aligned = [
        moved(eye_transform(points, 224, 0.2, (0.5, 0.3)), points)
        for points in (landmarks, moved(held, landmarks))
    ]
    np.testing.assert_allclose(aligned[0], aligned[1], atol=1e-5)


@given(tilt=st.floats(-80, 80), distance=distances, place=places)
def test_equation_2_samples_levelled_eyes_but_moves_points_to_twice_the_tilt(
    tilt: float, distance: float, place: tuple[float, float]
) -> None:
    landmarks = face(tilt, distance, place)
    center, theta = landmarks[EYES].mean(0), np.radians(tilt)
    doubled = equation_2(landmarks[EYES], theta, center)
    assert np.isclose(tilt_of(doubled), 2 * tilt, atol=1e-6)
    # In a crop of the photograph's own scale, with the eyes where they were, it is our inverse.
    size = 1000
    transform = eye_transform(landmarks, size, distance / size, tuple(center / size))
    outputs = center + distance * np.array([[0, 0], [-0.5, 0], [0.5, 0], [0.3, 0.8]])
    sampled = equation_2(outputs, theta, center)
    np.testing.assert_allclose(moved(transform, sampled), outputs, atol=1e-6 * (1 + abs(center).max()))


def test_coinciding_eyes_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        eye_transform(np.zeros((68, 2)), 224, 0.2, (0.5, 0.3))


def spot(shape: tuple[int, int], place: np.ndarray, radius: float) -> np.ndarray:
    """A bright blob on black, centred between pixels."""
    ys, xs = np.indices(shape)
    return np.uint8(np.rint(250 * np.exp(-((xs - place[0]) ** 2 + (ys - place[1]) ** 2) / (2 * radius**2))))


def centroid(image: np.ndarray) -> np.ndarray:
    ys, xs = np.indices(image.shape)
    return np.array([(xs * image).sum(), (ys * image).sum()]) / image.sum(dtype=float)


@pytest.mark.parametrize("scale", [0.07, 0.2, 0.33, 0.5, 0.72, 1.0, 1.9, 4.0])
@pytest.mark.parametrize("turn", [0, 11, -90])
def test_warp_puts_a_spot_where_the_transform_says(scale: float, turn: float) -> None:
    place = np.array([301.4, 180.7])
    transform = cv2.getRotationMatrix2D(tuple(place), turn, scale)
    transform[:, 2] += [30.3, 35.8] - place
    crop = warp(spot((400, 600), place, max(2.0, 2 / scale)), transform, 64)
    np.testing.assert_allclose(centroid(crop), [30.3, 35.8], atol=0.05)


@pytest.mark.parametrize("scale", [0.1, 0.25, 0.4])
def test_shrinking_averages_instead_of_aliasing(scale: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 640), np.uint8)
    transform = np.array([[scale, 0, 32 - 320.3 * scale], [0, scale, 32 - 320.3 * scale]])
    inside = slice(16, 48)
    # The mean of 1 / scale^2 independent pixels.
    assert warp(noise, transform, 64)[inside, inside].std() < 1.1 * scale * noise.std()
    assert cv2.warpAffine(noise, transform, (64, 64))[inside, inside].std() > 1.3 * scale * noise.std()


@given(tilt=tilts, distance=st.floats(20, 300), place=st.tuples(st.floats(-50, 300), st.floats(-50, 200)))
def test_the_share_inside_is_that_of_the_pixels(
    tilt: float, distance: float, place: tuple[float, float]
) -> None:
    transform = eye_transform(face(tilt, distance, place), 128, 0.26, (0.5, 0.28))
    counted = cv2.warpAffine(np.ones((160, 240), np.float32), transform, (128, 128)).mean()
    assert share_inside(transform, 128, (160, 240)) == pytest.approx(counted, abs=0.03)


@given(tilt=st.sampled_from([0.0, 7.0, -20.0]), cut=st.integers(0, 30), distance=st.floats(20, 60))
def test_the_crop_that_is_advised_shows_what_is_said(tilt: float, cut: int, distance: float) -> None:
    """A face of known brows and mouth in the middle of a picture whose sides are cut off."""
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 17), [-0.6, 0.5, 1.9])
    points = np.zeros((68, 2))
    points[17:] = np.column_stack([x.ravel(), y.ravel()])
    points[EYES] = [-0.5, 0], [0.5, 0]
    turn = np.radians(tilt)
    points = (
        points @ (distance * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])) + 200
    )
    shape = (400, 400 - 2 * cut)
    landmarks = np.array([points - [cut, 0]] * 3)
    said = advise("mine", landmarks, np.array([shape] * 3), 0.15, (0.5, 0.28))
    pattern = r"alignment: \{eye_distance: (0\.\d\d)\} .* (\d+) % lie inside"
    [wanted, share] = re.search(pattern, said).groups()
    transform = eye_transform(landmarks[0], 1000, float(wanted), (0.5, 0.28))
    inside = share_inside(transform, 1000, shape)
    assert abs(100 * inside - int(share)) <= 0.51
    shown = moved(transform, landmarks[0, 17:]) / 1000
    assert shown.min() >= 0 and shown.max() <= 1
    assert inside >= 0.7 or ("cuts brows or mouth" in said and "{mode: precropped}" in said)


def test_borders_are_replicated() -> None:
    image = np.full((50, 50, 3), [200, 100, 50], np.uint8)
    crop = warp(image, np.array([[0.5, 0.1, 20.0], [-0.1, 0.5, 20.0]]), 64)
    assert (crop == [200, 100, 50]).all()


def test_colors() -> None:
    finder = KnownFace(face(7, 50, (100, 90)))
    image = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    rgb, gray = (align_image(image, finder, settings(color=color)).image for color in ("rgb", "gray"))
    assert (rgb.shape, gray.shape, gray.dtype) == ((64, 64, 3), (64, 64, 1), np.uint8)
    np.testing.assert_allclose(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), gray[:, :, 0], atol=2)


@pytest.mark.parametrize("shape", [(340, 280), (48, 48), (64, 64)])
def test_precropped_images_are_only_resized(shape: tuple[int, int]) -> None:
    place = np.array([0.3 * shape[1], 0.6 * shape[0]])
    image = np.repeat(spot(shape, place, 0.06 * shape[0])[:, :, None], 3, axis=2)
    aligned = align_image(image, None, settings(mode="precropped"))
    assert aligned.step == "precropped"
    assert aligned.image.shape == (64, 64, 3)
    assert aligned.landmarks.shape == (68, 2) and np.isnan(aligned.landmarks).all()
    np.testing.assert_allclose(moved(aligned.transform, place), centroid(aligned.image[:, :, 0]), atol=0.05)


def test_a_clip_keeps_its_motion() -> None:
    finder = KnownFace(face(9, 50, (100, 90)))
    motion = np.array([-7.0, 4.0])
    frames = [np.dstack([spot((200, 220), np.array([110, 120]) + t * motion, 8)] * 3) for t in range(3)]
    images, onset = align_clip(frames, finder, settings())
    assert finder.asked == 1
    assert images.shape == (3, 64, 64, 3)
    np.testing.assert_array_equal(images[0], onset.image)
    path = np.array([centroid(image[:, :, 0]) for image in images])
    np.testing.assert_allclose(np.diff(path, axis=0), [onset.transform[:, :2] @ motion] * 2, atol=0.05)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def photographs() -> dict[str, np.ndarray]:
    return {
        "astronaut": skimage.data.astronaut(),
        "hopper": read_image(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)),
    }


@pytest.mark.parametrize("turn", [-12, -6, 0, 6, 12])
@pytest.mark.parametrize("name", photographs())
def test_eyes_found_again_in_the_crop_are_level(finder: FaceFinder, name: str, turn: float) -> None:
    image = photographs()[name]
    middle = finder.find(image).landmarks[27].tolist()
    turned = cv2.warpAffine(
        image, cv2.getRotationMatrix2D(middle, turn, 1), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    )
    corners = finder.find(align_image(turned, finder, settings(size=224)).image).landmarks[EYES] / 224
    assert abs(tilt_of(corners)) < 1.5
    assert np.isclose(np.linalg.norm(corners[1] - corners[0]), 0.2, atol=0.02)
    np.testing.assert_allclose(corners.mean(0), [0.5, 0.3], atol=0.02)


@pytest.mark.skipif(not PORTRAITS.is_dir(), reason="no portraits beside the repository")
def test_crops_of_portraits_hold_brows_and_mouth(finder: FaceFinder) -> None:
    for path in sorted(PORTRAITS.glob("*_smile.jpg"))[::12]:
        aligned = align_image(read_image(path), finder, settings(size=224))
        points = aligned.landmarks_aligned
        np.testing.assert_allclose(points, moved(aligned.transform, aligned.landmarks))
        assert (points[17:68] > 0).all() and (points[17:68] < 224).all()
        again = finder.find(aligned.image).landmarks
        assert abs(tilt_of(again[EYES])) < 1.5


def test_no_face_is_raised_for_the_single_image(finder: FaceFinder) -> None:
    with pytest.raises(NoFace):
        align_image(np.zeros((100, 100, 3), np.uint8), finder, settings())
