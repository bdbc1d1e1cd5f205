"""Scores against hand-computed cases, scikit-learn and the equations' properties."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from mer_core.evaluation.metrics import confusion_matrices, evaluate, scores

CLASSES = ["a", "b", "c"]


def frame(labels, predicted, subjects=None):
    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(len(labels))],
            "subject": subjects or ["p"] * len(labels),
            "label": list(labels),
            "predicted": list(predicted),
        }
    )


def test_by_hand():
    # a: 2 of 3 found, 2 of 3 answers right; b: 1 of 2 found, 1 of 3 answers right; c: never answered.
    score = evaluate(frame("aaabbc", "aabbab", ["p", "p", "q", "q", "q", "q"]), CLASSES)
    assert score["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert score["per_class"]["a"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    )
    assert score["per_class"]["b"] == pytest.approx(
        {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "support": 2}
    )
    assert score["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert score["n"] == 6
    assert score["accuracy"] == pytest.approx(3 / 6)
    assert score["macro_f1"] == pytest.approx((2 / 3 + 2 / 5) / 3)
    assert score["uar"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert score["mean_precision"] == pytest.approx((2 / 3 + 1 / 3) / 3)
    assert score["f1_of_means"] == pytest.approx(2 * (7 / 18) * (1 / 3) / (7 / 18 + 1 / 3))
    assert score["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 2 / 5) / 6)
    assert score["accuracy_per_subject"] == {"p": 1.0, "q": 0.25}
    assert score["mean_subject_accuracy"] == pytest.approx(0.625)
    assert score["never_predicted"] == ["c"]
    assert json.loads(json.dumps(score, allow_nan=False)) == score


answers = st.lists(
    st.tuples(*[st.sampled_from(CLASSES)] * 2, st.sampled_from("pqr")), min_size=1, max_size=60
)


@given(answers)
def test_equals_scikit_learn(rows):
    labels, predicted, subjects = map(list, zip(*rows, strict=True))
    score = evaluate(frame(labels, predicted, subjects), CLASSES)
    options = {"labels": CLASSES, "zero_division": 0}
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(labels, predicted, **options)
    for k, name in enumerate(CLASSES):
        assert list(score["per_class"][name].values()) == pytest.approx(
            [precision[k], recall[k], f1[k], support[k]]
        )
    assert score["confusion"] == sklearn.confusion_matrix(labels, predicted, labels=CLASSES).tolist()
    assert score["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predicted))
    assert score["macro_f1"] == pytest.approx(sklearn.f1_score(labels, predicted, average="macro", **options))
    assert score["weighted_f1"] == pytest.approx(
        sklearn.f1_score(labels, predicted, average="weighted", **options)
    )
    assert score["uar"] == pytest.approx(sklearn.recall_score(labels, predicted, average="macro", **options))
    by_subject = pd.DataFrame(rows).groupby(2)[[0, 1]].apply(lambda part: (part[0] == part[1]).mean())
    assert score["mean_subject_accuracy"] == pytest.approx(by_subject.mean())


@given(answers)
def test_f1_of_means_is_never_below_macro_f1(rows):
    labels, predicted, _ = zip(*rows, strict=True)
    score = evaluate(frame(labels, predicted), CLASSES)
    assert score["f1_of_means"] >= score["macro_f1"] - 1e-12


def test_perfect_classifier_scores_one_although_folds_lack_classes():
    labels = "aabbbc"
    score = evaluate(frame(labels, labels, ["p", "p", "p", "q", "q", "r"]), CLASSES)
    for name in ("accuracy", "macro_f1", "uar", "f1_of_means", "weighted_f1", "mean_subject_accuracy"):
        assert score[name] == 1
    assert score["never_predicted"] == []
    folds = [
        evaluate(part, CLASSES)["macro_f1"]
        for _, part in frame(labels, labels, list("pppqqr")).groupby("subject")
    ]
    assert np.mean(folds) < 0.5  # what a mean over folds would have printed


def test_order_of_rows_does_not_count():
    rows = frame("abcabc", "abbcca", list("ppqqrr"))
    assert evaluate(rows.sample(frac=1, random_state=0), CLASSES) == evaluate(rows, CLASSES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame("ab", "ax"), "among"),
        (frame("ax", "ab"), "among"),
        (frame("ab", "ab").assign(sample_id="s0"), "once"),
        (frame("", ""), "at least one"),
    ],
)
def test_refuses(rows, message):
    with pytest.raises(ValueError, match=message):
        evaluate(rows, CLASSES)


def test_a_stack_scores_as_its_matrices_one_by_one():
    stack = np.random.default_rng(0).integers(0, 5, (4, 3, 3, 3))
    together = scores(stack)
    for index in np.ndindex(4, 3):
        for name, value in scores(stack[index]).items():
            np.testing.assert_allclose(together[name][index], value)


def test_classes_not_counted_are_left_out_of_means():
    confusion = np.array([[2, 0, 1], [1, 1, 0], [0, 0, 0]])
    some = scores(confusion, np.array([True, True, False]))
    assert some["uar"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores(confusion)["uar"] == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_confusion_matrices_by_group():
    rows = frame("aab", "abb", ["q", "p", "q"]).assign(seed=[1, 0, 0])
    counts = confusion_matrices(rows, CLASSES, by=["subject", "seed"])
    assert counts.shape == (2, 2, 3, 3)
    assert counts[0, 0, 0, 1] == counts[1, 1, 0, 0] == counts[1, 0, 1, 1] == 1  # subjects p, q; seeds 0, 1
    assert counts.sum() == 3
