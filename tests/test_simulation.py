"""The simulated CASME II and CK+: counts, layout, repeatability, and faces that move as FACS says."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dlib
import numpy as np
import openpyxl
import psutil
import pytest
from PIL import Image

from mer_core import batch
from mer_core.config.simulation import Simulation
from mer_core.errors import UserError
from mer_core.simulation import identities, warping
from mer_core.simulation.action_units import MOVES, displacement
from mer_core.simulation.identities import PACKAGED, cast, identity, packaged_faces, portrait_files
from mer_core.simulation.plan import SIZES, ActionUnit, Clip, plan, simulated_subjects
from mer_core.simulation.recording import FACING, Actor, Camera
from mer_core.simulation.writers import simulate_casme2, simulate_ckplus

FIVE = {"happiness", "disgust", "repression", "surprise", "others"}
STILL = Camera(tilt=0, scale=1, shift=(0, 0), drift=0, phase=0, noise=0)
PORTRAITS = Path(__file__).resolve().parents[2] / "shared/data/portraits"


def settings(**changes: object) -> Simulation:
    values = {
        "size": "tiny",
        "faces": PACKAGED,
        "frames": "key",
        "casme2_tree": "cropped",
        "micro_strength": 0.5,
        "seed": 0,
    }
    return Simulation(**values | changes)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def rows_of(workbook: Path) -> list[tuple]:
    book = openpyxl.load_workbook(workbook)
    assert book.sheetnames == ["Sheet1", "Sheet2", "Sheet3"]
    return list(book["Sheet1"].iter_rows(values_only=True))


@pytest.fixture(scope="module")
def casme2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "casme2"
    simulate_casme2(root, settings())
    return root


@pytest.fixture(scope="module")
def ckplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "ckplus"
    simulate_ckplus(root, settings())
    return root


# The plan


def test_full_casme2_has_the_published_counts() -> None:
    clips = plan("casme2", "full", 0)
    assert Counter(clip.label for clip in clips) == {
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": 25,
        "sadness": 7,
        "fear": 2,
    }
    per_subject = Counter(clip.subject for clip in clips)
    published = [9, 13, 7, 5, 19, 5, 9, 3, 14, 14, 10, 12, 8, 4, 3, 4, 36, 3, 16, 11, 2, 2, 12, 10, 7, 17]
    assert per_subject == {f"sub{n:02d}": count for n, count in enumerate(published, start=1)}
    assert len({(clip.subject, clip.name) for clip in clips}) == 255
    assert sum(clip.apex_cell == "/" for clip in clips) == 1
    assert sum(clip.apex_cell == clip.onset for clip in clips) == 1
    assert sum(clip.apex_cell == clip.offset for clip in clips) == 4
    assert sum(clip.units_cell == "?" for clip in clips) == 5
    assert all(24 <= clip.offset - clip.onset + 1 <= 141 for clip in clips)
    assert all(clip.onset < clip.apex < clip.offset for clip in clips)


def test_full_ckplus_has_the_published_counts() -> None:
    sequences = plan("ckplus", "full", 0)
    labels = Counter(sequence.label for sequence in sequences)
    assert labels.pop("") == 593 - 327
    assert labels == {
        "anger": 45,
        "contempt": 18,
        "disgust": 59,
        "fear": 25,
        "happy": 69,
        "sadness": 28,
        "surprise": 83,
    }
    assert len({sequence.subject for sequence in sequences}) == 123
    assert len({sequence.subject for sequence in sequences if sequence.label}) == 118
    assert all(10 <= sequence.length <= 60 for sequence in sequences)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [0, 7])
def test_plans_suit_their_purpose(size: str, seed: int) -> None:
    clips, sequences = plan("casme2", size, seed), plan("ckplus", size, seed)
    assert {clip.subject for clip in clips} == set(simulated_subjects("casme2", size))
    assert {sequence.subject for sequence in sequences} == set(simulated_subjects("ckplus", size))
    assert {clip.label for clip in clips} >= FIVE
    if size == "tiny":
        for subject in simulated_subjects("casme2", size):
            assert len({clip.label for clip in clips if clip.subject == subject} & FIVE) >= 3
    if size == "demo":
        assert 1 in Counter(clip.subject for clip in clips).values()
    kept = [clip.subject for clip in clips if clip.label not in ("sadness", "fear")]
    assert set(kept) == set(simulated_subjects("casme2", size)), "nobody has only classes that are left out"


def test_the_plan_depends_on_the_seed_alone() -> None:
    first = plan("casme2", "demo", 3)
    plan.cache_clear()
    assert plan("casme2", "demo", 3) == first
    assert plan("casme2", "demo", 4) != first


def test_the_plan_loads_no_image_library() -> None:
    code = (
        "import sys, mer_core.simulation.plan; "
        "print([m for m in ('cv2', 'dlib', 'scipy', 'pandas', 'torch', 'PIL') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "clip", plan("casme2", "full", 0)[::10], ids=lambda clip: f"{clip.subject}-{clip.name}"
)
def test_a_clip_rises_to_its_apex_and_falls(clip: Clip) -> None:
    curve = [clip.intensity(number) for number in clip.frames("all")]
    peak = clip.apex - clip.onset
    assert curve[0] == 0.0
    assert curve[peak] == 1.0
    assert np.all(np.diff(curve[: peak + 1]) > 0)
    assert np.all(np.diff(curve[peak:]) < 0)


def test_key_frames_leave_something_to_spot() -> None:
    for clip in plan("casme2", "full", 0):
        frames = clip.frames("key")
        assert {clip.onset, clip.apex, clip.offset} <= set(frames)
        assert len(frames) == 3 if clip.apex_cell == clip.apex else 5 <= len(frames) <= 9


# Action units


@pytest.mark.parametrize(
    ("unit", "point", "direction"),
    [
        (1, 21, (0, -1)),  # inner brows rise
        (2, 18, (0, -1)),  # outer brows rise
        (4, 21, (1, 1)),  # brows lower and draw together
        (5, 37, (0, -1)),  # upper lids rise
        (7, 41, (0, -1)),  # lower lids rise
        (9, 31, (0, -1)),  # nose wings rise
        (10, 51, (0, -1)),  # upper lip rises
        (12, 48, (-1, -1)),  # mouth corners go up and out
        (15, 48, (0, 1)),  # mouth corners go down
        (17, 57, (0, -1)),  # lower lip rises
        (20, 48, (-1, 0)),  # mouth corners go out
        (23, 48, (1, 0)),  # mouth narrows
        (25, 66, (0, 1)),  # lips part
        (26, 8, (0, 1)),  # chin drops
        (27, 8, (0, 1)),
    ],
)
def test_units_move_the_right_landmarks(unit: int, point: int, direction: tuple[int, int]) -> None:
    moves = displacement([ActionUnit(unit, "", 1.0)], strength=1.0)
    assert np.array_equal(np.sign(moves[point]) * np.abs(direction), direction)
    assert np.linalg.norm(moves[point]) > 0.5 * np.linalg.norm(moves, axis=1).max()
    assert np.allclose(moves[warping.MIRROR] * [-1, 1], moves)


@pytest.mark.parametrize("unit", MOVES)
def test_one_sided_units_leave_the_other_side(unit: int) -> None:
    left = displacement([ActionUnit(unit, "L", 1.0)], 1.0)
    right = displacement([ActionUnit(unit, "R", 1.0)], 1.0)
    # The subject's left is on the image's right.
    assert not left[[36, 41, 48, 17, 21]].any()
    assert not right[[45, 46, 54, 26, 22]].any()
    assert np.allclose(left + right, displacement([ActionUnit(unit, "", 1.0)], 1.0))


def test_displacement_grows_with_strength_and_intensity() -> None:
    whole = displacement([ActionUnit(12, "", 1.0), ActionUnit(6, "", 1.0)], 1.0)
    parts = displacement([ActionUnit(12, "", 0.5), ActionUnit(6, "", 0.5)], 0.5)
    assert np.allclose(parts, whole / 4)


def test_a_warp_carries_control_points_and_leaves_the_border() -> None:
    points = warping.control_points(packaged_faces()[0].landmarks)
    moved = points + warping.EYE_DISTANCE * displacement([ActionUnit(12, "", 1.0)], 1.0)
    places = warping.backward_map(points, moved)
    corner = np.rint(moved[48]).astype(int)
    assert np.allclose(places[corner[1], corner[0]], points[48], atol=2.0)
    assert np.linalg.norm(moved[48] - points[48]) > 15
    grid = np.stack(np.meshgrid(np.arange(640), np.arange(480)), axis=-1)
    assert np.abs(places - grid)[[0, -1]].max() < 1.5


def test_no_expression_folds_a_face() -> None:
    """Even the strongest one of a narrow-eyed person: lids and lips keep their order."""
    face = packaged_faces()[0]
    landmarks = face.landmarks.copy()
    landmarks[[37, 38, 43, 44], 1] = landmarks[[41, 40, 47, 46], 1] - 8
    actor = Actor(identities.Face(face.image, landmarks))
    moved = actor._moved([ActionUnit(number, "", 1.0) for number in (4, 7, 9, 24)], 1.5)
    for upper, lower in FACING:
        assert moved[lower, 1] > moved[upper, 1]
    open_eyes = actor._moved([ActionUnit(5, "", 1.0)], 1.0) - actor.points
    assert np.allclose(open_eyes, warping.EYE_DISTANCE * displacement([ActionUnit(5, "", 1.0)], 1.0))


def test_a_window_is_that_part_of_the_whole_picture() -> None:
    actor = Actor(packaged_faces()[0])
    camera = Camera(tilt=7, scale=1.02, shift=(3, -2), drift=0.5, phase=1, noise=0)
    units = [ActionUnit(12, "", 1.0), ActionUnit(25, "", 1.0)]
    whole = actor.frame(units, 1.0, camera, 0.2, np.random.default_rng(0))
    window = warping.Window(180, 110, 283, 338)
    part = actor.frame(units, 1.0, camera, 0.2, np.random.default_rng(0), window)
    assert part.shape == (338, 283, 3)
    assert np.abs(part.astype(int) - whole[110:448, 180:463]).mean() < 0.5


def _landmarks(image: np.ndarray) -> np.ndarray:
    _, predictor = identities.dlib_models()
    shape = predictor(image, dlib.rectangle(210, 182, 430, 402))
    return np.array([[point.x, point.y] for point in shape.parts()], float)


def test_dlib_sees_what_the_units_do() -> None:
    """The picture itself, measured by a landmark model that knows nothing of the simulation."""
    actor = Actor(packaged_faces()[0])

    def show(*numbers: int) -> np.ndarray:
        units = [ActionUnit(number, "", 1.0) for number in numbers]
        return _landmarks(actor.frame(units, 1.0, STILL, 0.0, np.random.default_rng(0)))

    neutral, smile, surprise = show(), show(12), show(1, 2, 5, 26)
    assert np.all((smile - neutral)[[48, 54], 1] < -4)  # corners rise
    assert (smile[54] - smile[48])[0] > (neutral[54] - neutral[48])[0] + 8  # and part
    assert np.all((surprise - neutral)[20:24, 1] < -3)  # brows rise
    assert (surprise - neutral)[8, 1] > 6  # chin drops
    assert (surprise - neutral)[66, 1] - (surprise - neutral)[62, 1] > 6  # mouth opens


# Identities


def test_identities_differ_and_repeat() -> None:
    faces = [identity(PACKAGED, "tiny", 0, name, i) for name in ("casme2", "ckplus") for i in range(2)]
    for i, face in enumerate(faces):
        assert face.image.shape == (480, 640, 3)
        assert face.landmarks.shape == (68, 2)
        for other in faces[:i]:
            assert np.abs(face.image.astype(int) - other.image).mean() > 3
    again = identity(PACKAGED, "tiny", 0, "casme2", 0)
    assert np.array_equal(again.image, faces[0].image)


@pytest.fixture(scope="module")
def folder_of_portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven people: copies of the packaged portraits; beside each a smile that must not be used."""
    folder = tmp_path_factory.mktemp("portraits with space")
    for i, face in enumerate([*packaged_faces()] * 4):
        if i < 7:
            Image.fromarray(np.roll(face.image, i, axis=1)).save(folder / f"P{i}_neutral.png")
            Image.fromarray(face.image).save(folder / f"P{i}_smile.png")
    return folder


