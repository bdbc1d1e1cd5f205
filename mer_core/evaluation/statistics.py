"""How sure the scores are: spread over seeds, intervals over subjects, paired tests.

Clips of one person are not independent, so what is resampled and permuted is the person. With several
seeds, a score is the mean over seeds; the seeds of a person always stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from mer_core.config.evaluation import Evaluation
from mer_core.evaluation.metrics import HEADLINE, confusion_matrices, evaluate, never_predicted, scores


@dataclass(frozen=True)
class Comparison:
    """A second variant against a first, on the samples and seeds that both predicted.

    `gain_clips` and `gain` are second minus first: correct clips, and accuracy (a fraction) with its
    bootstrap interval. `first_only` and `second_only` count the clips of the first seed that only one
    of them got right; they are what `p_mcnemar` is made of.
    """

    n: int
    gain_clips: float
    gain: float
    low: float
    high: float
    first_only: int
    second_only: int
    p_mcnemar: float
    p_permutation: float
    p_permutation_f1: float


def score_variant(
    variant: str,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    settings: Evaluation,
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
        variant, classes, seeds; folds and folds_expected (a fold is what was left out
        together, with one seed); subjects
        and n (clips), each counted once however many seeds; confidence.
        accuracy, macro_f1, uar, f1_of_means, weighted_f1, mean_subject_accuracy: each {mean, sd, low,
        high}: mean and standard deviation over seeds (sd null for one seed), bootstrap interval of the
        mean.
        per_class {class: {precision, recall, f1 (means over seeds), support (clips)}};
        confusion, summed over seeds, rows true; accuracy_per_subject {subject: mean over seeds};
        never_predicted, the classes given to no sample by any seed.
        per_seed, a list of {seed, ...`metrics.evaluate`}.
        upper_bound_best_on_test {accuracy, macro_f1, uar}, means over seeds, where folds recorded the
        best epoch on their own test subject, else null. It is an upper bound and never the result.
    """
    per_seed = [
        {"seed": int(seed), **evaluate(rows, classes)}
        for seed, rows in predictions.groupby("seed", sort=True)
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
        "upper_bound_best_on_test": _upper_bound(predictions, classes),
    }


def majority_answers(samples: pd.DataFrame) -> pd.DataFrame:
    """The constant answer: every sample called what most samples are, the floor under any result.

    One constant over the whole set, not the majority of each training fold: leaving a person out can
    tip a near tie towards the class that the person lacks, which puts the floor too low. Of classes
    equally frequent the first in alphabetical order is taken.

    Args:
        samples: the evaluated samples with sample_id, subject, label (as in the manifest).

    Returns:
        Predictions as `score_variant` takes them, of one seed, 0.
    """
    answer = samples["label"].mode()[0]
    return samples[["sample_id", "subject", "label"]].assign(predicted=answer, seed=0).reset_index(drop=True)


def over_seeds(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (n - 1; None for a single value)."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def bootstrap_intervals(
    confusions: np.ndarray, confidence: float, draws: int, seed: int
) -> dict[str, dict[str, float]]:
    """Percentile intervals of the mean over seeds, by drawing subjects with replacement.

    A subject is drawn with all of its clips and all of its seeds. The interval says how the score would
    vary with other people; what varies with the seed alone is the standard deviation over seeds. A class
    that a draw happens to miss is left out of that draw's means over classes, since it has no recall
    there.

    Args:
        confusions: counts (subjects, seeds, K, K).
        confidence: such as 0.95.
        draws: number of bootstrap samples.
        seed: of the random numbers; the same seed gives the same people, so that intervals compare.

    Returns:
        {low, high} for each of `metrics.HEADLINE`.
    """
    weights = _draw_subjects(len(confusions), draws, seed)
    pooled = np.tensordot(weights, confusions, axes=1)  # (draws, seeds, K, K)
    present = pooled.sum(-1) > 0
    lacking_anyway = confusions.sum((0, -1)) == 0  # (seeds, K), zero in the score itself
    values = {
        name: _mean_over_seeds(value, pooled)
        for name, value in scores(pooled, present | lacking_anyway).items()
        if name in HEADLINE
    }
    values["mean_subject_accuracy"] = weights @ _accuracy(confusions) / len(confusions)
    return {name: _percentiles(values[name], confidence) for name in HEADLINE}


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
    matrices = [
        confusion_matrices(both.assign(predicted=both[f"predicted_{which}"]), classes, by=["subject", "seed"])
        for which in ("first", "second")
    ]
    right = pd.DataFrame(
        {which: both[f"predicted_{which}"] == both["label"] for which in ("first", "second")}
    )
    n = both["sample_id"].nunique()
    weights = _draw_subjects(len(matrices[0]), settings.bootstrap, settings.seed)
    drawn = [_accuracy(np.tensordot(weights, matrix, axes=1)) for matrix in matrices]
    gain = float(_accuracy(matrices[1].sum(0)) - _accuracy(matrices[0].sum(0)))
    one_seed = right[both["seed"] == both["seed"].min()]
    return Comparison(
        n=n,
        gain_clips=float((right["second"].astype(int) - right["first"]).groupby(both["seed"]).sum().mean()),
        gain=gain,
        **_percentiles(drawn[1] - drawn[0], settings.confidence),
        first_only=int((one_seed["first"] & ~one_seed["second"]).sum()),
        second_only=int((~one_seed["first"] & one_seed["second"]).sum()),
        p_mcnemar=mcnemar(one_seed["first"], one_seed["second"]),
        p_permutation=permutation_test(*matrices, _accuracy, settings.permutations, settings.seed),
        p_permutation_f1=permutation_test(*matrices, _macro_f1, settings.permutations, settings.seed),
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

    For accuracy this is the sign-flip test of the subjects' paired differences. It is exact where all
    swaps (2 to the number of subjects) are at most `permutations`; else they are drawn, and the observed
    one is counted among them.

    Args:
        first: counts (subjects, seeds, K, K) of the first variant.
        second: the same of the second.
        score: counts (..., seeds, K, K) to (...), the mean over seeds.
        permutations: number of swaps to draw.
        seed: of the random numbers.

    Returns:
        The p-value. 1 with a single subject, whose swap only changes the sign.
    """
    subjects = len(first)
    if subjects < 2:
        return 1.0
    base, step = first.sum(0), second - first

    def difference(left: np.ndarray, right: np.ndarray, axis: int) -> np.ndarray:
        # scipy permutes these numbers: below `subjects` is the first variant's, above the second's.
        def pooled(drawn: np.ndarray) -> np.ndarray:
            return base + np.tensordot((drawn >= subjects).astype(float), step, axes=1)

        return score(pooled(right)) - score(pooled(left))

    test = stats.permutation_test(
        (np.arange(subjects), np.arange(subjects) + subjects),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment of the p-values of one table; None (not tested) stays None and does not count."""
    tested = [p for p in p_values if p is not None]
    adjusted = iter(multipletests(tested, method="holm")[1].tolist() if tested else [])
    return [None if p is None else next(adjusted) for p in p_values]


def _draw_subjects(subjects: int, draws: int, seed: int) -> np.ndarray:
    """How often each subject is drawn, (draws, subjects): the same people for every variant."""
    return np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), size=draws)


def _percentiles(values: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"low": float(low), "high": float(high)}


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
