"""4DME is read by the main label of each clip; the others are counted."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.fourdme import Fourdme
from mer_core.datasets import doctor
from mer_core.datasets.reading import list_subjects, published

HEADER = ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "Positive", "eye blink"]
# Person, clip, labels, onset, apex, offset, units.
ROWS = [
    ("S13", "S13_1st_001_01_1", "Surprise+Positive", 1826, 1830, 1835, "1+2(k)"),
    ("S13", "S13_1st_002_01_1", "Negative", 10, 12, 15, "4"),
    ("S02", "S02_2nd_001_01_1", "Repression", 99, 101, 104, "14"),
]
CLASSES = {name: name.lower() for name in ("Positive", "Negative", "Surprise", "Repression", "Others")}


def fourdme(**changes):
    return Fourdme.model_validate({"layout": "fourdme", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS, header=HEADER, below=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.append(header)
    for row in rows:
        book.active.append([*row, 0, 0])
    for row in below:
        book.active.append(row)
    book.save(path)


def write_fourdme(root, rows=ROWS, tree="gray_micro", name="Frame_{:09d}.jpg", **table):
    write_table(root / "4DME_Labelling_Micro_release v1.xlsx", rows, **table)
    for person, clip, _, onset, _, offset, *_ in rows:
        for frame in range(onset, offset + 1):
            draw(root / tree / person / clip / name.format(frame))


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


KEYS = ["S13/S13_1st_001_01_1/1826", "S13/S13_1st_002_01_1/10", "S02/S02_2nd_001_01_1/99"]


@pytest.mark.parametrize("tree", ["gray_micro", "gray_micro_crop", "."])
@pytest.mark.parametrize("name", ["Frame_{:09d}.jpg", "{}.png"])
def test_the_released_trees(tmp_path, tree, name):
    write_fourdme(tmp_path, tree=tree, name=name)
    samples, defects = read(tmp_path, fourdme())
    assert samples.index.tolist() == KEYS
    assert samples.label.tolist() == ["surprise", "negative", "repression"]
    assert samples.apex.tolist() == [1830, 12, 101]
    assert samples.fps.tolist() == [60.0] * 3
    assert kinds(defects) == ["several_labels"]
    assert defects.action[0] == "used as surprise, also positive"


def test_the_older_table(tmp_path):
    """Its headers end in apostrophes, and its last row is a sum."""
    header = [f"{name}'" for name in HEADER]
    write_fourdme(tmp_path, header=header, below=[[None, None, None, None, None, None, "267", 40, 3]])
    samples, defects = read(tmp_path, fourdme())
    assert samples.index.tolist() == KEYS
    assert kinds(defects) == ["several_labels"]


def test_a_folder_without_a_row(tmp_path):
    write_fourdme(tmp_path)
    draw(tmp_path / "gray_micro" / "S13" / "S13_1st_001_01_9" / "Frame_000000001.jpg")
    assert kinds(read(tmp_path, fourdme())[1]) == ["several_labels", "frames_without_annotation"]


def test_a_clip_among_those_of_another_person(tmp_path):
    write_fourdme(tmp_path)
    home = tmp_path / "gray_micro"
    (home / "S02" / "S02_2nd_001_01_1").rename(home / "S13" / "S02_2nd_001_01_1")
    samples, defects = read(tmp_path, fourdme())
    assert samples.subject[KEYS[2]] == "S02"
    assert sorted(kinds(defects)) == ["other_person", "several_labels"]


def test_people_and_counts(tmp_path):
    write_fourdme(tmp_path)
    assert list_subjects("fourdme", fourdme(), tmp_path) == ["S02", "S13"]
    samples, defects = read(tmp_path, fourdme())
    many = samples.loc[[KEYS[1]] * 267].reset_index(drop=True)
    assert "known copy: the 267 clips" in doctor.summarize(many, defects, fourdme(), published(fourdme()))
