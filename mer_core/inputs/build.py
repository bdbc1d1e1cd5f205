"""The maps of one input of a dataset's samples, into one cache."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from mer_core import csvs, provenance
from mer_core.batch import Finished, earlier, workers
from mer_core.config.inputs import FlowClip, Input
from mer_core.errors import Unreadable, UserError
from mer_core.faces.cache import Aligned, read_cache, write_cache
from mer_core.inputs.maps import draw
from mer_core.motion.clip import clip_digest, open_clip, scaled

_LOG = logging.getLogger(__name__)
FAILURES = ["sample_id", "message"]
Work = tuple[dict[str, Any], np.ndarray, np.ndarray]  # row of the manifest, transform, landmarks


def build_input(
    faces: Aligned,
    samples: pd.DataFrame,
    root: str | Path,
    path: str | Path,
    failures: str | Path,
    *,
    settings: Input,
    code: str,
    processes: int = 1,
) -> None:
    """Draw what a network sees of every sample of which a face was found; what is unchanged is kept.

    A sample that lacks what the input needs (its onset, motion at all) is left out and listed.

    Args:
        faces: of the dataset; their transforms align the clips.
        samples: the manifest.
        root: the dataset's folder.
        path: the cache to write: images float16 (N, size, size, C), or with a time axis after N.
        failures: the table to write of the samples left out, columns `FAILURES`.
        settings: of the input.
        code: digest of the code.
        processes: as for `batch.workers`.

    Raises:
        UserError: nothing is left, or the disk does not give a frame.
    """
    rows = samples.set_index("sample_id", drop=False).loc[faces.sample_id].to_dict("records")
    places = [scaled(transform, faces.attributes["size"], settings.crop) for transform in faces.transform]
    points = [
        landmarks @ place[:, :2].T + place[:, 2]
        for landmarks, place in zip(faces.landmarks, places, strict=True)
    ]
    work = list(zip(rows, places, points, strict=True))
    made_with = settings.model_dump(mode="json"), code
    with Finished(path) as finished, workers(processes, cv2.setNumThreads, 1) as spread:
        origin = list(spread(partial(_origin, root, made_with), work))
        _keep(earlier(path), {*origin}, finished)
        todo = {key: clip for key, clip in zip(origin, work, strict=True) if key not in finished}
        _LOG.info("%d of %d samples are unchanged: kept", len(work) - len(todo), len(work))
        done = spread(partial(_draw, root, settings), todo.values())
        messages: dict[str, str] = {}
        for key, drawn in zip(todo, tqdm(done, "draw", len(todo), mininterval=1.0), strict=True):
            if isinstance(drawn, str):
                messages[key] = drawn
            else:
                finished.add(key, drawn.tobytes())
        kept = [place for place, key in enumerate(origin) if key in finished]
        if not kept:
            raise UserError(
                f"{path}: no sample has what this input needs: {next(iter(messages.values()), 'no face')}"
            )
        # As settings tell it: a killed run may have left every piece, and no cache.
        times = [settings.frames] if isinstance(settings, FlowClip) else []
        shape = (*times, settings.size, settings.size, -1)
        images = np.stack(
            [np.frombuffer(finished[origin[place]], np.float16).reshape(shape) for place in kept]
        )
        write_cache(
            path,
            Aligned(
                images=images,
                landmarks=faces.landmarks[kept],
                transform=faces.transform[kept],
                inside=faces.inside[kept],
                sample_id=[faces.sample_id[place] for place in kept],
                detector=[faces.detector[place] for place in kept],
                origin=[origin[place] for place in kept],
                attributes=faces.attributes
                | {"input": settings.kind, "made_with": provenance.value_digest(made_with)},
            ),
        )
    for message in messages.values():
        _LOG.warning("left out: %s", message)
    out = [
        (row["sample_id"], messages[key])
        for (row, *_), key in zip(work, origin, strict=True)
        if key in messages
    ]
    csvs.write_csv(pd.DataFrame(out, columns=FAILURES), failures)


def _origin(root: str | Path, made_with: Any, work: Work) -> str:
    row, transform, landmarks = work
    try:
        seen = clip_digest(open_clip(root, row, transform, 1))
    except Unreadable:
        raise
    except UserError as error:  # which `_draw` meets again, and reports
        seen = str(error)
    # Faces that are cropped already have none.
    points = None if np.isnan(landmarks).any() else landmarks.tolist()
    return provenance.value_digest([row["sample_id"], seen, points, *made_with])


def _draw(root: str | Path, settings: Input, work: Work) -> np.ndarray | str:
    """The maps, float16, or why there are none."""
    row, transform, landmarks = work
    try:
        return draw(open_clip(root, row, transform, settings.crop), settings, landmarks).astype(np.float16)
    except Unreadable:
        raise
    except UserError as error:
        return str(error)


def _keep(path: str | Path, wanted: set[str], finished: Finished) -> None:
    """Count the maps of an earlier cache that are wanted as finished."""
    try:
        earlier = read_cache(path)
    except UserError as error:
        _LOG.info("nothing is kept of an earlier run: %s", error)
        return
    contents = (image.tobytes() for image in earlier.images)
    finished.keep(zip(earlier.origin, contents, strict=True), wanted)
