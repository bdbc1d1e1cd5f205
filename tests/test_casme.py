"""CASME is read from its two sections, from the later release, and from either's tables."""

import pytest
import xlwt
from dataset_samples import draw, read

from mer_core.config.layouts.casme import Casme
from mer_core.datasets import doctor
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

HEADER = ["Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "Onset", "Total"]
HEADER += ["AU", "Emotion"]
# Subject, clip, onset, first and last apex, offset, units, label.
ROWS = [
    (7, "EP01_6", 12, 15, 16, 20, "4+7", "tense"),
    (7, "EP01_6", 30, 33, "\\", 38, "4+9", "disgust"),
    (8, "EP12_2_10", 73, 75, "\\", 80, 14, "comtempt"),
    (8, "EP10", 9, 10, "\\", 11, "1+2", "surprise"),
]
CLASSES = {name: name for name in ("tense", "disgust", "repression", "surprise")}
CLASSES |= dict.fromkeys(["happiness", "sadness", "contempt", "fear"])


def casme(**changes):
    return Casme.model_validate({"layout": "casme", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS, header=HEADER):
    """As released: a workbook of the old kind, with milliseconds beside the frames; or several sheets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlwt.Workbook()
    for name, of in (rows if isinstance(rows, dict) else {"Sheet1": rows}).items():
        sheet = book.add_sheet(name)
        for number, row in enumerate([header, *of]):
            if number:
                subject, clip, onset, apex, held, offset, units, label = row
                row = [subject, clip, "", onset, apex, held, offset, "", 50, 133, units, label]
            for column, cell in enumerate(row):
                sheet.write(number, column, cell)
    book.save(path)


def write_frames(tree, rows, name="{clip}-{frame}.jpg"):
    for subject, clip, onset, _, _, offset, *_ in rows:
        for frame in range(onset, offset + 1):
            draw(tree / f"sub{subject:02d}" / clip / name.format(clip=clip, frame=frame))


def write_sections(root):
    for section, rows, name in (("A", ROWS[:2], "{clip}-{frame}.jpg"), ("B", ROWS[2:], "img{frame}.jpg")):
        home = root / f"CASME_{section}" / f"Section {section}"
        write_table(home / f"Section {section}.xls", rows)
        write_frames(home, rows, name)


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


KEYS = ["sub07/EP01_6/12", "sub07/EP01_6/30", "sub08/EP12_2_10/73", "sub08/EP10/9"]


def test_the_two_sections(tmp_path):
    write_sections(tmp_path)
    samples, defects = read(tmp_path, casme())
    assert samples.index.tolist() == KEYS
    assert samples[["onset", "apex", "offset"]].loc[KEYS[0]].tolist() == [12, 15, 20], "not milliseconds"
    assert samples.label.tolist() == ["tense", "disgust", "", "surprise"]
    assert samples.label_raw[KEYS[2]] == "contempt"
    assert samples.fps.tolist() == [60.0] * 4
    assert samples.frame_path[KEYS[1]] == "CASME_A/Section A/sub07/EP01_6/EP01_6-33.jpg"
    assert samples.frame_path[KEYS[3]] == "CASME_B/Section B/sub08/EP10/img10.jpg"
    assert kinds(defects) == []
    assert len(read(tmp_path / "CASME_B", casme())[0]) == 2, "one section alone"


@pytest.mark.parametrize(
    ("tree", "name"),
    [("CASME_raw_selected", "{clip}-{frame}.jpg"), ("Cropped", "reg_{clip}-{frame:03d}.jpg")],
)
def test_the_later_release(tmp_path, tree, name):
    write_table(tmp_path / "CASME-coded-20190721.xls")
    write_frames(tmp_path / tree, ROWS, name)
    samples, defects = read(tmp_path, casme())
    assert samples.index.tolist() == KEYS
    assert samples.apex.tolist() == [15, 33, 75, 10]
    assert kinds(defects) == []


def test_registered_frames_are_told_by_their_names(tmp_path):
    write_table(tmp_path / "CASME-coded-20190721.xls")
    write_frames(tmp_path / "one", ROWS, "reg_{clip}-{frame}.jpg")
    write_frames(tmp_path / "other", ROWS)
    samples, _ = read(tmp_path, casme())
    assert samples.frame_path.str.startswith(("other/",)).sum() == 3
    samples, _ = read(tmp_path, casme(frames="cropped"))
    assert samples.frame_path.str.startswith(("one/",)).sum() == 3


def test_the_table_of_the_whole_goes_before_those_of_the_sections(tmp_path):
    write_sections(tmp_path)
    write_table(tmp_path / "CASME-coded-20190721.xls", [*ROWS[:3], (*ROWS[3][:7], "repression")])
    samples, _ = read(tmp_path, casme())
    assert samples.label_raw[KEYS[3]] == "repression"
    samples, _ = read(tmp_path, casme(workbook="CASME_B/Section B/Section B.xls"))
    assert samples.label_raw.tolist() == ["contempt", "surprise"]


def test_two_tables_of_one_section_that_disagree(tmp_path):
    write_sections(tmp_path)
    write_table(tmp_path / "copy" / "Section A.xls", ROWS[:1])
    with pytest.raises(UserError, match=r"which table .*found .*Section A.xls, .*Section A.xls; name it in"):
        read(tmp_path, casme())


def cut_short(path):
    path.write_bytes(path.read_bytes()[:600])


def is_html(path):
    path.write_bytes(b"<html>please log in</html>")


def has_another_header(path):
    write_table(path, ROWS[2:], ["Person", *HEADER[1:]])


def is_empty(path):
    write_table(path, [], [""])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut_short, r"damaged table .* save it as xlsx; move it away then"),
        (is_html, r"is HTML or XML.* save it as xlsx; move it away then"),
        (has_another_header, r"no column 'Subject'; row 1 of sheet Sheet1 has Person.*; mend its header"),
        (is_empty, "the table is empty; mend its header"),
    ],
)
def test_half_of_the_annotation_is_never_passed_over(tmp_path, harm, said):
    write_sections(tmp_path)
    harm(tmp_path / "CASME_B" / "Section B" / "Section B.xls")
    with pytest.raises(UserError, match=rf"Section B/Section B.xls: {said}"):
        read(tmp_path, casme())
    write_table(tmp_path / "Section B (mended).xls", ROWS[2:])
    assert read(tmp_path, casme())[0].index.tolist() == [KEYS[2], KEYS[3], KEYS[0], KEYS[1]]


def test_the_sections_as_sheets_of_one_workbook(tmp_path):
    write_sections(tmp_path)
    sheets = {"A": ROWS[:2], "B": [*ROWS[2:], (8, "EP10", 9, 10, "\\", 11, "1+2", "fear")]}
    write_table(tmp_path / "CASME.xls", sheets)
    samples, defects = read(tmp_path, casme())
    assert samples.index.tolist() == KEYS
    assert (kinds(defects), defects.file[0]) == (["conflicting_annotation"], "CASME.xls:B!4")


def test_the_tables_of_a_folder(tmp_path):
    write_sections(tmp_path)
    for section, rows in (("A", ROWS[:1]), ("B", ROWS[2:3])):
        write_table(tmp_path / "mended" / f"Section {section}.xls", rows)
    assert read(tmp_path, casme(workbook="mended"))[0].index.tolist() == [KEYS[0], KEYS[2]]


def test_what_is_missing(tmp_path):
    rows = [
        (7, "EP01_6", 12, "\\", "\\", 20, 4, "tense"),
        (7, "EP02_1", 12, 15, "\\", "\\", 4, "disgust"),
        (8, "EP03_1", 12, 15, "\\", 18, 4, "surprise"),
    ]
    write_table(tmp_path / "CASME-coded-20190721.xls", rows)
    write_frames(tmp_path, [(*row[:5], 20, *row[6:]) for row in rows])
    samples, defects = read(tmp_path, casme())
    assert kinds(defects) == ["impossible_interval", "missing_apex"]
    assert samples.included.tolist() == [True, False, True]
    samples, defects = read(tmp_path, casme(missing_offset="mirror"))
    assert kinds(defects) == ["missing_offset", "missing_apex"]
    assert samples.offset["sub07/EP02_1/12"] == 18
    write_table(tmp_path / "CASME-coded-20190721.xls", [(*rows[1][:5], "19 (?)", *rows[1][6:])])
    _, defects = read(tmp_path, casme(missing_offset="mirror"))
    assert kinds(defects)[0] == "impossible_interval", "one that is told is not replaced"


def test_people_and_counts(tmp_path):
    write_sections(tmp_path)
    assert list_subjects("casme", casme(), tmp_path) == ["sub07", "sub08"]
    assert sum(published(casme()).labels.values()) == 189
    samples, defects = read(tmp_path, casme())
    many = samples.loc[[KEYS[0]] * 193].reset_index(drop=True)
    text = doctor.summarize(many, defects, casme(), published(casme()))
    assert "known copy: CASME-coded-20190721.xls" in text
