"""The file that keeps what a dataset's clips are described by.

values      float32  (N, D)
sample_id   UTF-8    (N,)    fixed width
origin      UTF-8    (N,)    digest of what a row was made of
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_core import container

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
