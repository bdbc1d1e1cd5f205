"""Finding a face and its 68 landmarks with dlib (HOG detector; predictor of Kazemi and Sullivan 2014).

The predictor's model comes with the package face_recognition_models; it was trained on iBUG 300-W, whose
licence excludes commercial use.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import dlib
import numpy as np

from mer_core.errors import UserError
from mer_core.faces.points import eye_vector

# Faces of less than about 80 pixels escape the detector: an image whose shorter edge is below SMALL is
# enlarged until that edge has ENLARGED pixels (CK+48: fivefold). A longer edge above LARGE is reduced to it:
# nothing is lost for a portrait, and dlib's upsampling overruns its memory on edges of 100,000.
SMALL, ENLARGED, LARGE = 120, 240, 2000
PADDING = 0.5  # on each side, as a share of the shorter edge

# The predictor gives whole pixels. It looks at an enlargement in which the face's box has this edge, so
# that the tilt of a 100-pixel face repeats within 0.35 degree (standard deviation) instead of 1.1.
BOX_EDGE = 512

# The detector's score above which a box is taken for a face: weakest portrait 0.8, strongest error 0.42.
SURE = 0.5
# Below it the landmarks must be steady, see FaceFinder._steady: sizes of the box that are tried, how many
# neighbouring sizes must agree, and within what distance (in inner-eye distances).
SCALES = tuple(2.0 * 0.9**k for k in range(12))
NEIGHBOURS, AGREEMENT = 4, 0.065


class NoFace(UserError):
    """No step of the fallback chain found a face."""


@dataclass(frozen=True, eq=False)
class Found:
    """One face.

    Attributes:
        landmarks: float32 (68, 2), x and y in pixels of the image that was searched.
        step: plain, upsampled, padded or box; followed by ' (largest of n)' where the step saw n faces.
    """

    landmarks: np.ndarray
    step: str


class FaceFinder:
    """Finds the largest face of an image; loads the models once (a second, 100 MB).

    The steps, each tried when those before it found no face, or none that the detector is sure of (a fit may
    be steady and wrong: of doubtful steps the one with the best score counts):

        plain      the detector on the gray image
        upsampled  on the image at twice the size, for small faces
        padded     on the image with replicated borders, for crops too tight for the detector
        box        none: the image as a whole is taken for the face
    """

    def __init__(self) -> None:
        """Load detector and predictor.

        Raises:
            UserError: when the predictor's model is not installed, or damaged.
        """
        self.model = model_path()
        self._detector = dlib.get_frontal_face_detector()
        try:
            self._predictor = dlib.shape_predictor(str(self.model))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self.model}: is not a landmark model ({reason}); reinstall face_recognition_models"
            ) from error

    def find(self, image: np.ndarray) -> Found:
        """Find the largest face; of equally large ones the leftmost, then the topmost.

        Args:
            image: uint8 (H, W, 3) RGB or (H, W) gray.

        Returns:
            Its landmarks in pixels of `image`, and the step that found it.

        Raises:
            NoFace: when no step finds a face.
        """
        return self.find_all(image)[0]

    def find_all(self, image: np.ndarray) -> list[Found]:
        """All faces that one step sees, the largest first; as `find`."""
        gray = to_gray(image)
        searched = _resized(gray)
        step, faces = self._best(searched)
        if not faces:
            height, width = image.shape[:2]
            raise NoFace(f"no face found in {width} x {height} pixels; replace the image or exclude it")
        # Pixel centres carry whole numbers, hence the halves.
        scale = np.divide(searched.shape[::-1], gray.shape[::-1])
        name = step if len(faces) == 1 else f"{step} (largest of {len(faces)})"
        names = [name, *[step] * (len(faces) - 1)]
        places = [((face + 0.5) / scale - 0.5).astype(np.float32) for face in faces]
        return [Found(*found) for found in zip(places, names, strict=True)]

    def _best(self, gray: np.ndarray) -> tuple[str, list[np.ndarray]]:
        """The first step that is sure of its face, else the surest, with the landmarks of its faces."""
        best, score = ("none", []), -np.inf
        for step in ("plain", "upsampled", "padded", "box"):
            boxes = self._boxes(step, gray)
            faces, sure = self._faces(gray, boxes), max((score for _, score in boxes), default=-np.inf)
            if faces and (sure > score or not best[1]):
                best, score = (step, faces), sure
            if score >= SURE:
                break
        return best

    def follow(self, frames: Iterable[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
        """The landmarks of a face that hardly moves, in each of some frames.

        Args:
            frames: uint8 (H, W) or (H, W, C) each.
            landmarks: (68, 2), about where the face is in all of them.

        Returns:
            float64 (T, 68, 2).
        """
        low, high = landmarks.min(0), landmarks.max(0)
        # The detector's box, as it lies about the landmarks of portraits.
        edge = (high - low).max()
        middle = (low + high) / 2 - [0, 0.085 * edge]
        corners = np.rint([middle - edge / 2, middle + edge / 2]).astype(int)
        box = dlib.rectangle(*corners.ravel().tolist())
        return np.stack([self._predict(to_gray(frame), box, [1.0])[0] for frame in frames])

    def _boxes(self, step: str, gray: np.ndarray) -> list[tuple[dlib.rectangle, float]]:
        """Where a step suspects faces, in pixels of `gray`, and how sure it is."""
        if step == "box":
            height, width = gray.shape
            return [(dlib.rectangle(0, 0, width - 1, height - 1), -np.inf)]
        margin = round(PADDING * min(gray.shape)) if step == "padded" else 0
        searched = cv2.copyMakeBorder(gray, *[margin] * 4, cv2.BORDER_REPLICATE) if margin else gray
        boxes, scores, _ = self._detector.run(searched, int(step == "upsampled"))
        back = dlib.point(-margin, -margin)
        return [(dlib.translate_rect(box, back), score) for box, score in zip(boxes, scores, strict=True)]

    def _faces(self, gray: np.ndarray, boxes: Sequence[tuple[dlib.rectangle, float]]) -> list[np.ndarray]:
        """Landmarks of the boxes that hold a face, the largest box first, each face once."""
        faces: list[np.ndarray] = []
        for box, score in sorted(boxes, key=lambda b: (-b[0].area(), b[0].left(), b[0].top())):
            landmarks = self._predict(gray, box, [1.0])[0] if score >= SURE else self._steady(gray, box)
            if landmarks is not None and all(_apart(landmarks, face) for face in faces):
                faces.append(landmarks)
        return faces

    def _steady(self, gray: np.ndarray, box: dlib.rectangle) -> np.ndarray | None:
        """Landmarks that stay where they are while the box grows, or None.

        The predictor makes a plausible face of whatever it is given, but where there is none its points
        follow the box. So the box is grown about its centre, and the neighbouring sizes that agree best
        count. On portraits cut as far as 12 % inside the face's outline they agree within 0.06 inner-eye
        distances, on 138 of 139 pictures without a face within no less than 0.07.
        """
        guesses = self._predict(gray, box, SCALES)
        best, spread = None, AGREEMENT
        for start in range(len(SCALES) - NEIGHBOURS + 1):
            neighbours = guesses[start : start + NEIGHBOURS]
            mean = neighbours.mean(0)
            distance = np.linalg.norm(neighbours - mean, axis=2).mean() / _eye_distance(mean)
            if distance < spread:
                best, spread = mean, distance
        return best

    def _predict(self, gray: np.ndarray, box: dlib.rectangle, scales: Sequence[float]) -> np.ndarray:
        """Landmarks from the box at several sizes, float64 (len(scales), 68, 2).

        The predictor sees an enlarged cutout with replicated borders: it looks beyond its box, and
        beyond the image it would see black.
        """
        edges = np.array([box.width(), box.height()])
        zoom = max(1.0, BOX_EDGE / edges.max())
        middle = np.array([box.left(), box.top()]) + (edges - 1) / 2
        cutout = np.rint(1.5 * max(scales) * zoom * edges).astype(int)
        center = (cutout - 1) / 2
        transform = np.column_stack([np.diag([zoom, zoom]), center - zoom * middle])
        seen = cv2.warpAffine(gray, transform, cutout.tolist(), borderMode=cv2.BORDER_REPLICATE)
        guesses = []
        for scale in scales:
            half = scale * zoom * edges / 2
            near, far = np.rint([center - half, center + half]).astype(int).tolist()
            shape = self._predictor(seen, dlib.rectangle(*near, *far))
            guesses.append([(point.x, point.y) for point in shape.parts()])
        return (np.array(guesses, float) - center) / zoom + middle


def to_gray(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W) of (H, W), (H, W, 1) or RGB (H, W, 3)."""
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(image.reshape(image.shape[:2]))


def _resized(gray: np.ndarray) -> np.ndarray:
    """The image at a size that suits the detector."""
    scale = ENLARGED / min(gray.shape) if min(gray.shape) < SMALL else 1.0
    scale = min(scale, LARGE / max(gray.shape))
    if scale == 1:
        return np.ascontiguousarray(gray)
    width, height = (max(1, round(scale * edge)) for edge in gray.shape[::-1])
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


def _eye_distance(landmarks: np.ndarray) -> float:
    """Distance of the inner eye corners, at least one pixel."""
    return max(1.0, float(np.linalg.norm(eye_vector(landmarks))))


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two faces are two; the detector may see one face in several boxes."""
    return bool(np.linalg.norm(one.mean(0) - other.mean(0)) > _eye_distance(other))


def model_path() -> Path:
    """The predictor's model file. Its package is located but not imported (it needs pkg_resources)."""
    spec = importlib.util.find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat" if spec else None
    if path is None or not path.is_file():
        raise UserError("dlib's landmark model is missing; run: pip install face_recognition_models==0.3.0")
    return path
