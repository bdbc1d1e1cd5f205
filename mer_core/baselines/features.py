"""From a clip to a feature vector, and the file that keeps a dataset's.

values      float32  (N, D)
sample_id   UTF-8    (N,)    fixed width
origin      UTF-8    (N,)    digest of what a row was made of
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from mer_core import container, provenance
from mer_core.baselines import flow_descriptors, lbp
from mer_core.batch import Finished, workers
from mer_core.config.baselines import BiWoof, Description, Fdm, FlowImage, Lbp, LbpTop, Osw
from mer_core.errors import UserError
from mer_core.faces.cache import Aligned
from mer_core.motion.clip import Clip, open_clip, scaled
from mer_core.motion.interpolation import interpolate

_LOG = logging.getLogger(__name__)
SCHEMA = "mer-core features 2"


@dataclass(frozen=True, eq=False)
class Features:
    """Descriptions of samples.

    Attributes:
        sample_id: N unique identifiers, as in the manifest.
        values: float32 (N, D).
        origin: N digests of what each was made of: frames, place of the face, settings, code.
    """

    sample_id: list[str]
    values: np.ndarray
    origin: list[str]


def describe(clip: Clip, settings: Description) -> np.ndarray:
    """Describe one sample.

    Args:
        clip: the sample; what it computes is shared between calls.
        settings: the `features` of a baseline; their type chooses the method.

    Returns:
        float32 (D,); D depends on the settings alone.

    Raises:
        UserError: frames are missing, or clip or image are too small for the settings; names the sample.
    """
    try:
        return _DESCRIBE[type(settings)](clip, settings).ravel()
    except UserError as error:
        named = str(error).startswith(clip.sample_id)
        raise UserError(str(error) if named else f"{clip.sample_id}: {error}") from None


def _lbp(clip: Clip, settings: Lbp) -> np.ndarray:
    return lbp.describe_image(clip.apex_image, settings)


def _lbptop(clip: Clip, settings: LbpTop) -> np.ndarray:
    frames = clip.frames if settings.frames is None else interpolate(clip.frames, settings.frames)
    return lbp.describe_clip(frames, settings)


def _osw(clip: Clip, settings: Osw) -> np.ndarray:
    # Only the XY plane is weighted, and nothing is normalised afterwards: that would undo it.
    histograms = _lbptop(clip, settings)
    histograms[:, :, 0] *= flow_descriptors.strain_weights(clip.flows(settings.flow), settings)[:, None]
    return histograms


def _fdm(clip: Clip, settings: Fdm) -> np.ndarray:
    return flow_descriptors.dynamics_map(clip.flows(settings.flow), settings)


def _bi_woof(clip: Clip, settings: BiWoof) -> np.ndarray:
    return flow_descriptors.oriented_flow(clip.flow_to_apex(settings.flow), settings)


def _flow(clip: Clip, settings: FlowImage) -> np.ndarray:
    return flow_descriptors.flow_image(clip.flow_to_apex(settings.flow), settings)


_DESCRIBE: dict[type, Callable[[Clip, Any], np.ndarray]] = {
    Lbp: _lbp,
    LbpTop: _lbptop,
    Osw: _osw,
    Fdm: _fdm,
    BiWoof: _bi_woof,
    FlowImage: _flow,
}


def extract_features(
    faces: Aligned,
    samples: pd.DataFrame,
    root: str | Path | Mapping[str, str],
    path: str | Path,
    *,
    settings: Description,
    size: int,
    code: str,
    processes: int = 1,
) -> None:
    """Describe every sample of which a face was found; what is unchanged in the file that is there is kept.

    Args:
        faces: of the dataset, in the order in which the samples are described.
        samples: the manifest.
        root: the dataset's folder, or those of several by their names.
        path: the file to write.
        settings: the `features` of a baseline.
        size: edge of the crops in pixels.
        code: digest of the code.
        processes: as for `batch.workers`.

    Raises:
        UserError: frames are missing, or clips too small for the settings.
    """
    rows = samples.set_index("sample_id", drop=False).loc[faces.sample_id].to_dict("records")
    places = (scaled(transform, faces.attributes["size"], size) for transform in faces.transform)
    clips = list(zip(rows, places, strict=True))
    made_with = settings.model_dump(mode="json"), size, code
    with Finished(path) as finished, workers(processes, cv2.setNumThreads, 1) as spread:
        origin = list(spread(partial(_origin, root, size, made_with), clips))
        _keep(path, {*origin}, finished)
        todo = {key: clip for key, clip in zip(origin, clips, strict=True) if key not in finished}
        _LOG.info("%d of %d clips are unchanged: kept", len(clips) - len(todo), len(clips))
        done = spread(partial(_describe, root, size, settings), todo.values())
        for key, values in zip(todo, tqdm(done, "describe", len(todo), mininterval=1.0), strict=True):
            finished.add(key, values)
        values = [np.frombuffer(finished[key], np.float32) for key in origin]
        described = np.stack(values) if values else np.zeros((0, 0), np.float32)
        write_features(path, Features(faces.sample_id, described, origin))


def write_features(path: str | Path, features: Features) -> None:
    """Publish features; readable by the owner alone, as the faces are."""
    with container.create(path, SCHEMA) as file:
        file["values"] = np.asarray(features.values, np.float32)
        container.put_texts(file, "sample_id", features.sample_id)
        container.put_texts(file, "origin", features.origin)


def read_features(path: str | Path) -> Features:
    """Read a file of features.

    Raises:
        UserError: the file is missing or damaged.
    """
    with container.opened(path, SCHEMA) as file:
        sample_id, origin = (container.texts(file, name) for name in ("sample_id", "origin"))
        return Features(sample_id, container.column(file, "values", "f")[:], origin)


def _origin(
    root: str | Path | Mapping[str, str], size: int, made_with: Any, clip: tuple[dict[str, Any], np.ndarray]
) -> str:
    row, transform = clip
    files = open_clip(root, row, transform, size).images.files.values()
    frames = [provenance.file_digest(file) for file in files]
    return provenance.value_digest([row["sample_id"], transform.tolist(), frames, *made_with])


def _describe(
    root: str | Path | Mapping[str, str],
    size: int,
    settings: Description,
    clip: tuple[dict[str, Any], np.ndarray],
) -> bytes:
    row, transform = clip
    try:
        values = describe(open_clip(root, row, transform, size), settings)
    except UserError as error:
        raise UserError(f"baselines with features '{settings.kind}': {error}") from None
    return values.astype(np.float32).tobytes()


def _keep(path: str | Path, wanted: set[str], finished: Finished) -> None:
    """Count the features of an earlier file that are wanted as finished."""
    try:
        earlier = read_features(path)
    except UserError as error:
        _LOG.info("nothing is kept of an earlier run: %s", error)
        return
    for origin, values in zip(earlier.origin, earlier.values, strict=True):
        if origin in wanted and origin not in finished:
            finished.add(origin, values.tobytes())
