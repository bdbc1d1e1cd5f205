"""From a photograph to a crop of a face."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mer_core.config.section import Fraction, PathText, Real, Section, Whole

EyeDistance = Annotated[Real, Field(gt=0.05, lt=0.8)]


class Alignment(Section):
    """From a face in a photograph to a canonical square crop (equations 1 and 2)."""

    mode: Literal["landmarks", "precropped"]
    """landmarks: eyes levelled by dlib's landmarks; precropped: face crops, only resized."""
    size: Whole = Field(ge=16, le=1024)
    landmarks: PathText = "dlib"
    """dlib, or in its place: dataset (CK+'s *_landmarks.txt), or a CSV of 68 points (docs/data.md)."""
    eye_distance: EyeDistance
    """Distance between the inner eye corners as a share of size."""
    eye_center: tuple[Fraction, Fraction]
    """Midpoint between the inner eye corners (x, y) as shares of size."""
    color: Literal["rgb", "gray"]


class AlignmentOverlay(Section):
    """What holds for one dataset in place of the common alignment; size and color are the same for all."""

    mode: Literal["landmarks", "precropped"] | None = None
    """As in alignment; CASME II's Cropped, say, can be precropped."""
    landmarks: PathText | None = None
    """As in alignment."""
    eye_distance: EyeDistance | None = None
    """As in alignment."""
    eye_center: tuple[Fraction, Fraction] | None = None
    """As in alignment."""

    def over(self, common: Alignment) -> Alignment:
        """The common alignment with what is otherwise here."""
        return common.model_copy(update=self.model_dump(exclude_none=True))