def test_a_folder_gives_each_subject_its_own_person(folder_of_portraits: Path) -> None:
    (folder_of_portraits / "._P0_neutral.png").write_bytes(b"\x00\x05\x16\x07")  # of a Mac's archive
    assert len(portrait_files(folder_of_portraits)) == 7
    casme2 = cast(folder_of_portraits, "tiny", 0, "casme2")
    ckplus = cast(folder_of_portraits, "tiny", 0, "ckplus")
    assert [len(people) for people in casme2] == [1] * 4
    # Seven people, four of them taken: the other three and their mixtures.
    assert [len(people) for people in ckplus] == [1, 1, 1, 2, 2, 2]
    assert len(set(casme2)) == 4
    assert len({frozenset(people) for people in ckplus}) == 6
    assert not {path for people in casme2 for path in people} & {path for people in ckplus for path in people}
    face = identity(str(folder_of_portraits), "tiny", 0, "ckplus", 5)
    assert face.image.shape == (480, 640, 3)


def test_too_few_portraits_name_the_number_needed(folder_of_portraits: Path) -> None:
    with pytest.raises(UserError, match=r"7 portraits, but simulation\.size demo needs 33 people"):
        cast(folder_of_portraits, "demo", 0, "casme2")


def test_a_missing_folder_and_a_faceless_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"simulation\.faces: .*nowhere is no folder"):
        identity(str(tmp_path / "nowhere"), "tiny", 0, "casme2", 0)
    for i in range(7):
        Image.fromarray(np.full((300, 300, 3), 127, np.uint8)).save(tmp_path / f"wall{i}.png")
    root = tmp_path / "casme2"
    with pytest.raises(UserError, match=r"wall\d\.png: no face found"):
        simulate_casme2(root, settings(faces=str(tmp_path)))
    assert not root.exists()
    assert not list(tmp_path.glob(".casme2*"))


