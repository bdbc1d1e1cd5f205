"""Mean ranks over datasets, Friedman's test and Nemenyi's critical difference, by known answers."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mer_core.evaluation.ranks import rank

# Demšar 2006, table 6: AUC of C4.5 with and without two parameters tuned, on 14 datasets.
DEMSAR = {
    "C4.5": [.763, .599, .954, .628, .882, .936, .661, .583, .775, 1.0, .940, .619, .972, .957],
    "C4.5+m": [.768, .591, .971, .661, .888, .931, .668, .583, .838, 1.0, .962, .666, .981, .978],
    "C4.5+cf": [.771, .590, .968, .654, .886, .916, .609, .563, .866, 1.0, .965, .614, .9751, .946],
    "C4.5+m+cf": [.798, .569, .967, .657, .898, .931, .685, .625, .875, 1.0, .962, .669, .975, .970],
}  # fmt: skip


def table(scores):
    return pd.DataFrame(scores).T.rename(columns=str)


def test_the_example_of_the_article():
    found = rank(table(DEMSAR), 0.95, 2000, seed=0)
    expected = {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}
    assert found.mean.to_dict() == pytest.approx(expected, abs=0.0005)
    assert [*found.mean.index] == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert found.critical == pytest.approx(1.25, abs=0.005), "as the article has it"
    asymptotic = stats.friedmanchisquare(*DEMSAR.values()).pvalue
    assert found.p == pytest.approx(asymptotic, abs=0.01)


def test_critical_values():
    """Demšar 2006, table 5 (a), for two to ten rows."""
    for rows, printed in zip(
        range(2, 11), [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164], strict=True
    ):
        scores = table({str(row): [row, row] for row in range(rows)})
        critical = rank(scores, 0.95, 100, seed=0).critical
        assert critical / np.sqrt(rows * (rows + 1) / 12) == pytest.approx(printed, abs=0.0015)


def test_p_is_that_of_all_permutations():
    scores = table({"a": [3, 3, 2], "b": [2, 1, 3], "c": [1, 2, 1]})
    ranks = scores.rank(ascending=False).to_numpy()
    orders = [*itertools.permutations(range(3))]
    spreads = [
        (np.column_stack([ranks[[*order], place] for place, order in enumerate(chosen)]).mean(1) ** 2).sum()
        for chosen in itertools.product(orders, repeat=3)
    ]
    exact = np.mean(np.array(spreads) >= (ranks.mean(1) ** 2).sum() - 1e-9)
    assert rank(scores, 0.95, 20000, seed=1).p == pytest.approx(exact, abs=0.01)


def test_the_least_p_is_that_of_full_agreement():
    agreed = table({"a": [3] * 3, "b": [2] * 3, "c": [1] * 3})
    found = rank(agreed, 0.95, 50_000, seed=0)
    assert found.p_least == pytest.approx(1 / 36) and found.p == pytest.approx(1 / 36, abs=0.003)
    assert found.can_differ, "a difference of 2 is above 1.91"
    assert not rank(agreed[["0", "1"]], 0.95, 100, seed=0).can_differ, "and below 2.34 with two datasets"


def test_ties_share_a_rank_however_they_were_rounded():
    found = rank(table({"a": [0.1 + 0.2, 1], "b": [0.3, 1], "c": [0.2, 0]}), 0.95, 100, seed=0)
    assert found.ranks.loc["a"].tolist() == found.ranks.loc["b"].tolist() == [1.5, 1.5]


def test_groups_of_rows_that_do_not_differ():
    means = pd.Series({"a": 1.0, "b": 2.0, "c": 3.5, "d": 4.0})
    found = rank(table({name: [9 - mean] * 2 for name, mean in means.items()}), 0.95, 100, seed=0)
    with_means = type(found)(found.ranks, means, 1.0, 1.0, critical=1.6)
    assert with_means.groups == [["a", "b"], ["b", "c"], ["c", "d"]]
    assert type(found)(found.ranks, means, 1.0, 1.0, critical=9.0).groups == [["a", "b", "c", "d"]]
    assert type(found)(found.ranks, means, 1.0, 1.0, critical=0.1).groups == []
