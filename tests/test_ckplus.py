"""CK+ is read from the original tree and from CK+48, three last frames of each labelled sequence."""

import shutil

import pytest
from dataset_samples import ckplus_settings, draw, read, write_ckplus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.datasets.ckplus import CODES, parse_label
from mer_core.datasets.reading import list_subjects
from mer_core.errors import UserError

SEQUENCES = [("S005", "001", 11, 3), ("S010", "002", 9, 7), ("S010", "004", 12, None), ("S011", "001", 4, 5)]
LAST = [
    "S005_001_00000009", "S005_001_00000010", "S005_001_00000011",
    "S010_002_00000007", "S010_002_00000008", "S010_002_00000009",
    "S011_001_00000002", "S011_001_00000003", "S011_001_00000004",
]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("cohn-kanade-images", "Emotion"),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
        ("图 像", "emotions"),
        (".", "Emotion"),
    ],
)
def test_every_parent_folder(tmp_path, images, labels):
    root = tmp_path / "CK+ 数据"
    write_ckplus(root, SEQUENCES, images, labels)
    (root / labels / "S010" / "004").mkdir(parents=True)
    samples, defects = read(root, ckplus_settings())
    used = samples[samples.included]
    assert used.index.tolist() == LAST
    assert used.label.tolist() == ["disgust"] * 3 + ["surprise"] * 3 + ["happy"] * 3
    assert used.subject.tolist() == ["S005"] * 3 + ["S010"] * 3 + ["S011"] * 3
    assert used.onset.eq(1).all() and used.apex_source.eq("annotated").all(), "from the neutral first frame"
    assert (used.apex == used.frame_path.str.extract(r"_(\d+)\.png")[0].astype(int)).all()
    assert all((root / path).is_file() for path in used.frame_path)
    assert samples.reason["S010_004"] == "sequence without a label"
    assert set(defects.defect) == {"one_class_subject"}


