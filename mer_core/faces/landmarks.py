"""Finding a face and its 68 landmarks with dlib (HOG detector, Kazemi and Sullivan's predictor).

The predictor's model comes with the package face_recognition_models; it was trained on iBUG 300-W, whose
licence excludes commercial use.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import dlib
import numpy as np

from mer_core import provenance
from mer_core.errors import UserError

LEFT_INNER_EYE, RIGHT_INNER_EYE = 39, 42  # as seen in the image, counted from 0

# Faces of less than about 80 pixels escape the detector. An image whose shorter edge is below SMALL is
# enlarged until that edge has ENLARGED pixels (CK+48: fivefold).
SMALL, ENLARGED = 120, 240
PADDING = 0.5  # on each side, as a share of the shorter edge

# Boxes that the fallback steps try, as shares of the box found; how many neighbours must agree, and how
# far their landmarks may lie from their mean, in inner-eye distances. See FaceFinder._steady.
SCALES = 2.0 * 0.9 ** np.arange(12)
NEIGHBOURS, UNSTEADY = 4, 0.065


class NoFace(UserError):
    """No step of the fallback chain found a face."""


@dataclass(frozen=True, eq=False)
class Found:
    """One face.

    Attributes:
        landmarks: float32 (68, 2), x and y in pixels of the image that was searched.
        step: plain, upsampled, padded or box; followed by ' (largest of n)' where a step saw n faces.
    """

    landmarks: np.ndarray
    step: str


class FaceFinder:
    """Finds the largest face of an image; loads the models once (0.8 s, 100 MB).

    The steps, each tried when those before it found nothing:

        plain      the HOG detector on the gray image
        upsampled  the same at twice the size, for small faces
        padded     the same with replicated borders, for crops too tight for the detector
        box        the image as a whole is taken for the face

    What the last three find must be steady (see `_steady`), so that no landmarks are made up for textures.
    """

    def __init__(self) -> None:
        """Load detector and predictor.

        Raises:
            UserError: when the predictor's model is not installed or damaged.
        """
        self.model = _model_path()
        self._detect = dlib.get_frontal_face_detector()
        try:
            self._predict = dlib.shape_predictor(str(self.model))
        except RuntimeError as error:
            raise UserError(
                f"{self.model}: is not a landmark model ({error}); reinstall face_recognition_models"
            ) from None

    @property
    def digest(self) -> str:
        """sha256 of the predictor's model file."""
        return provenance.file_digest(self.model)

    def find(self, image: np.ndarray) -> Found:
        """Find the largest face; of equally large ones the leftmost, then the topmost.

        Args:
            image: uint8 (H, W, 3) RGB or (H, W) gray.

        Returns:
            Its landmarks in pixels of `image`, and the step that found it.

        Raises:
            NoFace: when no step finds a face.
        """
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
        scale = max(1.0, ENLARGED / min(gray.shape)) if min(gray.shape) < SMALL else 1.0
        if scale > 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for step, landmarks, faces in self._steps(np.ascontiguousarray(gray)):
            # Pixel centres, not pixel corners, carry whole numbers.
            source = (landmarks + 0.5) / scale - 0.5
            return Found(source.astype(np.float32), step if faces == 1 else f"{step} (largest of {faces})")
        height, width = image.shape[:2]
        raise NoFace(
            f"no face found in {width} x {height} pixels; exclude the image or replace it by a frontal face"
        )

    def _steps(self, gray: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
        """Step, landmarks and number of faces of the steps that find one."""
        boxes = self._detect(gray, 0)
        if boxes:
            yield "plain", self._landmarks(gray, _largest(boxes)), len(boxes)
        margin = round(PADDING * min(gray.shape))
        padded = cv2.copyMakeBorder(gray, *[margin] * 4, cv2.BORDER_REPLICATE)
        shift, (height, width) = dlib.point(margin, margin), gray.shape
        for step, search in (
            ("upsampled", lambda: [dlib.translate_rect(box, shift) for box in self._detect(gray, 1)]),
            ("padded", lambda: self._detect(padded, 0)),
            ("box", lambda: [dlib.translate_rect(dlib.rectangle(0, 0, width - 1, height - 1), shift)]),
        ):
            boxes = search()
            if boxes and (landmarks := self._steady(padded, _largest(boxes))) is not None:
                yield step, landmarks - margin, len(boxes)

    def _landmarks(self, gray: np.ndarray, box: dlib.rectangle) -> np.ndarray:
        return np.array([(point.x, point.y) for point in self._predict(gray, box).parts()], float)

    def _steady(self, gray: np.ndarray, box: dlib.rectangle) -> np.ndarray | None:
        """Landmarks that stay while the box grows, or None.

        The predictor turns whatever it is given into a plausible face, but without a face its points
        follow the box. So the box is grown about its centre, and the neighbouring sizes that agree best
        count. On portraits cut at or inside the face's outline they agree within 0.06 inner-eye distances
        and are better than a single guess; on 139 pictures without a face the best was 0.074.
        """
        guesses = np.stack([self._landmarks(gray, _scaled(box, scale)) for scale in SCALES])
        best, spread = None, UNSTEADY
        for start in range(len(SCALES) - NEIGHBOURS + 1):
            agreeing = guesses[start : start + NEIGHBOURS]
            mean = agreeing.mean(0)
            eyes = np.linalg.norm(mean[RIGHT_INNER_EYE] - mean[LEFT_INNER_EYE])
            distance = np.linalg.norm(agreeing - mean, axis=2).mean() / eyes
            if distance < spread:
                best, spread = mean, distance
        return best


def _largest(boxes: dlib.rectangles) -> dlib.rectangle:
    return max(boxes, key=lambda box: (box.area(), -box.left(), -box.top()))


def _scaled(box: dlib.rectangle, scale: float) -> dlib.rectangle:
    center = dlib.center(box)
    return dlib.centered_rect(center, round(scale * box.width()), round(scale * box.height()))


def _model_path() -> Path:
    """The model file inside the package, which is located but not imported (it needs pkg_resources)."""
    spec = importlib.util.find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat" if spec else None
    if path is None or not path.is_file():
        raise UserError(
            "dlib's landmark model is not installed; run: pip install face_recognition_models==0.3.0"
        )
    return path
