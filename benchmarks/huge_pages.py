"""Training step on a CPU, large tensors in huge pages and in small ones: `python benchmarks/huge_pages.py`.

`device.lease` chooses huge ones. torch reads that with its first tensor, so each side has a process; both
take turns. Needs a Linux whose /sys/kernel/mm/transparent_hugepage/enabled says `[madvise]`: with `[always]`
both sides have huge pages, with `[never]` neither. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

import torch
from attention_step import training_step
from hardware import machine
from measuring import ratio, table, take_turns

STEPS = [
    ("none", "float32", 224, 8),
    ("none", "bfloat16", 224, 8),
    ("dual", "bfloat16", 224, 8),
    ("dual", "bfloat16", 112, 32),
    ("dual", "bfloat16", 48, 32),
]
_step: Callable[[], None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(torch.device("cpu")))
    rows = []
    for step in STEPS:
        with ExitStack() as stack:
            sides = {
                name: _side(stack, value, arguments.threads, *step)
                for name, value in (("small pages", "0"), ("huge pages", "1"))
            }
            times = take_turns(sides, arguments.repeats)
        kind, precision, size, batch = step
        milliseconds = [f"{1e3 * statistics.median(times[name]):.1f}" for name in times]
        rows.append([kind, precision, size, batch, *milliseconds, f"{ratio(times, *reversed(sides)):.3f}"])
    table(["attention", "precision", "pixels", "batch", "small pages, ms", "huge pages, ms", "ratio"], rows)


def _side(stack: ExitStack, value: str, *what: object) -> Callable[[], object]:
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(1, context, initializer=_start, initargs=(value, *what)))
    return lambda: pool.submit(_take).result()


def _start(huge: str, threads: int, kind: str, precision: str, size: int, batch: int) -> None:
    global _step
    os.environ["THP_MEM_ALLOC_ENABLE"] = huge
    torch.set_num_threads(threads)
    images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    _step = training_step(kind, images, torch.arange(batch) % 5, torch.channels_last, precision)


def _take() -> None:
    _step()


if __name__ == "__main__":
    main()
