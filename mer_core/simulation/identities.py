"""Neutral faces of people who do not exist, or of those in a folder of portraits.

Two public-domain portraits ship inside packages: Eileen Collins (scikit-image's astronaut, NASA) and
Grace Hopper (matplotlib's sample, US Navy). Exchanged parts, mixtures and smooth changes of shape,
colour and light make any number of people of them.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import dlib
import numpy as np

from mer_core.errors import UserError
from mer_core.images import read_image
from mer_core.simulation.plan import simulated_subjects
from mer_core.simulation.warping import (
    CANVAS,
    EYE_DISTANCE,
    EYES,
    MIRROR,
    backward_map,
    control_points,
    eye_distance,
    sample,
    two_sided,
)

PACKAGED = "packaged"
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}

# How people differ in shape: control points and (outward, down) in eye distances, per unit of a
# standard normal number.
_SHAPES = (
    {2: (0.02, 0), 3: (0.03, 0), 4: (0.04, 0), 5: (0.04, 0), 6: (0.03, 0)},  # width of the jaw
    {1: (0.03, 0), 2: (0.03, 0), 3: (0.02, 0), 68: (0.015, 0)},  # width of the cheeks
    {5: (0, 0.02), 6: (0, 0.04), 7: (0, 0.05), 8: (0, 0.06), 73: (0, 0.03)},  # length of the chin
    {17: (0, -0.02), 18: (0, -0.03), 19: (0, -0.03), 20: (0, -0.03), 21: (0, -0.03)},  # height of brows
    {17: (0, 0.03), 18: (0, 0.015), 20: (0, -0.01), 21: (0, -0.015)},  # their slope
    {i: (0.03, 0) for i in (17, 18, 19, 20, 21, 36, 37, 38, 39, 40, 41)},  # distance of the eyes
    {37: (0, -0.012), 38: (0, -0.012), 40: (0, 0.01), 41: (0, 0.01)},  # opening of the eyes
    {36: (0.005, -0.015), 39: (0, 0.008)},  # their slant
    {28: (0, 0.01), 29: (0, 0.02), 30: (0, 0.04), 31: (0, 0.04), 32: (0, 0.04), 33: (0, 0.04)},  # nose
    {31: (0.025, 0), 32: (0.012, 0), 74: (0.02, 0)},  # its width
    {i: (0, 0.03) for i in range(48, 68)},  # height of the mouth
    {48: (0.035, 0), 49: (0.018, 0), 59: (0.018, 0), 60: (0.03, 0), 67: (0.01, 0), 61: (0.01, 0)},  # width
    {49: (0, -0.008), 50: (0, -0.014), 51: (0, -0.014), 57: (0, 0.02), 58: (0, 0.02), 59: (0, 0.01)},  # lips
)


@dataclass(frozen=True)
class Face:
    """A neutral face on the canvas, eyes level.

    Attributes:
        image: uint8 (480, 640, 3), RGB.
        landmarks: float64 (68, 2), x and y.
    """

    image: np.ndarray
    landmarks: np.ndarray


def identity(faces: str, size: str, seed: int, dataset: str, index: int) -> Face:
    """The neutral face of one simulated subject.

    Args:
        faces: `packaged`, or a folder of neutral portraits, one person each.
        size: of the simulation, which says how many people are needed.
        seed: of the simulation.
        dataset: casme2 or ckplus.
        index: of the subject, from 0.

    Raises:
        UserError: the folder holds too few people, or a portrait shows no face.
    """
    rng = np.random.default_rng([seed, 3, ("casme2", "ckplus").index(dataset), index])
    if faces == PACKAGED:
        collins, hopper = packaged_faces()
        # Far from the middle, so that two subjects are not the same half and half.
        share = rng.beta(0.6, 0.6)
        return vary(mix(collins, hopper, share), rng, strength=1.0)
    chosen = cast(Path(faces), size, seed, dataset)[index]
    people = [portrait(path) for path in chosen]
    face = people[0] if len(people) == 1 else mix(*people, 0.5)
    return vary(face, rng, strength=0.3)


def cast(folder: Path, size: str, seed: int, dataset: str) -> list[tuple[Path, ...]]:
    """Which portraits make each subject.

    Nobody is in both data sets, and every CASME II subject is one person. CK+ has more subjects than
    some folders have people; the subjects beyond are even mixtures of two CK+ people.

    Returns:
        Per subject one path, or two to be mixed.

    Raises:
        UserError: too few portraits, with the number needed.
    """
    files = portrait_files(folder)
    casme2, ckplus = (len(simulated_subjects(name, size)) for name in ("casme2", "ckplus"))
    needed = casme2 + math.ceil(ckplus / 2)
    if len(files) < needed:
        raise UserError(
            f"{folder}: {len(files)} portraits, but simulation.size {size} needs {needed} people; "
            "add portraits or choose a smaller size"
        )
    order = np.random.default_rng([seed, 4]).permutation(len(files))
    files = [files[i] for i in order]
    if dataset == "casme2":
        return [(path,) for path in files[:casme2]]
    pool = files[casme2:]
    pairs = [(path, pool[(i + 1) % len(pool)]) for i, path in enumerate(pool)]
    return [*((path,) for path in pool), *pairs][:ckplus]


def portrait_files(folder: Path) -> list[Path]:
    """Portraits in a folder and below it; where some are named `*_neutral.*`, only those."""
    if not folder.is_dir():
        raise UserError(f"simulation.faces: {folder} is no folder; name one, or say {PACKAGED}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in files if path.stem.endswith("_neutral")] or files


def portrait(path: Path) -> Face:
    """Read a portrait and bring its largest face to the canvas.

    Raises:
        UserError: no face was found.
    """
    image = read_image(path)
    detector, predictor = _dlib()
    # Twice the size: the detector misses faces under 80 pixels.
    scale = 2.0 if max(image.shape) < 900 else 1.0
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    boxes = detector(large, 0)
    if not boxes:
        raise UserError(f"{path}: no face found; use frontal portraits")
    # The clearest, not the largest: the detector lists them by score.
    points = predictor(large, boxes[0]).parts()
    landmarks = np.array([[point.x, point.y] for point in points]) / scale
    return _on_canvas(image, landmarks)


@lru_cache(maxsize=1)
def packaged_faces() -> tuple[Face, Face]:
    """Collins without her smile and Hopper without her glasses: each lent the other's part."""
    collins = portrait(_inside("skimage") / "data/astronaut.png")
    hopper = portrait(_inside("matplotlib") / "mpl-data/sample_data/grace_hopper.jpg")
    closed = collins.landmarks.copy()
    anchors = [5, 8, 11, 31, 35]
    closed[48:] = _affine(hopper.landmarks[anchors], collins.landmarks[anchors], hopper.landmarks[48:])
    neutral = reshape(collins, closed)
    lips = closed[48:60].mean(axis=0) + (closed[48:60] - closed[48:60].mean(axis=0)) * [1.15, 1.5]
    neutral = _transplant(reshape(hopper, closed), neutral, lips, feather=3.0)
    p = hopper.landmarks
    eyes = np.vstack(
        [p[17:27] - [0, 15], p[[0, 1]] + [[-8, -14], [6, 4]], p[[15, 16]] + [[-6, 4], [8, -14]]]
        + [(p[[1, 15]] + p[[31, 35]]) / 2 + [0, 18], p[[29]]]
    )
    return neutral, _transplant(reshape(collins, p), hopper, eyes, feather=5.0)


