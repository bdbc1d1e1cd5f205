"""Seconds of one fold job by phase, and of many folds beside their pure training time.

    python benchmarks/fold_job.py                    # 26 subjects, 249 images of 48 pixels, 8 of the folds
    python benchmarks/fold_job.py --folds 26 --epochs 12
    python benchmarks/fold_job.py --size 224 --folds 26 --epochs 100 --batch 249 --attention dual \\
        --cores 16 --slots 4 8 --many-only         # a GPU that four folds share, then eight

Real jobs of the real workflow; what they took is read from their own records (fold.json, and Snakemake's
benchmark files). Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import pandas as pd
from experiment import Experiment, measured
from measuring import machine, table

IMPORTS = {
    "the interpreter": "pass",
    "torch": "import torch",
    "torch with its compiler, which optimisers import": "import torch, torch._dynamo",
    "all that a fold imports": "import mer_core.training.fold",
    "the same, as its script does": "from mer_core import job\n"
    "with job.importing(): import mer_core.training.fold",
    "all that an alignment imports": "import mer_core.faces.alignment",
    "the same with the landmark model": "from mer_core.faces.landmarks import FaceFinder; FaceFinder()",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=26)
    parser.add_argument("--images", type=int, default=249)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--folds", type=int, default=8, help="how many of them are trained")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--attention", default="none")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of one job")
    parser.add_argument("--slots", type=int, nargs="+", default=[1], help="jobs that share a GPU, in turn")
    parser.add_argument("--many-only", action="store_true", help="leave out what is measured of one fold")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(machine())
    if not arguments.many_only:
        _print_imports(arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(Path(folder), arguments.subjects, arguments.images, arguments.size)
        for slots in arguments.slots:
            experiment.configure(
                attention=arguments.attention,
                compute={"threads": arguments.threads, "slots_per_device": slots},
                epochs=arguments.epochs,
                batch_size=arguments.batch,
            )
            experiment.run(experiment.results / "aligned" / "noise.h5", cores=arguments.cores)
            if not arguments.many_only:
                _print_one_fold(experiment, arguments)
            _print_folds(experiment, arguments, slots)


def _print_imports(repeats: int) -> None:
    rows = []
    for name, code in IMPORTS.items():
        costs = [measured([sys.executable, "-c", code]) for _ in range(repeats + 1)][1:]
        wall, cpu = (statistics.median(getattr(cost, kind) for cost in costs) for kind in ("seconds", "cpu"))
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}"])
    table(["start of", "seconds", "processor seconds"], rows)


def _print_one_fold(experiment: Experiment, arguments: argparse.Namespace) -> None:
    subject = experiment.subjects[0]
    target = experiment.fold(subject) / "predictions.csv"
    rows = []
    for _ in range(arguments.repeats):
        whole = experiment.run(target, "--forcerun", "train_fold", cores=arguments.cores).seconds
        job, phases = _job(experiment, subject), _phases(experiment, subject)
        started = {
            "Snakemake, to and from the job": whole - job,
            "start of the job": job - sum(phases.values()),
        }
        rows.append(started | phases | {"the command": whole})
    seconds = pd.DataFrame(rows).median()
    print(
        f"\nOne fold: {arguments.images} images of {arguments.size} x {arguments.size}, "
        f"{arguments.epochs} epochs, median of {arguments.repeats}"
    )
    table(["phase", "seconds"], [[phase, f"{value:.2f}"] for phase, value in seconds.items()])


def _print_folds(experiment: Experiment, arguments: argparse.Namespace, slots: int) -> None:
    subjects = experiment.subjects[: arguments.folds]
    targets = [experiment.fold(subject) / "predictions.csv" for subject in subjects]
    wall = experiment.run(*targets, "--forcerun", "train_fold", cores=arguments.cores).seconds
    phases = pd.DataFrame([_phases(experiment, subject) for subject in subjects])
    jobs = pd.Series([_job(experiment, subject) for subject in subjects])
    training = phases["train"].sum()
    ideal = training / arguments.cores
    print(f"\n{len(subjects)} folds, one command, {arguments.cores} cores, {slots} at once on a GPU")
    table(
        ["wall, s", "training alone, s", "over the cores, s", "ratio", "overhead per fold, core seconds"],
        [
            [
                f"{wall:.1f}",
                f"{training:.1f}",
                f"{ideal:.1f}",
                f"{wall / ideal:.2f}",
                f"{(wall - ideal) * arguments.cores / len(subjects):.2f}",
            ]
        ],
    )

    phases.insert(0, "start of the job, wait for the GPU", jobs - phases.sum(axis=1))
    rows = [[phase, f"{seconds.median():.2f}", f"{seconds.sum():.1f}"] for phase, seconds in phases.items()]
    table(["phase, beside the others", "seconds, median", "of all folds"], rows)


def _phases(experiment: Experiment, subject: str) -> dict[str, float]:
    return json.loads((experiment.fold(subject) / "fold.json").read_text())["seconds"]


def _job(experiment: Experiment, subject: str) -> float:
    path = experiment.results / "benchmarks" / "train_fold" / "variant0" / "seed0" / f"{subject}.tsv"
    return float(pd.read_csv(path, sep="\t")["s"].iloc[0])


if __name__ == "__main__":
    main()
