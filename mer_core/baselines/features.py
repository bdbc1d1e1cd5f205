"""From a clip to a feature vector, and the file that keeps them: one per subject, a group per baseline.

    {baseline}/values      float32  (N, D)
    {baseline}/sample_id   UTF-8    (N,)    fixed width

with the attributes `digest` (what the features were made of) and `sha256` (of the group's content).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer_core import config, job
from mer_core.baselines import lbp, motion
from mer_core.baselines.clips import Clip
from mer_core.baselines.interpolation import interpolate
from mer_core.errors import UserError


@dataclass(frozen=True, eq=False)
class Features:
    """Descriptions of samples.

    Attributes:
        sample_id: N unique identifiers, as in the manifest.
        values: float32 (N, D).
        digest: of what they were made of: images, settings, code.
    """

    sample_id: list[str]
    values: np.ndarray
    digest: str


def describe(clip: Clip, settings: config.Description) -> np.ndarray:
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


def _lbp(clip: Clip, settings: config.Lbp) -> np.ndarray:
    return lbp.describe_image(clip.apex_image, settings)


def _lbptop(clip: Clip, settings: config.LbpTop) -> np.ndarray:
    frames = clip.frames if settings.frames is None else interpolate(clip.frames, settings.frames)
    return lbp.describe_clip(frames, settings)


def _osw(clip: Clip, settings: config.Osw) -> np.ndarray:
    # Only the XY plane is weighted, and nothing is normalised afterwards: that would undo it.
    histograms = _lbptop(clip, settings)
    histograms[:, :, 0] *= motion.strain_weights(clip.flows(settings.flow), settings)[:, None]
    return histograms


def _fdm(clip: Clip, settings: config.Fdm) -> np.ndarray:
    return motion.dynamics_map(clip.flows(settings.flow), settings)


def _bi_woof(clip: Clip, settings: config.BiWoof) -> np.ndarray:
    return motion.oriented_flow(clip.flow_to_apex(settings.flow), settings)


def _flow(clip: Clip, settings: config.FlowImage) -> np.ndarray:
    return motion.flow_image(clip.flow_to_apex(settings.flow), settings)


_DESCRIBE: dict[type, Callable[[Clip, Any], np.ndarray]] = {
    config.Lbp: _lbp,
    config.LbpTop: _lbptop,
    config.Osw: _osw,
    config.Fdm: _fdm,
    config.BiWoof: _bi_woof,
    config.FlowImage: _flow,
}


def write_features(path: str | Path, features: Mapping[str, Features]) -> None:
    """Publish the features of a subject, by baseline; readable by the owner alone, as the faces are."""
    # In memory, since HDF5 crashes on a full disk; a subject's features are a few megabytes.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        for name, own in features.items():
            group = file.create_group(name)
            group["values"] = own.values.astype(np.float32)
            group["sample_id"] = _encode(own.sample_id)
            group.attrs.update(digest=own.digest, sha256=_seal(own))
    with job.publish(path, mode=0o600) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_features(paths: Iterable[str | Path], name: str) -> Features:
    """Read the features of one baseline over several subjects.

    Args:
        paths: one file per subject; their order is that of the samples. A subject may have none.
        name: of the baseline.

    Returns:
        All samples; the digest is that of the subjects' digests.

    Raises:
        UserError: a file is missing, damaged or lacks the baseline, or lengths differ between files.
    """
    paths = [Path(path) for path in paths]
    parts = [_read(path, name) for path in paths]
    lengths = {part.values.shape[1]: path for path, part in zip(paths, parts, strict=True) if part.sample_id}
    if len(lengths) > 1:
        (one, first), (other, second) = list(lengths.items())[:2]
        raise UserError(
            f"{second}: '{name}' has length {other}, in {first} {one}; delete both files and run again"
        )
    return Features(
        [sample for part in parts for sample in part.sample_id],
        np.concatenate([part.values for part in parts if part.sample_id] or [np.zeros((0, 0), np.float32)]),
        hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest(),
    )


def kept_features(path: str | Path, digests: Mapping[str, str]) -> dict[str, Features]:
    """What may be kept of an earlier file: baselines whose digest is the same and which are not damaged.

    Args:
        path: the earlier file, if there is one.
        digests: of what would be computed, by baseline.
    """
    kept = {}
    for name, digest in digests.items():
        try:
            earlier = _read(Path(path), name)
        except UserError:
            continue
        if earlier.digest == digest:
            kept[name] = earlier
    return kept


def _read(path: Path, name: str) -> Features:
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be read ({reason}); run the workflow up to this file") from None
    try:
        with h5py.File(content, "r") as file:
            if name not in file:
                found = ", ".join(file) or "none"
                raise UserError(
                    f"{path}: holds no features of '{name}' (found: {found}); delete this file and run again"
                )
            group = file[name]
            own = Features(
                [text.decode() for text in group["sample_id"][:]],
                np.asarray(group["values"][:], np.float32),
                str(group.attrs["digest"]),
            )
            intact = group.attrs["sha256"] == _seal(own)
    except job.Terminated:  # a RuntimeError, too, but no word on the file
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: cannot be read as features ({reason}); delete this file and run again"
        ) from None
    if not intact:
        raise UserError(f"{path}: '{name}' does not match its checksum; delete this file and run again")
    return own


def _seal(features: Features) -> str:
    head = json.dumps([features.sample_id, features.values.shape, features.digest])
    values = np.ascontiguousarray(features.values, np.float32)
    return hashlib.sha256(head.encode() + values.tobytes()).hexdigest()


def _encode(texts: Sequence[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=1)))
