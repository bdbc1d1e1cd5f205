"""Error of apex spotting on simulated CASME II, whose apexes are known.

    python benchmarks/spot_apex.py --strengths 0.5 0.1 0.03
    python benchmarks/spot_apex.py --blink 16
    python benchmarks/spot_apex.py --still 0 40 100 --strengths 0.5 0.1

Every frame of every clip is simulated, read back through the CASME II reader and aligned as the workflow
does. Errors are absolute, in frames at 200 per second; the guesses to beat are the middle of the clip, and
what is spotted when blinks count as any motion. With --blink the eyes shut for so many frames, halfway
between the apex and the farther end of the clip. Prints a Markdown table.

With --still every clip is drawn anew with so many frames at rest before it, and another table tells the error
of the spotted onset, positive where it is too late, and how much of the motion is over by then.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections import defaultdict
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
from mer_core.faces.spotting import apex_of, follow_motion, onset_of, spot_apex
from mer_core.images import read_image
from mer_core.simulation.blinks import shut_eyes
from mer_core.simulation.identities import identity
from mer_core.simulation.plan import plan, simulated_subjects, stream
from mer_core.simulation.recording import Actor, Camera
from mer_core.simulation.writers import FRAMES_PER_SECOND, draw_frame, simulate_casme2

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulation", default="tiny", choices=["tiny", "demo", "full"])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 0.1])
    parser.add_argument("--size", type=int, default=224, help="edge of the aligned frames in pixels")
    parser.add_argument("--blink", type=int, default=0, help="frames of a blink in every clip; 16 are 80 ms")
    parser.add_argument("--still", type=int, nargs="+", default=[], help="frames at rest before the onset")
    arguments = parser.parse_args()
    config = load_config(ROOT / "config.yaml")
    alignment = config.alignment.model_copy(update={"size": arguments.size})
    if arguments.still:
        simulation = config.simulation.model_copy(update={"size": arguments.simulation})
        _print_onsets(arguments.strengths, arguments.still, simulation, alignment)
        return
    print("| strength | guess | clips | mean | median | 90 % | largest | within 5 frames |")
    print("|---|---|---|---|---|---|---|---|")
    for strength in arguments.strengths:
        changes = {"size": arguments.simulation, "frames": "all", "micro_strength": strength}
        simulation = config.simulation.model_copy(update=changes)
        for guess, errors in _errors(
            config.datasets["casme2"], simulation, alignment, arguments.blink
        ).items():
            figures = [errors.mean(), np.median(errors), np.percentile(errors, 90), errors.max()]
            cells = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {strength} | {guess} | {len(errors)} | {cells} | {np.mean(errors <= 5):.0%} |")


def _errors(
    dataset: Casme2, simulation: Simulation, alignment: Alignment, blink: int
) -> dict[str, np.ndarray]:
    """Absolute errors of the guesses, one per clip."""
    truth = {(clip.subject, clip.name): clip for clip in plan("casme2", simulation.size, simulation.seed)}
    finder = FaceFinder()
    errors = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "casme2"
        simulate_casme2(root, simulation)
        samples, _ = read_dataset("casme2", dataset, root, {})
        for _, row in included(samples).iterrows():
            clip = truth[row["subject"], row["clip"]]
            frames = clip_frames(root, row)
            images, onset = align_clip([read_image(path) for path in frames.values()], finder, alignment)
            points, numbers = onset.landmarks_aligned, list(frames)
            if blink:
                end = max(clip.onset, clip.offset, key=lambda frame: abs(frame - clip.apex))
                phase = (np.array(numbers) - (end + clip.apex) / 2) / blink + 0.5
                shut = np.sin(np.pi * phase.clip(0, 1)) ** 0.5
                images = np.stack([*map(shut_eyes, images, [points] * len(images), shut)])
            for guess, apex in (
                ("spotted", spot_apex(images, points, numbers, finder)),
                ("spotted, blinks counted", spot_apex(images, points, numbers)),
                ("midpoint", (clip.onset + clip.offset) // 2),
            ):
                errors[guess].append(abs(apex - clip.apex))
    return {guess: np.array(values) for guess, values in errors.items()}


def _print_onsets(
    strengths: list[float], stills: list[int], simulation: Simulation, alignment: Alignment
) -> None:
    finder, clips = FaceFinder(), plan("casme2", simulation.size, simulation.seed)
    subjects = simulated_subjects("casme2", simulation.size)
    actors = [
        Actor(identity(simulation.faces, simulation.size, simulation.seed, "casme2", index))
        for index in range(len(subjects))
    ]
    print("| strength | frames at rest | clips | earliest | median | latest | motion that is over, mean |")
    print("|---|---|---|---|---|---|---|")
    for strength, still in itertools.product(strengths, stills):
        errors, over = [], []
        for number, clip in enumerate(clips):
            camera = Camera.draw(stream(simulation.seed, "clip", number))
            actor = actors[subjects.index(clip.subject)]
            numbers = range(clip.onset - still, clip.offset + 1)
            frames = [
                draw_frame(
                    strength, actor, clip, frame, camera, FRAMES_PER_SECOND, stream(0, "noise", number, place)
                )
                for place, frame in enumerate(numbers)
            ]
            aligned, first = align_clip(frames, finder, alignment)
            course = follow_motion(aligned, first.landmarks_aligned, numbers, finder)
            onset = onset_of(course, apex_of(course))
            errors.append(onset - clip.onset)
            over.append(clip.intensity(onset))
        cells = f"{min(errors)} | {np.median(errors):.0f} | {max(errors)} | {np.mean(over):.0%}"
        print(f"| {strength} | {still} | {len(errors)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
