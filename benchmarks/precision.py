"""What bfloat16 does to a network's gradients, and to its step: `python benchmarks/precision.py`.

The cosine is between the gradients of one batch in bfloat16 and in float32, of each parameter that is not a
bias (those before a batch norm have none but rounding); the steps take turns in one run. Images are the
crops of a cache, or noise. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import h5py
import torch
from hardware import machine, wait
from measuring import ratio, table, take_turns
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy

from mer_core.models import build_network

NETWORKS = {
    "resnet18, none": {"kind": "resnet18", "attention": "none", "reduction": 16},
    "resnet18, dual": {"kind": "resnet18", "attention": "dual", "reduction": 16},
    "efficientnet_lite0": {"kind": "efficientnet_lite0"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="results/{experiment}/aligned/{dataset}.h5")
    parser.add_argument("--size", type=int, default=112, help="edge of the noise in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    images = torch.rand(arguments.batch, 3, arguments.size, arguments.size)
    if arguments.cache:
        with h5py.File(arguments.cache) as cache:
            images = torch.from_numpy(cache["images"][: arguments.batch]).movedim(-1, 1) / 255
    images = ((images - 0.45) / 0.225).to(device).contiguous(memory_format=torch.channels_last)
    rows = []
    for name, settings in NETWORKS.items():
        network = build_network(settings, 2, 3).to(device, memory_format=torch.channels_last)
        passes = {f"{bits}": _pass(network, images, bits == "bfloat16") for bits in ("float32", "bfloat16")}
        exact, coarse = (_gradients(network, work) for work in passes.values())
        cosines = [cosine_similarity(exact[key], coarse[key], 0).item() for key in exact]
        times = take_turns(passes, arguments.repeats)
        tenth = statistics.quantiles(cosines, n=10)[0]
        cells = [f"{statistics.median(cosines):.2f}", f"{tenth:.2f}"]
        cells += [f"{1e3 * statistics.median(times[bits]):.0f}" for bits in passes]
        rows.append([name, *cells, f"{ratio(times, 'bfloat16', 'float32'):.2f}"])
    print(machine(device))
    columns = ["network", "cosine, median", "lowest tenth", "float32, ms", "bfloat16, ms", "ratio"]
    table(columns, rows)


def _pass(network: nn.Module, images: torch.Tensor, coarse: bool) -> Callable[[], None]:
    target = torch.arange(len(images), device=images.device) % 2

    def work() -> None:
        network.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=coarse):
            logits = network(images)
        cross_entropy(logits.float(), target).backward()
        wait(images.device)

    return work


def _gradients(network: nn.Module, work: Callable[[], None]) -> dict[str, torch.Tensor]:
    work()
    return {
        name: parameter.grad.flatten().clone()
        for name, parameter in network.named_parameters()
        if not name.endswith("bias")
    }


if __name__ == "__main__":
    main()
