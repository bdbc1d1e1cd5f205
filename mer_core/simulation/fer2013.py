"""A simulated FER2013, in the folders that copies of the real one have."""

from __future__ import annotations

import shutil
from pathlib import Path

from mer_core.simulation.plan import Clip
from mer_core.simulation.stills import in_the_wild

FOLDERS = {"anger": "angry", "happiness": "happy", "sadness": "sad"}  # the others are named by their label


def _file(clip: Clip, place: int, frame: int) -> str:
    """Eight in ten for training, and two parts for testing, as in the real set."""
    part = {8: "PublicTest", 9: "PrivateTest"}.get(place % 10, "Training")
    folder = FOLDERS.get(clip.label, clip.label)
    return f"{'train' if part == 'Training' else 'test'}/{folder}/{part}_{place}.jpg"


def _finish(folder: Path, clips: list[Clip]) -> None:
    """A face that is in two parts."""
    again = folder / _file(clips[0], 10 * len(clips) + 8, 0)
    again.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / _file(clips[0], 0, 0), again)


CLIPS = in_the_wild(
    {
        **{"anger": 4953, "disgust": 547, "fear": 5121, "happiness": 8989},
        **{"sadness": 6077, "surprise": 4002, "neutral": 6198},
    },
    crop=48,
    file=_file,
    step=12,
    finish=_finish,
    grey=True,
)
