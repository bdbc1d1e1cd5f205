"""Every kind of defect is documented, found, and handled with the severity that is asked for."""

import ast
import os
import re
import shutil
import zlib
from pathlib import Path

import pandas as pd
import pytest
from dataset_samples import (
    ROWS,
    casme2_settings,
    ckplus_settings,
    draw,
    read,
    write_casme2,
    write_ckplus,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.csvs import read_csv, write_csv
from mer_core.datasets import ckplus, doctor
from mer_core.datasets.defects import COLUMNS, DEFECTS, SEVERITIES, Findings
from mer_core.datasets.manifest import assemble
from mer_core.datasets.reading import published
from mer_core.errors import UserError

ROOT = Path(__file__).parent.parent
APEX = "CASME2_RAW_selected/sub01/EP02_01f/img8.jpg"


def test_the_documented_kinds_are_those_there_are():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert {kind: (severity, meaning) for kind, severity, meaning in rows} == DEFECTS


def kinds_found():
    """What the code hands to `Findings.add` and `leave_out` as the kind, by name or through a variable."""
    for path in (ROOT / "mer_core" / "datasets").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            for call in calls:
                match call:
                    case ast.Call(ast.Attribute(ast.Name("findings"), "add"), [kind, *_]):
                        yield from texts(kind, function)
                    case ast.Call(ast.Attribute(ast.Name("findings"), "leave_out"), [_, kind, *_]):
                        yield from texts(kind, function)


def texts(node, function):
    """The texts that an expression may be, with those that its variable is bound to."""
    if not isinstance(node, ast.Name):
        yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
        return
    for part in ast.walk(function):
        targets = getattr(part, "targets", [getattr(part, "target", ast.Pass())])
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        if node.id in names:
            value = part.iter if isinstance(part, ast.For | ast.comprehension) else part.value
            constants = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
            yield from (
                text for text in constants if isinstance(text, str) and re.fullmatch(r"[a-z_]+", text)
            )


def test_every_kind_is_used_and_no_other():
    found = set(kinds_found())
    assert found == DEFECTS.keys()
    assert {severity for severity, _ in DEFECTS.values()} == set(SEVERITIES)


def test_severities_can_be_changed(tmp_path):
    write_casme2(tmp_path)
    shutil.rmtree(tmp_path / "CASME2_RAW_selected" / "sub01" / "EP02_01f")
    default = read(tmp_path, casme2_settings())
    changed = read(tmp_path, casme2_settings(), annotation_without_frames="warning")
    assert default[1].severity.tolist() == ["error", "warning"]
    assert changed[1].severity.tolist() == ["warning", "warning"]
    pd.testing.assert_frame_equal(default[0], changed[0])
    assert set(default[1].columns) == set(COLUMNS)


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"doctor.severity.frame_gap: .* did you mean 'frame_gaps'\?"):
        Findings({"frame_gap": "error"})
    with pytest.raises(UserError, match="known: bad_name, "):
        Findings({"xyzzy": "error"})


def test_errors_stop_and_warnings_do_not(tmp_path):
    write_casme2(tmp_path)
    shutil.rmtree(tmp_path / "CASME2_RAW_selected" / "sub01" / "EP02_01f")
    _, defects = read(tmp_path, casme2_settings())
    with pytest.raises(UserError) as caught:
        doctor.stop_on_errors(defects, "casme2.defects.csv")
    first, last = str(caught.value).splitlines()
    assert first == (
        "casme2.defects.csv: casme2/sub01/EP02_01f CASME2_RAW_selected: annotation_without_frames: "
        "left out: no folder of frames"
    )
    assert "1 error(s) in the data" in last
    assert "doctor.severity: {annotation_without_frames: warning}" in last
    doctor.stop_on_errors(defects[defects.severity != "error"], "casme2.defects.csv")


