"""Error of apex spotting on simulated CASME II, whose apexes are known.

    python benchmarks/spot_apex.py --strengths 0.5 0.1 0.03

Every frame of every clip is simulated, read back through the CASME II reader and aligned as the workflow
does. Errors are absolute, in frames at 200 per second; the middle of the clip is the guess to beat. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from mer_core.config.alignment import Alignment
from mer_core.config.experiment import load_config
from mer_core.config.layouts.casme2 import Casme2
from mer_core.config.simulation import Simulation
from mer_core.datasets.clips import clip_frames
from mer_core.datasets.manifest import included
from mer_core.datasets.reading import read_dataset
from mer_core.faces.alignment import align_clip
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.spotting import spot_apex
from mer_core.images import read_image
from mer_core.simulation.plan import plan
from mer_core.simulation.writers import simulate_casme2

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulation", default="tiny", choices=["tiny", "demo", "full"])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 0.1])
    parser.add_argument("--size", type=int, default=224, help="edge of the aligned frames in pixels")
    arguments = parser.parse_args()
    config = load_config(ROOT / "config.yaml")
    alignment = config.alignment.model_copy(update={"size": arguments.size})
    print("| strength | guess | clips | mean | median | 90 % | largest | within 5 frames |")
    print("|---|---|---|---|---|---|---|---|")
    for strength in arguments.strengths:
        changes = {"size": arguments.simulation, "frames": "all", "micro_strength": strength}
        simulation = config.simulation.model_copy(update=changes)
        for guess, errors in _errors(config.datasets["casme2"], simulation, alignment).items():
            figures = [errors.mean(), np.median(errors), np.percentile(errors, 90), errors.max()]
            cells = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {strength} | {guess} | {len(errors)} | {cells} | {np.mean(errors <= 5):.0%} |")


def _errors(dataset: Casme2, simulation: Simulation, alignment: Alignment) -> dict[str, np.ndarray]:
    """Absolute errors of both guesses, one per clip."""
    truth = {(clip.subject, clip.name): clip for clip in plan(simulation.size, simulation.seed).clips}
    finder = FaceFinder()
    spotted, midpoint = [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "casme2"
        simulate_casme2(root, simulation)
        samples, _ = read_dataset("casme2", dataset, root, {})
        for _, row in included(samples).iterrows():
            clip = truth[row["subject"], row["clip"]]
            frames = clip_frames(root, row)
            images, onset = align_clip([read_image(path) for path in frames.values()], finder, alignment)
            apex = spot_apex(images, onset.landmarks_aligned, list(frames))
            spotted.append(abs(apex - clip.apex))
            midpoint.append(abs((clip.onset + clip.offset) // 2 - clip.apex))
    return {"spotted": np.array(spotted), "midpoint": np.array(midpoint)}


if __name__ == "__main__":
    main()
