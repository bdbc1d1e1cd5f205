"""What the benchmarks share: sides that take turns, ratios within a turn, Markdown tables."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

Times = dict[str, list[float]]


def cpu_seconds() -> float:
    """Processor time of this process, all its threads, and its children that have ended.

    On a machine that is busy with something else it says more than the wall clock does, with one thread.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": cpu_seconds}


def take_turns(sides: Mapping[str, Callable[[], object]], repeats: int, clock: str = "wall") -> Times:
    """Seconds of each side in every one of some turns, after a turn that does not count.

    All sides work in each turn, so that a machine busy with something else slows them alike.
    """
    seconds = CLOCKS[clock]
    times: Times = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, work in sides.items():
            start = seconds()
            work()
            if turn:
                times[name].append(seconds() - start)
    return times


def ratio(times: Times, name: str, to: str) -> float:
    """How much longer one side took than another: the median of the ratios within a turn."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The e of cost = a * size^e, fitted by least squares over logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def machine(*parts: str) -> str:
    """One line: processor, cores, versions, and how busy the machine is; torch is not imported for it."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in described.splitlines() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    versions = [f"Python {platform.python_version()}"]
    installed = {distribution.name for distribution in metadata.distributions()}
    packages = [package for package in ("torch", "snakemake") if package in installed]
    versions += [f"{package} {metadata.version(package)}" for package in packages]
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return ", ".join([*parts, name, f"{len(os.sched_getaffinity(0))} cores", *versions, load])
