"""Local binary patterns on three orthogonal planes of the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mer_core.baselines.lbp import describe_clip
from mer_core.motion.interpolation import interpolate

if TYPE_CHECKING:
    from mer_core.config.descriptors import LbpTop
    from mer_core.motion.clip import Clip


def describe(clip: Clip, settings: LbpTop) -> np.ndarray:
    """float32, histograms by block, time and plane; `frames` first brings the clip to a length."""
    frames = clip.frames if settings.frames is None else interpolate(clip.frames, settings.frames)
    return describe_clip(frames, settings)
