"""Local binary patterns equal their definition, and scikit-image where it can express them."""

import numpy as np
import pytest
from baseline_samples import texture
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import local_binary_pattern

from mer_core.baselines.blocks import block_of, edges
from mer_core.baselines.lbp import bins_of, codes_on_planes, describe_clip, describe_image, labels_of
from mer_core.config.descriptors import Lbp, LbpTop
from mer_core.errors import UserError


def volume(*shape, levels=4):
    """Few grey levels, so that neighbours are often equal."""
    return np.random.default_rng(0).integers(0, levels, shape, dtype=np.uint8)


@pytest.mark.parametrize("points", [4, 6, 8])
@pytest.mark.parametrize("radii", [(1, 1, 1), (1, 2, 3), (3, 1, 2)])
def test_every_code_follows_the_definition(points, radii):
    clip = volume(9, 8, 10)
    codes = codes_on_planes(clip, points, radii)
    margin_x, margin_y, margin_t = radii
    assert codes.shape == (3, 9 - 2 * margin_t, 8 - 2 * margin_y, 10 - 2 * margin_x)

    def place(value):
        return int(np.floor(round(value, 9) + 0.5))

    for t, y, x in np.ndindex(codes.shape[1:]):
        at = np.array([t + margin_t, y + margin_y, x + margin_x])
        expected = [0, 0, 0]
        for p in range(points):
            cos, sin = np.cos(2 * np.pi * p / points), np.sin(2 * np.pi * p / points)
            moves = (
                (0, place(-margin_y * sin), place(margin_x * cos)),
                (place(-margin_t * sin), 0, place(margin_x * cos)),
                (place(-margin_t * sin), place(margin_y * cos), 0),
            )
            for plane, move in enumerate(moves):
                expected[plane] += int(clip[tuple(at + move)] >= clip[tuple(at)]) << p
        assert codes[:, t, y, x].tolist() == expected


@pytest.mark.parametrize("radius", [1, 2])
def test_four_points_agree_with_scikit_image_on_each_plane(radius):
    clip = volume(12, 13, 14)
    xy, xt, yt = codes_on_planes(clip, 4, (radius, radius, radius))
    inner = slice(radius, -radius)

    def library(image):
        return local_binary_pattern(image, 4, radius, "default")[inner, inner]

    np.testing.assert_array_equal(xy, [library(frame) for frame in clip[inner]])
    rows = np.stack([library(clip[:, y]) for y in range(13)[inner]], axis=1)
    np.testing.assert_array_equal(xt, rows)
    columns = np.stack([library(clip[:, :, x]) for x in range(14)[inner]], axis=2)
    np.testing.assert_array_equal(yt, columns)


@pytest.mark.parametrize(("points", "bins"), [(4, 15), (8, 59)])
def test_uniform_codes_are_those_of_scikit_image(points, bins):
    image = volume(200, 200, levels=256)
    codes = local_binary_pattern(image, points, 1, "default").astype(int)
    theirs = local_binary_pattern(image, points, 1, "nri_uniform").astype(int)
    pairs = set(zip(labels_of(points, "u2")[codes].ravel(), theirs.ravel(), strict=True))
    assert bins_of(points, "u2") == len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert len(pairs) == bins


def test_full_codes_have_a_bin_each():
    assert labels_of(4, "full").tolist() == list(range(16))
    assert bins_of(8, "full") == 256


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({}, 1125),
        ({"points": 8}, 4425),
        ({"points": 8, "mapping": "full"}, 19200),
        ({"points": 8, "blocks": 8}, 11328),
        ({"blocks": 2, "temporal_blocks": 3}, 12 * 3 * 15),
    ],
)
def test_lengths_are_the_published_ones_and_histograms_sum_to_one(settings, length):
    histograms = describe_clip(volume(15, 32, 32), LbpTop(**settings))
    assert histograms.size == length
    np.testing.assert_allclose(histograms.sum(axis=-1), 1, rtol=1e-6)


def test_a_clip_that_does_not_change_has_no_pattern_in_time():
    still = np.repeat(volume(1, 32, 32, levels=256), 15, axis=0)
    _, xt, yt = np.moveaxis(describe_clip(still, LbpTop(blocks=1)), 2, 0)
    # Equal counts as brighter: bits 1 and 3, the neighbours in time, are always set.
    codes = [code for code in range(16) if code & 0b1010 == 0b1010]
    for plane in (xt, yt):
        assert plane[0, 0, labels_of(4, "u2")[codes]].sum() == pytest.approx(1)


def test_each_block_holds_its_own_part():
    half = volume(15, 34, 34, levels=256)
    half[:, :, 17:] = 7
    flat = labels_of(4, "u2")[0b1111]
    histograms = describe_clip(half, LbpTop(blocks=2, radii=(1, 1, 1)))[0, :, 0]
    assert (histograms[[0, 2], flat] < 0.2).all()
    assert (histograms[[1, 3], flat] > 0.9).all()


def test_the_apex_is_described_in_blocks():
    described = describe_image(texture(), Lbp()).reshape(25, 59)
    np.testing.assert_allclose(described.sum(axis=1), 1, rtol=1e-6)
    changed = texture()
    changed[:10, :10] = 0
    differs = (describe_image(changed, Lbp()).reshape(25, 59) != described).any(axis=1)
    assert differs.tolist() == [True] + 24 * [False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radii": (1, 1, 8)}, r"15 x 32 x 32 .* too small for radii"),
        ({"temporal_blocks": 8}, "fewer blocks"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        describe_clip(volume(15, 32, 32), LbpTop(**settings))


@given(st.integers(1, 300), st.integers(1, 300))
def test_blocks_are_nearly_equal_and_never_empty(length, blocks):
    if blocks > length:
        with pytest.raises(UserError, match="fewer blocks"):
            edges(length, blocks)
        return
    sizes = np.diff(edges(length, blocks))
    assert sizes.sum() == length
    assert sizes.min() >= max(1, sizes.max() - 1)
    np.testing.assert_array_equal(np.bincount(block_of(length, blocks)), sizes)
