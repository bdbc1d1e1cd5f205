"""Landmarks of the dataset's own, or of its user's, in place of dlib's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
from test_alignment import settings
from test_samples import Dataset

from mer_core.datasets.frames import Root
from mer_core.errors import UserError
from mer_core.faces.given import COLUMNS, given_landmarks, landmarks_of
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.points import UNLIKE
from mer_core.images import write_image

NAMES = ["S005_001_00000010", "S005_001_00000011", "S005_001_00000012"]


@pytest.fixture
def points():
    rng = np.random.default_rng(3)
    found = rng.uniform(100, 300, (68, 2))
    found[[39, 42]] = [190, 110], [240, 112]
    return found


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    def refuse(self):
        raise AssertionError("the detector's models were loaded")

    monkeypatch.setattr(FaceFinder, "__init__", refuse)
    paths = [f"cohn-kanade-images/S005/001/{name}.png" for name in NAMES]
    for path in paths:
        write_image(tmp_path / "ck" / path, skimage.data.astronaut())
    rows = pd.DataFrame({"sample_id": NAMES, "subject": "S005", "frame_path": paths, "bit_depth": pd.NA})
    return Dataset(rows, tmp_path / "ck", tmp_path / "ck.h5", tmp_path / "failures.csv")


def write_text(root: Path, name: str, points: np.ndarray) -> None:
    """A file as CK+ has them."""
    path = root / "Landmarks" / "S005" / "001" / f"{name}_landmarks.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points))


def write_table(path: Path, rows: dict[str, np.ndarray]) -> None:
    table = pd.DataFrame([p.ravel() for p in rows.values()], columns=COLUMNS)
    table.insert(0, "path", list(rows))
    table.to_csv(path, index=False)


@pytest.mark.parametrize("choice", ["dataset", "table"])
def test_given_landmarks_take_the_place_of_the_detectors(dataset, points, tmp_path, choice):
    paths = dataset.rows["frame_path"].tolist()
    if choice == "table":
        choice = str(tmp_path / "points.csv")
        write_table(tmp_path / "points.csv", {paths[0]: points, paths[2]: points + 5})
    else:
        write_text(dataset.root, NAMES[0], points)
        write_text(dataset.root, NAMES[2], points + 5)
    aligned = dataset.align(landmarks=choice)
    assert aligned.sample_id == [NAMES[0], NAMES[2]] and aligned.detector == ["given", "given"]
    np.testing.assert_allclose(aligned.landmarks, [points, points + 5], atol=1e-4)
    assert aligned.attributes["landmarks"] == choice and aligned.attributes["landmark_model"] == ""
    assert "has no landmarks of this image" in dataset.failures.read_text()


@pytest.mark.parametrize("choice", ["dataset", "table"])
def test_an_image_has_its_points_once(tmp_path, points, choice):
    """The last would win, whichever was meant."""

    def give(other):
        if choice == "dataset":
            write_text(tmp_path / "a", NAMES[0], points)
            write_text(tmp_path / "b", NAMES[0], other)
            return given_landmarks(choice, Root(tmp_path))
        write_table(tmp_path / "points.csv", {"a/1.png": points, "A/1.PNG": other})
        return given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))

    assert len(give(points)) == 1
    with pytest.raises(UserError, match=r": has other points of the same image than .*; keep one of them"):
        give(points + 5)


def test_landmarks_of_an_image_of_another_size(dataset, points):
    """Those that CK+ brings along are of its originals, not of the crops of CK+48."""
    write_image(dataset.root / dataset.rows.frame_path[1], skimage.data.astronaut()[:48, :48])
    for name in NAMES:
        write_text(dataset.root, name, points)
    assert dataset.align(landmarks="dataset").sample_id == [NAMES[0], NAMES[2]]
    [(name, message)] = dataset.failed()
    assert name == NAMES[1] and message.startswith("landmarks lie outside of the image (48 x 48); give those")


def test_other_points_align_anew(dataset, points):
    for name in NAMES:
        write_text(dataset.root, name, points)
    before = dataset.align(landmarks="dataset")
    write_text(dataset.root, NAMES[1], points + 9)
    after = dataset.align(landmarks="dataset")
    changed = [(one != other).any() for one, other in zip(before.transform, after.transform, strict=True)]
    assert changed == [False, True, False]


def test_landmarks_of_an_archive_and_behind_a_link(tmp_path, points):
    """A Mac's archive has a second file, ._, for each; links are followed as those of the frames."""
    write_text(tmp_path / "ck", NAMES[0], points)
    residue = tmp_path / "ck/__MACOSX/Landmarks" / f"._{NAMES[0]}_landmarks.txt"
    residue.parent.mkdir(parents=True)
    residue.write_bytes(b"\x00\x05\x16\x07")
    assert list(given_landmarks("dataset", Root(tmp_path / "ck"))) == [NAMES[0].casefold()]
    (tmp_path / "ck/Landmarks").rename(tmp_path / "store")
    (tmp_path / "ck/Landmarks").symlink_to(tmp_path / "store")
    with pytest.raises(UserError, match=r"holds no file .*in link_roots where a link leads there"):
        given_landmarks("dataset", Root(tmp_path / "ck"))
    assert len(given_landmarks("dataset", Root(tmp_path / "ck", [tmp_path / "store"]))) == 1


