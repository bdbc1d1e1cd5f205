"""The macro-expressions of a simulated MMEW, single images of its people, as the real ones lie on disk."""

from __future__ import annotations

from pathlib import Path

from mer_core.simulation.mmew_names import NAMES, name_of
from mer_core.simulation.plan import FULL, Clip, ClipSet
from mer_core.simulation.stills import as_stills

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
PEOPLE = {"tiny": 3, "demo": 5, "full": 36}
# Of each expression; 900 in all. How they divide is not published.
IMAGES = {"tiny": 3, "demo": 5, "full": 150}


def _file(clip: Clip, place: int, frame: int) -> str:
    return f"Macro_Expression/{clip.subject}/{clip.label}/{clip.name}.jpg"


def _finish(folder: Path, clips: list[Clip]) -> None:
    (folder / "Macro_Expression" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")


CLIPS = ClipSet(
    names=NAMES,
    people_of="mmew",
    counts={size: (len(LABELS) * IMAGES[size] // people,) * people for size, people in PEOPLE.items()},
    classes={size: dict.fromkeys(LABELS, images) for size, images in IMAGES.items()},
    length=(35, 0.3, 10, 90),
    start=(1, 20),
    name=name_of,
    fps=lambda clip: 90,
    file=_file,
    looks=FULL,
    step=5,
    strength=1.0,
    flaws=as_stills,
    finish=_finish,
)
