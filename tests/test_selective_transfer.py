"""Kernel mean matching and the selective transfer machine against known answers and their own optimality."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from mer_core.baselines.selective_transfer import (
    Match,
    kernel_mean_matching,
    selective_transfer,
    weighted_machines,
)
from mer_core.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:The default value of raise_error", "ignore:OSQP exited")


def clouds(seed, n=40, m=6, dimensions=3, shift=1.0):
    """Training samples around 0 and target samples around `shift`."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dimensions)), rng.normal(shift, 0.3, size=(m, dimensions))


def test_the_distance_is_that_of_the_means_in_feature_space():
    """For a linear kernel the means are those of the samples themselves."""
    train, target = clouds(0)
    match = Match(
        kernel=train @ train.T,
        attraction=len(train) / len(target) * (train @ target.T).sum(1),
        target=(len(train) / len(target)) ** 2 * (target @ target.T).sum(),
    )
    weights = np.random.default_rng(1).random(len(train))
    difference = weights @ train / len(train) - target.mean(0)
    assert match.distance(weights) == pytest.approx(len(train) ** 2 * difference @ difference)


def test_the_kernel_is_gaussian_with_the_median_distance_as_width():
    train = np.array([[0.0], [1.0], [3.0]])  # distances 1, 2, 3
    match = Match.of(train, np.array([[1.0]]))
    assert match.kernel[0, 2] == pytest.approx(np.exp(-9 / 8))
    assert match.attraction == pytest.approx(3 * np.exp([-1 / 8, 0, -4 / 8]))
    assert match.target == pytest.approx(9)


def test_a_target_equal_to_the_training_set_leaves_all_weights_equal():
    train, _ = clouds(0, dimensions=20)
    match = Match.of(train, train)
    assert kernel_mean_matching(match) == pytest.approx(np.ones(len(train)), abs=1e-3)


def test_samples_near_the_target_weigh_more():
    train = np.concatenate([np.zeros((10, 2)), np.full((10, 2), 5.0)]) + clouds(0, n=20, dimensions=2)[0] / 10
    weights = kernel_mean_matching(Match.of(train, np.full((4, 2), 5.0)))
    assert weights[10:].sum() > 0.99 * weights.sum()
    assert weights.sum() <= 20 + 20 - np.sqrt(20) + 1e-6


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 30), st.integers(1, 5), st.floats(0, 2))
def test_the_weights_are_those_of_another_solver(seed, n, m, penalty):
    train, target = clouds(seed, n, m)
    match, bound = Match.of(train, target), 3.0
    penalties = penalty * np.random.default_rng(seed).random(n)
    found = kernel_mean_matching(match, penalties, bound)

    def objective(s):
        return s @ match.kernel @ s / 2 + (penalties - match.attraction) @ s

    slack = n - np.sqrt(n)
    other = minimize(
        objective,
        np.ones(n),
        jac=lambda s: match.kernel @ s + penalties - match.attraction,
        bounds=[(0, bound)] * n,
        constraints=LinearConstraint(np.ones(n), n - slack, n + slack),
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert found.min() >= 0
    assert found.max() <= bound
    assert n - slack - 1e-4 <= found.sum() <= n + slack + 1e-4
    assert objective(found) <= other.fun + 1e-4 * max(1, abs(other.fun))


def test_without_loss_and_with_equal_weights_the_machines_are_plain():
    """Two samples per class: the margin is known."""
    points = np.array([[-1.0], [-2.0], [1.0], [2.0]])
    losses, norm = weighted_machines(points @ points.T, np.array([0, 0, 1, 1]), np.ones(4), cost=100.0)
    assert losses == pytest.approx(np.zeros(4), abs=1e-4)
    assert norm == pytest.approx(2 * 1 / 2, abs=1e-3)  # two machines, each with w = ±1


def test_samples_of_weight_zero_have_no_say_but_a_loss():
    points = np.array([[-9.0], [-1.0], [1.0], [2.0]])  # the first one is mislabelled
    labels, weights = np.array([1, 0, 1, 1]), np.array([0.0, 1.0, 1.0, 1.0])
    losses, _ = weighted_machines(points @ points.T, labels, weights, cost=100.0)
    assert losses == pytest.approx([2 * 10, 0, 0, 0], abs=1e-3)
    alone, _ = weighted_machines(points @ points.T, labels, np.array([1.0, 0.0, 1.0, 1.0]), cost=100.0)
    assert alone == pytest.approx([0, 4, 0, 0])  # constant answers for the one class left


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([0.1, 1.0, 10.0]))
def test_the_alternation_never_raises_its_objective(seed, m, cost):
    train, target = clouds(seed, n=30, m=m)
    labels = np.arange(30) % 3
    match = Match.of(train, target)
    found = selective_transfer(match, labels, cost)
    assert (np.diff(found.objective) <= 0).all()
    losses, norms = weighted_machines(match.kernel, labels, found.weights, cost)
    recomputed = norms + cost * found.weights @ losses + match.distance(found.weights)
    assert found.objective[-1] == pytest.approx(recomputed)


def test_a_strong_distance_gives_kernel_mean_matching():
    train, target = clouds(3)
    match, labels = Match.of(train, target), np.arange(40) % 4
    found = selective_transfer(match, labels, trade_off=1e6)
    assert found.weights == pytest.approx(kernel_mean_matching(match), abs=0.05)


def test_mislabelled_samples_lose_weight_and_the_objective_falls():
    """Two clouds, some samples of the second called by the first's name: they cost more than they help."""
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.normal(-2, 0.4, (20, 2)), rng.normal(2, 0.4, (20, 2))])
    labels = np.repeat([0, 1], 20)
    labels[-5:] = 0
    match = Match.of(train, train[::3])
    plain, found = kernel_mean_matching(match), selective_transfer(match, labels)
    assert found.weights[-5:].sum() < 0.5 * plain[-5:].sum()
    assert found.objective[-1] < 0.9 * found.objective[0]


def test_identical_training_samples_are_refused():
    with pytest.raises(UserError, match="same features"):
        Match.of(np.zeros((5, 2)), np.ones((1, 2)))


def test_an_unsolved_program_is_an_error():
    match = Match.of(*clouds(0, n=10))
    with pytest.raises(RuntimeError, match="was not solved"):
        kernel_mean_matching(replace(match, attraction=np.full(10, np.nan)))
