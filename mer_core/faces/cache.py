"""The aligned faces on disk: one HDF5 file that is read in one go, private and checksummed.

This is the only module that knows the layout. It needs h5py and numpy, nothing of dlib or OpenCV, so that
training on a bare GPU node can read what the aligner wrote.

    images      uint8    (N, H, W, C)  RGB, or one gray channel
    landmarks   float32  (N, 68, 2)    x, y in source pixels; NaN where none were sought (precropped)
    transform   float64  (N, 2, 3)     source pixels -> aligned pixels
    inside      float32  (N,)          share of the crop that lies inside the source; NaN where not known
    sample_id   UTF-8    (N,)          fixed width
    detector    UTF-8    (N,)          the step that found the face

Datasets are contiguous: chunked or compressed layouts read up to a thousand times slower and save nothing
on photographs. A checksum over data and attributes takes the place of HDF5's own, which needs chunks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer_core import job
from mer_core.errors import UserError

SCHEMA = "mer-core aligned faces 3"
SHARD = "shard"  # the attribute in which shards of one cache may differ

Attribute = str | int | float

_COLUMNS = {
    "images": np.uint8,
    "landmarks": np.float32,
    "transform": np.float64,
    "inside": np.float32,
    "sample_id": "S",
    "detector": "S",
}


@dataclass(frozen=True, eq=False)
class Aligned:
    """Aligned faces with where they came from.

    Attributes:
        images: uint8 (N, H, W, C), C is 3 (RGB) or 1 (gray).
        landmarks: float32 (N, 68, 2), x and y in source pixels.
        transform: float64 (N, 2, 3), source pixels to aligned pixels.
        sample_id: N unique identifiers, as in the manifest.
        detector: N names of the step that found the face.
        attributes: the settings, versions and digests that the whole was made with.
        inside: float32 (N,), the share of each crop that lies inside its source image, the rest being
            replicated border; NaN where it is not known, as by default.

    Raises:
        ValueError: when the shapes or types do not agree with the above.
    """

    images: np.ndarray
    landmarks: np.ndarray
    transform: np.ndarray
    sample_id: list[str]
    detector: list[str]
    attributes: dict[str, Attribute]
    inside: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.sample_id)
        if self.inside is None:
            object.__setattr__(self, "inside", np.full(n, np.nan, np.float32))
        expected = _shapes(n, self.images.shape[1:])
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.dtype != _COLUMNS[name] or array.shape != shape:
                raise ValueError(
                    f"{name} is {array.dtype} {array.shape}, not {np.dtype(_COLUMNS[name])} {shape}"
                )
        if self.images.ndim != 4 or self.images.shape[3] not in (1, 3):
            raise ValueError(f"images is {self.images.shape}, not (N, H, W, 1 or 3)")
        if len(self.detector) != n:
            raise ValueError(f"detector has {len(self.detector)} entries for {n} images")
        if len(set(self.sample_id)) < n:
            raise ValueError(f"sample_id '{_first_repeated(self.sample_id)}' stands twice")


def write_cache(path: str | Path, aligned: Aligned) -> None:
    """Write a cache, readable by its owner alone; nothing half written ever carries the name `path`."""
    _write(
        Path(path),
        [aligned],
        [aligned.sample_id],
        [aligned.detector],
        aligned.images.shape[1:],
        aligned.attributes,
    )


def read_cache(path: str | Path, expect: Mapping[str, Attribute] | None = None) -> Aligned:
    """Read a whole cache and verify it.

    Args:
        path: the HDF5 file.
        expect: attributes that the cache must have been made with; others are not looked at.

    Returns:
        The faces; every array lies in memory.

    Raises:
        UserError: when the file is missing, truncated, damaged, foreign, or made with other attributes.
    """
    path = Path(path)
    with _opened(path) as file:
        attributes = _attributes(file)
        for key, wanted in (expect or {}).items():
            if attributes.get(key) != wanted:
                raise UserError(
                    f"{path}: was made with {key} = {attributes.get(key)!r}, but {wanted!r} is asked for; "
                    "delete this file and run again"
                )
        columns = {name: file[name][:] for name in _COLUMNS}
        digests = {name: _hash(column) for name, column in columns.items()}
        if _text(file, "sha256") != _digest(digests, attributes):
            raise UserError(f"{path}: the data do not match their checksum; delete this file and run again")
        texts = {name: [text.decode() for text in columns.pop(name)] for name in ("sample_id", "detector")}
        return Aligned(**columns, **texts, attributes=attributes)


def merge_caches(paths: Sequence[str | Path], path: str | Path) -> None:
    """Join shards into the one file that is read; one shard at a time lies in memory.

    Args:
        paths: the shards; their order is the order of the images.
        path: the file to write. Its attribute 'shard' is the digest of the shards' own.

    Raises:
        UserError: when a shard cannot be read, was made with other attributes than the first, has another
            image size, or repeats a sample.
    """
    paths = [Path(shard) for shard in paths]
    if not paths:
        raise UserError(f"{path}: there are no shards to merge; name at least one subject")
    ids, detectors, shapes, attributes = zip(*map(_header, paths), strict=True)
    common = {key: value for key, value in attributes[0].items() if key != SHARD}
    for shard, shape, own in zip(paths, shapes, attributes, strict=True):
        if shape != shapes[0]:
            raise UserError(
                f"{shard}: images are {shape}, in {paths[0]} {shapes[0]}; delete the stale one and run again"
            )
        for key in sorted({*common, *own} - {SHARD}):
            if own.get(key) != common.get(key):
                raise UserError(
                    f"{shard}: was made with {key} = {own.get(key)!r}, {paths[0]} with {common.get(key)!r}; "
                    "delete the stale one and run again"
                )
    every_id = [sample for shard in ids for sample in shard]
    if len(set(every_id)) < len(every_id):
        repeated = _first_repeated(every_id)
        held = [str(shard) for shard, own in zip(paths, ids, strict=True) if repeated in own]
        raise UserError(f"{held[-1]}: sample '{repeated}' is also in {held[0]}; name every shard once")
    shards = json.dumps([own.get(SHARD) for own in attributes])
    common[SHARD] = hashlib.sha256(shards.encode()).hexdigest()
    _write(Path(path), map(read_cache, paths), ids, detectors, shapes[0], common)


def _shapes(n: int, image_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of the numeric columns of n faces."""
    return {"images": (n, *image_shape), "landmarks": (n, 68, 2), "transform": (n, 2, 3), "inside": (n,)}


