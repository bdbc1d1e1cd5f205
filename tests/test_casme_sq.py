"""CAS(ME)^2 is read by joining its three sheets without header to folders that are named otherwise."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.casme_sq import CasmeSq
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

# Number of the person, clip, onset, apex, offset, units, valence, type, emotion.
ROWS = [
    (1, "anger1_1", 557, 562, 570, "4+7", "negative", "micro-expression", "anger"),
    (1, "anger1_2", 600, 606, 612, 4, "negative", "micro-expression", "disgust"),
    (2, "happy4_2", 30, 35, 41, "12", "positive", "micro-expression", "happiness"),
    (2, "happy4_1", 60, 66, 0, "6+12", "positive", "macro-expression", "happiness"),
]
PEOPLE = [(15, "s15", 1), (16, "s16", 2)]
VIDEOS = [("0401", "anger1"), ("0507", "happy4")]
CLASSES = {name: name for name in ("disgust", "happiness", "surprise", "anger")}
CLASSES |= dict.fromkeys(["fear", "pain", "helpless", "sadness"])
NAMES = {"anger1": "0401girlcrash", "happy4": "0507climbingthewall"}
KEYS = ["s15/0401/557", "s15/0401/600", "s16/0507/30", "s16/0507/60"]


def casme_sq(**changes):
    return CasmeSq.model_validate({"layout": "casme_sq", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS, people=PEOPLE):
    book = openpyxl.Workbook()
    book.active.title = "CASFEcode_final"
    sheets = [book.active, book.create_sheet("naming rule1"), book.create_sheet("naming rule2")]
    for sheet, of in zip(sheets, (rows, people, VIDEOS), strict=True):
        for row in of:
            sheet.append(row)
    book.save(path)


def write_videos(tree, rows=ROWS):
    for number, clip, onset, apex, offset, *_ in rows:
        person = f"s{14 + number}"
        for frame in range(onset, (offset or 2 * apex - onset) + 1):
            draw(tree / person / f"{person[1:]}_{NAMES[clip[:-2]]}" / f"img{frame:03d}.jpg")


def write_cut(tree, person="s{}", rows=ROWS):
    for number, clip, onset, apex, offset, *_ in rows:
        for frame in range(onset, (offset or 2 * apex - onset) + 1):
            draw(tree / person.format(14 + number) / clip / f"img{frame}.jpg")


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


def write(root, tree="rawpic/rawpic"):
    write_table(root / "CAS(ME)^2code_final.xlsx")
    write_videos(root / tree)


@pytest.mark.parametrize("tree", ["rawpic", "rawpic/rawpic", "."])
def test_the_long_videos(tmp_path, tree):
    write(tmp_path, tree)
    samples, defects = read(tmp_path, casme_sq())
    assert samples.index.tolist() == KEYS
    assert samples.apex.tolist()[:3] == [562, 606, 35]
    assert samples.label.tolist() == ["anger", "disgust", "happiness", ""]
    assert samples.fps.tolist() == [30.0] * 4
    assert samples.frame_path[KEYS[2]].endswith("s16/16_0507climbingthewall/img035.jpg")
    assert samples.reason[KEYS[3]] == "macro-expression: not asked for by expressions"
    assert kinds(defects) == []


@pytest.mark.parametrize(("tree", "person"), [("selectedpic/selectedpic", "s{}"), ("cropped", "{}")])
def test_expressions_that_were_cut_out(tmp_path, tree, person):
    """They keep the numbers of the long videos, in a folder of their own each."""
    write_table(tmp_path / "CAS(ME)^2code_final.xlsx")
    write_cut(tmp_path / tree, person)
    samples, defects = read(tmp_path, casme_sq())
    assert samples.included[KEYS[:3]].all()
    assert samples.frame_path[KEYS[1]].endswith("anger1_2/img606.jpg")
    assert kinds(defects) == []


def test_expressions_that_were_cut_out_and_counted_anew(tmp_path):
    """None is taken from the folder of another, in which its numbers are other frames."""
    rows = [ROWS[0], (1, "anger1_2", 600, 1600, 2000, 4, "negative", "macro-expression", "disgust"), ROWS[2]]
    write_table(tmp_path / "CAS(ME)^2code_final.xlsx", rows)
    for number, clip, _, _, count in [(*rows[0][:2], 0, 0, 14), (1, "anger1_2", 0, 0, 600)]:
        for frame in range(1, count + 1):
            (tmp_path / f"selectedpic/s{14 + number}/{clip}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"selectedpic/s{14 + number}/{clip}/img{frame}.jpg").touch()
    (tmp_path / "selectedpic/s16/happy4_1").mkdir(parents=True)
    draw(tmp_path / "selectedpic/s16/happy4_1/img35.jpg")
    samples, defects = read(tmp_path, casme_sq())
    assert not samples.included.any()
    found = defects.set_index("row").loc[["casme_sq/s15/0401/557", "casme_sq/s16/0507/30"]]
    assert found.defect.tolist() == ["renumbered_frames", "annotation_without_frames"]
    assert found.action.iloc[0].endswith("rename them, so that they have the numbers 557 to 570")
    assert found.file.iloc[0] == "selectedpic/s15/anger1_1"


def test_whole_pictures_go_before_crops(tmp_path):
    write(tmp_path)
    write_cut(tmp_path / "cropped", "{}")
    samples, _ = read(tmp_path, casme_sq())
    assert samples.frame_path[KEYS[:3]].str.startswith("rawpic/").all()
    samples, _ = read(tmp_path, casme_sq(frames="cropped"))
    assert samples.frame_path[KEYS[:3]].str.startswith("cropped/").all()


def test_a_video_among_those_of_another_person(tmp_path):
    """The digits of its own name count: by the folder it would leak under leave-one-subject-out."""
    write(tmp_path)
    home = tmp_path / "rawpic" / "rawpic"
    (home / "s16" / "16_0507climbingthewall").rename(home / "s15" / "16_0507umbingtheall")
    samples, defects = read(tmp_path, casme_sq())
    assert samples.subject[KEYS[2]] == "s16"
    assert samples.frame_path[KEYS[2]].startswith("rawpic/rawpic/s15/16_0507")
    assert kinds(defects) == ["other_person"]
    assert "counted as s16, among the clips of s15" in defects.action[0]


def test_macro_expressions_and_missing_numbers(tmp_path):
    write(tmp_path)
    samples, defects = read(tmp_path, casme_sq(expressions="all", subjects=["s15", "s16"]))
    assert not samples.included[KEYS[3]]
    assert kinds(defects) == ["impossible_interval"]
    samples, defects = read(tmp_path, casme_sq(expressions="macro", missing_offset="mirror"))
    assert samples.included.tolist() == [False, False, False, True]
    assert samples.offset[KEYS[3]] == 72
    assert kinds(defects) == ["missing_offset"]
    write_table(tmp_path / "CAS(ME)^2code_final.xlsx", [(*ROWS[0][:3], 0, *ROWS[0][4:]), *ROWS[1:]])
    assert kinds(read(tmp_path, casme_sq())[1]) == ["missing_apex"]


def test_other_labels(tmp_path):
    write(tmp_path)
    classes = {"negative": "negative", "positive": "positive", "surprise": "surprise", "others": None}
    samples, _ = read(tmp_path, casme_sq(labels="valence", classes=classes))
    assert samples.label.tolist() == ["negative", "negative", "positive", ""]
    classes = {"micro-expression": "micro", "macro-expression": "macro"}
    settings = casme_sq(labels="type", classes=classes, expressions="all", missing_offset="mirror")
    samples, _ = read(tmp_path, settings)
    assert samples.label.tolist() == ["micro", "micro", "micro", "macro"]
    assert sum(published(settings).labels.values()) == 357


def test_a_workbook_without_its_other_sheets(tmp_path):
    write(tmp_path)
    write_table(tmp_path / "CAS(ME)^2code_final.xlsx", people=[])
    with pytest.raises(UserError, match="tells no folders of people; give the released workbook"):
        read(tmp_path, casme_sq())


def test_expressions_of_several_sheets(tmp_path):
    write(tmp_path)
    path = tmp_path / "CAS(ME)^2code_final.xlsx"
    book = openpyxl.load_workbook(path)
    del book["CASFEcode_final"]
    for kind in ("micro", "macro"):
        sheet = book.create_sheet(kind)
        for cells in (cells for cells in ROWS if cells[7].startswith(kind)):
            sheet.append(cells)
    sheet.append((3, "happy4_2", 31, 36, 41, "12", "positive", "micro-expression", "happiness"))
    book.save(path)
    samples, defects = read(tmp_path, casme_sq())
    assert samples.index.tolist() == KEYS
    assert (kinds(defects), defects.file[0]) == (["bad_name"], f"{path.name}:macro!2")
    assert defects.action[0] == "left out: subject '3', clip 'happy4_2'"


def test_people(tmp_path):
    write(tmp_path)
    assert list_subjects("casme_sq", casme_sq(), tmp_path) == ["s15", "s16"]
    assert len(list_subjects("casme_sq", casme_sq(expressions="all"), tmp_path)) == 22
    assert list_subjects("casme_sq", casme_sq(expressions="macro"), tmp_path) == ["s16"]
