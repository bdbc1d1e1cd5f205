"""Videos in place of frames become frames by the command that the doctor names."""

import os
import re
import shlex
import subprocess
import sys

import cv2
import numpy as np
import pytest
from dataset_samples import ROWS, WORKBOOK, casme2_settings, ckplus_settings, draw, read, write_workbook

from mer_core.errors import UserError
from mer_core.images import read_image
from mer_core.motion.videos import main, write_frames


def write_video(path, count, first=1):
    """Grey frames, each as bright as its number times ten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 200, (32, 24))
    for number in range(first, first + count):
        video.write(np.full((24, 32, 3), 2 * number, np.uint8))
    video.release()


def write_videos(root, whole):
    write_workbook(root / WORKBOOK, ROWS)
    for subject, clip, onset, _, offset, *_ in ROWS:
        count, first = (offset + 3, 1) if whole else (offset - onset + 1, onset)
        write_video(root / f"CASME2-RAW/sub{subject}/{clip}.avi", count, first)


def follow(message):
    """Run the command at the end of a message."""
    words = shlex.split(str(message).split("numbered images: ")[1].splitlines()[0])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *words[1:]], check=True, env=environment, capture_output=True, text=True
    )


def test_whole_recordings_by_the_command_of_the_message(tmp_path):
    root = tmp_path / "my CASME2"
    write_videos(root, whole=True)
    with pytest.raises(UserError, match=r"no frames there .*but videos") as refused:
        read(root, casme2_settings(missing_apex="midpoint"))
    said = follow(refused.value).stdout
    assert said.count(" frames") == len(ROWS)
    samples, defects = read(root, casme2_settings(missing_apex="midpoint"))
    assert samples.included.all() and "renumbered_frames" not in set(defects.defect)
    frame = root / samples.frame_path["sub01/EP02_01f"]
    assert frame.name == "img8.png" and abs(int(read_image(frame).mean()) - 16) <= 2, (
        "the frame of that number"
    )
    assert "is there already" in follow(refused.value).stdout, "and nothing is written twice"


def test_videos_of_the_interval_must_have_as_many_frames(tmp_path):
    write_videos(tmp_path, whole=False)
    write_video(tmp_path / "CASME2-RAW/sub02/EP09f.avi", 7)  # of three
    main(tmp_path)
    samples, defects = read(tmp_path, casme2_settings(missing_apex="midpoint"))
    renumbered = defects[defects.defect == "renumbered_frames"]
    assert len(renumbered) == 3 and renumbered.action.str.contains("frame_numbers: from_onset").all()
    samples, defects = read(tmp_path, casme2_settings(missing_apex="midpoint", frame_numbers="from_onset"))
    assert samples.included.to_dict() == {
        "sub01/EP02_01f": True, "sub01/EP03_02": True, "sub02/EP01_2": True, "sub02/EP09f": False,
    }  # fmt: skip
    assert samples.reason["sub02/EP09f"].startswith("renumbered_frames: files 1 to 7 are not the 3 frames")


def test_a_video_inside_of_its_clips_folder(tmp_path):
    write_workbook(tmp_path / WORKBOOK, ROWS[:1])
    clip = tmp_path / "sub01/EP02_01f"
    write_video(clip / "video.avi", 15)
    main(tmp_path)
    samples, _ = read(tmp_path, casme2_settings(["sub01"], missing_apex="midpoint"))
    why = samples.reason["sub01/EP02_01f"]
    moved = re.search(r"no folder of frames; move the images of (\S+) right into", why)[1]
    for image in (tmp_path / moved).iterdir():
        image.rename(clip / image.name)
    assert read(tmp_path, casme2_settings(["sub01"], missing_apex="midpoint"))[0].included.all()


def test_an_empty_folder_of_its_name_stands_for_no_frames(tmp_path):
    write_video(tmp_path / "sub01/EP02_01f.avi", 15)
    (tmp_path / "sub01/EP02_01f").mkdir()
    write_workbook(tmp_path / WORKBOOK, ROWS[:1])
    with pytest.raises(UserError, match="but videos") as refused:
        read(tmp_path, casme2_settings(["sub01"], missing_apex="midpoint"))
    assert "15 frames" in follow(refused.value).stdout
    assert read(tmp_path, casme2_settings(["sub01"], missing_apex="midpoint"))[0].included.all()


@pytest.mark.parametrize("place", ["{0}/{1}.avi", "{0}/{0}_{1}.avi", "{0}_{1}.AVI"])
def test_sequences_of_ckplus(tmp_path, place):
    root, code = tmp_path / "my CK+", 3
    for number, frames in (("001", 11), ("002", 8)):  # of the second the peak is cut off
        write_video(root / "cohn-kanade-images" / place.format("S005", number), frames)
        label = root / f"Emotion/S005/{number}/S005_{number}_00000011_emotion.txt"
        label.parent.mkdir(parents=True)
        label.write_text(f"  {code:.7e}\n")
    with pytest.raises(UserError, match=r"no frames there .*but videos") as refused:
        read(root, ckplus_settings())
    follow(refused.value)
    samples, defects = read(root, ckplus_settings())
    assert samples[samples.included].apex.tolist() == [9, 10, 11]
    assert defects.defect[0] == "missing_apex_frame" and "frame 11" in defects.action[0]


def test_what_a_killed_command_has_left_is_no_frame_and_goes(tmp_path):
    write_videos(tmp_path, whole=True)
    left = tmp_path / "CASME2-RAW/sub01/.EP02_01f.12345.new"
    left.mkdir()
    draw(left / "img8.png")
    with pytest.raises(UserError, match="but videos"):
        read(tmp_path, casme2_settings())
    main(tmp_path)
    assert not left.exists()
    assert read(tmp_path, casme2_settings())[0].included.all()


def test_a_damaged_video_leaves_nothing(tmp_path):
    write_video(tmp_path / "clip.avi", 20)
    whole = (tmp_path / "clip.avi").read_bytes()
    (tmp_path / "clip.avi").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.avi").write_bytes(b"RIFF")
    for name in ("clip", "other"):
        with pytest.raises(UserError, match=rf"{name}.avi: \d+ of \d+ frames can be decoded"):
            write_frames(tmp_path / f"{name}.avi")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.avi", "other.avi"]
    with pytest.raises(UserError, match="no videos"):
        (tmp_path / "empty").mkdir()
        main(tmp_path / "empty")
