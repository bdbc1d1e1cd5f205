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

from mer_core.datasets.frames import IMAGE_SUFFIXES
from mer_core.errors import UserError
from mer_core.images import read_image
from mer_core.simulation.plan import clip_set, simulated_subjects, stream
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
DETECTION_EDGE = 1280

# How people differ in shape: control points and (outward, down) in hundredths of the eye distance, per
# unit of a standard normal number.
# fmt: off
_SHAPES: dict[str, dict[int, tuple[float, float]]] = {
    "width of the jaw": {2: (2, 0), 3: (3, 0), 4: (4, 0), 5: (4, 0), 6: (3, 0)},
    "width of the cheeks": {1: (3, 0), 2: (3, 0), 3: (2, 0), 68: (1.5, 0)},
    "length of the chin": {5: (0, 2), 6: (0, 4), 7: (0, 5), 8: (0, 6), 73: (0, 3)},
    "height of the brows": {17: (0, -2), 18: (0, -3), 19: (0, -3), 20: (0, -3), 21: (0, -3)},
    "slope of the brows": {17: (0, 3), 18: (0, 1.5), 20: (0, -1), 21: (0, -1.5)},
    "distance of the eyes": {i: (3, 0) for i in (*range(17, 22), *range(36, 42))},
    "opening of the eyes": {37: (0, -1.2), 38: (0, -1.2), 40: (0, 1), 41: (0, 1)},
    "slant of the eyes": {36: (0.5, -1.5), 39: (0, 0.8)},
    "length of the nose": {28: (0, 1), 29: (0, 2), 30: (0, 4), 31: (0, 4), 32: (0, 4), 33: (0, 4)},
    "width of the nose": {31: (2.5, 0), 32: (1.2, 0), 74: (2, 0)},
    "height of the mouth": {i: (0, 3) for i in (*range(48, 52), *range(57, 63), 66, 67)},
    "width of the mouth": {48: (3.5, 0), 49: (1.8, 0), 59: (1.8, 0), 60: (3, 0), 67: (1, 0), 61: (1, 0)},
    "thickness of the lips": {
        49: (0, -0.8), 50: (0, -1.4), 51: (0, -1.4), 57: (0, 2),
        58: (0, 2), 59: (0, 1),
    },
}
# fmt: on


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
        dataset: the layout.
        index: of the subject, from 0.

    Raises:
        UserError: the folder holds too few people, or a portrait shows no face.
    """
    rng = stream(seed, f"identity of {dataset}", index)
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

    Nobody is in two data sets, and every CASME II subject is one person. CK+ has more subjects than some
    folders have people; the subjects beyond are even mixtures of two CK+ people. So are all those of other
    sets, of other pairs.

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
    order = stream(seed, "cast").permutation(len(files))
    files = [files[i] for i in order]
    if dataset == "casme2":
        return [(path,) for path in files[:casme2]]
    pool = files[casme2:]
    if dataset != "ckplus":
        step = clip_set(dataset).step
        count = len(simulated_subjects(dataset, size))
        return [(pool[i % len(pool)], pool[(i + step) % len(pool)]) for i in range(count)]
    pairs = [(path, pool[(i + 1) % len(pool)]) for i, path in enumerate(pool)]
    return [*((path,) for path in pool), *pairs][:ckplus]


def portrait_files(folder: Path) -> list[Path]:
    """Portraits in a folder and below it; where some are named `*_neutral.*`, only those."""
    if not folder.is_dir():
        raise UserError(f"simulation.faces: {folder} is no folder; name one, or say {PACKAGED}")
    images = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    files = sorted(path for path in images if not path.name.startswith("."))  # ._a.png of a Mac's archives
    return [path for path in files if path.stem.endswith("_neutral")] or files


def portrait(path: Path) -> Face:
    """Read a portrait and bring its clearest face to the canvas.

    Raises:
        UserError: no face was found.
    """
    image = read_image(path)
    detector, predictor = dlib_models()
    # At one size, since the detector misses faces under 80 pixels and takes its time over large images.
    scale = DETECTION_EDGE / max(image.shape)
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    boxes = detector(large, 0)
    if not boxes:
        raise UserError(f"{path}: no face found; use frontal portraits")
    # dlib lists what it found by score.
    points = predictor(large, boxes[0]).parts()
    landmarks = np.array([[point.x, point.y] for point in points]) / scale
    return _on_canvas(image, landmarks)


@lru_cache(maxsize=1)
def packaged_faces() -> tuple[Face, Face]:
    """Collins without her smile and Hopper without her glasses: each lent the other's part."""
    # The outlines below are in pixels of the canvas; they were drawn for these two portraits.
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
    moves = sum(w * two_sided(shape) for w, shape in zip(weights, _SHAPES.values(), strict=True))
    face = reshape(face, face.landmarks + moves[:68] * EYE_DISTANCE)
    image = face.image.astype(np.float32)
    image += strength * rng.uniform(-0.6, 0.6) * (image - cv2.GaussianBlur(image, (0, 0), 2.0))
    image = 255 * np.clip(image / 255, 0, 1) ** np.exp(strength * rng.normal(0, 0.12))
    light = 0.12 * _smooth_noise(rng, 3) + 0.05 * _smooth_noise(rng, 24)
    image *= np.exp(strength * (light[..., None] + rng.normal(0, 0.03, 3)).astype(np.float32))
    # Exposed so that the brightest skin is not burnt out.
    left, top, width, height = cv2.boundingRect(np.rint(face.landmarks[17:]).astype(np.int32))
    brightest = np.percentile(image[top : top + height, left : left + width].mean(axis=-1), 95)
    image *= (rng.uniform(150, 225) / brightest) ** strength
    return Face(_to_bytes(image), face.landmarks)


def reshape(face: Face, landmarks: np.ndarray) -> Face:
    """The same face with its landmarks moved elsewhere."""
    # The inner lips of a closed mouth nearly touch; as control points they would tear the image.
    outer = [i for i in range(len(MIRROR)) if not 60 < i < 68 or i == 64]
    source, target = control_points(face.landmarks)[outer], control_points(landmarks)[outer]
    return Face(sample(face.image, backward_map(source, target)), landmarks)


def _on_canvas(image: np.ndarray, landmarks: np.ndarray) -> Face:
    """Turn, scale and shift a picture so that its eyes are where the canvas has them."""
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
    """Put the donor's image over the host's inside an outline: colours matched, edge feathered.

    Args:
        donor, host: with the same landmarks.
        outline: float (P, 2); its convex hull is exchanged.
        feather: width of the soft edge, in pixels.
        portion: opacity of the donor.
    """
    mask = np.zeros(CANVAS.shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(outline).astype(np.int32)), 255)
    # The skin round the nose tells how the two photographs differ in light.
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
def dlib_models() -> tuple[dlib.fhog_object_detector, dlib.shape_predictor]:
    """dlib's frontal detector and 68-point predictor."""
    # Found without an import: the package's __init__ needs pkg_resources, which new setuptools lack.
    model = _inside("face_recognition_models") / "models/shape_predictor_68_face_landmarks.dat"
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))


def _inside(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        command = "pip install --constraint constraints.txt --editable ."
        raise UserError(f"{package}: the package is not installed; run: {command}")
    return Path(spec.submodule_search_locations[0])
