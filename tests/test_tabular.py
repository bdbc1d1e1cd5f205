"""Any CSV of images with subjects and labels, never outside the root."""

import shlex
import subprocess
import sys

import numpy as np
import pytest
import yaml
from dataset_samples import CONFIG, draw, read

from mer_core.config.experiment import load_config
from mer_core.config.layouts.tabular import Tabular
from mer_core.config.section import dump
from mer_core.datasets import doctor, pixels
from mer_core.datasets.manifest import read_manifest, write_manifest
from mer_core.datasets.reading import list_subjects
from mer_core.datasets.tabular import PUBLISHED
from mer_core.errors import UserError
from mer_core.images import read_image

CLASSES = {"Happiness": "happy", "other label": "other", "fear": None}


def tabular(subjects=("p1", "p2"), **changes):
    known = {"layout": "tabular", "root": "own", "table": "images.csv", "classes": CLASSES}
    return Tabular.model_validate(
        known | {"subjects": None if subjects is None else list(subjects)} | changes
    )


def write(root, *rows, header="path,subject,label"):
    root.mkdir(exist_ok=True)
    (root / "images.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_reads_the_named_columns(tmp_path):
    for name in ("a.png", "b.jpg", "图 像/c 1.png", "d.png"):
        draw(tmp_path / name)
    rows = [
        "happiness;x;a.png;p1",
        '" Other  Label ";x;b.jpg;p1',
        "happiness;;图 像\\c 1.png;p2",
        "FEAR;;d.png;p2",
    ]
    write(tmp_path, *rows, header="Emotion;note;Image File;Who")
    columns = {"path_column": "image_file", "subject_column": "who", "label_column": "emotion"}
    samples, defects = read(tmp_path, tabular(**columns))
    assert samples.frame_path.tolist() == ["a.png", "b.jpg", "图 像/c 1.png", "d.png"]
    assert samples.index.tolist() == samples.frame_path.tolist()
    assert samples.label.tolist() == ["happy", "other", "happy", ""]
    assert samples.label_raw.tolist() == ["happiness", "other label", "happiness", "fear"]
    assert samples.reason.tolist() == ["", "", "", "label 'fear' is mapped to null"]
    assert samples.apex_source.eq("none").all()
    assert defects.defect.tolist() == ["one_class_subject"]


@pytest.mark.parametrize("path", ["b  c.png", "d\u00a0e.png", "f\u3000g/h.png"])
def test_paths_are_found_as_written(tmp_path, path):
    for name in (path, "b c.png", "d e.png"):
        draw(tmp_path / name)
    write(tmp_path, f"{path},p1,happiness")
    samples, _ = read(tmp_path, tabular(["p1"]))
    assert samples.included.all() and samples.frame_path.tolist() == [path]
    write_manifest(samples.reset_index(drop=True), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv").frame_path.tolist() == [path]


def test_paths_are_found_whatever_their_case(tmp_path):
    draw(tmp_path / "Kept" / "IMG_1.jpg")
    write(tmp_path, "kept\\img_1.JPG,p1,happiness", "Kept/IMG_1.jpg,p1,other label", "Kept/IMG_2.jpg,p1,fear")
    samples, defects = read(tmp_path, tabular(["p1"]))
    assert samples.frame_path.tolist() == ["Kept/IMG_1.jpg", "Kept/IMG_2.jpg"]
    assert defects.defect[0] == "conflicting_annotation"


def test_two_spellings_of_one_person_are_told(tmp_path):
    people = ["001", "1", "S2", "s2", "p10", "p1", "p100"]
    for number in range(len(people)):
        draw(tmp_path / f"{number}.png")
    rows = [f"{number}.png,{person},happiness" for number, person in enumerate(people)]
    write(tmp_path, *rows)
    _, defects = read(tmp_path, tabular(None))
    told = defects[defects.defect == "similar_subjects"]
    assert told.severity.eq("error").all()
    assert told.action.tolist() == [
        f"counted as 2 people: {names}; give one person one name" for names in ("001, 1", "S2, s2")
    ]


def test_subjects_of_the_table(tmp_path):
    write(tmp_path, "a.png,p10,fear", "a.png,p9,fear", "a.png,../x,fear", "a.png,p9,fear")
    assert list_subjects("own", tabular(None), tmp_path) == ["p9", "p10"]
    assert list_subjects("own", tabular(["p3"]), tmp_path) == ["p3"]


def test_paths_stay_inside(tmp_path):
    root = tmp_path / "root"
    draw(tmp_path / "secret.png")
    draw(root / "a.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "alias.png").symlink_to(root / "a.png")
    outside = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "link.png",
        "folder/secret.png",
        "a/../../secret.png",
        "/",
    ]
    write(root, *(f"{path},p1,happiness" for path in [*outside, "..\\secret.png"]), "alias.png,p1,happiness")
    samples, defects = read(root, tabular(["p1"]))
    assert samples.frame_path.tolist() == ["alias.png"]
    assert defects.defect.tolist() == ["leaves_root"] * 8 + ["one_class_subject"]
    assert defects[["row", "file"]].to_numpy().tolist()[0] == ["row 2", "images.csv:2"]


def test_absolute_paths_that_lie_inside(tmp_path):
    root, link = tmp_path / "root", tmp_path / "link"
    for name in ("a.png", "sub/b.png"):
        draw(root / name)
    link.symlink_to(root)
    write(root, f"{root}/a.png,p1,happiness", f"{link}/sub/b.png,p1,other label", "a.png,p1,happiness")
    samples, defects = read(link, tabular(["p1"]))
    assert samples.index.tolist() == samples.frame_path.tolist() == ["a.png", "sub/b.png"]
    assert defects.defect.tolist() == ["duplicate_annotation"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("nothing.png", "annotation_without_frames"),
        (".", "annotation_without_frames"),
        ("a.png/x", "annotation_without_frames"),
        ("$(touch x).png", "annotation_without_frames"),
        ("字" * 300, "leaves_root"),  # no file system takes such a name
        ("x" * 5000, "leaves_root"),
        ("", "bad_name"),
    ],
)
def test_paths_that_lead_nowhere(tmp_path, path, kind):
    draw(tmp_path / "a.png")
    write(tmp_path, f'"{path}",p1,happiness', "a.png,p1,other label")
    samples, defects = read(tmp_path, tabular(["p1"]))
    assert samples[samples.included].frame_path.tolist() == ["a.png"]
    assert defects.defect[0] == kind
    assert defects.severity[0] == "error"


@pytest.mark.parametrize("subject", ["", "../x", "a b", "$(x)", "<b>", "p1/", "x" * 65, "-x"])
def test_subjects_become_folders_so_they_must_be_plain(tmp_path, subject):
    draw(tmp_path / "a.png")
    write(tmp_path, f"a.png,{subject},happiness")
    samples, defects = read(tmp_path, tabular(["p1"]))
    assert samples.empty
    assert defects.defect.tolist() == ["bad_name", "absent_subject"]


def test_repeated_rows(tmp_path):
    draw(tmp_path / "a.png")
    rows = ["a.png,p1,happiness", "./a.png,p1,HAPPINESS", "a.png,p1,other label", "a.png,p2,happiness"]
    write(tmp_path, *rows)
    samples, defects = read(tmp_path, tabular(["p1"]))
    assert samples.subject.tolist() == ["p1"]
    kinds = ["conflicting_annotation", "conflicting_annotation", "duplicate_annotation", "one_class_subject"]
    assert defects.defect.tolist() == kinds


def test_the_table_must_have_its_columns(tmp_path):
    write(tmp_path, "a.png,p1,x", header="path,person,label")
    with pytest.raises(UserError, match=r"images.csv: no column 'subject'; row 1 has path, person, label"):
        read(tmp_path, tabular())
    with pytest.raises(UserError, match=r"none.csv: no such table"):
        read(tmp_path, tabular(table="none.csv"))


PIXELS = (
    "emotion,pixels,Usage",
    "emotion, pixels, Usage",
    '"emotion","pixels","Usage"',
    "emotion;pixels;Usage",
)


@pytest.mark.parametrize("header", PIXELS)
def test_a_table_of_pixels_becomes_a_source(tmp_path, header):
    """By what the message says: nobody is named, so it is no target, and no split keeps persons apart."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 9, 9))
    separator = ";" if ";" in header else ","
    rows = [[str(k % 2), " ".join(map(str, image.ravel())), "Training"] for k, image in enumerate(images)]
    lines = [header, *map(separator.join, rows)]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="holds pixels") as caught:
        read(tmp_path, tabular(None, table="fer2013.csv"))
    command = shlex.split(str(caught.value).split("own: ")[1].replace("FOLDER", str(tmp_path / "out")))
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True)
    assert done.stdout == f"4 images in {tmp_path / 'out'}\n"
    classes = {"0": "angry", "1": "happy"}
    own = tabular(None, subject_column=None, classes=classes)
    samples, defects = read(tmp_path / "out", own)
    assert samples.label.tolist() == ["angry", "happy"] * 2
    assert samples.subject.unique().tolist() == list_subjects("own", own, tmp_path / "out") == ["unknown"]
    assert defects.empty
    for path, image in zip(samples.frame_path, images, strict=True):
        assert (read_image(tmp_path / "out" / path)[:, :, 0] == image).all()
    assert "no split that keeps persons apart" in doctor.summarize(samples, defects, own, PUBLISHED)
    source = dump(CONFIG)
    source["datasets"]["fer"] = dump(own)
    with pytest.raises(UserError, match="target: fer names no subjects"):
        load_config(source | {"target": "fer"})
    with pytest.raises(UserError, match=r"pretraining\.split: fer names no subjects"):
        load_config(source | {"source": "fer", "pretraining": source["pretraining"] | {"split": "subject"}})
    assert load_config(source | {"source": "fer"}).pretraining_splits == ["frame"]
    assert load_config(source).pretraining_splits == ["frame", "subject"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0,1 2 3,Training", "row 2: the pixels are no square"),
        ("0,1 2 3 256,Training", "row 2: the pixels are no square"),
        ("0,1 2 3 x,Training", "row 2: the pixels are no square"),
        ("0,,Training", "row 2: the pixels are no square"),
        ("0,1 2 3 4", "row 2: 2 cells, not 3"),
        ('0,"1', "cannot be read as a table of pixels"),
    ],
)
def test_damaged_tables_of_pixels(tmp_path, line, message):
    (tmp_path / "fer2013.csv").write_text(f"{PIXELS[0]}\n{line}\n")
    with pytest.raises(UserError, match=f"fer2013.csv: {message}"):
        pixels.unpack(tmp_path / "fer2013.csv", tmp_path / "out")
    assert not (tmp_path / "out" / pixels.TABLE).exists()


def test_a_table_of_pixels_is_not_replaced(tmp_path):
    text = "emotion,pixels\n0,1 2 3 4\n"
    (tmp_path / pixels.TABLE).write_text(text)
    with pytest.raises(UserError, match=r"images\.csv: is an input, .*; name another folder"):
        pixels.unpack(tmp_path / pixels.TABLE, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == [text]


@pytest.mark.parametrize("end", ["\n", "\r\r\n", "\n\n"])
def test_blank_lines_of_a_table_of_pixels(tmp_path, end):
    lines = ["emotion,pixels,Usage", "0,1 2 3 4,Training", "3,5 6 7 8,Training", ""]
    (tmp_path / "fer2013.csv").write_bytes((end.join(lines) + end).encode())
    assert pixels.unpack(tmp_path / "fer2013.csv", tmp_path / "out") == 2


def test_subjects_to_paste_are_quoted_where_they_must_be(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    draw(tmp_path / "c.png")
    write(tmp_path, "a.png,001,happiness", "b.png,yes,happiness", "c.png,1e5,other label")
    _, defects = read(tmp_path, tabular(["p1"]))
    advice = defects[defects.defect == "unlisted_subject"].action.iloc[0]
    listed = yaml.safe_load(advice.split("subjects: ")[1])
    assert listed == ["001", "1e5", "yes"], "as text; p1 is in no row"
    assert "unlisted_subject" not in read(tmp_path, tabular(listed))[1].defect.tolist()
