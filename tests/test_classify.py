"""One fold of a comparison method: what it answers, and what it may not look at."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from mer_core.baselines.classify import Training, choose_cost, classify
from mer_core.baselines.features import Features, write_features
from mer_core.baselines.folds import classify_folds
from mer_core.config.baselines import AdaBoost, Baseline, SupportVectorMachine
from mer_core.datasets.manifest import assemble, new_sample, write_manifest
from mer_core.errors import UserError
from mer_core.evaluation.collect import expected_samples, read_folds

pytestmark = pytest.mark.filterwarnings("ignore:The default value of raise_error")

CLASSES = ["happiness", "disgust", "surprise"]
SVM = SupportVectorMachine(kind="svm", normalization="standard")
CHOSEN = SupportVectorMachine(kind="svm", cost=[0.01, 1, 100], normalization="standard")
RBF = SupportVectorMachine(kind="svm", kernel="rbf", class_weight="balanced")
BOOSTED = AdaBoost(kind="adaboost", rounds=20)
KMM = AdaBoost(kind="adaboost", rounds=20, weights="kmm")
STM = AdaBoost(kind="adaboost", rounds=20, weights="stm")
INDUCTIVE, TRANSDUCTIVE = [SVM, CHOSEN, RBF, BOOSTED], [KMM, STM]


def clips(seed=0, n=90, dimensions=12, signal=2.0):
    """Clips of nine people: class k stands out in feature k, and every person has an offset."""
    rng = np.random.default_rng(seed)
    labels, subjects = rng.integers(0, 3, n), np.repeat([f"sub{k:02d}" for k in range(1, 10)], n // 9)
    features = rng.normal(size=(n, dimensions)) + rng.normal(size=(9, dimensions)).repeat(n // 9, axis=0) / 2
    features[np.arange(n), labels] += signal
    return features.astype(np.float32), labels, subjects


def split(subject="sub05", **options):
    features, labels, subjects = clips(**options)
    test = subjects == subject
    return Training(features[~test], labels[~test], subjects[~test]), features[test], labels[test]


@pytest.mark.parametrize("settings", INDUCTIVE + TRANSDUCTIVE, ids=str)
def test_every_classifier_beats_the_floor_where_the_features_tell_the_class(settings):
    _, labels, subjects = clips()
    answers = np.empty_like(labels)
    for subject in np.unique(subjects):
        training, held_out, _ = split(subject)
        scores, _ = classify(training, held_out, settings, 3, seed=0)
        assert scores.min() >= 0
        assert scores.sum(axis=1) == pytest.approx(np.ones(len(held_out)))
        answers[subjects == subject] = scores.argmax(axis=1)
    floor = f1_score(labels, np.full_like(labels, np.bincount(labels).argmax()), average="macro")
    assert f1_score(labels, answers, average="macro") > floor + 0.3


@pytest.mark.parametrize("settings", INDUCTIVE, ids=str)
def test_other_clips_of_the_subject_left_out_change_nothing(settings):
    """Normalisation, hyper-parameters and classifier are the training subjects' alone."""
    training, held_out, _ = split()
    together, _ = classify(training, held_out, settings, 3, seed=0)
    strange = np.concatenate([held_out, 1000 * held_out])
    among_strange, _ = classify(training, strange, settings, 3, seed=0)
    assert among_strange[: len(held_out)] == pytest.approx(together)


@pytest.mark.parametrize("settings", TRANSDUCTIVE, ids=str)
def test_the_transductive_ones_look_at_the_features_left_out_and_say_so(settings):
    training, held_out, _ = split()
    assert settings.transductive
    assert not any(one.transductive for one in INDUCTIVE)
    _, details = classify(training, held_out, settings, 3, seed=0)
    _, elsewhere = classify(training, held_out + 1, settings, 3, seed=0)
    assert 1 < details["effective_clips"] < len(training.labels)
    assert details["effective_clips"] != elsewhere["effective_clips"]


def test_the_cost_is_the_best_of_an_inner_leave_one_subject_out():
    """Recomputed by a loop of one's own."""
    training, _, _ = split(signal=1.0)
    cost, details = choose_cost(training, CHOSEN)
    by_cost = {}
    for candidate in CHOSEN.cost:
        fixed = CHOSEN.model_copy(update={"cost": [candidate]})
        answers = np.empty_like(training.labels)
        for subject in np.unique(training.subjects):
            held_out = training.subjects == subject
            rest = Training(*(part[~held_out] for part in vars(training).values()))
            scores, _ = classify(rest, training.features[held_out], fixed, 3, seed=0)
            answers[held_out] = scores.argmax(axis=1)
        by_cost[str(candidate)] = f1_score(training.labels, answers, average="macro")
    assert details["macro_f1_by_cost"] == pytest.approx(by_cost)
    assert str(cost) == max(by_cost, key=by_cost.get)


def test_of_equally_good_costs_the_first_is_taken():
    training, _, _ = split(signal=50.0)
    assert choose_cost(training, CHOSEN.model_copy(update={"cost": [3.0, 1.0]}))[0] == 3.0


