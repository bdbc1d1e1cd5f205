"""Publishing by rename, the log, and the orphan that must not publish."""

import errno
import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mer_core import images, job
from mer_core.errors import UserError
from mer_core.images import write_image
from mer_core.models import weights


def test_publish_replaces_the_file_only_at_the_end(tmp_path):
    path = tmp_path / "folder" / "table.csv"
    job.write_text(path, "old")
    with job.publish(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_publish_leaves_nothing_behind_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), job.publish(tmp_path / "x.json") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_publish_clears_what_killed_jobs_have_left_of_this_file_alone(tmp_path):
    code = f"""
import os, signal
from mer_core.job import publish
with publish({str(tmp_path / "x[1].csv")!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60)
    assert len(list(tmp_path.iterdir())) == 1
    others = [".x[1].csv.csv", ".x[1].data.abcdefgh.csv", ".x1.csv.abcdefgh.csv"]
    for name in others:
        (tmp_path / name).touch()
    job.write_text(tmp_path / "x[1].csv", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"x[1].csv", *others}


def test_publish_says_what_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for path, said in (
        ("file/x.csv", r"a file stands where a folder should; name another"),
        ("file/deep/x.csv", r"a file stands where a folder should; name another"),
        ("", r"a folder has this name; name a file"),
    ):
        with (
            pytest.raises(UserError, match=rf"{path}: cannot be written \(.*\); {said}"),
            job.publish(tmp_path / path),
        ):
            raise AssertionError("said before anything is computed")


def test_a_full_disk_is_a_users_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    job.write_text(path, "old")
    with pytest.raises(UserError, match="free space"), job.publish(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"


@pytest.mark.parametrize("call", ["chmod", "fchmod", "fsync"])
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_a_call_publishes_all_the_same(tmp_path, monkeypatch, call, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    job.write_text(tmp_path / "table.csv", "a,b\n")
    assert (tmp_path / "table.csv").read_text() == "a,b\n"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_data_that_did_not_reach_the_disk_are_not_published(tmp_path, monkeypatch, number):
    def fail(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((UserError, OSError)):
        job.write_text(tmp_path / "table.csv", "a,b\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_a_share_that_does_not_answer_is_one_sentence_and_keeps_the_old_file(
    tmp_path, monkeypatch, call, number
):
    job.write_text(tmp_path / "x.txt", "old")

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], fail)
    with pytest.raises(UserError, match=r"x\.txt: cannot be written .* once its disk or share answers"):
        job.write_text(tmp_path / "x.txt", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.txt", "old")]


def test_an_unrelated_os_error_is_not_disguised(tmp_path):
    with pytest.raises(FileNotFoundError), job.publish(tmp_path / "x.txt"):
        (tmp_path / "absent").read_text()


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        job.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def run_job(tmp_path, body):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, os, signal\nfrom mer_core import job\nfrom mer_core.errors import UserError\n"
        f"with job.logged({str(tmp_path / 'logs' / 'x.log')!r}):\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    return done, (tmp_path / "logs" / "x.log").read_text()


def test_the_log_takes_all_output_and_a_users_error_has_no_traceback(tmp_path):
    done, log = run_job(tmp_path, "print('hello'); os.system('echo from C'); raise UserError('a: b; c')")
    assert done.returncode == 1
    assert done.stdout == done.stderr == ""
    assert "hello\n" in log
    assert "from C\n" in log
    assert "error: a: b; c\n" in log
    assert "Traceback" not in log


def test_any_other_error_leaves_its_traceback_in_the_log(tmp_path):
    done, log = run_job(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in log


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_no_encoding_of_the_user_stops_a_job(tmp_path, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done, log = run_job(
        tmp_path, "print('a \u2013 \u8868', os.fsdecode(b'no text \\xff')); raise UserError('\u00e9')"
    )
    assert done.returncode == 1
    assert log == "a \u2013 \u8868 no text \\udcff\nerror: \u00e9\n"


def test_a_lack_of_memory_is_one_sentence(tmp_path):
    done, log = run_job(tmp_path, "import numpy; numpy.ones((2**50,))")
    assert done.returncode == 1
    assert re.fullmatch(r"error: out of memory \(.*\); give the job more, .*\n", log)


def test_a_lack_of_memory_in_a_library_is_one_sentence(tmp_path):
    lack = "import cv2, numpy; cv2.resize(numpy.zeros((8, 8), numpy.uint8), (2**30, 2**30))"
    done, log = run_job(tmp_path, lack)
    assert done.returncode == 1
    assert re.fullmatch(r"error: out of memory \(.*\); give the job more, .*\n", log)


@pytest.mark.parametrize(
    "words",
    [
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to",
        "bad allocation",
    ],
)
def test_a_lack_of_memory_is_known_by_the_words_of_libraries(words):
    assert job.is_out_of_memory(RuntimeError(words))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise UserError('a: b; c')", "error: a: b; c\n"),
        (
            "print('hello', flush=True)",
            r"error: \S+x\.log: cannot be written \(No space .*\); free space .*\n",
        ),
        ("1 / 0", r"Traceback[\s\S]*ZeroDivisionError.*\n"),
    ],
)
def test_what_a_full_disk_keeps_from_the_log_is_said_on_the_terminal(tmp_path, body, said):
    full = "[os.dup2(os.open('/dev/full', os.O_WRONLY), log) for log in (1, 2)]"
    done, log = run_job(tmp_path, f"{full}\n{body}")
    assert done.returncode != 0 and not log
    assert re.fullmatch(said, done.stderr)


def test_a_log_that_cannot_be_written_is_said_on_the_terminal(tmp_path):
    (tmp_path / "logs").write_text("not a folder")
    code = f"from mer_core import job\nwith job.logged({str(tmp_path / 'logs/x.log')!r}): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: .*/logs/x\.log: cannot be written \(.*; a file stands where .*\n", done.stderr
    )


def test_the_log_of_a_rerun_is_not_written_to_by_an_orphan(tmp_path):
    log = tmp_path / "x.log"
    code = f"""
