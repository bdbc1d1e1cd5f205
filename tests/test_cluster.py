"""Folds on a real SLURM, which is started here on one machine, and through the generic executor."""

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from checkout import ROOT, Checkout

pytestmark = pytest.mark.workflow

PLUGINS = ("slurm", "slurm-jobstep", "cluster-generic")
SUBJECTS = ["sub01", "sub02", "sub03"]
# What each job appends to a file, and a fold that fails for want of memory.
RECORD = """
    import os
    with open("devices", "a") as file:
        print(os.environ.get("SLURM_JOB_ID"), os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)
    if snakemake.wildcards.subject == "sub03" and snakemake.resources.mem_mb < 12000:
        raise MemoryError("pretended")
"""
# Two GPUs are pretended by character devices. A node may claim more than the machine has, so that here
# nothing but GPUs is scarce.
SLURM_CONF = """
ClusterName=mer-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=65536 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES
PartitionName=gpus Nodes=ALL
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """The executors in a folder of their own: in the environment they would delay every other test."""
    folder = tmp_path_factory.mktemp("plugins")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    names = [f"snakemake-executor-plugin-{name}" for name in PLUGINS]
    done = subprocess.run(
        [*install, "--constraint", ROOT / "constraints.txt", *names], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"clusters are not tested, their plugins cannot be installed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with the folds of one variant, computed locally."""
    checkout = Checkout(tmp_path_factory.mktemp("on a cluster"), "tests/tiny.yaml")
    done = checkout.run(*targets(checkout, SUBJECTS))
    assert done.returncode == 0, done.stdout[-4000:]
    params = "    params = snakemake.params\n"
    checkout.edit("workflow_scripts/train_fold.py", params, params + RECORD)
    return checkout


def targets(checkout, subjects):
    return [str(checkout.fold("dual", subject).relative_to(checkout.folder)) for subject in subjects]


@contextmanager
def moved_away(checkout, subjects):
    """Predictions are to be computed again, and to come out equal."""
    before = {subject: checkout.fold("dual", subject).read_bytes() for subject in subjects}
    for subject in subjects:
        shutil.rmtree(checkout.fold("dual", subject).parent)
    (checkout.folder / "devices").unlink(missing_ok=True)
    yield
    assert {subject: checkout.fold("dual", subject).read_bytes() for subject in subjects} == before


def snakemake(checkout, plugins, *arguments, **environment):
    path = os.pathsep.join([str(checkout.folder), str(plugins)])
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", checkout.config],
        cwd=checkout.folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def why_no_slurm():
    if os.getuid():
        return "needs root"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not installed"
    if any(process.name() == "slurmctld" for process in psutil.process_iter()):
        return "another one runs on this machine"
    return None


def free_ports(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [server.getsockname()[1] for server in sockets]


def configured(folder):
    """Write everything that the daemons need into the folder; the environment that leads to it."""
    for name in ("bin", "state", "spool"):
        (folder / name).mkdir()
    # The executor hides SLURM_CONF from srun, as if every cluster were configured in /etc.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    for number, device in enumerate(["null", "zero"]):
        (folder / f"nvidia{number}").symlink_to(f"/dev/{device}")
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/nvidia[0-1]\n")
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder, host=host, ports=free_ports(2)))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}


