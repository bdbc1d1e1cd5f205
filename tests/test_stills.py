"""RAF-DB, FER2013 and AffectNet: images of nobody knows whom, labelled by name whatever the numbers."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from dataset_samples import CONFIG, draw, read
from PIL import Image
from pydantic import TypeAdapter
from test_simulated_clips import TINY

from mer_core.config.experiment import AnyDataset, load_config
from mer_core.config.section import dump
from mer_core.datasets import doctor
from mer_core.datasets.affectnet import parse_label
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError
from mer_core.simulation.plan import clip_set, plan
from mer_core.simulation.writers import simulate

NAMES = ["anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
CLASSES = {name: name for name in NAMES}


def section(layout, **changes):
    settings = {"layout": layout, "root": "own", "classes": CLASSES} | changes
    return TypeAdapter(AnyDataset).validate_python(settings)


def label_of(samples):
    return samples.set_index("frame_path").label.to_dict()


def write_raf(root, lines, faces=None):
    (root / "EmoLabel").mkdir(parents=True)
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    for line in lines:
        face = line.split(".")[0]
        for path in (f"aligned/{face}_aligned.jpg", f"original/{face}.jpg") if faces is None else faces:
            draw(root / "Image" / path)


def test_raf_by_its_list(tmp_path):
    """1 is surprise in RAF-DB, anger in CK+ and disgust in FER2013."""
    write_raf(tmp_path / "basic", ["train_00001.jpg 5", "test_0001.jpg 1", "train_00002.jpg 7"])
    write_raf(tmp_path / "compound", ["train_00001.jpg 11", "train_00009.jpg 9"])
    samples, defects = read(tmp_path, section("rafdb"))
    assert label_of(samples) == {
        "basic/Image/aligned/test_0001_aligned.jpg": "surprise",
        "basic/Image/aligned/train_00001_aligned.jpg": "sadness",
        "basic/Image/aligned/train_00002_aligned.jpg": "neutral",
    }
    assert defects.empty and samples.subject.eq("unknown").all()
    assert list_subjects("own", section("rafdb"), tmp_path) == ["unknown"]
    whole, _ = read(tmp_path, section("rafdb", frames="original"))
    assert whole.frame_path.str.startswith("basic/Image/original/").all() and len(whole) == 3


def test_raf_in_folders_as_copies_have_it(tmp_path):
    draw(tmp_path / "DATASET/train/1/train_00003_aligned.jpg")
    draw(tmp_path / "DATASET/test/6/test_0002_aligned.jpg")
    samples, defects = read(tmp_path, section("rafdb"))
    assert samples.label.tolist() == ["anger", "surprise"] and defects.empty


def test_what_is_wrong_with_a_list(tmp_path):
    write_raf(tmp_path, ["train_00001.jpg 5", "train_00002.jpg 9"])
    (tmp_path / "EmoLabel/list_patition_label.txt").open("a").write("train_00003.jpg 1\n")
    draw(tmp_path / "Image/aligned/train_00004_aligned.jpg")
    samples, defects = read(tmp_path, section("rafdb"))
    assert samples.included.tolist() == [True, False]
    found = defects.set_index("defect").action
    assert "'9' is none of 1 (surprise), 2 (fear)" in found["bad_label_file"]
    assert found["annotation_without_frames"].startswith("1 of 3 faces of the list are not there as aligned")
    assert found["frames_without_annotation"] == "not used: 1 images"
    (tmp_path / "EmoLabel/list_patition_label.txt").write_text("train_00001.jpg 5\ntrain_00002\n")
    with pytest.raises(UserError, match=r"label.txt: line 2: 'train_00002' is not as train_00001.jpg 5"):
        read(tmp_path, section("rafdb"))


@pytest.mark.parametrize("inside", ["basic", "basic/Image", "basic/Image/aligned"])
@pytest.mark.parametrize("spelling", ["list_patition_label.txt", "list_partition_label.txt"])
def test_raf_from_any_folder_inside(tmp_path, inside, spelling):
    write_raf(tmp_path / "basic", ["train_00001.jpg 5", "test_0001.jpg 1"])
    file = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    file.write_text(file.read_text().replace("jpg 1", "jpg\t1").replace("jpg 5", "jpg,5"))
    file.rename(file.with_name(spelling))
    samples, defects = read(tmp_path / inside, section("rafdb"))
    assert samples.label.tolist() == ["surprise", "sadness"] and defects.empty


def test_images_without_labels_are_not_to_be_renamed(tmp_path):
    draw(tmp_path / "Image/aligned/train_00001_aligned.jpg")
    with pytest.raises(UserError, match=r"1 images without a label \(1 in Image/aligned\): put their labels"):
        read(tmp_path, section("rafdb"))


@pytest.mark.parametrize("folder", ["compound_expression", "RAF-Compound", "Compound set/data"])
def test_the_compound_set_is_passed_over_whatever_its_folder(tmp_path, folder):
    write_raf(tmp_path / "basic", ["train_00001.jpg 5"])
    write_raf(tmp_path / folder, ["train_00001.jpg 1", "train_00002.jpg 2"])
    samples, defects = read(tmp_path, section("rafdb"))
    assert samples.label.tolist() == ["sadness"] and defects.empty


def test_lists_that_disagree(tmp_path):
    write_raf(tmp_path / "basic", ["train_00001.jpg 5", "train_00002.jpg 4"])
    write_raf(tmp_path / "old", ["train_00001.jpg 1", "train_00002.jpg 4"], [])
    samples, defects = read(tmp_path, section("rafdb"))
    assert samples.included.tolist() == [False, True]
    assert defects.defect.tolist() == ["conflicting_annotation"]
    where = "EmoLabel/list_patition_label.txt:1"
    assert f"sadness in basic/{where}, surprise in old/{where}" in defects.action[0]


def test_list_and_folder_that_disagree(tmp_path):
    write_raf(tmp_path, ["train_00001.jpg 5"], ["1/train_00001_aligned.jpg"])
    samples, defects = read(tmp_path, section("rafdb"))
    assert defects.defect.tolist() == ["conflicting_annotation"] and not samples.included.any()
    assert "sadness in EmoLabel/list_patition_label.txt:1, surprise in Image/1" in defects.action[0]


def test_images_of_another_format_among_others_are_told(tmp_path):
    draw(tmp_path / "train/angry/0.jpg")
    for name in ("0.webp", "1.WEBP"):
        (tmp_path / "train/angry" / name).write_bytes(b"RIFF")
    (tmp_path / "features.npy").write_bytes(b"x")
    samples, defects = read(tmp_path, section("fer2013"))
    assert len(samples) == 1
    assert defects[["defect", "file", "action"]].to_numpy().tolist() == [[
        "frames_without_annotation", "train/angry",
        "not used: images of another format (train/angry/1.WEBP): convert them to png",
    ]]  # fmt: skip


def test_copies_of_doubled_folders_and_in_two_formats_count_once(tmp_path):
    for path in ("train/angry/0.jpg", "train/sad/1.jpg", "test/angry/0.jpg", "other/angry/0.jpg"):
        draw(tmp_path / "fer2013" / path, size=(48, 48))
    shutil.copytree(tmp_path / "fer2013", tmp_path / "archive" / "fer2013")
    image = tmp_path / "archive/fer2013/other/angry/0.jpg"
    Image.open(image).save(image.with_suffix(".png"))
    samples, defects = read(tmp_path, section("fer2013"))
    places = ["other/angry/0.jpg", "test/angry/0.jpg", "train/angry/0.jpg", "train/sad/1.jpg"]
    assert samples.frame_path.tolist() == [f"archive/fer2013/{place}" for place in places]
    assert Counter(defects.defect) == {"ambiguous_frames": 1, "unused_place": 4}
    assert defects.action[0] == "1 images are there in two formats; one is used"
    assert "archive/fer2013/train/sad is used for 1 images of both" in defects.action.tolist()


def test_fer_in_folders_by_name_or_number(tmp_path):
    for path in ("train/angry/a.jpg", "train/Happy/b.jpg", "test/sad/c.png", "test/6/d.jpg", "test/1/e.jpg"):
        draw(tmp_path / path, size=(48, 48))
    draw(tmp_path / "test/other/f.jpg")
    samples, defects = read(tmp_path, section("fer2013"))
    assert label_of(samples) == {
        "test/1/e.jpg": "disgust",
        "test/6/d.jpg": "neutral",
        "test/sad/c.png": "sadness",
        "train/angry/a.jpg": "anger",
        "train/Happy/b.jpg": "happiness",
    }
    assert defects.defect.tolist() == ["frames_without_annotation"] and defects.file[0] == "test/other"


def test_fer_as_a_table_of_pixels_by_the_command_of_the_message(tmp_path):
    cells = " ".join(["0"] * 4), " ".join(["200"] * 4)
    table = tmp_path / "fer 2013.csv"
    table.write_text(f"emotion, pixels, Usage\n0,{cells[0]},Training\n3,{cells[1]},PublicTest\n")
    with pytest.raises(UserError, match="holds pixels in place of images") as refused:
        read(tmp_path, section("fer2013"))
    command = str(refused.value).split("FOLDER: ")[1]
    folder = tmp_path / "images"
    words = [sys.executable, *shlex.split(command)[1:-1], str(folder)]
    assert subprocess.run(words, check=False).returncode == 0
    samples, _ = read(folder, section("fer2013"))
    assert samples.label.tolist() == ["anger", "happiness"]


def test_fer_by_the_table_that_has_labels(tmp_path):
    """Kaggle's test.csv has none."""
    (tmp_path / "test.csv").write_text("pixels\n1 2 3 4\n")
    with pytest.raises(UserError, match="no labelled images there"):
        read(tmp_path, section("fer2013"))
    (tmp_path / "train.csv").write_text("emotion,pixels\n0,1 2 3 4\n")
    with pytest.raises(UserError, match=r"train\.csv: holds pixels .*pixels \S*train\.csv FOLDER"):
        read(tmp_path, section("fer2013"))


