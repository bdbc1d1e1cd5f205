"""Training step of each attention kind against none: `python benchmarks/attention_step.py`.

All kinds take turns in one run, so that a busy machine slows them alike; the ratio is the median of
the ratios within a turn. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torchvision

from mer_core.config import Loss
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
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    device = torch.device(settings.device)
    images = torch.rand(settings.batch, 3, settings.size, settings.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    target = torch.arange(settings.batch, device=device) % 5
    steps = {kind: _training_step(kind, images, target, settings.precision) for kind in ATTENTION}
    for step in steps.values():
        step()  # warm-up: kernels are chosen, optimiser state is made
    turns = [{kind: _seconds(step, device) for kind, step in steps.items()} for _ in range(settings.repeats)]
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {_name(device)}, "
        f"{settings.batch} images of {settings.size}x{settings.size}, {settings.precision}, channels last, "
        f"threads {settings.threads}, median of {settings.repeats}\n"
    )
    print("| attention | ms per step | against none | parameters |\n|---|---|---|---|")
    for kind in ATTENTION:
        milliseconds = statistics.median(turn[kind] for turn in turns) * 1e3
        ratio = statistics.median(turn[kind] / turn["none"] for turn in turns)
        parameters = sum(p.numel() for p in build_model(kind, 5).parameters())
        print(f"| {kind} | {milliseconds:.1f} | {ratio:.3f} | {parameters:,} |")


def _training_step(kind: str, images: torch.Tensor, target: torch.Tensor, precision: str):
    model = build_model(kind, 5).to(images.device, memory_format=torch.channels_last)
    loss = build_loss(Loss(kind="focal", form="sigmoid", alpha=0.25), [1] * 5).to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            logits = model(images)
        loss(logits, target).backward()
        optimizer.step()

    return step


def _seconds(step, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    main()
