"""What the hardware does at best: matrix multiplication, operations counted, waiting for a device."""

from __future__ import annotations

from collections.abc import Callable

import measuring
import torch
from torch.utils.flop_counter import FlopCounterMode

MATRIX = 2048  # edge, large enough for the full rate


def matrix_product(precision: torch.dtype, device: torch.device) -> Callable[[], None]:
    """A multiplication of square matrices of edge MATRIX, finished when it returns."""
    a, b = (torch.randn(MATRIX, MATRIX, device=device).to(precision) for _ in range(2))

    def multiply() -> None:
        # Often enough that starting it is not what is measured.
        for _ in range(200 if device.type == "cuda" else 1):
            torch.mm(a, b)
        wait(device)

    return multiply


def matrix_operations(device: torch.device) -> int:
    """Floating-point operations of matrix_product."""
    return 2 * MATRIX**3 * (200 if device.type == "cuda" else 1)


def counted_operations(work: Callable[[], object]) -> int:
    """Floating-point operations of some torch code, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def wait(device: torch.device) -> None:
    """Return when the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> str:
    """One line: GPU if any, processor, threads, versions, and how busy the machine is."""
    parts = [torch.cuda.get_device_name(device)] if device.type == "cuda" else []
    return measuring.machine(*parts, f"{torch.get_num_threads()} threads")
