"""What a GPU makes of the training loop: python benchmarks/gpu.py

All sides take turns in one run of about two minutes on an H200: each is a number of epochs of `fit`, and
its figure is the median over the epochs after those in which kernels are loaded and graphs recorded. The
sides `autograd` have the attention as plain expressions, the sides `eager` no CUDA graph; --sides runs some
alone. Prints a Markdown table, and the ratios that the targets are about; with --kernels also what the GPU's
kernels take in two sides, those first whose times differ most. With --device cpu it shows only that it runs.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from hardware import machine
from measuring import table, take_turns
from plain_attention import autograd_attention
from torch.profiler import ProfilerActivity, profile
from train import CLASSES, noise_samples, noise_task, shipped_settings

from mer_core.config.models import Loss
from mer_core.config.training import FoldTraining
from mer_core.models import build_model
from mer_core.models.losses import build_loss
from mer_core.training import loop
from mer_core.training.data import Samples

WARM = 4  # epochs that do not count


@dataclass(frozen=True)
class Side:
    """One way to train."""

    attention: str
    batch: int = 249
    deterministic: bool = True
    precision: str = "auto"
    graph: bool = True
    autograd: bool = False


SIDES = {
    "none": Side("none"),
    "none, eager": Side("none", graph=False),
    "none, not deterministic": Side("none", deterministic=False),
    "dual": Side("dual"),
    "dual, eager": Side("dual", graph=False),
    "dual, not deterministic": Side("dual", deterministic=False),
    "dual, autograd, eager": Side("dual", graph=False, autograd=True),
    "spatial": Side("spatial"),
    "channel": Side("channel"),
    "cbam": Side("cbam"),
    "dual, batch 32": Side("dual", batch=32),
    "dual, batch 32, eager": Side("dual", batch=32, graph=False),
    "dual, batch 32, not deterministic": Side("dual", batch=32, deterministic=False),
    "dual, float32": Side("dual", precision="float32"),
    "dual, tf32": Side("dual", precision="tf32"),
}
# Ratio of the times of two sides.
RATIOS = [
    ("dual against none", "dual", "none"),
    ("dual against none, eager", "dual, eager", "none, eager"),
    ("dual with autograd against none, eager", "dual, autograd, eager", "none, eager"),
    ("not deterministic against deterministic, none", "none, not deterministic", "none"),
    ("not deterministic against deterministic, dual", "dual, not deterministic", "dual"),
    ("the same at batch 32", "dual, batch 32, not deterministic", "dual, batch 32"),
    ("graph against eager, batch 32", "dual, batch 32", "dual, batch 32, eager"),
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--images", type=int, default=249)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE")
    parser.add_argument("--kernels", nargs=2, choices=SIDES, metavar="SIDE", help="what their kernels take")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(machine(device))
    samples = noise_samples(*noise_task(arguments.images, seed=0), arguments.size, device)
    sides = {name: SIDES[name] for name in [*arguments.sides, *(arguments.kernels or [])]}
    if device.type != "cuda":
        sides = {name: side for name, side in sides.items() if side.precision != "tf32"}
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    peaks: dict[str, float] = {}
    runs = {
        name: _training(name, side, samples, arguments.epochs, speeds, peaks) for name, side in sides.items()
    }
    take_turns(runs, arguments.repeats)
    print(
        f"{arguments.images} images of {arguments.size} x {arguments.size}, batch 249 unless said, fit, "
        f"median of {arguments.repeats} x {arguments.epochs - WARM} epochs"
    )
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    rows = [[name, f"{medians[name]:,.0f}", f"{peaks[name]:.2f}"] for name in sides]
    table(["side", "images/s", "peak memory, GB"], rows)
    ratios = [(what, medians[to] / medians[name]) for what, name, to in RATIOS if {name, to} <= sides.keys()]
    table(["ratio of times", ""], [[what, f"{value:.3f}"] for what, value in ratios])
    if arguments.kernels:
        taken = [_kernels(runs[name], arguments.epochs) for name in arguments.kernels]
        kernels = sorted({*taken[0], *taken[1]}, key=lambda name: -abs(taken[0][name] - taken[1][name]))
        rows = [["all", *(f"{times.total():.0f}" for times in taken)]]
        rows += [[f"`{name[:90]}`", *(f"{times[name]:.0f}" for times in taken)] for name in kernels[:12]]
        table(["microseconds of an epoch", *arguments.kernels], rows)


def _training(
    name: str,
    side: Side,
    samples: Samples,
    epochs: int,
    speeds: dict[str, list[float]],
    peaks: dict[str, float],
) -> Callable[[], None]:
    device = samples.images.device
    everything = torch.arange(len(samples.labels), device=device)
    loss = Loss(kind="focal", form="sigmoid", alpha=0.25)
    settings: FoldTraining = shipped_settings(side.batch, epochs).model_copy(
        update={"deterministic": side.deterministic, "precision": side.precision}
    )

    def train() -> None:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        torch.manual_seed(0)
        model = build_model(side.attention, CLASSES).to(device)
        criterion = build_loss(loss, samples.counts(everything)).to(device)
        with _way(side):
            history = loop.fit(model, samples, everything, criterion, settings, seed=0)
        speeds[name] += history["images_per_second"][WARM:].tolist()
        peaks[name] = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0

    return train


def _kernels(train: Callable[[], None], epochs: int) -> Counter[str]:
    """Microseconds of an epoch that each kernel takes on the GPU, by its name."""
    train()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        train()
    times: Counter[str] = Counter()
    for event in seen.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            times[event.name] += event.time_range.elapsed_us() / epochs
    return times


@contextmanager
def _way(side: Side) -> Iterator[None]:
    """The parts of the library that a side is without, replaced for as long as it lasts."""
    replayed = loop._Step._replayed
    if not side.graph:
        loop._Step._replayed = lambda step, inputs, target: None
    try:
        with autograd_attention() if side.autograd else nullcontext():
            yield
    finally:
        loop._Step._replayed = replayed


if __name__ == "__main__":
    main()
