"""From a clip to a feature vector, and the file that keeps them: one per subject, a group per baseline.

    {baseline}/values      float32  (N, D)
    {baseline}/sample_id   UTF-8    (N,)    fixed width

with the attribute `digest`, of what the features were made of. HDF5 can hang on a damaged file, so its user
block, the first 512 bytes, holds a checksum of all that follows, which is verified before HDF5 sees anything.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer_core import job
from mer_core.baselines import flow_descriptors, lbp
from mer_core.config.baselines import BiWoof, Description, Fdm, FlowImage, Lbp, LbpTop, Osw
from mer_core.errors import UserError
from mer_core.motion.clip import Clip
from mer_core.motion.interpolation import interpolate

SCHEMA = "mer-core features 1"
BLOCK = 512  # bytes, the smallest user block


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


def write_features(path: str | Path, features: Mapping[str, Features]) -> None:
    """Publish the features of a subject, by baseline; readable by the owner alone, as the faces are."""
    # In memory, since HDF5 crashes on a full disk; a subject's features are a few megabytes.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=BLOCK) as file:
        for name, own in features.items():
            group = file.create_group(name)
            group["values"] = own.values.astype(np.float32)
            group["sample_id"] = _encode(own.sample_id)
            group.attrs["digest"] = own.digest
    content = buffer.getvalue()[BLOCK:]
    with job.publish(path, mode=0o600) as temporary:
        temporary.write_bytes(_header(content) + content)


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
    parts = []
    for path in paths:
        subject = read_subject(path)
        if name not in subject:
            found = ", ".join(subject) or "none"
            raise UserError(
                f"{path}: holds no features of '{name}' (found: {found}); delete this file and run again"
            )
        parts.append(subject[name])
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


def read_subject(path: str | Path) -> dict[str, Features]:
    """Read all features of a subject, by baseline.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        whole = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be read ({reason}); run the workflow up to this file") from None
    if whole[:BLOCK] != _header(whole[BLOCK:]):
        raise UserError(f"{path}: does not match its checksum; delete this file and run again")
    with h5py.File(io.BytesIO(whole), "r") as file:
        return {
            name: Features(
                [text.decode() for text in group["sample_id"][:]], group["values"][:], group.attrs["digest"]
            )
            for name, group in file.items()
        }


def _header(content: bytes) -> bytes:
    return f"{SCHEMA}\nsha256 {hashlib.sha256(content).hexdigest()}\n".encode().ljust(BLOCK, b"\0")


def _encode(texts: Sequence[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=1)))
