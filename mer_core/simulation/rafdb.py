"""The aligned faces of a simulated RAF-DB as the real ones lie on disk."""

from __future__ import annotations

from pathlib import Path

from mer_core.simulation.plan import Clip
from mer_core.simulation.stills import in_the_wild

NUMBERS = {
    **{"surprise": 1, "fear": 2, "disgust": 3, "happiness": 4},
    **{"sadness": 5, "anger": 6, "neutral": 7},
}
LIST = "EmoLabel/list_patition_label.txt"  # spelled so


def _face(place: int) -> str:
    """One in five is for testing, as in the real set."""
    return f"test_{place + 1:04d}" if place % 5 == 4 else f"train_{place + 1:05d}"


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"basic/Image/aligned/{_face(place)}_aligned.jpg"


def _finish(folder: Path, clips: list[Clip]) -> None:
    """The list, which leaves `_aligned` out, and that of the compound expressions, of the same name."""
    told = [f"{_face(place)}.jpg {NUMBERS[clip.label]}" for place, clip in enumerate(clips)]
    for kind, lines in {"basic": told, "compound": ["train_00001.jpg 11"]}.items():
        path = folder / kind / LIST
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="ascii")


CLIPS = in_the_wild(
    {
        **{"surprise": 1619, "fear": 355, "disgust": 877, "happiness": 5957},
        **{"sadness": 2460, "anger": 867, "neutral": 3204},
    },
    crop=100,
    file=_file,
    step=11,
    finish=_finish,
)
