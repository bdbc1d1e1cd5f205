"""How often an interval over people holds the true score, by simulation; prints a Markdown table.

People are drawn from a population like CASME II's: 9.5 clips each on average, very unevenly, classes as
frequent as there and clustered in people, and people who are unlike in how well they are recognised. The
truth is the score over very many of them.

    python benchmarks/interval_coverage.py --experiments 4000
"""

from __future__ import annotations

import argparse

import numpy as np

from mer_core.evaluation.metrics import scores
from mer_core.evaluation.statistics import bootstrap_intervals

SHARES = np.array([32, 63, 27, 25, 99]) / 246  # of the classes among the released clips
CLIPS = 9.5  # a person
CONFIDENCE, DRAWS = 0.95, 1000
SCORES = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def draw_people(people: int, rng: np.random.Generator) -> np.ndarray:
    """Confusion counts of people, (people, 1, K, K)."""
    clips = 1 + rng.negative_binomial(2, 2 / (CLIPS + 1), people)
    mixes = rng.dirichlet(4 * SHARES, people)
    labels = rng.multinomial(clips, mixes)
    # Common classes are recognised better, some people better than others; errors go where most clips are.
    skill = 1 / (1 + np.exp(-(rng.normal(0, 1, (people, 1)) + np.log(3 * SHARES))))
    answers = skill[..., None] * np.eye(len(SHARES)) + (1 - skill[..., None]) * SHARES
    return rng.multinomial(labels, answers)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--people", type=int, nargs="+", default=[6, 10, 12, 26])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    truth = scores(sum(draw_people(50_000, rng).sum((0, 1)) for _ in range(10)))
    print(", ".join(f"true {SCORES[name]} {truth[name]:.3f}" for name in SCORES))
    print("| people | score | interval | holds the truth | truth below it | truth above it | mean width |")
    print("|---|---|---|---|---|---|---|")
    for people in arguments.people:
        drawn = [draw_people(people, rng) for _ in range(arguments.experiments)]
        for method in ("percentile", "BCa"):
            found = [bootstrap_intervals(one, CONFIDENCE, DRAWS, 0, method) for one in drawn]
            for name, title in SCORES.items():
                # No interval, since every draw of so few people scored alike, is NaN here and holds nothing.
                low, high = np.array([[*one[name].values()] for one in found], dtype=float).T
                shares = (low <= truth[name]) & (truth[name] <= high), truth[name] < low, truth[name] > high
                cells = [f"{100 * share.mean():.1f} %" for share in shares]
                width = f"{np.nanmean(high - low):.3f}"
                print(f"| {' | '.join([str(people), title, method, *cells, width])} |", flush=True)


if __name__ == "__main__":
    main()
