"""Tables that hold the images themselves, such as ckextended.csv, fer2013.csv: one row of numbers each.

`python -m mer_core.datasets.pixels TABLE FOLDER` writes them as images with a table that the layout
`tabular` reads. Who is seen is not in such tables.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mer_core.csvs import SEPARATORS, write_csv
from mer_core.errors import UserError
from mer_core.images import write_image
from mer_core.job import cannot_read, check_keeps

TABLE = "images.csv"
COLUMNS = {"pixels", "emotion"}
_MAX_CELL = 10_000_000  # characters; 48 x 48 pixels take ten thousand
_REMEDY = "copy it again from the source"


def is_table(path: Path) -> bool:
    """Whether a CSV table has the columns of one that `unpack` writes as images."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return set(_header(file.readline(1000))[1]) >= COLUMNS
    except (OSError, ValueError):
        return False


def unpack(path: Path, folder: Path) -> int:
    """Write every row as {row}.png, square and gray, and `images.csv`: path, label, and the other columns.

    Args:
        path: a CSV with the columns pixels (whole numbers from 0 to 255, apart by blanks) and emotion.
        folder: where they go; made if need be.

    Returns:
        How many images there are.

    Raises:
        UserError: the table cannot be read, and names the row; or `images.csv` would replace it.
    """
    check_keeps([path], [folder / TABLE], "name another folder")
    rows = []
    for number, cells in _read(path):
        try:
            values = np.array(cells.pop("pixels").split(), dtype=np.int64)
        except ValueError:
            values = np.empty(0, np.int64)
        edge = math.isqrt(len(values))
        if not len(values) or edge**2 != len(values) or values.min() < 0 or values.max() > 255:
            raise UserError(f"{path}: row {number}: the pixels are no square of 0 to 255; {_REMEDY}")
        write_image(folder / f"{number}.png", values.astype(np.uint8).reshape(edge, edge))
        rows.append({"path": f"{number}.png", "label": cells.pop("emotion")} | cells)
    write_csv(pd.DataFrame(rows), folder / TABLE)
    return len(rows)


def _read(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(_MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator, names = _header(file.readline())
            if not set(names) >= COLUMNS:
                raise UserError(f"{path}: no columns pixels and emotion, but {', '.join(names)[:200]}")
            lines = csv.reader(file, delimiter=separator, strict=True)
            for number, cells in enumerate(lines, start=2):
                if not "".join(cells).strip():  # a blank line, or one that is ended twice
                    continue
                if len(cells) != len(names):
                    raise UserError(f"{path}: row {number}: {len(cells)} cells, not {len(names)}; {_REMEDY}")
                yield number, dict(zip(names, cells, strict=True))
    except OSError as error:
        raise cannot_read(path, error) from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a table of pixels ({error}); {_REMEDY}") from None


def _header(line: str) -> tuple[str, list[str]]:
    """What sets cells off, and the names of the columns."""
    separator = max(SEPARATORS, key=line.count)
    return separator, [name.strip().strip('"').lower() for name in line.strip().split(separator)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a table of pixels as images.")
    parser.add_argument("table", type=Path, help="CSV with the columns pixels and emotion")
    parser.add_argument("folder", type=Path, help="where the images go")
    given = parser.parse_args()
    try:
        print(f"{unpack(given.table, given.folder)} images in {given.folder}")
    except UserError as error:
        sys.exit(str(error))