@pytest.mark.skipif(not PORTRAITS.is_dir(), reason="needs the portraits in ../shared/data/portraits")
def test_real_portraits_become_identities() -> None:
    assert len(portrait_files(PORTRAITS)) == 102
    needed = cast(PORTRAITS, "full", 0, "casme2") + cast(PORTRAITS, "full", 0, "ckplus")
    assert len(needed) == 26 + 123
    face = identity(str(PORTRAITS), "full", 0, "ckplus", 122)
    measured = _landmarks(face.image)
    assert np.linalg.norm(measured - face.landmarks, axis=1).mean() < 0.06 * warping.EYE_DISTANCE


# On disk


def test_casme2_workbook_has_the_oddities_of_the_real_one(casme2: Path) -> None:
    header, *rows = rows_of(casme2 / "CASME2-coding-20140508.xlsx")
    assert header == (
        "Subject",
        "Filename",
        None,
        "OnsetFrame",
        "ApexFrame",
        "OffsetFrame",
        None,
        "Action Units",
        "Estimated Emotion",
    )
    assert len(rows) == 20
    assert {type(row[0]) for row in rows} == {str}
    assert all(re.fullmatch(r"\d\d", row[0]) for row in rows)
    assert all(row[2] is None and row[6] is None for row in rows)
    assert Counter(type(row[4]) for row in rows) == {int: 19, str: 1}
    assert [row[4] for row in rows if isinstance(row[4], str)] == ["/"]
    assert any(row[4] == row[3] for row in rows)
    assert any(row[4] == row[5] for row in rows)
    assert {type(row[7]) for row in rows} == {int, str}
    assert "?" in {row[7] for row in rows}
    assert {row[8] for row in rows} >= FIVE


