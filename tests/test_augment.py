"""Augmentation against what its parameters mean."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_samples import STILL

from mer_core.training.augment import augment


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def change(images, seed=0, **options):
    return augment(images, STILL.model_copy(update=options), generator(seed))


def blob(x, y, n=64, size=33):
    """n images, each a smooth spot centred at pixel (x, y)."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    spot = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8.0)
    return spot.expand(n, 1, size, size).contiguous()


def centre(images):
    """Centroid of each image, as (n, 2) of x and y in pixels."""
    mass = images.sum((1, 2, 3))
    at = torch.arange(images.shape[-1])
    return (
        torch.stack([(images.sum((1, 2)) * at).sum(1), (images.sum((1, 3)) * at).sum(1)], 1) / mass[:, None]
    )


def test_off_is_the_identity():
    images = torch.rand(3, 3, 8, 8)
    assert change(images) is images


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_rest():
    images = torch.rand(400, 1, 4, 5)
    changed = change(images, flip=True)
    mirrored = (changed == images.flip(3)).flatten(1).all(1)
    same = (changed == images).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


def test_brightness_scales_each_image_by_a_factor_of_its_own():
    images = torch.full((500, 3, 2, 2), 0.5)
    factor = change(images, brightness=0.2).flatten(1) / 0.5
    assert torch.equal(factor.amax(1), factor.amin(1))
    assert factor.min() >= 0.8 and factor.max() <= 1.2
    assert factor.min() < 0.81 and factor.max() > 1.19


def test_brightness_is_clipped():
    assert change(torch.ones(50, 3, 2, 2), brightness=1.0).max() == 1


def test_shift_moves_by_up_to_its_share_of_the_edge_both_ways():
    moved = (centre(change(blob(16, 16), shift=0.1)) - 16) / 33
    assert moved.abs().max() <= 0.1 + 1e-3
    assert (moved.amin(0) < -0.08).all() and (moved.amax(0) > 0.08).all()


def test_rotation_turns_about_the_centre_by_up_to_its_degrees():
    at = centre(change(blob(24, 16), rotation=30.0)) - 16
    angle = torch.rad2deg(torch.atan2(at[:, 1], at[:, 0]))
    torch.testing.assert_close(at.norm(dim=1), torch.full((64,), 8.0), atol=0.1, rtol=0)
    assert angle.abs().max() <= 30.5 and angle.min() < -20 and angle.max() > 20


def test_outside_pixels_repeat_the_border():
    white = torch.ones(8, 3, 9, 9)
    torch.testing.assert_close(change(white, shift=0.5, rotation=45.0), white)


def test_scale_changes_the_size_about_the_centre_both_ways():
    factor = (centre(change(blob(24, 16), scale=0.25)) - 16)[:, 0] / 8
    assert factor.min() >= 0.74 and factor.max() <= 1.26
    assert factor.min() < 0.8 and factor.max() > 1.2


def test_contrast_spreads_about_the_mean_of_the_image():
    images = torch.tensor([0.4, 0.6]).view(1, 1, 1, 2).expand(500, 3, 2, 2)
    changed = change(images, contrast=0.5).flatten(1)
    torch.testing.assert_close(changed.mean(1), torch.full((500,), 0.5))
    spread = (changed.amax(1) - changed.amin(1)) / 0.2
    assert 0.5 <= spread.min() < 0.52 and 1.48 < spread.max() <= 1.5


@pytest.mark.parametrize("option", [{"shift": 0.2}, {"scale": 0.3}, {"rotation": 20.0}, {"flip": True}])
def test_the_frames_of_a_clip_change_alike(option):
    clips = torch.rand(5, 4, 2, 12, 12)
    changed = change(clips, **option)
    for frame in range(4):
        torch.testing.assert_close(changed[:, frame], change(clips[:, frame], **option))
    assert not torch.equal(changed, clips)


def test_the_same_rectangle_is_erased_from_every_frame_of_a_clip():
    clips = torch.rand(5, 4, 2, 20, 20)
    erased = change(clips, erasing=1.0) != clips
    assert erased.any() and torch.equal(erased, erased[:, :1, :1].expand_as(erased))


def test_erasing_fills_one_rectangle_in_a_share_of_the_images():
    images = torch.rand(400, 3, 40, 40, generator=generator(2))
    changed = change(images, erasing=0.3)
    erased = (changed != images).all(1)
    touched = erased.flatten(1).any(1)
    assert 90 < touched.sum() < 150
    for mask, image, before in zip(erased[touched], changed[touched], images[touched], strict=True):
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])
        assert 3 <= rows.sum() <= 17 and 3 <= columns.sum() <= 17
        torch.testing.assert_close(image[:, mask], before.mean().expand_as(image[:, mask]))
    assert torch.equal(changed[~touched], images[~touched])


@given(
    seed=st.integers(0, 2**31),
    shift=st.floats(0, 0.5),
    rotation=st.floats(0, 45),
    brightness=st.floats(0, 1),
    scale=st.floats(0, 0.5),
    contrast=st.floats(0, 1),
    erasing=st.floats(0, 1),
    flip=st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_setting_keeps_shape_and_range_and_repeats(seed, **options):
    images = torch.rand(3, 3, 8, 8, generator=generator(1)).contiguous(memory_format=torch.channels_last)
    once = change(images, seed, **options)
    assert once.shape == images.shape and once.dtype == torch.float32
    assert once.min() >= 0 and once.max() <= 1
    assert torch.equal(once, change(images, seed, **options))


@pytest.mark.parametrize(
    "options",
    [{"flip": True}]
    + [{name: 0.1} for name in ("shift", "rotation", "brightness", "scale", "contrast", "erasing")],
)
def test_torchs_own_generator_is_left_alone(options):
    before = torch.get_rng_state()
    change(torch.rand(2, 3, 8, 8, generator=generator()), **options)
    assert torch.equal(before, torch.get_rng_state())
