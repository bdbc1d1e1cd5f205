"""Random changes of a batch of images, made on the device in a few tensor operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from mer_core.config.training import Augmentation


def augment(images: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each image at random: mirror, shift and rotate, brighten or darken.

    What is switched off (false, or 0) is skipped, not applied with strength zero: with all off the
    images come back as they are. Each image's shift is uniform in +-shift of the edge, horizontally
    and vertically, its rotation about the centre uniform in +-rotation degrees; pixels from outside
    repeat the border. The brightness factor is uniform in 1 +- brightness, the result clipped.

    Args:
        images: float (N, C, H, W) in [0, 1], square.
        settings: the block `augmentation`.
        generator: on the device of the images.

    Returns:
        Images of the same shape, in [0, 1].
    """
    n = len(images)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=images.device)

    if settings.flip:
        images = torch.where(uniform(n, 1, 1, 1) < 0.5, images.flip(3), images)
    if settings.shift or settings.rotation:
        angle = torch.deg2rad((2 * uniform(n) - 1) * settings.rotation)
        # In affine_grid's coordinates the edge is 2 long.
        offset = (2 * uniform(n, 2, 1) - 1) * 2 * settings.shift
        cos, sin = angle.cos(), angle.sin()
        rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(n, 2, 2)
        grid = affine_grid(torch.cat([rotation, offset], dim=2), list(images.shape), align_corners=False)
        images = grid_sample(images, grid, padding_mode="border", align_corners=False)
    if settings.brightness:
        factor = 1 + (2 * uniform(n, 1, 1, 1) - 1) * settings.brightness
        images = (images * factor).clamp(0, 1)
    return images