def test_many_errors_are_cut_short():
    findings = Findings({})
    for number in range(300):
        findings.add("bad_name", f"left out: {number}")
    with pytest.raises(UserError) as caught:
        doctor.stop_on_errors(findings.table(), "x")
    assert len(str(caught.value).splitlines()) == 11


def test_defects_survive_the_disk(tmp_path):
    findings = Findings({})
    findings.add("frame_gaps", "kept, \"quoted\"; 'twice'", row="casme2/sub01/x", file="数据/x")
    findings.add("bad_name", "left out")
    write_csv(findings.table(), tmp_path / "d.csv")
    again = read_csv(tmp_path / "d.csv")
    pd.testing.assert_frame_equal(again, findings.table())
    assert again.defect.tolist() == ["bad_name", "frame_gaps"]
    write_csv(Findings({}).table(), tmp_path / "none.csv")
    doctor.stop_on_errors(read_csv(tmp_path / "none.csv"), "none.csv")


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])


def png_chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def bomb(path):
    header = (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b""))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "damaged image"),
        (lambda path: path.write_bytes(b""), "not a JPEG, PNG, BMP, TIFF image"),
        (lambda path: path.write_text("<html>"), "not a JPEG, PNG, BMP, TIFF image"),
        (bomb, "more than 50,000,000 pixels"),
    ],
    ids=["truncated", "empty", "text", "bomb"],
)
def test_unreadable_images_are_left_out(tmp_path, damage, message):
    write_casme2(tmp_path)
    damage(tmp_path / APEX)
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.tolist() == [False, True, True, True]
    found = defects[defects.defect == "unreadable_image"].iloc[0]
    assert (found.row, found.file, found.severity) == ("casme2/sub01/EP02_01f", APEX, "error")
    assert message in found.action
    assert str(tmp_path) not in found.action


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.binary(min_size=1, max_size=8))
def test_damaged_images_are_used_or_left_out(tmp_path, place, value):
    if not (tmp_path / APEX).exists():
        write_casme2(tmp_path)
        (tmp_path / "whole").write_bytes((tmp_path / APEX).read_bytes())
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / APEX).write_bytes(data[:place] + value + data[place + len(value) :])
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.iloc[0] == ("unreadable_image" not in set(defects.defect))


def test_copies_under_two_samples_are_noted(tmp_path):
    write_casme2(tmp_path)
    other = "CASME2_RAW_selected/sub02/EP01_2/img7.jpg"
    shutil.copy(tmp_path / APEX, tmp_path / other)
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert defects.to_numpy().tolist() == [
        [
            "casme2/sub02/EP01_2",
            other,
            "duplicate_image",
            "warning",
            "both kept; the same bytes as casme2/sub01/EP02_01f",
        ]
    ]


def test_subjects_are_held_against_the_configuration(tmp_path):
    write_casme2(tmp_path)
    samples, defects = read(tmp_path, casme2_settings(["sub02", "sub03"]))
    assert samples[samples.included].subject.unique().tolist() == ["sub02"]
    assert samples.reason["sub01/EP02_01f"] == "unlisted_subject: not in the configuration"
    remedy = "to use what is on disk, write datasets.casme2.subjects: [sub01, sub02]"
    assert defects[["defect", "severity", "action"]].to_numpy().tolist() == [
        ["unlisted_subject", "error", f"left out: sub01; {remedy}"],
        ["absent_subject", "error", f"nothing to use of sub03; {remedy}"],
    ]
    _, defects = read(tmp_path, casme2_settings(None))
    assert "nothing to use of sub03, sub04," in defects.action[0]
    assert read(tmp_path, casme2_settings(None, root="simulated"))[1].empty


