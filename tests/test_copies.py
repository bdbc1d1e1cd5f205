"""However a copy was unpacked, nothing of it is dropped in silence: what fits is used, the rest is named."""

import io
import re
import shutil
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest
import yaml
from dataset_samples import (
    CONFIG,
    ROWS,
    WORKBOOK,
    casme2_settings,
    ckplus_settings,
    draw,
    read,
    write_casme2,
    write_ckplus,
    write_frames,
    write_workbook,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_stills import section, write_raf

from mer_core.config.experiment import load_config
from mer_core.config.section import dump
from mer_core.datasets.annotated import Candidate, clip_key, find_frames
from mer_core.datasets.clips import clip_frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, series
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.reading import list_beside, read_dataset
from mer_core.datasets.workbook import read_table
from mer_core.errors import UserError

APEXES = {"sub01/EP02_01f": 8, "sub01/EP03_02": 101, "sub02/EP01_2": 7, "sub02/EP09f": 10}
SMALL = [
    (label, subject, number, [15, 16, 17])
    for label, number in (("happy", "004"), ("anger", "001"))
    for subject in ("S010", "S011", "S014")
]


def kinds(defects):
    return defects["defect"].tolist()


# CASME II


@pytest.mark.parametrize(
    "place",
    [
        "Cropped/sub{0}/sub{0}",  # one archive per subject, each unpacked into a folder of its name
        "Cropped/part{1}/sub{0}",
        "drive-download-2023-{1}/Cropped/sub{0}",
        "Cropped/{2}/sub{0}",  # class, subject, clip
        "Cropped/sub{0}/{2}",
        "sub{0}/Cropped",
        "s{0}",
        "sub {0}",
        "subject{0}",
        "SUB{0}",
        "Sub_{0}",
        "sub{0} (1)",
        "sub{0} 2",
        "sub{0} - Copy",
        "sub{0}.zip",
        "\uff53\uff55\uff42{0}",
    ],
)
def test_places_that_share_no_clip_are_united(tmp_path, place):
    write_workbook(tmp_path / WORKBOOK)
    for number, row in enumerate(ROWS):
        write_frames(tmp_path, [row], subject=place.format(row[0], number % 2, row[-1]))
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert samples.apex.to_dict() == APEXES
    assert defects.empty


@pytest.mark.parametrize("name", ["{} ", "{}.avi", "{}.AVI", " {}"])
def test_names_of_clips(tmp_path, name):
    write_frames(tmp_path / "Cropped", [(row[0], name.format(row[1]), *row[2:]) for row in ROWS])
    write_workbook(tmp_path / WORKBOOK)
    assert read(tmp_path, casme2_settings())[0].apex.to_dict() == APEXES
    other = tmp_path / "other"
    write_frames(other / "Cropped")
    write_workbook(other / WORKBOOK, [(row[0], name.format(row[1]), *row[2:]) for row in ROWS])
    assert read(other, casme2_settings())[0].apex.to_dict() == APEXES


def test_images_deeper_than_their_clips_folder_are_named(tmp_path):
    write_casme2(tmp_path, tree="Cropped")
    clip = tmp_path / "Cropped/sub01/EP02_01f"
    (clip / "frames").mkdir()
    for image in clip.glob("*.jpg"):
        image.rename(clip / "frames" / image.name)
    samples, _ = read(tmp_path, casme2_settings())
    why = samples.reason["sub01/EP02_01f"]
    assert why.endswith("; move the images of Cropped/sub01/EP02_01f/frames right into the clip's folder")


def test_a_subjects_or_a_clips_folder_as_root(tmp_path):
    write_casme2(tmp_path, tree=".")
    samples, _ = read(tmp_path / "sub01", casme2_settings(["sub01"]))
    assert samples[samples.included].index.tolist() == ["sub01/EP02_01f", "sub01/EP03_02"]
    write_workbook(tmp_path / "sub01" / WORKBOOK)
    samples, _ = read(tmp_path / "sub01" / "EP02_01f", casme2_settings(["sub01"]))
    assert samples[samples.included].frame_path.tolist() == ["img8.jpg"]


def test_of_two_places_the_better_is_used_and_the_other_is_named(tmp_path):
    write_casme2(tmp_path, tree="Cropped/part1")
    write_frames(tmp_path / "Cropped/part2", ROWS[:2])
    clip = "sub01/EP02_01f"
    for frame in (6, 7):
        (tmp_path / "Cropped/part1" / clip / f"img{frame}.jpg").unlink()
    for frame in (101, 102):
        (tmp_path / "Cropped/part2/sub01/EP03_02" / f"img{frame}.jpg").unlink()
    (tmp_path / "Cropped/part2" / clip / "img12.jpg").unlink()
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    folders = samples.frame_path.str.split("/").str[1]
    assert folders.tolist() == ["part2", "part1", "part1", "part1"]
    named = defects[defects.defect == "unused_frames"].iloc[0]
    assert named.file == "Cropped/part1"
    assert named.action == (
        "Cropped/part2 is used; 1 clips have frames here that lack there, first sub01/EP02_01f: 12"
    )
    assert "Cropped/part2" in defects[defects.defect == "unused_place"].file.tolist()


TREES = ["part1", "part2", "sub01", "a/b"]
HELD = st.dictionaries(st.sampled_from(TREES), st.sets(st.integers(6, 12), min_size=1), min_size=1)


@given(held=st.lists(HELD, min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_no_apex_on_disk_is_lost(held):
    """Wherever the frames of clips lie, a clip is used if and only if some folder has its apex."""
    rows = [(f"{n:02d}", "EP01", 6, 8, 12, 1, "others") for n in (1, 2, 3)]
    samples = [
        new_sample("casme2", f"sub{row[0]}", "EP01", onset=6, apex=8, offset=12, apex_source="annotated")
        for row in rows
    ]
    root, findings = Root("/nowhere"), Findings({})
    candidates = []
    for sample, places in zip(samples, held, strict=True):
        for place in sorted(places):
            folder = root.path / place / sample["subject"] / "EP01"
            frames = series(folder, [f"img{number}.jpg" for number in places[place]])
            key = clip_key(sample["subject"], "EP01")
            candidates.append(Candidate(key, folder, root.path / place, "cropped", frames))
    find_frames("casme2", casme2_settings(), samples, candidates, ["cropped"], {}, root, findings)
    told = findings.table()
    for sample, places in zip(samples, held, strict=True):
        assert sample["included"] == any(8 in numbers for numbers in places.values())
        if not sample["included"]:
            continue
        used = next(place for place in places if sample["frame_path"].startswith(f"{place}/"))
        usable = [numbers for numbers in places.values() if 8 in numbers]
        whole = [numbers for numbers in usable if {6, 12} <= numbers]
        assert len(places[used]) == max(map(len, whole or usable))
        for place, numbers in places.items():
            if numbers - places[used]:
                assert place in told[told.defect == "unused_frames"].file.tolist()


def test_one_lost_clip_moves_no_other(tmp_path):
    write_casme2(tmp_path)
    write_frames(tmp_path / "Cropped", name="reg_img{}.jpg")
    shutil.rmtree(tmp_path / "CASME2_RAW_selected/sub02/EP09f")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert samples.frame_path.str.startswith("CASME2_RAW_selected/").tolist() == [True, True, True, False]
    mixed = defects[defects.defect == "mixed_kinds"].iloc[0]
    assert (mixed.file, mixed.severity) == ("Cropped", "warning")
    assert "sub02/EP09f" in mixed.action
    shutil.rmtree(tmp_path / "CASME2_RAW_selected/sub01")
    shutil.rmtree(tmp_path / "CASME2_RAW_selected/sub02/EP01_2")
    draw(tmp_path / "CASME2_RAW_selected/sub01/EP02_01f/img8.jpg")
    samples, _ = read(tmp_path, casme2_settings())
    assert samples.frame_path.str.startswith("Cropped/").all(), "one clip of the better kind decides nothing"


@pytest.mark.parametrize("first", [0, 1])
def test_renumbered_frames(tmp_path, first):
    write_workbook(tmp_path / WORKBOOK)
    moved = [(row[0], row[1], first, None, row[4] - row[2] + first, *row[5:]) for row in ROWS]
    write_frames(tmp_path / "Cropped", moved)
    samples, defects = read(tmp_path, casme2_settings())
    assert not samples.included.any()
    found = defects[defects.defect == "renumbered_frames"]
    assert found.severity.eq("error").all() and len(found) == 4
    assert f"{98 - first} lower;" in found.action.iloc[1]
    key, value = re.search(r"set datasets\.casme2\.(\w+): (\w+)", found.action.iloc[0]).groups()
    samples, defects = read(tmp_path, casme2_settings(**{key: value}))
    assert samples.included.all()
    assert defects.empty
    assert samples.onset.eq(first).all()
    assert samples.apex.tolist() == [row[3] - row[2] + first for row in ROWS]
    for (_, sample), row in zip(samples.iterrows(), ROWS, strict=True):
        assert list(clip_frames(tmp_path, sample)) == list(range(first, row[4] - row[2] + first + 1))


def test_frame_numbers_are_never_guessed_per_clip(tmp_path):
    write_workbook(tmp_path / WORKBOOK)
    write_frames(tmp_path / "Cropped", ROWS[:2])
    write_frames(tmp_path / "Cropped", [("02", "EP01_2", 1, 2, 4), ("02", "EP09f", 1, 2, 3)])
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.tolist() == [True, True, False, False]
    assert kinds(defects)[:2] == ["renumbered_frames"] * 2
    samples, defects = read(tmp_path, casme2_settings(frame_numbers="from_onset"))
    assert samples.included.tolist() == [False, False, True, True]
    assert kinds(defects)[:2] == ["renumbered_frames"] * 2


def test_files_that_were_made_of_frames_are_no_apex(tmp_path):
    write_casme2(tmp_path, tree="Cropped", name="reg_img{}.jpg")
    clip = tmp_path / "Cropped/sub01/EP02_01f"
    for frame in range(6, 13):
        (clip / f"reg_img{frame}.jpg").rename(clip / f"flow_{frame}.jpg")
    draw(clip / "reg_img8.jpg")
    samples, _ = read(tmp_path, casme2_settings())
    assert samples.frame_path.iloc[0] == "Cropped/sub01/EP02_01f/reg_img8.jpg"
    (clip / "reg_img8.jpg").rename(clip / "reg_img9.jpg")
    samples, defects = read(tmp_path, casme2_settings())
    assert not samples.included.iloc[0]
    assert kinds(defects)[0] == "missing_apex_frame"


def test_a_degenerate_apex_may_be_kept(tmp_path):
    rows = [("01", "EP02_01f", 6, 6, 12, 1, "happiness"), ("01", "EP03_02", 98, "/", 103, 1, "disgust")]
    write_workbook(tmp_path / WORKBOOK, rows)
    draw(tmp_path / "Cropped/sub01/EP02_01f/img6.jpg")
    draw(tmp_path / "Cropped/sub01/EP03_02/img99.jpg")
    samples, defects = read(tmp_path, casme2_settings(["sub01"], missing_apex="keep"))
    assert samples.included.tolist() == [True, False]
    assert samples.apex_source.tolist() == ["annotated", "none"]
    assert samples.frame_path.iloc[0].endswith("img6.jpg")
    assert {"degenerate_apex", "missing_apex"} <= set(kinds(defects))


def link_files(store, root, of="*"):
    """Move what lies under a folder into a store, and leave links, file by file."""
    for file in [path for path in root.rglob(of) if path.is_file()]:
        target = store / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
        file.symlink_to(target)


@pytest.mark.parametrize("what", ["frames", "clips", "subjects", "tree", "workbook"])
def test_links_to_a_store(tmp_path, what):
    root, store = tmp_path / "root", tmp_path / "store"
    write_casme2(root)
    store.mkdir()
    if what in ("frames", "workbook"):
        link_files(store, root, "*.jpg" if what == "frames" else "*.xlsx")
    else:
        depth = {"clips": "*/*/*", "subjects": "*/sub*", "tree": "CASME2*selected"}[what]
        for number, folder in enumerate(sorted(root.glob(depth))):
            folder.rename(store / f"{number}")
            folder.symlink_to(store / f"{number}")
    try:
        _, defects = read(root, casme2_settings())
        said = "; ".join(defects[defects.defect == "leaves_root"].action)
    except UserError as error:
        said = str(error)
    assert "link" in said
    if what == "workbook":
        changes = {"workbook": re.search(r"set datasets\.casme2\.workbook: (\S+)", said)[1]}
    else:
        changes = {
            "link_roots": yaml.safe_load(re.search(r"datasets\.casme2\.link_roots: (\[.*?\])", said)[1])
        }
    samples, defects = read(root, casme2_settings(**changes))
    assert samples.apex.to_dict() == APEXES
    assert defects.empty
    for row in samples.iloc:
        assert len(clip_frames(root, row)) == row.offset - row.onset + 1


@pytest.mark.parametrize("what", ["clips", "hidden", "again", "loop", "one"])
def test_links_within_the_root(tmp_path, what):
    """Which may have the names that their targets lack, or lead to what is hidden."""
    write_casme2(tmp_path)
    tree = tmp_path / "CASME2_RAW_selected"
    (tmp_path / "store").mkdir()
    clip = tree / "sub01/EP02_01f"
    if what == "clips":
        for number, folder in enumerate(sorted(tree.glob("*/*"))):
            folder.rename(tmp_path / f"store/rec_{number}")
            folder.symlink_to(Path("../../store") / f"rec_{number}")
    elif what == "hidden":
        tree.rename(tmp_path / ".frames")
        tree.symlink_to(".frames")
    elif what == "again":
        (tmp_path / "latest").symlink_to(tree)
        (tree / "sub01/again").symlink_to(".")
    elif what == "loop":
        (clip / "up").symlink_to("../..")
        (tree / "all").symlink_to("..")
    else:
        clip.rename(clip.with_name("EP02_01"))
        clip.symlink_to("EP02_01")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all() and samples.apex.to_dict() == APEXES
    assert samples.frame_path.str.startswith("CASME2_RAW_selected/").all()
    assert kinds(defects) == (["frames_without_annotation"] if what == "one" else [])


def test_links_to_several_stores_by_one_line(tmp_path):
    """With what link_roots has already, so that whoever follows the advice is done."""
    root, store = tmp_path / "root", tmp_path / "store"
    write_casme2(root)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        for subject, folder in (("sub01", store / "a"), ("sub02", Path(name) / "b")):
            shutil.copytree(root / "CASME2_RAW_selected" / subject, folder)
            shutil.rmtree(root / "CASME2_RAW_selected" / subject)
            (root / "CASME2_RAW_selected" / subject).symlink_to(folder)
        for given in ((), (str(store),)):
            try:
                said = " ".join(read(root, casme2_settings(link_roots=given))[1].action)
            except UserError as error:
                said = str(error)
            [told] = re.findall(r"datasets\.casme2\.link_roots: (\[.*?\])", said)
            assert set(given) <= set(yaml.safe_load(told))
        samples, defects = read(root, casme2_settings(link_roots=yaml.safe_load(told)))
        assert samples.apex.to_dict() == APEXES and defects.empty


def test_links_that_lead_nowhere_are_named(tmp_path):
    root = tmp_path / "root"
    write_casme2(root)
    link_files(tmp_path / "store", root, "*.jpg")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match=r"no frames there .* 20 links such as .* lead nowhere"):
        read(root, casme2_settings())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sub01/EP02_01f.avi", "sub01/EP03_02.avi"], r"videos \(sub01/EP02_01f.avi, .*numbered images"),
        (["Cropped.zip", "raw.rar"], r"archives \(Cropped.zip, raw.rar\): unpack them there"),
        (["sub01/EP02_01f/img8.webp"], r"another format \(sub01/EP02_01f/img8.webp\): convert them"),
    ],
)
def test_what_lies_there_instead_of_frames(tmp_path, names, said):
    write_workbook(tmp_path / WORKBOOK)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=said):
        read(tmp_path, casme2_settings())
    with pytest.raises(UserError, match=said):
        read(tmp_path, ckplus_settings())
    write_frames(tmp_path / "Cropped", ROWS[1:])
    _, defects = read(tmp_path, casme2_settings())
    lost = defects[defects.defect == "annotation_without_frames"].iloc[0]
    assert (names[0] in lost.action) == ("EP02_01f" in names[0])


