"""Folds that trials keep, and the rows that are printed of them."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from training_samples import write_dataset

from mer_core.config.experiment import load_config
from mer_core.config.section import dump

ROOT = Path(__file__).parent.parent
CONFIG = load_config(ROOT / "config.yaml")


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import recipe

    return recipe


def experiment(results, name, **options):
    """What the workflow has left of an experiment when a trial begins."""
    for folder in ("aligned", "manifests"):
        (results / name / folder).mkdir(parents=True, exist_ok=True)
    cache, manifest = write_dataset(results / name, **options)
    for dataset in ("casme2", "ckplus"):
        (results / name / "aligned" / f"{dataset}.h5").write_bytes(cache.read_bytes())
        (results / name / "manifests" / f"{dataset}.csv").write_bytes(manifest.read_bytes())
    (results / name / "config.json").write_text(json.dumps(dump(CONFIG)))


def test_every_trial_is_a_configuration_and_sees_what_its_name_says(recipe, tmp_path):
    for trial in [*recipe.PLANS["portraits"], *recipe.PLANS["people"], *recipe.PLANS["demo"]]:
        (tmp_path / trial.experiment).mkdir(exist_ok=True)
        (tmp_path / trial.experiment / "config.json").write_text(json.dumps(dump(CONFIG)))
        row = trial.config(tmp_path).variants[0]
        assert row.input == ("difference" if "onset" in trial.name else "apex"), trial.name


def test_a_fold_is_kept_for_what_it_was_made_of_and_for_nothing_else(recipe, tmp_path):
    for name in ("a", "b"):
        experiment(tmp_path, name)
    plain, transferred = recipe.variant(), recipe.transfer({})
    base = recipe.Run(tmp_path, tmp_path, None, True), recipe.Trial("base", "a", plain)
    quick = recipe.Run(tmp_path, tmp_path, 1, True), base[1]
    others = [recipe.Trial("base", "b", plain), recipe.Trial("base", "a", recipe.variant("none"))]
    others += [recipe.Trial("base", "a", transferred, one) for one in (False, True)]
    runs = [base, quick, *((base[0], trial) for trial in others)]

    def folders():
        return [run._fold(trial, 0, "group1") for run, trial in runs]

    before = folders()
    assert before == folders() and len(set(before)) == len(runs)
    experiment(tmp_path, "a", clips=4)
    kept = [one == other for one, other in zip(before, folders(), strict=True)]
    assert kept == [trial.experiment == "b" for _, trial in runs]


def test_a_row_without_an_interval_has_empty_cells(recipe, tmp_path):
    experiment(tmp_path, "a")
    run, trial = recipe.Run(tmp_path, tmp_path, None, True), recipe.Trial("all right", "a", recipe.variant())
    classes = CONFIG.datasets["casme2"].class_names
    for number in range(1, recipe.GROUPS + 1):
        folder = run._fold(trial, 0, f"group{number}")
        folder.mkdir(parents=True)
        answers = pd.DataFrame({"label": classes, "predicted": classes, "subject": f"s{number}"})
        answers["sample_id"] = [f"casme2/s{number}/{name}" for name in classes]
        answers[[f"p_{name}" for name in classes]] = 0.2
        answers.to_csv(folder / "predictions.csv", index=False)
        (folder / "fold.json").write_text(json.dumps({"accuracy": 1.0, "seconds": {"train": 60.0}}))
    assert run.row(trial, [0])[:5] == ["all right", "100.0", "", "1.000", ""]
