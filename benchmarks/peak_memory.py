"""Peak memory of training by micro-batch, and the largest micro-batch that a card of 11 GB holds.

    python benchmarks/peak_memory.py                    # on the CPU: the process's largest resident set
    python benchmarks/peak_memory.py --device cuda --micro-batches 16 32 64 128 249

Each micro-batch runs in a process of its own: one step on a batch of two. What is stored for the
backward pass is the same on any device; libraries and workspace are not. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from hardware import machine
from measuring import table
from torch.nn.functional import cross_entropy
from train import CLASSES, ROOT, noise_samples, noise_task

from mer_core.config.experiment import load_config
from mer_core.models import build_model
from mer_core.training.device import circumstances
from mer_core.training.loop import fit

CARD = 11e9 * 0.9 / 2**20  # MiB; a tenth is left to the driver and to fragments
BATCH = 249  # the paper's
CARRIED = 11.2e6 * 4 * 4 / 2**20  # weights, gradients and both moments of Adam, float32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--micro-batches", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--attention", default="dual")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # a micro-batch, in a process of its own
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if arguments.one:
        print(_peak(arguments.one, arguments.size, arguments.attention, device))
        return
    print(machine(device))
    peaks = [_in_a_process(micro_batch) for micro_batch in arguments.micro_batches]
    per_image, rest = np.polyfit(arguments.micro_batches, peaks, 1)
    print(f"{arguments.attention} at {arguments.size} x {arguments.size}")
    table(["micro-batch", "peak, MiB"], zip(arguments.micro_batches, peaks, strict=True))
    largest = int((CARD - CARRIED) / per_image)
    parts = math.ceil(BATCH / largest)
    print(
        f"\n{per_image:.1f} MiB per image and {rest:.0f} MiB besides. {BATCH} images at once take "
        f"{BATCH * per_image / 1024:.1f} GiB; a card of 11 GB holds {min(largest, BATCH)} at once in this "
        f"precision, that is {parts} micro-batch{'es' if parts > 1 else ''}."
    )


def _in_a_process(micro_batch: int) -> int:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", str(micro_batch)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(micro_batch: int, size: int, attention: str, device: torch.device) -> int:
    settings = load_config(Path(ROOT) / "config.yaml").training
    settings = settings.model_copy(
        update={"epochs": 1, "batch_size": 2 * micro_batch, "micro_batch": micro_batch}
    )
    samples = noise_samples(*noise_task(2 * micro_batch, seed=0), size, device)
    model = build_model(attention, CLASSES).to(device)
    fit(model, samples, torch.arange(2 * micro_batch, device=device), cross_entropy, settings, 0)
    return circumstances(device, settings.precision)["peak_memory_mb"]


if __name__ == "__main__":
    main()
