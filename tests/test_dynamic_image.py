"""Dynamic images: weights from the source's formula, and what each form keeps of a still face."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.motion.dynamic_image import dynamic_image, frame_weights


@given(st.integers(2, 200))
def test_weights_of_rank_pooling(length):
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, length + 1))])
    t = np.arange(1, length + 1)
    # Bilen et al., equation 3: 2 (T - t + 1) - (T + 1) (H_T - H_{t-1}).
    known = 2 * (length - t + 1) - (length + 1) * (harmonic[length] - harmonic[t - 1])
    weights = frame_weights(length, "bilen")
    assert weights == pytest.approx(known, abs=1e-9)
    assert weights.sum() == pytest.approx(0, abs=1e-9)
    assert frame_weights(length, "learnet").sum() == pytest.approx(length)


def test_a_still_face_is_gone_from_the_zero_sum_form_only():
    face = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    clip = np.repeat(face[None], 10, axis=0)
    assert (dynamic_image(clip, "bilen") == 0).all()
    kept = dynamic_image(clip, "learnet")
    assert np.corrcoef(kept.ravel(), face.ravel())[0, 1] == pytest.approx(1)


def test_what_brightens_is_bright_and_what_darkens_dark():
    clip = np.full((5, 4, 4, 3), 100, np.uint8)
    clip[:, 0, 0] += np.arange(0, 50, 10, dtype=np.uint8)[:, None]
    clip[:, 3, 3] -= np.arange(0, 50, 10, dtype=np.uint8)[:, None]
    image = dynamic_image(clip, "bilen")
    assert image.dtype == np.float32 and image.shape == (4, 4, 3)
    assert (image[0, 0] == 1).all() and (image[3, 3] == 0).all()
    assert image[1, 1] == pytest.approx(0.5)


def test_reversing_a_clip_reverses_the_picture():
    clip = np.random.default_rng(1).integers(0, 256, (2, 6, 6, 1)).astype(np.uint8)
    assert dynamic_image(clip[::-1], "bilen") == pytest.approx(1 - dynamic_image(clip, "bilen"), abs=1e-6)