def test_what_is_no_list_of_points_is_named(tmp_path, points):
    with pytest.raises(UserError, match=r"holds no file \*_landmarks.txt"):
        given_landmarks("dataset", Root(tmp_path))
    for wrong in (points[:67], np.full((68, 2), np.nan), np.zeros((68, 2))):
        write_text(tmp_path, NAMES[0], wrong)
        with pytest.raises(UserError, match=r"00000010_landmarks\.txt: does not hold 68 points"):
            given_landmarks("dataset", Root(tmp_path))
    (tmp_path / "Landmarks/S005/001" / f"{NAMES[0]}_landmarks.txt").write_text("x y\n")
    with pytest.raises(UserError, match="is no list of 68 points"):
        given_landmarks("dataset", Root(tmp_path))
    with pytest.raises(UserError, match=r"none\.csv: cannot be read .*check the path"):
        given_landmarks(str(tmp_path / "none.csv"), Root(tmp_path))
    write_table(tmp_path / "points.csv", {"a.png": points, "b.png": points})
    text = (tmp_path / "points.csv").read_text()
    (tmp_path / "points.csv").write_text(text.replace("\nb.png,", "\n\nb.png,none,"))
    with pytest.raises(UserError, match=r"points\.csv:4: needs the columns"):
        given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))
    (tmp_path / "points.csv").write_text(text.replace("y_67", "y67"))
    with pytest.raises(UserError, match=r"points\.csv:2: needs the columns path, x_0, y_0 to x_67, y_67"):
        given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))


def test_a_table_whose_quote_is_never_closed(tmp_path, points):
    write_table(tmp_path / "points.csv", dict.fromkeys(map(str, range(200)), points))
    text = (tmp_path / "points.csv").read_text()
    (tmp_path / "points.csv").write_text(text.replace("\n0,", '\n"0,'))
    with pytest.raises(UserError, match=r"points\.csv: is no CSV table .*; save it as CSV, in UTF-8"):
        given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))


def test_names_of_openface_with_blanks_are_read(tmp_path, points):
    write_table(tmp_path / "points.csv", {"s1/a.png": points})
    text = (tmp_path / "points.csv").read_text()
    head, rest = text.split("\n", 1)
    (tmp_path / "points.csv").write_text(head.replace(",", ", ") + "\n" + rest)
    found = given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))
    np.testing.assert_allclose(landmarks_of("s1/a.png", found), points)
    assert landmarks_of("s1/b.png", found) is None
    assert settings(landmarks="dataset").landmarks == "dataset"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_tables_however_they_are_set_off(tmp_path, points, separator):
    write_table(tmp_path / "points.csv", {"a.png": points})
    head, row, _ = (tmp_path / "points.csv").read_text().split("\n")
    space = ",".join(COLUMNS).upper()
    text = f"{head.upper()},{space}\n{row}{',-1' * len(COLUMNS)}\n\n"
    (tmp_path / "points.csv").write_text(text.replace(",", separator))
    found = given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))
    np.testing.assert_allclose(landmarks_of("a.png", found), points)


def test_decimals_as_a_spreadsheet_writes_them_beside_semicolons(tmp_path, points):
    write_table(tmp_path / "points.csv", {"a.png": points})
    head, row, *_ = (tmp_path / "points.csv").read_text().split("\n")
    path, *numbers = row.split(",")
    row = ";".join([path, *(number.replace(".", ",") for number in numbers)])
    (tmp_path / "points.csv").write_text(head.replace(",", ";") + "\n" + row + "\n")
    found = given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))
    np.testing.assert_allclose(landmarks_of("a.png", found), points)


@pytest.mark.parametrize("written", ["Zoe\u0308\\a.PNG", "./Zo\u00eb/A.png", "zo\u00eb/b/../a.png"])
def test_paths_of_a_table_however_they_are_spelled(tmp_path, points, written):
    write_table(tmp_path / "points.csv", {written: points})
    found = given_landmarks(str(tmp_path / "points.csv"), Root(tmp_path))
    np.testing.assert_allclose(landmarks_of("Zo\u00eb/a.png", found), points)


def test_absolute_paths_of_a_table(tmp_path, points):
    root, link = tmp_path / "root", tmp_path / "link"
    root.mkdir()
    link.symlink_to(root)
    write_table(tmp_path / "points.csv", {f"{root}/s1/a.png": points, f"{link}/s1/b.png": points + 1})
    found = given_landmarks(str(tmp_path / "points.csv"), Root(link))
    np.testing.assert_allclose(landmarks_of("s1/a.png", found), points)
    np.testing.assert_allclose(landmarks_of("s1/b.png", found), points + 1)


def test_a_face_unlike_the_persons_others_is_marked_once(dataset, points, caplog):
    caplog.set_level("INFO")
    for name in NAMES:
        write_text(dataset.root, name, points)
    assert dataset.align(landmarks="dataset").detector == ["given"] * 3
    assert UNLIKE not in caplog.text
    wrong = points.copy()
    wrong[39, 0] -= 12
    write_text(dataset.root, NAMES[1], wrong)
    for _ in range(2):
        dataset.cache.touch()
        marked = ["given", f"given, {UNLIKE}", "given"]
        assert dataset.align(landmarks="dataset").detector == marked
        write_text(dataset.root, NAMES[2], points + 1)
    assert f"1 with landmarks {UNLIKE}: {NAMES[1]}; look at them by snakemake check_faces" in caplog.text
