"""A simulated AffectNet, in eight labels, as the real one lies on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mer_core.simulation.plan import Clip
from mer_core.simulation.stills import in_the_wild

NUMBERS = {
    **{"neutral": 0, "happiness": 1, "sadness": 2, "surprise": 3},
    **{"fear": 4, "disgust": 5, "anger": 6, "contempt": 7},
}


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"{'val' if place % 8 == 7 else 'train'}_set/images/{place}.jpg"


def _finish(folder: Path, clips: list[Clip]) -> None:
    """Annotations, a file for each number, as text; valence and arousal are those of no face."""
    for place, clip in enumerate(clips):
        image = folder / _file(clip, place, 0)
        annotations = image.parent.with_name("annotations")
        annotations.mkdir(exist_ok=True)
        for kind, said in {"exp": NUMBERS[clip.label], "val": 0.5, "aro": 0.5}.items():
            np.save(annotations / f"{image.stem}_{kind}.npy", str(said))


CLIPS = in_the_wild(
    {
        **{"neutral": 75374, "happiness": 134915, "sadness": 25959, "surprise": 14590},
        **{"fear": 6878, "disgust": 4303, "anger": 25382, "contempt": 4250},
    },
    crop=224,
    file=_file,
    step=13,
    finish=_finish,
)
