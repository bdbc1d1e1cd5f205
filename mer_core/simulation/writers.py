"""Writes simulated data sets as the real ones lie on disk: CASME II and CK+, and what modules describe."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
from tqdm import tqdm

from mer_core.batch import workers
from mer_core.config.simulation import Simulation
from mer_core.job import publish_folder
from mer_core.simulation.identities import identity
from mer_core.simulation.plan import (
    Clip,
    Sequence,
    Sheets,
    cast_of,
    clip_set,
    plan,
    simulated_subjects,
    stream,
)
from mer_core.simulation.recording import Actor, Camera
from mer_core.simulation.warping import CANVAS, EYE_DISTANCE, EYES, Window

WORKBOOK, OBJECTIVE = "CASME2-coding-20140508.xlsx", "CASME2-ObjectiveClasses.xlsx"
# The third and the seventh column have no header in the released file.
HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
CASME2_TREES = {"cropped": "Cropped", "raw_selected": "CASME2_RAW_selected"}
FRAMES_PER_SECOND = 200
EMOTION_CODES = {"anger": 1, "contempt": 2, "disgust": 3, "fear": 4, "happy": 5, "sadness": 6, "surprise": 7}
# Files must not depend on the day they were written.
DATE = datetime.datetime(2014, 5, 8)


def simulate_casme2(root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write simulated CASME II: the annotation workbook and one folder of frames per clip.

    Args:
        root: folder to make; an older one is replaced once the new one is complete.
        settings: size, faces, frames, tree, strength and seed. Equal settings give equal bytes,
            whatever the number of processes.
        processes: that draw the frames. With more than one, the calling script must be guarded by
            `if __name__ == "__main__"`, since they are spawned.

    Raises:
        UserError: the folder of portraits does not serve, or `root` cannot be written.
    """
    clips = plan("casme2", settings.size, settings.seed)
    with publish_folder(root) as folder:
        draw_all("casme2", _draw_clip, folder, settings, processes)
        write_workbook(folder / WORKBOOK, _casme2_sheets(clips))
        write_workbook(folder / OBJECTIVE, _casme2_objective(clips))
        # As in copies that people have: a stray shortcut, and a clip without a row in the table.
        tree = folder / CASME2_TREES[settings.casme2_tree]
        (tree / clips[0].subject / "Desktop - Shortcut.lnk").write_bytes(b"L\x00\x00\x00")
        last = tree / clips[-1].subject
        shutil.copytree(last / clips[-1].name, last / "EP20_20f")


