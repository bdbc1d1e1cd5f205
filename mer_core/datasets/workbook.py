"""Annotation tables (xlsx, xls, csv) as text, whatever order, case and dialect they come in."""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import xlrd

from mer_core.csvs import SEPARATORS, is_shown
from mer_core.errors import UserError
from mer_core.job import awaits_fetching, cannot_read

MAX_BYTES = 20_000_000  # of a table, unzipped; the real ones hold less than 200 kB
MAX_OBJECTS = 2_000_000  # bytes of an xlsx's styles, names and other parts that become objects, a hundredfold
MAX_SHEETS = 16
MAX_ROWS = 100_000
MAX_COLUMNS = 1024  # OpenFace writes 714
MAX_CELLS = 6_400_000  # of a sheet
MAX_CELL = 500  # characters; longer cells are cut, so that none floods manifest or report
HEADER_WITHIN = 50  # rows
SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".csv", ".tsv"})
OTHER_SUFFIXES = frozenset({".ods", ".xlsb", ".numbers", ".mat"})
NO_VALUE = "formula without a value: save it in Excel or LibreOffice"
"""How a cell begins whose formula no program has computed yet, as openpyxl and pandas leave them."""
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# Parts of an xlsx that may be large: cells are read as a stream, the others not at all.
_LARGE = ("xl/worksheets/", "xl/sharedStrings.xml", "xl/media/", "xl/pivotCache/", "xl/externalLinks/")
_STRICT = {
    b"http://purl.oclc.org/ooxml/spreadsheetml/main": (
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    ),
    b"http://purl.oclc.org/ooxml/officeDocument/relationships": (
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    ),
}
# A cell of a sheet that has a formula and, unlike one whose text is empty (t="str"), no value.
_NO_VALUE = re.compile(
    rb"<c((?:\s[^<>]*)?)>\s*<f(?:[^<>]*/>|[^<>]*>([^<]*)</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>"
)
# LibreOffice may write the last row of a sheet, which is empty and would count as a million of them.
_EMPTY_ROW = re.compile(rb'<row\s(?:[^<>]*\s)?r="[0-9]+"[^<>]*(?:/>|></row>)')
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

Rows = list[tuple[int, list[str]]]
"""Row numbers, as a spreadsheet counts, and cells of the rows that hold anything."""


class LacksColumns(UserError):
    """A table that is whole, but has not all of the columns.

    Attributes:
        lacking: how many it lacks.
        nearly: whether it has most of them, so that it must be meant.
    """

    def __init__(self, message: str, lacking: int, nearly: bool) -> None:
        super().__init__(message)
        self.lacking, self.nearly = lacking, nearly


def read_table(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
    remedy: str = "name the annotation table under workbook (or table)",
    is_meant: Callable[[str], bool] = lambda title: True,
    verbatim: Collection[str] = (),
) -> pd.DataFrame:
    """Read the columns that are asked for, found by the names in the header, of all sheets that have them.

    The format is told by the content, not by the suffix. Case, spaces and punctuation of header
    names, the order of rows and columns, blank columns, notes above the header and, for CSV,
    separator (comma, semicolon, tab, bar) and byte-order mark do not matter. Cells are the cached values of
    formulas, or begin with `NO_VALUE`; whole numbers lose their '.0', and several blanks are one.

    Args:
        path: the table.
        columns: name in the result -> accepted header names, best first.
        optional: names that may be missing, and are empty then.
        remedy: for the message where a column is lacking.
        is_meant: whether a sheet of this name is to be read.
        verbatim: names in the result whose cells stay as they are written but for blanks at the ends: paths.

    Returns:
        Text columns in the order of `columns`; the index is the row number that a spreadsheet shows, of
        several sheets `Sheet1!2`. Empty rows are left out.

    Raises:
        UserError: missing, damaged, encrypted or oversized.
        LacksColumns: no sheet has the columns (names those found), or another one has nearly all of them.
    """
    tables: list[tuple[str, pd.DataFrame]] = []
    lacking: list[LacksColumns] = []
    for title, rows in _written_sheets(path):
        if not is_meant(title):
            continue
        try:
            row, places = _find_header(title, rows, columns, optional)
        except LacksColumns as problem:
            lacking.append(problem)
            continue
        shown = [str if name in verbatim else _text for name in columns]
        table = {
            number: [show(_cell(cells, place)) for show, place in zip(shown, places, strict=True)]
            for number, cells in rows
            if number > row
        }
        frame = pd.DataFrame.from_dict(table, orient="index", columns=list(columns), dtype=str)
        tables.append((title, frame[frame.ne("").any(axis=1)]))
        if not title:  # a CSV, of which another separator may make the same table
            break
    if tables and not any(problem.nearly for problem in lacking):
        return join_sheets(tables)
    if not lacking:
        raise UserError(f"{path}: no sheet of it is the one that is asked for; {remedy}")
    best = min(lacking, key=lambda problem: problem.lacking)
    raise LacksColumns(f"{path}: {best}; {remedy}", best.lacking, best.nearly)


