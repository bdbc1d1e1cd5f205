"""Tables are read by the names in their header, or refused by name; nothing else happens."""

import csv
import io
import random
import re
import unicodedata
import zipfile

import openpyxl
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.datasets import workbook
from mer_core.datasets.annotated import is_missing
from mer_core.datasets.workbook import MAX_BYTES, MAX_CELL, MAX_COLUMNS, NO_VALUE, read_table, whole_number
from mer_core.errors import UserError

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "label": ("Estimated Emotion", "Emotion"),
}
TABLE = [
    ["Subject", "Filename", "Estimated Emotion"],
    ["01", "EP02_01f", "happiness"],
    ["2", "EP01_2", "others"],
]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def to_csv(rows, **options):
    text = io.StringIO()
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


def to_xlsx(rows):
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def to_xls(rows):
    book, file = xlwt.Workbook(), io.BytesIO()
    sheet = book.add_sheet("Sheet1")
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            sheet.write(number, place, cell)
    book.save(file)
    return file.getvalue()


WRITERS = {"csv": to_csv, "xlsx": to_xlsx, "xls": to_xls}


def read(folder, data, name="table.xlsx", **options):
    (folder / name).write_bytes(data)
    return read_table(folder / name, COLUMNS, **options)


@pytest.mark.parametrize("form", WRITERS)
def test_every_form(tmp_path, form):
    table = read(tmp_path, WRITERS[form](TABLE), f"表 1.{form}")
    assert table.to_numpy().tolist() == TABLE[1:]
    assert table.index.tolist() == [2, 3]


@pytest.mark.parametrize("form", WRITERS)
def test_the_suffix_may_lie(tmp_path, form):
    for suffix in WRITERS:
        assert len(read(tmp_path, WRITERS[form](TABLE), f"table.{suffix}")) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + to_csv(TABLE),
        to_csv(TABLE, delimiter=";"),
        to_csv(TABLE, delimiter="\t"),
        to_csv(TABLE, delimiter=";", quoting=csv.QUOTE_ALL),
        to_csv(TABLE).replace(b"\r\n", b"\n"),
        to_csv(TABLE).decode().encode("utf-16"),
        to_csv(TABLE) + b"\r\n,,\r\n\r\n",
        to_csv(TABLE, delimiter="|"),
        to_csv(TABLE, quoting=csv.QUOTE_ALL).replace(b",", b", "),
    ],
    ids=["bom", "semicolon", "tab", "quoted", "lf", "utf-16", "empty rows", "bar", "blanks"],
)
def test_dialects_of_csv(tmp_path, data):
    assert read(tmp_path, data, "table.csv").to_numpy().tolist() == TABLE[1:]


def test_header_names_decide(tmp_path):
    rows = [
        ["Notes of 2014"],
        [],
        ["EMOTION", None, " file_name ", "subject\n", "Emotional"],
        ["happiness", None, "EP02_01f", 1, "no"],
    ]
    table = read(tmp_path, to_xlsx(rows))
    assert table.loc[4].tolist() == ["1", "EP02_01f", "happiness"]


def test_the_better_header_name_wins(tmp_path):
    rows = [["Emotion", "Subject", "Filename", "Estimated Emotion"], ["worse", "1", "EP01", "better"]]
    assert read(tmp_path, to_csv(rows)).label.tolist() == ["better"]


def test_a_name_as_it_is_written_wins(tmp_path):
    rows = [["subject", "Emotion", "Filename", "emotion"], ["1", "3", "EP01", "fear"]]
    for name, found in (("emotion", "fear"), ("Emotion", "3"), ("EMOTION", "3")):
        (tmp_path / "t.csv").write_bytes(to_csv(rows))
        assert read_table(tmp_path / "t.csv", {"label": [name]}).label.tolist() == [found]
    (tmp_path / "t.csv").write_bytes(to_csv([["", "label"], ["0", "fear"]]))
    with pytest.raises(UserError, match="no column '#'"):  # which no blank name is
        read_table(tmp_path / "t.csv", {"label": ["#"]})


