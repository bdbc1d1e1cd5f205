"""Several rows over several datasets: mean ranks, whether they differ at all, and which do.

Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006. A dataset counts once,
however many clips it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

_DIGITS = 9  # equal scores tie however they were rounded


@dataclass(frozen=True)
class Ranking:
    """Rows by their ranks over datasets.

    Attributes:
        ranks: 1 is the best; rows in the order of their mean rank, datasets in columns.
        mean: the mean rank of each row, in the same order.
        p: of Friedman's statistic, by permutation of the ranks within each dataset.
        p_least: the least that p could have been with so many rows, datasets and permutations.
        critical: the difference of mean ranks from which on two rows differ (Nemenyi).
    """

    ranks: pd.DataFrame
    mean: pd.Series
    p: float
    p_least: float
    critical: float

    @property
    def can_differ(self) -> bool:
        """Whether the first and the last row could have differed by that much at all."""
        return self.critical <= len(self.mean) - 1

    @property
    def groups(self) -> list[list[str]]:
        """The largest sets of rows that do not differ, of two at least, the best first."""
        names, means = [*self.mean.index], self.mean.to_numpy()
        ends = [int((means < mean + self.critical).sum()) for mean in means]
        return [
            names[start:end]
            for start, end in enumerate(ends)
            if end - start > 1 and (start == 0 or end > ends[start - 1])
        ]


def rank(scores: pd.DataFrame, confidence: float, permutations: int, seed: int) -> Ranking:
    """Rank rows within each dataset and compare their mean ranks.

    Args:
        scores: rows x datasets, more is better; two rows and two datasets at least, none missing.
        confidence: of the critical difference, 0.95 for one.
        permutations: draws for p.
        seed: of these draws.
    """
    rows, datasets = scores.shape
    ranks = scores.round(_DIGITS).rank(ascending=False)
    mean = ranks.mean(axis=1).sort_values(kind="stable")
    rng = np.random.default_rng(seed)
    here, within = _spread(ranks.to_numpy()), ranks.to_numpy()
    drawn = [_spread(rng.permuted(within, axis=0)) for _ in range(permutations)]
    p = (1 + np.sum(np.asarray(drawn) >= here - 10.0**-_DIGITS)) / (1 + permutations)
    quantile = stats.studentized_range.isf(1 - confidence, rows, np.inf) / math.sqrt(2)
    critical = quantile * math.sqrt(rows * (rows + 1) / (6 * datasets))
    least = max(1 / (1 + permutations), float(math.factorial(rows)) ** (1 - datasets))
    return Ranking(ranks.loc[mean.index], mean, float(p), least, float(critical))


def _spread(ranks: np.ndarray) -> float:
    """What Friedman's statistic grows with where the ranks within each dataset stay the same."""
    return float((ranks.mean(axis=1) ** 2).sum())
