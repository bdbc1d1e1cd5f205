"""What the 68 points of a face say of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.faces.points import LEFT_INNER_EYE, RIGHT_INNER_EYE, eye_middle, lid_aperture, unlike_others

EYES = [LEFT_INNER_EYE, RIGHT_INNER_EYE]


def faces(n=6, seed=0, wobble=0.01):
    """One person's landmarks, of an inner-eye distance of 50 pixels, as photographs may hold them."""
    rng = np.random.default_rng(seed)
    person = rng.uniform(-1.5, 1.5, (68, 2))
    person[EYES] = [-0.5, 0], [0.5, 0]
    shapes = person + wobble * rng.normal(size=(n, 68, 2))
    turns, sizes, places = rng.uniform(-0.4, 0.4, n), rng.uniform(30, 90, n), rng.uniform(100, 900, (n, 1, 2))
    rotation = np.array([[np.cos(turns), np.sin(turns)], [-np.sin(turns), np.cos(turns)]]).transpose(2, 0, 1)
    return sizes[:, None, None] * shapes @ rotation + places


def with_eyes_apart(landmarks, factor):
    """As if the rims of glasses had been taken for the corners of the eyes."""
    wrong, middle = landmarks.copy(), eye_middle(landmarks)
    wrong[EYES] = middle + factor * (landmarks[EYES] - middle)
    return wrong


@given(seed=st.integers(0, 1000), which=st.integers(0, 5))
def test_a_wrong_distance_of_the_eyes_is_unlike_the_persons_other_faces(seed, which):
    landmarks = faces(seed=seed)
    assert not unlike_others(landmarks, ["s1"] * 6).any()
    landmarks[which] = with_eyes_apart(landmarks[which], 1.3)
    assert np.flatnonzero(unlike_others(landmarks, ["s1"] * 6)).tolist() == [which]


def test_everybody_is_compared_with_himself():
    both = np.concatenate([faces(seed=1), faces(seed=2)])
    assert not unlike_others(both, ["s1"] * 6 + ["s2"] * 6).any()
    assert unlike_others(both, ["s1"] * 7 + ["s2"] * 5).tolist() == [False] * 6 + [True] + [False] * 5


def test_where_nothing_can_be_said_nothing_is():
    landmarks = faces(2)
    landmarks[1] = with_eyes_apart(landmarks[1], 1.5)
    assert not unlike_others(landmarks, ["s1", "s1"]).any(), "of two faces either may be wrong"
    with np.errstate(invalid="raise"):
        assert not unlike_others(np.full((4, 68, 2), np.nan), ["s1"] * 4).any()
    assert unlike_others(np.zeros((0, 68, 2)), []).shape == (0,)


def test_the_aperture_is_height_over_length():
    landmarks = np.zeros((2, 68, 2))
    for corner, others in ((36, [37, 38, 39, 40, 41]), (42, [43, 44, 45, 46, 47])):
        landmarks[:, [corner, *others]] = [[0, 0], [1, -1], [2, -1], [3, 0], [2, 1], [1, 1]]
    landmarks[1, :, 1] *= 0.1
    assert lid_aperture(landmarks) == pytest.approx([2 / 3, 0.2 / 3])