def test_a_depth_that_is_documented(tmp_path):
    write_casme2(tmp_path, tree="1/2/3/4/5/6")
    assert read(tmp_path, casme2_settings())[0].included.all()
    write_casme2(tmp_path / "deeper", tree="1/2/3/4/5/6/7")
    with pytest.raises(UserError, match="down to 8 folders deep"):
        read(tmp_path / "deeper", casme2_settings())


@pytest.mark.parametrize("suffix", ["tif", "TIFF", "tiff", "PNG"])
def test_frames_of_every_format(tmp_path, suffix):
    write_casme2(tmp_path)
    for file in tmp_path.rglob("*.jpg"):
        with Image.open(file) as image:
            image.save(file.with_suffix(f".{suffix}"))
        file.unlink()
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert defects.empty


def test_colours_of_which_no_depth_can_be_told(tmp_path):
    write_casme2(tmp_path, name="img{}.png")
    for file in tmp_path.rglob("*.png"):
        cv2.imwrite(str(file), cv2.imread(str(file)).astype(np.uint16) * 16)
    [hint] = read(tmp_path, casme2_settings())[1].iloc
    assert hint.defect == "unused_bits"
    assert hint.action.endswith("wrote 12 bits, divide the colours by 16 and save all frames with 8 bits")
    for file in tmp_path.rglob("*.png"):
        cv2.imwrite(str(file), (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) // 16).astype(np.uint8))
    assert read(tmp_path, casme2_settings())[1].empty, "as it says"


@pytest.mark.parametrize("bits", [10, 12])
def test_frames_whose_camera_wrote_fewer_bits_than_the_file_has(tmp_path, bits):
    from mer_core.faces.cache import read_cache
    from mer_core.faces.samples import align_samples
    from mer_core.motion.clip import open_clip

    plain, deep = tmp_path / "plain", tmp_path / "deep"
    write_casme2(plain, name="img{}.png")
    for file in plain.rglob("*.png"):
        gray = np.asarray(Image.open(file).convert("L"))
        Image.fromarray(gray).save(file)
        (deep / file.relative_to(plain)).parent.mkdir(parents=True, exist_ok=True)
        wide = np.rint(gray * ((2**bits - 1) / 255)).astype(np.uint16)
        Image.fromarray(wide).save(deep / file.relative_to(plain))
    shutil.copy(plain / WORKBOOK, deep)
    _, defects = read(deep, casme2_settings())
    [hint] = defects.iloc
    assert (hint.defect, hint.severity) == ("unused_bits", "warning")
    key, value = re.search(r"write datasets\.casme2\.(\w+): (\d+)", hint.action).groups()
    told, defects = read(deep, casme2_settings(**{key: int(value)}))
    assert defects.empty and told.bit_depth.eq(bits).all()
    samples, _ = read(plain, casme2_settings())
    precropped = CONFIG.alignment.model_copy(update={"mode": "precropped", "size": 12})
    shown = []
    for rows, root in ((samples, plain), (told, deep)):
        align_samples("casme2", rows, root, precropped, tmp_path / "x.h5", tmp_path / "x.csv")
        clip = open_clip(root, rows.iloc[0], np.eye(2, 3), 12)
        shown.append([read_cache(tmp_path / "x.h5").images, *clip.images.values(), *clip.colors.values()])
    for one, other in zip(*shown, strict=True):
        assert np.array_equal(one, other)


def test_a_depth_that_the_values_prove_wrong(tmp_path):
    write_casme2(tmp_path, name="img{}.png")
    frame = tmp_path / "CASME2_RAW_selected/sub01/EP02_01f/img8.png"
    Image.fromarray(np.array([[5000, 0]], np.uint16)).save(frame)
    samples, defects = read(tmp_path, casme2_settings(bit_depth=12))
    found = defects[defects.row == "casme2/sub01/EP02_01f"].iloc[0]
    assert found.severity == "error" and found.file == str(frame.relative_to(tmp_path))
    assert "holds the value 5000, where datasets.casme2.bit_depth: 12 ends at 4095" in found.action
    assert samples.included.tolist() == [False, True, True, True]
    assert read(tmp_path, casme2_settings())[1].defect.tolist() == ["unused_bits"]


# Tables


@pytest.mark.parametrize("suffix", ["ods", "xlsb"])
def test_a_table_that_no_reader_opens_is_named(tmp_path, suffix):
    write_casme2(tmp_path)
    (tmp_path / WORKBOOK).rename(tmp_path / f"CASME2-coding.{suffix}")
    with pytest.raises(UserError, match=rf"CASME2-coding\.{suffix} is none .* save it as xlsx or csv"):
        read(tmp_path, casme2_settings())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><table><tr><td>Subject</td></tr></table></html>", "is HTML or XML.*save it as xlsx"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of Git LFS.*git lfs pull"),
    ],
)
def test_what_only_bears_the_name_of_a_table(tmp_path, content, said):
    write_casme2(tmp_path)
    (tmp_path / WORKBOOK).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read(tmp_path, casme2_settings())