def _write(
    path: Path,
    parts: Iterable[Aligned],
    ids: Sequence[Sequence[str]],
    detectors: Sequence[Sequence[str]],
    image_shape: tuple[int, ...],
    attributes: Mapping[str, Attribute],
) -> None:
    """Write parts one after the other into one file; names and sizes of all are known beforehand."""
    texts = {"sample_id": _encode(ids), "detector": _encode(detectors)}
    n = len(texts["sample_id"])
    shapes = _shapes(n, image_shape)
    hashes = {name: hashlib.sha256() for name in shapes}
    # Private: the faces are biometric data.
    with job.publish(path, mode=0o600) as temporary, _Guarded(temporary, "r+") as disk:
        # Headers of v110 carry checksums, so that damage to them cannot crash HDF5.
        with h5py.File(disk, "w", libver=("v110", "v110")) as file:
            for name, shape in shapes.items():
                file.create_dataset(name, shape, _COLUMNS[name])
            file.update(texts)
            start = 0
            for part in parts:
                stop = start + len(part.sample_id)
                for name in shapes:
                    column = np.ascontiguousarray(getattr(part, name))
                    file[name][start:stop] = column
                    hashes[name].update(column)
                start = stop
            digests = {name: h.hexdigest() for name, h in hashes.items()}
            digests |= {name: _hash(text) for name, text in texts.items()}
            seal = _digest(digests, attributes)
            # Of fixed length: damage to the heap that holds variable texts can make HDF5 hang.
            texts = {"schema": SCHEMA, "sha256": seal, "attributes": json.dumps(attributes)}
            file.attrs.update({name: np.bytes_(text.encode()) for name, text in texts.items()})
        if disk.failure:
            raise disk.failure


class _Guarded(io.FileIO):
    """A file that keeps its first failure to itself: HDF5 crashes when the disk is full."""

    failure: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """A cache open for reading; whatever HDF5 or the layout complains about becomes a UserError."""
    try:
        if not path.is_file():
            raise UserError(f"{path}: there is no such cache; run the workflow up to this file")
        # Caches are published by rename and never written again; a file system without locks is no obstacle.
        with h5py.File(path, "r", locking="best-effort") as file:
            if _text(file, "schema") != SCHEMA:
                raise UserError(f"{path}: is not a cache of {SCHEMA!r}; delete this file and run again")
            for name, kind in _COLUMNS.items():
                _check_column(file, name, kind)
            yield file
    except job.Terminated:  # a RuntimeError, too, but no word on the file
        raise
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:  # of the system, so no word on the file either
            raise job.cannot_read(path, error) from error
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: cannot be read as a cache ({reason}); delete this file and run again"
        ) from error


def _check_column(file: h5py.File, name: str, kind: Any) -> None:
    """Refuse what would read other files, or take more memory than the file has bytes."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or only a link")
    column = file[name]
    if not isinstance(column, h5py.Dataset) or column.dtype.kind != np.dtype(kind).kind:
        raise ValueError(f"{name} is not of type {np.dtype(kind).name}")
    created = column.id.get_create_plist()
    if created.get_layout() != h5py.h5d.CONTIGUOUS or created.get_external_count():
        raise ValueError(f"{name} does not lie in the file in one piece")
    if column.nbytes > Path(file.filename).stat().st_size:
        raise ValueError(f"{name} is larger than the file")


def _header(path: Path) -> tuple[list[str], list[str], tuple[int, ...], dict[str, Attribute]]:
    with _opened(path) as file:
        texts = ([text.decode() for text in file[name][:]] for name in ("sample_id", "detector"))
        return *texts, file["images"].shape[1:], _attributes(file)


def _attributes(file: h5py.File) -> dict[str, Attribute]:
    attributes = json.loads(_text(file, "attributes"))
    if not isinstance(attributes, dict) or not all(map(_is_attribute, attributes.values())):
        raise ValueError("its attributes are not texts and numbers by name")
    return attributes


def _text(file: h5py.File, name: str) -> str:
    """A text among HDF5's attributes, which must be of fixed length as we write them."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind != "S":
        raise ValueError(f"it has no text of fixed length named {name}")
    return file.attrs[name].decode()


def _is_attribute(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _encode(parts: Sequence[Sequence[str]]) -> np.ndarray:
    """UTF-8 bytes of fixed width: they lie in the file in one piece, unlike HDF5's variable strings."""
    encoded = [text.encode() for part in parts for text in part]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=1)))


def _hash(column: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(column)).hexdigest()


def _digest(columns: Mapping[str, str], attributes: Mapping[str, Attribute]) -> str:
    content = json.dumps([dict(columns), dict(attributes)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _first_repeated(names: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))