import sys
from mer_core import job
with job.logged({str(log)!r}):
    print("the orphan is here")
    sys.stdin.read()
    print("and still here")
"""
    orphan = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    end = time.monotonic() + 30
    while not (log.exists() and "here" in log.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    rerun = f"from mer_core import job\nwith job.logged({str(log)!r}): print('rerun')"
    subprocess.run([sys.executable, "-c", rerun], check=True, timeout=60)
    orphan.communicate(timeout=30)
    assert log.read_text() == "rerun\n"


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_stopped_job_removes_temporary_files_and_says_so_in_one_line(tmp_path, how):
    target = tmp_path / "out" / "x.txt"
    done, log = run_job(
        tmp_path,
        f"""
        with job.publish({str(target)!r}) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.{how})
        """,
    )
    assert done.returncode == 1
    assert re.fullmatch(f"error: stopped by {how} .*; run the same command again\n", log)
    assert list(target.parent.iterdir()) == []


def test_an_orphan_publishes_nothing(tmp_path):
    """The parent, which calls itself snakemake, is killed while its child writes."""
    out = tmp_path / "x.txt"
    child = tmp_path / "child.py"
    child.write_text(
        textwrap.dedent(f"""
        import pathlib, time
        from mer_core import job
        try:
            with job.publish({str(out)!r}) as temporary:
                temporary.write_text("orphan")
                pathlib.Path({str(tmp_path / "ready")!r}).touch()
                while not pathlib.Path({str(tmp_path / "go")!r}).exists():
                    time.sleep(0.01)
        except job.Orphaned as refusal:
            with open({str(tmp_path / "refused.new")!r}, "w") as file:
                file.write(str(refusal))
            pathlib.Path({str(tmp_path / "refused.new")!r}).rename({str(tmp_path / "refused")!r})
        """)
    )
    parent = tmp_path / "snakemake"
    parent.write_text(
        f"import subprocess, sys\nsubprocess.run(['bash', '-c', '{sys.executable} {child}; true'])\n"
    )
    process = subprocess.Popen([sys.executable, parent])
    wait_for(tmp_path / "ready")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (tmp_path / "go").touch()
    wait_for(tmp_path / "refused")
    assert "the workflow that started this job is gone" in (tmp_path / "refused").read_text()
    assert not out.exists()


def test_a_child_of_a_living_snakemake_publishes(tmp_path):
    out = tmp_path / "x.txt"
    parent = tmp_path / "snakemake"
    code = f"from mer_core import job; job.write_text({str(out)!r}, str(len(job._STARTED_BY)))"
    parent.write_text(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}], check=True)\n"
    )
    subprocess.run([sys.executable, parent], check=True, timeout=60)
    assert int(out.read_text()) >= 2


def wait_for(path: Path, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def test_a_read_only_folder_is_named_and_what_lies_in_it_is_kept():
    """As somebody else where the tests run as root, who may write everywhere."""
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x.csv").write_text("old")
        folder.chmod(0o555)
        os.seteuid(me or 65534)
        try:
            with pytest.raises(UserError, match=r"x\.csv: cannot be written.*mend permissions"):
                job.write_text(folder / "x.csv", "new")
        finally:
            os.seteuid(me)
        assert (folder / "x.csv").read_text() == "old"
        folder.chmod(0o755)


@pytest.mark.parametrize("stop", [job.Terminated("stopped by SIGTERM"), job.Orphaned("gone")])
def test_a_stop_passes_through_those_who_blame_the_file(tmp_path, monkeypatch, stop):
    def stopped(*_):
        raise stop

    (tmp_path / "w.safetensors").write_bytes(safetensors.torch.save({"x": torch.zeros(1)}))
    image = tmp_path / "x.png"
    write_image(image, np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(weights, "load", stopped)
    monkeypatch.setattr(images, "_decoded", stopped)
    for read in (
        lambda: weights.load_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors"),
        lambda: images.read_image(image),
    ):
        with pytest.raises(type(stop)):
            read()


def test_imports_are_searched_for_cycles_neither_meanwhile_nor_afterwards():
    before = gc.get_freeze_count()
    with pytest.raises(ImportError), job.importing():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled() and gc.get_freeze_count() > before
    gc.unfreeze()
