"""The samples of a dataset, each aligned by its own landmarks, into one cache."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from mer_core import provenance
from mer_core.batch import Finished, earlier, workers
from mer_core.config.alignment import Alignment
from mer_core.csvs import read_csv, write_csv
from mer_core.datasets.frames import Root
from mer_core.errors import Unreadable, UserError
from mer_core.faces.alignment import align_image
from mer_core.faces.cache import ARRAYS, PART, Aligned, Attribute, read_parts, write_parts
from mer_core.faces.given import DLIB, KnownFace, given_landmarks, landmarks_of
from mer_core.faces.landmarks import FaceFinder, model_path
from mer_core.faces.margin import ENOUGH_INSIDE, advise, tell_inside
from mer_core.faces.points import UNLIKE, unlike_others
from mer_core.images import depth_of, image_size, read_image

_LOG = logging.getLogger(__name__)
ORIGINS = "origins"  # the attribute that says what the whole cache was made of
FAILURES = ["sample_id", "message"]
# What a face is made of besides its image and the settings.
_CODE = "mer_core/faces/alignment.py"


def align_samples(
    dataset: str,
    rows: pd.DataFrame,
    root: str | Path,
    settings: Alignment,
    path: str | Path,
    failures: str | Path,
    processes: int = 1,
    link_roots: Iterable[str | Path] = (),
) -> None:
    """Align samples into a cache, in their order, and list those that could not be aligned.

    An image whose file, settings and code are unchanged is taken from the cache that is there, or from what
    an interrupted run has left; a few images at a time lie in memory.

    Args:
        dataset: its name in the configuration.
        rows: of the manifest; `sample_id`, `frame_path`, `bit_depth` and, to compare a person's faces,
            `subject` are used.
        root: the folder that `frame_path` is relative to.
        settings: mode, size, place of the eyes, color.
        path: the cache to write.
        failures: the table to write of the samples that could not be aligned, columns `FAILURES`.
        processes: as for `batch.workers`.
        link_roots: folders that links may lead to where the dataset's own landmarks are looked for.

    Raises:
        UserError: the landmark model is missing, there is no room, or the disk does not give an image. A
            sample without a face does not raise.
    """
    path, failures = Path(path), Path(failures)
    attributes, code = cache_attributes(settings), provenance.code_digest(_CODE)
    files = {row.sample_id: Path(root) / row.frame_path for row in rows.itertuples()}
    depths = {row.sample_id: depth_of(row.bit_depth) for row in rows.itertuples()}
    finders = dict.fromkeys(files)
    if settings.mode == "landmarks" and settings.landmarks != DLIB:
        given = given_landmarks(settings.landmarks, Root(root, link_roots))
        for row in rows.itertuples():
            finders[row.sample_id] = KnownFace(landmarks_of(row.frame_path, given), settings.landmarks)
    origin = {
        sample: provenance.value_digest(
            [sample, _digest(file), depths[sample], _points(finders[sample]), attributes, code]
        )
        for sample, file in files.items()
    }
    attributes[ORIGINS] = provenance.value_digest(list(origin.values()))
    record = _record(settings)
    with Finished(path, failures) as finished:
        if _is_kept(earlier(path), earlier(failures), attributes, {*files}):
            _LOG.info("%d images and their settings are unchanged: kept", len(rows))
            finished.republish()
            return
        _keep(earlier(path), record, {*origin.values()}, finished)
        todo = [sample for sample in origin if origin[sample] not in finished]
        _LOG.info("%d of %d images are unchanged: kept", len(rows) - len(todo), len(rows))
        with workers(processes, cv2.setNumThreads, 1) as spread:
            work = [(files[sample], depths[sample], finders[sample]) for sample in todo]
            done = spread(partial(_align_file, settings), work)
            for sample, content in zip(todo, tqdm(done, "align", len(todo), mininterval=1.0), strict=True):
                finished.add(origin[sample], content)
        messages = {
            sample: np.frombuffer(finished[key], record)["message"][0].decode(errors="ignore")
            for sample, key in origin.items()
        }
        failed = [(sample, message) for sample, message in messages.items() if message]
        write_csv(pd.DataFrame(failed, columns=FAILURES), failures)
        found = {sample: key for sample, key in origin.items() if not messages[sample]}
        faces = [np.frombuffer(finished[key], record)[["inside", "landmarks"]][0] for key in found.values()]
        subject = dict(zip(rows["sample_id"], rows.get("subject", rows["sample_id"]), strict=True))
        landmarks = np.array([face["landmarks"] for face in faces]).reshape(-1, 68, 2)
        unlike = unlike_others(landmarks, [subject[sample] for sample in found])
        unlike = {sample for sample, is_unlike in zip(found, unlike, strict=True) if is_unlike}
        write_parts(path, _parts(found, unlike, finished, record), len(found), attributes)
    _LOG.info("%d faces aligned, %d not found", len(found), len(failed))
    if unlike:
        _LOG.warning(
            "%d with landmarks %s: %s; look at them by snakemake check_faces",
            len(unlike),
            UNLIKE,
            ", ".join(sorted(unlike)[:5]) + (" ..." if len(unlike) > 5 else ""),
        )
    if not found:
        return
    inside = np.array([face["inside"] for face in faces])
    _LOG.info(tell_inside(inside))
    if np.median(inside) < ENOUGH_INSIDE:
        shapes = np.array([image_size(files[sample])[::-1] for sample in found])
        place = settings.eye_distance, settings.eye_center
        _LOG.warning("the rest is smeared border: %s", advise(dataset, landmarks, shapes, *place))


def cache_attributes(settings: Alignment) -> dict[str, Attribute]:
    """What a cache is made with: settings, versions, the landmark model's digest."""
    return {
        "mode": settings.mode,
        "size": settings.size,
        "eye_distance": settings.eye_distance,
        "eye_center": "{} {}".format(*settings.eye_center),
        "color": settings.color,
        "dlib": provenance.versions()["dlib-bin"],
        "opencv": cv2.__version__,
        "landmarks": settings.landmarks,
        "landmark_model": provenance.file_digest(model_path()) if _detects(settings) else "",
    }


