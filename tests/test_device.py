"""Leases of pretended GPUs by real processes."""

import errno
import multiprocessing
import os
import signal
import time

import cv2
import numpy as np
import pytest
import torch

from mer_core.errors import UserError
from mer_core.job import is_out_of_memory
from mer_core.training import device
from mer_core.training.device import lease

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def several_to_choose_from(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "POLL_SECONDS", 0.01)


def two():
    return ["GPU-a", "GPU-b"]


def test_without_a_gpu_it_is_the_cpu_and_the_log_says_so_once(tmp_path, caplog):
    caplog.set_level("INFO")
    with lease(1, tmp_path, devices=list) as leased:
        assert leased == torch.device("cpu")
    assert [record.message for record in caplog.records] == ["no GPU to be seen: computing on the CPU"]


def test_large_tensors_of_the_cpu_lie_in_huge_pages_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    for given, used in ((None, "1"), ("0", "0")):
        monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
        if given:
            monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", given)
        with lease(1, tmp_path, devices=list):
            assert os.environ["THP_MEM_ALLOC_ENABLE"] == used


def test_the_one_device_that_is_visible_is_leased_too(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with lease(2, tmp_path, lambda: ["GPU-x"]) as first, lease(2, tmp_path, lambda: ["GPU-x"]) as second:
        assert first == second == torch.device("cuda", 0)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["GPU-x.slot0.lock", "GPU-x.slot1.lock"]
        waiting = FORK.Process(target=hold, args=(tmp_path, FORK.Event(), 2, "GPU-x"))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive(), "both slots are taken"
        waiting.kill()
        waiting.join()


def test_of_several_slices_of_a_gpu_each_job_sees_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a, MIG-b")
    with lease(1, tmp_path) as first:
        assert first == torch.device("cuda", 0) and os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-a"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b")  # as another job finds it
        with lease(1, tmp_path) as second:
            assert second == torch.device("cuda", 0) and os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-b"


def test_jobs_spread_over_devices_before_they_share_one(tmp_path):
    with lease(2, tmp_path, two) as a, lease(2, tmp_path, two) as b, lease(2, tmp_path, two) as c:
        assert [d.index for d in (a, b, c)] == [0, 1, 0]
        with lease(2, tmp_path, two) as d:
            assert d.index == 1
    with lease(2, tmp_path, two) as again:
        assert again.index == 0


def work(folder, locks, counts, together):
    """Hold a device for a moment; count when it was held by somebody else."""
    together.wait(30)
    with lease(1, locks, two) as leased:
        mark = folder / f"held-{leased.index}"
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            counts.put("shared")
            return
        time.sleep(0.03)
        mark.unlink()
        counts.put(leased.index)


def test_twenty_jobs_on_two_devices_never_meet(tmp_path):
    locks = tmp_path / "locks"
    counts, together = FORK.SimpleQueue(), FORK.Barrier(20)
    jobs = [FORK.Process(target=work, args=(tmp_path, locks, counts, together)) for _ in range(20)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(30)
    held = [counts.get() for _ in jobs]
    assert set(held) == {0, 1}


def hold(locks, ready, slots=1, name="GPU-a"):
    with lease(slots, locks, lambda: [name]):
        ready.set()
        time.sleep(60)


def test_a_killed_job_frees_its_device_for_one_that_waits(tmp_path, caplog):
    caplog.set_level("INFO")
    ready = FORK.Event()
    job = FORK.Process(target=hold, args=(tmp_path, ready))
    job.start()
    assert ready.wait(30)
    killer = FORK.Process(target=lambda: (time.sleep(0.3), os.kill(job.pid, signal.SIGKILL)))
    killer.start()
    begun = time.monotonic()
    with lease(1, tmp_path, lambda: ["GPU-a"]) as leased:
        waited = time.monotonic() - begun
    job.join()
    killer.join()
    assert leased.index == 0 and job.exitcode == -signal.SIGKILL
    assert 0.2 < waited < 10
    assert sum("waiting" in record.message for record in caplog.records) == 1


def test_an_error_in_the_job_gives_the_device_back(tmp_path):
    with pytest.raises(RuntimeError), lease(1, tmp_path, lambda: ["GPU-a"]):
        raise RuntimeError
    with lease(1, tmp_path, lambda: ["GPU-a"]) as leased:
        assert leased.index == 0


def test_a_planted_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="belongs to another user"), lease(1, tmp_path / "locks", two):
        pass


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_what_helps(tmp_path, monkeypatch, error):
    def refuse(*arguments):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(device.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"locks.*TMPDIR"), lease(1, tmp_path, two):
        pass


def test_a_temporary_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file/locks: cannot hold"),
        lease(1, tmp_path / "file" / "locks", two),
    ):
        pass


@pytest.mark.parametrize("devices", [list, two])
def test_out_of_memory_anywhere_is_one_sentence(tmp_path, devices):
    with (
        pytest.raises(UserError, match=r"out of memory.*more free memory") as caught,
        lease(1, tmp_path, devices),
    ):
        torch.empty(2**60)
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="shapes"), lease(1, tmp_path, devices):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value), "the CPU's allocator as it is"
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((8, 8), np.uint8), (2**30, 2**30))
    assert is_out_of_memory(caught.value), "OpenCV's as it is"
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize(
    ("has", "vendor", "chosen"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "GenuineIntel", "bfloat16"),
        ({"amx_bf16": False, "avx512_bf16": True}, "GenuineIntel", "float32"),
        ({"amx_bf16": False, "avx512_bf16": True}, "AuthenticAMD", "bfloat16"),
        ({"amx_bf16": False, "avx512_bf16": False}, "AuthenticAMD", "float32"),
        ({"neon": True}, "", "float32"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_faster_and_taken_where_it_is_asked_for(
    has, vendor, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    monkeypatch.setattr(device, "_is_amd", lambda: vendor == "AuthenticAMD")
    cpu = torch.device("cpu")
    assert device.choose_precision("auto", cpu, 48) == chosen
    assert device.choose_precision("bfloat16", cpu, 48) == "bfloat16"
    assert device.choose_precision("float32", cpu, 48) == "float32"
    assert device.choose_precision("auto", cpu, 48, "efficientnet_lite0") == "float32"
    assert device.choose_precision("bfloat16", cpu, 48, "efficientnet_lite0") == "bfloat16"
    assert device.choose_precision("auto", cpu, 16) == "float32"


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(UserError, match=r"tf32 needs an NVIDIA GPU.*this is cpu; use auto or float32"):
        device.choose_precision("tf32", torch.device("cpu"), 48)
    with pytest.raises(UserError, match=r"below 32 pixels \(16 here\); use auto or float32"):
        device.choose_precision("bfloat16", torch.device("cpu"), 16)


def test_circumstances_name_device_precision_and_peak_memory():
    told = device.circumstances(torch.device("cpu"), "bfloat16")
    assert (
        told["device"] == "cpu"
        and told["instructions"] == torch.backends.cpu.get_cpu_capability()
        and told["precision"] == "bfloat16"
        and told["threads"] == torch.get_num_threads()
    )
    assert 50 < told["peak_memory_mb"] < 100_000
    assert told["versions"]["torch"] == torch.__version__.split("+")[0]
