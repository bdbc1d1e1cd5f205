"""Speed of alignment beside bare dlib and OpenCV calls, and which step finds the faces.

    python benchmarks/align_faces.py                            # on simulated CASME II (tiny)
    python benchmarks/align_faces.py --images FOLDER --limit 40

Times are CPU time of one thread, the median over frames; ours and the bare calls take turns on each frame,
so that a busy machine slows them alike. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import dlib
import numpy as np

from mer_core.config.alignment import Alignment
from mer_core.config.experiment import load_config
from mer_core.faces.alignment import align_clip, align_image, eye_transform, share_inside, warp
from mer_core.faces.landmarks import FaceFinder, NoFace
from mer_core.images import FORMATS, read_image
from mer_core.simulation.writers import simulate_casme2

ROOT = Path(__file__).resolve().parent.parent

SUFFIXES = {".jpg", ".tif", *(f".{name.lower()}" for name in FORMATS)}
CROPS = ((0.20, 0.30), (0.22, 0.25), (0.24, 0.26), (0.26, 0.28), (0.28, 0.28), (0.28, 0.33))
CLIP = 10  # frames
CUTS = (0.0, 0.06, 0.12, 0.18)  # shares of the face's outline cut off on each side


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="folder searched for images; default: simulated CASME II")
    parser.add_argument("--limit", type=int, default=40, help="images used, evenly spaced")
    parser.add_argument("--size", type=int, default=224, help="edge of the crop in pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    settings = load_config(ROOT / "config.yaml").alignment.model_copy(update={"size": arguments.size})
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.images or _simulated(Path(folder))
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
        paths = paths[:: max(1, len(paths) // arguments.limit)][: arguments.limit]
        images = [read_image(path) for path in paths]
        shapes = ", ".join(sorted({f"{i.shape[1]} x {i.shape[0]}" for i in images})[:3])
        print(f"{len(images)} images ({shapes}, ...), crops of {settings.size} pixels\n")
        finder = FaceFinder()
        _print_steps(images, finder, settings)
        _print_hit_rates(images, finder)
        _print_crops(images, finder, settings.size)
        _print_processes(paths, settings)


def _simulated(folder: Path) -> Path:
    settings = load_config(ROOT / "config.yaml").simulation
    simulate_casme2(folder / "casme2", settings.model_copy(update={"size": "tiny", "frames": "key"}))
    return folder / "casme2"


def _print_steps(images: list[np.ndarray], finder: FaceFinder, settings: Alignment) -> None:
    """Time each step beside the same thing in bare library calls."""
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(finder.model))
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for image in images:
        boxes = detector(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0)
        if boxes:  # else there is nothing to compare with
            for step, pair in _calls(image, boxes[0], finder, detector, predictor, settings).items():
                times[step].append(tuple(map(_seconds, pair)))
    print("| step | ms per frame | frames per second and core | bare dlib and OpenCV, ms | ratio |")
    print("|---|---|---|---|---|")
    for step, measured in times.items():
        frames = CLIP if "clip" in step else 1
        ours, bare = np.median(measured, axis=0) / frames
        ratio = np.median([mine / theirs for mine, theirs in measured])
        print(f"| {step} | {1e3 * ours:.2f} | {1 / ours:.0f} | {1e3 * bare:.2f} | {ratio:.2f} |")


def _calls(
    image: np.ndarray,
    box: dlib.rectangle,
    finder: FaceFinder,
    detector: dlib.fhog_object_detector,
    predictor: dlib.shape_predictor,
    settings: Alignment,
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """For each step our call and the bare one."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size, place = settings.size, (settings.size, settings.eye_distance, settings.eye_center)
    transform = eye_transform(finder.find(image).landmarks, *place)

    def bare() -> np.ndarray:
        shape = predictor(gray, detector(gray, 0)[0])
        turn = eye_transform(np.array([(point.x, point.y) for point in shape.parts()]), *place)
        return cv2.warpAffine(image, turn, (size, size))

    return {
        "detector": (lambda: finder._boxes("plain", gray), lambda: detector(gray, 0)),
        "predictor": (lambda: finder._predict(gray, box, [1.0]), lambda: predictor(gray, box)),
        "warp": (
            lambda: warp(image, transform, size),
            lambda: cv2.warpAffine(image, transform, (size, size)),
        ),
        "whole, frame mode": (lambda: align_image(image, finder, settings), bare),
        f"whole, clip mode, clips of {CLIP}": (
            lambda: align_clip([image] * CLIP, finder, settings),
            lambda: [bare() for _ in range(CLIP)],
        ),
    }


