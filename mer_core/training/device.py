"""Which device a job computes on, and how: the lease of a GPU, precision, determinism, memory."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from mer_core import provenance
from mer_core.errors import UserError
from mer_core.job import is_out_of_memory

_LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.2
SLICE = "MIG-"  # begins the name of a part of a GPU
SMALLEST_BFLOAT16 = 32  # pixels; ResNet18 divides the edge by 16 before its last stride
BY_CHANNEL = {"efficientnet_lite0"}  # networks whose convolutions have a group for each channel
Precision = Literal["auto", "float32", "tf32", "bfloat16"]


def visible_devices() -> list[str]:
    """The GPUs that this process may use, in CUDA's order, by identifiers that all processes share.

    Of several slices (MIG) CUDA shows a process the first alone, and keeps to what it was first asked with:
    slices are read from CUDA_VISIBLE_DEVICES, and the lease leaves one of them there.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "").split(",")
    if named[0].startswith(SLICE):
        return [name for name in named if name]
    if not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]


@contextmanager
def lease(
    slots_per_device: int = 1,
    folder: Path | None = None,
    devices: Callable[[], Sequence[str]] = visible_devices,
) -> Iterator[torch.device]:
    """Hold one slot of one GPU for as long as the context lasts.

    Snakemake's `gpu=1` only counts, so that jobs started together must still agree who takes which
    device of those that CUDA_VISIBLE_DEVICES leaves, be it one. A slot is leased by a lock (flock) on one
    file per slot: the kernel drops it when the process ends, however it ends. Slots are tried device by
    device, so that jobs spread before they share; when all are busy the job waits. Without a GPU it is
    the CPU.

    Args:
        slots_per_device: jobs that may share one device.
        folder: where the lock files lie; by default one of this user's on this machine. Jobs that are
            to see each other must use the same.
        devices: gives an identifier per device, at its CUDA index; replaced by tests.

    Yields:
        The device to compute on.

    Raises:
        UserError: the folder of the lock files belongs to somebody else or cannot hold locks; or what is
            done with the device (besides steps and predictions, which go on in smaller parts) takes more
            memory than it has.
    """
    names = devices()
    if not names:
        _LOG.info("no GPU to be seen: computing on the CPU")
        # Large tensors in huge pages; read at torch's first tensor (benchmarks/huge_pages.py).
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        with _memory_of("the CPU"):
            yield torch.device("cpu")
        return
    folder = _private(folder or Path(tempfile.gettempdir()) / f"mer-leases-{os.getuid()}")
    index, slot, lock = _wait_for_slot(names, slots_per_device, folder)
    try:
        _LOG.info("computing on GPU %d of %d, slot %d of %d", index, len(names), slot, slots_per_device)
        if names[index].startswith(SLICE):
            os.environ["CUDA_VISIBLE_DEVICES"], index = names[index], 0
        with _memory_of(f"GPU {index}"):
            yield torch.device("cuda", index)
    finally:
        os.close(lock)


def choose_precision(
    wanted: Precision, device: torch.device, size: int, network: str = "resnet18"
) -> Precision:
    """What the network is trained in; `auto` is bfloat16 where the device multiplies it faster than float32.

    That is so on GPUs that have it, and on CPUs with matrix units (AMX) or AMD's AVX-512; Intel's AVX-512
    and all older CPUs take longer over it (docs/performance.md). Not on a CPU for images below
    SMALLEST_BFLOAT16: where a convolution with a stride has a map of one pixel before it, oneDNN's bfloat16
    gradient of its weights differs from one run to the next. Nor there for networks that convolve channel by
    channel, which oneDNN is slower at in bfloat16, and which learn worse in it (docs/recipe.md).

    Args:
        wanted: as the configuration has it.
        device: where.
        size: edge of the images in pixels.
        network: its kind.

    Raises:
        UserError: tf32 is wanted on a device that has none, or bfloat16 on a CPU for images so small.
    """
    # NVIDIA's cards have both since compute capability 8.0, and torch emulates bfloat16 on older ones.
    ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if wanted == "tf32" and not ampere:
        raise UserError(
            f"precision: tf32 needs an NVIDIA GPU of compute capability 8.0, and this is {device}; "
            "use auto or float32"
        )
    small = device.type == "cpu" and size < SMALLEST_BFLOAT16
    if wanted == "bfloat16" and small:
        raise UserError(
            f"precision: bfloat16 does not repeat on a CPU with images below {SMALLEST_BFLOAT16} pixels "
            f"({size} here); use auto or float32"
        )
    if wanted != "auto":
        return wanted
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        faster = has.get("amx_bf16") or (has.get("avx512_bf16") and _is_amd())
        return "bfloat16" if faster and not small and network not in BY_CHANNEL else "float32"
    return "bfloat16" if ampere else "float32"


