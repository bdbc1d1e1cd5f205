"""Generated images and clips for the tests of the baselines."""

import numpy as np

from mer_core.motion.clip import Clip

SIZE = 64


def texture(right=0.0, down=0.0, size=SIZE):
    """A smooth pattern, moved by exactly so many pixels; uint8 (size, size)."""
    generator = np.random.default_rng(0)
    y, x = np.indices((size, size)) - np.array([down, right])[:, None, None]
    waves = sum(
        np.cos(np.cos(angle) * x * speed + np.sin(angle) * y * speed + phase)
        for angle, speed, phase in generator.uniform([0, 0.15, 0], [np.pi, 0.9, 2 * np.pi], (40, 3))
    )
    return np.clip(128 + 12 * waves, 0, 255).round().astype(np.uint8)


def clip_of(frames, apex=None, sample_id="casme2/sub01/EP01"):
    """A clip of the frames given, numbered from 0."""
    last = len(frames) - 1
    return Clip(sample_id, dict(enumerate(frames)), 0, last // 2 if apex is None else apex, last)


def moving_clip(length=21, speed=0.1):
    """A pattern that moves to the right by `speed` pixels per frame."""
    return clip_of([texture(speed * t) for t in range(length)])
