"""From a clip to the maps of one input.

The order of work is the same for all that hold flow: one transform per clip, flow at the size of the crop,
strain there, then smaller maps by averaging areas, then scaling.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from mer_core.config import inputs
from mer_core.errors import UserError
from mer_core.motion.clip import Clip
from mer_core.motion.dynamic_image import dynamic_image
from mer_core.motion.flow import optical_flow
from mer_core.motion.interpolation import interpolate
from mer_core.motion.strain import optical_strain

# Of the 68 landmarks: the corners of the left and the right eye, and of the mouth.
LEFT_EYE, RIGHT_EYE, MOUTH = (36, 39), (42, 45), (48, 54)


def draw(clip: Clip, settings: inputs.Input, landmarks: np.ndarray) -> np.ndarray:
    """What a network sees of a sample.

    Args:
        clip: the sample, its frames aligned by one transform to crops of `settings.crop` pixels.
        settings: of the input; their type chooses the method.
        landmarks: (68, 2), of the apex, x and y in pixels of the crop.

    Returns:
        float32 (size, size, C), or (frames, size, size, C) of an input with a time axis.

    Raises:
        UserError: what the input needs of the clip is not there; names the sample.
    """
    if clip.apex == clip.onset:
        raise UserError(f"{clip.sample_id}: apex and onset are one frame, so there is no motion to see")
    return _DRAW[type(settings)](clip, settings, landmarks)


def _difference(clip: Clip, settings: inputs.Difference, landmarks: np.ndarray) -> np.ndarray:
    onset, apex = (frame.astype(np.float32) / 255 for frame in clip.pair)
    return resized(apex - onset, settings.size)


def _pair(clip: Clip, settings: inputs.Pair, landmarks: np.ndarray) -> np.ndarray:
    pair = np.concatenate(clip.pair, axis=-1).astype(np.float32) / 255
    return resized(pair, settings.size)


def _flow(clip: Clip, settings: inputs.FlowMaps, landmarks: np.ndarray) -> np.ndarray:
    return scaled(resized(clip.flow_to_apex(settings.estimator), settings.size), settings.scale)


def _with_strain(clip: Clip, settings: inputs.FlowStrainMaps) -> np.ndarray:
    flow = clip.flow_to_apex(settings.estimator)
    maps = np.dstack([flow, optical_strain(flow, settings.strain)])
    return scaled(resized(maps, settings.size), settings.scale)


def _flow_strain(clip: Clip, settings: inputs.FlowStrainMaps, landmarks: np.ndarray) -> np.ndarray:
    return _with_strain(clip, settings)


def _flow_patches(clip: Clip, settings: inputs.FlowPatches, landmarks: np.ndarray) -> np.ndarray:
    maps, half = _with_strain(clip, settings), settings.size // 2
    corners = [landmarks[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]
    corners += [landmarks[index] for index in MOUTH]
    patches = []
    for x, y in np.asarray(corners) * settings.size / settings.crop:
        left, top = (int(np.clip(round(at) - half // 2, 0, settings.size - half)) for at in (x, y))
        patches.append(maps[top : top + half, left : left + half])
    return np.concatenate([np.concatenate(patches[:2], 1), np.concatenate(patches[2:], 1)])


def _dynamic_image(clip: Clip, settings: inputs.DynamicImage, landmarks: np.ndarray) -> np.ndarray:
    return resized(dynamic_image(clip.color_frames, settings.pooling), settings.size)


def _clip(clip: Clip, settings: inputs.ClipFrames, landmarks: np.ndarray) -> np.ndarray:
    frames = interpolate(clip.frames, settings.frames)
    return resized(frames.transpose(1, 2, 0).astype(np.float32) / 255, settings.size)


def _flow_clip(clip: Clip, settings: inputs.FlowClip, landmarks: np.ndarray) -> np.ndarray:
    frames = interpolate(clip.frames, settings.frames + 1)
    maps = [
        resized(optical_flow(first, second, settings.estimator), settings.size)
        for first, second in itertools.pairwise(frames)
    ]
    return scaled(np.stack(maps), settings.scale)


_DRAW: dict[type, Callable[[Clip, Any, np.ndarray], np.ndarray]] = {
    inputs.Difference: _difference,
    inputs.Pair: _pair,
    inputs.FlowMaps: _flow,
    inputs.FlowStrainMaps: _flow_strain,
    inputs.FlowPatches: _flow_patches,
    inputs.DynamicImage: _dynamic_image,
    inputs.ClipFrames: _clip,
    inputs.FlowClip: _flow_clip,
}


def resized(maps: np.ndarray, size: int) -> np.ndarray:
    """Maps (H, W, C) of any number of channels brought to (size, size, C), float32, by averaging areas."""
    if maps.shape[:2] == (size, size):
        return maps.astype(np.float32)
    how = cv2.INTER_AREA if size < maps.shape[0] else cv2.INTER_LINEAR
    channels = [
        cv2.resize(np.ascontiguousarray(maps[..., c], np.float32), (size, size), interpolation=how)
        for c in range(maps.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def scaled(maps: np.ndarray, scale: inputs.Scale) -> np.ndarray:
    """Maps (..., C) stretched to [0, 1] over all channels together or each by itself, or left in pixels.

    Stretching hides how strong a motion was. What is left in pixels is divided by a constant of the training
    clips when it is trained on.
    """
    if scale == "none":
        return maps
    axes = tuple(range(maps.ndim - (scale == "minmax_channel")))
    low, high = maps.min(axes, keepdims=True), maps.max(axes, keepdims=True)
    return np.divide(maps - low, high - low, out=np.zeros_like(maps), where=high > low)
