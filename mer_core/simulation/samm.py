"""Writes simulated SAMM as the real one lies on disk, with its oddities."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import openpyxl

from mer_core.config.simulation import Simulation
from mer_core.simulation.plan import Clip, plan, stream
from mer_core.simulation.recording import Actor, Camera
from mer_core.simulation.writers import draw_all, draw_frame, forget_time, new_folder, save

WORKBOOK = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration")
HEADER += ("Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes")
HEADER_ROW = 14
FRAMES_PER_SECOND = 200


def simulate_samm(root: str | os.PathLike[str], settings: Simulation, processes: int = 1) -> None:
    """Write simulated SAMM: the workbook below its notes, and one folder of grey frames per clip.

    Args:
        root, settings, processes: as for `writers.simulate_casme2`.

    Raises:
        UserError: the folder of portraits does not serve, or `root` cannot be written.
    """
    with new_folder(Path(root)) as folder:
        draw_all("samm", _draw_clip, folder, settings, processes)
        _write_workbook(folder / WORKBOOK, plan(settings.size, settings.seed).samm)


def _draw_clip(folder: Path, settings: Simulation, actor: Actor, number: int, clip: Clip) -> int:
    camera = Camera.draw(stream(settings.seed, "clip of SAMM", number))
    target = folder / "SAMM" / clip.subject / clip.name
    target.mkdir(parents=True)
    digits = 4 if number % 5 == 4 else 5  # mostly five
    frames = clip.frames(settings.frames)
    for frame in frames:
        noise = stream(settings.seed, "clip noise of SAMM", number, frame)
        image = draw_frame(settings, actor, clip, frame, camera, FRAMES_PER_SECOND, noise)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        save(target / f"{clip.subject}_{frame:0{digits}d}.jpg", grey)
    return len(frames)


def _write_workbook(path: Path, clips: tuple[Clip, ...]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "MICRO_ONLY"
    sheet.append(["SAMM Dataset - Master FACS Codes"])
    sheet["E3"], sheet["I5"] = "Apex: the frame of the largest movement", "Coded by FACS"
    for column, name in enumerate(HEADER, start=1):
        sheet.cell(HEADER_ROW, column, name)
    for row, clip in enumerate(clips, start=HEADER_ROW + 1):
        code = int(clip.name.split("_")[1])
        interval = (clip.onset, clip.apex_cell, clip.offset, f"=SUM(F{row}-D{row})+1")
        told = (clip.units_cell, clip.label, 7, None)
        sheet.append((clip.subject, clip.name, code, *interval, "Micro - 1/2", *told))
    book.save(path)
    forget_time(path)
