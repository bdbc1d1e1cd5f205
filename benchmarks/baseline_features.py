"""Cost of describing a clip, per method, and LBP-TOP beside its definition as a plain loop.

    python benchmarks/baseline_features.py
    python benchmarks/baseline_features.py --frames 66 --size 128 --clips 5 --estimators dis farneback tvl1

Clips are generated: a textured surface with a local motion that comes and goes, and noise. Times are CPU time
of one thread, the median over clips. What methods share, all frames and the flow between them, has its own
rows and is not part of theirs; reading the apex (and onset) and the flow between the two is. The plain
loop and ours take turns on the same small clip, and their codes must be equal. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mer_core.baselines.extraction import describe
from mer_core.baselines.lbp import codes_on_planes
from mer_core.config.descriptors import BiWoof, Fdm, FlowImage, Lbp, LbpTop, Osw
from mer_core.images import write_image
from mer_core.motion.clip import AlignedFrames, Clip

SOURCE = (340, 280)  # height and width of the frames on disk, as in CASME II
METHODS = {
    "LBP of the apex, P = 8": Lbp(),
    "LBP-TOP, P = 4, u2": LbpTop(),
    "LBP-TOP, P = 8, full": LbpTop(points=8, mapping="full"),
    "LBP-TOP after TIM to 15 frames": LbpTop(frames=15),
    "optical strain weighted LBP-TOP": Osw(),
    "FDM, exact sweep": Fdm(),
    "FDM, fixed point": Fdm(direction="fixed_point"),
    "Bi-WOOF": BiWoof(),
    "flow image": FlowImage(),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=66, help="length of a clip; 66 is CASME II's median")
    parser.add_argument("--size", type=int, default=128, help="edge of the aligned frames in pixels")
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--estimators", nargs="+", default=["dis"], choices=["dis", "farneback", "tvl1"])
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = [
            _clip(Path(folder) / str(seed), seed, arguments.frames, arguments.size)
            for seed in range(arguments.clips)
        ]
        print(
            f"{len(clips)} clips of {arguments.frames} frames, {arguments.size} x {arguments.size} pixels\n"
        )
        print("| step | ms per clip | and shares |\n|---|---|---|")
        _print_row(
            "decode and align all frames", [_seconds(clip.__getattribute__, "frames") for clip in clips]
        )
        for estimator in arguments.estimators:
            times = [_seconds(clip.flows, estimator) for clip in clips]
            _print_row(f"flow between all frames, {estimator}", times)
        for name, settings in METHODS.items():
            times = [_seconds(describe, clip, settings) for clip in clips]
            shared = "frames, flow" if hasattr(settings, "flow") else "frames"
            _print_row(name, times, shared if settings.needs == "clip" else "")
    _print_definition()


def _print_row(name: str, times: list[float], shared: str = "") -> None:
    print(f"| {name} | {1e3 * np.median(times):.1f} | {shared} |")


def _print_definition() -> None:
    """The same codes by a loop over voxels, planes and points."""
    generator = np.random.default_rng(0)
    clip = generator.integers(0, 256, (15, 48, 48), dtype=np.uint8)
    print("\n| LBP-TOP codes of 15 x 48 x 48 voxels, radii 1, 1, 4 | ms | plain loop, ms | ratio |")
    print("|---|---|---|---|")
    for points in (4, 8):
        ours, loop = [], []
        for _ in range(3):
            ours.append(_seconds(codes_on_planes, clip, points, (1, 1, 4)))
            loop.append(_seconds(_codes_by_loop, clip, points, (1, 1, 4)))
        np.testing.assert_array_equal(
            codes_on_planes(clip, points, (1, 1, 4)), _codes_by_loop(clip, points, (1, 1, 4))
        )
        ratio = np.median(np.divide(loop, ours))
        print(f"| P = {points} | {1e3 * np.median(ours):.2f} | {1e3 * np.median(loop):.0f} | {ratio:.0f} |")


def _codes_by_loop(clip: np.ndarray, points: int, radii: tuple[int, int, int]) -> np.ndarray:
    radius_x, radius_y, radius_t = radii
    length, height, width = clip.shape
    shape = (3, length - 2 * radius_t, height - 2 * radius_y, width - 2 * radius_x)
    codes = np.zeros(shape, np.uint16)
    angles = 2 * np.pi * np.arange(points) / points
    cosines, sines = np.round(np.cos(angles), 6), np.round(np.sin(angles), 6)
    for t in range(radius_t, length - radius_t):
        for y in range(radius_y, height - radius_y):
            for x in range(radius_x, width - radius_x):
                for p in range(points):
                    right = int(np.floor(radius_x * cosines[p] + 0.5))
                    up_y = int(np.floor(-radius_y * sines[p] + 0.5))
                    up_t = int(np.floor(-radius_t * sines[p] + 0.5))
                    down = int(np.floor(radius_y * cosines[p] + 0.5))
                    neighbours = (
                        clip[t, y + up_y, x + right],
                        clip[t + up_t, y, x + right],
                        clip[t + up_t, y + down, x],
                    )
                    for plane, neighbour in enumerate(neighbours):
                        bit = int(neighbour >= clip[t, y, x]) << p
                        codes[plane, t - radius_t, y - radius_y, x - radius_x] += bit
    return codes


def _clip(folder: Path, seed: int, length: int, size: int) -> Clip:
    """A generated clip whose frames lie on disk as JPEG."""
    generator = np.random.default_rng(seed)
    surface = cv2.GaussianBlur(generator.normal(size=SOURCE).astype(np.float32), (0, 0), 2.5)
    surface = 128 + 40 * surface / surface.std()
    y, x = np.indices(SOURCE).astype(np.float32)
    bump = 3 * np.exp(-((x - 180) ** 2 + (y - 240) ** 2) / (2 * 30**2))
    files = {}
    for t in range(length):
        moved = cv2.remap(surface, x, y - bump * float(np.sin(np.pi * t / length) ** 2), cv2.INTER_CUBIC)
        noisy = np.clip(moved + generator.normal(0, 2, SOURCE), 0, 255).astype(np.uint8)
        files[t] = folder / f"reg_img{t}.jpg"
        write_image(files[t], noisy)
    scale = size / SOURCE[1]
    transform = np.array([[scale, 0, 0], [0, scale, -scale * (SOURCE[0] - SOURCE[1]) / 2]])
    return Clip(str(seed), AlignedFrames(files, transform, size), 0, length // 2, length - 1)


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


if __name__ == "__main__":
    main()