def test_number_of_last_frames(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    assert read(tmp_path, ckplus_settings(last_frames=1))[0].included.sum() == 3
    samples, defects = read(tmp_path, ckplus_settings(last_frames=6))
    assert samples.included.sum() == 6 + 6 + 4
    assert defects[defects.defect == "short_sequence"].row.tolist() == ["ckplus/S011_001"]


def test_the_root_may_be_the_image_folder(tmp_path):
    write_ckplus(tmp_path, SEQUENCES, "images/cohn-kanade-images", "Emotion_labels/Emotion")
    for root in (tmp_path / "images", tmp_path / "images" / "cohn-kanade-images"):
        samples, _ = read(root, ckplus_settings())
        assert samples[samples.included].index.tolist() == LAST
        assert all((root / path).is_file() for path in samples[samples.included].frame_path)


def write_ck48(root, counts):
    """Class folders of single frames; `counts`: (label, subject, number, frame numbers) each."""
    for label, subject, number, frames in counts:
        for frame in frames:
            draw(root / label / f"{subject}_{number}_{frame:08d}.png", size=(48, 48))


def test_ck48(tmp_path):
    anger, happy = ("anger", "S010", "004", [17, 18, 19]), ("Happy", "S010", "006", [9, 10, 11])
    write_ck48(tmp_path / "CK+48", [anger, happy, ("fear", "S011", "003", [99, 100, 101])])
    for root in (tmp_path, tmp_path / "CK+48"):
        samples, defects = read(root, ckplus_settings())
        assert samples.included.all()
        assert samples.label.tolist() == ["anger"] * 3 + ["happy"] * 3 + ["fear"] * 3
        assert samples.index[6:].tolist() == ["S011_003_00000099", "S011_003_00000100", "S011_003_00000101"]
        assert samples.subject.unique().tolist() == ["S010", "S011"]
        assert samples.onset.isna().all(), "there is no neutral frame"
        assert defects.defect.tolist() == ["one_class_subject"]
    samples, _ = read(tmp_path, ckplus_settings(last_frames=1))
    assert samples.index.tolist() == ["S010_004_00000019", "S010_006_00000011", "S011_003_00000101"]


def test_a_sequence_in_two_classes_is_left_out(tmp_path):
    twice = [("anger", "S010", "004", [17, 18, 19]), ("fear", "S010", "004", [17])]
    write_ck48(tmp_path, [*twice, ("happy", "S011", "001", [3])])
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples[samples.included].subject.tolist() == ["S011"]
    assert defects.defect[0] == "conflicting_annotation"
    assert "anger in anger" in defects.action[0]


def test_the_original_is_preferred_to_ck48(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    write_ck48(tmp_path / "CK+48", [("disgust", "S005", "001", [9, 10, 11])])
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples[samples.included].frame_path.str.startswith("cohn-kanade-images/").all()
    place = defects[defects.defect == "unused_place"].iloc[0]
    assert (place.file, place.action) == ("CK+48", "cohn-kanade-images is used for the 1 sequences of both")


def test_frames_without_any_label_are_refused(tmp_path):
    write_ckplus(tmp_path, [("S005", "001", 4, None)])
    with pytest.raises(UserError, match=r"unzip Emotion_labels\.zip"):
        read(tmp_path, ckplus_settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no frames"):
        read(tmp_path / "empty", ckplus_settings())


def test_stray_files_are_no_defect(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    for place in (".", "cohn-kanade-images", "cohn-kanade-images/S005/001", "Emotion", "Emotion/S005/001"):
        for name in (".DS_Store", "Thumbs.db", "ReadMe.txt", "._S005_001_00000012.png"):
            (tmp_path / place / name).write_bytes(b"x")
    for folder in ("Landmarks", "FACS"):
        shutil.copytree(tmp_path / "Emotion", tmp_path / folder)
        for file in (tmp_path / folder).rglob("*_emotion.txt"):
            file.rename(file.with_name(file.name.replace("emotion", folder.lower())))
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples[samples.included].index.tolist() == LAST
    assert set(defects.defect) == {"one_class_subject"}


def label_file(root, text, stem="S005_001_00000011"):
    file = root / "Emotion" / "S005" / "001" / f"{stem}_emotion.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


@given(code=st.integers(0, 7), before=st.text(" \t\n\r", max_size=4), after=st.text(" \t\n\r", max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_however_they_are_written(tmp_path, code, before, after):
    for text in (f"{code:.7e}", f"{code}", f"{code}.0"):
        assert parse_label(label_file(tmp_path, before + text + after)) == CODES[code]


@given(st.text(max_size=20))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_label_or_none(tmp_path, text):
    label = parse_label(label_file(tmp_path, text.encode("utf-8", "replace").decode()))
    assert label is None or CODES[int(float(text))] == label


@pytest.mark.parametrize("text", ["", "8", "-1", "3.5", "nan", "inf", "happy", "3 4", "3\0", "x" * 10**6])
def test_a_bad_label_file_costs_its_sequence_only(tmp_path, text):
    write_ckplus(tmp_path, SEQUENCES)
    label_file(tmp_path, text)
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples[samples.included].index.tolist() == LAST[3:]
    assert defects[["row", "defect", "severity"]].to_numpy().tolist()[0] == [
        "ckplus/S005_001",
        "bad_label_file",
        "error",
    ]


def test_the_labelled_peak_must_be_there(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    (tmp_path / "cohn-kanade-images/S005/001/S005_001_00000011.png").unlink()
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.reason["S005_001"] == "missing_apex_frame: frame 11, which is labelled"
    assert defects.defect[0] == "missing_apex_frame"


def test_gaps_count_among_the_last_frames_only(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    images = tmp_path / "cohn-kanade-images"
    (images / "S005/001/S005_001_00000002.png").unlink()
    (images / "S010/002/S010_002_00000008.png").unlink()
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.sum() == 9
    assert defects[defects.defect == "frame_gaps"].row.tolist() == ["ckplus/S010_002"]


def test_labels_without_frames(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    shutil.rmtree(tmp_path / "cohn-kanade-images/S005")
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.reason["S005_001"].startswith("annotation_without_frames")
    assert defects.defect[0] == "annotation_without_frames"


def test_two_label_files_that_disagree(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    label_file(tmp_path, "4", "S005_001_00000010")
    samples, defects = read(tmp_path, ckplus_settings())
    assert not samples.included["S005_001"]
    assert defects.defect[0] == "conflicting_annotation"


def test_links_out_of_the_root_are_not_followed(tmp_path):
    root = tmp_path / "root"
    write_ckplus(root, SEQUENCES)
    images = root / "cohn-kanade-images"
    (images / "S010").rename(tmp_path / "S010")
    (images / "S010").symlink_to(tmp_path / "S010")
    peak = images / "S005/001/S005_001_00000011.png"
    peak.rename(tmp_path / "peak.png")
    peak.symlink_to(tmp_path / "peak.png")
    samples, defects = read(root, ckplus_settings())
    assert samples[samples.included].subject.unique().tolist() == ["S011"]
    assert defects.defect.tolist()[:3] == ["missing_apex_frame", "annotation_without_frames", "leaves_root"]


def test_unlabelled_subjects_do_not_stop_the_run(tmp_path):
    write_ckplus(tmp_path, [*SEQUENCES, ("S012", "001", 3, None)])
    settings = ckplus_settings(subjects=["S005", "S010", "S011", "S012"])
    _, defects = read(tmp_path, settings)
    assert set(zip(defects.defect, defects.severity, strict=True)) == {
        ("unlabelled_subject", "warning"),
        ("one_class_subject", "warning"),
    }


def test_subjects_are_those_with_something_to_use(tmp_path):
    write_ckplus(tmp_path, [*SEQUENCES, ("S012", "001", 3, None), ("S013", "001", 3, 0)])
    assert list_subjects("ckplus", ckplus_settings(), tmp_path) == ["S005", "S010", "S011"]
    classes = ckplus_settings().classes | {"neutral": "neutral"}
    assert list_subjects("ckplus", ckplus_settings(classes=classes), tmp_path)[-1] == "S013"


def test_a_peak_apart_from_the_neutral_frame_is_used_without_motion(tmp_path):
    write_ckplus(tmp_path, SEQUENCES)
    home = tmp_path / "cohn-kanade-images/S005/001"
    apart = tmp_path / "part2/S005/001"
    apart.mkdir(parents=True)
    last = max(home.iterdir())
    last.rename(apart / last.name)
    samples, defects = read(tmp_path, ckplus_settings())
    assert samples.included.sum() == 9, "joined"
    assert samples[samples.subject == "S005"].onset.isna().tolist() == [False, False, True]
    [told] = defects[defects.defect == "missing_onset_frame"].iloc
    assert "frame 1 lies in cohn-kanade-images/S005/001; for motion put all into one folder" in told.action
