"""The aligned faces on disk: one HDF5 file that is read in one go, private and checksummed.

This is the only module that knows the layout. It needs h5py and numpy, nothing of dlib or OpenCV, so that
training on a bare GPU node can read what the aligner wrote.

    images      uint8    (N, H, W, C)  RGB, or one gray channel; of inputs float16 (N, ..., C), any maps
    landmarks   float32  (N, 68, 2)    x, y in source pixels; NaN where none were sought (precropped)
    transform   float64  (N, 2, 3)     source pixels -> aligned pixels
    inside      float32  (N,)          share of the crop that lies inside the source; NaN where not known
    sample_id   UTF-8    (N,)          fixed width
    detector    UTF-8    (N,)          the step that found the face
    origin      UTF-8    (N,)          digest of what the image was made of

with the attribute `attributes`, a JSON object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer_core import container

SCHEMA = "mer-core aligned faces 4"

Attribute = str | int | float

ARRAYS = {
    "images": np.dtype(np.uint8),
    "landmarks": np.dtype(np.float32),
    "transform": np.dtype(np.float64),
    "inside": np.dtype(np.float32),
}
MAPS = np.dtype(np.float16)
TEXTS = ("sample_id", "detector", "origin")
PART = 64  # images at a time


@dataclass(frozen=True, eq=False)
class Aligned:
    """Aligned faces with where they came from.

    Attributes:
        images: uint8 (N, H, W, C), C is 3 (RGB) or 1 (gray); or float16 (N, ..., C), the maps of an input.
        landmarks: float32 (N, 68, 2), x and y in source pixels.
        transform: float64 (N, 2, 3), source pixels to aligned pixels.
        sample_id: N unique identifiers, as in the manifest.
        detector: N names of the step that found the face.
        attributes: the settings, versions and digests that the whole was made with.
        inside: float32 (N,), the share of each crop that lies inside its source image, the rest being
            replicated border; NaN where it is not known, as by default.
        origin: N digests of what each image was made of; by default nothing is said about it.

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
    origin: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.sample_id)
        if self.inside is None:
            object.__setattr__(self, "inside", np.full(n, np.nan, np.float32))
        shapes = {"landmarks": (n, 68, 2), "transform": (n, 2, 3), "inside": (n,)}
        expected = shapes | {"images": (n, *self.images.shape[1:])}
        for name, shape in expected.items():
            array = getattr(self, name)
            known = MAPS if name == "images" and array.dtype == MAPS else ARRAYS[name]
            if array.dtype != known or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {known} {shape}")
        are_maps = self.images.dtype == MAPS
        if not are_maps and (self.images.ndim != 4 or self.images.shape[3] not in (1, 3)):
            raise ValueError(f"images is {self.images.shape}, not (N, H, W, 1 or 3)")
        if not self.origin:
            object.__setattr__(self, "origin", [""] * n)
        for name in ("detector", "origin"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {n} images")
        if len(set(self.sample_id)) < n:
            raise ValueError(f"sample_id '{_first_repeated(self.sample_id)}' stands twice")


def write_cache(path: str | Path, aligned: Aligned) -> None:
    """Write a cache, readable by its owner alone; nothing half written ever carries the name `path`."""
    write_parts(path, [aligned], len(aligned.sample_id), aligned.attributes)


def write_parts(
    path: str | Path, parts: Iterable[Aligned], count: int, attributes: Mapping[str, Attribute]
) -> None:
    """Write a cache of which one part at a time lies in memory.

    Args:
        path: the file to write.
        parts: one at least, of the same image size; their own attributes do not count.
        count: how many images they have together.
        attributes: of the whole.

    Raises:
        ValueError: the parts do not add up to `count`, or a sample stands twice.
    """
    texts: dict[str, list[str]] = {name: [] for name in TEXTS}
    with container.create(path, SCHEMA) as file:
        for part in parts:
            start = len(texts["sample_id"])
            for name in ARRAYS:
                array = np.ascontiguousarray(getattr(part, name))
                if not start:
                    file.require_dataset(name, (count, *array.shape[1:]), array.dtype)
                file[name][start : start + len(array)] = array
            for name, column in texts.items():
                column += getattr(part, name)
        if len(texts["sample_id"]) != count or len({*texts["sample_id"]}) < count:
            raise ValueError(f"{path}: {len(texts['sample_id'])} images, or one twice, where {count} differ")
        for name, column in texts.items():
            container.put_texts(file, name, column)
        file.attrs["attributes"] = np.bytes_(json.dumps(dict(attributes)).encode())


def read_cache(path: str | Path) -> Aligned:
    """Read a whole cache and verify it.

    Returns:
        The faces; every array lies in memory.

    Raises:
        UserError: when the file is missing, truncated, damaged or foreign.
    """
    with container.opened(path, SCHEMA) as file:
        return _part(file, slice(None))


def read_parts(path: str | Path) -> Iterator[Aligned]:
    """Read a cache as `read_cache` does, a few images at a time."""
    with container.opened(path, SCHEMA) as file:
        for start in range(0, max(1, len(container.column(file, "sample_id", "S"))), PART):
            yield _part(file, slice(start, start + PART))


def join_caches(path: str | Path, parts: Sequence[str | Path], wanted: Collection[str]) -> None:
    """Write the cache of datasets put together: the wanted samples of theirs, in their order.

    Args:
        path: the cache to write.
        parts: theirs, of images of one size.
        wanted: sample_ids.
    """
    whole = [read_cache(part) for part in parts]
    places = [[i for i, sample in enumerate(one.sample_id) if sample in wanted] for one in whole]
    chosen = [
        Aligned(
            **{name: getattr(one, name)[rows] for name in ARRAYS},
            **{name: [getattr(one, name)[row] for row in rows] for name in TEXTS},
            attributes={},
        )
        for one, rows in zip(whole, places, strict=True)
    ]
    # What holds for all; the landmarks of one dataset may be another's given points.
    shared = set.intersection(*(set(one.attributes.items()) for one in whole))
    write_parts(path, chosen, sum(map(len, places)), dict(sorted(shared)))


def _part(file: h5py.File, where: slice) -> Aligned:
    kinds = {name: kind.kind for name, kind in ARRAYS.items()}
    kinds["images"] += MAPS.kind
    return Aligned(
        **{name: container.column(file, name, kind)[where] for name, kind in kinds.items()},
        **{name: container.texts(file, name, where) for name in TEXTS},
        attributes=_attributes(file),
    )


def _attributes(file: h5py.File) -> dict[str, Attribute]:
    attributes = json.loads(file.attrs["attributes"])
    if not isinstance(attributes, dict) or not all(map(_is_attribute, attributes.values())):
        raise ValueError("its attributes are not texts and numbers by name")
    return attributes


def _is_attribute(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _first_repeated(names: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))