def test_a_later_sheet_may_hold_the_table(tmp_path):
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["nothing", "here"])
    for row in TABLE:
        book.create_sheet("second") if len(book.worksheets) < 2 else None
        book["second"].append(row)
    book.save(file)
    assert len(read(tmp_path, file.getvalue())) == 2


def to_sheets(form, sheets):
    """A workbook with these sheets, name -> rows."""
    file = io.BytesIO()
    if form == "xls":
        book = xlwt.Workbook()
        for name, rows in sheets.items():
            sheet = book.add_sheet(name)
            for number, row in enumerate(rows):
                for place, cell in enumerate(row):
                    sheet.write(number, place, cell)
    else:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize("form", ["xlsx", "xls"])
def test_all_sheets_that_have_the_columns_are_one_table(tmp_path, form):
    more = [["notes"], TABLE[0][::-1], ["fear", "EP03", "3"]]
    sheets = {"A": TABLE, "about": [["nothing", "here"]], "B b": more, "copy": TABLE, "empty": [TABLE[0]]}
    table = read(tmp_path, to_sheets(form, sheets))
    assert table.to_numpy().tolist() == [*TABLE[1:], ["3", "EP03", "fear"]]
    assert table.index.tolist() == ["A!2", "A!3", "B b!3"]
    only = read(tmp_path, to_sheets(form, sheets), is_meant=lambda title: title.startswith("B"))
    assert only.index.tolist() == [3]
    one = read(tmp_path, to_sheets(form, {"empty": [TABLE[0]], "A": TABLE, "copy": TABLE}))
    assert one.index.tolist() == [2, 3]
    with pytest.raises(UserError, match="no sheet of it is the one that is asked for"):
        read(tmp_path, to_sheets(form, sheets), is_meant=lambda title: title == "C")


@pytest.mark.parametrize("form", ["xlsx", "xls"])
def test_rows_of_hidden_sheets_are_told_as_such(tmp_path, form):
    if form == "xls":
        book = xlwt.Workbook()
        sheets = [book.add_sheet(name) for name in ("A", "old")]
        sheets[1].visibility = 1
    else:
        book = openpyxl.Workbook()
        sheets = [book.active, book.create_sheet("old")]
        sheets[0].title, sheets[1].sheet_state = "A", "hidden"
    for sheet, label in zip(sheets, ("fear", "anger"), strict=True):
        for number, row in enumerate([TABLE[0], ["1", "EP01", label]]):
            for place, cell in enumerate(row):
                sheet.write(number, place, cell) if form == "xls" else sheet.cell(number + 1, place + 1, cell)
    file = io.BytesIO()
    book.save(file)
    assert read(tmp_path, file.getvalue()).index.tolist() == ["A!2", "old (hidden)!2"]


def test_a_sheet_that_lacks_a_column_alone_is_not_passed_over(tmp_path):
    columns = {name: [name] for name in ("clip", "onset", "apex", "offset", "label")}
    whole, other = [[*columns], ["a", 1, 2, 3, "fear"]], [["clip", "frames"], ["b", 2]]
    (tmp_path / "t.xlsx").write_bytes(to_sheets("xlsx", {"A": whole, "B": other}))
    assert read_table(tmp_path / "t.xlsx", columns)["clip"].tolist() == ["a"]
    other = [["clip", "onset", "apex", "offset", "emotions"], ["b", 1, 2, 3, "fear"]]
    for sheets in ({"A": whole, "B": other}, {"B": other, "A": whole}):
        (tmp_path / "t.xlsx").write_bytes(to_sheets("xlsx", sheets))
        with pytest.raises(UserError, match=r"t.xlsx: no column 'label'; row 1 of sheet B has clip, onset"):
            read_table(tmp_path / "t.xlsx", columns)


def test_cells_become_plain_text(tmp_path):
    rows = [TABLE[0], [1.0, "a\n\u200b\tb", "  x  "], [True, 12.5, "é" * 5000]]
    table = read(tmp_path, to_xlsx(rows))
    assert table.loc[2].tolist() == ["1", "a b", "x"]
    assert table.loc[3, "clip"] == "12.5"
    assert table.loc[3, "label"] == "é" * (MAX_CELL - 1) + "…"


