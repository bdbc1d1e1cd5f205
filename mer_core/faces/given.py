"""Landmarks that come with a dataset, or from its user, in place of a detector's."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mer_core.csvs import SEPARATORS
from mer_core.datasets import frames
from mer_core.datasets.frames import Root
from mer_core.errors import UserError
from mer_core.faces.landmarks import Found, NoFace
from mer_core.faces.points import are_inside
from mer_core.job import cannot_read

DLIB, DATASET = "dlib", "dataset"
SUFFIX = "_landmarks.txt"  # of the files that CK+ has, Landmarks/S005/001/S005_001_00000011_landmarks.txt
# The columns of a table, named as OpenFace names them.
COLUMNS = [f"{axis}_{point}" for point in range(68) for axis in "xy"]


class KnownFace:
    """Finds the face whose landmarks are known, in place of a `FaceFinder`."""

    def __init__(self, landmarks: np.ndarray | None, source: str) -> None:
        """`landmarks`, (68, 2), or None where there are none for the image; `source` names where from."""
        self.landmarks, self.source = landmarks, source

    def find(self, image: np.ndarray) -> Found:
        """The landmarks; of the image, only its size counts.

        Raises:
            NoFace: there are none, or they are of another image.
        """
        if self.landmarks is None:
            raise NoFace(f"{self.source} has no landmarks of this image; add them, or use landmarks: {DLIB}")
        if not are_inside(self.landmarks, image.shape):
            height, width = image.shape[:2]
            raise NoFace(
                f"landmarks lie outside of the image ({width} x {height}); give those of this very image, or "
                f"use landmarks: {DLIB}"
            )
        return Found(self.landmarks.astype(np.float32), "given")


def given_landmarks(choice: str, root: Root) -> Mapping[str, np.ndarray]:
    """Landmarks by the path of the image, relative to `root`, or by its name without suffix.

    Args:
        choice: `dataset`, for files as CK+ has them anywhere below `root`; or the path of a CSV table with
            the columns path (of the image, in `root` where it is not absolute) and x_0, y_0 to x_67, y_67 in
            its pixels.
        root: the dataset's folder, and those that links in it may lead to.

    Raises:
        UserError: there are none, or a file does not hold them.
    """
    if choice == DATASET:
        files = landmark_files(root)
        found = _each_once((file, _key(file.name.removesuffix(SUFFIX)), _read_text(file)) for file in files)
        if not found:
            raise UserError(
                f"{root.path}: holds no file *{SUFFIX}; name the folder that does (in link_roots where a "
                "link leads there), or use dlib"
            )
        return found
    return _read_table(Path(choice), root)


def landmark_files(root: Root) -> Iterator[Path]:
    """The files of landmarks that lie among a dataset's pictures."""
    for folder, names in frames.walk(root):
        yield from (folder / name for name in names if name.endswith(SUFFIX))


def landmarks_of(frame: str, given: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Those of one image, by its path relative to the dataset's folder; None where there are none."""
    points = given.get(_key(frame))
    return given.get(_key(Path(frame).stem)) if points is None else points


def _key(path: str) -> str:
    """A path however its letters are composed, its folders set off and its case."""
    return os.path.normpath(unicodedata.normalize("NFC", path).replace("\\", "/")).casefold()


def _read_text(file: Path) -> np.ndarray:
    try:
        return _checked(file, np.array(file.read_text(encoding="ascii").split(), float).reshape(-1, 2))
    except OSError as error:
        raise cannot_read(file, error) from None
    except ValueError:
        raise UserError(f"{file}: is no list of 68 points, x and y; copy it again from the source") from None


def _read_table(path: Path, root: Root) -> Mapping[str, np.ndarray]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            separator = max(SEPARATORS, key=header.count)
            names = [name.strip().strip('"').lower() for name in header.split(separator)]
            cells = csv.reader(file, delimiter=separator, skipinitialspace=True)
            rows = [(cells.line_num + 1, row) for row in cells if any(row)]
    except OSError as error:
        raise cannot_read(path, error) from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV table ({error}); save it as CSV, in UTF-8") from None
    # Of several the first: behind its x_0, in pixels, OpenFace has an X_0, in space.
    places = {name: place for place, name in reversed([*enumerate(names)])}
    found, comma = [], "," if separator == ";" else "."  # of decimals, where a spreadsheet wrote the table
    for line, row in rows:
        try:
            numbers = [float(row[places[column]].replace(comma, ".")) for column in COLUMNS]
            points = np.array(numbers).reshape(-1, 2)
            place = f"{path}:{line}"
            found.append((place, _key(root.inner(row[places["path"]])), _checked(place, points)))
        except (IndexError, KeyError, ValueError):
            raise UserError(
                f"{path}:{line}: needs the columns path, x_0, y_0 to x_67, y_67, with numbers; mend this row"
            ) from None
    return _each_once(found)


def _each_once(given: Iterable[tuple[str | Path, str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Points by their key, of (place, key, points); refused where two places say otherwise."""
    found: dict[str, tuple[str | Path, np.ndarray]] = {}
    for place, key, points in given:
        first, known = found.setdefault(key, (place, points))
        if not np.array_equal(known, points):
            raise UserError(f"{place}: has other points of the same image than {first}; keep one of them")
    return {key: points for key, (_, points) in found.items()}


def _checked(place: str | Path, points: np.ndarray) -> np.ndarray:
    if points.shape != (68, 2) or not np.isfinite(points).all() or not np.ptp(points[36:48], axis=0).any():
        raise UserError(f"{place}: does not hold 68 points that differ; mend it, or use landmarks: {DLIB}")
    return points
