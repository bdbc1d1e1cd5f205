"""The manifest: one CSV row per sample, the same for every dataset, checked on write and on read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from mer_core.config.names import NAME
from mer_core.csvs import REWRITE, is_shown, parse_csv, write_csv
from mer_core.errors import UserError
from mer_core.job import cannot_read
from mer_core.provenance import value_digest

APEX_SOURCES = ("annotated", "spotted", "midpoint", "none")
UNNAMED = "unknown"
"""The subject of all samples of whom nobody knows whom they show."""
_PLAIN = "letters, digits, - and _"


def _is_printable(text: pd.Series) -> pd.Series:
    return text.map(
        lambda value: len(value) <= 1000 and (value.isprintable() or all(map(is_shown, value)))
    ).astype(bool)


def _stays_inside(path: pd.Series) -> pd.Series:
    return path.map(
        lambda value: not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts
    ).astype(bool)


def _text(*checks: pa.Check, **options: Any) -> pa.Column:
    return pa.Column(str, [pa.Check(_is_printable, name="printable text"), *checks], **options)


def _frame_number() -> pa.Column:
    return pa.Column("Int64", pa.Check.ge(0), nullable=True)


def _row_check(check: Any, name: str) -> pa.Check:
    return pa.Check(lambda frame: check(frame).fillna(True).astype(bool), name=name, ignore_na=False)


SCHEMA = pa.DataFrameSchema(
    {
        "sample_id": _text(pa.Check.str_matches(r"^[^/]+/[^/]", name="dataset/sample"), unique=True),
        "dataset": _text(pa.Check.str_matches(rf"^{NAME}$", name=_PLAIN)),
        "subject": _text(pa.Check.str_matches(rf"^{NAME}$", name=_PLAIN)),
        "clip": _text(),
        "label": _text(pa.Check.str_matches(rf"^({NAME})?$", name=_PLAIN)),
        "label_raw": _text(),
        "onset": _frame_number(),
        "apex": _frame_number(),
        "offset": _frame_number(),
        "fps": pa.Column(float, pa.Check.gt(0), nullable=True),
        "bit_depth": pa.Column("Int64", pa.Check.in_range(8, 16), nullable=True),
        "split": _text(pa.Check.str_matches(r"^(train|test(_[a-z0-9]+)?)?$", name="train or test_...")),
        "apex_source": _text(pa.Check.isin(APEX_SOURCES)),
        "frame_path": _text(pa.Check(_stays_inside, name="a path inside the dataset's root")),
        "action_units": _text(),
        "included": pa.Column(bool),
        "reason": _text(),
    },
    checks=[
        _row_check(
            lambda f: f["included"] == f["reason"].eq(""), "left out if and only if a reason is given"
        ),
        _row_check(lambda f: ~f["included"] | f["label"].ne(""), "an included sample has a label"),
        _row_check(lambda f: ~f["included"] | f["frame_path"].ne(""), "an included sample has a frame_path"),
        _row_check(lambda f: ~f["included"] | (f["onset"] <= f["apex"]), "the apex is not before the onset"),
        _row_check(lambda f: ~f["included"] | (f["apex"] <= f["offset"]), "the apex is not after the offset"),
        _row_check(
            lambda f: f["apex_source"].eq("none") | f["apex"].notna(), "apex_source belongs to an apex"
        ),
    ],
    strict=True,
    ordered=True,
    coerce=True,
)
"""One row per sample, left-out ones with their reason.

`onset`, `apex`, `offset` are frame numbers as on disk, `fps` how many the camera takes in a second (NaN where
that is not known), `bit_depth` how many bits it writes into files of 16 (NA: those that the file declares),
`split` the part that the authors put the sample into, empty where they have none.
`frame_path` is the used frame, relative to the dataset's root with forward slashes; while the apex is still
to be spotted it is the clip's folder.
`label` is the class, `label_raw` what the annotation says.
"""

COLUMNS = tuple(SCHEMA.columns)


def new_sample(dataset: str, subject: str, clip: str, **known: Any) -> dict[str, Any]:
    """A manifest row as a mapping, included, with every column that is not given left empty."""
    empty = {column: "" for column in COLUMNS}
    numbers = dict.fromkeys(("onset", "apex", "offset", "fps", "bit_depth"))
    names = {
        "sample_id": f"{dataset}/{subject}/{clip}", "dataset": dataset, "subject": subject, "clip": clip
    }  # fmt: skip
    return empty | numbers | {"apex_source": "none", "included": True} | names | known


def assemble(samples: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Make a checked manifest of rows.

    Raises:
        UserError: see `check`.
    """
    frame = pd.DataFrame(list(samples), columns=list(COLUMNS))
    return check(frame, "manifest", "rename what it names on disk, or mend the annotation")