def test_tables_that_say_the_same(tmp_path):
    write_casme2(tmp_path)
    (tmp_path / "Cropped").mkdir()
    shutil.copy(tmp_path / WORKBOOK, tmp_path / "Cropped" / WORKBOOK)
    assert read(tmp_path, casme2_settings())[0].included.all()
    write_workbook(tmp_path / "Cropped" / WORKBOOK, [(*ROWS[0][:-1], "disgust"), *ROWS[1:]])
    with pytest.raises(UserError, match=rf"found {WORKBOOK}, Cropped/{WORKBOOK}; name it in") as caught:
        read(tmp_path, casme2_settings())
    for name, label in ((WORKBOOK, "happiness"), (f"Cropped/{WORKBOOK}", "disgust")):
        assert name in str(caught.value)
        assert read(tmp_path, casme2_settings(workbook=name))[0].label.iloc[0] == label


def strict(data):
    """The same workbook in the strict form of Office Open XML, as Excel saves it on demand."""
    names = {
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main": (
            b"http://purl.oclc.org/ooxml/spreadsheetml/main"
        ),
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships": (
            b"http://purl.oclc.org/ooxml/officeDocument/relationships"
        ),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            for known, other in names.items():
                part = part.replace(known, other)
            new.writestr(name, part)
    return out.getvalue()


