"""Temporal interpolation is exact at the frames there are, and equals its eigenvector form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.motion.interpolation import interpolate, interpolation_matrix


@given(st.integers(2, 40), st.integers(1, 4))
def test_frames_at_sample_points_are_returned_exactly(length, between):
    matrix = interpolation_matrix(length, between * (length - 1) + 1)
    np.testing.assert_allclose(matrix[:, ::between], np.eye(length), atol=1e-12)


@given(st.integers(2, 40), st.integers(2, 60))
def test_a_still_clip_stays_still(length, frames):
    np.testing.assert_allclose(interpolation_matrix(length, frames).sum(axis=0), 1, atol=1e-12)


def eigenvector_form(clip, frames):
    """As in the source: the curve of the graph's eigenvectors, and a linear map fitted to the frames."""
    length = clip.shape[1]
    path = np.diag(np.ones(length - 1), 1)
    path += path.T
    laplacian = np.diag(path.sum(axis=0)) - path
    _, vectors = np.linalg.eigh(laplacian)
    mean = clip.mean(axis=1, keepdims=True)
    left, scales, right = np.linalg.svd(clip - mean, full_matrices=False)
    left, projected = left[:, :-1], (scales[:, None] * right)[:-1]
    weights = np.linalg.solve(projected @ projected.T, projected @ vectors[:, 1:])
    k = np.arange(1, length)[:, None]

    def curve(time):
        return np.sin(np.pi * k * time + np.pi * (length - k) / (2 * length))

    scale = (projected[:, 0] @ weights) / curve(1 / length)[:, 0]
    times = np.linspace(1 / length, 1, frames)
    return left @ np.linalg.inv(weights.T) @ (scale[:, None] * curve(times)) + mean


@pytest.mark.parametrize(("length", "frames"), [(12, 10), (12, 30), (40, 15), (9, 9)])
def test_it_equals_the_eigenvector_form(length, frames):
    clip = np.random.default_rng(0).normal(size=(100, length))
    direct = clip @ interpolation_matrix(length, frames)
    np.testing.assert_allclose(direct, eigenvector_form(clip, frames), atol=1e-9)


def test_images_are_rounded_and_stay_in_range():
    clip = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (9, 4, 5))
    result = interpolate(clip, 17)
    np.testing.assert_array_equal(result[::2], clip)
    between = np.tensordot(interpolation_matrix(9, 17).T, clip.astype(float), axes=1)
    assert between.min() < 0, "the weights may be negative"
    np.testing.assert_array_equal(result, np.clip(between, 0, 255).round())