def check(frame: pd.DataFrame, where: str | os.PathLike[str], remedy: str = REWRITE) -> pd.DataFrame:
    """Hold a manifest against the schema.

    Args:
        frame: with the columns `COLUMNS`.
        where: the file it belongs to, for the message.
        remedy: for the message.

    Returns:
        The same rows with the schema's types.

    Raises:
        UserError: names the row (as a spreadsheet counts, the header being row 1) and the column.
    """
    try:
        return SCHEMA.validate(frame.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as errors:
        # Of a cell and what follows from it, the cell is the cause.
        cases = errors.failure_cases.sort_values("schema_context", kind="stable")
        first = cases.iloc[0]
        row = "" if pd.isna(first["index"]) else f" row {int(first['index']) + 2}"
        column = f" column {first['column']}" if first["schema_context"] == "Column" else ""
        value = f" {str(first['failure_case'])[:60]!r}" if column else ""
        raise UserError(f"{where}{row}{column}:{value} fails '{first['check']}'; {remedy}") from None


def included(frame: pd.DataFrame) -> pd.DataFrame:
    """The samples that take part, in order."""
    return frame[frame["included"]].reset_index(drop=True)


def digest(frame: pd.DataFrame) -> str:
    """Of what a model learns of a manifest: subjects and labels by sample."""
    return value_digest(frame[["sample_id", "subject", "label"]].to_numpy().tolist())


def is_to_be_spotted(frame: pd.DataFrame) -> pd.Series:
    """Which samples take part but have no apex yet; their `frame_path` is the clip's folder."""
    return frame["included"] & frame["apex_source"].eq("none") & frame["onset"].notna()


def write_manifest(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Check a manifest and publish it as CSV.

    Raises:
        UserError: the manifest breaks the schema, or the file cannot be written.
    """
    write_csv(check(frame, path), path)


def read_manifest(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a manifest and check it.

    Returns:
        DataFrame with the columns `COLUMNS`; text columns hold str ('' where empty), frame numbers
        and `bit_depth` Int64 (NA where unknown), `fps` float (NaN where unknown), `included` bool.

    Raises:
        UserError: the file is missing, no manifest, or breaks the schema; names row and column.
    """
    frame = _read_text(Path(path))
    for column in ("onset", "apex", "offset", "bit_depth"):
        numbers = frame[column].where(frame[column].str.fullmatch(r"[0-9]{1,9}"))
        _refuse(path, frame, column, frame[column].ne("") & numbers.isna())
        frame[column] = pd.to_numeric(numbers).astype("Int64")
    rates = pd.to_numeric(frame["fps"], errors="coerce")
    _refuse(path, frame, "fps", frame["fps"].ne("") & rates.isna())
    frame["fps"] = rates
    _refuse(path, frame, "included", ~frame["included"].isin(["True", "False"]))
    frame["included"] = frame["included"].eq("True")
    return check(frame, path)


def _read_text(path: Path) -> pd.DataFrame:
    """All cells as text, numbered from 0."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest; run the workflow's doctor first") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as a manifest ({error}); {REWRITE}") from None
    frame = parse_csv(text, path)
    if list(frame.columns) != list(COLUMNS):
        raise UserError(f"{path} row 1: the columns must be {','.join(COLUMNS)}; {REWRITE}")
    return frame.reset_index(drop=True)


def _refuse(path: str | os.PathLike[str], frame: pd.DataFrame, column: str, wrong: pd.Series) -> None:
    if wrong.any():
        row = int(wrong.idxmax())
        value = frame.at[row, column][:60]
        raise UserError(f"{path} row {row + 2} column {column}: {value!r} is not allowed; {REWRITE}")


def class_indices(table: pd.DataFrame, classes: Sequence[str], path: str | Path) -> np.ndarray:
    """The class of each sample, int64 (N,), as an index into `classes`.

    Args:
        table: rows of a manifest.
        classes: class names in order.
        path: of the manifest, for messages.

    Raises:
        UserError: a label is no class.
    """
    indices = pd.Index(classes).get_indexer(table["label"])
    if (indices < 0).any():
        row = table[indices < 0].iloc[0]
        raise UserError(
            f"{path}: sample '{row.sample_id}' has the label '{row.label}', which is none of "
            f"{', '.join(classes)}; delete the manifest and run again"
        )
    return indices.astype(np.int64)
