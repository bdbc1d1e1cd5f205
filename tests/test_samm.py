"""SAMM is read as it was released, and as copies of it were edited."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.samm import Samm
from mer_core.datasets import doctor
from mer_core.datasets.manifest import is_to_be_spotted
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError
from mer_core.images import write_image

NOTES = [["SAMM Dataset - Master FACS Codes"], [], ["Onset", None, None, None, "a note"], *[["note"]] * 10]
HEADER = [
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
    "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
]  # fmt: skip
# Subject, clip, onset, apex, offset, units, emotion, objective class.
ROWS = [
    ("006", "006_1_2", 9998, 10000, 10004, "5B+24", "Anger", 3),
    ("006", "006_1_3", 83, 86, 90, 4, "Happiness", 1),
    ("007", "007_3_1", 100, 103, 107, "10A/B", "Other", 7),
    ("007", "007_3_10", 200, 203, 207, "L12 or L14", "Surprise", 2),
]
CLASSES = dict.fromkeys(["Anger", "Contempt", "Disgust", "Fear", "Sadness"], "negative")
CLASSES |= {"Happiness": "positive", "Surprise": "surprise", "Other": None}


def samm(**changes):
    values = {"layout": "samm", "root": "own", "classes": CLASSES, "subjects": ["006", "007"]}
    return Samm.model_validate(values | changes)


def write_table(path, rows=ROWS, notes=NOTES, header=HEADER):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "MICRO_ONLY"
    for row in [*notes, header]:
        book.active.append(row)
    for number, (subject, clip, onset, apex, offset, units, emotion, objective) in enumerate(rows):
        duration = f"=SUM(F{number + 15}-D{number + 15})+1"
        row = [
            subject,
            clip,
            1,
            onset,
            apex,
            offset,
            duration,
            "Micro - 1/2",
            units,
            emotion,
            objective,
            None,
        ]
        book.active.append(row)
    book.save(path)


def write_samm(root, rows=ROWS, tree="SAMM", name="{}_{:05d}.jpg", **table):
    write_table(root / tree / "SAMM_Micro_FACS_Codes_v2.xlsx", rows, **table)
    for _, clip, onset, _, offset, *_ in rows:
        person = clip.split("_")[0]
        for frame in range(onset, offset + 1):
            draw(root / tree / person / clip / name.format(person, frame))


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize("name", ["{}_{:05d}.jpg", "{}_{:04d}.jpg"])
@pytest.mark.parametrize("tree", ["SAMM", "SAMM_CROP/SAMM_CROP", "."])
def test_the_released_form(tmp_path, tree, name):
    write_samm(tmp_path, tree=tree, name=name)
    samples, defects = read(tmp_path, samm())
    assert samples.index.tolist() == ["006/006_1_2", "006/006_1_3", "007/007_3_1", "007/007_3_10"]
    assert samples.apex.tolist() == [10000, 86, 103, 203]
    assert samples.label.tolist() == ["negative", "positive", "", "surprise"]
    assert samples.fps.tolist() == [200.0] * 4
    assert samples.action_units.tolist() == ["5B+24", "4", "10A/B", "L12 or L14"]
    assert samples.reason["007/007_3_1"] == "label 'other' is mapped to null"
    assert samples.frame_path["006/006_1_2"].endswith("006/006_1_2/006_10000.jpg")
    assert kinds(defects) == []


def test_images_of_one_channel(tmp_path):
    import numpy as np

    write_samm(tmp_path)
    grey = np.random.default_rng(0).integers(0, 256, (10, 12), dtype=np.uint8)
    write_image(tmp_path / "SAMM" / "006" / "006_1_3" / "006_00086.jpg", grey)
    samples, defects = read(tmp_path, samm())
    assert samples.included["006/006_1_3"]
    assert kinds(defects) == []


def test_edited_tables(tmp_path):
    header = [name.replace(" Frame", "Frame") for name in HEADER]
    rows = [(int(subject), *rest) for subject, *rest in ROWS]  # as pandas writes them
    write_samm(tmp_path, rows, notes=[], header=[*header[:3], *header[3:]])
    samples, defects = read(tmp_path, samm())
    assert samples.apex.tolist() == [10000, 86, 103, 203]
    assert kinds(defects) == []


def test_apexes_that_are_unknown(tmp_path):
    """Of 028_4_1 the apex lies past the offset, of 032_3_1 before the onset: a mistyped first digit."""
    rows = [("006", "006_1_2", 10, 95, 15, 4, "Anger", 3), ("006", "006_1_3", 50, 20, 55, 4, "Happiness", 1)]
    write_samm(tmp_path, [*rows, ("007", "007_1_1", 10, -1, 15, 4, "Surprise", 2)])
    samples, defects = read(tmp_path, samm())
    assert is_to_be_spotted(samples).all()
    assert kinds(defects) == ["apex_outside", "apex_outside", "missing_apex"]
    assert read(tmp_path, samm(missing_apex="midpoint"))[0].apex.tolist() == [12, 52, 12]


def test_objective_classes(tmp_path):
    write_samm(tmp_path)
    classes = {str(n): f"c{n}" for n in range(1, 6)} | {"6": None, "7": None}
    samples, _ = read(tmp_path, samm(labels="objective", classes=classes))
    assert samples.label.tolist() == ["c3", "c1", "", "c2"]


def test_a_clip_among_those_of_another_person(tmp_path):
    write_samm(tmp_path)
    (tmp_path / "SAMM" / "007" / "007_3_1").rename(tmp_path / "SAMM" / "006" / "007_3_1")
    samples, defects = read(tmp_path, samm(classes=CLASSES | {"Other": "other"}))
    assert samples.subject["007/007_3_1"] == "007"
    assert samples.frame_path["007/007_3_1"] == "SAMM/006/007_3_1/007_00103.jpg"
    assert kinds(defects) == ["other_person"]
    assert "counted as 007, among the clips of 006" in defects.action[0]


def test_a_row_whose_cells_contradict_each_other(tmp_path):
    write_samm(tmp_path, [*ROWS, ("006", "007_5_1", 10, 12, 15, 4, "Anger", 3)])
    _, defects = read(tmp_path, samm())
    assert kinds(defects) == ["bad_name", "frames_without_annotation"]


def test_the_table_of_the_long_videos_is_another(tmp_path):
    write_samm(tmp_path)
    (tmp_path / "SAMM" / "SAMM_Micro_FACS_Codes_v2.xlsx").rename(tmp_path / "SAMM_LongVideos_V3_Release.xlsx")
    with pytest.raises(UserError, match=r"no annotation table \(SAMM_Micro_FACS_Codes_v2"):
        read(tmp_path, samm())


def test_people_are_those_of_the_released_set(tmp_path):
    everybody = list_subjects("samm", samm(subjects=None, classes=CLASSES | {"Other": "other"}), tmp_path)
    assert len(everybody) == 29
    three = list_subjects("samm", samm(subjects=None), tmp_path)
    assert set(everybody) - set(three) == {"025"}, "of whom there are clips of the label Other alone"


def test_published_counts_add_up():
    known = published(samm())
    assert sum(known.labels.values()) == 159
    assert sum(published(samm(labels="objective")).labels.values()) == 159
    used = {label.casefold() for label, name in CLASSES.items() if name}
    assert sum(count for label, count in known.labels.items() if label in used) == 133


def test_the_doctor_prints_the_published_counts(tmp_path):
    write_samm(tmp_path)
    text = doctor.summarize(*read(tmp_path, samm()), samm(), published(samm()))
    assert "negative                     1         92" in text
    assert "all                          3        133" in text


def test_a_known_copy_is_named(tmp_path):
    rows = [
        ("006", f"006_1_{n}", 10, 12, 15, 4, "Happiness" if n <= 27 else "Contempt", 1) for n in range(1, 39)
    ]
    write_table(tmp_path / "SAMM.xlsx", rows)
    draw(tmp_path / "006" / "006_1_1" / "006_00012.jpg")
    samples, defects = read(tmp_path, samm())
    assert "known copy: an edited one, in which 011_4_2" in doctor.summarize(
        samples, defects, samm(), published(samm())
    )
    samples, defects = read(tmp_path, samm())
    write_table(tmp_path / "SAMM.xlsx", rows[1:])
    samples, defects = read(tmp_path, samm())
    assert "known copy" not in doctor.summarize(samples, defects, samm(), published(samm()))
