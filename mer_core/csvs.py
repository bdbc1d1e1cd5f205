"""CSV files that one step writes and another reads: names stay the text that they are.

A class may be called None, a subject 001 and a variant 1e5. pandas.read_csv would guess, so nothing of
ours is read by it.
Predictions and scores are written as they are: they hold numbers and names, and a name begins with a letter
or a digit (config.names), which no spreadsheet takes for a formula.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.errors import UserError
from mer_core.job import cannot_read, publish

SEPARATORS = ",;\t|"  # of tables that others wrote
REWRITE = "delete the file to have it written anew"
# What a spreadsheet would take for a formula, and run.
_FORMULA = re.compile(r"'*[=+@-]")


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Publish a table as CSV, an apostrophe before each text that a spreadsheet would run as a formula.

    Raises:
        UserError: the file cannot be written.
    """
    with publish(path) as temporary:
        frame.map(harmless).to_csv(temporary, index=False, lineterminator="\n")


def harmless(cell: Any) -> Any:
    """A cell with an apostrophe before it where it is a text that a spreadsheet would run."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def is_shown(letter: str) -> bool:
    """Whether a letter can be seen or is a blank of any width, which names of files may hold."""
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def read_csv(path: str | os.PathLike[str], numbers: Collection[str] = ()) -> pd.DataFrame:
    """Read what `write_csv` (or `DataFrame.to_csv`) wrote.

    Args:
        path: the file.
        numbers: the columns that hold numbers; NaN where a cell is empty.

    Returns:
        The rows from 0 on; every other column as text, '' where a cell is empty.

    Raises:
        UserError: the file cannot be read, or is no such table; names the line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise cannot_read(path, error) from None
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); {REWRITE}") from None
    frame = parse_csv(text, path).reset_index(drop=True)
    for column in frame.columns.intersection([*numbers]):
        try:
            frame[column] = [_number(cell) for cell in frame[column]]
        except ValueError:
            raise UserError(f"{path}: column {column} holds what is no number; {REWRITE}") from None
    return frame


def parse_csv(text: str, path: str | os.PathLike[str], remedy: str = REWRITE) -> pd.DataFrame:
    """As `read_csv`, of a text that was read already: all cells as text, the index being the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[int, list[str]] = {}
    try:
        header = next(reader, [])
        for row in reader:
            if len(row) != len(header):
                raise csv.Error(f"{len(row)} cells under {len(header)} columns")
            rows[reader.line_num] = [
                cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for cell in row
            ]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: {error}; {remedy}") from None
    return pd.DataFrame([*rows.values()], index=[*rows], columns=header, dtype=str)


def _number(cell: str) -> float:
    if re.fullmatch(r"-?[0-9]{1,18}", cell):
        return int(cell)
    return float(cell) if cell else float("nan")
