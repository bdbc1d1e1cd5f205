"""The frames of an annotated clip, by number."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from mer_core.datasets import frames
from mer_core.errors import UserError
from mer_core.job import cannot_read
from mer_core.provenance import file_digest, value_digest

MAX_FRAMES = 2000  # ten seconds; a micro-expression lasts half a second


def pictures_digest(root: Path, samples: pd.DataFrame) -> str:
    """Digest of the pictures that samples are made of: of a clip, its frames from onset to offset.

    Args:
        root: the dataset's folder.
        samples: of the manifest, included ones. Of one that cannot be read, the reason counts.
    """
    found = []
    for _, row in samples.iterrows():
        try:
            files = [root / row["frame_path"]] if pd.isna(row["onset"]) else clip_frames(root, row).values()
            digests = [*map(file_digest, files)]
        except UserError as error:  # which who needs the picture meets again, and reports
            digests = [str(error)]
        found.append([row["sample_id"], *digests])
    return value_digest(found)


def clip_frames(root: Path, row: pd.Series) -> dict[int, Path]:
    """The frames of a clip from onset to offset.

    Links are followed: the doctor has seen where they lead, and what it refuses is in no manifest.

    Args:
        root: the dataset's folder.
        row: of the manifest, a sample that is a clip.

    Returns:
        Frame number -> file, ascending. Numbers may have gaps.

    Raises:
        UserError: the folder is gone, cannot be read, lies outside of the root, or holds none or more than
            `MAX_FRAMES`.
    """
    path = Path(root) / row["frame_path"]
    folder = path if pd.isna(row["apex"]) else path.parent
    try:
        if not folder.is_dir() or not Path(os.path.normpath(folder)).is_relative_to(os.path.normpath(root)):
            raise UserError(f"{folder}: the clip's folder is gone; put it back or run the doctor again")
        with os.scandir(folder) as entries:
            numbered = frames.series(folder, [entry.name for entry in entries if entry.is_file()]).files
    except OSError as error:
        raise cannot_read(folder, error) from None
    inside = {number: file for number, file in numbered.items() if row["onset"] <= number <= row["offset"]}
    if not 0 < len(inside) <= MAX_FRAMES:
        interval = f"{row['onset']}..{row['offset']}"
        raise UserError(
            f"{folder}: {len(inside)} frames in {interval}, not 1 to {MAX_FRAMES}; mend the clip or its row"
        )
    return inside