@pytest.mark.parametrize("layout", ["rafdb", "fer2013", "affectnet"])
def test_numbers_of_folders_that_are_no_labels(tmp_path, layout):
    """As those of AffectNet's whole release, whose labels are in a table."""
    for number in (1, 2, 3, 103):
        draw(tmp_path / f"Manually_Annotated_Images/{number}/{number}.jpg")
    (tmp_path / "Manually_Annotated_Images/700").mkdir()
    with pytest.raises(
        UserError, match=r"Annotated_Images: 103 is none of . \(.*are the numbers .* labels\? Sort"
    ):
        read(tmp_path, section(layout))
    (tmp_path / "Manually_Annotated_Images").rename(tmp_path / "anger")
    samples, defects = read(tmp_path, section(layout))
    assert samples.label.tolist() == ["anger"] * 4 and defects.empty, "as the message says"


def test_affectnet_by_its_annotations(tmp_path):
    codes = {"0": "7", "1": "0", "2": "9", "3": "77"}
    for stem, code in codes.items():
        draw(tmp_path / f"train_set/images/{stem}.jpg")
        (tmp_path / "train_set/annotations").mkdir(exist_ok=True)
        np.save(tmp_path / f"train_set/annotations/{stem}_exp.npy", code)
        np.save(tmp_path / f"train_set/annotations/{stem}_val.npy", "0.5")
    draw(tmp_path / "train_set/images/4.jpg")
    (tmp_path / "train_set/annotations/4_exp.npy").write_bytes(b"damaged")
    settings = section("affectnet", classes=CLASSES | {"uncertain": None})
    samples, defects = read(tmp_path, settings)
    assert samples.label.tolist() == ["contempt", "neutral", "", "", ""]
    assert samples.reason.iloc[2].endswith("is mapped to null")
    assert defects.defect.tolist() == ["bad_label_file", "bad_label_file"]
    assert "'77' is none of 0 (neutral)" in defects.action[0]


