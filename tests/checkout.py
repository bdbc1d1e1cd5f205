"""A copy of the project in which a test may run, break and edit things."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# To import these takes half the time of a plan, so plans are forks of one process that holds them.
PLANNERS = multiprocessing.get_context("forkserver")
PLANNERS.set_forkserver_preload(["pandera.pandas", "pydantic", "snakemake.cli", "snakemake.report"])
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
        return subprocess.Popen(
            [*under, sys.executable, "-m", "snakemake", *self.with_options(arguments, config)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments, **options):
        """Run Snakemake to its end."""
        return finish(self.start(*arguments, **options))

    def with_options(self, arguments, config):
        return [*arguments, "--cores", "2", "--resources", "gpu=2", "--configfile", config or self.config]

    def plan(self, *arguments, config=None):
        """Run Snakemake dry."""
        command = self.with_options(["--dry-run", *arguments], config)
        output = self.folder / "plan.out"
        process = PLANNERS.Process(target=_plan, args=(self.folder, self.code, output, command))
        process.start()
        process.join()
        return subprocess.CompletedProcess(command, process.exitcode, output.read_text())

    def planned(self, *arguments, config=None):
        """How many jobs of each rule a dry run plans."""
        done = self.plan(*arguments, config=config)
        assert done.returncode == 0, done.stdout
        return jobs(done)

    def edit(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def fold(self, variant, subject):
        return self.results / "folds" / variant / "seed0" / subject / "predictions.csv"


def _plan(folder, code, output, command):
    """Be `python -m snakemake` in a folder, for which the imports of the code are left."""
    os.chdir(folder)
    sys.path.insert(0, str(code))
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from snakemake.cli import main

    main(command)


def jobs(done):
    """How many jobs of each rule a Snakemake that has ended planned, or ran."""
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", done.stdout, flags=re.M | re.S)
    if table is None:
        assert "Nothing to be done" in done.stdout, done.stdout
        return {}
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], flags=re.M)}


def finish(snakemake):
    """Wait for a Snakemake that was started; its return code and all that it printed."""
    with snakemake:
        try:
            output, _ = snakemake.communicate(timeout=1500)
        except subprocess.TimeoutExpired:
            snakemake.kill()
            raise
    return subprocess.CompletedProcess(snakemake.args, snakemake.returncode, output)