def mix(first: Face, second: Face, share: float) -> Face:
    """A face between two: `share` of the second in shape and skin, hair and background of the nearer."""
    landmarks = (1 - share) * first.landmarks + share * second.landmarks
    one, two = reshape(first, landmarks), reshape(second, landmarks)
    host, donor, portion = (one, two, share) if share < 0.5 else (two, one, 1 - share)
    return _transplant(donor, host, control_points(landmarks)[[*range(17), 70, 71, 72]], 9.0, portion)


def vary(face: Face, rng: np.random.Generator, strength: float) -> Face:
    """Another person near this one: mirrored or not, and changed in shape, skin, colour and light."""
    if rng.random() < 0.5:
        flipped = face.landmarks[MIRROR[:68]] * [-1, 1] + [CANVAS.width - 1, 0]
        face = Face(np.ascontiguousarray(face.image[:, ::-1]), flipped)
    weights = np.clip(rng.normal(0, 1, len(_SHAPES)), -1.6, 1.6) * strength
    moves = sum(w * two_sided(shape) for w, shape in zip(weights, _SHAPES, strict=True))
    face = reshape(face, face.landmarks + moves[:68] * EYE_DISTANCE)
    image = face.image.astype(np.float32)
    image += strength * rng.uniform(-0.6, 0.6) * (image - cv2.GaussianBlur(image, (0, 0), 2.0))
    light = strength * (0.12 * _smooth_noise(rng, 3) + 0.05 * _smooth_noise(rng, 24))
    colour = strength * (rng.normal(0, 0.03, 3) + rng.normal(0, 0.1))
    image = 255 * np.clip(image / 255, 0, 1) ** np.exp(strength * rng.normal(0, 0.12))
    image *= np.exp(light[..., None] + colour.astype(np.float32))
    return Face(_to_bytes(image), face.landmarks)


