"""Pretraining: interruption, splits, record, and the choice of the run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from training_samples import CLASSES, CPU, CROSS_ENTROPY, PLAIN, PRETRAINING, write_dataset

from mer_core.errors import UserError
from mer_core.models import build_model
from mer_core.models.weights import load_weights, save_weights
from mer_core.training import splits
from mer_core.training.pretrain import pretrain, select

HERE = Path(__file__).parent


def run(folder, dataset, settings=PRETRAINING, split="frame", number=0, **changes):
    options = {
        "variant": PLAIN,
        "loss": CROSS_ENTROPY,
        "classes": CLASSES,
        "reduction": 16,
        "on": CPU,
    } | changes
    pretrain(*dataset, folder, settings=settings, split=split, run=number, **options)
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(
        tmp_path_factory.mktemp("data"), subjects=5, clips=3, frames=2, absent=["faces/s0/c0f0"]
    )


@pytest.mark.parametrize("split", ["frame", "subject"])
def test_a_run_writes_weights_history_and_metrics(dataset, tmp_path, split):
    metrics = run(tmp_path, dataset, split=split)
    assert {path.name for path in tmp_path.iterdir()} == {
        "weights.safetensors",
        "weights.safetensors.sha256",
        "history.csv",
        "metrics.json",
    }
    assert metrics["n_train"] + metrics["n_test"] == 29 and metrics["n_absent"] == 1
    assert metrics["n_test"] in (5, 6) and metrics["split"] == split
    assert (metrics["same_person_share"] == 0) == (split == "subject")
    assert (metrics["siblings_share"] == 0) == (split == "subject")
    assert 0 <= metrics["accuracy"] <= 1 and 0 <= metrics["macro_f1"] <= 1
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["test_accuracy"].iloc[-1] == metrics["accuracy"], "the last epoch is scored"
    assert set(metrics["digests"]) == {"configuration", "cache", "manifest", "initial_weights", "code"}
    load_weights(build_model("none", 3), tmp_path / "weights.safetensors")


def test_runs_differ_and_repeat(dataset, tmp_path, monkeypatch):
    weights, tested, split = [], [], splits.split_by_frame

    def noted(*given):
        train, test = split(*given)
        tested.append(test.tolist())
        return train, test

    monkeypatch.setattr(splits, "split_by_frame", noted)
    for folder, number in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / folder, dataset, PRETRAINING.model_copy(update={"epochs": 1}), number=number)
        weights.append((tmp_path / folder / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert tested[0] == tested[1] != tested[2], "each run splits otherwise"


def test_it_may_start_from_a_file(dataset, tmp_path):
    save_weights(build_model("none", 10), tmp_path / "start.safetensors")
    settings = PRETRAINING.model_copy(
        update={"init": str(tmp_path / "start.safetensors"), "learning_rate": 1e-12}
    )
    metrics = run(tmp_path / "run", dataset, settings)
    start, end = build_model("none", 10), build_model("none", 3)
    load_weights(start, tmp_path / "start.safetensors")
    load_weights(end, tmp_path / "run" / "weights.safetensors")
    torch.testing.assert_close(start.layer3[0].conv1.weight, end.layer3[0].conv1.weight)
    assert metrics["digests"]["initial_weights"] == json.loads(
        json.dumps((tmp_path / "start.safetensors.sha256").read_text().split()[0])
    )


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from mer_core import job
from mer_core.training import checkpoint, pretrain
from training_samples import *
checkpoint.SECONDS_BETWEEN_SAVES = 0
folder = Path(sys.argv[2])
with job.logged(folder / "log"):
    pretrain.pretrain(
        folder / "cache.h5", folder / "manifest.csv", folder / "run", variant=PLAIN, loss=CROSS_ENTROPY,
        classes=CLASSES, settings=PRETRAINING.model_copy(update={"epochs": 6}), reduction=16,
        split="frame", run=0, on=CPU,
    )
"""


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An undisturbed run of what SCRIPT does."""
    folder = tmp_path_factory.mktemp("straight")
    metrics = run(folder, write_dataset(folder), PRETRAINING.model_copy(update={"epochs": 6}))
    return metrics, (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, straight, how, caplog):
    dataset = write_dataset(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    job = subprocess.Popen([sys.executable, "-c", SCRIPT, str(HERE), str(tmp_path)], env=environment)
    folder = tmp_path / "run"
    checkpoint = folder / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(how)
    assert job.wait(30) == (-signal.SIGKILL if how == signal.SIGKILL else 1), (tmp_path / "log").read_text()
    assert {path.name for path in folder.glob("[!.]*")} == {"checkpoint.safetensors"}, (
        "nothing looks complete"
    )
    # As a kill in the midst of a save leaves it.
    (folder / ".checkpoint.safetensors.abcd_123.safetensors").write_bytes(b"half")
    caplog.set_level("INFO")
    metrics = run(folder, dataset, PRETRAINING.model_copy(update={"epochs": 6}))
    assert "going on after epoch" in caplog.text
    assert not [*folder.glob("*checkpoint*")]
    undisturbed, weights = straight
    assert (folder / "weights.safetensors").read_bytes() == weights
    assert metrics["digests"] == undisturbed["digests"] and metrics["accuracy"] == undisturbed["accuracy"]


def test_divergence_leaves_no_result(dataset, tmp_path):
    settings = PRETRAINING.model_copy(
        update={"learning_rate": 1e30, "optimizer": "sgd", "schedule": "constant"}
    )
    with pytest.raises(UserError, match=r"the loss is .* in epoch \d, batch \d of \d"):
        run(tmp_path / "run", dataset, settings)
    assert not [p for p in (tmp_path / "run").glob("*") if p.name != "checkpoint.safetensors"]


def metric(split, number, accuracy, **changes):
    return {
        "split": split,
        "run": number,
        "accuracy": accuracy,
        "macro_f1": accuracy / 2,
        "n_train": 8,
        "n_test": 2,
        "siblings_share": 0.9,
        "same_person_share": 1.0,
    } | changes


RUNS = [
    metric("frame", 2, 0.94),
    metric("frame", 0, 0.90),
    metric("frame", 1, 0.94),
    metric("subject", 0, 0.60, siblings_share=0.0),
    metric("subject", 1, 0.98, siblings_share=0.0),
]


def test_the_best_run_of_the_configured_split_is_selected_of_equals_the_first():
    run, selected = select(RUNS, "frame")
    assert run == selected["run"] == 1 and selected["accuracy"] == 0.94 and selected["split"] == "frame"
    assert select(RUNS, "subject")[0] == 1


def test_both_protocols_stand_side_by_side():
    _, selected = select(RUNS, "frame")
    frame, subject = selected["protocols"]["frame"], selected["protocols"]["subject"]
    assert frame["accuracy"] == {
        "values": [0.90, 0.94, 0.94],
        "mean": pytest.approx(2.78 / 3),
        "sd": pytest.approx(0.0230940, abs=1e-6),
        "best": 0.94,
    }
    assert (frame["siblings_share"], subject["siblings_share"]) == (0.9, 0.0)
    assert select(RUNS[3:4], "subject")[1]["protocols"]["subject"]["accuracy"]["sd"] is None
    with pytest.raises(ValueError, match="no run"):
        select(RUNS[:1], "subject")