@contextmanager
def daemon(folder, name, *options):
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    with (
        (folder / f"{name}.out").open("w") as output,
        subprocess.Popen([name, *options], env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until(condition, what):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A SLURM of one node with two pretended GPUs; the environment in which it is found."""
    if reason := why_no_slurm():
        pytest.skip(f"SLURM is not tested: {reason}")
    folder = tmp_path_factory.mktemp("slurm")
    environment = configured(folder)
    # A key of its own keeps everybody else's jobs out; --force lets its folder be private, too.
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed")]
    with (
        daemon(folder, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge),
        daemon(folder, "slurmctld", "-D"),
        daemon(folder, "slurmd", "-D"),
    ):
        wait_until(lambda: "idle" in ask(environment, "sinfo", "--format=%T"), "SLURM does not start")
        yield environment
        ask(environment, "scancel", "--partition=main,gpus")
        wait_until(lambda: not ask(environment, "squeue", "--noheader"), "jobs do not end")


def ask(environment, *command):
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True).stdout


def submit(checkout, plugins, slurm, subjects, *options):
    return snakemake(
        checkout,
        plugins,
        *targets(checkout, subjects),
        *("--profile", "profiles/slurm"),
        *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"),
        *options,
        **slurm,
    )


def submitted(slurm, comment):
    """SLURM's records of the jobs whose comment begins so."""
    lines = ask(slurm, "scontrol", "--oneliner", "show", "job").splitlines()
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return sorted(
        (job for job in jobs if job["Comment"].startswith(comment)), key=lambda job: job["SubmitTime"]
    )


def test_each_fold_gets_a_gpu_and_on_failure_more_memory_and_they_come_out_equal(checkout, plugins, slurm):
    shutil.rmtree(checkout.results / "aligned")
    # As the documents say for a cluster whose GPUs have a partition of their own.
    beside = 'train_fold: {gres: "gpu:1", gpu: 0'
    checkout.edit("profiles/slurm/profile.yaml", beside, f"{beside}, slurm_partition: gpus")
    with moved_away(checkout, SUBJECTS):
        submit(checkout, plugins, slurm, SUBJECTS, "--resources", "gpu=1")

    (alignment,) = submitted(slurm, "rule_align_faces")
    assert "gpu" not in alignment.get("TresPerNode", "")
    assert alignment["Partition"] == "main"
    assert not submitted(slurm, "rule_read_dataset"), "short jobs stay here"

    folds = submitted(slurm, "rule_train_fold")
    assert sorted((job["JobState"], job["MinMemoryNode"]) for job in folds) == [
        ("COMPLETED", "12000M"),
        *[("COMPLETED", "6000M")] * 2,
        ("FAILED", "6000M"),
    ]

    seen = dict(line.split() for line in (checkout.folder / "devices").read_text().splitlines())
    assert {job["JobId"] for job in folds} == seen.keys() and set(seen.values()) == {"0", "1"}
    for one, other in itertools.combinations(folds, 2):
        if one["StartTime"] < other["EndTime"] and other["StartTime"] < one["EndTime"]:
            assert seen[one["JobId"]] != seen[other["JobId"]]
    # How many may run is the cluster's business, whatever --resources gpu= says here.
    first_tries = [job for job in folds if job["MinMemoryNode"] == "6000M"]
    assert max(job["SubmitTime"] for job in first_tries) < min(job["EndTime"] for job in first_tries)
    for job in folds:
        assert job["Partition"] == "gpus"
        assert job["TresPerNode"] == "gres:gpu:1" and job["TimeLimit"] == "01:00:00"


def test_several_folds_share_one_submission(checkout, plugins, slurm):
    with moved_away(checkout, SUBJECTS[:2]):
        group = ["--groups", "train_fold=folds", "--group-components", "folds=2", "--cores", "1"]
        submit(checkout, plugins, slurm, SUBJECTS[:2], *group)
    (job,) = submitted(slurm, "rule_folds")
    # One after the other: what one fold needs, and the time of both.
    assert (job["TresPerNode"], job["MinMemoryNode"], job["NumCPUs"]) == ("gres:gpu:1", "6000M", "1")
    assert job["TimeLimit"] == "02:00:00"


def test_any_scheduler_with_a_submit_command_will_do(checkout, plugins):
    with moved_away(checkout, SUBJECTS[:1]):
        generic = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "setsid --fork"]
        snakemake(checkout, plugins, *targets(checkout, SUBJECTS[:1]), *generic, "--jobs", "2")
