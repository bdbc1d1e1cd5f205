"""Oulu-CASIA: the last frames of each sequence of one camera in one light."""

import pytest
from dataset_samples import draw, read

from mer_core.config.layouts.oulu_casia import OuluCasia
from mer_core.config.simulation import Simulation
from mer_core.datasets import doctor
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError
from mer_core.simulation.writers import simulate

CLASSES = {name: name for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")}


def oulu(**changes):
    return OuluCasia.model_validate(
        {"layout": "oulu_casia", "root": "own", "classes": CLASSES, "subjects": None} | changes
    )


def write(root, sequences, tree="OriginalImg/VL/Strong", frames=range(5)):
    for sequence in sequences:
        for frame in frames:
            draw(root / tree / sequence / f"{frame:03d}.jpeg")


@pytest.mark.parametrize("inside", [".", "B_OriginalImg", "B_OriginalImg/VL", "B_OriginalImg/VL/Strong"])
def test_last_frames_of_one_camera_and_light(tmp_path, inside):
    write(tmp_path, ["P012/Anger", "P002/Happiness"], "B_OriginalImg/VL/Strong")
    for other in ("VL/Weak", "VL/Dark", "NI/Strong"):
        write(tmp_path, ["P012/Anger", "P099/Fear"], f"B_OriginalImg/{other}")
    samples, defects = read(tmp_path / inside, oulu())
    assert samples.index.tolist() == [f"P{who}/{number:03d}" for who in ("002/happiness", "012/anger")
                                      for number in (2, 3, 4)]  # fmt: skip
    assert samples.included.all() and samples.subject.unique().tolist() == ["P002", "P012"]
    assert samples.label.tolist() == ["happiness"] * 3 + ["anger"] * 3
    assert samples.onset.eq(0).all() and samples.apex.tolist() == [2, 3, 4] * 2, "from the neutral frame"
    assert samples.fps.eq(25).all()
    assert samples.frame_path.str.endswith(("002.jpeg", "003.jpeg", "004.jpeg")).all()
    assert set(defects.defect) == {"one_class_subject"}
    assert list_subjects("oulu", oulu(), tmp_path / inside) == ["P002", "P012"]


def test_what_is_not_there_is_said_with_what_is(tmp_path):
    write(tmp_path, ["P012/Anger"], "OriginalImg/NI/Dark")
    with pytest.raises(UserError, match=r"no frames of VL in Strong there .*those of camera: NI; write one"):
        read(tmp_path, oulu())
    with pytest.raises(UserError, match=r"those of light: Dark; write one"):
        read(tmp_path, oulu(camera="NI"))
    assert read(tmp_path, oulu(camera="NI", light="Dark"))[0].included.all(), "as the messages say"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="give the folder of your copy"):
        read(tmp_path / "empty", oulu())


def test_folders_that_no_name_places_are_told(tmp_path):
    write(tmp_path, ["P001/Anger", "P002 (1)/Fear", "003/Anger", "P004_/Anger", "P005/Anger/seq1"])
    write(tmp_path, ["003/Anger"], "OriginalImg/VL/Dark")
    samples, defects = read(tmp_path, oulu())
    assert samples.subject.unique().tolist() == ["P001", "P002"]
    told = defects[defects.defect == "frames_without_annotation"]
    tree = "OriginalImg/VL/Strong"
    assert told.file.tolist() == [
        f"{tree}/{place}" for place in ("003/Anger", "P004_/Anger", "P005/Anger/seq1")
    ]
    assert told.action.str.startswith("not used: 5 frames, in no folder named as in OriginalImg/VL").all()


def test_whole_pictures_are_preferred_and_lost_ones_taken_from_the_crops(tmp_path):
    write(tmp_path, ["P001/Anger", "P002/Fear"])
    write(tmp_path, ["P001/Anger", "P002/Fear", "P003/Sadness"], "PreProcess_Img/VL_Acropped/Strong")
    samples, defects = read(tmp_path, oulu())
    tree = samples.frame_path.str.split("/").str[0]
    assert tree.tolist() == ["OriginalImg"] * 6 + ["PreProcess_Img"] * 3
    found = defects.set_index("defect").action
    assert found["mixed_kinds"] == "1 sequences that are not there as whole: P003/sadness"
    assert (defects.defect == "unused_place").sum() == 2
    samples, defects = read(tmp_path, oulu(frames="cropped"))
    assert samples.frame_path.str.startswith("PreProcess_Img/").all()
    assert "unused_place" not in set(defects.defect)


def test_sequences_in_two_parts_of_a_download_are_joined(tmp_path):
    write(tmp_path, ["P001/Anger"], "part1/VL/Strong", range(6))
    write(tmp_path, ["P001/Anger"], "part2/VL/Strong", range(6, 8))
    write(tmp_path, ["P002/Fear"], "part1/VL/Strong", range(5))
    write(tmp_path, ["P002/Fear"], "part2/VL/Strong", range(4, 7))
    samples, defects = read(tmp_path, oulu())
    anger = samples[samples.label == "anger"]
    assert anger.frame_path.str.split("/").str[0].tolist() == ["part1", "part2", "part2"]
    assert anger.frame_path.str[-8:-5].tolist() == ["005", "006", "007"]
    assert anger.onset.isna().tolist() == [False, True, True], "a clip is read from one folder"
    found = defects.set_index("defect")
    assert "frame 0 lies in part1/VL/Strong/P001/Anger; for motion put" in found.action["missing_onset_frame"]
    assert found.action["unused_frames"].endswith("P002/Fear is used; frames that lack there: 5, 6")
    assert "unused_place" not in found.index


def test_holes_and_short_sequences(tmp_path):
    write(tmp_path, ["P001/Anger"], frames=[0, 1, 2, 4, 5])
    write(tmp_path, ["P001/Fear"], frames=[3, 4, 5, 6])
    write(tmp_path, ["P002/Fear"], frames=[0, 1])
    write(tmp_path, ["P002/Neutral"])
    samples, defects = read(tmp_path, oulu())
    found = defects.groupby("defect").row.agg(list)
    assert found["frame_gaps"] == ["oulu_casia/P001/anger"]
    assert found["missing_onset_frame"] == ["oulu_casia/P001/fear"]
    assert found["short_sequence"] == ["oulu_casia/P002/fear"]
    assert len(found["unknown_label"]) == 3
    used = samples[samples.included]
    assert used.onset.isna().tolist() == [False] * 3 + [True] * 3 + [True, False], "neutral is no motion"


def test_the_simulated_copy_reads_back(tmp_path):
    settings = Simulation(size="tiny", faces="packaged", frames="key", casme2_tree="cropped",
                          micro_strength=0.5, seed=0)  # fmt: skip
    simulate("oulu_casia", tmp_path / "oulu", settings)
    section = oulu(root="simulated")
    samples, defects = read(tmp_path / "oulu", section)
    assert defects.empty and samples.included.all()
    assert samples.groupby(["subject", "label"]).size().tolist() == [3] * 24
    assert samples.onset.eq(0).all()
    summary = doctor.summarize(samples, defects, section, published(section))
    assert "anger" in summary and "240" in summary, "80 sequences, three frames each"
