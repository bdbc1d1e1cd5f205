"""SMIC is read from its folders and names; SMIC-E from its long clips and their table."""

import openpyxl
import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.smic import Smic
from mer_core.datasets.manifest import is_to_be_spotted
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

NAMES = ["s1_ne_01", "s1_po_02", "s2_sur_01", "s2_ne_10"]
FOLDERS = {"ne": "negative", "po": "positive", "sur": "surprise"}
CLASSES = {name: name for name in FOLDERS.values()}


def smic(**changes):
    values = {"layout": "smic", "root": "own", "classes": CLASSES, "subjects": ["s01", "s02"]}
    return Smic.model_validate(values | changes)


def write_clip(tree, name, frames=range(563854, 563863), file="image{}.bmp"):
    person, token, _ = name.split("_")
    for frame in frames:
        draw(tree / person / "micro" / FOLDERS[token] / name / file.format(frame))


def write_smic(root, tree="SMIC_all_raw/HS", names=NAMES, **clip):
    for name in names:
        write_clip(root / tree, name, **clip)


def kinds(defects):
    return [kind for kind in defects.defect if kind != "one_class_subject"]  # of copies of a few clips


@pytest.mark.parametrize(
    ("tree", "file"),
    [
        ("SMIC_all_raw/HS", "image{}.bmp"),
        ("SMIC_all_cropped/HS", "reg_image{}.bmp"),
        ("HS", "image{:08d}.jpg"),
        (".", "{}.jpg"),
    ],
)
def test_the_released_trees(tmp_path, tree, file):
    write_smic(tmp_path, tree, file=file)
    samples, defects = read(tmp_path, smic())
    assert samples.index.tolist() == ["s01/s01_ne_01", "s01/s01_po_02", "s02/s02_ne_10", "s02/s02_sur_01"]
    assert samples.label.tolist() == ["negative", "positive", "negative", "surprise"]
    assert samples[["onset", "offset"]].iloc[0].tolist() == [563854, 563862]
    assert is_to_be_spotted(samples).all()
    assert samples.fps.tolist() == [100.0] * 4
    assert kinds(defects) == []


def test_the_midpoint(tmp_path):
    write_smic(tmp_path)
    samples, _ = read(tmp_path, smic(missing_apex="midpoint"))
    assert samples.apex.tolist() == [563858] * 4
    assert samples.apex_source.eq("midpoint").all()


def test_what_is_no_expression_is_passed_over(tmp_path):
    write_smic(tmp_path)
    for frame in range(3):
        draw(tmp_path / "SMIC_all_raw" / "HS" / "s1" / "non_micro" / "s1_ne_09" / f"image{frame}.bmp")
    samples, defects = read(tmp_path, smic())
    assert len(samples) == 4
    assert kinds(defects) == []


def test_cameras_show_the_same_events(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, "SMIC_all_raw/VIS", NAMES[:2], file="{:05d}.bmp", frames=range(7750, 7756))
    samples, defects = read(tmp_path, smic(camera="VIS", subjects=["s01"]))
    assert samples.onset.tolist() == [7750, 7750]
    assert samples.fps.tolist() == [25.0, 25.0]
    assert kinds(defects) == []
    assert len(read(tmp_path, smic())[0]) == 4
    with pytest.raises(UserError, match=r"no frames there \(NIR/s1/micro"):
        read(tmp_path, smic(camera="NIR"))


def test_what_other_settings_would_take_is_said(tmp_path):
    write_smic(tmp_path)
    with pytest.raises(UserError, match=r"but those of camera: HS; write one of these$"):
        read(tmp_path, smic(camera="VIS"))
    (tmp_path / "SMIC_all_raw/HS").rename(tmp_path / "SMIC_all_raw/HS_long")
    with pytest.raises(UserError, match=r"but those of extended: true; write one of these$"):
        read(tmp_path, smic())


@pytest.mark.parametrize("inside", ["VIS", "VIS/s1", "VIS/s1/micro"])
def test_the_camera_is_told_above_the_root(tmp_path, inside):
    write_smic(tmp_path, "SMIC_all_raw/VIS", NAMES[:2])
    with pytest.raises(UserError, match=r"but those of camera: VIS; write one of these$"):
        read(tmp_path / "SMIC_all_raw" / inside, smic())
    samples, _ = read(tmp_path / "SMIC_all_raw" / inside, smic(camera="VIS", subjects=["s01"]))
    assert samples.fps.tolist() == [25.0, 25.0]