def test_subjects_of_one_class(tmp_path):
    write_casme2(tmp_path, [(*ROWS[0][:-1], "disgust"), *ROWS[1:]])
    _, defects = read(tmp_path, casme2_settings())
    assert defects.defect.tolist() == ["one_class_subject"]
    assert defects.action[0].startswith("kept: sub01 (disgust);")


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    write_casme2(tmp_path)

    def refuse(folder):
        if Path(folder).name == "EP02_01f":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    scandir = os.scandir
    monkeypatch.setattr("mer_core.datasets.frames.os.scandir", refuse)
    with pytest.raises(UserError, match=r"EP02_01f: cannot be read \(Permission denied\)"):
        read(tmp_path, casme2_settings())


def summary(root, settings):
    samples, defects = read(root, settings)
    return doctor.summarize(samples, defects, settings, published(settings))


def test_summary_of_casme2(tmp_path):
    write_casme2(
        tmp_path,
        [*ROWS[:3], ("02", "EP09f", 9, "/", 11, "R2+15", "surprise"), ("02", "EP10", 1, 2, 3, 1, "fear")],
    )
    draw(tmp_path / "CASME2_RAW_selected" / "sub02" / "EP20" / "img1.jpg")
    assert summary(tmp_path, casme2_settings()).splitlines() == [
        "casme2: 4 samples of 2 subjects, frames in CASME2_RAW_selected",
        "",
        "class                     here  published",
        "happiness                    1         32",
        "disgust                      1         63",
        "repression                   0         27",
        "surprise                     1         25",
        "others                       1         99",
        "all                          4        246",
        "",
        "subject here/published",
        "  sub01 2/9   sub02 2/13",
        "",
        "apex: annotated (3), to be spotted (1)",
        "",
        "left out: label 'fear' is mapped to null (1)",
        "",
        "defects:",
        "  warning     1  missing_apex: The apex is not annotated; the rule `missing_apex` applies.",
        "  warning     1  frames_without_annotation: A folder of frames that no annotation mentions.",
    ]


def test_summary_of_ckplus(tmp_path):
    write_ckplus(tmp_path, [("S005", "001", 11, 3), ("S005", "002", 9, 7), ("S010", "004", 12, None)])
    lines = summary(tmp_path, ckplus_settings()).splitlines()
    assert lines[0] == (
        "ckplus: 6 samples of 1 subjects, the last 3 frames of 2 of 3 sequences, "
        "frames in cohn-kanade-images/S005"
    )
    assert "disgust                      3        177" in lines
    assert "all                          6        981" in lines
    assert "left out: sequence without a label (1)" in lines
    assert lines[-1] == "defects: none"


def test_published_counts_follow_the_class_map(tmp_path):
    write_casme2(tmp_path)
    classes = {
        "disgust": "negative",
        "repression": "negative",
        "happiness": "positive",
        "surprise": "surprise",
    }
    text = summary(tmp_path, casme2_settings(classes=classes | {"others": None}))
    assert "negative                     1         90" in text
    assert "subject here\n  sub01 2  sub02 1\n" in text


def test_summary_shows_errors_and_keeps_to_a_screen(tmp_path):
    rows = [(f"{number:02d}", "EP01", 1, 2, 3, "4", "x" * 5000) for number in range(1, 27)]
    write_casme2(tmp_path, [*rows, *ROWS])
    text = summary(tmp_path, casme2_settings(None))
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= doctor.WIDTH
    assert "  error      26  unknown_label" in text
    assert "  casme2/sub01/EP01: left out: label 'xxx" in text


def test_summary_of_nothing():
    text = doctor.summarize(
        assemble([]), Findings({}).table(), casme2_settings(), published(casme2_settings())
    )
    assert "casme2: 0 samples of 0 subjects\n" in text
    assert "sub01 0/9" in text


def test_published_numbers_agree_with_each_other():
    known = published(casme2_settings())
    assert sum(known.labels.values()) == 255
    [(labels, clips)] = known.clips_per_subject.items()
    assert sum(clips) == sum(known.labels[label] for label in labels) == 246
    assert len(clips) == len(known.subjects) == 26
    assert sum(ckplus.PUBLISHED.labels.values()) == 327
