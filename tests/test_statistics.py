"""Intervals and tests against brute force on small cases, and against known answers."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mer_core.config.evaluation import Evaluation
from mer_core.evaluation.metrics import HEADLINE, confusion_matrices, evaluate
from mer_core.evaluation.statistics import (
    bootstrap_intervals,
    compare,
    holm,
    least_p,
    majority_answers,
    mcnemar,
    permutation_test,
    score_variant,
    verdict,
)

CLASSES = ["a", "b", "c"]
SETTINGS = Evaluation(confidence=0.9, bootstrap=300, permutations=2000, seed=3, partial=False)


def random_predictions(seed, subjects=5, clips=4, seeds=(0,), skill=0.5, truth=0):
    labels = np.random.default_rng(truth).choice(CLASSES, subjects * clips)
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "seed": one,
                "sample_id": [f"casme2/clip{i}" for i in range(len(labels))],
                "subject": [f"p{i // clips}" for i in range(len(labels))],
                "label": labels,
                "predicted": np.where(
                    rng.random(len(labels)) < skill, labels, rng.choice(CLASSES, len(labels))
                ),
            }
        )
        for one in seeds
    ]
    return pd.concat(parts, ignore_index=True)


def test_bootstrap_equals_resampling_rows():
    """Confusion matrices added up are the same as copying the rows of the drawn people."""
    rows = random_predictions(1, seeds=(0, 1))
    people = sorted(rows["subject"].unique())
    # One person alone shows c, so that some draws lack it.
    rows["label"] = rows["label"].mask((rows["label"] == "c") & (rows["subject"] != people[0]), "b")
    draws, lacking = {name: [] for name in HEADLINE}, 0
    for numbers in np.random.default_rng(3).integers(0, len(people), (40, len(people))):
        drawn = pd.concat(
            [
                rows[rows["subject"] == people[number]].assign(subject=f"{people[number]}-{copy}")
                for copy, number in enumerate(numbers)
            ]
        )
        drawn["sample_id"] += drawn["subject"]
        there = [name for name in CLASSES if name in set(drawn["label"])]
        lacking += there == ["a", "b"]
        for name in HEADLINE:
            values = []
            for _, one in drawn.groupby("seed"):
                score = evaluate(one, CLASSES)
                if name in ("macro_f1", "uar"):  # a class that no drawn person shows is left out
                    key = {"macro_f1": "f1", "uar": "recall"}[name]
                    values.append(np.mean([score["per_class"][c][key] for c in there]))
                elif name == "f1_of_means":
                    p, r = (
                        np.mean([score["per_class"][c][k] for c in there]) for k in ("precision", "recall")
                    )
                    values.append(2 * p * r / (p + r) if p + r else 0)
                else:
                    values.append(score[name])
            draws[name].append(np.mean(values))
    assert 0 < lacking < 40
    counts = confusion_matrices(rows, CLASSES, ["subject", "seed"])
    found = bootstrap_intervals(counts, 0.9, 40, 3, "percentile")
    for name in HEADLINE:
        low, high = np.quantile(draws[name], [0.05, 0.95])
        assert found[name] == pytest.approx({"low": low, "high": high}), name


def test_intervals_are_bias_corrected_and_accelerated():
    """Efron's formulas (1987), with the jackknife over people, for the accuracy of uneven people."""
    rows = random_predictions(1, subjects=9, skill=0.3)
    rows = pd.concat([rows, random_predictions(2, subjects=9, skill=1.0).query("subject == 'p8'")])
    rows["sample_id"] = [f"casme2/clip{i}" for i in range(len(rows))]
    counts = confusion_matrices(rows, CLASSES, ["subject", "seed"])[:, 0]
    hits, clips = np.trace(counts, axis1=1, axis2=2), counts.sum((1, 2))
    drawn = np.random.default_rng(3).integers(0, 9, (5000, 9))
    values = hits[drawn].sum(1) / clips[drawn].sum(1)
    observed = hits.sum() / clips.sum()
    bias = stats.norm.ppf(((values < observed).mean() + (values <= observed).mean()) / 2)
    left_out = (hits.sum() - hits) / (clips.sum() - clips)
    deviations = left_out.mean() - left_out
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.05, 0.95])
    expected = np.quantile(values, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    found = bootstrap_intervals(counts[:, None], 0.9, 5000, 3)["accuracy"]
    assert list(found.values()) == pytest.approx(expected, abs=1e-9)
    assert list(found.values()) != pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-3)


