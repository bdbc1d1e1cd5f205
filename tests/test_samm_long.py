"""SAMM Long Videos are read by their types, on a clock other than that of SAMM."""

import openpyxl
import pytest
from dataset_samples import CONFIG, draw, read

from mer_core.config.experiment import load_config
from mer_core.config.layouts.samm_long import SammLong
from mer_core.config.section import dump
from mer_core.datasets.manifest import is_to_be_spotted
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

NOTES = [["SAMM Long Videos"], [], *[["note"]] * 7]
HEADER = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type"]
HEADER += ["Action Units", "Notes"]
# Movement, onset, apex, offset, type.
ROWS = [
    ("006_1_1", 1, 5, 9, "Macro"),
    ("006_1_2", 9997, 10001, 10004, "Micro - 1/2"),
    ("037_4_1", 20, -1, 26, "Micro - 1/2"),
    ("037_4_1", 40, 44, 49, "Macro"),
]
CLASSES = {"micro": "micro", "macro": "macro"}
KEYS = ["006/006_1/1", "006/006_1/9997", "037/037_4/20", "037/037_4/40"]


def samm_long(**changes):
    return SammLong.model_validate({"layout": "samm_long", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for row in [*NOTES, HEADER]:
        book.active.append(row)
    for name, onset, apex, offset, kind in rows:
        book.active.append([name[:3], name, 1, onset, apex, offset, offset - onset + 1, kind, "4", None])
    book.save(path)


def write_videos(tree, rows=ROWS, shift=0):
    for name, onset, _, offset, _ in rows:
        for frame in range(onset, offset + 1):
            draw(tree / name[:5] / f"{name[:5]}_{frame + shift:04d}.jpg")


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize("tree", ["SAMM_longvideos", "."])
def test_the_released_form(tmp_path, tree):
    write_table(tmp_path / "SAMM_LongVideos_V3_Release.xlsx")
    write_videos(tmp_path / tree)
    samples, defects = read(tmp_path, samm_long())
    assert samples.index.tolist() == KEYS, "a name that stands twice is told by the onset"
    assert samples.label.tolist() == ["macro", "micro", "micro", "macro"]
    assert samples.frame_path[KEYS[1]].endswith("006_1/006_1_10001.jpg"), "five digits beyond 9999"
    assert is_to_be_spotted(samples).tolist() == [False, False, True, False]
    assert samples.fps.tolist() == [200.0] * 4
    assert kinds(defects) == ["missing_apex"]


def test_the_clock_of_samm_is_another(tmp_path):
    """The same movement has other numbers there: what is not on disk is told, and never guessed."""
    write_table(tmp_path / "SAMM_LongVideos_V3_Release.xlsx", ROWS[:1])
    write_videos(tmp_path, ROWS[:1], shift=2000)
    samples, defects = read(tmp_path, samm_long())
    assert kinds(defects) == ["missing_apex_frame"]
    assert "no frame 5 on disk" in samples.reason.iloc[0]


def test_the_newest_version_is_read(tmp_path):
    write_videos(tmp_path)
    write_table(tmp_path / "SAMM_LongVideos_V1_Release.xlsx", [("006_1_1", 0, 5, 9, "Macro"), *ROWS[1:]])
    write_table(tmp_path / "SAMM_LongVideos_V3_Release.xlsx")
    assert read(tmp_path, samm_long())[0].onset.tolist() == [1, 9997, 20, 40]
    (tmp_path / "SAMM_LongVideos_V3_Release.xlsx").unlink()
    _, defects = read(tmp_path, samm_long())
    assert kinds(defects) == ["missing_apex", "missing_onset_frame"]


def test_the_table_of_samm_is_another(tmp_path):
    write_videos(tmp_path)
    write_table(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx")
    with pytest.raises(UserError, match=r"no annotation table \(SAMM_LongVideos_V3_Release"):
        read(tmp_path, samm_long())


def test_the_people_are_those_of_samm():
    samm = {"layout": "samm", "root": "own", "classes": {"Anger": "micro", "Happiness": "macro"}}
    datasets = {"samm": samm, "long": dump(samm_long())}
    shipped = dump(CONFIG) | {"target": "samm", "source": "long"}
    config = load_config(shipped | {"datasets": dump(CONFIG)["datasets"] | datasets})
    assert config.with_subjects(["006", "007", "037"]).shared_with_source == [("samm", "long")]


def test_people_and_counts(tmp_path):
    write_videos(tmp_path)
    write_table(tmp_path / "SAMM_LongVideos_V3_Release.xlsx")
    assert list_subjects("samm_long", samm_long(), tmp_path) == ["006", "037"]
    assert sum(published(samm_long()).labels.values()) == 343 + 159
