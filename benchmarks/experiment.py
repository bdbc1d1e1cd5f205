"""A small experiment on images of noise, already cropped, in a folder of its own, run by Snakemake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NAME = "speed"
CLASSES = ["left", "middle", "right"]


@dataclass(frozen=True)
class Cost:
    """What a command took: wall seconds, processor seconds of it and its children, and its peak memory."""

    seconds: float
    cpu: float
    megabytes: float


class Experiment:
    """A folder in which Snakemake runs this project's workflow."""

    def __init__(self, folder: Path, subjects: int, images: int, size: int) -> None:
        """Write the images: so many subjects, so many images altogether."""
        self.folder, self.results = folder, folder / "results" / NAME
        self.subjects = [f"s{number:04d}" for number in range(subjects)]
        shutil.copy(ROOT / "config.yaml", folder)
        rng = np.random.default_rng(0)
        rows = []
        for number in range(images):
            subject, label = self.subjects[number % subjects], number // subjects % len(CLASSES)
            pixels = rng.integers(0, 200, (size, size, 3))
            pixels[:, label * size // 3 : (label + 1) * size // 3] += 30
            path = Path("images", subject, f"{number}.png")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / path)
            rows.append({"path": str(path), "subject": subject, "label": CLASSES[label]})
        pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
        self.size = size

    def configure(
        self,
        *,
        variants: int = 1,
        seeds: int = 1,
        attention: str = "none",
        compute: Mapping[str, Any] | None = None,
        **training: Any,
    ) -> None:
        """Write the settings; those of training and compute are laid over the shipped ones."""
        settings: Mapping[str, Any] = {
            "experiment": NAME,
            "seeds": list(range(seeds)),
            "datasets": {
                "noise": {
                    "layout": "tabular",
                    "root": str(self.folder),
                    "table": "images.csv",
                    "classes": {name: name for name in CLASSES},
                    "subjects": self.subjects,
                }
            },
            "target": "noise",
            "source": None,
            "alignment": {"mode": "precropped", "size": self.size},
            "variants": [
                {"name": f"variant{number}", "attention": attention, "loss": "cross_entropy"}
                for number in range(variants)
            ],
            "baselines": [],
            "training": training,
            "compute": compute or {},
        }
        (self.folder / "speed.yaml").write_text(yaml.safe_dump(settings))

    def fold(self, subject: str, variant: int = 0) -> Path:
        """The folder of one fold's results."""
        return self.results / "folds" / f"variant{variant}" / "seed0" / subject

    def run(self, *arguments: str | Path, cores: int = 2) -> Cost:
        """Run Snakemake to its end.

        Raises:
            RuntimeError: it failed; with what it printed.
        """
        targets = [str(a.relative_to(self.folder)) if isinstance(a, Path) else a for a in arguments]
        return measured(
            [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(ROOT / "Snakefile")]
            + ["--directory", str(self.folder), "--cores", str(cores), "--resources", f"gpu={cores}"]
            + ["--configfile", str(self.folder / "speed.yaml")]
        )


def measured(command: list[str]) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; with what it printed.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(output[-4000:])
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