@pytest.mark.parametrize(
    ("images", "annotations", "inside"),
    [
        ("train_set/images", "train_set/annotations", "train_set/images"),
        ("train_set/images/images", "train_set/annotations/annotations", "."),
        ("train_set/images/images", "train_set/annotations", "train_set"),
        ("train_set/images/images", "train_set/annotations/annotations", "train_set/images/images"),
    ],
)
def test_affectnet_from_any_folder_inside_and_doubled_ones(tmp_path, images, annotations, inside):
    draw(tmp_path / images / "0.jpg")
    (tmp_path / annotations).mkdir(parents=True)
    np.save(tmp_path / annotations / "0_exp.npy", "7")
    np.save(tmp_path / annotations / "0_lnd.npy", np.zeros(136))
    samples, defects = read(tmp_path / inside, section("affectnet"))
    assert samples.label.tolist() == ["contempt"] and defects.empty
    (tmp_path / annotations / "0_exp.npy").rename(tmp_path / annotations / "1_exp.npy")
    with pytest.raises(UserError) as refused:
        read(tmp_path / inside, section("affectnet"))
    assert "1 images without a label" in str(refused.value) and "another format" not in str(refused.value)


def test_affectnet_never_unpickles(tmp_path):
    np.save(tmp_path / "0_exp.npy", np.array([{"label": 3}], dtype=object), allow_pickle=True)
    assert parse_label(tmp_path / "0_exp.npy") == ""


def test_what_is_no_file_of_annotation(tmp_path):
    file = tmp_path / "0_exp.npy"
    np.save(file, np.array("3"))
    assert parse_label(file) == "3"
    whole = file.read_bytes()
    damaged = [b"", b"PK\x03\x04cut short", whole[:-1]]
    damaged += [whole.replace(b"()", text) for text in (b"(", b"(9999999999,)", b"(" + b"9" * 30 + b",)")]
    for content in damaged:
        file.write_bytes(content)
        assert parse_label(file) == ""
    with file.open("wb") as opened:
        np.savez(opened, label=np.array("3"))
    assert parse_label(file) == ""