def test_casme2_frames_are_those_of_the_workbook(casme2: Path) -> None:
    _, *rows = rows_of(casme2 / "CASME2-coding-20140508.xlsx")
    folders = {path for path in (casme2 / "Cropped").glob("*/*") if path.is_dir()}
    named = {casme2 / "Cropped" / f"sub{row[0]}" / row[1] for row in rows}
    assert folders - named == {casme2 / "Cropped/sub04/EP20_20f"}
    assert named <= folders
    for row in rows:
        folder = casme2 / "Cropped" / f"sub{row[0]}" / row[1]
        written = {int(re.fullmatch(r"reg_img(\d+)\.jpg", path.name)[1]) for path in folder.iterdir()}
        assert {row[3], row[5]} <= written
        assert row[4] == "/" or row[4] in written
        sizes = {Image.open(path).size for path in folder.iterdir()}
        assert len(sizes) == 1
        (width, height) = sizes.pop()
        assert abs(width - 280) <= 12
        assert abs(height - 340) <= 12
    assert (casme2 / "Cropped/sub01/Desktop - Shortcut.lnk").is_file()


def test_ckplus_layout(ckplus: Path) -> None:
    sequences = {path for path in (ckplus / "cohn-kanade-images").glob("S*/*") if path.is_dir()}
    assert len(sequences) == 16
    labelled = 0
    codes = Counter()
    for folder in sequences:
        names = sorted(path.name for path in folder.iterdir())
        pattern = rf"{folder.parent.name}_{folder.name}_\d{{8}}\.png"
        assert all(re.fullmatch(pattern, name) for name in names)
        assert names[0].endswith("_00000001.png")
        assert {Image.open(folder / name).size for name in names} == {(640, 480)}
        emotion = ckplus / "Emotion" / folder.parent.name / folder.name
        texts = list(emotion.iterdir()) if emotion.is_dir() else []
        if texts:
            assert texts[0].name == names[-1].replace(".png", "_emotion.txt")
            assert re.fullmatch(r"   [1-7]\.0000000e\+00\n", texts[0].read_text())
            codes[int(float(texts[0].read_text()))] += 1
            assert len(names) == 6
            labelled += 1
    assert codes == dict.fromkeys(range(1, 8), 2)
    assert labelled == 14
    assert len(list(ckplus.rglob(".DS_Store"))) == 4
    modes = {Image.open(path).mode for path in ckplus.rglob("*_00000001.png")}
    assert modes == {"L", "RGB"}


