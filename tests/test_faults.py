"""Faults that befall a running workflow: kills, full disks, damaged files, wrong clocks.

After each: nothing looks complete that is not, what was finished is kept, the message says what to do, and
the same command ends with what an undisturbed run ends with. What a fault does to a single function is
tested beside that function.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from checkout import Checkout, finish

pytestmark = pytest.mark.workflow

TABLES = "results/faults/tables/tables.json"
# Where a test can make a job wait, so that it is hit in the midst of its work and never by chance.
WAITING = {
    "mer_core/training/augment.py": "augment",  # called for every batch
    "mer_core/faces/alignment.py": "align_image",
    "mer_core/job.py": "check_not_orphaned",  # before a file is begun, and again before it gets its name
}
BREAKPOINTS = '''
import itertools, os, time
from pathlib import Path

def waiting(function):
    """The function, at whose n-th call the first process waits while the file `stop-<function>` says n."""
    calls, stop = itertools.count(1), Path(f"stop-{function.__name__}")
    def called(*arguments, **keywords):
        if next(calls) == (int(stop.read_text()) if stop.exists() else None):
            try:
                Path("waits.new").write_text(str(os.getpid()))
                os.link("waits.new", "waits")
            except FileExistsError:
                return function(*arguments, **keywords)
            end = time.monotonic() + 300
            while stop.exists() and time.monotonic() < end:
                time.sleep(0.01)
        return function(*arguments, **keywords)
    return called
'''


class Disturbed(Checkout):
    """A checkout whose jobs can be made to wait."""

    def __init__(self, folder):
        super().__init__(folder, "tests/faults.yaml")
        (folder / "breakpoints.py").write_text(BREAKPOINTS)
        for module, function in WAITING.items():
            with (folder / module).open("a") as file:
                file.write(f"\n\nfrom breakpoints import waiting\n\n{function} = waiting({function})\n")

    def copy(self, folder):
        """The same, with its results, elsewhere."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = object.__new__(Disturbed)
        other.folder, other.config, other.results = folder, self.config, folder / "results" / "faults"
        other.code = folder
        return other

    def lose(self, *patterns):
        for path in self.files(*patterns):
            path.unlink()

    def stop_at(self, function, call):
        (self.folder / f"stop-{function}").write_text(str(call))

    def waits(self, snakemake):
        """The process that waits, as soon as it does."""
        waits, end = self.folder / "waits", time.monotonic() + 300
        while not waits.exists():
            assert snakemake.poll() is None and time.monotonic() < end, snakemake.stdout.read()
            time.sleep(0.01)
        return psutil.Process(int(waits.read_text()))

    def await_the_next(self):
        (self.folder / "waits").unlink()

    def go_on(self):
        for stop in self.folder.glob("stop-*"):
            stop.unlink()

    def files(self, *patterns):
        return sorted(path for pattern in patterns for path in self.results.glob(pattern))

    def target(self, path):
        return str(path.relative_to(self.folder))

    def digests(self, *patterns):
        """What files hold: by default all predictions, scores and tables."""
        patterns = patterns or ("folds/**/predictions.csv", "metrics/*", "tables/*")
        timed = ("history.csv", "methods", "tables.json")  # which hold speeds
        return {
            self.target(path): hashlib.sha256(self.timeless(path)).hexdigest()
            for path in self.files(*patterns)
            if path.is_file() and not path.name.startswith(timed)
        }

    def timeless(self, path):
        """What a file holds, but for the seconds that it took."""
        if path.parent.name != "metrics" or path.suffix != ".json":
            return path.read_bytes()
        scores = json.loads(path.read_text())
        assert scores.pop("cost")
        return json.dumps(scores).encode()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A checkout in which everything up to the tables was made."""
    checkout = Disturbed(tmp_path_factory.mktemp("undisturbed"))
    done = checkout.run(TABLES)
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout


@pytest.fixture
def checkout(undisturbed, tmp_path):
    """A copy of it for one test."""
    return undisturbed.copy(tmp_path / "copy")


def test_a_fold_that_is_killed_in_mid_epoch(checkout, undisturbed):
    """As the kernel does when memory runs out: tried twice, then reported; the other fold is kept."""
    other = checkout.fold("dual", "sub04")
    checkout.lose("folds/dual/seed0/sub03/*", "metrics/*", "tables/*")
    before = other.stat().st_mtime_ns
    checkout.stop_at("augment", 4)  # the second batch of the second epoch
    snakemake = checkout.start(TABLES)
    first = checkout.waits(snakemake)
    checkout.await_the_next()
    first.kill()
    checkout.waits(snakemake).kill()
    done = finish(snakemake)
    assert done.returncode == 1
    assert done.stdout.count("died with <Signals.SIGKILL: 9>") == 2
    assert checkout.files("folds/dual/seed0/sub03/*", "metrics/*", "tables/*") == []

    checkout.go_on()
    done = checkout.run(TABLES)
    assert done.returncode == 0, done.stdout[-4000:]
    assert checkout.digests() == undisturbed.digests()
    assert other.stat().st_mtime_ns == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_pretraining_that_is_stopped_goes_on_from_its_checkpoint_by_itself(checkout, undisturbed, how):
    """SIGTERM is what a scheduler sends at the time limit."""
    weights = checkout.results / "pretrain/dual/frame/run0/weights.safetensors"
    checkout.lose("pretrain/dual/frame/run0/*")
    checkout.stop_at("augment", 3)  # the first batch of the second epoch
    snakemake = checkout.start(checkout.target(weights))
    job = checkout.waits(snakemake)
    assert [path.name for path in weights.parent.iterdir()] == ["checkpoint.safetensors"]
    checkout.go_on()
    job.send_signal(how)
    done = finish(snakemake)
    assert done.returncode == 0, done.stdout[-4000:]
    message = {signal.SIGTERM: "error: stopped by SIGTERM (time limit", signal.SIGKILL: "SIGKILL: 9"}[how]
    assert message in done.stdout
    log = checkout.results / "logs/pretrain_model/dual/frame/run0.log"
    assert "going on after epoch 1, from" in log.read_text()
    assert checkout.digests("pretrain/**/weights*") == undisturbed.digests("pretrain/**/weights*")
    assert checkout.files("pretrain/**/*checkpoint*") == []


def test_an_alignment_that_is_killed_loses_the_image_in_flight(checkout, undisturbed):
    cache = checkout.results / "aligned/casme2.h5"
    checkout.lose("aligned/casme2.*", "aligned/.casme2.*")
    checkout.stop_at("align_image", 3)
    # One process: where the machine is slow, several share the work, and each has an image in flight.
    snakemake = checkout.start(checkout.target(cache), "--set-threads", "align_faces=1")
    checkout.waits(snakemake).kill()
    assert finish(snakemake).returncode == 1
    assert checkout.files("aligned/casme2*") == []

    checkout.go_on()
    done = checkout.run(checkout.target(cache))
    assert done.returncode == 0, done.stdout[-4000:]
    log = checkout.results / "logs/align_faces/casme2.log"
    assert re.search(r"^2 of \d+ images are unchanged: kept", log.read_text(), flags=re.M)
    assert checkout.digests("aligned/*", "aligned/.*") == undisturbed.digests("aligned/*")


def test_an_alignment_that_failed_is_not_taken_for_the_one_that_was_asked_for(checkout):
    """The faces of the settings before are still at hand, but not under the name of the new ones."""
    cache = checkout.target(checkout.results / "aligned/casme2.h5")
    checkout.edit("tests/faults.yaml", "size: 32", "size: 40")
    checkout.stop_at("align_image", 3)
    snakemake = checkout.start(cache)
    checkout.waits(snakemake).kill()
    assert finish(snakemake).returncode == 1
    checkout.go_on()
    assert checkout.planned(cache) == {"align_faces": 1}
    assert checkout.planned(TABLES)["train_fold"]
    # Back to what was asked for first, nothing is sought in any picture again.
    checkout.edit("tests/faults.yaml", "size: 40", "size: 32")
    done = checkout.run(cache)
    assert done.returncode == 0, done.stdout[-4000:]
    log = checkout.results / "logs/align_faces/casme2.log"
    assert re.search(r"^\d+ images and their settings are unchanged: kept", log.read_text(), flags=re.M)


def test_a_second_snakemake_is_refused_and_the_orphan_of_a_killed_one_publishes_nothing(
    checkout, undisturbed
):
    checkout.lose("folds/dual/seed0/sub03/*", "metrics/*", "tables/*")
    checkout.stop_at("check_not_orphaned", 6)  # two epochs, three files begun; the first is to get its name
    snakemake = checkout.start(TABLES)
    orphan = checkout.waits(snakemake)
    done = checkout.run(TABLES)
    assert done.returncode == 1
    assert "LockException" in done.stdout and "--unlock" in done.stdout
    assert orphan.is_running()

    snakemake.kill()
    snakemake.wait()
    assert "LockException" in checkout.run(TABLES).stdout
    assert checkout.run("--unlock").returncode == 0
    done = checkout.run(TABLES)
    assert done.returncode == 0, done.stdout[-4000:]
    finished = {path: path.stat().st_mtime_ns for path in checkout.files("**/*") if path.is_file()}
    assert orphan.is_running()
    checkout.go_on()
    gone, _ = psutil.wait_procs([orphan], timeout=60)
    assert gone
    assert {path: path.stat().st_mtime_ns for path in checkout.files("**/*") if path.is_file()} == finished
    assert checkout.digests() == undisturbed.digests()


PRIVATE = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]


@pytest.mark.skipif(
    subprocess.run([*PRIVATE, "mount -t tmpfs none /tmp"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="no file system can be mounted here",
)
@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ("mount -t tmpfs -o size=4k none {0}", "cannot be written (No space left on device); free space"),
        (
            "mount --bind {0} {0} && mount -o remount,ro,bind {0}",
            "Read-only file system: 'results/faults/metrics",
        ),
    ],
)
def test_a_disk_that_is_full_or_turns_read_only(checkout, undisturbed, mount, message):
    """The folder is so for the first run and what it starts, and for nobody else."""
    checkout.lose("metrics/*", "tables/*")
    before = checkout.digests()
    done = checkout.run(
        TABLES, under=[*PRIVATE, f'{mount.format("results/faults/metrics")} && exec "$@"', "-"]
    )
    assert done.returncode == 1
    assert message in done.stdout
    assert checkout.digests() == before
    done = checkout.run(TABLES)
    assert done.returncode == 0, done.stdout[-4000:]
    assert checkout.digests() == undisturbed.digests()


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    """As a bad disk does it: the date stays."""
    dates = path.stat()
    with path.open("r+b") as file:
        file.seek(dates.st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@pytest.mark.parametrize(
    ("damage", "damaged", "lost", "message"),
    [
        (
            truncate,
            "aligned/casme2.h5",
            "folds/dual/seed0/sub03/predictions.csv",
            "do not match their checksum",
        ),
        (flip, "aligned/ckplus.h5", "pretrain/dual/frame/run0/metrics.json", "do not match their checksum"),
        (
            flip,
            "pretrain/dual/frame/run0/weights.safetensors",
            "pretrain/dual/selected.safetensors",
            "differs from the sha256",
        ),
    ],
)
def test_a_damaged_file_is_refused_and_what_is_said_mends_it(
    checkout, undisturbed, damage, damaged, lost, message
):
    checkout.lose(lost)
    damage(checkout.results / damaged)
    done = checkout.run(checkout.target(checkout.results / lost))
    assert done.returncode == 1
    said = re.search(r"^error: (\S+): (.*) delete (this file|both) and run again", done.stdout, flags=re.M)
    assert said[1] == f"results/faults/{damaged}" and message in said[2]
    assert not (checkout.results / lost).exists()

    checkout.lose(damaged, *([f"{damaged}.sha256"] if said[3] == "both" else []))
    done = checkout.run(checkout.target(checkout.results / lost))
    assert done.returncode == 0, done.stdout[-4000:]
    patterns = ("aligned/**/*", "folds/**/predictions.csv", "pretrain/**/*.safetensors*")
    assert checkout.digests(*patterns) == undisturbed.digests(*patterns)


def test_files_from_the_future_and_the_past_retrain_nothing(checkout):
    """A clock that was wrong, then set right, either way."""
    tomorrow, long_ago = time.time() + 86400, 0
    for pattern in ("aligned/*.h5", "pretrain/dual/selected.safetensors", "folds/**/predictions.csv"):
        for path in checkout.files(pattern):
            os.utime(path, (tomorrow, tomorrow))
    for path in checkout.files("metrics/*"):
        os.utime(path, (long_ago, long_ago))
    assert checkout.planned(TABLES) == {}
