"""Writes the fast camera of a simulated SMIC as the real one lies on disk, with its oddities."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mer_core.config.simulation import Simulation
from mer_core.simulation.plan import Clip, plan, stream
from mer_core.simulation.recording import Actor, Camera
from mer_core.simulation.writers import draw_all, draw_frame, new_folder, save

TREE = "SMIC_all_raw/HS"
FRAMES_PER_SECOND = 100


def simulate_smic(root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write simulated SMIC HS: one folder of frames per clip, and one that shows no expression.

    Args:
        root, settings, processes: as for `writers.simulate_casme2`.

    Raises:
        UserError: the folder of portraits does not serve, or `root` cannot be written.
    """
    with new_folder(Path(root)) as folder:
        draw_all("smic", _draw_clip, folder, settings, processes)
        first = _folder(folder, plan(settings.size, settings.seed).smic[0])
        shutil.copytree(first, first.parents[2] / "non_micro" / first.name)


def _folder(folder: Path, clip: Clip) -> Path:
    # Neither the person's number nor the clip's is padded as in the names of subjects elsewhere.
    return folder / TREE / clip.name.split("_")[0] / "micro" / clip.label / clip.name


def _draw_clip(folder: Path, settings: Simulation, actor: Actor, number: int, clip: Clip) -> int:
    camera = Camera.draw(stream(settings.seed, "clip of SMIC", number))
    target = _folder(folder, clip)
    target.mkdir(parents=True)
    # The real ones are bmp, at a megabyte each: one clip shows that they are read.
    suffix = "jpg" if number else "bmp"
    frames = clip.frames(settings.frames)
    for frame in frames:
        noise = stream(settings.seed, "clip noise of SMIC", number, frame)
        image = draw_frame(settings, actor, clip, frame, camera, FRAMES_PER_SECOND, noise)
        save(target / f"image{frame:06d}.{suffix}", image)
    return len(frames)