def test_bootstrap_is_seeded_and_a_single_person_has_no_interval():
    counts = confusion_matrices(random_predictions(1), CLASSES, ["subject", "seed"])
    assert bootstrap_intervals(counts, 0.9, 200, 1) == bootstrap_intervals(counts, 0.9, 200, 1)
    assert bootstrap_intervals(counts, 0.9, 200, 1) != bootstrap_intervals(counts, 0.9, 200, 2)
    nothing = {"low": None, "high": None}
    assert bootstrap_intervals(counts[:1], 0.9, 200, 1) == dict.fromkeys(HEADLINE, nothing)


def test_people_who_score_alike_have_no_interval():
    score = score_variant("v", random_predictions(1, skill=1.0), CLASSES, SETTINGS)
    assert score["macro_f1"] == {"mean": 1, "sd": None, "low": None, "high": None}
    assert json.loads(json.dumps(score, allow_nan=False)) == score


def test_a_class_without_samples_is_zero_in_the_score_and_in_its_interval():
    score = score_variant("v", random_predictions(1, skill=1.0), [*CLASSES, "d"], SETTINGS)
    assert score["macro_f1"] == {"mean": 0.75, "sd": None, "low": None, "high": None}  # of every draw
    assert score["never_predicted"] == ["d"]


def test_people_rather_than_clips_are_resampled():
    """Two people, one always right and one always wrong: the interval is everything, however many clips."""
    rows = random_predictions(0, subjects=2, clips=500, skill=1.0)
    wrong = rows["subject"] == "p1"
    rows.loc[wrong, "predicted"] = rows.loc[wrong, "label"].map({"a": "b", "b": "c", "c": "a"})
    interval = score_variant("v", rows, CLASSES, SETTINGS)["accuracy"]
    assert interval == {"mean": 0.5, "sd": None, "low": 0.0, "high": 1.0}


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_mcnemar_is_the_two_sided_binomial(first_only, second_only, both):
    first = [True] * first_only + [False] * second_only + [True] * both + [False]
    second = [False] * first_only + [True] * second_only + [True] * both + [False]
    n, k = first_only + second_only, min(first_only, second_only)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar(first, second) == pytest.approx(expected)


def accuracy(counts):
    return (np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-1, -2))).mean(-1)


def brute_force(first, second, score):
    """Share of all swaps of whole subjects that part the two at least as much, on the side that is rarer."""

    def difference(swaps):
        pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(first, second, swaps, strict=True)]
        return score(sum(b for _, b in pairs)) - score(sum(a for a, _ in pairs))

    observed = difference([False] * len(first))
    all_of_them = np.array(
        [difference(swaps) for swaps in itertools.product([False, True], repeat=len(first))]
    )
    above, below = (all_of_them >= observed - 1e-12).mean(), (all_of_them <= observed + 1e-12).mean()
    return min(1.0, 2 * min(above, below))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 2))
def test_permutation_test_is_exact_for_few_people(seed, seeds):
    first, second = (
        confusion_matrices(random_predictions(s, seeds=range(seeds), skill=k), CLASSES, ["subject", "seed"])
        for s, k in ((seed, 0.3), (seed + 1, 0.7))
    )
    assert permutation_test(first, second, accuracy, 2000, 0) == pytest.approx(
        brute_force(first, second, accuracy)
    )


