"""Protocols that decide whom a fold leaves out, run through real Snakemake on the smallest simulated data."""

import json

import pytest
from checkout import Checkout

from mer_core.csvs import read_csv
from mer_core.datasets.manifest import digest, included, read_manifest
from mer_core.provenance import file_digest

CLASSES = "{disgust: disgust, happiness: happiness, surprise: surprise}"
CASME_SQ = f"layout: casme_sq, root: simulated, missing_apex: midpoint, classes: {CLASSES}"
# Macro-expressions of the very people who are left out in two groups.
SHARED = [
    "--config",
    f"datasets={{micro: {{{CASME_SQ}}}, macro: {{{CASME_SQ}, expressions: macro, missing_offset: mirror}}}}",
    "target=micro",
    "source=macro",
    "folds={groups: 2}",
    "training={epochs: 1}",
    "report={show_faces: false}",
    "variants=[{name: transfer, attention: dual, loss: focal, init: pretrained}]",
    "baselines=[]",
]
# The official parts of DFME.
EMOTIONS = "{disgust: disgust, surprise: surprise, happiness: happiness}"
SPLIT = [
    "--config",
    f"datasets={{dfme: {{layout: dfme, root: simulated, classes: {EMOTIONS}}}}}",
    "target=dfme",
    "source=",
    "folds_by=split",
    "variants=[{name: dual, attention: dual, loss: focal}]",
    "baselines=[{name: lbp, features: {kind: lbp}, classifier: {kind: svm, normalization: hellinger}}]",
]

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A checkout in which the source shows the people of the target."""
    checkout = Checkout(tmp_path_factory.mktemp("shared"), "tests/tiny.yaml")
    done = checkout.run(*SHARED)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "each of the 2 folds starts from a pretraining of its own" in done.stdout
    return checkout


def test_no_fold_starts_from_weights_that_have_seen_its_people(shared):
    everybody = included(read_manifest(shared.results / "manifests/macro.csv"))
    for group in ("group1", "group2"):
        fold = json.loads((shared.results / f"folds/transfer/seed0/{group}/fold.json").read_text())
        seen = included(read_manifest(shared.results / f"manifests/without/{group}/macro.csv"))
        assert fold["held_out"] and not {*fold["held_out"]} & {*seen.subject}
        assert {*everybody.subject} - {*seen.subject} == {*fold["held_out"]}, "and nobody else is lost"
        folder = shared.results / f"pretrain/transfer/without/{group}"
        run = json.loads((folder / "frame/run0/metrics.json").read_text())
        assert run["digests"]["manifest"] == digest(seen)
        assert run["n_train"] + run["n_test"] == len(seen)
        for name in ("selected.safetensors", "frame/run0/weights.safetensors"):
            assert file_digest(folder / name) == fold["digests"]["initial_weights"]
    assert not (shared.results / "pretrain/transfer/frame").exists(), "nothing is pretrained on everybody"


def test_the_page_tells_of_pretrainings_by_fold(shared):
    [row] = read_csv(shared.results / "tables/pretraining.csv", ["runs"]).to_dict("records")
    assert row["runs"] == 2 and row["split"] == "frame"
    assert "every fold has a pretraining of its own" in (shared.results / "report.html").read_text()
    assert shared.planned(*SHARED) == {}, "nothing is left to do"


def test_the_final_network_starts_from_a_pretraining_on_everybody(shared):
    model = "results/tiny/models/transfer/model.json"
    plan = shared.planned(model, *SHARED)
    assert plan == {"pretrain_model": 1, "select_pretrained": 1, "train_final": 1}


def test_a_fold_of_other_peoples_weights_is_refused(shared):
    record = shared.results / "folds/transfer/seed0/group1/fold.json"
    fold = json.loads(record.read_text())
    other = shared.results / "pretrain/transfer/without/group2/selected.safetensors"
    kept = record.read_text()
    fold["digests"]["initial_weights"] = file_digest(other)
    record.write_text(json.dumps(fold))
    done = shared.run(*SHARED, "--rerun-triggers", "mtime")
    record.write_text(kept)
    assert done.returncode and "made with other initial weights than the present ones" in done.stdout


def test_the_official_split_of_a_dataset(tmp_path):
    checkout = Checkout(tmp_path, "tests/tiny.yaml")
    done = checkout.run("results/tiny/metrics/lbp.json", *SPLIT)
    assert done.returncode == 0, done.stdout[-4000:]
    used = included(read_manifest(checkout.results / "manifests/dfme.csv"))
    tested = used[used.split != "train"]
    predicted = read_csv(checkout.fold("lbp", "test"))
    assert {*predicted.sample_id} == {*tested.sample_id} and {*used.split} == {"train", "test_a", "test_b"}
    record = json.loads(checkout.fold("lbp", "test").with_name("fold.json").read_text())
    assert not {*record["held_out"]} & {*used.subject[used.split == "train"]}
    assert record["n_train"] == (used.split == "train").sum()
    scores = json.loads((checkout.results / "metrics/lbp.json").read_text())
    assert scores["n"] == len(tested)
    parts = {name: part["n"] for name, part in scores["parts"].items()}
    assert parts == tested.split.value_counts().to_dict()
    assert checkout.planned(*SPLIT)["train_fold"] == 1
