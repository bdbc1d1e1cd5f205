"""Tiny copies of CASME II and CK+, written by hand, for the tests of the readers."""

import itertools
from pathlib import Path

import numpy as np
import openpyxl

from mer_core.config.experiment import load_config
from mer_core.datasets.reading import read_dataset
from mer_core.images import write_image

CONFIG = load_config(Path(__file__).parent.parent / "config.yaml")
HEADER = [
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
    "Estimated Emotion",
]  # fmt: skip
WORKBOOK = "CASME2-coding-20140508.xlsx"
# Subject, clip, onset, apex, offset, action units, label.
ROWS = [
    ("01", "EP02_01f", 6, 8, 12, 12, "happiness"),
    ("01", "EP03_02", 98, 101, 103, "4+5+L10", "disgust"),
    ("02", "EP01_2", 6, 7, 9, "?", "others"),
    ("02", "EP09f", 9, 10, 11, "R2+15", "surprise"),
]
_shades = itertools.count()


def draw(path, size=(12, 10)):
    """An image unlike every other one."""
    rng = np.random.default_rng(next(_shades))
    write_image(path, rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def casme2_settings(subjects=("sub01", "sub02"), **changes):
    """The shipped settings for a copy of one's own."""
    subjects = None if subjects is None else list(subjects)
    return CONFIG.datasets["casme2"].model_copy(update={"root": "own", "subjects": subjects} | changes)


def ckplus_settings(**changes):
    """The shipped settings for a copy of one's own."""
    return CONFIG.datasets["ckplus"].model_copy(update={"root": "own"} | changes)


def write_workbook(path, rows=ROWS, header=HEADER):
    """The annotation table as released: nine columns, the third and the seventh blank."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.append(header)
    for subject, clip, onset, apex, offset, units, label in rows:
        book.active.append([subject, clip, None, onset, apex, offset, None, units, label])
    book.create_sheet("Sheet2")
    book.save(path)


def write_frames(tree, rows=ROWS, name="img{}.jpg", subject="sub{}"):
    """Every frame from onset to offset."""
    for number, clip, onset, _, offset, *_ in rows:
        for frame in range(onset, offset + 1):
            draw(tree / subject.format(number) / clip / name.format(frame))


def write_casme2(root, rows=ROWS, tree="CASME2_RAW_selected", name="img{}.jpg"):
    """A whole copy."""
    write_workbook(root / WORKBOOK, rows)
    write_frames(root / tree, rows, name)


def write_ckplus(root, sequences, images="cohn-kanade-images", labels="Emotion"):
    """The original tree. `sequences`: (subject, number, frames, code or None) each."""
    for subject, number, frames, code in sequences:
        place = Path(subject, number)
        for frame in range(1, frames + 1):
            draw(root / images / place / f"{subject}_{number}_{frame:08d}.png")
        if code is not None:
            file = root / labels / place / f"{subject}_{number}_{frames:08d}_emotion.txt"
            file.parent.mkdir(parents=True)
            file.write_text(f"   {code:.7e}\n")


def read(root, settings, **severity):
    """Manifest, indexed by the sample's name without the dataset's, and defects."""
    samples, defects = read_dataset(settings.layout, settings, root, severity)
    # Copies of a few clips lack classes; what is said of them is tested by the doctor.
    defects = defects[~defects["defect"].isin(["absent_class", "unlisted_class"])].reset_index(drop=True)
    return samples.set_index(samples.sample_id.str.removeprefix(f"{settings.layout}/")), defects