def test_a_strict_workbook(tmp_path):
    write_casme2(tmp_path)
    data = strict((tmp_path / WORKBOOK).read_bytes())
    (tmp_path / WORKBOOK).write_bytes(data)
    assert not openpyxl.load_workbook(io.BytesIO(data)).worksheets, "else there is nothing to test"
    assert read(tmp_path, casme2_settings())[0].apex.to_dict() == APEXES


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("notes", ["a, b, c, d, e, f", "a; b; c; d; e; f"])
def test_separators_within_notes(tmp_path, separator, notes):
    quoted = f'"{notes}"' if separator in notes else notes
    lines = [["path", "subject", "label", "notes"], *(["i.png", f"S{k}", "calm", quoted] for k in range(3))]
    (tmp_path / "t.csv").write_text("\n".join(map(separator.join, lines)) + "\n")
    columns = {name: [name] for name in lines[0]}
    table = read_table(tmp_path / "t.csv", columns)
    assert table.subject.tolist() == ["S0", "S1", "S2"]
    assert table.notes.tolist() == [notes] * 3


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_labels_in_two_spellings(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    label = "D\u00e9go\u00fbt"
    write_casme2(tmp_path, [(*ROWS[0][:-1], unicodedata.normalize(form, label)), *ROWS[1:]])
    classes = {unicodedata.normalize(other, label): "disgust", "happiness": "happiness"}
    samples, _ = read(tmp_path, casme2_settings(classes=classes))
    assert samples.label.iloc[0] == "disgust"


# Advice


def followed(text):
    """The shipped configuration with what a message says to write; it must be accepted."""
    source = dump(CONFIG)
    for name, key, value in re.findall(r"datasets\.(\w+)\.(\w+): (\[.*?\]|\{.*?\})", text):
        given = yaml.safe_load(value)
        old = source["datasets"][name][key]
        source["datasets"][name][key] = old | given if isinstance(given, dict) else given
    return load_config(source)


def test_advice_throws_nobody_away(tmp_path):
    """Whose frames lack stays listed; who has no label in use is left out as said, and then all is well."""
    rows = [*ROWS, ("03", "EP01_1", 6, 8, 12, 1, "fear"), ("04", "EP01_1", 6, 8, 12, 1, "disgust")]
    write_casme2(tmp_path, rows)
    shutil.rmtree(tmp_path / "CASME2_RAW_selected/sub01")
    every = ["sub01", "sub02", "sub03", "sub04"]
    _, defects = read(tmp_path, casme2_settings(every))
    absent = defects[defects.defect == "absent_subject"].action.tolist()
    assert absent == [
        "nothing to use of sub03; to use what is on disk, write datasets.casme2.subjects: "
        "[sub01, sub02, sub04]",
        "nothing to use of sub01; mend what is said of their clips",
    ]
    subjects = followed(absent[0]).datasets["casme2"].subjects
    write_frames(tmp_path / "CASME2_RAW_selected", ROWS[:2])
    _, defects = read(tmp_path, casme2_settings(subjects))
    assert "absent_subject" not in kinds(defects)


def test_nothing_at_all_is_no_list(tmp_path):
    write_casme2(tmp_path)
    for number, clip, _, apex, *_ in ROWS:
        (tmp_path / f"CASME2_RAW_selected/sub{number}/{clip}/img{apex}.jpg").unlink()
    _, defects = read(tmp_path, casme2_settings())
    assert not defects.action.str.contains(r"\[\]").any()
    for text in defects.action:
        followed(text)


def test_a_list_of_one_is_not_advised(tmp_path):
    """One person cannot be left out of one: the list would be refused."""
    write_casme2(tmp_path, ROWS[:2])
    _, defects = read(tmp_path, casme2_settings(["sub01", "sub03"]))
    assert defects[defects.defect == "absent_subject"].action.tolist() == ["nothing to use of sub03"]


def test_absent_classes(tmp_path):
    write_casme2(tmp_path)
    settings = casme2_settings()
    _, defects = read_dataset("casme2", settings, tmp_path, {})
    [found] = defects[defects.defect == "absent_class"].iloc
    assert found.severity == "error"
    assert found.action == (
        "no annotation says 'repression'; to do without, write datasets.casme2.classes: "
        "{happiness: happiness, disgust: disgust, repression: null, surprise: surprise, others: others, "
        "sadness: null, fear: null}"
    )
    classes = followed(found.action).datasets["casme2"].classes
    assert yaml.safe_load(found.action.split("classes: ")[1]) == classes, "also in place of that key"
    _, defects = read_dataset("casme2", casme2_settings(classes=classes), tmp_path, {})
    assert "absent_class" not in kinds(defects)
    (tmp_path / "CASME2_RAW_selected/sub02/EP09f/img10.jpg").unlink()
    _, defects = read_dataset("casme2", casme2_settings(classes=classes), tmp_path, {})
    found = defects[defects.defect == "absent_class"].iloc[0]
    assert found.action == "all 1 samples of 'surprise' are left out; mend what is said of them"


def test_a_class_of_people_who_are_not_listed_is_no_error(tmp_path):
    write_casme2(tmp_path)
    _, defects = read_dataset("casme2", casme2_settings(["sub01"]), tmp_path, {})
    found = defects[defects.defect == "unlisted_class"]
    assert found.severity.eq("warning").all() and "of subjects not listed" in found.action.iloc[0]
    assert set(defects[defects.defect == "absent_class"].action.str.count("'repression'")) <= {1}


# CK+


def write_small(root, sequences, name="{}_{}_{:08d}.png"):
    for label, subject, number, numbers in sequences:
        for frame in numbers:
            draw(root / label / name.format(subject, number, frame), size=(48, 48))


def test_parts_are_united_by_sequence_and_by_frame(tmp_path):
    write_small(tmp_path / "train", SMALL[:4])
    write_small(tmp_path / "test", SMALL[4:])
    last = sorted((tmp_path / "train/happy").iterdir())[0]
    (tmp_path / "test/happy").mkdir()
    last.rename(tmp_path / "test/happy" / last.name)  # Kaggle's copy is split by image
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.all() and len(samples) == 18
    assert defects.empty


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("{} ", "{}_{}_{:08d}.png"),
        ("{}", "s{1}"),
        ("{}/part1", "{}_{}_{:08d}.png"),
        ("CK+48/CK+48/{}", "{}_{}_{:08d}.PNG"),
    ],
)
def test_spellings_of_the_small_form(tmp_path, place, name):
    for label, *rest in SMALL:
        lower = "s" in name[:1]
        pattern = "{}_{}_{:08d}.png" if lower else name
        write_small(
            tmp_path, [(place.format(label), rest[0].lower() if lower else rest[0], *rest[1:])], pattern
        )
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.all() and len(samples) == 18
    assert samples.subject.unique().tolist() == ["S010", "S011", "S014"]
    assert samples.index[0] == "S010_001_00000015"
    assert defects.empty