def test_errors_and_truths_of_an_xls_are_no_numbers(tmp_path):
    book, file = xlwt.Workbook(), io.BytesIO()
    sheet = book.add_sheet("Sheet1")
    for place, name in enumerate(TABLE[0]):
        sheet.write(0, place, name)
        sheet.write(1, place, place == 1)
        sheet.row(2).set_cell_error(place, [0x2A, 0x07, 0x17][place])
    book.save(file)
    table = read(tmp_path, file.getvalue())
    assert table.loc[2].tolist() == ["False", "True", "False"]
    assert table.loc[3].tolist() == ["#N/A", "#DIV/0!", "#REF!"]


@pytest.mark.parametrize("form", WRITERS)
def test_whole_numbers_of_any_form_are_one_text(tmp_path, form):
    table = read(tmp_path, WRITERS[form]([TABLE[0], ["1.0", "001.0", "1.10"], ["-3.0", "v1.0", "1.0.0"]]))
    assert table.to_numpy().tolist() == [["1", "001", "1.10"], ["-3", "v1.0", "1.0.0"]]


def test_formulas_give_their_cached_value(tmp_path):
    data = to_xlsx([TABLE[0], ["01", "=1+1", "fear"]])
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            part = source.read(name).replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
            archive.writestr(name, part)
    assert read(tmp_path, target.getvalue())["clip"].tolist() == ["2"]


def test_a_long_formula_without_a_value_is_not_cut_in_the_middle_of_a_letter(tmp_path):
    for start in range(7):
        data = to_xlsx([TABLE[0], ["01", f"={'1' * start}" + "&A1" * 40, "fear"]])
        assert read(tmp_path, data).loc[2, "clip"].startswith(NO_VALUE)


@pytest.mark.parametrize("cell", [b"<f>1+1</f><v />", b"<f>1+1</f>", b'<f t="shared" si="0">1+1</f><v></v>'])
def test_a_formula_without_a_value_says_so(tmp_path, cell):
    data = to_xlsx([TABLE[0], ["01", "=1+1", "fear"]])
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    changed = sheet.replace(b"<f>1+1</f><v />", cell)
    table = read(tmp_path, replace_part(data, "xl/worksheets/sheet1.xml", changed))
    assert table.loc[2].tolist() == ["01", f"{NO_VALUE} (=1+1)", "fear"]
    assert not is_missing(table.loc[2, "clip"])
    empty = sheet.replace(b'<c r="B2">', b'<c r="B2" t="str">')
    assert empty != sheet
    assert read(tmp_path, replace_part(data, "xl/worksheets/sheet1.xml", empty))["clip"].tolist() == [""]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_columns_far_to_the_right(tmp_path, form):
    for width in (700, MAX_COLUMNS):
        rows = [
            [*row[:2], *(f"{side}{number}" for number in range(width)), row[2]]
            for side, row in zip("hab", TABLE, strict=True)
        ]
        if width == 700:
            assert read(tmp_path, WRITERS[form](rows)).to_numpy().tolist() == TABLE[1:]
        else:
            with pytest.raises(
                UserError, match="no column 'Estimated Emotion' in the first 1024 columns; row 1"
            ):
                read(tmp_path, WRITERS[form](rows))


def test_cells_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MAX_CELLS", 8)
    with pytest.raises(UserError, match="more than 8 cells; delete the columns"):
        read(tmp_path, to_csv(TABLE))


@pytest.mark.parametrize("form", WRITERS)
def test_paths_stay_as_they_are_written(tmp_path, form):
    rows = [
        TABLE[0],
        ["01", " b  c.png ", "a  b"],
        ["01", "d\u00a0e\u3000f.png", "a\u00a0b"],
        ["01", "1.0", "1.0"],
    ]
    table = read(tmp_path, WRITERS[form](rows), verbatim=["clip"])
    assert table["clip"].tolist() == ["b  c.png", "d\u00a0e\u3000f.png", "1.0"]
    assert table.label.tolist() == ["a b", "a b", "1"]