def read_sheets(path: Path) -> Iterator[tuple[str, Rows]]:
    """Name and rows of every sheet that can be read; a CSV is one without a name under every separator.

    Raises:
        UserError: missing, damaged, encrypted or oversized.
    """
    for title, rows in _written_sheets(path):
        yield title, [(number, [*map(_text, cells)]) for number, cells in rows]


def _written_sheets(path: Path) -> Iterator[tuple[str, Rows]]:
    """As `read_sheets`, with cells as they are written."""
    data = _read_bytes(path)
    if data.startswith(_ZIP):
        return _xlsx(path, data)
    if data.startswith(_OLE):
        return _xls(path, data)
    return _csv(path, data)


def join_sheets(tables: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """The tables of one or more sheets, by their names, as one; copies of an earlier one are left out."""
    chosen: list[tuple[str, pd.DataFrame]] = []
    for title, table in [one for one in tables if len(one[1])] or tables[:1]:
        if not any(say_the_same(table, other) for _, other in chosen):
            chosen.append((title, table))
    if len(chosen) == 1:
        return chosen[0][1]
    return pd.concat([table.set_axis([f"{title}!{row}" for row in table.index]) for title, table in chosen])


def say_the_same(table: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables have the same rows in the same order."""
    return table.reset_index(drop=True).equals(other.reset_index(drop=True))


def whole_number(text: str) -> int | None:
    """A frame number as cells hold it ('46', '46.0', '46,0', in any script's digits); None for anything else.

    That is '/', '' or '4+5', and '1,000' or '1.000', which may be a thousand or one.
    """
    match = re.fullmatch(r"(\d{1,9})([.,](?!000$)0*)?", text)
    return int(match[1]) if match else None


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such table; check the path")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES:,} bytes; this is no annotation table")
        data = path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from None
    if problem := awaits_fetching(data):
        raise UserError(f"{path}: {problem}")
    if data.lstrip()[:1] == b"<":
        raise UserError(
            f"{path}: is HTML or XML, whatever its name; open it in a spreadsheet and save it as xlsx"
        )
    return data


def _xlsx(path: Path, data: bytes) -> Iterator[tuple[str, Rows]]:
    # openpyxl, even with defusedxml, does not stop a small file from unzipping to gigabytes.
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        unzipped = sum(member.file_size for member in members)
        if unzipped > MAX_BYTES:
            raise UserError(f"{path}: unzips to {unzipped:,} bytes; no annotation table, do not open it")
        objects = sum(member.file_size for member in members if not member.filename.startswith(_LARGE))
        if objects > MAX_OBJECTS:
            raise UserError(f"{path}: {objects:,} bytes of styles and the like; save the table as CSV")
        book = openpyxl.load_workbook(
            io.BytesIO(_readable(data)), read_only=True, data_only=True, keep_links=False
        )
        # Numbers formatted as dates or times stay numbers; as dates, 59 and 60 would be one day of 1900.
        book._date_formats = book._timedelta_formats = frozenset()
        _refuse_many(path, len(book.worksheets))
        for sheet in book.worksheets:
            rows = sheet.iter_rows(max_row=MAX_ROWS + 1, max_col=MAX_COLUMNS, values_only=True)
            yield _titled(sheet.title, sheet.sheet_state != "visible"), _numbered(path, rows)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged files raise nearly anything here
        raise _damaged(path, error) from None


def _readable(data: bytes) -> bytes:
    """A workbook of the strict form of Office Open XML under the names that openpyxl knows, formulas without
    a value as a text that says so, where openpyxl would show nothing, and no empty rows."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = parts
    if any(b"http://purl.oclc.org/ooxml/" in part for name, part in parts.items() if name.endswith(".rels")):
        for strict, known in _STRICT.items():
            changed = {name: part.replace(strict, known) for name, part in changed.items()}
    changed = {
        name: _EMPTY_ROW.sub(b"", _NO_VALUE.sub(_say_no_value, part))
        if name.startswith("xl/worksheets/")
        else part
        for name, part in changed.items()
    }
    if changed == parts:
        return data
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, part in changed.items():
            archive.writestr(name, part)
    return written.getvalue()


def _say_no_value(cell: re.Match[bytes]) -> bytes:
    if b't="str"' in cell[1]:
        return cell[0]
    attributes = re.sub(rb"\st=\"\w*\"", b"", cell[1])
    formula = cell[2] or b""
    shown = b" (=%s)" % formula if len(formula) <= 100 else b""  # cut, it might end within an escaped letter
    return b'<c%s t="str"><v>%s%s</v></c>' % (attributes, NO_VALUE.encode(), shown)


def _xls(path: Path, data: bytes) -> Iterator[tuple[str, Rows]]:
    if _ENCRYPTED in data:
        raise UserError(f"{path}: protected by a password; save it without one")
    try:
        # Ragged: xlrd would fill up every row of every sheet to the widest, at once 200 MB a sheet.
        book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO(), on_demand=True, ragged_rows=True)
        _refuse_many(path, book.nsheets)
        for place in range(book.nsheets):
            sheet = book.sheet_by_index(place)
            rows = ([*map(_value, sheet.row(n)[:MAX_COLUMNS])] for n in range(sheet.nrows))
            yield _titled(sheet.name, sheet.visibility != 0), _numbered(path, rows)
            book.unload_sheet(place)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged files raise nearly anything here
        if "encrypted" in str(error):
            raise UserError(f"{path}: protected by a password; save it without one") from None
        raise _damaged(path, error) from None


def _value(cell: xlrd.sheet.Cell) -> Any:
    """What a cell of an xls shows: an error and a truth are there as the numbers of their codes."""
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#ERROR")
    return bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value


def _titled(title: str, hidden: bool) -> str:
    """The name of a sheet for messages, which say where its rows are not seen."""
    return _text(_written(title)) + (" (hidden)" if hidden else "")


def _refuse_many(path: Path, sheets: int) -> None:
    if sheets > MAX_SHEETS:
        raise UserError(f"{path}: {sheets} sheets; save the one of the annotations alone")


def _csv(path: Path, data: bytes) -> Iterator[tuple[str, Rows]]:
    damage: UserError | None = None
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
        if "\0" in text:  # of UTF-16 without its mark, say
            raise ValueError
        top = "".join(itertools.islice(io.StringIO(text, newline=""), HEADER_WITHIN))
    except ValueError:
        raise UserError(f"{path}: neither a workbook nor UTF-8 text; save it as xlsx or CSV UTF-8") from None
    # Notes may hold more commas than the table has semicolons: the separator is the one under which the
    # columns are there, and each is tried as if it were a sheet.
    for separator in sorted(SEPARATORS, key=top.count, reverse=True):
        try:
            lines = io.StringIO(text, newline="")
            rows = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
            yield "", _numbered(path, rows)
        except csv.Error as error:
            damage = damage or _damaged(path, error)
    if damage is not None:
        raise damage


def _numbered(path: Path, rows: Iterable[Sequence[Any]]) -> Rows:
    numbered, count = [], 0
    for number, row in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise UserError(f"{path}: more than {MAX_ROWS:,} rows; delete the empty ones below the table")
        if any(row):
            cells = [_written(value) for value in row[:MAX_COLUMNS]]
            while cells and not cells[-1]:
                cells.pop()
            numbered.append((number, cells))
            count += len(cells)
        if count > MAX_CELLS:
            raise UserError(f"{path}: more than {MAX_CELLS:,} cells; delete the columns that are not needed")
    return numbered


def _written(value: Any) -> str:
    """A cell's text, with blanks for what cannot be seen and none at the ends, cut to `MAX_CELL`."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFC", str(value)[: 2 * MAX_CELL])
    text = "".join(letter if is_shown(letter) else " " for letter in text).strip()
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def _text(written: str) -> str:
    """A cell with one blank for several, and whole numbers without the '.0' that pandas writes to a CSV."""
    return re.sub(r"\A(-?[0-9]+)\.0\Z", r"\1", " ".join(written.split()))


def _find_header(
    title: str, rows: Rows, columns: Mapping[str, Sequence[str]], optional: Sequence[str]
) -> tuple[int, list[int | None]]:
    """Row number of the header and the place of each column.

    Raises:
        LacksColumns: there is no such row.
    """
    best: tuple[int, list[str], list[str]] | None = None
    within = ""
    for number, cells in rows[:HEADER_WITHIN]:
        simple = [_simplify(cell) for cell in cells]
        places = [_place(accepted, cells, simple) for accepted in columns.values()]
        missing = [
            name
            for name, place in zip(columns, places, strict=True)
            if place is None and name not in optional
        ]
        if not missing:
            return number, places
        if best is None or len(missing) < len(best[1]):
            best = number, missing, [cell for cell in cells if cell]
            within = f" in the first {MAX_COLUMNS} columns" if len(cells) == MAX_COLUMNS else ""
    wanted = len(columns.keys() - set(optional))
    if best is None:
        raise LacksColumns("the table is empty", wanted, nearly=False)
    number, missing, found = best
    unmet = ", ".join(f"'{columns[name][0]}'" for name in missing)
    of = f" of sheet {title}" if title else ""
    raise LacksColumns(
        f"no column {unmet}{within}; row {number}{of} has {', '.join(found[:20])}",
        lacking=len(missing),
        nearly=len(missing) <= 2 and wanted - len(missing) >= 4,
    )


def _place(accepted: Iterable[str], cells: list[str], simple: list[str]) -> int | None:
    """Where the best of the accepted names stands, as it is written before what differs in case, say."""
    for name in accepted:
        for wanted, written in ((name, cells), (_simplify(name), simple)):
            if wanted and wanted in written:
                return written.index(wanted)
    return None


def _simplify(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name)).casefold()


def _cell(cells: list[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _damaged(path: Path, error: Exception) -> UserError:
    what = " ".join(str(error).split())[:100] or type(error).__name__
    return UserError(f"{path}: damaged table ({what}); open it in a spreadsheet and save it as xlsx")
