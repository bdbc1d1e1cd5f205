"""Descriptions of a flow against hand-made fields."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mer_core.baselines.descriptors.bi_woof import oriented_flow
from mer_core.baselines.descriptors.fdm import (
    dynamics_map,
    head_motion,
    iterated_direction,
    principal_direction,
)
from mer_core.baselines.descriptors.flow import flow_image
from mer_core.baselines.descriptors.osw import strain_weights
from mer_core.config.descriptors import BiWoof, Fdm, FlowImage, Osw

# Whole numbers: with them equal angles and opposite vectors are common.
VECTORS = arrays(np.float64, st.tuples(st.integers(0, 12), st.just(2)), elements=st.integers(-3, 3))


def objective(vectors, directions):
    return np.maximum(directions @ vectors.T, 0).sum(axis=1)


@given(VECTORS)
def test_the_sweep_finds_the_best_direction(vectors):
    best = len(vectors) * np.linalg.norm(principal_direction(vectors))
    angles = np.linspace(0, 2 * np.pi, 721)
    reached = objective(vectors, np.column_stack([np.cos(angles), np.sin(angles)]))
    assert best >= reached.max() - 1e-9
    assert best == pytest.approx(reached.max(), rel=1e-4, abs=1e-9)


@given(VECTORS)
def test_the_sweep_is_never_below_the_fixed_point(vectors):
    local = np.linalg.norm(iterated_direction(vectors))
    assert np.linalg.norm(principal_direction(vectors)) >= local - 1e-12


@given(VECTORS)
def test_the_fixed_point_reaches_its_own_objective(vectors):
    found = iterated_direction(vectors)
    length = np.linalg.norm(found)
    if length > 1e-9:
        reached = objective(vectors, found[None] / length)[0]
        assert reached == pytest.approx(len(vectors) * length)


def test_the_fixed_point_can_miss_the_best():
    vectors = np.array([[3, 1], [3, -1], [-2, 2.9], [-2, -2.9], [-2, 0]], float)
    assert np.linalg.norm(iterated_direction(vectors)) < np.linalg.norm(principal_direction(vectors)) - 0.01


@pytest.mark.parametrize("find", [principal_direction, iterated_direction])
def test_vectors_that_point_away_are_left_out(find):
    np.testing.assert_allclose(find(np.array([[2, 0], [2, 0], [2, 0], [-1, 0]])), [1.5, 0], atol=1e-12)
    np.testing.assert_array_equal(find(np.zeros((5, 2))), 0)
    np.testing.assert_array_equal(find(np.zeros((0, 2))), 0)


def test_the_heads_motion_is_what_most_pixels_share():
    generator = np.random.default_rng(0)
    flow = generator.normal([0.6, -0.3], 0.02, (40, 40, 2))
    flow[:15] = generator.uniform(-4, 4, (15, 40, 2))
    np.testing.assert_allclose(head_motion(flow), [0.6, -0.3], atol=0.02)


@pytest.mark.parametrize("direction", ["sweep", "fixed_point"])
def test_the_dynamics_map_shows_where_and_when_the_skin_moves(direction):
    flows = np.full((10, 40, 40, 2), [0.5, 0.25], np.float32)  # the head
    flows[5:, :10, 30:] += [0.0, 2.0]
    described = dynamics_map(flows, Fdm(blocks=4, temporal_blocks=2, direction=direction))
    expected = np.zeros((2, 4, 4, 2))
    expected[1, 0, 3] = [0, 2]
    np.testing.assert_allclose(described, expected, atol=1e-5)


@pytest.mark.parametrize(("sign", "bin_"), [(1, 4), (-1, 7)])
def test_bi_woof_by_hand(sign, bin_):
    # Flow sign * x^2 / 2 along x on 4 x 4 pixels: strain 0.5, 1, 2, 2.5 in the columns, so blocks of
    # two columns and two rows sum to 3 and 9; all orientations are 0, or 180, degrees.
    flow = np.zeros((4, 4, 2), np.float32)
    flow[..., 0] = sign * np.arange(4) ** 2 / 2
    expected = np.zeros((4, 8))
    expected[:, bin_] = np.array([1, 3, 1, 3]) / np.sqrt(20)
    np.testing.assert_allclose(oriented_flow(flow, BiWoof(blocks=2)), expected, atol=1e-6)


def test_bi_woof_weights_orientations_by_length():
    # Rotating vectors: in the one block 1 pixel to the right, 3 downwards, in turn.
    flow = np.zeros((8, 8, 2), np.float32)
    flow[:, ::2, 0] = 1
    flow[:, 1::2, 1] = 3
    described = oriented_flow(flow, BiWoof(blocks=1))[0]
    assert described[4] / described[6] == pytest.approx(1 / 3)
    assert np.linalg.norm(described) == pytest.approx(1)
    np.testing.assert_array_equal(np.flatnonzero(described), [4, 6])


def test_what_does_not_move_is_described_by_zeros():
    still = np.zeros((30, 30, 2), np.float32)
    assert not oriented_flow(still, BiWoof()).any()
    assert not strain_weights(still[None], Osw()).any()


def test_strain_weights_are_block_means_over_the_largest():
    # Stretched by 1 % in the upper and by 4 % in the lower half, of which the border is not coded.
    flows = np.zeros((3, 42, 42, 2))
    flows[..., 0] = np.where(np.arange(42) < 21, 0.01, 0.04)[:, None] * np.arange(42)
    flows[1] *= 2
    weights = strain_weights(flows, Osw(blocks=4, strain="three_term")).reshape(4, 4)
    # The seam between the halves lies in the middle rows of blocks.
    np.testing.assert_allclose(weights[0], weights[3] / 4, rtol=1e-5)
    assert weights.max() == 1


def test_the_flow_image_keeps_direction_and_length():
    flow = np.zeros((64, 64, 2), np.float32)
    flow[:32, :, 0], flow[32:, :, 1] = 1.5, -2.0
    right, down = flow_image(flow, FlowImage(size=4))
    np.testing.assert_allclose(right, [[1.5] * 4] * 2 + [[0] * 4] * 2)
    np.testing.assert_allclose(down, [[0] * 4] * 2 + [[-2] * 4] * 2)
