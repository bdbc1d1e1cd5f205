"""Writes simulated CASME II and CK+ as the real ones lie on disk, with their oddities."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import openpyxl
from PIL import Image
from tqdm import tqdm

from mer_core.config import Simulation
from mer_core.job import check_not_orphaned
from mer_core.simulation.identities import identity
from mer_core.simulation.plan import Clip, Sequence, plan, simulated_subjects
from mer_core.simulation.recording import Actor, Camera
from mer_core.simulation.warping import CANVAS, EYE_DISTANCE, EYES, Window

WORKBOOK = "CASME2-coding-20140508.xlsx"
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
        processes: that draw the frames.

    Raises:
        UserError: the folder of portraits does not serve.
    """
    subjects = simulated_subjects("casme2", settings.size)
    with _new_folder(Path(root)) as folder:
        _for_each(_write_casme2_subject, folder, settings, subjects, processes, "CASME II")
        clips = plan(settings.size, settings.seed).clips
        _write_workbook(folder / WORKBOOK, clips)
        tree = _casme2_tree(folder, settings)
        # As in copies that people have: a stray shortcut, and a clip without a row in the table.
        (tree / subjects[0] / "Desktop - Shortcut.lnk").write_bytes(b"L\x00\x00\x00")
        stray = tree / subjects[-1] / "EP20_20f"
        shutil.copytree(tree / subjects[-1] / clips[-1].name, stray)


def simulate_ckplus(root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write simulated CK+: image sequences, and emotion codes for those that have a label.

    Args:
        root: folder to make; an older one is replaced once the new one is complete.
        settings: size, faces, frames and seed. Equal settings give equal bytes.
        processes: that draw the frames.

    Raises:
        UserError: the folder of portraits does not serve.
    """
    subjects = simulated_subjects("ckplus", settings.size)
    with _new_folder(Path(root)) as folder:
        _for_each(_write_ckplus_subject, folder, settings, subjects, processes, "CK+")
        for place in (folder, folder / "cohn-kanade-images", folder / "Emotion" / subjects[0]):
            (place / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


def _write_casme2_subject(folder: Path, settings: Simulation, index: int) -> int:
    subject = simulated_subjects("casme2", settings.size)[index]
    actor = Actor(identity(settings.faces, settings.size, settings.seed, "casme2", index))
    count = 0
    for number, clip in enumerate(plan(settings.size, settings.seed).clips):
        if clip.subject != subject:
            continue
        rng = np.random.default_rng([settings.seed, 5, number])
        target = _casme2_tree(folder, settings) / subject / clip.name
        target.mkdir(parents=True)
        camera = Camera.draw(rng)
        prefix, window = "img", CANVAS
        if settings.casme2_tree == "cropped":
            prefix, window = "reg_img", _crop(camera, rng)
        for frame in clip.frames(settings.frames):
            strength = settings.micro_strength * clip.intensity(frame)
            seconds = (frame - clip.onset) / FRAMES_PER_SECOND
            # Noise by frame number: key frames are the same pictures as among all frames.
            noise = np.random.default_rng([settings.seed, 6, number, frame])
            image = actor.frame(clip.units, strength, camera, seconds, noise, window)
            _save(target / f"{prefix}{frame}.jpg", image)
            count += 1
    return count


def _write_ckplus_subject(folder: Path, settings: Simulation, index: int) -> int:
    subject = simulated_subjects("ckplus", settings.size)[index]
    actor = Actor(identity(settings.faces, settings.size, settings.seed, "ckplus", index))
    colour = index % 6 == 5  # most recordings are grey
    count = 0
    for number, sequence in enumerate(plan(settings.size, settings.seed).sequences):
        if sequence.subject != subject:
            continue
        rng = np.random.default_rng([settings.seed, 7, number])
        camera = Camera.draw(rng)
        target = folder / "cohn-kanade-images" / subject / sequence.name
        target.mkdir(parents=True)
        stem = f"{subject}_{sequence.name}_"
        for frame in sequence.frames(settings.frames):
            noise = np.random.default_rng([settings.seed, 8, number, frame])
            image = actor.frame(sequence.units, sequence.intensity(frame), camera, frame / 30, noise)
            if not colour:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            _save(target / f"{stem}{frame:08d}.png", image)
            count += 1
        _write_emotion(folder / "Emotion" / subject / sequence.name, f"{stem}{sequence.length:08d}", sequence)
    return count


def _write_emotion(folder: Path, stem: str, sequence: Sequence) -> None:
    """One float code; of sequences without label, every other has an empty folder and the rest none."""
    if sequence.label:
        folder.mkdir(parents=True)
        code = f"   {EMOTION_CODES[sequence.label]:.7e}\n"
        (folder / f"{stem}_emotion.txt").write_text(code, encoding="ascii")
    elif sequence.length % 2:
        folder.mkdir(parents=True)


def _casme2_tree(folder: Path, settings: Simulation) -> Path:
    return folder / {"cropped": "Cropped", "raw_selected": "CASME2_RAW_selected"}[settings.casme2_tree]


def _crop(camera: Camera, rng: np.random.Generator) -> Window:
    """A tight box round the face, about 280 x 340, the same for the whole clip."""
    width, height = 280 + int(rng.integers(-12, 13)), 340 + int(rng.integers(-12, 13))
    x, y = camera.transform(0.0) @ [*EYES + [0, 0.52 * EYE_DISTANCE], 1.0]
    top = min(max(round(y - height / 2), 0), CANVAS.height - height)
    return Window(round(x - width / 2), top, width, height)


def _write_workbook(path: Path, clips: tuple[Clip, ...]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sheet1"
    sheet.append(HEADER)
    for clip in clips:
        subject = clip.subject.removeprefix("sub")
        interval = (clip.onset, clip.apex_cell, clip.offset)
        sheet.append((subject, clip.name, None, *interval, None, clip.units_cell, clip.label))
    book.create_sheet("Sheet2")
    book.create_sheet("Sheet3")
    book.save(path)
    _forget_time(path)


def _forget_time(path: Path) -> None:
    """Rewrite a workbook with fixed dates, in its properties and in the archive."""
    stamp = f"{DATE:%Y-%m-%dT%H:%M:%SZ}".encode()
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    core = "docProps/core.xml"
    parts[core] = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp, parts[core])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, DATE.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)


def _save(path: Path, image: np.ndarray) -> None:
    options = {"quality": 92} if path.suffix == ".jpg" else {"compress_level": 2}
    Image.fromarray(image).save(path, **options)


def _for_each(
    write: Callable[[Path, Simulation, int], int],
    folder: Path,
    settings: Simulation,
    subjects: list[str],
    processes: int,
    title: str,
) -> None:
    """Call `write` once per subject, in this process or in several."""
    with tqdm(total=len(subjects), desc=title, unit="subject", mininterval=1.0) as bar:
        if processes == 1:
            for index in range(len(subjects)):
                write(folder, settings, index)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            processes, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
        ) as pool:
            jobs = [pool.submit(write, folder, settings, index) for index in range(len(subjects))]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


@contextmanager
def _new_folder(root: Path) -> Iterator[Path]:
    """A temporary folder beside `root` that takes its place when all went well."""
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{os.getpid()}.new")
    outgoing = root.with_name(f".{root.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        check_not_orphaned()
        if root.exists():
            root.rename(outgoing)
        temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(outgoing, ignore_errors=True)
