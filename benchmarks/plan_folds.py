"""Planning of 26, 260 and 2,600 folds: `python benchmarks/plan_folds.py`.

Dry runs of the real workflow. Prints a Markdown table.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from experiment import Experiment
from measuring import exponent, machine, table

PLANS = {26: (1, 1), 260: (2, 5), 2600: (10, 10)}  # fold jobs: variants, seeds
REPEATS = 3


def main() -> None:
    """Measure and print."""
    print(machine())
    print(f"median of {REPEATS}")
    rows, processor, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(Path(folder), subjects=26, images=78, size=16)
        for folds, (variants, seeds) in PLANS.items():
            experiment.configure(variants=variants, seeds=seeds)
            costs = [experiment.run("--dry-run", "--quiet", "all") for _ in range(REPEATS)]
            seconds = statistics.median(cost.seconds for cost in costs)
            processor.append(statistics.median(cost.cpu for cost in costs))
            memory.append(statistics.median(cost.megabytes for cost in costs))
            rows.append([folds, f"{seconds:.1f}", f"{processor[-1]:.1f}", f"{memory[-1]:.0f}"])
    table(["fold jobs", "dry run, s", "processor seconds", "peak memory, MB"], rows)
    large = list(PLANS)[1:]
    print(
        f"\nFrom {large[0]} to {large[1]} fold jobs the exponent of processor seconds is "
        f"{exponent(large, processor[1:]):.2f}, of memory {exponent(large, memory[1:]):.2f}."
    )


if __name__ == "__main__":
    main()
