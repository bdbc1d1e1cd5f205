"""Frames are found by their digits, folders in natural order, and nothing leaves the root."""

from dataset_samples import draw
from hypothesis import given
from hypothesis import strategies as st

from mer_core.datasets.frames import frame_number, is_inside, list_frames, natural_key, walk

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


def test_list_frames(tmp_path):
    for name in ("img10.jpg", "img9.jpg", "img009.jpg", "thumb9.jpg"):
        draw(tmp_path / name)
    (tmp_path / "Desktop - Shortcut.lnk").write_bytes(b"L")
    (tmp_path / "img11.jpg").mkdir()
    frames, passed_over = list_frames(tmp_path, tmp_path)
    assert [(number, file.name) for number, file in frames.items()] == [(9, "img9.jpg"), (10, "img10.jpg")]
    assert passed_over == ["img009.jpg", "thumb9.jpg"]


def test_links_that_leave_the_root_are_no_frames(tmp_path):
    root = tmp_path / "root"
    draw(tmp_path / "secret1.jpg")
    draw(root / "clip" / "img1.jpg")
    (root / "clip" / "img2.jpg").symlink_to(tmp_path / "secret1.jpg")
    (root / "clip" / "img3.jpg").symlink_to(root / "clip" / "img1.jpg")
    assert list(list_frames(root / "clip", root)[0]) == [1, 3]


def test_is_inside_follows_links(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    assert is_inside(root / "a" / ".." / "a", root)
    for path in (
        root / ".." / "x",
        root / "out" / "x",
        tmp_path / "root2",
        root / ("x" * 5000),
        root / "a\0b",
    ):
        assert not is_inside(path, root), path


def test_walk_is_natural_shallow_and_stays_inside(tmp_path):
    root = tmp_path / "root"
    for name in ("sub10", "sub2", ".hidden", "a/b/c/d/e/f/g"):
        (root / name).mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "again").symlink_to(root / "a")
    leaving = []
    seen = [path.relative_to(root).as_posix() for path in walk(root, lambda path: False, leaving.append)]
    assert seen == [".", "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/e/f", "sub2", "sub10"]
    assert leaving == [root / "out"]
