"""Training step by memory layout, precision and kernels: what the shipped choices rest on.

    python benchmarks/step_choices.py --size 224 --batch 4
    python benchmarks/step_choices.py --size 48 --batch 16

All choices take turns in one run; ratios are against float32, channels last, fused. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from itertools import product
from unittest import mock

import torch
from hardware import machine, wait
from measuring import CLOCKS, ratio, table, take_turns
from torch.nn.functional import cross_entropy

from mer_core.models import build_model, resnet

LAYOUTS = {"default": torch.contiguous_format, "channels last": torch.channels_last}
USUAL = "float32, weights channels last, images channels last, fused Adam"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    images = torch.rand(arguments.batch, 3, arguments.size, arguments.size, device=device)
    steps = {}
    for precision, weights, inputs in product(("float32", "bfloat16"), LAYOUTS, LAYOUTS):
        name = f"{precision}, weights {weights}, images {inputs}, fused Adam"
        if precision == "float32" or weights == inputs:
            steps[name] = _step(images, LAYOUTS[weights], LAYOUTS[inputs], precision, fused=True)
        if weights == inputs:
            steps[f"{name}, oneDNN alone"] = _by_onednn_alone(steps[name])
    last = torch.channels_last
    steps[USUAL.replace("fused", "unfused")] = _step(images, last, last, "float32", fused=False)
    print(machine(device))
    times = take_turns(steps, arguments.repeats, arguments.clock)
    print(
        f"{arguments.batch} images of {arguments.size} x {arguments.size}, "
        f"median of {arguments.repeats}, {arguments.clock} time"
    )
    rows = [
        [name, f"{1e3 * statistics.median(times[name]):.0f}", f"{ratio(times, name, USUAL):.2f}"]
        for name in steps
    ]
    table(["step", "ms", "times the usual"], rows)


def _step(
    images: torch.Tensor,
    weights: torch.memory_format,
    inputs: torch.memory_format,
    precision: str,
    fused: bool,
) -> Callable[[], None]:
    torch.manual_seed(0)
    model = build_model("none", 5).to(images.device, memory_format=weights)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused, foreach=not fused)
    images = images.contiguous(memory_format=inputs)
    target = torch.arange(len(images), device=images.device) % 5
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            logits = model(images)
        cross_entropy(logits.float(), target).backward()
        optimizer.step()
        wait(images.device)

    return step


def _by_onednn_alone(step: Callable[[], None]) -> Callable[[], None]:
    """The step without the product of matrices for small maps."""

    def alone() -> None:
        with mock.patch.object(resnet, "FEW_POSITIONS", 0):
            step()

    return alone


if __name__ == "__main__":
    main()
