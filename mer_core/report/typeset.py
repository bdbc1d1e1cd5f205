"""One table as CSV for machines, Markdown and LaTeX for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import job
from mer_core.csvs import read_csv

Row = dict[str, Any]
Cell = Callable[[Row], str]

INTEGERS = ("n", "folds", "folds_expected", "seeds", "support", "first_only", "second_only", "runs")
MISSING = "–"
ABOUT = ("variant", "before", "after")  # columns that name what was measured
# Needs the packages booktabs and graphicx; a table wider than the page is scaled down to it.
LATEX_TABLE = r"""\begin{table}[htbp]
\centering
\caption{%s}
\label{tab:%s}
\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%%
%s}
\par\smallskip\footnotesize\raggedright %s
\end{table}
"""
LATEX = str.maketrans({character: f"\\{character}" for character in "%&_#$"})


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        frame: every figure in full precision, missing ones NaN or None; what the CSV holds.
        shown: the same rows as text for people; what Markdown, LaTeX and the report show.
        caption: what it is, on how many clips, folds and seeds, on which data.
        notes: sentences that belong under it.
    """

    frame: pd.DataFrame
    shown: pd.DataFrame
    caption: str
    notes: tuple[str, ...]

    @property
    def about(self) -> list[list[str]]:
        """For each row the names of the variants and comparison methods that it is about."""
        columns = self.frame[[name for name in ABOUT if name in self.frame]].to_numpy()
        return [[name for name in names if isinstance(name, str) and name] for names in columns]


def make_table(rows: Sequence[Row], columns: Mapping[str, Cell], caption: str, notes: Iterable[str]) -> Table:
    """A table of rows with figures, shown in columns of text.

    Args:
        rows: column of the CSV -> value, None where there is none.
        columns: header of a shown column -> what makes its text of a row.
        caption: the table's caption.
        notes: sentences under it.
    """
    frame = pd.DataFrame(list(rows))
    frame = frame.astype({name: "Int64" for name in INTEGERS if name in frame})
    shown = pd.DataFrame([{header: show(row) for header, show in columns.items()} for row in rows], dtype=str)
    return Table(frame, shown, caption, tuple(notes))


def write_table(table: Table, stem: Path) -> None:
    """Write `{stem}.csv`, `{stem}.md` and `{stem}.tex`; the same table gives the same bytes."""
    job.write_text(f"{stem}.csv", table.frame.to_csv(index=False, lineterminator="\n"))
    rows = [[*table.shown.columns], ["---"] * table.shown.shape[1], *table.shown.to_numpy().tolist()]
    lines = [f"**{table.caption}**", "", *("| " + " | ".join(row) + " |" for row in rows), ""]
    job.write_text(f"{stem}.md", "\n".join([*lines, *(f"- {note}" for note in table.notes)]) + "\n")
    tabular = table.shown.to_latex(index=False, escape=True)
    caption, notes = table.caption.translate(LATEX), " ".join(table.notes).translate(LATEX)
    job.write_text(f"{stem}.tex", LATEX_TABLE % (caption, Path(stem).name, tabular, notes))


def write_tables(tables: Mapping[str, Table], index: Path) -> None:
    """Write every table's files beside `index`, a JSON file from which `read_tables` has them back."""
    for name, table in tables.items():
        write_table(table, index.with_name(name))
    words = {
        name: {
            "caption": table.caption,
            "notes": table.notes,
            "shown": table.shown.to_dict("list"),
            "numbers": [column for column in table.frame if not _holds_text(table.frame[column])],
        }
        for name, table in tables.items()
    }
    job.write_json(index, words)


def read_tables(index: Path, names: Collection[str] = ()) -> dict[str, Table]:
    """The tables that `write_tables` wrote, in the same order; those of some names, if any are given."""
    return {
        name: Table(
            frame=read_csv(index.with_name(f"{name}.csv"), words["numbers"]),
            shown=pd.DataFrame(words["shown"], dtype=str),
            caption=words["caption"],
            notes=tuple(words["notes"]),
        )
        for name, words in json.loads(index.read_text(encoding="utf-8")).items()
        if not names or name in names
    }


def _holds_text(column: pd.Series) -> bool:
    return column.map(lambda value: isinstance(value, str)).any()


def text(key: str, missing: str = MISSING) -> Cell:
    """A column of words."""
    return lambda row: str(row.get(key) or missing)


def number(key: str, style: str) -> Cell:
    """A column of numbers in a format such as '{:.2f}'."""
    return partial(_number, key, style)


def interval(key: str, style: str) -> Cell:
    """A column such as '43.37 ± 0.80 [37.21, 49.60]': value, deviation over seeds, interval, if there."""

    def show(row: Row) -> str:
        parts = [_number(key, style, row)]
        if row.get(f"{key}_sd") is not None:
            parts.append(f"± {_number(f'{key}_sd', style.replace('+', ''), row)}")
        if row.get(f"{key}_low") is not None:
            parts.append(f"[{_number(f'{key}_low', style, row)}, {_number(f'{key}_high', style, row)}]")
        return " ".join(parts)

    return show


def p_value(key: str) -> Cell:
    """A column of p-values."""

    def show(row: Row) -> str:
        tiny = row.get(key) is not None and row[key] < 0.001
        return "<0.001" if tiny else _number(key, "{:.3f}", row)

    return show


def p_in_words(value: float) -> str:
    """What follows the p of a sentence: `= 0.034`, or `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _number(key: str, style: str, row: Row) -> str:
    return MISSING if row.get(key) is None else style.format(row[key])
