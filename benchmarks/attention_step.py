"""Training step of each attention kind against none: `python benchmarks/attention_step.py`.

`dual, autograd` is the same unit as plain expressions, whose gradient torch finds.

All kinds take turns in one run, so that a busy machine slows them alike; the ratio is the median of
the ratios within a turn. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from hardware import machine, wait
from measuring import CLOCKS, ratio, table, take_turns
from plain_attention import autograd_attention

from mer_core.config.models import Loss
from mer_core.models import ATTENTION, build_model
from mer_core.models.losses import build_loss


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--layout", choices=["channels_last", "contiguous_format"], default="channels_last")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    device = torch.device(settings.device)
    layout = getattr(torch, settings.layout)
    images = torch.rand(settings.batch, 3, settings.size, settings.size, device=device)
    images = images.contiguous(memory_format=layout)
    target = torch.arange(settings.batch, device=device) % 5
    steps = {kind: training_step(kind, images, target, layout, settings.precision) for kind in ATTENTION}
    by_hand = training_step("dual", images, target, layout, settings.precision)

    def by_autograd() -> None:
        with autograd_attention():
            by_hand()

    steps["dual, autograd"] = by_autograd
    print(machine(device))
    times = take_turns(steps, settings.repeats, settings.clock)
    print(
        f"{settings.batch} images of {settings.size} x {settings.size}, {settings.precision}, {layout}, "
        f"median of {settings.repeats}, {settings.clock} time"
    )
    rows = []
    for kind in steps:
        parameters = sum(p.numel() for p in build_model(kind.split(",")[0], 5).parameters())
        milliseconds = f"{1e3 * statistics.median(times[kind]):.1f}"
        rows.append([kind, milliseconds, f"{ratio(times, kind, 'none'):.3f}", f"{parameters:,}"])
    table(["attention", "ms per step", "against none", "parameters"], rows)


def training_step(
    kind: str, images: torch.Tensor, target: torch.Tensor, layout: torch.memory_format, precision: str
) -> Callable[[], None]:
    model = build_model(kind, 5).to(images.device, memory_format=layout)
    loss = build_loss(Loss(kind="focal", form="sigmoid", alpha=0.25), [1] * 5).to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            logits = model(images)
        loss(logits.float(), target).backward()
        optimizer.step()
        wait(images.device)

    return step


if __name__ == "__main__":
    main()
