"""Random changes of a batch of images, made on the device in a few tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from mer_core.config.training import Augmentation


def augment(images: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each image at random: mirror; shift, rotate and scale; light and contrast; erase a part.

    What is switched off (false, or 0) is skipped, not applied with strength zero: with all off the
    images come back as they are. Each image's shift is uniform in +-shift of the edge, horizontally
    and vertically, its rotation about the centre uniform in +-rotation degrees, its size changed by a
    factor uniform in 1 +- scale; pixels from outside repeat the border. The brightness factor is
    uniform in 1 +- brightness, the factor of the differences from the image's mean in 1 +- contrast,
    the results clipped. A share `erasing` of the images loses a rectangle, each edge uniform from a
    tenth to four tenths of the image's, filled with the image's mean (random erasing, Zhong et al. 2020).

    Args:
        images: float (N, C, H, W) in [0, 1], square; or clips (N, T, C, H, W), whose frames change alike.
        settings: the block `augmentation`.
        generator: on the device of the images.

    Returns:
        Images of the same shape, in [0, 1].
    """
    if images.ndim == 5:
        return augment(images.flatten(1, 2), settings, generator).unflatten(1, images.shape[1:3])
    n, size = len(images), images.shape[-1]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=images.device)

    def around_one(spread: float) -> Tensor:
        return 1 + (2 * uniform(n, 1, 1, 1) - 1) * spread

    if settings.flip:
        images = torch.where(uniform(n, 1, 1, 1) < 0.5, images.flip(3), images)
    if settings.shift or settings.rotation or settings.scale:
        angle = torch.deg2rad((2 * uniform(n) - 1) * settings.rotation)
        # In affine_grid's coordinates the edge is 2 long.
        offset = (2 * uniform(n, 2, 1) - 1) * 2 * settings.shift
        cos, sin = angle.cos(), angle.sin()
        similarity = torch.stack([cos, -sin, sin, cos], dim=1).view(n, 2, 2)
        if settings.scale:
            similarity = similarity / around_one(settings.scale).view(n, 1, 1)
        grid = affine_grid(torch.cat([similarity, offset], dim=2), list(images.shape), align_corners=False)
        images = grid_sample(images, grid, padding_mode="border", align_corners=False)
    if settings.brightness:
        images = (images * around_one(settings.brightness)).clamp(0, 1)
    if settings.contrast:
        mean = images.mean((1, 2, 3), keepdim=True)
        images = (mean + (images - mean) * around_one(settings.contrast)).clamp(0, 1)
    if settings.erasing:
        edges = 0.1 + 0.3 * uniform(2, n, 1)
        starts = uniform(2, n, 1) * (1 - edges)
        at = (torch.arange(size, device=images.device) + 0.5) / size
        rows, columns = (starts <= at) & (at < starts + edges)
        erased = rows[:, None, :, None] & columns[:, None, None, :]
        erased &= uniform(n, 1, 1, 1) < settings.erasing
        images = torch.where(erased, images.mean((1, 2, 3), keepdim=True), images)
    return images
