"""The cache gives back what was written, or one sentence about why it does not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mer_core import container, job
from mer_core.errors import UserError
from mer_core.faces import cache
from mer_core.faces.cache import SCHEMA, Aligned, read_cache, read_parts, write_cache, write_parts

ATTRIBUTES = {"size": 16, "eye_distance": 0.24, "color": "rgb", "origins": "a1"}


def faces(n: int = 3, subject: str = "sub01", channels: int = 3, **attributes: str | int | float) -> Aligned:
    """Random faces under names that are not plain ASCII."""
    generator = np.random.default_rng(sum(map(ord, subject)))
    return Aligned(
        images=generator.integers(0, 256, (n, 16, 16, channels), np.uint8),
        landmarks=generator.normal(size=(n, 68, 2)).astype(np.float32),
        transform=generator.normal(size=(n, 2, 3)),
        sample_id=[f"casme2/{subject}/表情 {i}" for i in range(n)],
        detector=["plain", "padded", "upsampled", "box"][:n] or [],
        attributes=ATTRIBUTES | attributes,
        inside=generator.random(n, np.float32),
        origin=[f"{subject}{i}" for i in range(n)],
    )


def assert_same(one: Aligned, other: Aligned) -> None:
    for name in ("images", "landmarks", "transform", "inside"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in ("sample_id", "detector", "attributes", "origin"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize(("n", "channels"), [(3, 3), (3, 1), (0, 3)])
def test_reads_what_was_written(tmp_path: Path, n: int, channels: int) -> None:
    written = faces(n, channels=channels)
    write_cache(tmp_path / "cache.h5", written)
    assert_same(read_cache(tmp_path / "cache.h5"), written)


def test_missing_landmarks_survive(tmp_path: Path) -> None:
    written = replace(faces(), landmarks=np.full((3, 68, 2), np.nan, np.float32))
    write_cache(tmp_path / "cache.h5", written)
    assert_same(read_cache(tmp_path / "cache.h5"), written)


def test_same_faces_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        write_cache(tmp_path / name, faces())
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_is_private_and_lies_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with h5py.File(path) as file:
        assert all(dataset.chunks is None and dataset.compression is None for dataset in file.values())


def test_failure_leaves_the_old_cache_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_cache(path, faces(when=object()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
from test_cache import faces
from mer_core.errors import UserError
from mer_core.faces.cache import write_cache

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_cache(sys.argv[1], faces(4))
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 10, 100, 1000, 2000, 3000, 5000])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, room: int) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    before = path.read_bytes()
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    command = [sys.executable, "-c", FULL_DISK, str(path), str(room)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}: cannot be written (File too large); free space or mend permissions\n"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 0.01, 0.5, 0.999])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match=r"cache\.h5: .*; delete this file and run again"):
        read_cache(path)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"(checksum|is not a file of .*); delete this file and run"):
            read_cache(path)


def test_what_was_changed_in_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    with h5py.File(path, "r+") as file:
        file.attrs["attributes"] = np.bytes_(file.attrs["attributes"].replace(b"0.24", b"0.25"))
    with pytest.raises(UserError, match="the data do not match their checksum"):
        read_cache(path)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    with pytest.raises(UserError, match="there is no such file"):
        read_cache(path)
    path.write_text("sample_id,label\n")
    with pytest.raises(UserError, match="is not a file of 'mer-core aligned faces"):
        read_cache(path)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(UserError, match="is not a file of 'mer-core aligned faces"):
        read_cache(path)


def seal(path: Path) -> None:
    """Sign a cache that was tampered with: the checksum is no secret."""
    with path.open("r+b") as disk:
        header = container._header(disk, SCHEMA)
        disk.seek(0)
        disk.write(header)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("images", None),
        ("images", np.zeros((3, 16, 16, 3), np.float32)),
        ("images", np.zeros((2, 16, 16, 3), np.uint8)),
        ("images", np.zeros((3, 16, 16), np.uint8)),
        ("landmarks", np.zeros((3, 5, 2), np.float32)),
        ("transform", np.zeros((3, 2, 3), np.float32)),
        ("detector", np.zeros(3, np.float32)),
        ("detector", np.array([b"plain"])),
        ("origin", np.array([b"plain"])),
    ],
)
def test_wrong_columns(tmp_path: Path, column: str, value: np.ndarray | None) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    with h5py.File(path, "r+") as file:
        del file[column]
        if value is not None:
            file[column] = value
    seal(path)
    with pytest.raises(UserError, match=r"cache\.h5: cannot be read .*delete"):
        read_cache(path)


def test_a_size_beyond_the_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    with h5py.File(path, "r+") as file:
        del file["images"]
        file.create_dataset("images", (10**9, 224, 224, 3), np.uint8)
    seal(path)
    with pytest.raises(UserError, match="images is larger than the file"):
        read_cache(path)


READS = "import sys; from mer_core.faces.cache import read_cache; read_cache(sys.argv[1])"


def test_a_cache_that_is_open_elsewhere_is_whole_and_called_busy(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    write_cache(path, faces())
    command = [sys.executable, "-c", READS, str(path)]
    with h5py.File(path, "r+", locking=True):
        done = subprocess.run(command, capture_output=True, text=True)
    assert "is open in another program; close it there and run again" in done.stderr.splitlines()[-1]
    assert "delete" not in done.stderr.splitlines()[-1]
    subprocess.run(command, check=True)  # the remedy, followed


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "owner"), (errno.EIO, "may be whole")])
def test_what_the_disk_refuses_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    write_cache(tmp_path / "cache.h5", faces())

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "file read failed: time = ..., a long story of HDF5's")

    for owner, name in ((h5py, "File"), (h5py.Dataset, "__getitem__"), (hashlib, "file_digest")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=remedy) as caught:
            patch.setattr(owner, name, fail)
            read_cache(tmp_path / "cache.h5")
        assert "delete" not in str(caught.value) and "story" not in str(caught.value)


def test_callers_need_not_know_what_lies_inside(tmp_path: Path) -> None:
    whole = faces()
    short = Aligned(
        whole.images, whole.landmarks, whole.transform, whole.sample_id, whole.detector, whole.attributes
    )
    write_cache(tmp_path / "cache.h5", short)
    read = read_cache(tmp_path / "cache.h5")
    assert np.isnan(read.inside).all() and read.origin == [""] * 3


def test_parts_are_one_cache_and_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [faces(2, "sub02"), faces(3, "sub01")]
    write_parts(tmp_path / "cache.h5", iter(parts), 5, ATTRIBUTES)
    whole = read_cache(tmp_path / "cache.h5")
    assert whole.sample_id == parts[0].sample_id + parts[1].sample_id
    np.testing.assert_array_equal(whole.images, np.concatenate([part.images for part in parts]))
    np.testing.assert_array_equal(whole.landmarks[2:], parts[1].landmarks)
    monkeypatch.setattr(cache, "PART", 2)
    again = list(read_parts(tmp_path / "cache.h5"))
    assert [len(part.images) for part in again] == [2, 2, 1]
    assert_same(again[0], parts[0])


@pytest.mark.parametrize("count", [5, 7])
def test_parts_that_do_not_add_up_are_no_cache(tmp_path: Path, count: int) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_parts(tmp_path / "cache.h5", [faces(3, "sub01"), faces(3, "sub02")], count, ATTRIBUTES)
    with pytest.raises(ValueError, match="or one twice"):
        write_parts(tmp_path / "cache.h5", [faces(3), faces(3)], 6, ATTRIBUTES)
    assert not list(tmp_path.iterdir())


def test_a_stopped_job_does_not_blame_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cache(tmp_path / "cache.h5", faces())

    def stop(*_: object) -> None:
        raise job.Terminated("stopped by SIGTERM")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", stop)
    with pytest.raises(job.Terminated):
        read_cache(tmp_path / "cache.h5")


def test_inconsistent_faces_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="landmarks is float64"):
        replace(faces(), landmarks=np.zeros((3, 68, 2)))
    with pytest.raises(ValueError, match="'x' stands twice"):
        replace(faces(), sample_id=["x", "y", "x"])
