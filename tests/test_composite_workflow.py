"""The composite of MEGC 2019 runs whole on the simulation, at its smallest."""

import csv
import json

import pandas as pd
import pytest
from checkout import Checkout

from mer_core.evaluation.metrics import evaluate

SMALL = [
    "--config",
    "simulation={size: tiny}",
    "datasets={smic: {missing_apex: midpoint}}",
    "folds={groups: 2}",
    "alignment={size: 32}",
    "features={size: 48}",
    "training={epochs: 1}",
    "variants=[{name: dual, attention: dual, loss: focal}]",
    "baselines=[{name: bi_woof, features: {kind: bi_woof}, classifier: {kind: svm}}]",
    "evaluation={bootstrap: 200, permutations: 200}",
    "report={show_faces: false}",
]
CLASSES = ["negative", "positive", "surprise"]
PARTS = ["smic", "casme2", "samm"]

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A checkout in which the protocol has run."""
    checkout = Checkout(tmp_path_factory.mktemp("megc"), "configs/megc2019.yaml")
    done = checkout.run(*SMALL)
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_people_keep_their_dataset(finished):
    manifest = rows(finished.results / "manifests" / "megc2019.csv")
    assert {row["dataset"] for row in manifest} == set(PARTS)
    assert all(row["subject"].startswith(f"{row['dataset']}-") for row in manifest)
    assert {row["label"] for row in manifest if row["included"] == "True"} == set(CLASSES)
    assert {row["fps"] for row in manifest if row["dataset"] == "smic"} == {"100.0"}


@pytest.mark.parametrize("variant", ["dual", "bi_woof"])
def test_parts_are_scored_of_the_same_pooled_predictions(finished, variant):
    scores = json.loads((finished.results / "metrics" / f"{variant}.json").read_text())
    pooled = pd.read_csv(finished.results / "metrics" / f"{variant}.predictions.csv", dtype=str)
    assert len(pooled) == scores["n"] == sum(part["n"] for part in scores["parts"].values())
    assert set(scores["parts"]) == set(PARTS)
    for name, part in scores["parts"].items():
        own = evaluate(pooled[pooled.sample_id.str.startswith(f"{name}/")], CLASSES)
        assert part["n"] == own["n"]
        for metric in ("accuracy", "macro_f1", "uar"):
            assert part[metric]["mean"] == pytest.approx(own[metric])


def test_the_report_shows_the_parts(finished):
    [measured, *_, floor] = rows(finished.results / "tables" / "parts.csv")
    assert (measured["kind"], floor["kind"]) == ("measured", "floor")
    assert {f"{part}_uar" for part in ["whole", *PARTS]} <= measured.keys()
    page = (finished.results / "report.html").read_text()
    assert "The whole and its parts" in page
    assert "smic, casme2 and samm are simulated, so no number" in page
    assert "CausalNet" not in page, "simulated figures do not stand beside printed ones"


def test_the_doctor_prints_the_parts_beside_the_published_counts(finished):
    text = (finished.results / "manifests" / "megc2019.summary.txt").read_text()
    assert "put together of smic, casme2, samm" in text
    assert "/442" in text
    assert "/68" in text


def test_nothing_is_left_to_do(finished):
    assert finished.planned(*SMALL) == {}


def test_leaving_a_dataset_out(finished):
    assert finished.planned(*SMALL, "folds_by=dataset", "folds=", "baselines=[]")["train_fold"] == 3
