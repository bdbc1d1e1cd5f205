"""Scores against hand-computed cases, scikit-learn and the equations' properties."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from mer_core.evaluation.metrics import (
    confusion_matrices,
    evaluate,
    macro_f1_range,
    possible,
    scores,
    seeds_averaged,
)

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


matrices = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 30), min_size=k, max_size=k), min_size=k, max_size=k)
)


@given(matrices)
def test_every_confusion_matrix_is_possible(rows):
    confusion = np.array(rows)
    support = confusion.sum(axis=1)
    assume(support.all())
    score = scores(confusion)
    assert possible(score["macro_f1"], score["uar"], support)


@pytest.mark.parametrize("support", [[5, 2], [3, 2, 2], [4, 3, 1]])
def test_range_of_macro_f1_holds_all_matrices_of_some_counts(support):
    """Every matrix of so few clips, one by one."""
    rows = [
        [row for row in itertools.product(range(n + 1), repeat=len(support)) if sum(row) == n]
        for n in support
    ]
    score = scores(np.array([*itertools.product(*rows)]))
    for uar in np.unique(score["uar"].round(9)):
        values = score["macro_f1"][np.isclose(score["uar"], uar)]
        low, high = macro_f1_range(uar, support)
        assert low - 1e-6 <= values.min() <= values.max() <= high + 1e-6


def test_range_of_macro_f1_is_narrow_enough_to_tell():
    """An official baseline cell (MEGC 2019, LBP-TOP on SMIC): no matrix has UAR .5280 and UF1 .2000.

    A search over all hits and answers of 70, 51 and 43 clips finds no UF1 below .374 there.
    """
    smic = [70, 51, 43]
    low, _ = macro_f1_range(0.528, smic)
    assert 0.37 < low <= 0.374
    assert not possible(0.2, 0.528, smic, 5e-5)
    assert possible(0.5727, 0.5829, smic, 5e-5)  # Bi-WOOF there
    assert macro_f1_range(1, smic) == (pytest.approx(0.99, abs=1e-2), pytest.approx(1))
    assert macro_f1_range(0, smic) == (0, 0)
    assert not possible(0.99, 0.5, smic)


def test_seeds_averaged_is_the_answer_of_the_mean_probabilities():
    rows = [
        *(("x", "p1", "b", 0, 0.6, 0.4), ("x", "p1", "b", 1, 0.1, 0.9)),  # the surer seed decides
        *(("y", "p2", "a", 0, 0.5, 0.5), ("y", "p2", "a", 1, 0.5, 0.5)),  # of equals the first class
    ]
    frame = pd.DataFrame(rows, columns=["sample_id", "subject", "label", "seed", "p_a", "p_b"])
    together = seeds_averaged(frame, ["a", "b"])
    assert together.to_dict("list") == {
        "sample_id": ["x", "y"],
        "subject": ["p1", "p2"],
        "label": ["b", "a"],
        "predicted": ["b", "a"],
    }
