"""A dataset's faces in one cache: what is wrong is listed, what is unchanged is kept, a kill loses little."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import skimage.data
import yaml
from test_alignment import photographs, settings

from mer_core import batch
from mer_core.batch import earlier
from mer_core.faces import samples
from mer_core.faces.cache import Aligned, read_cache
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.samples import align_samples
from mer_core.images import write_image


class Dataset(NamedTuple):
    """A dataset on disk, and where its faces go."""

    rows: pd.DataFrame
    root: Path
    cache: Path
    failures: Path

    def align(self, processes: int = 1, rows: slice = slice(None), **changes: object) -> Aligned:
        align_samples(
            "x",
            self.rows[rows],
            self.root,
            settings(**changes),
            self.cache,
            self.failures,
            processes=processes,
        )
        return read_cache(self.cache)

    def failed(self) -> list[tuple[str, str]]:
        return list(pd.read_csv(self.failures).itertuples(index=False, name=None))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A face, a blank wall, a truncated file, a missing one and a second face."""
    root = tmp_path / "数据 set"
    write_image(root / "sub01" / "a.jpg", skimage.data.astronaut())
    write_image(root / "sub01" / "wall.png", np.full((200, 200, 3), 99, np.uint8))
    write_image(root / "sub01" / "cut.jpg", skimage.data.astronaut())
    whole = (root / "sub01" / "cut.jpg").read_bytes()
    (root / "sub01" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    write_image(root / "sub01" / "b.jpg", photographs()["hopper"])
    names = ["a.jpg", "wall.png", "cut.jpg", "gone.jpg", "b.jpg"]
    rows = {
        "sample_id": [f"x/sub01/{name}" for name in names],
        "frame_path": [f"sub01/{name}" for name in names],
        "bit_depth": pd.NA,
    }
    return Dataset(
        pd.DataFrame(rows, index=[7, 3, 9, 1, 5]), root, tmp_path / "x.h5", tmp_path / "x.failures.csv"
    )


@pytest.fixture
def aligned_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are aligned, rather than kept."""
    names, align = [], samples._align_file

    def noted(own: object, work: tuple[Path, None, None]) -> bytes:
        names.append(work[0].name)
        return align(own, work)

    monkeypatch.setattr(samples, "_align_file", noted)
    return names


@pytest.mark.parametrize("processes", [1, 3])
def test_failures_are_listed_and_lose_nothing(
    dataset: Dataset, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PATIENCE", 0)
    aligned = dataset.align(processes)
    assert aligned.sample_id == ["x/sub01/a.jpg", "x/sub01/b.jpg"]
    assert aligned.detector == ["plain", "plain"]
    ids, messages = zip(*dataset.failed(), strict=True)
    assert ids == ("x/sub01/wall.png", "x/sub01/cut.jpg", "x/sub01/gone.jpg")
    for message, part in zip(
        messages, ["no face found", "cut.jpg: damaged", "gone.jpg: no such"], strict=True
    ):
        assert part in message and "\n" not in message
    attributes = read_cache(dataset.cache).attributes
    assert attributes | {"size": 64, "eye_center": "0.5 0.3", "color": "rgb"} == attributes
    left = sorted(path.name for path in dataset.cache.parent.glob("*x.*"))
    assert left == [".x.failures.csv.earlier", ".x.h5.earlier", "x.failures.csv", "x.h5"]
    assert dataset.cache.samefile(earlier(dataset.cache)), "faces take their space once"


@pytest.mark.parametrize("damage", ["sample_id,message\nx", "sample_id,message\n", ""])
def test_a_damaged_list_of_failures_is_written_anew(dataset: Dataset, damage: str) -> None:
    """Which has a second name, and is the same file by both."""
    dataset.align()
    failed = dataset.failed()
    dataset.failures.write_text(damage)
    dataset.failures.unlink()  # as its reader says
    dataset.align()
    assert dataset.failed() == failed


def test_the_share_inside_is_recorded_and_little_of_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    points = FaceFinder().find(skimage.data.astronaut()).landmarks
    (left, top), (right, bottom) = points[17:].min(0).astype(int), points[17:].max(0).astype(int)
    write_image(tmp_path / "whole.png", skimage.data.astronaut())
    write_image(tmp_path / "tight.png", skimage.data.astronaut()[top - 9 : bottom + 9, left - 9 : right + 9])
    names = {"sample_id": ["whole", "tight"], "frame_path": ["whole.png", "tight.png"]}
    rows = pd.DataFrame(names | {"bit_depth": pd.NA})
    given = Dataset(rows, tmp_path, tmp_path / "x.h5", tmp_path / "x.failures.csv")
    aligned = given.align()
    assert aligned.inside[0] == 1 and 0.2 < aligned.inside[1] < 0.6
    caplog.clear()
    given.align(rows=slice(1))
    assert "smeared" not in caplog.text
    given.align(rows=slice(1, None))
    [advice] = re.findall(r"smeared border: write datasets\.x\.alignment: (\{.*?\})", caplog.text)
    [share] = re.findall(r"of which (\d+) % lie inside", caplog.text)
    closer = given.align(rows=slice(1, None), **yaml.safe_load(advice))
    assert closer.inside[0] == pytest.approx(int(share) / 100, abs=0.01) and closer.inside[0] >= 0.695
    brows_and_mouth = closer.landmarks[0, 17:] @ closer.transform[0, :, :2].T + closer.transform[0, :, 2]
    assert brows_and_mouth.min() > -1 and brows_and_mouth.max() < 65
    precropped = given.align(mode="precropped")
    assert precropped.inside.tolist() == [1, 1]


def test_without_any_face_the_cache_is_empty(dataset: Dataset) -> None:
    for _ in range(2):
        aligned = dataset.align(rows=slice(1, 4), size=32, color="gray")
        assert aligned.images.shape == (0, 32, 32, 1)
        assert aligned.landmarks.shape == (0, 68, 2)
        assert len(dataset.failed()) == 3


def test_precropped_samples_need_no_detector(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FaceFinder) -> None:
        raise AssertionError("the models were loaded")

    monkeypatch.setattr(FaceFinder, "__init__", refuse)
    samples._finder.cache_clear()
    aligned = dataset.align(mode="precropped")
    assert len(aligned.images) == 3 and len(dataset.failed()) == 2
    assert set(aligned.detector) == {"precropped"}


@pytest.mark.parametrize(
    "change",
    [
        {"size": 32},
        {"eye_distance": 0.3},
        {"eye_center": (0.5, 0.4)},
        {"color": "gray"},
        {"mode": "precropped"},
    ],
)
def test_every_setting_is_recorded_and_aligns_anew(dataset: Dataset, change: dict) -> None:
    first = dataset.align(rows=slice(1))
    other = dataset.align(rows=slice(1), **change)
    assert first.origin != other.origin
    assert dataset.align(rows=slice(1)).origin == first.origin
    assert all(first.attributes[name] != other.attributes[name] for name in change)


def test_only_what_changed_is_aligned_again(dataset: Dataset, aligned_again: list[str]) -> None:
    first = dataset.align()
    before = dataset.cache.read_bytes(), dataset.failures.read_bytes()
    aligned_again.clear()
    for lost in ([], [dataset.cache], [dataset.cache, dataset.failures]):  # which Snakemake removes itself
        for path in lost:
            path.unlink()
        dataset.align()
        assert aligned_again == []
        assert (dataset.cache.read_bytes(), dataset.failures.read_bytes()) == before
    earlier(dataset.failures).unlink()
    dataset.align()
    assert aligned_again == ["wall.png", "cut.jpg", "gone.jpg"], "what has no face is looked at again"
    assert (dataset.cache.read_bytes(), dataset.failures.read_bytes()) == before

    aligned_again.clear()
    write_image(dataset.root / "sub01" / "b.jpg", skimage.data.astronaut()[:, ::-1])
    changed = dataset.align(rows=slice(None, None, 4))
    assert aligned_again == ["b.jpg"]
    np.testing.assert_array_equal(changed.images[0], first.images[0])
    assert (changed.images[1] != first.images[1]).any()
    aligned_again.clear()
    dataset.align(rows=slice(1))
    assert aligned_again == [], "a shorter list of samples aligns nothing"
    dataset.cache.write_bytes(b"damaged")
    dataset.align(rows=slice(1))
    assert aligned_again == ["a.jpg"]


KILLED = """
import os, signal, sys
from pathlib import Path
from mer_core.faces import samples
import test_samples

align = samples._align_file

def once(settings, work):
    if work[0].name == "b.jpg":
        os.kill(os.getpid(), signal.SIGKILL)
    return align(settings, work)

samples._align_file = once
root = Path(sys.argv[1])
test_samples.dataset.__wrapped__(root).align()
"""


def test_a_killed_job_loses_the_image_in_flight(
    dataset: Dataset, aligned_again: list[str], tmp_path: Path
) -> None:
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert not dataset.cache.exists()
    (left,) = tmp_path.glob(".x.h5*")
    assert left.stat().st_mode & 0o077 == 0, "faces are private"
    with left.open("r+b") as file:
        file.truncate(left.stat().st_size - 1)
    aligned = dataset.align()
    assert aligned_again == ["gone.jpg", "b.jpg"], "what was cut off and what was in flight"
    assert not left.exists()
    dataset.cache.unlink()
    again = dataset.align()
    np.testing.assert_array_equal(again.images, aligned.images)