def test_a_link_does_not_make_a_camera_another(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, "SMIC_all_raw/VIS", NAMES[:2])
    (tmp_path / "latest").symlink_to(tmp_path / "SMIC_all_raw/HS")
    samples, defects = read(tmp_path, smic(camera="VIS", subjects=["s01"]))
    assert samples.frame_path.str.startswith("SMIC_all_raw/VIS/").all() and len(samples) == 2
    assert kinds(defects) == []
    assert kinds(read(tmp_path, smic())[1]) == []


def test_folders_that_no_name_places_are_told(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, "SMIC_all_raw/VIS", NAMES[:2])
    draw(tmp_path / "SMIC_all_raw/HS/s1/non_micro/s1_01/image1.bmp")
    home = tmp_path / "SMIC_all_raw/HS/s1/micro"
    (home / "negative/s1_ne_01").rename(home / "negative/s1_ne_01 (1)")
    (home / "positive/s1_po_02").rename(home / "positive/s1_po02 - Copy")
    samples, defects = read(tmp_path, smic())
    assert len(samples) == 4 and kinds(defects) == []
    (home / "negative/s1_ne_01 (1)").rename(home / "negative/clip01")
    samples, defects = read(tmp_path, smic())
    assert len(samples) == 3
    [told] = defects[defects.defect == "frames_without_annotation"].iloc
    assert told.file == "SMIC_all_raw/HS/s1/micro/negative/clip01"
    assert told.action.startswith(
        "not used: 9 frames, in no folder named as in HS/s1/micro/negative/s1_ne_01"
    )


def test_names_that_differ_in_zeros_are_one_clip(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, "SMIC_all_cropped/HS", ["s01_ne_1"], file="reg_image{}.bmp")
    samples, defects = read(tmp_path, smic())
    assert len(samples) == 4
    assert samples.frame_path["s01/s01_ne_01"].startswith("SMIC_all_raw/")
    assert kinds(defects) == ["unused_place"]


def test_a_clip_in_two_parts_is_not_cut_to_one_of_them(tmp_path):
    write_smic(tmp_path, "HS", NAMES[1:])
    write_clip(tmp_path / "HS", NAMES[0], range(1, 6))
    write_clip(tmp_path / "HS (1)", NAMES[0], range(6, 13))
    samples, defects = read(tmp_path, smic())
    assert samples.included.tolist() == [False, True, True, True]
    [told] = defects[defects.defect == "split_clip"].iloc
    assert (told.severity, told.file) == ("error", "HS/s1/micro/negative/s1_ne_01")
    assert "frames 1 to 5 are not in HS (1)/s1/micro/negative/s1_ne_01, which has 7; put them" in told.action
    for file in (tmp_path / "HS" / "s1/micro/negative/s1_ne_01").iterdir():
        file.rename(tmp_path / "HS (1)" / "s1/micro/negative/s1_ne_01" / file.name)
    samples, defects = read(tmp_path, smic())
    assert samples[["onset", "offset"]].iloc[0].tolist() == [1, 12] and kinds(defects) == [], "as it says"


def test_frames_that_another_kind_has_beyond_are_told(tmp_path):
    write_smic(tmp_path)
    write_clip(tmp_path / "cropped", NAMES[0], range(563860, 563866))
    samples, defects = read(tmp_path, smic())
    assert samples.included.all()
    [told] = defects[defects.defect == "unused_frames"].iloc
    assert told.action.endswith("s1_ne_01 is used; frames that lack there: 563863, 563864, 563865")


def test_the_name_counts_where_a_folder_contradicts(tmp_path):
    write_smic(tmp_path)
    home = tmp_path / "SMIC_all_raw" / "HS" / "s2" / "micro"
    (home / "surprise" / "s2_sur_01").rename(home / "negative" / "s2_sur_01")
    samples, defects = read(tmp_path, smic())
    assert samples.label["s02/s02_sur_01"] == "surprise"
    assert kinds(defects) == ["contradicted_label"]