def test_missing_column_names_those_found(tmp_path):
    with pytest.raises(
        UserError, match=r"table.csv: no column 'Estimated Emotion'; row 1 has Subject, Filename, AU;"
    ):
        read(tmp_path, to_csv([["Subject", "Filename", "AU"], ["1", "EP01", "4"]]), "table.csv")


def test_optional_column_is_empty(tmp_path):
    table = read(tmp_path, to_csv([["Subject", "Filename"], ["1", "EP01"]]), optional=["label"])
    assert table.label.tolist() == [""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the table is empty"),
        (to_xlsx([]), "the table is empty"),
        (to_xlsx(TABLE)[:3000], "damaged table"),
        (to_xls(TABLE)[:600], "damaged table"),
        (b"PK\x03\x04" + b"\0" * 500, "damaged table"),
        (b"\xff\xd8\xff\xe0 a picture", "neither a workbook nor UTF-8 text"),
        (to_csv(TABLE).decode().encode("utf-16-le"), "neither a workbook nor UTF-8 text"),
        (to_csv(TABLE).decode().encode("utf-32"), "neither a workbook nor UTF-8 text"),
        (to_csv(TABLE) + b'"01","EP', "damaged table"),
        (
            b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"),
            "protected by a password",
        ),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
    ids=["empty", "no rows", "cut xlsx", "cut xls", "no zip", "picture", "no mark", "wide"]
    + ["open quote", "password", "huge"],
)
def test_what_is_no_table_is_refused(tmp_path, data, message):
    with pytest.raises(UserError, match=rf"table.xlsx: {message}"):
        read(tmp_path, data)


def test_a_folder_and_nothing_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.xlsx"):
        with pytest.raises(UserError, match="no such table"):
            read_table(path, COLUMNS)


def replace_part(data, name, content):
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in source.namelist():
            archive.writestr(part, content if part == name else source.read(part))
    return target.getvalue()


def test_zip_bomb_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    data = replace_part(to_xlsx(TABLE), "xl/worksheets/sheet1.xml", bytes(600_000_000))
    assert len(data) < 1_000_000
    with pytest.raises(UserError, match="unzips to 60"):
        read(tmp_path, data)


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path):
    data = bytearray(replace_part(to_xlsx(TABLE), "xl/worksheets/sheet1.xml", bytes(30_000_000)))
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"sheet1.xml"))
    data[place + 24 : place + 28] = (1000).to_bytes(4, "little")
    with pytest.raises(UserError, match="damaged table"):
        read(tmp_path, bytes(data))


def test_entity_expansion_is_refused(tmp_path):
    entities = b'<!ENTITY a0 "ha">' + b"".join(
        b'<!ENTITY a%d "%s">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 10)
    )
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE x ['
        + entities
        + b"]><worksheet><sheetData>&a9;</sheetData></worksheet>"
    )
    with pytest.raises(UserError, match="damaged table"):
        read(tmp_path, replace_part(to_xlsx(TABLE), "xl/worksheets/sheet1.xml", bomb))


def test_an_endless_sheet_is_refused(tmp_path):
    data = to_xlsx(TABLE)
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    far = sheet.replace(b"A1:C3", b"A1:XFD1048576").replace(b'<row r="3">', b'<row r="99999999999">')
    assert far != sheet
    with pytest.raises(UserError, match="more than 100,000 rows"):
        read(tmp_path, replace_part(data, "xl/worksheets/sheet1.xml", far))


@pytest.mark.parametrize("row", [b'<row r="1048576" ht="12.8"/>', b'<row ht="12.8" r="1048576"></row>'])
def test_a_last_row_that_is_empty_is_none(tmp_path, row):
    data = to_xlsx(TABLE)
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    sheet = sheet.replace(b"</sheetData>", row + b"</sheetData>").replace(
        b'<row r="2">', b'<row r="3"/><row r="4">'
    )
    table = read(tmp_path, replace_part(data, "xl/worksheets/sheet1.xml", sheet.replace(b'="3">', b'="5">')))
    assert table.to_numpy().tolist() == TABLE[1:] and table.index.tolist() == [4, 5]


