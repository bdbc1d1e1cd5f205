"""Eyes that blink."""

from __future__ import annotations

import cv2
import numpy as np

# Of each eye: the upper lid from corner to corner, and the lower.
_LIDS = (([36, 37, 38, 39], [36, 41, 40, 39]), ([42, 43, 44, 45], [42, 47, 46, 45]))
# The skin above an eye that is drawn down over it, in heights of the eye above the lid.
_SKIN = (1.1, 0.5)


def shut_eyes(image: np.ndarray, landmarks: np.ndarray, share: float) -> np.ndarray:
    """The same picture with the upper lids let down.

    Args:
        image: uint8 (H, W) or (H, W, C).
        landmarks: (68, 2), x and y in its pixels, eyes about level.
        share: of the way from open (0) to shut (1).

    Returns:
        As `image`. What covers the eyes is the skin above them, with dark lashes at its edge.
    """
    result = image.astype(np.float32)
    ys, xs = np.indices(image.shape[:2], np.float32)
    for upper, lower in _LIDS if share > 0 else ():
        upper, lower = landmarks[upper], landmarks[lower]
        height = (lower[1:3, 1] - upper[1:3, 1]).mean()
        lid = np.interp(xs[0], upper[:, 0], upper[:, 1])
        edge = (1 - share) * lid + share * np.interp(xs[0], lower[:, 0], lower[:, 1])
        top = lid - _SKIN[1] * height
        source = top + (ys - edge) * (_SKIN[0] - _SKIN[1]) * height / np.maximum(edge - top, 1)
        skin = cv2.remap(image, xs, source.astype(np.float32), cv2.INTER_LINEAR)
        across = (xs > upper[0, 0]) & (xs < upper[3, 0])
        cover = np.float32(across & (ys > top) & (ys < edge))
        lashes = across * np.exp(-(((ys - edge) / (0.1 * height)) ** 2))
        cover, lashes = (cv2.GaussianBlur(np.float32(m), (0, 0), 0.08 * height) for m in (cover, lashes))
        if image.ndim == 3:
            cover, lashes = cover[..., None], lashes[..., None]
        result = (cover * skin + (1 - cover) * result) * (1 - 0.5 * lashes)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