def reshape(face: Face, landmarks: np.ndarray) -> Face:
    """The same face with its landmarks moved elsewhere."""
    # The inner lips of a closed mouth nearly touch; as control points they would tear the image.
    outer = [i for i in range(len(MIRROR)) if not 60 < i < 68 or i == 64]
    source, target = control_points(face.landmarks)[outer], control_points(landmarks)[outer]
    return Face(sample(face.image, backward_map(source, target)), landmarks)


def _on_canvas(image: np.ndarray, landmarks: np.ndarray) -> Face:
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    scale = EYE_DISTANCE / eye_distance(landmarks)
    angle = math.atan2(right[1] - left[1], right[0] - left[0])
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = EYES - turn @ ((left + right) / 2)
    if scale < 1:  # what is made smaller is smoothed first, lest it alias
        image = cv2.GaussianBlur(image, (0, 0), 0.5 / scale)
    canvas = cv2.warpAffine(
        image,
        np.column_stack([turn, shift]),
        CANVAS[2:],
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return Face(canvas, landmarks @ turn.T + shift)


def _transplant(donor: Face, host: Face, outline: np.ndarray, feather: float, portion: float = 1.0) -> Face:
    """Put the donor's image over the host's inside an outline: colours matched, edge feathered."""
    mask = np.zeros(CANVAS.shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(outline).astype(np.int32)), 255)
    # Both show the same place of the same geometry, so that the skin between nose and cheeks tells how
    # the two photographs differ in light.
    skin = np.zeros(CANVAS.shape, np.uint8)
    patch = control_points(host.landmarks)[[29, 68, 69, 74, 75, 51]]
    cv2.fillConvexPoly(skin, cv2.convexHull(np.rint(patch).astype(np.int32)), 255)
    gain = np.median(host.image[skin > 0], axis=0) / np.median(donor.image[skin > 0], axis=0)
    alpha = portion * cv2.GaussianBlur(mask, (0, 0), feather)[..., None] / 255
    return Face(_to_bytes(donor.image * gain * alpha + host.image * (1 - alpha)), host.landmarks)


def _affine(source: np.ndarray, target: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points carried along by the affine map that takes `source` to `target` (least squares)."""
    design = np.column_stack([source, np.ones(len(source))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return np.column_stack([points, np.ones(len(points))]) @ solution


def _smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, CANVAS[2:], interpolation=cv2.INTER_CUBIC)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _dlib() -> tuple[dlib.fhog_object_detector, dlib.shape_predictor]:
    # Found without an import: the package's __init__ needs pkg_resources, which new setuptools lack.
    model = _inside("face_recognition_models") / "models/shape_predictor_68_face_landmarks.dat"
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))


def _inside(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package}: the package is not installed; run make install")
    return Path(spec.submodule_search_locations[0])