def write_originals(root, place, labelled=True):
    for part, (subject, number, code) in enumerate([("S005", "001", 3), ("S010", "002", 5)]):
        folder = root / place.format({3: "disgust", 5: "happy"}[code], subject, number, part)
        for frame in (1, 2, 3, 4):
            draw(folder / f"{subject}_{number}_{frame:08d}.png")
        if labelled:
            label = root / "Emotion" / subject / number / f"{subject}_{number}_00000004_emotion.txt"
            label.parent.mkdir(parents=True)
            label.write_text(f"  {code:.7e}\n")


@pytest.mark.parametrize("place", ["{0}/{1}/{2}", "{1}/{2}/{2}", "{1}", "part{3}/{1}/{2}", "."])
def test_places_of_the_original_form(tmp_path, place):
    write_originals(tmp_path, place)
    samples, _ = read(tmp_path, ckplus_settings())
    assert samples.label.tolist() == ["disgust"] * 3 + ["happy"] * 3
    assert samples.index[0] == "S005_001_00000002"


def test_the_original_form_without_emotion_files(tmp_path):
    write_originals(tmp_path / "by class", "{0}/{1}/{2}", labelled=False)
    assert read(tmp_path / "by class", ckplus_settings())[0].label.tolist() == ["disgust"] * 3 + ["happy"] * 3
    write_originals(tmp_path / "plain", "{1}/{2}", labelled=False)
    with pytest.raises(UserError, match=r"no S005_001_00000011_emotion\.txt"):
        read(tmp_path / "plain", ckplus_settings())


