"""Pieces of work by several processes, each kept once it is done."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from threadpoolctl import threadpool_info

from mer_core import batch, job
from mer_core.batch import Finished, workers
from mer_core.errors import UserError


def key(name):
    return hashlib.sha256(name.encode()).hexdigest()


def square(number):
    if number == 5:
        raise ValueError("five")
    return number**2, os.getpid()


@pytest.fixture(autouse=True)
def two_cores_at_once(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(batch, "PATIENCE", 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_arguments(processes):
    with workers(processes, os.getpid) as spread:
        results, pids = zip(*spread(square, range(5)), strict=True)
    assert results == (0, 1, 4, 9, 16)
    assert (os.getpid() in pids) == (processes == 1)
    with pytest.raises(ValueError, match="five"), workers(processes, os.getpid) as spread:
        list(spread(square, range(3, 9)))


def slow_square(number):
    time.sleep(0.1)
    return square(number)


def test_short_work_is_done_here_and_long_work_is_shared(monkeypatch):
    monkeypatch.setattr(batch, "PATIENCE", 0.35)
    with workers(2, os.getpid) as spread:
        short, long = list(spread(square, range(5))), list(spread(slow_square, [0, 1, 2, 3, 4, 6, 7, 8]))
    assert [square for square, _ in long] == [0, 1, 4, 9, 16, 36, 49, 64]
    own = [pid == os.getpid() for _, pid in (*short, *long)]
    assert own == [True] * 9 + [False] * 4


def test_no_more_processes_are_started_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with workers(8, os.getpid) as spread:
        assert {pid for _, pid in spread(square, range(5))} == {os.getpid()}


def blas_threads(number):
    import numpy.linalg  # noqa: F401 - loads the library

    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


def test_every_process_computes_on_one_thread(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with workers(2, os.getpid) as spread:
        assert set(spread(blas_threads, range(4))) == {1}
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2" and "VECLIB_MAXIMUM_THREADS" not in os.environ


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_the_system_kills_is_one_sentence():
    message = "killed at its work, most likely for want of memory"
    with pytest.raises(UserError, match=message), workers(2, os.getpid) as spread:
        list(spread(die, range(3)))


WORKING = """
import sys, time
from mer_core import batch

if __name__ == "__main__":
    batch.PATIENCE = 0
    with batch.workers(2, time.sleep, 0) as spread:
        print("started", *spread(abs, [1, 2]), flush=True)
        time.sleep(600)
"""


def test_workers_end_with_a_job_that_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(WORKING)
    command = [sys.executable, str(tmp_path / "script.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started 1 2\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_what_is_finished_outlives_an_error_and_goes_with_success(tmp_path):
    output = tmp_path / "folder" / "out.h5"
    with pytest.raises(ZeroDivisionError), Finished(output) as finished:
        finished.add(key("a"), b"first")
        finished.add(key("b"), b"")
        raise ZeroDivisionError
    with Finished(output) as finished:
        assert key("a") in finished and key("c") not in finished
        assert (finished[key("a")], finished[key("b")]) == (b"first", b"")
        finished.add(key("c"), b"third")
        assert (finished[key("c")], finished[key("a")]) == (b"third", b"first")
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize("lost", [1, 5, 30, 104])
def test_what_was_cut_off_is_dropped_and_the_rest_goes_on(tmp_path, lost):
    with pytest.raises(ZeroDivisionError), Finished(tmp_path / "x") as finished:
        finished.add(key("a"), b"first")
        finished.add(key("b"), b"other")
        raise ZeroDivisionError
    whole = finished.path.read_bytes()
    finished.path.write_bytes(whole[:-lost])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), Finished(tmp_path / "x") as again:
            assert (key("a") in again, key("b") in again) == (True, False)
            raise ZeroDivisionError
    flipped = bytearray(whole)
    flipped[-len(whole) // 4] ^= 1
    finished.path.write_bytes(flipped)
    with Finished(tmp_path / "x") as again:
        assert again[key("a")] == b"first" and key("b") not in again
        again.add(key("b"), b"again")
        assert again[key("b")] == b"again"


def test_an_orphan_adds_nothing(tmp_path, monkeypatch):
    def gone():
        raise job.Orphaned("gone")

    with pytest.raises(job.Orphaned), Finished(tmp_path / "x") as finished:
        monkeypatch.setattr(job, "check_not_orphaned", gone)
        finished.add(key("a"), b"content")
    assert finished.path.stat().st_size == 0
