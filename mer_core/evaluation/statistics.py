"""How sure the scores are: spread over seeds, intervals over subjects, paired tests.

Clips of one person are not independent, so what is resampled and permuted is the person. With several
seeds, a score is the mean over seeds; the seeds of a person always stay together. Macro-F1 is the one
endpoint that decides; accuracy stands beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from mer_core.config.evaluation import Evaluation, Scoring
from mer_core.evaluation.metrics import (
    HEADLINE,
    confusion_matrices,
    evaluate,
    never_predicted,
    scores,
    seeds_averaged,
)

Interval = dict[str, float | None]

# Below so many people no interval holds what it promises; how far it falls short for six, as measured by
# benchmarks/interval_coverage.py: of 100 intervals called 95 %, how many hold the true score.
FEW_PEOPLE = 10
COVERAGE_OF_SIX = {"accuracy": 84, "macro_f1": 80}

# Differences are counted in units of 2^-30, so that equal ones tie however they were rounded: a fraction
# with a denominator below 2^30 never lies half-way between two units.
_UNITS = 2**30


@dataclass(frozen=True)
class Comparison:
    """A second variant against a first, on the samples and seeds that both predicted.

    Gains are second minus first, with their paired bootstrap intervals (None where every draw of people
    gives the same): `gain` of macro-F1, which decides, `gain_accuracy` (fractions), `gain_clips` (correct
    clips). `p_permutation` tests macro-F1 and `p_accuracy` accuracy; neither can fall below `p_least`.
    `first_only` and `second_only` count the clips of the first seed that only one of them got right; they
    are what `p_mcnemar` is made of.
    """

    n: int
    gain: float
    gain_low: float | None
    gain_high: float | None
    gain_accuracy: float
    gain_accuracy_low: float | None
    gain_accuracy_high: float | None
    gain_clips: float
    first_only: int
    second_only: int
    p_permutation: float
    p_accuracy: float
    p_least: float
    p_mcnemar: float


def score_variant(
    variant: str,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    settings: Scoring,
    folds_expected: int | None = None,
) -> dict[str, Any]:
    """Everything that is reported about one variant: the content of metrics/{variant}.json.

    Args:
        variant: its name.
        predictions: all folds of all seeds: seed, sample_id, subject, label, predicted, and perhaps fold
            (without it each subject is one) and predicted_best_on_test.
        classes: the class names in order.
        settings: confidence, number of bootstrap draws and their seed.
        folds_expected: subjects x seeds of a complete experiment; None when this one is complete.

    Returns:
        variant, classes, seeds; folds and folds_expected (a fold is what was left out together, with one
        seed); subjects and n (clips), each counted once however many seeds; confidence.
        accuracy, macro_f1, uar, f1_of_means, weighted_f1, mean_subject_accuracy: each {mean, sd, low,
        high}: mean and standard deviation over seeds (sd null for one seed), bootstrap interval of the
        mean (null as `bootstrap_intervals` says).
        per_class {class: {precision, recall, f1 (means over seeds), support (clips)}};
        confusion, summed over seeds, rows true; accuracy_per_subject {subject: mean over seeds};
        never_predicted, the classes given to no sample by any seed.
        per_seed, a list of {seed, ...`metrics.evaluate`}.
        seeds_averaged {accuracy, macro_f1, uar}, each as above but with sd null, of the answers by the
        probabilities' mean over seeds, where there are several seeds, and probabilities; else null.
        parts {part: {subjects, n, accuracy, macro_f1, uar}} of the same pooled predictions, where they are
        of several: by the column `part` if there is one, else by the datasets that sample_ids tell.
        upper_bound_best_on_test {accuracy, macro_f1, uar}, means over seeds, where folds recorded the
        best epoch on their own test subject, else null. It is an upper bound and never the result.
    """
    per_seed = [
        {"seed": int(seed), **evaluate(rows, classes)}
        for seed, rows in predictions.groupby("seed", sort=False)
    ]
    confusions = confusion_matrices(predictions, classes, by=["subject", "seed"])
    intervals = bootstrap_intervals(confusions, settings.confidence, settings.bootstrap, settings.seed)
    clips = predictions.drop_duplicates("sample_id")
    support = clips["label"].value_counts()
    correct = (predictions["label"] == predictions["predicted"]).groupby(predictions["subject"]).mean()
    fold = "fold" if "fold" in predictions else "subject"
    folds = len(predictions[["seed", fold]].drop_duplicates())
    return {
        "variant": variant,
        "classes": list(classes),
        "seeds": [one["seed"] for one in per_seed],
        "folds": folds,
        "folds_expected": folds if folds_expected is None else folds_expected,
        "subjects": int(clips["subject"].nunique()),
        "n": len(clips),
        "confidence": settings.confidence,
        **{name: over_seeds([one[name] for one in per_seed]) | intervals[name] for name in HEADLINE},
        "per_class": {
            name: {
                key: float(np.mean([one["per_class"][name][key] for one in per_seed]))
                for key in ("precision", "recall", "f1")
            }
            | {"support": int(support.get(name, 0))}
            for name in classes
        },
        "confusion": confusions.sum((0, 1)).tolist(),
        "accuracy_per_subject": {subject: float(value) for subject, value in correct.items()},
        "never_predicted": never_predicted(confusions.sum((0, 1)), classes),
        "per_seed": per_seed,
        "seeds_averaged": _seeds_averaged(predictions, classes, settings),
        "parts": _parts(predictions, classes, settings),
        "upper_bound_best_on_test": _upper_bound(predictions, classes),
    }


def _parts(predictions: pd.DataFrame, classes: Sequence[str], settings: Scoring) -> dict[str, Any]:
    dataset = predictions["sample_id"].str.partition("/")[0]
    part = predictions.get("part", dataset)
    if part.nunique() < 2:
        return {}
    parts = {}
    for name, rows in predictions.groupby(part, sort=False):
        clips = rows.drop_duplicates("sample_id")
        counted = {"subjects": int(clips["subject"].nunique()), "n": len(clips)}
        parts[name] = counted | _endpoints(rows, classes, settings)
    return parts


def _seeds_averaged(
    predictions: pd.DataFrame, classes: Sequence[str], settings: Scoring
) -> dict[str, Any] | None:
    if predictions["seed"].nunique() == 1 or f"p_{classes[0]}" not in predictions:
        return None
    return _endpoints(seeds_averaged(predictions, classes).assign(seed=0), classes, settings)


def _endpoints(predictions: pd.DataFrame, classes: Sequence[str], settings: Scoring) -> dict[str, Any]:
    """{accuracy, macro_f1, uar}, each {mean, sd, low, high} as `score_variant` has them."""
    per_seed = [evaluate(rows, classes) for _, rows in predictions.groupby("seed", sort=False)]
    confusions = confusion_matrices(predictions, classes, by=["subject", "seed"])
    intervals = bootstrap_intervals(confusions, settings.confidence, settings.bootstrap, settings.seed)
    return {
        name: over_seeds([one[name] for one in per_seed]) | intervals[name]
        for name in ("accuracy", "macro_f1", "uar")
    }


def majority_answers(samples: pd.DataFrame, by: pd.Series | None = None) -> pd.DataFrame:
    """The constant answer: every sample called what most samples are, the floor under any result.

    One constant over the whole set, not the majority of each training fold: leaving a person out can
    tip a near tie towards the class that the person lacks, which puts the floor too low. Of classes
    equally frequent the first in alphabetical order is taken.

    Args:
        samples: the evaluated samples with sample_id, subject, label (as in the manifest).
        by: the group of each sample, where every group has a constant of its own.

    Returns:
        Predictions as `score_variant` takes them, of one seed, 0.
    """
    labels = samples["label"]
    answer = labels.mode()[0] if by is None else labels.groupby(by).transform(lambda of: of.mode()[0])
    told = samples[[name for name in ("sample_id", "subject", "label", "part") if name in samples]]
    return told.assign(predicted=answer, seed=0).reset_index(drop=True)


def over_seeds(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (n - 1; None for a single value)."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def bootstrap_intervals(
    confusions: np.ndarray, confidence: float, draws: int, seed: int, method: str = "BCa"
) -> dict[str, Interval]:
    """Bootstrap intervals of the mean over seeds, by drawing subjects with replacement.

    A subject is drawn with all of its clips and all of its seeds. The interval says how the score would
    vary with other people; what varies with the seed alone is the standard deviation over seeds. A class
    that a draw happens to miss is left out of that draw's means over classes, since it has no recall
    there.

    Bias-corrected and accelerated (Efron 1987): a plain percentile interval of a score near its end, or
    of a mean over rare classes, lies too low and holds the truth too seldom.

    Args:
        confusions: counts (subjects, seeds, K, K).
        confidence: such as 0.95.
        draws: number of bootstrap samples.
        seed: of the random numbers; the same seed gives the same people, so that intervals compare.
        method: BCa, or percentile to compare with.

    Returns:
        {low, high} for each of `metrics.HEADLINE`; both None where there is no interval: with one
        subject, or when every draw scores alike.
    """

    def headline(drawn: np.ndarray) -> np.ndarray:
        values = _scores_of_drawn(drawn, confusions)
        return np.stack([values[name] for name in HEADLINE])

    found = _bootstrap(headline, len(confusions), confidence, draws, seed, method)
    return {name: {"low": low, "high": high} for name, (low, high) in zip(HEADLINE, found, strict=True)}


def compare(
    first: pd.DataFrame, second: pd.DataFrame, classes: Sequence[str], settings: Evaluation
) -> Comparison | None:
    """Compare two variants clip by clip, joined by seed and sample_id and never by order.

    Args:
        first: the baseline's predictions: seed, sample_id, subject, label, predicted.
        second: the other's.
        classes: the class names in order.
        settings: confidence, bootstrap, permutations, seed.

    Returns:
        The comparison, or None when no clip was predicted by both with the same seed.
    """
    both = first.merge(
        second[["seed", "sample_id", "predicted"]],
        on=["seed", "sample_id"],
        suffixes=("_first", "_second"),
        validate="1:1",
    )
    if both.empty:
        return None
    first_matrices, second_matrices = (
        confusion_matrices(both.assign(predicted=both[f"predicted_{which}"]), classes, by=["subject", "seed"])
        for which in ("first", "second")
    )
    right = pd.DataFrame(
        {which: both[f"predicted_{which}"] == both["label"] for which in ("first", "second")}
    )
    one_seed = right[both["seed"] == both["seed"].iloc[0]]

    def gains(drawn: np.ndarray) -> np.ndarray:
        before, after = (_scores_of_drawn(drawn, matrices) for matrices in (first_matrices, second_matrices))
        return np.stack([after[name] - before[name] for name in ("macro_f1", "accuracy")])

    everybody = np.arange(len(first_matrices))
    macro_f1, accuracy = _bootstrap(
        gains, len(everybody), settings.confidence, settings.bootstrap, settings.seed
    )
    p_macro_f1, p_accuracy = (
        permutation_test(first_matrices, second_matrices, score, settings.permutations, settings.seed)
        for score in (_macro_f1, _accuracy)
    )
    gain, gain_accuracy = map(float, gains(everybody))
    return Comparison(
        n=both["sample_id"].nunique(),
        gain=gain,
        gain_low=macro_f1[0],
        gain_high=macro_f1[1],
        gain_accuracy=gain_accuracy,
        gain_accuracy_low=accuracy[0],
        gain_accuracy_high=accuracy[1],
        gain_clips=float((right["second"].astype(int) - right["first"]).groupby(both["seed"]).sum().mean()),
        first_only=int((one_seed["first"] & ~one_seed["second"]).sum()),
        second_only=int((~one_seed["first"] & one_seed["second"]).sum()),
        p_permutation=p_macro_f1,
        p_accuracy=p_accuracy,
        p_least=least_p(first_matrices, second_matrices, settings.permutations),
        p_mcnemar=mcnemar(one_seed["first"], one_seed["second"]),
    )


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Exact two-sided McNemar test of paired right and wrong answers.

    It takes clips as independent, which clips of one person are not, and one answer per clip; hence it
    stands beside the permutation test, for the first seed only, and is not the one that decides.

    Args:
        first: whether the first variant was right, per clip.
        second: the same for the second variant.
    """
    table = pd.crosstab(np.asarray(first, bool), np.asarray(second, bool))
    table = table.reindex(index=[True, False], columns=[True, False], fill_value=0)
    return float(statsmodels_mcnemar(table.to_numpy(), exact=True).pvalue)