def test_permutation_test_draws_where_there_are_many_people():
    first, second = (
        confusion_matrices(random_predictions(s, subjects=14, skill=k), CLASSES, ["subject", "seed"])
        for s, k in ((0, 0.45), (1, 0.6))
    )
    exact = permutation_test(first, second, accuracy, 2**14, 0)
    drawn = permutation_test(first, second, accuracy, 4000, 0)
    assert 0.01 < exact < 0.99
    assert drawn == pytest.approx(exact, abs=0.03)
    assert drawn != exact
    assert drawn == permutation_test(first, second, accuracy, 4000, 0)
    assert permutation_test(first, first, accuracy, 4000, 0) == 1
    assert permutation_test(first[:1], second[:1], accuracy, 4000, 0) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 3))
def test_no_p_is_below_the_least(seed, subjects, seeds):
    first, second = (
        confusion_matrices(
            random_predictions(s, subjects=subjects, seeds=range(seeds), skill=k),
            CLASSES,
            ["subject", "seed"],
        )
        for s, k in ((seed, 0.0), (seed + 1, 1.0))
    )
    for permutations in (10, 100):
        least = least_p(first, second, permutations)
        assert permutation_test(first, second, accuracy, permutations, 0) >= least * (1 - 1e-9)
    assert least_p(first, second, 100) >= 2.0 ** (1 - subjects)


def test_the_least_p_is_reached_where_everybody_gains():
    labels = np.eye(3, dtype=int)[None, None] * 4  # four clips of each class, all right
    right, wrong = np.repeat(labels, 5, axis=0), np.repeat(labels[..., ::-1, :], 5, axis=0)
    assert least_p(wrong, right, 1000) == permutation_test(wrong, right, accuracy, 1000, 0) == 0.0625
    assert least_p(right, right, 1000) == 1
    mixed = np.concatenate([wrong[:2], right[2:]])  # three people are answered alike
    assert least_p(mixed, right, 1000) == permutation_test(mixed, right, accuracy, 1000, 0) == 0.5
    many = np.repeat(wrong[:1], 20, axis=0), np.repeat(right[:1], 20, axis=0)
    assert least_p(*many, 1000) == permutation_test(*many, accuracy, 1000, 0) == 2 / 1001


def test_ties_are_counted_whatever_they_round_to():
    """Means over two seeds: every swap leaves a difference of nothing, though 0.1 + 0.7 is not 0.4 + 0.4."""
    assert 0.1 + 0.7 != 0.4 + 0.4

    def counts(*people):  # hits of five clips, for each person and seed
        return np.array([[[[hits, 0], [5 - hits, 0]] for hits in person] for person in people])

    first, second = counts((0, 4), (1, 3)), counts((2, 2), (2, 2))
    assert first.sum((0, -1))[:, 0].tolist() == [1, 7]
    assert permutation_test(first, second, accuracy, 100, 0) == 1


@pytest.mark.parametrize(
    ("gain", "p", "least", "said"),
    [
        (0.1, 0.05, 0.001, "better"),
        (-0.1, 0.05, 0.001, "worse"),
        (0.1, 0.051, 0.001, "not shown"),
        (0.1, 0.0625, 0.0625, "too few people"),
        (0.1, 1.0, 1.0, "too few people"),
    ],
)
def test_verdict(gain, p, least, said):
    assert verdict(gain, p, least, 0.95) == said


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == [
        pytest.approx(0.03),
        None,
        pytest.approx(0.06),
        pytest.approx(0.06),
    ]
    assert holm([]) == []
    assert holm([None]) == [None]


@settings(max_examples=15)  # theirs collects garbage at every call
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_is_statsmodels(p_values):
    tested = [p for p in p_values if p is not None]
    theirs = multipletests(tested, method="holm")[1].tolist() if tested else []
    assert [p for p in holm(p_values) if p is not None] == theirs
    assert [p is None for p in holm(p_values)] == [p is None for p in p_values]


