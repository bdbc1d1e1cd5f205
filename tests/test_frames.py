"""Frames are found by their digits, folders in natural order, and nothing leaves the root."""

import unicodedata
from pathlib import Path

import pytest
from dataset_samples import draw
from hypothesis import given
from hypothesis import strategies as st

from mer_core.datasets.frames import (
    Root,
    describe_links,
    frame_number,
    natural_key,
    scan,
    series,
    spelled,
    walk,
)

PREFIX = st.text(st.characters(categories=["L", "P", "S", "Zs"], exclude_characters="/"), max_size=12)


@given(
    prefix=PREFIX.filter(lambda text: not text.startswith(".") and text.isprintable()),
    number=st.integers(0, 999_999_999),
    padding=st.integers(0, 9),
    suffix=st.sampled_from([".jpg", ".JPG", ".jpeg", ".png", ".bmp"]),
)
def test_any_prefix_and_padding(prefix, number, padding, suffix):
    digits = str(number).zfill(padding)
    assert frame_number(prefix + digits + suffix) == (prefix, number)


def test_real_spellings():
    assert frame_number("reg_img46.jpg") == ("reg_img", 46)
    assert frame_number("006_05562.jpg") == ("006_", 5562)
    assert frame_number("EP01_12-73.jpg") == ("EP01_12-", 73)
    assert frame_number("img (46).jpg") == ("img", 46)
    assert frame_number("img46.JPG.jpg") == ("img", 46)
    for stray in (
        "img46.lnk",
        "._img46.jpg",
        "img46 (1).jpg",
        "img.jpg",
        ".DS_Store",
        "img1234567890.jpg",
        "a\n1.jpg",
    ):
        assert frame_number(stray) is None, stray


@given(st.text(max_size=30))
def test_no_name_breaks_the_parser(name):
    found = frame_number(name)
    assert found is None or str(found[1]) in name


def test_order_is_by_number():
    names = [f"img{number}.jpg" for number in (10, 9, 100, 1)]
    assert sorted(names, key=natural_key) == ["img1.jpg", "img9.jpg", "img10.jpg", "img100.jpg"]


@given(st.lists(st.text(max_size=8)))
def test_natural_keys_can_always_be_compared(names):
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def listed(folder):
    return series(folder, [path.name for path in folder.iterdir() if path.is_file()])


def test_series(tmp_path):
    for name in ("img10.jpg", "img9.jpg", "img009.jpg", "thumb9.jpg"):
        draw(tmp_path / name)
    (tmp_path / "Desktop - Shortcut.lnk").write_bytes(b"L")
    (tmp_path / "img11.jpg").mkdir()
    found = listed(tmp_path)
    assert [(number, file.name) for number, file in found.files.items()] == [
        (9, "img9.jpg"),
        (10, "img10.jpg"),
    ]
    assert found.passed_over == ["img009.jpg", "thumb9.jpg"]
    assert {number: [file.name for file in files] for number, files in found.doubtful.items()} == {
        9: ["img9.jpg", "img009.jpg"]
    }


@given(
    known=st.sampled_from(["img", "reg_img", "IMG", ""]),
    stray=st.sampled_from(["flow_", "thumb", "mask-", "img_crop_"]),
    frames=st.sets(st.integers(1, 99), min_size=1, max_size=5),
    strays=st.sets(st.integers(1, 99), min_size=1, max_size=30),
)
def test_a_stray_series_is_never_taken(known, stray, frames, strays):
    names = [f"{known}{n}.jpg" for n in frames] + [f"{stray}{n}.png" for n in strays]
    found = series(Path("clip"), names)
    assert {number: file.name for number, file in found.files.items()} == {
        number: f"{known}{number}.jpg" for number in frames
    }
    assert not found.doubtful
    assert set(found.passed_over) == {f"{stray}{n}.png" for n in strays}