def memory_format(device: torch.device, size: int) -> torch.memory_format:
    """How images of an edge, in pixels, lie in memory: channels last, but for small ones on the CPU.

    Below about 96 pixels oneDNN trains a fifth faster in its own layout (benchmarks/step_choices.py).
    """
    small = device.type == "cpu" and size < 96
    return torch.contiguous_format if small else torch.channels_last


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Lay the weights of two-dimensional convolutions so; those of three have no such layout."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context of the network's forward pass. Weights, losses and the optimiser stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def kernels(precision: Precision, repeatable: bool, device: torch.device) -> Iterator[None]:
    """What a GPU computes with; the CPU has no such choice.

    Args:
        precision: TF32 for `tf32` alone; by itself torch makes TF32 of float32 in convolutions.
        repeatable: only algorithms that repeat bit for bit, or else the fastest.
        device: the device.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    choices = [
        (torch.backends.cudnn.conv, "fp32_precision", "tf32" if precision == "tf32" else "ieee"),
        (torch.backends.cuda.matmul, "fp32_precision", "tf32" if precision == "tf32" else "ieee"),
        (torch.backends.cudnn, "benchmark", not repeatable),
        # Would write every tensor once more, so that errors repeat that read what nobody has written.
        (torch.utils.deterministic, "fill_uninitialized_memory", False),
    ]
    before = [getattr(owner, name) for owner, name, _ in choices]
    before_repeatable = torch.are_deterministic_algorithms_enabled()
    for owner, name, value in choices:
        setattr(owner, name, value)
    torch.use_deterministic_algorithms(repeatable)
    try:
        with torch.cuda.device(device):
            yield
    finally:
        torch.use_deterministic_algorithms(before_repeatable)
        for (owner, name, _), value in zip(choices, before, strict=True):
            setattr(owner, name, value)


def circumstances(device: torch.device, precision: Precision) -> dict[str, Any]:
    """What a training's results and times depend on besides its settings, for its record.

    Args:
        device: that it was on.
        precision: as chosen.

    Returns:
        device (a GPU's name), precision, threads, versions (on a GPU with cuda and cudnn), on the CPU
        instructions (AVX2, ...), and peak_memory_mb: of the GPU's allocator, or on the CPU the process's
        largest resident set, each since the process started.
    """
    told = provenance.circumstances() | {"precision": precision, "threads": torch.get_num_threads()}
    if device.type != "cuda":
        return told | {"instructions": torch.backends.cpu.get_cpu_capability()}
    libraries = {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return told | {
        "device": torch.cuda.get_device_name(device),
        "versions": told["versions"] | libraries,
        "peak_memory_mb": round(torch.cuda.max_memory_allocated(device) / 2**20),
    }


def _is_amd() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "AuthenticAMD" in cpu.read_text()


def _wait_for_slot(names: Sequence[str], slots: int, folder: Path) -> tuple[int, int, int]:
    """Device index, slot and the locked descriptor of the first slot that is or becomes free."""
    said = False
    while True:
        for slot, (index, name) in itertools.product(range(slots), enumerate(names)):
            try:
                # Not inherited by child processes (Python's default), which could outlive this one.
                lock = os.open(folder / f"{name}.slot{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return index, slot, lock
            except BlockingIOError:
                os.close(lock)
            except OSError as error:
                raise _no_locks(folder, error) from None
        if not said:
            _LOG.info("all %d slots of %d GPUs are busy; waiting for one", slots * len(names), len(names))
            said = True
        time.sleep(POLL_SECONDS)


def _private(folder: Path) -> Path:
    """The folder, made for this user alone: the temporary folder above it is everybody's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _no_locks(folder, error) from None
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to another user; remove it or set TMPDIR to a folder of your own")
    return folder


def _no_locks(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder}: cannot hold the locks by which jobs share GPUs ({error.strerror}); set TMPDIR to a "
        "folder on a local disk"
    )


@contextmanager
def _memory_of(device: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{device}: out of memory ({reason}); use a device with more free memory, or a smaller "
            "alignment.size or batch_size"
        ) from error
