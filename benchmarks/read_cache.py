"""From the closed file to the tensor on the device: the cache as it is, beside other layouts.

    python benchmarks/read_cache.py                     # CASME II: 249 images of 224 pixels
    python benchmarks/read_cache.py --images 981        # CK+

The images are one photograph, shifted and with noise of its own each, so that compression finds what it would
find in faces. Files lie in the page cache. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from hardware import machine, wait
from measuring import CLOCKS, table, take_turns
from PIL import Image
from skimage.data import astronaut

from mer_core.faces.cache import Aligned, read_cache, write_cache

LAYOUTS: dict[str, dict[str, object]] = {
    "contiguous": {},
    "a chunk per image": {"chunks": 1},
    "a chunk per 64 images": {"chunks": 64},
    "a chunk per image, lzf": {"chunks": 1, "compression": "lzf"},
    "a chunk per image, gzip": {"chunks": 1, "compression": "gzip"},
    "h5py's own chunks, gzip": {"compression": "gzip"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=249)
    parser.add_argument("--size", type=int, default=224, help="edge of the images in pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print(machine(device))
    images = _faces(arguments.images, arguments.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = "this cache: contiguous, with checksum"
        sides = {ours: _write_ours(folder / f"{ours}.h5", images, device)}
        for layout, options in LAYOUTS.items():
            sides[layout] = _write(folder / f"{layout}.h5", images, options, device)
        times = take_turns(sides, arguments.repeats, arguments.clock)
        sizes = {layout: (folder / f"{layout}.h5").stat().st_size for layout in sides}
    print(
        f"{arguments.images} images of {arguments.size} x {arguments.size}, {images.nbytes / 1e6:.1f} MB, "
        f"median of {arguments.repeats}, {arguments.clock} time"
    )
    rows = []
    for layout in sides:
        seconds = statistics.median(times[layout])
        rows.append(
            [layout, f"{sizes[layout] / 1e6:.1f}", f"{seconds:.3f}", f"{images.nbytes / seconds / 1e9:.2f}"]
        )
    table(["layout", "MB on disk", "s to the tensor", "GB/s"], rows)


def _faces(images: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    face = astronaut()[:220, 110:330]
    made = []
    for _ in range(images):
        shifted = np.roll(face, rng.integers(-5, 6, 2), (0, 1))
        resized = np.asarray(Image.fromarray(shifted).resize((size, size), Image.Resampling.BICUBIC))
        made.append((resized + rng.normal(0, 2, resized.shape)).clip(0, 255).astype(np.uint8))
    return np.stack(made)


def _write_ours(path: Path, images: np.ndarray, device: torch.device) -> Callable[[], None]:
    n = len(images)
    cache = Aligned(
        images=images,
        landmarks=np.zeros((n, 68, 2), np.float32),
        transform=np.zeros((n, 2, 3)),
        sample_id=[f"casme2/sub01/{i}" for i in range(n)],
        detector=["plain"] * n,
        attributes={},
    )
    write_cache(path, cache)

    def read() -> None:
        torch.from_numpy(read_cache(path).images).to(device)
        wait(device)

    return read


def _write(
    path: Path, images: np.ndarray, options: dict[str, object], device: torch.device
) -> Callable[[], None]:
    options = dict(options)
    if "chunks" in options:
        options["chunks"] = (min(options["chunks"], len(images)), *images.shape[1:])
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, **options)

    def read() -> None:
        with h5py.File(path, "r") as file:
            torch.from_numpy(file["images"][:]).to(device)
        wait(device)

    return read


if __name__ == "__main__":
    main()
