"""DFME is read with its official split, from the tables of its parts."""

import openpyxl
import pytest
from dataset_samples import CONFIG, draw, read

from mer_core.config.experiment import load_config
from mer_core.config.layouts.dfme import Dfme
from mer_core.config.section import dump
from mer_core.datasets.folds import held_out
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError
from mer_core.evaluation.collect import expected_samples
from mer_core.evaluation.statistics import majority_answers, score_variant

HEADER = [
    "Subject",
    "Filename",
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    "Emotion",
    "EmotionId",
    "Fps",
    "AU",
]
# Folder of the part -> clip, onset, apex, offset, label, frames per second.
PARTS = {
    "train_data": [("sub0003_01", 0, 4, 9, "disgust", 200), ("sub0004_01", 2, 4, 6, "surprise", 500)],
    "test_data_A": [("sub0101_01", 0, 3, 5, "surprise", 300), ("sub0101_02", 0, 3, 5, "disgust", 300)],
    "test_data_B": [("sub0201_12", 1, 3, 5, "disgust", 200)],
}
CLASSES = {
    name: name for name in ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
}
KEYS = ["sub0003/sub0003_01", "sub0004/sub0004_01", "sub0101/sub0101_01", "sub0101/sub0101_02"]
KEYS += ["sub0201/sub0201_12"]


def dfme(**changes):
    return Dfme.model_validate({"layout": "dfme", "root": "own", "classes": CLASSES} | changes)


def write_table(path, rows):
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    for clip, onset, apex, offset, label, fps in rows:
        book.active.append([clip[:7], clip, onset, apex, offset, label, 2, fps, "AD1+L4"])
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def write_dfme(root, parts=PARTS, tree="{part}"):
    for number, (part, rows) in enumerate(parts.items()):
        write_table(root / f"coding{number}.xlsx", rows)
        for clip, onset, _, offset, *_ in rows:
            for frame in range(onset, offset + 1):
                draw(root / tree.format(part=part) / clip / f"{frame:05d}.png")


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize("tree", ["{part}", "{part}/{part}", "data/{part}"])
def test_the_parts_are_put_together(tmp_path, tree):
    write_dfme(tmp_path, tree=tree)
    (tmp_path / "notes.csv").write_text("what,else\n1,2\n")
    samples, defects = read(tmp_path, dfme())
    assert sorted(samples.index) == KEYS
    samples = samples.loc[KEYS]
    assert samples.split.tolist() == ["train", "train", "test_a", "test_a", "test_b"]
    assert samples.fps.tolist() == [200.0, 500.0, 300.0, 300.0, 200.0]
    assert samples.onset.tolist() == [0, 2, 0, 0, 1]
    assert samples.frame_path[KEYS[0]].endswith("sub0003_01/00004.png")
    assert kinds(defects) == [], "an onset of 0 is a frame"


def test_a_table_that_stands_twice_is_read_once(tmp_path):
    write_dfme(tmp_path)
    write_table(tmp_path / "copy" / "coding.xlsx", PARTS["train_data"])
    samples, defects = read(tmp_path, dfme())
    assert len(samples) == 5
    assert kinds(defects) == []


def test_a_table_of_a_part_is_never_passed_over(tmp_path):
    write_dfme(tmp_path)
    (tmp_path / "answers.csv").write_text("Filename,Emotion\nsub0101_01,surprise\n")
    assert len(read(tmp_path, dfme())[0]) == 5, "lacks too much to be meant"
    path = tmp_path / "coding1.xlsx"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    with pytest.raises(UserError, match=r"coding1.xlsx: damaged table .*; move it away then, or if it is no"):
        read(tmp_path, dfme())
    path.write_bytes(whole)
    book = openpyxl.load_workbook(path)
    book.active["H1"] = "FPS (Hz)"
    book.save(path)
    with pytest.raises(UserError, match=r"coding1.xlsx: no column 'Fps'; row 1 .*; mend its header, or move"):
        read(tmp_path, dfme())