def test_same_seed_same_bytes_whatever_the_processes(casme2: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(batch, "PATIENCE", 0)
    simulate_casme2(tmp_path / "two", settings(), processes=2)
    assert digests(tmp_path / "two") == digests(casme2)


def test_another_tree_holds_whole_pictures_and_all_frames(tmp_path: Path, monkeypatch) -> None:
    from mer_core.simulation import writers

    clips = tuple(clip for clip in plan("casme2", "tiny", 1) if clip.subject == "sub04")[:1]
    monkeypatch.setattr(writers, "plan", lambda layout, size, seed: clips)
    simulate_casme2(tmp_path / "raw", settings(casme2_tree="raw_selected", frames="all", seed=1))
    (clip,) = clips
    folder = tmp_path / "raw/CASME2_RAW_selected/sub04" / clip.name
    names = {f"img{number}.jpg" for number in range(clip.onset, clip.offset + 1)}
    assert {path.name for path in folder.iterdir()} == names
    assert Image.open(folder / f"img{clip.apex}.jpg").size == (640, 480)


def test_a_failure_leaves_the_older_folder(tmp_path: Path) -> None:
    root = tmp_path / "casme2"
    root.mkdir()
    (root / "old.txt").write_text("kept")
    with pytest.raises(UserError):
        simulate_casme2(root, settings(faces=str(tmp_path / "nowhere")))
    assert (root / "old.txt").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["casme2"]


KILLED = """
import sys
from mer_core import batch
from mer_core.config.simulation import Simulation
from mer_core.simulation.writers import simulate_casme2
batch.PATIENCE = 0
if __name__ == "__main__":
    simulate_casme2(sys.argv[1], Simulation.model_validate_json(sys.argv[2]), processes=2)
"""


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_simulation_leaves_no_worker_and_the_next_clears_up(casme2: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(KILLED)  # a file, since workers are spawned
    root = tmp_path / "data" / "casme2"
    command = [sys.executable, tmp_path / "script.py", root, settings().model_dump_json()]
    job = subprocess.Popen(command)
    end = time.monotonic() + 60
    while not list(root.parent.glob(".casme2.*.new/*/*/*/*.jpg")):
        assert job.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    children = psutil.Process(job.pid).children(recursive=True)
    job.kill()
    job.wait()
    assert len(children) >= 2
    while any(lives(child) for child in children):
        assert time.monotonic() < end, "they live on"
        time.sleep(0.01)
    assert [path.name for path in root.parent.iterdir()] == [f".casme2.{job.pid}.new"]
    simulate_casme2(root, settings())
    assert digests(root) == digests(casme2)
    assert [path.name for path in root.parent.iterdir()] == ["casme2"]


def test_an_older_folder_is_replaced_as_a_whole(tmp_path: Path, ckplus: Path) -> None:
    root = tmp_path / "ckplus"
    root.mkdir()
    (root / "old.txt").write_text("gone")
    simulate_ckplus(root, settings())
    assert digests(root) == digests(ckplus)
    assert [path.name for path in tmp_path.iterdir()] == ["ckplus"]


def _found(path: Path) -> bool:
    """Plain, upsampled or padded: what any detection of tight crops tries."""
    detector, _ = identities.dlib_models()
    image = np.array(Image.open(path).convert("L"))
    padded = np.pad(image, 60, mode="edge")
    return any(bool(detector(*attempt)) for attempt in ((image, 0), (image, 1), (padded, 0)))


def test_the_detector_finds_the_faces(casme2: Path, ckplus: Path) -> None:
    files = [*sorted(casme2.rglob("*.jpg"))[::3], *sorted(ckplus.rglob("*.png"))[::6]]
    assert len(files) > 35
    assert [path for path in files if not _found(path)] == []
