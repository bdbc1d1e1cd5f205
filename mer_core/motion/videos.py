"""Videos in a copy of a dataset, written as the numbered images that readers look for.

`python -m mer_core.motion.videos FOLDER` writes the frames of every video in the folder and below it into a
folder beside it: EP02_01f.avi into EP02_01f/img1.png and on. The doctor then holds them against the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from mer_core.datasets import frames
from mer_core.datasets.frames import Root
from mer_core.errors import UserError
from mer_core.job import check_readable, print_any_text, publish_folder


def write_frames(video: Path) -> int:
    """Write a video's frames, numbered from 1, into the folder of its name; all of them or none.

    Args:
        video: decoded frame by frame, whatever its length.

    Returns:
        How many frames there are; 0 where that folder is there already and not empty.

    Raises:
        UserError: the video cannot be decoded to its end, or the folder not be written.
    """
    folder = video.with_suffix("")
    if folder.is_file() or frames.is_filled(folder):
        return 0
    check_readable(video)
    opened, count = cv2.VideoCapture(str(video)), 0
    try:
        with publish_folder(folder) as fresh:
            while (read := opened.read())[0]:
                count += 1
                (fresh / f"img{count}.png").write_bytes(cv2.imencode(".png", read[1])[1].tobytes())
            # Other containers tell their length by time, and are off by a frame or two.
            told = int(opened.get(cv2.CAP_PROP_FRAME_COUNT)) if video.suffix.lower() == ".avi" else 1
            if count < max(told, 1):
                raise UserError(
                    f"{video}: {count} of {max(told, 1)} frames can be decoded; copy it again from the "
                    "source, or save it as MJPEG in .avi"
                )
    finally:
        opened.release()
    return count


def main(folder: Path) -> None:
    """Write the frames of every video in a folder and below it, and say what was written."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the videos")
    videos = [
        inside / name
        for inside, names in frames.walk(Root(folder))
        for name in names
        if Path(name).suffix.lower() in frames.VIDEO_SUFFIXES
    ]
    if not videos:
        raise UserError(f"{folder}: no videos, down to {frames.MAX_DEPTH} folders deep; give their folder")
    for video in videos:
        count = write_frames(video)
        print(f"{video}: {f'{count} frames' if count else 'its folder is there already'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the frames of videos as numbered images.")
    parser.add_argument("folder", type=Path, help="that holds them, down to eight folders deep")
    given = parser.parse_args()
    print_any_text()
    try:
        main(given.folder)
    except UserError as error:
        sys.exit(str(error))