def test_one_original_sequence_moves_nothing(tmp_path):
    write_small(tmp_path / "CK+48", SMALL)
    write_ckplus(tmp_path, [("S010", "004", 17, 5)])
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.sum() == 18
    assert samples.frame_path.str.startswith("CK+48/").all()
    assert kinds(defects) == ["unused_place"]
    write_ckplus(tmp_path / "more", [("S099", "001", 9, 3)])
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.sum() == 21
    assert defects[defects.defect == "mixed_kinds"].action.str.contains("S099_001").all()


def test_images_of_other_names_are_named(tmp_path):
    write_small(tmp_path / "CK+48", SMALL)
    for name in ("S010_004_00000017_flip.png", "extra.png"):
        draw(tmp_path / "CK+48/happy" / name)
    draw(tmp_path / "montage.png")
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.sum() == 18
    [named] = defects.iloc
    assert (named.defect, named.file) == ("frames_without_annotation", "CK+48/happy")
    assert "2 images not named as S010_004_00000017.png, first extra.png" in named.action


def test_two_copies_of_the_small_form(tmp_path):
    write_small(tmp_path / "CK+48", SMALL)
    write_small(tmp_path / "old", SMALL[:3])
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.frame_path.str.startswith("CK+48/").all() and samples.included.all()
    assert defects[["defect", "file", "action"]].to_numpy().tolist() == [
        ["unused_place", "old", "CK+48 is used for 9 frames of both"]
    ]


