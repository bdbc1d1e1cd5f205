"""Cost of all leave-one-subject-out folds of each comparison method at the size of CASME II.

    python benchmarks/baseline_folds.py
    python benchmarks/baseline_folds.py --subjects 6 --clips 60 --methods osw adaboost

The rows are those of configs/baselines.yaml; features are made up, of each method's length, with classes that
overlap, so that the solvers have work. Times are CPU time of one thread, everything after the features
are read. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import yaml
from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from mer_core.baselines.classify import Training, classify
from mer_core.config.baselines import Baseline

ROWS = Path(__file__).parent.parent / "configs" / "baselines.yaml"
LENGTHS = {"lbp": 1475, "lbptop": 1125, "osw": 1125, "fdm": 256, "bi_woof": 200, "flow": 2048}
CLASSES, SHARES = 5, [0.13, 0.26, 0.11, 0.1, 0.4]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=26)
    parser.add_argument("--clips", type=int, default=246, help="of all subjects together")
    parser.add_argument("--methods", nargs="+", help="names of rows; all by default")
    arguments = parser.parse_args()
    rows = TypeAdapter(list[Baseline]).validate_python(yaml.safe_load(ROWS.read_text())["baselines"])
    rows = [row for row in rows if arguments.methods is None or row.name in arguments.methods]
    print(f"{arguments.clips} clips of {arguments.subjects} subjects\n")
    print("| method | features | costs tried | seconds, all folds |\n|---|---|---|---|")
    total = 0.0
    with threadpool_limits(1):
        for row in rows:
            length = LENGTHS[row.features.kind]
            seconds = time_folds(row, *made_up(arguments.clips, arguments.subjects, length))
            total += seconds
            tried = len(row.classifier.cost) if row.classifier.kind == "svm" else 1
            print(f"| {row.name} | {length} | {tried} | {seconds:.1f} |", flush=True)
    print(f"| all | | | {total:.1f} |")


def time_folds(row: Baseline, features: np.ndarray, labels: np.ndarray, subjects: np.ndarray) -> float:
    """CPU seconds of leaving every subject out once."""
    started = time.process_time()
    for subject in np.unique(subjects):
        test = subjects == subject
        training = Training(features[~test], labels[~test], subjects[~test])
        classify(training, features[test], row.classifier, CLASSES, seed=0)
    return time.process_time() - started


def made_up(clips: int, subjects: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features float32 (n, D), not negative, that tell the class a little; labels (n,); subjects (n,)."""
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, clips, p=SHARES)
    means = rng.random((CLASSES, length))
    features = rng.random((clips, length)) + 0.1 * means[labels]
    return features.astype(np.float32), labels, np.arange(clips) % subjects


if __name__ == "__main__":
    main()
