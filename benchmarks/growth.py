"""How the cost of each stage grows with the number of subjects: `python benchmarks/growth.py`.

Alignment of simulated faces, one epoch of training, and the scores of one variant with all intervals, for 1,
2, 4 and 8 times the subjects; the exponent is the e of cost = a * subjects^e. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from experiment import ROOT
from measuring import exponent, machine, table
from torch.nn.functional import cross_entropy

from mer_core.config.experiment import load_config
from mer_core.datasets.manifest import included
from mer_core.datasets.reading import read_dataset
from mer_core.evaluation.statistics import score_variant
from mer_core.faces.cache import read_cache
from mer_core.faces.samples import align_samples
from mer_core.models import build_model
from mer_core.simulation.writers import simulate_casme2
from mer_core.training import data
from mer_core.training.loop import fit

FACTORS = (1, 2, 4, 8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # a factor, in a process of its own
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_costs(arguments.root, arguments.one)))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        _print_growth(Path(folder))


def _print_growth(folder: Path) -> None:
    config = load_config(ROOT / "config.yaml")
    tiny = config.simulation.model_copy(update={"size": "tiny", "frames": "key"})
    simulate_casme2(folder / "casme2", tiny)
    costs = []
    for factor in FACTORS:
        command = [sys.executable, __file__, "--one", str(factor), "--root", str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        costs.append(json.loads(done.stdout))
    rows = [
        [
            name,
            *(f"{cost[name]:.3f}" for cost in costs),
            f"{exponent(FACTORS, [cost[name] for cost in costs]):.2f}",
        ]
        for name in costs[0]
    ]
    columns = [f"{factor}x the subjects" for factor in FACTORS]
    table(["stage, processor seconds", *columns, "exponent"], rows)


def _costs(root: Path, factor: int) -> dict[str, float]:
    """Processor seconds of each stage on so many copies of the simulated subjects; peak memory in GB."""
    torch.set_num_threads(1)
    config = load_config(ROOT / "config.yaml")
    once = included(read_dataset("casme2", config.datasets["casme2"], root / "casme2", {})[0])
    copies = [
        once.assign(sample_id=once["sample_id"] + f"-{copy}", subject=once["subject"] + f"-{copy}")
        for copy in range(factor)
    ]
    rows, seconds = pd.concat(copies, ignore_index=True), {}

    start = time.process_time()
    given = "casme2", rows, root / "casme2", config.alignment
    align_samples(*given, root / "cache.h5", root / "failures.csv")
    aligned = read_cache(root / "cache.h5")
    seconds["alignment"] = time.process_time() - start
    rows = rows[rows["sample_id"].isin(aligned.sample_id)].reset_index(drop=True)

    classes = config.datasets["casme2"].class_names
    labels = torch.from_numpy(pd.Index(classes).get_indexer(rows["label"]))
    samples = data.Samples(
        torch.from_numpy(aligned.images),
        labels,
        rows,
        classes,
        [],
        set(rows["subject"]),
        {},
        torch.zeros(3, 1, 1),
        torch.ones(3, 1, 1),
    )
    settings = config.training.model_copy(update={"epochs": 1})
    start = time.process_time()
    fit(build_model("none", len(classes)), samples, torch.arange(len(rows)), cross_entropy, settings, 0)
    seconds["training"] = time.process_time() - start

    rng = np.random.default_rng(0)
    predictions = rows[["sample_id", "subject", "label"]].assign(
        seed=0, predicted=rng.choice(classes, len(rows))
    )
    predictions[[f"p_{name}" for name in classes]] = 1 / len(classes)
    start = time.process_time()
    score_variant("none", predictions, classes, config.evaluation)
    seconds["aggregation"] = time.process_time() - start
    # Unlike the peak in getrusage this one forgets the process that started this one.
    peak = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return seconds | {"peak memory, GB": int(peak.split()[1]) / 2**20}


if __name__ == "__main__":
    main()