def test_two_unknown_series_are_in_doubt():
    found = series(Path("clip"), ["a_1.png", "a_2.png", "b_2.png"])
    assert list(found.files) == [1, 2]
    assert {n: [file.name for file in files] for n, files in found.doubtful.items()} == {
        2: ["a_2.png", "b_2.png"]
    }


def test_links_are_followed_where_the_configuration_says(tmp_path):
    root, store, lost = tmp_path / "root", tmp_path / "store", tmp_path / "lost"
    for place in (store / "frames", lost, root / "clip"):
        draw(place / "img1.jpg")
    (root / "clip" / "img2.jpg").symlink_to(store / "frames" / "img1.jpg")
    (root / "clip" / "img3.jpg").symlink_to(root / "clip" / "img1.jpg")
    (root / "clip" / "img4.jpg").symlink_to(tmp_path / "gone" / "img1.jpg")
    (root / "linked").symlink_to(store / "frames")
    (root / "again").symlink_to(store / "frames")
    (root / "elsewhere").symlink_to(lost)
    (store / "frames" / "loop").symlink_to(store)
    strict, generous = Root(root), Root(root, [store])
    assert {folder.name: names for folder, names in walk(strict)} == {
        "root": [],
        "clip": ["img1.jpg", "img3.jpg"],
    }
    seen = [(folder.relative_to(root).as_posix(), names) for folder, names in walk(generous)]
    assert ("clip", ["img1.jpg", "img2.jpg", "img3.jpg"]) in seen
    assert sum(names == ["img1.jpg"] for _, names in seen) == 1, "what two links lead to is one place"
    assert len(seen) < 8
    assert set(generous.refused) == {root / "elsewhere"}
    assert set(generous.broken) == {root / "clip" / "img4.jpg"}
    lines = describe_links(strict, "mine")
    assert f"that lead to {tmp_path}" in lines[0] and "write datasets.mine.link_roots: [" in lines[0]
    assert "lead nowhere" in lines[-1]


def test_what_a_root_holds(tmp_path):
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    root = Root(folder)
    assert root.holds(folder / "a" / ".." / "a")
    for path in (
        folder / ".." / "x",
        folder / "out" / "x",
        tmp_path / "root2",
        folder / ("x" * 5000),
        folder / "a\0b",
        folder / "loop",
    ):
        assert not root.holds(path), path
    assert scan(folder, root) == ([folder / "a"], [])
    assert set(root.refused) == {folder / "out", folder / "out" / "x"}


def test_walk_is_natural_shallow_and_stays_inside(tmp_path):
    root = tmp_path / "root"
    for name in ("sub10", "sub2", ".hidden", "a/b/c/d/e/f/g/h/i"):
        (root / name).mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "again").symlink_to(root / "a")
    seen = [folder.relative_to(root).as_posix() for folder, _ in walk(Root(root))]
    deep = [str(Path(*"abcdefgh"[:n])) for n in range(1, 9)]
    assert seen == [".", *deep, "sub2", "sub10"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["Zo\u00eb/\u00e9t\u00e9.png", "Zoe/ete.png", "Zo\u00eb/gone.png"])
def test_spelling_on_disk(tmp_path, form, written):
    draw(tmp_path / unicodedata.normalize(form, "Zo\u00eb/\u00e9t\u00e9.png"))
    found = spelled(tmp_path, written)
    assert found.is_file() == ("\u00e9" in written)
    assert unicodedata.normalize("NFC", str(found.relative_to(tmp_path))) == written


def test_case_on_disk(tmp_path):
    for name in ("A/x.jpg", "b/Y.png", "b/y.png"):
        draw(tmp_path / "data" / name)
    known = {}
    for written, there in [("a/X.JPG", "A/x.jpg"), ("B/Y.png", "b/Y.png"), ("B/Y.PNG", "b/Y.PNG")]:
        assert spelled(tmp_path / "data", written, known) == tmp_path / "data" / there, "two would do: none"
    assert spelled(tmp_path, str(tmp_path / "DATA" / "a" / "x.JPG")).is_file()