def _detects(settings: Alignment) -> bool:
    return settings.mode == "landmarks" and settings.landmarks == DLIB


def _points(finder: KnownFace | None) -> list[list[float]] | None:
    return finder.landmarks.tolist() if finder and finder.landmarks is not None else None


@cache
def _finder() -> FaceFinder:
    """Loaded once in every process."""
    return FaceFinder()


def _align_file(settings: Alignment, work: tuple[Path, int | None, KnownFace | None]) -> bytes:
    """The record of one image: its face, or why there is none."""
    file, bit_depth, finder = work
    record = np.zeros(1, _record(settings))
    try:
        if _detects(settings):
            finder = _finder()
        face = align_image(read_image(file, bit_depth), finder, settings)
    except Unreadable:
        raise
    except UserError as error:
        record["message"] = str(error).encode()
    else:
        record["images"], record["landmarks"] = face.image, face.landmarks
        record["transform"], record["inside"] = face.transform, face.inside
        record["detector"] = face.step.encode()
    return record.tobytes()


def _record(settings: Alignment) -> np.dtype:
    shape = settings.size, settings.size, 3 if settings.color == "rgb" else 1
    faces = [("images", "u1", shape), ("landmarks", "f4", (68, 2)), ("transform", "f8", (2, 3))]
    return np.dtype([*faces, ("inside", "f4"), ("detector", "S64"), ("message", "S1000")])


def _is_kept(path: Path, failures: Path, attributes: Mapping[str, Attribute], samples: set[str]) -> bool:
    """Whether an earlier run has left a cache made of all this and, as whole, the list of what it lacks."""
    try:
        parts = [(part.attributes, part.sample_id) for part in read_parts(path)]
        failed = read_csv(failures)
    except UserError:
        return False
    lacking = samples.difference(*(found for _, found in parts))
    return parts[0][0] == attributes and [*failed] == FAILURES and {*failed["sample_id"]} == lacking


def _keep(path: Path, record: np.dtype, wanted: set[str], finished: Finished) -> None:
    """Count the faces of an earlier cache that are wanted as finished."""
    try:
        for part in read_parts(path):
            for place, origin in enumerate(part.origin):
                if origin in wanted and origin not in finished:
                    face = np.zeros(1, record)
                    face["detector"] = part.detector[place].removesuffix(f", {UNLIKE}").encode()
                    for name in ARRAYS:
                        face[name] = getattr(part, name)[place]
                    finished.add(origin, face.tobytes())
    except UserError as error:
        _LOG.info("nothing is kept of an earlier run: %s", error)


def _parts(
    found: Mapping[str, str], unlike: set[str], finished: Finished, record: np.dtype
) -> Iterator[Aligned]:
    samples = list(found)
    for start in range(0, max(1, len(samples)), PART):
        some = samples[start : start + PART]
        content = b"".join(finished[found[sample]] for sample in some)
        records = np.frombuffer(content, record)
        steps = [step.decode() for step in records["detector"].tolist()]
        yield Aligned(
            **{name: np.ascontiguousarray(records[name]) for name in ARRAYS},
            sample_id=some,
            detector=[
                f"{step}, {UNLIKE}" if sample in unlike else step
                for sample, step in zip(some, steps, strict=True)
            ],
            attributes={},
            origin=[found[sample] for sample in some],
        )


def _digest(file: Path) -> str | None:
    """None where the file cannot be read, which `read_image` words."""
    try:
        return provenance.file_digest(file)
    except UserError:
        return None
