"""CAS(ME)^3 is read with several expressions in a recording, and with the faults of its tables."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.casme3 import Casme3
from mer_core.datasets import doctor
from mer_core.datasets.manifest import is_to_be_spotted
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

TABLE = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
FULL = "CAS(ME)3_part_A_v2.xls"
HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class"]
# Subject, recording, onset, apex, offset, units, objective class, emotion.
ROWS = [
    ("spNO.1", "a", 5, 8, 11, "4", "VII", "disgust"),
    ("spNO.1", "a", 20, 22, 26, "L12 or L14", "VII", "happy"),
    ("spNO.14", "J", 5, 9, 12, "1+2", "II", "Others"),
    ("spNO.14", "b", 355, 357, 360, "1+2", "II", "surprise"),
]
CLASSES = dict.fromkeys(["disgust", "fear", "anger", "sad"], "negative")
CLASSES |= {"happy": "positive", "surprise": "surprise", "others": None}
ME_C = [["sub", "count", "onset", "offset", "au", "emotion"], [1, 1, 5, 11, "4，7", "negative"]]
ME_C += [[2, 3, 5, 11, "12,", "positive"]]


def casme3(**changes):
    return Casme3.model_validate({"layout": "casme3", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS, last="emotion", texts=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "label"
    book.active.append([*HEADER, last])
    for row in rows:
        book.active.append([str(cell) if texts else cell for cell in row])
    book.create_sheet("Sheet1")["Q434"] = ""
    book.create_sheet("Sheet3")
    book.save(path)


def write_casme3(root, rows=ROWS, subject="spNO.{}", tree="part_A", colour="color", **table):
    write_table(root / TABLE, rows, **table)
    for person, recording, onset, _, offset, *_ in rows:
        home = root / tree / subject.format(person.split(".")[1]) / recording.lower()
        for frame in range(int(onset), int(offset) + 1):
            draw(home / colour / f"{frame}.jpg")
            draw(home / "depth" / f"{frame}.png")


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize("subject", ["spNO.{}", "spNo.{}"])
@pytest.mark.parametrize("tree", ["part_A", "part_A_split/part_A", "."])
@pytest.mark.parametrize("colour", ["color", ""])
def test_the_released_form(tmp_path, tree, subject, colour):
    write_casme3(tmp_path, subject=subject, tree=tree, colour=colour)
    samples, defects = read(tmp_path, casme3())
    assert samples.index.tolist() == ["sp001/a/5", "sp001/a/20", "sp014/j/5", "sp014/b/355"]
    assert samples.subject.tolist() == ["sp001", "sp001", "sp014", "sp014"]
    assert samples.apex.tolist() == [8, 22, 9, 357]
    assert samples.label.tolist() == ["negative", "positive", "", "surprise"]
    assert samples.label_raw.tolist() == ["disgust", "happy", "others", "surprise"]
    assert samples.fps.tolist() == [30.0] * 4
    assert samples.frame_path["sp014/b/355"].endswith(f"14/b/{colour}/357.jpg".replace("//", "/"))
    assert kinds(defects) == []


def test_folders_that_differ_in_case_are_one_recording(tmp_path):
    write_casme3(tmp_path)
    for frame in (5, 9, 12):
        draw(tmp_path / "part_A" / "spNO.14" / "J" / "color" / f"{frame}.jpg")
    samples, defects = read(tmp_path, casme3(classes=CLASSES | {"others": "others"}))
    assert samples.frame_path["sp014/j/5"] == "part_A/spNO.14/j/color/9.jpg"
    assert kinds(defects) == ["unused_place"]


@pytest.mark.parametrize(
    ("rule", "expected"), [("spot", None), ("midpoint", 8), ("keep", 5), ("keep_later", "left out")]
)
def test_an_apex_that_is_the_onset(tmp_path, rule, expected):
    write_casme3(tmp_path, [("spNO.1", "a", 5, 5, 11, "4", "VII", "disgust"), *ROWS[1:]])
    samples, defects = read(tmp_path, casme3(missing_apex=rule))
    assert kinds(defects) == ["degenerate_apex"]
    sample = samples.loc["sp001/a/5"]
    assert sample.included == (expected != "left out")
    if isinstance(expected, int):
        assert sample.apex == expected
    else:
        assert is_to_be_spotted(samples)["sp001/a/5"] == (expected is None)


def test_intervals_out_of_order_are_repaired_by_the_full_table(tmp_path):
    wrong = [("spNO.1", "a", 5, 8, 0, *ROWS[0][5:]), ("spNO.1", "a", 20, 2, 26, *ROWS[1][5:]), *ROWS[2:]]
    write_casme3(tmp_path)
    write_table(tmp_path / TABLE, wrong)
    samples, defects = read(tmp_path, casme3())
    assert kinds(defects) == ["impossible_interval", "apex_outside"]
    macro = ("spNO.1", "a", 100, 120, 150, "12", "I", "Macro-expression")
    full = [*((*row[:7], "Micro-expression") for row in ROWS[:2]), macro]
    write_table(tmp_path / FULL, full, last="Expression type", texts=False)
    samples, defects = read(tmp_path, casme3())
    assert samples.loc["sp001/a/5", ["onset", "apex", "offset"]].tolist() == [5, 8, 11]
    assert samples.loc["sp001/a/20", ["onset", "apex", "offset"]].tolist() == [20, 22, 26]
    assert kinds(defects) == ["repaired_interval"] * 2
    assert defects.action[0] == f"5 8 0 read as 5 8 11 of {FULL}:2"
    assert defects.file[0] == f"{TABLE}:2"


def test_an_offset_with_two_digits_too_many(tmp_path):
    write_casme3(tmp_path)
    write_table(tmp_path / TABLE, [("spNO.1", "a", 10, 12, 3460, "4", "VII", "disgust"), *ROWS[1:]])
    _, defects = read(tmp_path, casme3())
    assert kinds(defects) == ["impossible_interval"], "115 seconds"


def test_frames_that_are_not_there(tmp_path):
    """Of most recordings the first frames lack, and some have holes: by number, never by place."""
    write_casme3(tmp_path)
    for frame in (5, 6, 7, 24):
        (tmp_path / "part_A/spNO.1/a/color" / f"{frame}.jpg").unlink()
    samples, defects = read(tmp_path, casme3())
    assert samples.apex["sp001/a/5"] == 8
    assert samples.frame_path["sp001/a/5"].endswith("/8.jpg")
    assert kinds(defects) == ["missing_onset_frame", "frame_gaps", "frame_gaps"]
    assert "2 missing, first 6" in defects.action[1]
    assert "1 missing, first 24" in defects.action[2]


def test_a_row_that_stands_twice(tmp_path):
    write_casme3(tmp_path, [*ROWS, ROWS[0], (*ROWS[1][:7], "sad")])
    samples, defects = read(tmp_path, casme3())
    assert len(samples) == 4
    assert sorted(kinds(defects)) == ["conflicting_annotation", "duplicate_annotation"]


def test_of_two_versions_the_second_is_read(tmp_path):
    write_casme3(tmp_path)
    write_table(tmp_path / TABLE.replace("_v2", ""), ROWS[:2])
    assert len(read(tmp_path, casme3())[0]) == 4


def test_two_tables_that_disagree(tmp_path):
    write_casme3(tmp_path)
    write_table(tmp_path / "copy" / TABLE, ROWS[:2])
    with pytest.raises(UserError, match=r"which table annotates .* name it in datasets.casme3.workbook"):
        read(tmp_path, casme3())
    samples, _ = read(tmp_path, casme3(workbook=TABLE))
    assert len(samples) == 4


def test_objective_classes(tmp_path):
    write_casme3(tmp_path)
    samples, _ = read(tmp_path, casme3(labels="objective", classes={"II": "two", "VII": "seven"}))
    assert samples.label.tolist() == ["seven", "seven", "two", "two"]


def test_macro_expressions_are_of_the_full_table(tmp_path):
    """Which tells the objective class of each, and no emotion."""
    rows = [("spNO.1", "a", 100, 120, 150, "12", "I"), ("spNO.2", "C", 30, 40, 60, "4", "III")]
    write_casme3(tmp_path, [*ROWS, *rows])
    kinds_of = [*["Micro-expression"] * 4, *["Macro-expression "] * 2]
    full = [(*row[:7], kind) for row, kind in zip([*ROWS, *rows], kinds_of, strict=True)]
    write_table(tmp_path / FULL, full, last="Expression type", texts=False)
    settings = {"labels": "objective", "expressions": "macro"}
    macro = casme3(**settings, classes={"I": "one", "III": "three", "II": None, "VII": None})
    samples, defects = read(tmp_path, macro)
    used = samples[samples.included]
    assert used.index.tolist() == ["sp001/a/100", "sp002/c/30"]
    assert used.label.tolist() == ["one", "three"]
    assert used.frame_path["sp001/a/100"] == "part_A/spNO.1/a/color/120.jpg"
    assert {*samples.reason[~samples.included]} == {"micro-expression: not asked for by expressions"}
    assert kinds(defects) == []
    assert list_subjects("casme3", macro, tmp_path) == ["sp001", "sp002"]
    assert macro.people == casme3().people, "the same people"
    for wrong in ({"labels": "emotion"}, {"part": "C"}):
        with pytest.raises(ValueError, match="set part: A, labels: objective"):
            casme3(**settings | wrong)


def write_part_c(root):
    book = openpyxl.Workbook()
    book.active.title = "mockCrimeME"
    for row in ME_C:
        book.active.append(row)
    book.save(root / "CAS(ME)3_part_C_ME.xlsx")
    for subject, count, onset, offset, *_ in ME_C[1:]:
        for frame in range(onset, offset + 1):
            draw(root / "ME_C" / f"{subject:02d}" / str(count) / "color" / f"{frame}.jpg")


def test_the_mock_crime_has_valences_and_no_apex(tmp_path):
    write_casme3(tmp_path)
    write_part_c(tmp_path)
    classes = {name: name for name in ("negative", "positive", "surprise", "others")}
    samples, defects = read(
        tmp_path, casme3(part="C", classes=classes, subjects=["c01", "c02"], missing_apex="midpoint")
    )
    assert samples.index.tolist() == ["c01/1", "c02/3"]
    assert samples.label.tolist() == ["negative", "positive"]
    assert samples.action_units.tolist() == ["4，7", "12,"]
    assert samples.apex.tolist() == [8, 8]
    assert samples.frame_path["c02/3"] == "ME_C/02/3/color/8.jpg"
    assert kinds(defects) == ["missing_apex", "missing_apex"]
    assert len(read(tmp_path, casme3())[0]) == 4, "part A is not mixed up with it"


def test_people_are_those_that_the_table_names(tmp_path):
    """94 of 100 people: which, is not published."""
    write_casme3(tmp_path)
    draw(tmp_path / "part_A" / "spNO.7" / "a" / "color" / "1.jpg")  # without a micro-expression
    assert list_subjects("casme3", casme3(), tmp_path) == ["sp001", "sp014"]
    only = casme3(classes={"disgust": "a", "happy": "b", "surprise": None, "Others": None})
    assert list_subjects("casme3", only, tmp_path) == ["sp001"]
    assert len(list_subjects("casme3", casme3(part="C"), tmp_path)) == 30


def test_published_counts_and_the_known_copy(tmp_path):
    assert sum(published(casme3()).labels.values()) == 860
    assert sum(published(casme3(labels="objective")).labels.values()) == 860
    assert sum(published(casme3(part="C")).labels.values()) == 165
    used = {label for label, name in CLASSES.items() if name}
    assert sum(count for label, count in published(casme3()).labels.items() if label in used) == 699
    rows = [("spNO.1", "a", n, n + 1, n + 2, "4", "VII", "disgust") for n in range(1, 922)]
    write_table(tmp_path / TABLE, rows)
    draw(tmp_path / "spNO.1" / "a" / "color" / "2.jpg")
    samples, defects = read(tmp_path, casme3())
    text = doctor.summarize(samples, defects, casme3(), published(casme3()))
    assert "known copy: the first version" in text
