"""The flow from onset to apex itself, as a small image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from mer_core.config.descriptors import FlowImage
    from mer_core.motion.clip import Clip


def describe(clip: Clip, settings: FlowImage) -> np.ndarray:
    """float32, as `flow_image`."""
    return flow_image(clip.flow_to_apex(settings.flow), settings)


def flow_image(flow: np.ndarray, settings: FlowImage) -> np.ndarray:
    """A flow averaged down to a small image; float32 (2, size, size), right and down, in pixels."""
    small = cv2.resize(flow, (settings.size, settings.size), interpolation=cv2.INTER_AREA)
    return np.moveaxis(small, -1, 0)