def test_floor_of_casme2():
    """99 of 246 clips are 'others': 40.24 % and 0.115 without looking at a face."""
    counts = {"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25}
    labels = [name for name, n in counts.items() for _ in range(n)]
    samples = pd.DataFrame(
        {"sample_id": map(str, range(246)), "subject": [f"p{i % 26}" for i in range(246)], "label": labels}
    )
    score = score_variant("majority", majority_answers(samples), list(counts), SETTINGS)
    assert round(100 * score["accuracy"]["mean"], 2) == 40.24
    assert round(score["macro_f1"]["mean"], 4) == 0.1148
    assert score["never_predicted"] == ["disgust", "happiness", "repression", "surprise"]


def test_score_variant_over_seeds():
    rows = random_predictions(1, seeds=(4, 9, 7))
    score = score_variant("v", rows, CLASSES, SETTINGS, folds_expected=20)
    each = [evaluate(rows[rows["seed"] == seed], CLASSES) for seed in (4, 9, 7)]
    assert score["seeds"] == [4, 9, 7], "in the configuration's order"
    assert (score["folds"], score["folds_expected"], score["subjects"], score["n"]) == (15, 20, 5, 20)
    for name in HEADLINE:
        values = [one[name] for one in each]
        assert score[name]["mean"] == pytest.approx(np.mean(values))
        assert score[name]["sd"] == pytest.approx(np.std(values, ddof=1))
        assert score[name]["low"] <= score[name]["mean"] <= score[name]["high"]
    assert score["per_seed"] == [{"seed": seed, **one} for seed, one in zip((4, 9, 7), each, strict=True)]
    assert np.array_equal(score["confusion"], np.sum([one["confusion"] for one in each], axis=0))
    assert sum(values["support"] for values in score["per_class"].values()) == 20
    mean_f1 = np.mean([values["f1"] for values in score["per_class"].values()])
    assert score["macro_f1"]["mean"] == pytest.approx(mean_f1)
    assert score["upper_bound_best_on_test"] is None
    assert score["accuracy_per_subject"] == pytest.approx(
        pd.DataFrame([one["accuracy_per_subject"] for one in each]).mean().to_dict()
    )
    assert json.loads(json.dumps(score, allow_nan=False)) == score


def test_the_mean_answer_of_seeds_has_the_interval_of_a_single_network():
    rows = random_predictions(1, seeds=(0, 1))
    assert score_variant("v", rows, CLASSES, SETTINGS)["seeds_averaged"] is None, "no probabilities"
    shares = {f"p_{name}": np.where(rows["predicted"] == name, 0.5, 0.1) for name in CLASSES}
    shares = {name: share + 0.1 * (rows["seed"] == 1) * (share > 0.1) for name, share in shares.items()}
    score = score_variant("v", rows.assign(**shares), CLASSES, SETTINGS)
    surer = score_variant("v", rows[rows["seed"] == 1], CLASSES, SETTINGS)
    assert score["seeds_averaged"] == {name: surer[name] for name in ("accuracy", "macro_f1", "uar")}
    assert (
        score_variant("v", rows[rows["seed"] == 0].assign(p_a=0), CLASSES, SETTINGS)["seeds_averaged"] is None
    )


def test_best_on_test_stands_only_under_its_own_name():
    rows = random_predictions(1)
    score = score_variant("v", rows.assign(predicted_best_on_test=rows["label"]), CLASSES, SETTINGS)
    assert score["upper_bound_best_on_test"] == {"accuracy": 1, "macro_f1": 1, "uar": 1}
    assert score["accuracy"] == score_variant("v", rows, CLASSES, SETTINGS)["accuracy"]


def test_a_seed_that_lacks_people_does_not_count_as_wrong():
    """In a partial experiment, draws without any person of a seed use the other seeds."""
    rows = random_predictions(1, seeds=(0, 1), skill=1.0)
    rows = rows[(rows["seed"] == 0) | (rows["subject"] == "p0")]
    score = score_variant("v", rows, CLASSES, SETTINGS, folds_expected=10)
    assert score["folds"] == 6
    assert score["accuracy"] == score["mean_subject_accuracy"]
    assert score["accuracy"] == {"mean": 1, "sd": 0, "low": None, "high": None}


def test_compare_joins_by_sample_and_seed():
    first, second = (
        random_predictions(1, seeds=(0, 1), skill=0.3),
        random_predictions(2, seeds=(0, 1), skill=0.8),
    )
    found = compare(first, second, CLASSES, SETTINGS)
    assert found == compare(first, second.sample(frac=1, random_state=0), CLASSES, SETTINGS)
    right = [rows["predicted"] == rows["label"] for rows in (first, second)]
    gains = (right[1].astype(int) - right[0]).groupby(first["seed"]).sum()
    assert found.n == 20
    assert found.gain_clips == gains.mean()
    assert found.gain_accuracy == pytest.approx(gains.mean() / 20)
    assert found.gain_accuracy_low <= found.gain_accuracy <= found.gain_accuracy_high
    scores = [score_variant("v", rows, CLASSES, SETTINGS)["macro_f1"]["mean"] for rows in (first, second)]
    assert found.gain == pytest.approx(scores[1] - scores[0])
    assert found.gain_low <= found.gain <= found.gain_high
    assert found.p_least == 0.0625
    assert found.first_only == (right[0] & ~right[1])[first["seed"] == 0].sum()
    assert found.second_only == (~right[0] & right[1])[first["seed"] == 0].sum()
    assert found.second_only - found.first_only == gains[0]


def test_a_gain_on_what_is_never_right_is_the_score_itself_and_so_is_its_interval():
    rows = random_predictions(2, subjects=9, skill=0.6)
    never = rows.assign(predicted=rows["label"].map({"a": "b", "b": "c", "c": "a"}))
    found, score = compare(never, rows, CLASSES, SETTINGS), score_variant("v", rows, CLASSES, SETTINGS)
    for gain, name in (("gain", "macro_f1"), ("gain_accuracy", "accuracy")):
        ends = {"mean": gain, "low": f"{gain}_low", "high": f"{gain}_high"}
        assert {end: getattr(found, key) for end, key in ends.items()} == pytest.approx(
            {end: score[name][end] for end in ends}
        )


def test_compare_takes_what_both_have():
    first = random_predictions(1, seeds=(0, 1, 2))
    second = random_predictions(2, seeds=(1, 5))
    second = second[second["subject"] != "p4"]
    found = compare(first, second, CLASSES, SETTINGS)
    assert found == compare(
        first[(first["seed"] == 1) & (first["subject"] != "p4")],
        second[second["seed"] == 1],
        CLASSES,
        SETTINGS,
    )
    assert found.n == 16
    assert compare(first, second[second["seed"] == 5], CLASSES, SETTINGS) is None


def test_equal_variants_do_not_differ():
    rows = random_predictions(1, seeds=(0, 1))
    found = compare(rows, rows, CLASSES, SETTINGS)
    assert (found.gain, found.gain_low, found.gain_high) == (0, None, None)
    assert (found.gain_accuracy, found.gain_accuracy_low, found.gain_accuracy_high) == (0, None, None)
    assert (found.p_mcnemar, found.p_permutation, found.p_accuracy, found.p_least) == (1, 1, 1, 1)


def test_the_first_seed_is_the_configured_first():
    first, second = (
        random_predictions(1, seeds=(8, 3), skill=0.3),
        random_predictions(2, seeds=(8, 3), skill=0.8),
    )
    found = compare(first, second, CLASSES, SETTINGS)
    right = [(rows["predicted"] == rows["label"])[rows["seed"] == 8] for rows in (first, second)]
    assert found.first_only == (right[0] & ~right[1]).sum()
    assert found.second_only == (~right[0] & right[1]).sum()