WIDE = {48 + digit: 0xFF10 + digit for digit in range(10)}


@given(st.integers(0, 999_999_999), st.sampled_from(["", ".", ".0", ".00", ",0", ",00", ".000000"]))
def test_whole_numbers(number, tail):
    for text in (f"{number}{tail}", str(number).translate(WIDE) + tail):
        assert whole_number(text) == number
        assert is_missing(text) == (number == 0)


@pytest.mark.parametrize("text", ["1,000", "1.000", "101 (?)", "10 or 11", "8.5", "1900-01-08", "1\u00b2"])
def test_what_is_no_whole_number_alone_is_not_missing_either(text):
    assert whole_number(text) is None
    assert not is_missing(text)


@pytest.mark.parametrize("text", ["", "/", "\\", "?", "n.a.", "-1", "-1.0", "#DIV/0!", "0"])
def test_cells_that_tell_no_frame(text):
    assert is_missing(text)


@pytest.mark.parametrize("form", ["yyyy-mm-dd", "[h]:mm", "h:mm", "[Red]d/m"])
def test_numbers_that_are_formatted_as_dates(tmp_path, form):
    book, file, numbers = openpyxl.Workbook(), io.BytesIO(), [0, 1, 8, 59, 60, 61, 101, 17581041]
    book.active.append(TABLE[0])
    for number in numbers:
        book.active.append([number, "EP", "fear"])
        book.active.cell(book.active.max_row, 1).number_format = form
    book.save(file)
    assert read(tmp_path, file.getvalue()).subject.tolist() == [*map(str, numbers)]


@given(st.text(max_size=12))
def test_no_text_breaks_whole_number(text):
    number = whole_number(text)
    assert number is None or float(text.replace(",", ".")) == number


CELL = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)


@QUICK
@given(
    st.lists(st.tuples(CELL, CELL, CELL), max_size=5),
    st.permutations(range(3)),
    st.sampled_from(sorted(WRITERS)),
)
def test_round_trip(tmp_path, rows, order, form):
    shuffled = [[row[place] for place in order] for row in [TABLE[0], *rows]]
    try:
        data = WRITERS[form](shuffled)
    except openpyxl.utils.exceptions.IllegalCharacterError:
        return
    table = read(tmp_path, data, f"table.{form}")
    expected = [[" ".join(unicodedata.normalize("NFC", cell).split()) for cell in row] for row in rows]
    expected = [[re.sub(r"\A(-?[0-9]+)\.0\Z", r"\1", cell) for cell in row] for row in expected]
    if form == "xlsx":  # openpyxl writes a text that begins with = as a formula, which has no value yet
        expected = [["" if raw[i].startswith("=") and len(raw[i]) > 1 else c for i, c in enumerate(row)]
                    for raw, row in zip(rows, expected, strict=True)]  # fmt: skip
    assert table.to_numpy().tolist() == [row for row in expected if any(row)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WRITERS)), st.integers(0, 2**32))
def test_damaged_tables_are_read_or_refused(tmp_path, form, seed):
    rng = random.Random(seed)
    data = bytearray(WRITERS[form](TABLE))
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    data = data[: rng.choice([len(data), rng.randrange(len(data))])]
    try:
        table = read(tmp_path, bytes(data))
    except UserError as error:
        assert "table.xlsx: " in str(error)
        assert "\n" not in str(error)
    else:
        assert table.columns.tolist() == list(COLUMNS)
        assert table.map(
            lambda cell: isinstance(cell, str) and cell.isprintable() and len(cell) <= MAX_CELL
        ).all(axis=None)


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    for start in (b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"Subject,Filename,Emotion\n"):
        try:
            read(tmp_path, start + data)
        except UserError as error:
            assert "table.xlsx" in str(error)