def test_affectnet_in_folders(tmp_path):
    for path in ("train/Contempt/a.jpg", "train/5/b.jpg"):
        draw(tmp_path / path)
    samples, defects = read(tmp_path, section("affectnet"))
    assert samples.label.tolist() == ["disgust", "contempt"] and defects.empty


@pytest.mark.parametrize(("layout", "total"), [("rafdb", 15339), ("fer2013", 35887), ("affectnet", 291651)])
def test_nobody_is_named_so_no_split_keeps_people_apart(tmp_path, layout, total):
    settings = section(layout)
    assert sum(published(settings).labels.values()) == total
    draw(tmp_path / "anger/a.jpg")
    draw(tmp_path / "fear/b.jpg")
    samples, defects = read(tmp_path, settings)
    assert "no split that keeps persons apart" in doctor.summarize(
        samples.reset_index(drop=True), defects, settings, published(settings)
    )
    shipped = dump(CONFIG)
    shipped["datasets"]["own"] = dump(settings)
    with pytest.raises(UserError, match="target: own names no subjects, and none can be left out"):
        load_config(shipped | {"target": "own"})
    assert load_config(shipped | {"source": "own"}).pretraining_splits == ["frame"]


@pytest.mark.parametrize("layout", ["rafdb", "fer2013", "affectnet"])
def test_the_simulated_copy_is_read_as_it_was_planned(tmp_path, layout):
    known, kind = published(section(layout)), clip_set(layout)
    full, images = kind.classes["full"], sum(known.labels.values())
    share = min(1, 40_000 / images)  # AffectNet itself would take hours
    assert full == {label: int(share * number) for label, number in known.labels.items()}
    assert sum(kind.counts["full"]) == sum(full.values()) > 15_000
    simulate(layout, tmp_path / layout, TINY)
    settings = section(layout, root="simulated", classes={name: name for name in known.labels})
    samples, defects = read(tmp_path / layout, settings)
    planned = enumerate(plan(layout, "tiny", 0))
    written = {kind.file(clip, place, clip.apex): clip.label for place, clip in planned}
    found = label_of(samples)
    again = set(found) - set(written)
    assert written == {path: label for path, label in found.items() if path not in again}
    assert Counter(written.values()) == dict.fromkeys(known.labels, 3)
    assert len(again) == (layout == "fer2013"), "one face is in two parts"
    assert defects.defect.tolist() == ["duplicate_image"] * len(again)
    edge, mode = {"rafdb": (100, "RGB"), "fer2013": (48, "L"), "affectnet": (224, "RGB")}[layout]
    pictures = [Image.open(tmp_path / layout / path) for path in found]
    assert {(picture.size, picture.mode) for picture in pictures} == {((edge, edge), mode)}


@pytest.mark.parametrize(
    ("layout", "barred", "remedy", "mended"),
    [
        (
            "rafdb",
            {"frames": "original"},
            "frames: original is not simulated; set auto or aligned",
            "aligned",
        ),
        ("smic", {"camera": "VIS"}, "camera: VIS is not simulated; set HS", "HS"),
        ("smic", {"extended": True}, "extended: true is not simulated; set false", False),
        ("oulu_casia", {"light": "Dark"}, "light: Dark is not simulated; set Strong", "Strong"),
        ("oulu_casia", {"camera": "NI"}, "camera: NI is not simulated; set VL", "VL"),
        ("casme3", {"part": "C"}, "part: C is not simulated; set A", "A"),
    ],
)
def test_what_bars_a_stand_in_is_said_with_its_key(layout, barred, remedy, mended):
    shipped = dump(CONFIG)
    shipped["datasets"]["own"] = dump(section(layout, root="simulated", **barred))
    message = f"datasets.own.{remedy}, or the folder of your copy under root"
    with pytest.raises(UserError, match=rf"{re.escape(message)}$"):
        load_config(shipped)
    shipped["datasets"]["own"] |= dict.fromkeys(barred, mended)
    assert "own" in load_config(shipped).datasets


def test_a_table_of_ones_own_has_no_stand_in():
    shipped = dump(CONFIG)
    shipped["datasets"]["own"] = dump(section("tabular", root="simulated", table="a.csv"))
    with pytest.raises(
        UserError, match=r"datasets.own.root: the layout tabular is not simulated; give a folder$"
    ):
        load_config(shipped)


@pytest.mark.parametrize("layout", ["rafdb", "fer2013", "affectnet"])
def test_an_empty_folder(tmp_path, layout):
    with pytest.raises(UserError, match=r"no labelled images there .*give the folder of your copy"):
        read(tmp_path, section(layout))
    (tmp_path / "faces.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"but archives \(faces\.zip\): unpack them there"):
        read(tmp_path, section(layout))
