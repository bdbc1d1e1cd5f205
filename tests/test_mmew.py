"""MMEW is read from its folders by label, and from those by person."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.mmew import Mmew
from mer_core.datasets.reading import list_subjects, published

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units"]
HEADER += ["Estimated Emotion", "remarks"]
# Clip, onset, apex, offset, units, label.
ROWS = [
    ("S03-01-002", 1, 4, 9, "6+12", "happiness"),
    ("S03-06-010", 2, 5, 10, 4, "others"),
    ("S10-02-001", 9, 10, 11, "1+2", "surprise"),
]
CLASSES = {name: name for name in ("happiness", "surprise", "disgust", "others")}
CLASSES |= dict.fromkeys(["anger", "fear", "sadness"])


def mmew(**changes):
    return Mmew.model_validate({"layout": "mmew", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    for clip, *interval, units, label in rows:
        book.active.append([clip[:3], clip, *interval, units, label, None])
    book.save(path)


def write_mmew(root, rows=ROWS, tree="Micro_Expression/{label}/{clip}", first=None):
    write_table(root / "MMEW_Micro_Exp.xlsx", rows)
    for clip, onset, _, offset, _, label in rows:
        names = {"label": label.replace("others", "repression"), "clip": clip, "person": clip[:3]}
        for frame in range(onset, offset + 1):
            number = frame if first is None else frame - onset + first
            draw(root / tree.format(**names) / f"{number}.jpg")


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize(
    "tree",
    [
        "Micro_Expression/{label}/{clip}",
        "MMEW_Final/Micro_Expression/{label}/{clip}",
        "{person}/{label}/{clip}",
        "{label}/{clip}",
    ],
)
def test_the_released_trees(tmp_path, tree):
    write_mmew(tmp_path, tree=tree)
    draw(tmp_path / "Macro_Expression" / "S03" / "anger" / "S03-07-001.jpg")
    draw(tmp_path / "Macro_Expression" / "S03" / "anger" / "S03-07-002" / "1.jpg")
    samples, defects = read(tmp_path, mmew())
    assert samples.index.tolist() == ["S03/S03-01-002", "S03/S03-06-010", "S10/S10-02-001"]
    assert samples.apex.tolist() == [4, 5, 10]
    assert samples.label.tolist() == ["happiness", "others", "surprise"]
    assert samples.fps.tolist() == [90.0] * 3
    assert kinds(defects) == [], "others in the folder repression is as released"


def test_a_folder_that_contradicts_the_table(tmp_path):
    write_mmew(tmp_path)
    home = tmp_path / "Micro_Expression"
    (home / "disgust").mkdir()
    (home / "surprise" / "S10-02-001").rename(home / "disgust" / "S10-02-001")
    samples, defects = read(tmp_path, mmew())
    assert samples.label["S10/S10-02-001"] == "surprise"
    assert kinds(defects) == ["contradicted_label"]
    assert defects.action[0] == "used as surprise, the folder says disgust"
    (home / "disgust" / "S10-02-001").rename(home / "repression" / "S10-02-001")
    assert read(tmp_path, mmew())[1].action[0] == "used as surprise, the folder says others"


def test_a_clip_among_those_of_another_person(tmp_path):
    write_mmew(tmp_path, tree="{person}/{label}/{clip}")
    (tmp_path / "S10/surprise/S10-02-001").rename(tmp_path / "S03/S10-02-001")
    samples, defects = read(tmp_path, mmew())
    assert samples.subject["S10/S10-02-001"] == "S10"
    assert kinds(defects) == ["other_person"]


def test_folders_that_count_from_one(tmp_path):
    rows = [(clip, onset + 30, apex + 30, offset + 30, *rest) for clip, onset, apex, offset, *rest in ROWS]
    write_mmew(tmp_path, rows, first=1)
    assert kinds(read(tmp_path, mmew())[1]) == ["renumbered_frames"] * 3
    samples, defects = read(tmp_path, mmew(frame_numbers="from_onset"))
    assert samples.apex.tolist() == [4, 4, 2]
    assert kinds(defects) == []


def test_flawed_apexes_and_versions_of_the_table(tmp_path):
    write_mmew(tmp_path)
    write_table(tmp_path / "MMEW_Micro_Exp_v2.xlsx", [(*ROWS[0][:2], 20, *ROWS[0][3:]), *ROWS[1:]])
    samples, defects = read(tmp_path, mmew(missing_apex="midpoint"))
    assert samples.apex.tolist() == [5, 5, 10]
    assert kinds(defects) == ["apex_outside"]


def test_people_and_counts(tmp_path):
    write_mmew(tmp_path)
    assert list_subjects("mmew", mmew(), tmp_path) == ["S03", "S10"]
    assert sum(published(mmew()).labels.values()) == 300
    used = {label for label, name in CLASSES.items() if name}
    assert sum(count for label, count in published(mmew()).labels.items() if label in used) == 263