def simulate_ckplus(root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write simulated CK+: image sequences, and emotion codes for those that have a label.

    Args:
        root, settings, processes: as for `simulate_casme2`.

    Raises:
        UserError: the folder of portraits does not serve, or `root` cannot be written.
    """
    sequences = plan("ckplus", settings.size, settings.seed)
    with publish_folder(root) as folder:
        draw_all("ckplus", _draw_sequence, folder, settings, processes)
        for place in ("", "cohn-kanade-images", f"cohn-kanade-images/{sequences[0].subject}", "Emotion"):
            (folder / place / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


def simulate(layout: str, root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write the stand-in for a data set: its tables, and its recordings.

    Args:
        layout: of the data set.
        root, settings, processes: as for `simulate_casme2`.

    Raises:
        UserError: the folder of portraits does not serve, or `root` cannot be written.
    """
    own = {"casme2": simulate_casme2, "ckplus": simulate_ckplus}
    if layout in own:
        own[layout](root, settings, processes)
        return
    clips = [*plan(layout, settings.size, settings.seed)]
    kind = clip_set(layout)
    with publish_folder(root) as folder:
        draw_all(layout, partial(_draw_clip_of, layout), folder, settings, processes)
        for name, sheets in kind.tables(clips).items():
            write_workbook(folder / name, sheets)
        kind.finish(folder, clips)


Draw = Callable[[Path, Simulation, Actor, int, Any], int]
"""Draws a recording, told by its number in the plan, and returns how many frames."""


def draw_all(dataset: str, draw: Draw, folder: Path, settings: Simulation, processes: int) -> None:
    """Draw every subject's recordings, in this process or in several."""
    count = len(simulated_subjects(dataset, settings.size))
    recordings = plan(dataset, settings.size, settings.seed)
    frames = sum(len(recording.frames(settings.frames)) for recording in recordings)
    draw_one = partial(_draw_subject, dataset, draw, folder, settings)
    with (
        tqdm(total=frames, desc=f"simulate {dataset}", unit="frame", mininterval=1.0) as bar,
        workers(min(processes, count), cv2.setNumThreads, 1) as spread,
    ):
        for drawn in spread(draw_one, range(count)):
            bar.update(drawn)


def _draw_subject(dataset: str, draw: Draw, folder: Path, settings: Simulation, index: int) -> int:
    """Draw the recordings of one subject; returns the number of frames."""
    subject = simulated_subjects(dataset, settings.size)[index]
    actor = Actor(identity(settings.faces, settings.size, settings.seed, cast_of(dataset), index))
    recordings = enumerate(plan(dataset, settings.size, settings.seed))
    own = [(number, recording) for number, recording in recordings if recording.subject == subject]
    return sum(draw(folder, settings, actor, number, recording) for number, recording in own)


def _draw_clip(folder: Path, settings: Simulation, actor: Actor, number: int, clip: Clip) -> int:
    rng = stream(settings.seed, "clip", number)
    camera = Camera.draw(rng)
    cropped = settings.casme2_tree == "cropped"
    window, prefix = (_crop(camera, rng), "reg_img") if cropped else (CANVAS, "img")
    target = folder / CASME2_TREES[settings.casme2_tree] / clip.subject / clip.name
    target.mkdir(parents=True)
    frames = clip.frames(settings.frames)
    for frame in frames:
        # Noise by frame number: key frames are the same pictures as among all frames.
        noise = stream(settings.seed, "clip noise", number, frame)
        strength = settings.micro_strength
        image = draw_frame(strength, actor, clip, frame, camera, FRAMES_PER_SECOND, noise, window)
        save(target / f"{prefix}{frame}.jpg", image)
    return len(frames)


def _draw_clip_of(
    layout: str, folder: Path, settings: Simulation, actor: Actor, number: int, clip: Clip
) -> int:
    kind, name = clip_set(layout), layout.upper()
    rng = stream(settings.seed, f"clip of {name}", number)
    camera = Camera.draw(rng)
    window = CANVAS if kind.crop is None else _crop(camera, rng, square=True)
    strength = settings.micro_strength if kind.strength is None else kind.strength
    if clip.macro:
        strength = 1.0
    frames = clip.frames(settings.frames)
    for frame in frames:
        noise = stream(settings.seed, f"clip noise of {name}", number, frame)
        image = draw_frame(strength, actor, clip, frame, camera, kind.fps(clip), noise, window)
        if kind.crop is not None:
            image = cv2.resize(image, (kind.crop, kind.crop), interpolation=cv2.INTER_AREA)
        path = folder / kind.file(clip, number, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if kind.grey else image)
    return len(frames)


def draw_frame(
    strength: float,
    actor: Actor,
    clip: Clip,
    frame: int,
    camera: Camera,
    fps: int,
    noise: np.random.Generator,
    window: Window = CANVAS,
) -> np.ndarray:
    """A frame of a clip whose apex has a strength, uint8 (height, width, 3), RGB."""
    share = strength * clip.intensity(frame)
    return actor.frame(clip.units, share, camera, (frame - clip.onset) / fps, noise, window)


def _draw_sequence(folder: Path, settings: Simulation, actor: Actor, number: int, sequence: Sequence) -> int:
    # Most of the real recordings are grey, some are not.
    colour = simulated_subjects("ckplus", settings.size).index(sequence.subject) % 6 == 5
    camera = Camera.draw(stream(settings.seed, "sequence", number))
    place = Path(sequence.subject, sequence.name)
    stem = f"{sequence.subject}_{sequence.name}_"
    target = folder / "cohn-kanade-images" / place
    target.mkdir(parents=True)
    frames = sequence.frames(settings.frames)
    for frame in frames:
        noise = stream(settings.seed, "sequence noise", number, frame)
        image = actor.frame(sequence.units, sequence.intensity(frame), camera, frame / 30, noise)
        if not colour:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        save(target / f"{stem}{frame:08d}.png", image)
    # Of the sequences without label some have an empty emotion folder, the others none.
    emotion = folder / "Emotion" / place
    if sequence.label or number % 2:
        emotion.mkdir(parents=True)
    if sequence.label:
        code = f"   {EMOTION_CODES[sequence.label]:.7e}\n"
        (emotion / f"{stem}{sequence.length:08d}_emotion.txt").write_text(code, encoding="ascii")
    return len(frames)


def _crop(camera: Camera, rng: np.random.Generator, square: bool = False) -> Window:
    """A tight box round the face, about 280 x 340 or square, the same for the whole clip."""
    width, height = 280 + int(rng.integers(-12, 13)), 340 + int(rng.integers(-12, 13))
    height = width if square else height
    x, y = camera.transform(0.0) @ [*EYES + [0, 0.52 * EYE_DISTANCE], 1.0]
    top = min(max(round(y - height / 2), 0), CANVAS.height - height)
    return Window(round(x - width / 2), top, width, height)


def _casme2_sheets(clips: Iterable[Clip]) -> Sheets:
    rows: list[list[Any]] = [[*HEADER]]
    for clip in clips:
        interval = [clip.onset, clip.apex_cell, clip.offset]
        number = clip.subject.removeprefix("sub")
        rows.append([number, clip.name, None, *interval, None, clip.units_cell, clip.label])
    return {"Sheet1": rows, "Sheet2": [], "Sheet3": []}


def _casme2_objective(clips: Iterable[Clip]) -> Sheets:
    rows: list[list[Any]] = [["Subject", "Filename", "Objective Class"]]
    rows += [[int(clip.subject.removeprefix("sub")), clip.name, clip.objective_class] for clip in clips]
    return {"Sheet1": rows}


def write_workbook(path: Path, sheets: Sheets) -> None:
    """Write a workbook that does not tell when it was written; xlsx, whatever its name ends in."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    forget_time(path)


def forget_time(path: Path) -> None:
    """Rewrite a workbook with fixed dates, in its properties and in the archive."""
    stamp = f"{DATE:%Y-%m-%dT%H:%M:%SZ}".encode()
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    core = "docProps/core.xml"
    parts[core] = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp, parts[core])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, DATE.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)


def save(path: Path, image: np.ndarray) -> None:
    """Write an image, RGB or grey."""
    _, code = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image)
    path.write_bytes(code.tobytes())
