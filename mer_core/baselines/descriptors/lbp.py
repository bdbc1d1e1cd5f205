"""Local binary patterns of the apex frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mer_core.baselines.lbp import describe_image

if TYPE_CHECKING:
    from mer_core.config.descriptors import Lbp
    from mer_core.motion.clip import Clip


def describe(clip: Clip, settings: Lbp) -> np.ndarray:
    """float32, histograms of `blocks` x `blocks`."""
    return describe_image(clip.apex_image, settings)
