"""Files that people stumble on, in made-up miniatures: a right result, or the defect by its name."""

import shutil

import pytest
from dataset_samples import casme2_settings, draw, read, write_casme2
from test_samm import ROWS as SAMM_ROWS
from test_samm import kinds, samm, write_samm, write_table

# Subject, clip, onset, apex, offset, action units, label.
CLIPS = [
    ("01", "EP01", 6, 8, 12, 4, "happiness"),
    ("01", "EP02", 6, "/", 12, 4, "disgust"),
    ("02", "EP03", 6, 6, 12, 4, "surprise"),
    ("02", "EP04", 6, 12, 12, 4, "others"),
]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("drop", ["EP01"]),
        ("keep", ["EP01", "EP03", "EP04"]),
        ("keep_later", ["EP01", "EP04"]),
        ("spot", ["EP01", "EP02", "EP03", "EP04"]),
    ],
)
def test_the_rules_for_an_apex_that_is_no_frame_inside(tmp_path, rule, kept):
    write_casme2(tmp_path, CLIPS)
    samples, _ = read(tmp_path, casme2_settings(missing_apex=rule))
    assert samples["clip"][samples.included].tolist() == kept


@pytest.mark.parametrize("cell", ["/", "\\", None, -1, "n.a."])
def test_the_apex_that_is_no_number(tmp_path, cell):
    write_samm(tmp_path, [(*SAMM_ROWS[0][:3], cell, *SAMM_ROWS[0][4:]), *SAMM_ROWS[1:]])
    samples, defects = read(tmp_path, samm())
    assert samples.apex_source["006/006_1_2"] == "none"
    assert kinds(defects) == ["missing_apex"]


@pytest.mark.parametrize(
    ("interval", "kind"),
    [
        ((20, 25, 0), "impossible_interval"),
        ((12, 13, 12), "impossible_interval"),
        ((83, 90, 90), "degenerate_apex"),
        ((83, 200, 90), "apex_outside"),
        ((2, 86, 34600), "frame_gaps"),
    ],
)
def test_intervals_that_cannot_be(tmp_path, interval, kind):
    write_samm(tmp_path)
    rows = [SAMM_ROWS[0], (*SAMM_ROWS[1][:2], *interval, *SAMM_ROWS[1][5:]), *SAMM_ROWS[2:]]
    table = tmp_path / "SAMM" / "SAMM_Micro_FACS_Codes_v2.xlsx"
    write_table(table, rows)
    _, defects = read(tmp_path, samm())
    assert kind in kinds(defects)
    assert (kind == "impossible_interval") == ("error" in set(defects.severity))


def test_mixed_padding_and_holes(tmp_path):
    write_samm(tmp_path)
    folder = tmp_path / "SAMM" / "006" / "006_1_3"
    (folder / "006_00084.jpg").rename(folder / "006_84.jpg")
    (folder / "006_00088.jpg").unlink()
    (folder / "006_0086.jpg").write_bytes((folder / "006_00087.jpg").read_bytes())
    samples, defects = read(tmp_path, samm())
    assert not samples.included["006/006_1_3"], "two files that differ would do for the apex"
    assert kinds(defects) == ["ambiguous_apex_frame", "ambiguous_frames"]


def test_files_that_an_open_spreadsheet_and_a_desktop_leave(tmp_path):
    write_samm(tmp_path)
    (tmp_path / "SAMM" / "~$SAMM_Micro_FACS_Codes_v2.xlsx").write_bytes(b"lock")
    (tmp_path / "SAMM" / "006" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "SAMM" / ".DS_Store").write_bytes(b"x")
    samples, defects = read(tmp_path, samm())
    assert samples.included.sum() == 3
    assert kinds(defects) == []


@pytest.mark.parametrize("place", ["#recycle/SAMM", "$RECYCLE.BIN/S-1", "lost+found", "#snapshot/daily/x"])
def test_what_shares_and_systems_keep_is_no_copy(tmp_path, place):
    write_samm(tmp_path)
    expected, _ = read(tmp_path, samm())
    shutil.copytree(tmp_path / "SAMM", tmp_path / "kept")
    for path in [*(tmp_path / "kept").rglob("*.jpg")]:
        draw(path)
        beside = tmp_path / "SAMM" / path.relative_to(tmp_path / "kept").parent
        draw(beside / "@eaDir" / path.name / "SYNOFILE_THUMB_1.jpg")
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "kept").rename(tmp_path / place)
    samples, defects = read(tmp_path, samm())
    assert samples.equals(expected)
    assert kinds(defects) == []