@pytest.mark.parametrize("settings", INDUCTIVE + TRANSDUCTIVE, ids=str)
def test_two_classes_and_a_class_that_training_lacks(settings):
    training, held_out, labels = split(signal=50.0)
    keep = training.labels != 1
    training = Training(*(part[keep] for part in vars(training).values()))
    scores, _ = classify(training, held_out, settings, 3, seed=0)
    assert (scores[:, 1] == 0).all()
    assert (scores.argmax(axis=1) == labels)[labels != 1].all()


def test_hellinger_is_the_kernel_of_square_roots():
    training, held_out, _ = split()
    training, held_out = replace(training, features=np.abs(training.features)), np.abs(held_out)
    plain = SupportVectorMachine(kind="svm")
    rooted = replace(training, features=np.sqrt(training.features))
    expected, _ = classify(rooted, np.sqrt(held_out), plain, 3, seed=0)
    found, _ = classify(
        training, held_out, plain.model_copy(update={"normalization": "hellinger"}), 3, seed=0
    )
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        (SVM, [0, 0, 0, 0], "of one class only"),
        (CHOSEN, [0, 0, 1, 1], "without a, the training clips are of one class"),
        (SupportVectorMachine(kind="svm", normalization="hellinger"), [0, 1, 0, 1], "for histograms"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, labels, message):
    features = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    training = Training(features, np.array(labels), np.array(["a", "a", "b", "b"]))
    with pytest.raises(UserError, match=message):
        classify(training, features, settings, 3, seed=0)


def written(folder, labels, features, subjects):
    """Features and a manifest; the last sample has no features, since its face was not found."""
    names = [f"clip{k}" for k in range(len(labels))]
    rows = [
        new_sample("casme2", subject, name, label=CLASSES[k], label_raw=CLASSES[k], frame_path="a.jpg")
        for subject, name, k in zip([*subjects, "sub05"], [*names, "lost"], [*labels, 0], strict=True)
    ]
    table = assemble(rows)
    write_manifest(table, folder / "manifest.csv")
    ids = [f"casme2/{subject}/{name}" for subject, name in zip(subjects, names, strict=True)]
    write_features(folder / "lbp.h5", Features(ids, features, names))
    return table


def run(folder, settings, labels=None):
    features, own_labels, subjects = clips()
    table = written(folder, own_labels if labels is None else labels, features, subjects)
    people = list(np.unique(subjects))
    classify_folds(
        folder / "lbp.h5",
        folder / "manifest.csv",
        people,
        folder / "seed3",
        baseline=Baseline(name="lbp_apex", features={"kind": "lbp"}, classifier=settings),
        classes=CLASSES,
        seed=3,
        code="abc",
    )
    paths = [folder / "seed3" / subject / "predictions.csv" for subject in people]
    return paths, expected_samples(table, ["casme2/sub05/lost"])


def test_the_folds_are_read_like_a_networks(tmp_path):
    paths, samples = run(tmp_path, SVM)
    folds = read_folds(paths, samples, CLASSES, "lbp_apex", [3], partial=False)
    assert len(folds.predictions) == len(samples) == 90
    assert (folds.predictions["predicted"] == folds.predictions["label"]).mean() > 0.6
    record = json.loads((tmp_path / "seed3/sub05/fold.json").read_text())
    assert (record["n_train"], record["n_test"], record["n_absent"]) == (80, 10, 1)
    assert sum(record["n_train_per_class"].values()) == 80
    assert record["digests"]["code"] == "abc"


@pytest.mark.parametrize("settings", [CHOSEN, STM], ids=str)
def test_the_labels_of_the_subject_left_out_change_no_answer_of_its_fold(tmp_path, settings):
    _, labels, subjects = clips()
    own = subjects == "sub05"
    others = np.where(own, (labels + 1) % 3, labels)
    columns = ["sample_id", "predicted", *(f"p_{name}" for name in CLASSES)]
    answers = []
    for name, given in (("true", labels), ("permuted", others)):
        (tmp_path / name).mkdir()
        paths, _ = run(tmp_path / name, settings, given)
        answers.append([pd.read_csv(path)[columns] for path in paths])
    for true, permuted in zip(*answers, strict=True):
        assert true.equals(permuted) == ("sub05" in true["sample_id"][0])


def test_a_subject_without_features_gets_no_rows(tmp_path):
    features, labels, subjects = clips()
    others = subjects != "sub05"
    written(tmp_path, labels[others], features[others], subjects[others])
    classify_folds(
        tmp_path / "lbp.h5",
        tmp_path / "manifest.csv",
        ["sub05"],
        tmp_path,
        baseline=Baseline(name="lbp_apex", features={"kind": "lbp"}, classifier=SVM),
        classes=CLASSES,
        seed=0,
    )
    assert pd.read_csv(tmp_path / "sub05/predictions.csv").empty
    assert json.loads((tmp_path / "sub05/fold.json").read_text())["n_test"] == 0
    assert not (tmp_path / "sub01").exists()


def test_a_foreign_label_is_refused(tmp_path):
    features, labels, subjects = clips()
    written(tmp_path, labels, features, subjects)
    with pytest.raises(UserError, match="none of happiness, disgust; delete the manifest"):
        classify_folds(
            tmp_path / "lbp.h5",
            tmp_path / "manifest.csv",
            ["sub05"],
            tmp_path,
            baseline=Baseline(name="lbp_apex", features={"kind": "lbp"}, classifier=SVM),
            classes=CLASSES[:2],
            seed=0,
        )
