"""A copy of the project in which a test may run, break and edit things."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = [
    "Snakefile",
    "config.yaml",
    "profiles",
    "rules",
    "workflow_scripts",
    "mer_core",
    "envs",
]


class Checkout:
    """A copy of the project with the settings of one experiment, which bears its file's name."""

    def __init__(self, folder, config):
        self.folder, self.config, self.code = folder, config, folder
        self.results = folder / "results" / Path(config).stem
        for part in [*PARTS, config]:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def start(self, *arguments, config=None, under=()):
        """Start Snakemake; `under` is the beginning of a command that runs another."""
        # The copy's mer_core comes before the installed one.
        environment = os.environ | {"PYTHONPATH": str(self.code)}
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "8", "--resources", "gpu=2"]
        return subprocess.Popen(
            [*under, *command, "--configfile", config or self.config],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments, **options):
        """Run Snakemake to its end."""
        return finish(self.start(*arguments, **options))

    def planned(self, *arguments, config=None):
        """How many jobs of each rule a dry run plans."""
        done = self.run("--dry-run", *arguments, config=config)
        assert done.returncode == 0, done.stdout
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", done.stdout, flags=re.M | re.S)
        if table is None:
            assert "Nothing to be done" in done.stdout, done.stdout
            return {}
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], flags=re.M)}

    def edit(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def fold(self, variant, subject):
        return self.results / "folds" / variant / "seed0" / subject / "predictions.csv"


def finish(snakemake):
    """Wait for a Snakemake that was started; its return code and all that it printed."""
    with snakemake:
        try:
            output, _ = snakemake.communicate(timeout=1500)
        except subprocess.TimeoutExpired:
            snakemake.kill()
            raise
    return subprocess.CompletedProcess(snakemake.args, snakemake.returncode, output)