def test_subjects_as_numbers(tmp_path):
    write_dfme(tmp_path)
    for path in sorted(tmp_path.glob("*.xlsx")):
        book = openpyxl.load_workbook(path)
        for row in book.active.iter_rows(min_row=2):
            row[0].value = int(row[0].value[3:])
        book.save(path)
    assert sorted(read(tmp_path, dfme())[0].index) == KEYS
    book.active["A2"] = 7
    book.save(path)
    samples, defects = read(tmp_path, dfme())
    assert sorted(samples.index) == KEYS[:-1]
    assert defects[["row", "file"]].to_numpy().tolist()[0] == ["row 2", "coding2.xlsx:2"], "its own row"


def test_the_parts_as_sheets_of_one_workbook(tmp_path):
    write_dfme(tmp_path)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for path in sorted(tmp_path.glob("*.xlsx")):
        sheet = book.create_sheet(path.stem)
        for row in openpyxl.load_workbook(path).active.values:
            sheet.append(row)
        path.unlink()
    book.save(tmp_path / "DFME.xlsx")
    samples, defects = read(tmp_path, dfme())
    assert sorted(samples.index) == KEYS
    assert kinds(defects) == []


def test_the_official_split_leaves_out_the_test_people(tmp_path):
    write_dfme(tmp_path)
    samples, _ = read(tmp_path, dfme())
    samples = samples.reset_index(drop=True)
    assert held_out(samples, "test", "split") == ["sub0101", "sub0201"]
    answered = expected_samples(samples, [], "split")
    assert answered.part.tolist() == ["test_a", "test_a", "test_b"]
    score = score_variant("", majority_answers(answered), ["disgust", "surprise"], CONFIG.evaluation)
    assert {part: of["n"] for part, of in score["parts"].items()} == {"test_a": 2, "test_b": 1}
    assert len(expected_samples(samples, [])) == 5, "else everyone is left out in turn"


def test_a_split_that_does_not_keep_people_apart(tmp_path):
    leak = {"train_data": PARTS["train_data"], "test_data_A": [("sub0003_02", 0, 3, 5, "surprise", 300)]}
    write_dfme(tmp_path / "leak", leak)
    samples, _ = read(tmp_path / "leak", dfme())
    with pytest.raises(UserError, match="sub0003 is in test and train by column split"):
        held_out(samples, "test", "split")
    write_dfme(tmp_path / "flat", tree="clips")
    samples, _ = read(tmp_path / "flat", dfme())
    with pytest.raises(UserError, match="sub0003 is in no official part"):
        held_out(samples, "test", "split")
    write_dfme(tmp_path / "training", {"train_data": PARTS["train_data"]})
    samples, _ = read(tmp_path / "training", dfme())
    with pytest.raises(UserError, match="0 of 2 people are in the official test parts; complete the copy"):
        held_out(samples, "test", "split")


def test_the_split_by_configuration():
    shipped = dump(CONFIG)
    own = {"target": "dfme", "datasets": shipped["datasets"] | {"dfme": dump(dfme())}, "folds_by": "split"}
    config = load_config(shipped | own).with_subjects(["sub0003", "sub0101"])
    assert (config.groups, config.fold_names) == ("split", ["test"])
    with pytest.raises(UserError, match="folds_by: casme2 has no official split; set subject"):
        load_config(shipped | {"folds_by": "split"})
    with pytest.raises(UserError, match="folds: the official test parts are left out; set null"):
        load_config(shipped | own | {"folds": ["sub0101"]})


def test_people_and_counts(tmp_path):
    write_dfme(tmp_path)
    assert list_subjects("dfme", dfme(), tmp_path) == ["sub0003", "sub0004", "sub0101", "sub0201"]
    assert sum(published(dfme()).labels.values()) == 1856 + 474 + 299
