"""Our training loop beside the one that public micro-expression code uses, and beside the machine's limit.

    python benchmarks/train.py                                      # 224 pixels, few images
    python benchmarks/train.py --size 48 --images 128 --batch 16
    python benchmarks/train.py --device cuda --images 2490 --batch 249
    python benchmarks/train.py --accuracy                           # do both learn the same?

The public loop: JPEG files of CASME II's size decoded, resized and mirrored by a DataLoader with two workers
in every epoch, float32, default memory layout. Same network, initial weights, optimiser, images, batch
and epochs. Needs neither snakemake nor dlib. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hardware import counted_operations, machine, matrix_operations, matrix_product
from measuring import CLOCKS, ratio, table, take_turns
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mer_core.config.experiment import load_config
from mer_core.config.training import FoldTraining
from mer_core.models import build_model
from mer_core.training.data import IMAGENET, Samples, with_normalization
from mer_core.training.device import choose_precision
from mer_core.training.loop import fit, predict

ROOT = Path(__file__).resolve().parent.parent
CLASSES = 5
FRAME = (280, 340)  # width and height of CASME II's cropped frames
SEEDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--images", type=int, default=64, help="images per epoch")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--attention", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: as many as there are cores")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--accuracy", action="store_true", help="final accuracies instead of times")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    print(machine(device))
    with tempfile.TemporaryDirectory() as folder:
        if arguments.accuracy:
            _print_accuracies(Path(folder), device)
        else:
            _print_speeds(Path(folder), device, arguments)


def _print_speeds(folder: Path, device: torch.device, arguments: argparse.Namespace) -> None:
    pixels, labels = noise_task(arguments.images, seed=0)
    _write(folder, pixels)
    settings = shipped_settings(arguments.batch, epochs=1)
    precision = choose_precision(settings.precision, device, arguments.size)
    size, attention = arguments.size, arguments.attention
    sides = {
        "public loop": _public_epoch(folder, labels, size, attention, arguments.batch, device),
        "this loop": _our_epoch(noise_samples(pixels, labels, size, device), attention, settings),
        "matrices, float32": matrix_product(torch.float32, device),
        "matrices, bfloat16": matrix_product(torch.bfloat16, device),
    }
    times = take_turns(sides, arguments.repeats, arguments.clock)
    model = build_model(attention, CLASSES).to(device)
    image = torch.rand(2, 3, size, size, device=device)
    per_image = counted_operations(lambda: model(image).sum().backward()) / len(image)
    operations = per_image * arguments.images
    print(
        f"{arguments.images} images of {size} x {size} per epoch, {per_image / 1e9:.2f} GFLOP each, "
        f"batch {arguments.batch}, attention {attention}, this loop in {precision}, "
        f"median of {arguments.repeats}, {arguments.clock} time"
    )
    limits = {name: matrix_operations(device) for name in sides if "matrices" in name}
    rates = {
        name: limits.get(name, operations) / statistics.median(seconds) for name, seconds in times.items()
    }
    limit = f"matrices, {precision}"
    rows = []
    for name in sides:
        speed = "" if name in limits else f"{arguments.images / statistics.median(times[name]):.1f}"
        against = "" if name in limits else f"{ratio(times, 'public loop', name):.2f}"
        rows.append(
            [name, speed, against, f"{rates[name] / 1e9:.0f}", f"{100 * rates[name] / rates[limit]:.0f} %"]
        )
    table(["", "images/s", "times the public loop", "GFLOP/s", f"of {limit}"], rows)


def _print_accuracies(folder: Path, device: torch.device) -> None:
    """Accuracy on new images after the same number of epochs by either loop, over seeds."""
    size, epochs, batch = 48, 12, 16
    settings = shipped_settings(batch, epochs)
    rows = []
    for seed in range(SEEDS):
        pixels, labels = noise_task(240, seed)
        _write(folder, pixels)
        samples = noise_samples(pixels, labels, size, device)
        train, test = torch.arange(120, device=device), torch.arange(120, 240, device=device)
        ours = _model("none", device, seed)
        fit(ours, samples, train, cross_entropy, settings, seed)
        public = _model("none", device, seed)
        _public_fit(public, folder, labels[:120], size, batch, epochs, device)
        accuracy = [
            (predict(model, samples, test, settings).argmax(1) == samples.labels[test].cpu()).double().mean()
            for model in (ours, public)
        ]
        rows.append([seed, *(f"{100 * value:.1f} %" for value in accuracy)])
    print(f"\n120 images of {size} x {size} to learn from and 120 others, {epochs} epochs, batch {batch}")
    table(["seed", "this loop", "public loop"], rows)


def shipped_settings(batch: int, epochs: int) -> FoldTraining:
    """The shipped settings; of the augmentation the mirror alone, which the public loop has, too."""
    shipped = load_config(ROOT / "config.yaml").training
    mirror = shipped.augmentation.model_copy(update={"shift": 0.0, "rotation": 0.0, "brightness": 0.0})
    changes = {"batch_size": batch, "epochs": epochs, "schedule": "constant", "augmentation": mirror}
    return shipped.model_copy(update=changes)


def noise_task(images: int, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Noisy frames with a faint bright bar, whose height in the image tells the class."""
    rng = np.random.default_rng(seed)
    width, height = FRAME
    labels = rng.permutation(images) % CLASSES
    pixels = rng.normal(110, 12, (images, height // 10, width // 10, 3)).repeat(10, 1).repeat(10, 2)
    for frame, label in zip(pixels, labels, strict=True):
        top = 30 + 60 * label + rng.integers(-10, 11)
        frame[top : top + 30, 40:240] += 5
    return pixels.clip(0, 255).astype(np.uint8), torch.from_numpy(labels)


def _write(folder: Path, pixels: np.ndarray) -> None:
    for number, frame in enumerate(pixels):
        Image.fromarray(frame).save(folder / f"{number}.jpg", quality=95)


def noise_samples(pixels: np.ndarray, labels: torch.Tensor, size: int, device: torch.device) -> Samples:
    """What data.load makes of a cache."""
    small = np.stack([np.asarray(Image.fromarray(frame).resize((size, size))) for frame in pixels])
    samples = Samples(
        images=torch.from_numpy(small).to(device),
        labels=labels.to(device),
        table=pd.DataFrame({"sample_id": [f"noise/{i}" for i in range(len(labels))]}),
        classes=[f"class{k}" for k in range(CLASSES)],
        absent=[],
        subjects=set(),
        digests={},
        mean=torch.zeros(3, 1, 1, device=device),
        std=torch.ones(3, 1, 1, device=device),
    )
    return with_normalization(samples, "imagenet", torch.arange(len(labels)))


def _model(attention: str, device: torch.device, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(attention, CLASSES).to(device)


def _our_epoch(samples: Samples, attention: str, settings: FoldTraining) -> Callable[[], object]:
    model = _model(attention, samples.images.device)
    everything = torch.arange(len(samples.labels), device=samples.images.device)
    return lambda: fit(model, samples, everything, cross_entropy, settings, seed=0)


class _Files(Dataset):
    """Image files and labels, as public code has them."""

    def __init__(self, folder: Path, labels: torch.Tensor, size: int) -> None:
        self.folder, self.labels = folder, labels
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(*IMAGENET),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.folder / f"{number}.jpg").convert("RGB")
        return self.transform(image), self.labels[number]


def _public_epoch(
    folder: Path, labels: torch.Tensor, size: int, attention: str, batch: int, device: torch.device
) -> Callable[[], object]:
    model = _model(attention, device)
    return lambda: _public_fit(model, folder, labels, size, batch, 1, device)


def _public_fit(
    model: nn.Module,
    folder: Path,
    labels: torch.Tensor,
    size: int,
    batch: int,
    epochs: int,
    device: torch.device,
) -> None:
    """Train as public code does."""
    loader = DataLoader(_Files(folder, labels, size), batch, shuffle=True, num_workers=2, drop_last=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(epochs):
        for images, target in loader:
            loss = cross_entropy(model(images.to(device)), target.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # the running loss that such loops print


if __name__ == "__main__":
    main()
