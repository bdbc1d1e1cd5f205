"""Training samples weighted towards the person to be recognised: kernel mean matching and STM.

Both look at the unlabelled clips of the person left out, that is, they are transductive.

Kernel mean matching: Huang, Smola, Gretton, Borgwardt, Schölkopf, "Correcting sample selection bias by
unlabeled data", NIPS 2006. Selective transfer machine: Chu, De la Torre, Cohn, "Selective transfer machine
for personalized facial expression analysis", TPAMI 39(3), 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from qpsolvers import solve_qp
from scipy.sparse import csc_matrix, vstack
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.svm import SVC

from mer_core.errors import UserError

RIDGE = 1e-6  # on the kernel's diagonal, which makes the quadratic program strictly convex
ACCURACY = 1e-7  # of the quadratic program's solution, relative and absolute
ROUNDS = 10
RELATIVE_CHANGE = 1e-3  # of the objective, below which the alternation ends


@dataclass(frozen=True, eq=False)
class Match:
    """How the training samples resemble each other and the target.

    Args:
        kernel: (n, n), k(x_i, x_j) of the training samples.
        attraction: (n,), n / m times the sum of k(x_i, z_j) over the m target samples.
        target: (n / m)² times the sum of k(z_i, z_j), the part that no weight changes.
    """

    kernel: np.ndarray
    attraction: np.ndarray
    target: float

    @classmethod
    def of(cls, train: np.ndarray, target: np.ndarray) -> Match:
        """By the Gaussian kernel, as wide as the median distance between training samples.

        Args:
            train: features (n, D) of at least two samples.
            target: features (m, D) of at least one sample.

        Raises:
            UserError: more than half of the pairs of training samples are the same.
        """
        train, target = train.astype(np.float64), target.astype(np.float64)
        width = np.median(euclidean_distances(train)[np.triu_indices(len(train), 1)])
        if not width > 0:
            raise UserError(
                "most training clips have the same features, so that none can be preferred; set the "
                "classifier's weights: uniform, or other features"
            )
        gamma, ratio = 1 / (2 * width**2), len(train) / len(target)
        return cls(
            kernel=rbf_kernel(train, gamma=gamma) + RIDGE * np.eye(len(train)),
            attraction=ratio * rbf_kernel(train, target, gamma=gamma).sum(axis=1),
            target=ratio**2 * rbf_kernel(target, gamma=gamma).sum(),
        )

    def distance(self, weights: np.ndarray) -> float:
        """n² times the squared distance in feature space of the weighted training mean to the target's."""
        return float(weights @ self.kernel @ weights - 2 * self.attraction @ weights + self.target)


def kernel_mean_matching(
    match: Match, penalty: np.ndarray | float = 0.0, bound: float = 1000.0
) -> np.ndarray:
    """The weights that bring the training mean nearest to the target's mean.

    Minimises ½ s'Ks + (penalty - attraction)'s under 0 <= s_i <= bound and a sum of s within n (1 ± e) with
    e = (√n - 1) / √n; bound and e as in public code.

    Args:
        match: of training and target samples.
        penalty: (n,), what a unit of each weight costs besides.
        bound: the largest weight.

    Returns:
        s (n,).
    """
    n = len(match.kernel)
    ones, slack = csc_matrix(np.ones((1, n))), n - np.sqrt(n)
    weights = solve_qp(
        csc_matrix(match.kernel),
        penalty - match.attraction,
        G=vstack([ones, -ones], format="csc"),
        h=np.array([n + slack, slack - n]),
        lb=np.zeros(n),
        ub=np.full(n, bound),
        solver="osqp",
        eps_abs=ACCURACY,
        eps_rel=ACCURACY,
        max_iter=100_000,
    )
    if weights is None:
        raise RuntimeError("the quadratic program of kernel mean matching was not solved")
    return np.clip(weights, 0, bound)


@dataclass(frozen=True, eq=False)
class Selection:
    """What the alternation found: the weights (n,), and the objective after each round, never rising."""

    weights: np.ndarray
    objective: list[float]


def selective_transfer(
    match: Match, labels: np.ndarray, cost: float = 1.0, trade_off: float = 1.0, rounds: int = ROUNDS
) -> Selection:
    """Alternate between weighted support vector machines and the weights they and the target ask for.

    Minimises Σ_k ½|w_k|² + cost Σ_i s_i l_i + trade_off D(s), where l_i is the hinge loss of sample i summed
    over the one-versus-rest machines of the classes k, and D the `distance` of the means. The sources treat
    one class at a time; that all classes share the weights is an assumption, and so are the values of cost
    and trade_off (into which the sources' factor n² is taken).

    Args:
        match: of training and target samples.
        labels: (n,) classes of the training samples.
        cost: of the hinge loss.
        trade_off: of the distance.
        rounds: of the alternation, at most.

    Returns:
        The weights, beginning with kernel mean matching's.
    """
    weights = kernel_mean_matching(match)
    losses, norms = weighted_machines(match.kernel, labels, weights, cost)
    objective = [float(norms + cost * weights @ losses + trade_off * match.distance(weights))]
    for _ in range(rounds):
        better = kernel_mean_matching(match, penalty=cost / (2 * trade_off) * losses)
        losses, norms = weighted_machines(match.kernel, labels, better, cost)
        value = norms + cost * better @ losses + trade_off * match.distance(better)
        if value > objective[-1]:  # only by the solvers' tolerance, at the end
            break
        weights, objective = better, [*objective, float(value)]
        if objective[-2] - objective[-1] <= RELATIVE_CHANGE * objective[-2]:
            break
    return Selection(weights, objective)


def weighted_machines(
    kernel: np.ndarray, labels: np.ndarray, weights: np.ndarray, cost: float
) -> tuple[np.ndarray, float]:
    """Train a one-versus-rest support vector machine for each class.

    Returns:
        The hinge losses (n,) summed over the classes, and the sum of ½|w|².
    """
    # scikit-learn numbers the support vectors wrongly where a weight is zero.
    used = np.flatnonzero(weights > 0)
    losses, norms = np.zeros(len(labels)), 0.0
    for label in np.unique(labels):
        signs = np.where(labels == label, 1, -1)
        if len(np.unique(signs[used])) < 2:  # then w = 0 with that sign as offset loses nothing
            losses += np.maximum(0, 1 - signs * signs[used[0]])
            continue
        machine = SVC(C=cost, kernel="precomputed", tol=1e-5)
        machine.fit(kernel[np.ix_(used, used)], signs[used], sample_weight=weights[used])
        support, dual = used[machine.support_], machine.dual_coef_[0]
        losses += np.maximum(0, 1 - signs * (kernel[:, support] @ dual + machine.intercept_[0]))
        norms += dual @ kernel[np.ix_(support, support)] @ dual / 2
    return losses, float(norms)