def test_a_clip_among_those_of_another_person(tmp_path):
    write_smic(tmp_path)
    (tmp_path / "SMIC_all_raw/HS/s2/micro/negative/s2_ne_10").rename(
        tmp_path / "SMIC_all_raw/HS/s1/micro/negative/s2_ne_10"
    )
    samples, defects = read(tmp_path, smic())
    assert samples.subject["s02/s02_ne_10"] == "s02"
    assert kinds(defects) == ["other_person"]


HEADER = [
    "Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", None, "FirstF", "LastF",
    "TotalMF1", "TotalMF2", "TotalVL", "Emotion",
]  # fmt: skip


def write_extended(root, rows):
    """Clips of 30 frames from 17581039 on; each row is a name, onset, offset, length, label."""
    tree = root / "SMIC-E_raw image" / "HS_long" / "SMIC-HS-E"
    book = openpyxl.Workbook()
    book.active.title = "HS"
    book.active.append(HEADER)
    for name, onset, offset, length, label in rows:
        row = [
            name[:3],
            name,
            None,
            onset,
            offset,
            None,
            None,
            None,
            "=VIS!A1",
            None,
            length,
            None,
            None,
            label,
        ]
        book.active.append(row)
        for frame in range(17581039, 17581049):
            draw(tree / name.split("_")[0] / name / f"image{frame}.jpg")
    book.active.append([])
    book.active.append(["note", "what stands below the table"])
    book.create_sheet("Sheet2")
    tree.parent.mkdir(parents=True, exist_ok=True)
    book.save(tree.parent / "SMIC-HS-E_annotation.xlsx")


def test_the_long_clips(tmp_path):
    rows = [
        ("s01_ne_01", 17581041, 17581046, 6, "negative"),
        ("s01_po_02", 17581041, "=D3+K3-1", 6, "positive"),
        ("s02_sur_01", 17581040, 17581047, 8, "negative"),
    ]
    write_extended(tmp_path, rows)
    write_smic(tmp_path)
    samples, defects = read(tmp_path, smic(extended=True, missing_apex="midpoint"))
    assert samples.label.tolist() == ["negative", "positive", "surprise"], "the name's"
    assert samples.offset.tolist() == [17581046, 17581046, 17581047]
    assert samples.frame_path.str.startswith("SMIC-E_raw image/HS_long/SMIC-HS-E/").all()
    assert sorted(kinds(defects)) == ["contradicted_label", *["missing_apex"] * 3]
    assert len(read(tmp_path, smic())[0]) == 4, "long clips are not taken for cut ones"


def test_a_sheet_for_each_camera(tmp_path):
    write_extended(tmp_path, [("s01_ne_01", 17581041, 17581046, 6, "negative")])
    path = next(tmp_path.rglob("*.xlsx"))
    book = openpyxl.load_workbook(path)
    book.create_sheet("VIS").append(HEADER)
    book["VIS"].append(["s01", "s01_ne_01", None, 3, 6, *[None] * 5, 4, None, None, "negative"])
    book.save(path.with_name("SMIC-E_annotation.xlsx"))
    path.unlink()
    for frame in range(1, 9):
        draw(tmp_path / "SMIC-E_raw image/VIS_long/SMIC-VIS-E/s01/s01_ne_01" / f"{frame:05d}.jpg")
    for camera, offset in (("HS", 17581046), ("VIS", 6)):
        settings = smic(extended=True, camera=camera, subjects=["s01"], missing_apex="midpoint")
        samples, _ = read(tmp_path, settings)
        assert samples.included.tolist() == [True]
        assert samples.offset.tolist() == [offset]


def test_people_and_counts_by_camera(tmp_path):
    assert len(list_subjects("smic", smic(subjects=None), tmp_path)) == 16
    assert len(list_subjects("smic", smic(subjects=None, camera="NIR"), tmp_path)) == 8
    for settings, count in ((smic(), 164), (smic(camera="VIS"), 71), (smic(extended=True), 157)):
        assert sum(published(settings).labels.values()) == count
    known = published(smic())
    [clips] = known.clips_per_subject.values()
    assert sum(clips) == 164
    assert len(clips) == len(known.subjects)