def test_the_labelled_frame_is_the_peak(tmp_path):
    write_ckplus(tmp_path, [("S005", "001", 11, 3), ("S010", "002", 9, 7)])
    for frame in (12, 13):
        draw(tmp_path / f"cohn-kanade-images/S005/001/S005_001_{frame:08d}.png")
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.index[samples.subject == "S005"].tolist() == [f"S005_001_{n:08d}" for n in (9, 10, 11)]
    after = defects[defects.defect == "frames_after_peak"].iloc[0]
    assert after.action == "not used: 2 frames after 11, which is labelled"


@pytest.mark.parametrize("layout", ["casme2", "casme2, its table named", "ckplus", "rafdb", "affectnet"])
def test_labels_outside_of_the_root_are_watched_as_they_are_read(tmp_path, layout):
    """What is watched is what a planned run compares, so that mended labels are read again."""
    copy = tmp_path / "copy"
    part, settings = copy / "Cropped", casme2_settings()
    if layout == "ckplus":
        write_ckplus(copy, [("S005", "001", 3, 3), ("S010", "002", 3, 5)])
        part, settings, labels = copy / "cohn-kanade-images", ckplus_settings(), copy / "Emotion"
    elif layout == "rafdb":
        labels, part = copy / "EmoLabel", copy / "Image" / "aligned"
        write_raf(copy, ["train_00001.jpg 5", "train_00002.jpg 7"])
        settings = section(layout)
    elif layout == "affectnet":
        labels, part, settings = copy / "annotations", copy / "images", section(layout)
        labels.mkdir(parents=True)
        for number in (0, 1):
            draw(part / f"{number}.jpg")
            np.save(labels / f"{number}_exp.npy", str(number))
    else:
        write_casme2(copy, tree=part.name)
        labels = copy / WORKBOOK
        for other in ("notes.txt", "SAMM_Micro.xlsx", "~$CASME2.xlsx"):
            (copy / other).write_text("of no table of this dataset")
        if "named" in layout:
            labels = labels.rename(copy / "codes.xlsx")
            settings = casme2_settings(workbook="../codes.xlsx")
    assert read(part, settings)[0].included.sum() >= 2
    beside = list_beside(settings.layout, settings, part)
    assert [place.resolve() for place in beside] == [labels]