def permutation_test(
    first: np.ndarray,
    second: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    permutations: int,
    seed: int,
) -> float:
    """Two-sided test of a score's difference by swapping the two variants within whole subjects.

    For accuracy this is the sign-flip test of the subjects' paired differences. Subjects whom both
    answer alike change nothing and are not swapped. It is exact where all swaps (2 to the number of the
    others) are at most `permutations`; else they are drawn, and the observed one is counted among them.

    Args:
        first: counts (subjects, seeds, K, K) of the first variant.
        second: the same of the second.
        score: counts (..., seeds, K, K) to (...), the mean over seeds.
        permutations: number of swaps to draw.
        seed: of the random numbers.

    Returns:
        The p-value. 1 where fewer than two subjects differ, since one swap only changes the sign.
    """
    differ = _differ(first, second)
    people = int(differ.sum())
    if people < 2:
        return 1.0
    base, step = first.sum(0), (second - first)[differ]

    def difference(left: np.ndarray, right: np.ndarray, axis: int) -> np.ndarray:
        # scipy permutes these numbers: below `people` is the first variant's, above the second's.
        def pooled(drawn: np.ndarray) -> np.ndarray:
            return base + np.tensordot((drawn >= people).astype(float), step, axes=1)

        return np.rint(_UNITS * (score(pooled(right)) - score(pooled(left)))).astype(np.int64)

    test = stats.permutation_test(
        (np.arange(people), np.arange(people) + people),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def least_p(first: np.ndarray, second: np.ndarray, permutations: int) -> float:
    """The smallest p that `permutation_test` can give: all swaps agree but the observed and its mirror.

    With few people it lies above any level, and the test cannot speak, whatever the answers are.

    Args:
        first: counts (subjects, seeds, K, K) of the first variant.
        second: the same of the second.
        permutations: as there.
    """
    people = int(_differ(first, second).sum())
    exact = 2**people <= permutations
    return min(1.0, 2.0 ** (1 - people) if exact else 2 / (permutations + 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment of the p-values of one table; None (not tested) stays None and does not count."""
    # Not by statsmodels, which collects garbage at every call: that took longer than all else of the tables.
    tested = np.array([p for p in p_values if p is not None])
    order = tested.argsort()
    rising = np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1))
    adjusted = iter(np.minimum(rising, 1)[order.argsort()].tolist())
    return [None if p is None else next(adjusted) for p in p_values]


def verdict(gain: float, p: float, least: float, confidence: float) -> str:
    """What a test says of a gain, in the words of the tables.

    Args:
        gain: of macro-F1.
        p: of its test, adjusted where there are several.
        least: the smallest that p could have been, adjusted likewise.
        confidence: such as 0.95; the level is the rest.

    Returns:
        `better`, `worse` or `not shown`; `too few people` where no p could have been small enough.
    """
    level = 1 - confidence
    if least > level:
        return "too few people"
    if p > level:
        return "not shown"
    return "better" if gain > 0 else "worse"


def _bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    people: int,
    confidence: float,
    draws: int,
    seed: int,
    method: str = "BCa",
) -> list[tuple[float, float] | tuple[None, None]]:
    """An interval for each of the m numbers that `statistic` makes of people: (..., people) to (m, ...)."""
    everybody = np.arange(people)
    if people < 2:
        return [(None, None) for _ in statistic(everybody)]
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):  # of no interval, which is told as None
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (everybody,),
            lambda drawn, axis: statistic(drawn),
            vectorized=True,
            n_resamples=draws,
            batch=max(1, 10_000_000 // people**2),
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng(seed),
        )
    values = result.bootstrap_distribution
    lows, highs = result.confidence_interval
    return [
        (float(low), float(high))
        if np.isfinite([low, high]).all() and np.ptp(drawn) > 1e-12
        else (None, None)
        for low, high, drawn in zip(lows, highs, values, strict=True)
    ]


def _scores_of_drawn(drawn: np.ndarray, confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Scores, means over seeds, of people drawn (..., m) from counts (people, seeds, K, K)."""
    times = (drawn[..., None] == np.arange(len(confusions))).sum(-2)
    pooled = np.tensordot(times.astype(float), confusions, axes=1)
    lacking_anyway = confusions.sum((0, -1)) == 0  # (seeds, K), zero in the score itself
    found = scores(pooled, (pooled.sum(-1) > 0) | lacking_anyway)
    means = {name: _mean_over_seeds(found[name], pooled) for name in HEADLINE if name in found}
    return means | {"mean_subject_accuracy": _accuracy(confusions)[drawn].mean(-1)}


def _differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The subjects whom two variants do not answer alike, bool (subjects,)."""
    return (first != second).any(axis=(1, 2, 3))


def _accuracy(confusions: np.ndarray) -> np.ndarray:
    return _mean_over_seeds(scores(confusions)["accuracy"], confusions)


def _macro_f1(confusions: np.ndarray) -> np.ndarray:
    return _mean_over_seeds(scores(confusions)["macro_f1"], confusions)


def _mean_over_seeds(values: np.ndarray, confusions: np.ndarray) -> np.ndarray:
    """(..., seeds) to (...); in a partial experiment, over the seeds that there are counts of."""
    return np.average(values, axis=-1, weights=confusions.sum((-1, -2)) > 0)


def _upper_bound(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, float] | None:
    if "predicted_best_on_test" not in predictions:
        return None
    best = predictions.assign(predicted=predictions["predicted_best_on_test"])
    per_seed = [evaluate(rows, classes) for _, rows in best.groupby("seed")]
    return {name: float(np.mean([one[name] for one in per_seed])) for name in ("accuracy", "macro_f1", "uar")}