def _print_hit_rates(images: list[np.ndarray], finder: FaceFinder) -> None:
    """Count what finds the faces, in the images as they are and cut ever tighter."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        step, landmarks = _find(image, finder)
        counts["as they are"][step] += 1
        if landmarks is None:
            continue
        low, high = landmarks.min(0), landmarks.max(0)
        for cut in CUTS:
            left, top = np.maximum(low + cut * (high - low), 0).astype(int)
            right, bottom = (high - cut * (high - low)).astype(int)
            counts[f"cut {cut:.0%} inside the outline"][_find(image[top:bottom, left:right], finder)[0]] += 1
    steps = ("plain", "upsampled", "padded", "box", "none")
    print(f"\n| images | {' | '.join(steps)} | found |\n|---|{'---|' * len(steps)}---|")
    for name, found in counts.items():
        total = found.total()
        shares = " | ".join(f"{found[step] / total:.0%}" for step in steps)
        print(f"| {name} | {shares} | {total - found['none']} of {total} |")


def _print_crops(images: list[np.ndarray], finder: FaceFinder, size: int) -> None:
    """What crops of several kinds keep of the faces, and how much of them lies inside tight source images."""
    faces = [
        (image.shape[:2], landmarks) for image in images if (landmarks := _find(image, finder)[1]) is not None
    ]
    cuts = " | ".join(f"inside, cut {cut:.0%}" for cut in CUTS)
    print(f"\n| eye_distance | eye_center | brows kept | eyes to mouth | chin | inside, whole | {cuts} |")
    print(f"|{'---|' * (6 + len(CUTS))}")
    for distance, down in CROPS:
        place = size, distance, (0.5, down)
        kept, inside = [], []
        for shape, landmarks in faces:
            transform = eye_transform(landmarks, *place)
            points = landmarks @ transform[:, :2].T + transform[:, 2]
            within = ((points > 0) & (points < size)).all(1)
            kept.append([within[17:27].all(), within[27:68].all(), within[8]])
            low, high = landmarks.min(0), landmarks.max(0)
            shares = [share_inside(transform, size, shape)]
            for cut in CUTS:
                near = np.maximum(low + cut * (high - low), 0)
                far = np.minimum(high - cut * (high - low), shape[::-1])
                tight = eye_transform(landmarks - near, *place)
                shares.append(share_inside(tight, size, tuple((far - near)[::-1])))
            inside.append(shares)
        cells = [f"{share:.0%}" for share in (*np.mean(kept, axis=0), *np.median(inside, axis=0))]
        print(f"| {distance} | [0.5, {down}] | {' | '.join(cells)} |")


def _find(image: np.ndarray, finder: FaceFinder) -> tuple[str, np.ndarray | None]:
    try:
        found = finder.find(image)
    except NoFace:
        return "none", None
    return found.step.split()[0], found.landmarks


def _print_processes(paths: list[Path], settings: Alignment) -> None:
    """Throughput of whole files, decoding included, by number of processes."""
    print("\n| processes | files per second, wall clock |\n|---|---|")
    for processes in (1, 2):
        context = get_context("spawn")
        with ProcessPoolExecutor(processes, context, _start_worker, (settings,)) as pool:
            list(pool.map(_align_file, paths[:2] * processes))  # every worker has its models
            start = time.perf_counter()
            list(pool.map(_align_file, paths * 2))
            print(f"| {processes} | {2 * len(paths) / (time.perf_counter() - start):.1f} |")


def _start_worker(settings: Alignment) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = FaceFinder(), settings


def _align_file(path: Path) -> None:
    with contextlib.suppress(NoFace):
        align_image(read_image(path), *_worker)


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
