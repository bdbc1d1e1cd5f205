"""Local binary patterns of an image and, on three orthogonal planes, of a clip (LBP-TOP).

Ojala et al., Multiresolution gray-scale and rotation invariant texture classification with local binary
patterns, TPAMI 24(7), 2002. Zhao and Pietikainen, Dynamic texture recognition using local binary patterns
with an application to facial expressions, TPAMI 29(6), 2007.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from skimage.feature import local_binary_pattern

from mer_core.baselines.blocks import block_of, grid_of
from mer_core.errors import UserError

if TYPE_CHECKING:
    from mer_core.config.descriptors import Lbp, LbpTop

Codes = Literal["u2", "full"]


def describe_image(image: np.ndarray, settings: Lbp) -> np.ndarray:
    """Histograms of the patterns in a grid of blocks, each of sum 1.

    Neighbours are interpolated bilinearly, as scikit-image does; pixels within `radius` of the border are
    not coded, and the grid divides the coded ones.

    Args:
        image: uint8 (H, W).
        settings: blocks, points, radius, mapping.

    Returns:
        float32 (blocks * blocks * bins,); bins as in `bins_of`.

    Raises:
        UserError: more blocks than coded pixels.
    """
    # scikit-image's 'uniform' is another code, of points + 2 values.
    method = "nri_uniform" if settings.mapping == "u2" else "default"
    radius = settings.radius
    labels = local_binary_pattern(image, settings.points, radius, method)[radius:-radius, radius:-radius]
    bins = bins_of(settings.points, settings.mapping)
    grid = grid_of(*labels.shape, settings.blocks)
    return _histograms(labels.astype(np.intp), grid, settings.blocks**2, bins).ravel()


def describe_clip(clip: np.ndarray, settings: LbpTop) -> np.ndarray:
    """Histograms of the patterns on the planes XY, XT and YT in a grid of blocks, each of sum 1.

    Only voxels at least a radius away from the border in every direction are coded; the grid divides the
    coded ones. (The source codes within each block instead, which leaves borders between blocks uncoded.)

    Args:
        clip: uint8 (T, H, W).
        settings: blocks, temporal_blocks, points, radii along x, y and t, mapping.

    Returns:
        float32 (temporal_blocks, blocks * blocks, 3, bins); planes in the order above.

    Raises:
        UserError: the clip is too short for the radius along t, or for the blocks.
    """
    bins = bins_of(settings.points, settings.mapping)
    space, time = settings.blocks**2, settings.temporal_blocks
    planes = []
    for codes in codes_on_planes(clip, settings.points, settings.radii):
        grid = grid_of(*codes.shape[1:], settings.blocks)
        blocks = block_of(len(codes), time)[:, None, None] * space + grid
        labels = labels_of(settings.points, settings.mapping)[codes]
        planes.append(_histograms(labels, blocks, time * space, bins).reshape(time, space, bins))
    return np.stack(planes, axis=2)


def codes_on_planes(clip: np.ndarray, points: int, radii: tuple[int, int, int]) -> np.ndarray:
    """The binary pattern of every voxel on three planes, by comparing shifted slices of the whole clip.

    Bit p is set where the neighbour is at least as bright as the centre. It lies at an angle of
    2 pi p / points: (x + Rx cos, y - Ry sin) on XY, (x + Rx cos, t - Rt sin) on XT and
    (y + Ry cos, t - Rt sin) on YT, rounded to the nearest voxel, halves up, as in the authors' code.
    (Bilinear interpolation agrees where the points fall on voxels, as all do with 4 points.)

    Args:
        clip: uint8 (T, H, W).
        points: neighbours on each plane, at most 16.
        radii: Rx, Ry, Rt in voxels.

    Returns:
        uint16 (3, T - 2 Rt, H - 2 Ry, W - 2 Rx).

    Raises:
        UserError: the clip is shorter than 2 Rt + 1 frames, or smaller than 2 Rx + 1 pixels.
    """
    radius_x, radius_y, radius_t = radii
    margins = (radius_t, radius_y, radius_x)
    if any(length <= 2 * margin for length, margin in zip(clip.shape, margins, strict=True)):
        shape = " x ".join(map(str, clip.shape))
        raise UserError(
            f"{shape} (frames, height, width) is too small for radii {radii} along x, y and t; "
            "lower the radii or set frames to a greater length"
        )
    angles = 2 * np.pi * np.arange(points) / points
    zero = np.zeros(points)
    across, down = np.cos(angles), -np.sin(angles)
    planes = (
        (zero, radius_y * down, radius_x * across),
        (radius_t * down, zero, radius_x * across),
        (radius_t * down, radius_y * across, zero),
    )
    centre = _shifted(clip, margins, (0, 0, 0))
    codes = np.zeros((3, *centre.shape), np.uint16)
    for plane, coordinates in zip(codes, planes, strict=True):
        # cos(60 degrees) is not quite a half in floating point.
        shifts = np.floor(np.round(coordinates, 6) + 0.5).astype(int).T
        for bit, shift in enumerate(shifts):
            plane |= np.left_shift(_shifted(clip, margins, shift) >= centre, bit, dtype=np.uint16)
    return codes


def bins_of(points: int, mapping: Codes) -> int:
    """Length of a histogram: one bin per code, or one per uniform code and one for the rest."""
    return 2**points if mapping == "full" else points * (points - 1) + 3


@cache
def labels_of(points: int, mapping: Codes) -> np.ndarray:
    """The bin of each code; int64 (2**points,).

    With mapping u2, codes of at most two changes between neighbouring bits, taken round the circle, have a
    bin each, in ascending order; all others share the last.
    """
    codes = np.arange(2**points)
    if mapping == "full":
        return codes
    bits = codes[:, None] >> np.arange(points) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, uniform.sum())


def _shifted(clip: np.ndarray, margins: tuple[int, ...], shift: tuple[int, ...]) -> np.ndarray:
    """The clip without its margins, seen through a window moved by `shift`."""
    return clip[
        tuple(
            slice(margin + step, length - margin + step)
            for length, margin, step in zip(clip.shape, margins, shift, strict=True)
        )
    ]


def _histograms(labels: np.ndarray, blocks: np.ndarray, count: int, bins: int) -> np.ndarray:
    """One histogram per block, of sum 1; float32 (count, bins). No block is empty."""
    counts = np.bincount((blocks * bins + labels).ravel(), minlength=count * bins).reshape(count, bins)
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
