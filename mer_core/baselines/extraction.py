"""From clips to feature vectors."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from mer_core import provenance
from mer_core.baselines.features import Features, read_features, write_features
from mer_core.batch import Finished, earlier, workers
from mer_core.errors import UserError
from mer_core.faces.cache import Aligned
from mer_core.motion.clip import Clip, clip_digest, open_clip, scaled

_LOG = logging.getLogger(__name__)
Root = str | Path | Mapping[str, str]


def describe(clip: Clip, settings: Any) -> np.ndarray:
    """Describe one sample.

    Args:
        clip: the sample; what it computes is shared between calls.
        settings: the `features` of a baseline, `kind` and what that takes, as attributes.

    Returns:
        float32 (D,); D depends on the settings alone.

    Raises:
        UserError: frames are missing, or clip or image are too small for the settings; names the sample.
    """
    try:
        # By name: the code of one kind is no part of what the results of others depend on.
        kind = importlib.import_module(f"mer_core.baselines.descriptors.{settings.kind}")
        return kind.describe(clip, settings).ravel()
    except UserError as error:
        named = str(error).startswith(clip.sample_id)
        raise UserError(str(error) if named else f"{clip.sample_id}: {error}") from None


def extract_features(
    faces: Aligned,
    samples: pd.DataFrame,
    root: Root,
    path: str | Path,
    *,
    settings: Mapping[str, Any],
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
        settings: the `features` of a baseline, checked.
        size: edge of the crops in pixels.
        code: digest of the code.
        processes: as for `batch.workers`.

    Raises:
        UserError: frames are missing, or clips too small for the settings.
    """
    rows = samples.set_index("sample_id", drop=False).loc[faces.sample_id].to_dict("records")
    places = (scaled(transform, faces.attributes["size"], size) for transform in faces.transform)
    clips = list(zip(rows, places, strict=True))
    made_with = dict(settings), size, code
    with Finished(path) as finished, workers(processes, cv2.setNumThreads, 1) as spread:
        origin = list(spread(partial(_origin, root, size, made_with), clips))
        _keep(earlier(path), {*origin}, finished)
        todo = {key: clip for key, clip in zip(origin, clips, strict=True) if key not in finished}
        _LOG.info("%d of %d clips are unchanged: kept", len(clips) - len(todo), len(clips))
        done = spread(partial(_describe, root, size, settings), todo.values())
        for key, values in zip(todo, tqdm(done, "describe", len(todo), mininterval=1.0), strict=True):
            finished.add(key, values)
        values = [np.frombuffer(finished[key], np.float32) for key in origin]
        described = np.stack(values) if values else np.zeros((0, 0), np.float32)
        write_features(path, Features(faces.sample_id, described, origin))


def _origin(root: Root, size: int, made_with: Any, clip: tuple[dict[str, Any], np.ndarray]) -> str:
    return provenance.value_digest([clip_digest(open_clip(root, *clip, size)), *made_with])


def _describe(
    root: Root, size: int, settings: Mapping[str, Any], clip: tuple[dict[str, Any], np.ndarray]
) -> bytes:
    row, transform = clip
    try:
        values = describe(open_clip(root, row, transform, size), SimpleNamespace(**settings))
    except UserError as error:
        raise UserError(f"baselines with features '{settings['kind']}': {error}") from None
    return values.astype(np.float32).tobytes()


def _keep(path: str | Path, wanted: set[str], finished: Finished) -> None:
    """Count the features of an earlier file that are wanted as finished."""
    try:
        earlier = read_features(path)
    except UserError as error:
        _LOG.info("nothing is kept of an earlier run: %s", error)
        return
    contents = (values.tobytes() for values in earlier.values)
    finished.keep(zip(earlier.origin, contents, strict=True), wanted)
