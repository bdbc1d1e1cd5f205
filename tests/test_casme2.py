"""CASME II is read in every form that copies of it have."""

import datetime
import shutil

import openpyxl
import pandas as pd
import pytest
from dataset_samples import (
    HEADER,
    ROWS,
    WORKBOOK,
    casme2_settings,
    draw,
    read,
    write_casme2,
    write_frames,
    write_workbook,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.datasets.clips import clip_frames
from mer_core.datasets.manifest import is_to_be_spotted
from mer_core.datasets.reading import list_subjects, published
from mer_core.errors import UserError

APEXES = {"sub01/EP02_01f": 8, "sub01/EP03_02": 101, "sub02/EP01_2": 7, "sub02/EP09f": 10}


def row(number="01", clip="EP02_01f", onset=6, apex=8, offset=12, units="4", label="happiness"):
    return number, clip, onset, apex, offset, units, label


@pytest.fixture
def one(tmp_path):
    """A function that reads a copy with one clip, whose frames are 6 to 12."""

    def read_one(*rows, **changes):
        write_workbook(tmp_path / WORKBOOK, rows)
        write_frames(tmp_path / "Cropped", [row()], "reg_img{}.jpg")
        return read(tmp_path, casme2_settings(["sub01"], **changes))

    return read_one


@pytest.mark.parametrize(
    ("tree", "name", "subject"),
    [
        ("CASME2_RAW/CASME2-RAW", "img{}.jpg", "sub{}"),
        ("CASME2_RAW_selected", "img{}.jpg", "sub{}"),
        ("CASME2_RAW_selected/CASME2_RAW_selected", "img{}.jpg", "sub{}"),
        ("Cropped", "reg_img{}.jpg", "sub{}"),
        ("Cropped/Cropped", "reg_img{:04d}.JPG", "Sub{}"),
        ("Cropped-updated/Cropped", "reg_img{}.jpg", "{}"),
        ("Cropped", "reg_img{}.png", "{:.1}{:.0}"),
        ("CASME2_preprocessed_small_Li Xiaobai/Cropped", "reg_img{}.jpg", "sub{}"),
        ("数据 集/选择", "图{}.jpg", "sub{}"),
        (".", "img{}.jpg", "sub{}"),
    ],
)
def test_every_tree(tmp_path, tree, name, subject):
    root = tmp_path / "CASME II 微表情"
    write_workbook(root / WORKBOOK)
    rows = [(str(int(number)) if subject == "{:.1}{:.0}" else number, *rest) for number, *rest in ROWS]
    write_frames(root / tree, rows, name, subject.replace("{:.1}{:.0}", "{}"))
    samples, defects = read(root, casme2_settings())
    assert samples.included.all()
    assert samples.apex.to_dict() == APEXES
    assert samples.apex_source.eq("annotated").all()
    assert defects.defect.tolist() == []
    for sample in samples.itertuples():
        assert (root / sample.frame_path).is_file()
        assert sample.frame_path.endswith(name.format(sample.apex))
        assert list(clip_frames(root, pd.Series(sample._asdict()))) == list(
            range(sample.onset, sample.offset + 1)
        )


def test_the_root_may_be_a_folder_inside(tmp_path):
    write_casme2(tmp_path, tree="Cropped/Cropped")
    for root in (tmp_path, tmp_path / "Cropped", tmp_path / "Cropped" / "Cropped"):
        samples, _ = read(root, casme2_settings())
        assert samples.included.sum() == 4
        assert all((root / path).is_file() for path in samples.frame_path)


def test_the_root_may_be_a_link(tmp_path):
    write_casme2(tmp_path / "far away")
    (tmp_path / "here").symlink_to(tmp_path / "far away")
    assert read(tmp_path / "here", casme2_settings())[0].included.all()


def test_a_root_named_like_a_subject_is_none(tmp_path):
    write_casme2(tmp_path / "2" / "1")
    assert read(tmp_path / "2", casme2_settings())[0].included.all()


def csv_text(separator=",", header=HEADER):
    lines = [header, *([a, b, None, c, d, e, None, f, g] for a, b, c, d, e, f, g in ROWS)]
    return "\n".join(separator.join("" if cell is None else str(cell) for cell in line) for line in lines)


@pytest.mark.parametrize("text", [csv_text(), "\ufeff" + csv_text(), csv_text(";"), csv_text("\t")])
def test_csv_saved_from_the_workbook(tmp_path, text):
    write_frames(tmp_path / "Cropped")
    (tmp_path / "CASME2-coding.csv").write_text(text, encoding="utf-8")
    assert read(tmp_path, casme2_settings())[0].apex.to_dict() == APEXES


def test_the_older_xls_with_seven_columns(tmp_path):
    import xlwt

    write_frames(tmp_path / "Cropped")
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    names = [name for name in HEADER if name is not None]
    for number, cells in enumerate([names, *ROWS]):
        for place, cell in enumerate(cells):
            sheet.write(number, place, cell)
    book.save(str(tmp_path / "CASME2_label_Ver_2.xls"))
    samples, _ = read(tmp_path, casme2_settings())
    assert samples.apex.to_dict() == APEXES
    assert samples.action_units.tolist() == ["12", "4+5+L10", "?", "R2+15"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(9)), st.randoms())
def test_order_and_case_of_the_header_do_not_matter(tmp_path, order, rng):
    if not (tmp_path / "Cropped").exists():
        write_frames(tmp_path / "Cropped")
    header = ["".join(rng.choice([c.upper(), c.lower()]) for c in name or "") for name in HEADER]
    lines = [line.split("|") for line in csv_text("|", header).splitlines()]
    lines[1:] = rng.sample(lines[1:], 4)
    text = "\n".join(",".join(line[place] for place in order) for line in lines)
    (tmp_path / "casme2.csv").write_text(text)
    assert read(tmp_path, casme2_settings())[0].apex.to_dict() == APEXES


def test_subjects_as_numbers_and_labels_in_any_case(one):
    samples, _ = one(row(1, label=" Happiness "))
    assert samples.label.to_dict() == {"sub01/EP02_01f": "happiness"}


def test_auto_prefers_the_whole_head_then_what_is_there(tmp_path):
    write_workbook(tmp_path / WORKBOOK)
    for tree in ("Cropped", "CASME2_RAW", "CASME2_RAW_selected"):
        write_frames(tmp_path / tree)
    auto = casme2_settings()
    assert read(tmp_path, auto)[0].frame_path.str.startswith("CASME2_RAW_selected/").all()
    (tmp_path / "CASME2_RAW_selected/sub01/EP02_01f/img8.jpg").unlink()
    paths = read(tmp_path, auto)[0].frame_path
    assert paths["sub01/EP02_01f"].startswith("CASME2_RAW/")
    assert paths.str.startswith("CASME2_RAW_selected/").sum() == 3, "one lost frame moves no other clip"
    for kind, folder in (("cropped", "Cropped/"), ("raw", "CASME2_RAW/")):
        assert read(tmp_path, casme2_settings(frames=kind))[0].frame_path.str.startswith(folder).all()


def test_the_release_whose_numbers_fit_is_chosen(tmp_path):
    write_workbook(tmp_path / WORKBOOK)
    moved = [
        (number, clip, onset + 40, apex + 40, offset + 40, *rest)
        for number, clip, onset, apex, offset, *rest in ROWS
    ]
    write_frames(tmp_path / "Cropped", moved)
    write_frames(tmp_path / "Cropped-updated" / "Cropped")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.frame_path.str.startswith("Cropped-updated/").all()
    assert defects[["defect", "file", "severity"]].to_numpy().tolist() == [
        ["unused_place", "Cropped", "ignore"]
    ]


def test_a_draw_between_trees_is_noted(tmp_path):
    write_casme2(tmp_path, tree="Cropped")
    write_frames(tmp_path / "Cropped-updated" / "Cropped")
    _, defects = read(tmp_path, casme2_settings())
    assert defects[["defect", "file"]].to_numpy().tolist() == [["ambiguous_frames", "Cropped"]]
    assert "Cropped-updated/Cropped" in defects.action[0]


def test_a_kind_that_is_not_there_is_refused(tmp_path):
    write_casme2(tmp_path, tree="Cropped")
    with pytest.raises(UserError, match=r"frames: no tree of kind 'raw' there, found cropped \(Cropped\)"):
        read(tmp_path, casme2_settings(frames="raw"))


APEX_CELLS = [
    ("/", "missing_apex"),
    (None, "missing_apex"),
    ("?", "missing_apex"),
    (6, "degenerate_apex"),
    (12, "degenerate_apex"),
    (5, "apex_outside"),
    (13, "apex_outside"),
]


@pytest.mark.parametrize(("cell", "kind"), APEX_CELLS)
def test_unusable_apexes_follow_the_rule(one, cell, kind):
    samples, defects = one(row(apex=cell), missing_apex="spot")
    assert defects[["defect", "severity"]].to_numpy().tolist()[0] == [kind, "warning"]
    sample = samples.loc["sub01/EP02_01f"]
    assert sample.included
    assert sample.apex is pd.NA
    assert sample.apex_source == "none"
    assert is_to_be_spotted(samples).all()

    sample = one(row(apex=cell), missing_apex="midpoint")[0].loc["sub01/EP02_01f"]
    assert (sample.apex, sample.apex_source, sample.frame_path) == (
        9,
        "midpoint",
        "Cropped/sub01/EP02_01f/reg_img9.jpg",
    )

    samples, defects = one(row(apex=cell), missing_apex="drop")
    assert not samples.included.any()
    assert samples.reason.str.startswith(f"{kind}: apex").all()
    found = defects[defects.defect == kind].iloc[0]
    assert (found.row, found.file) == ("casme2/sub01/EP02_01f", f"{WORKBOOK}:2")


@pytest.mark.parametrize("cell", ["8,0", "\uff18", datetime.date(1900, 1, 8)])
def test_an_apex_that_is_written_otherwise(one, cell):
    samples, defects = one(row(apex=cell))
    assert samples.apex.tolist() == [8]
    assert defects.defect.tolist() == ["one_class_subject"]


@pytest.mark.parametrize("cell", ["8 (?)", "8 or 9", "8.5"])
@pytest.mark.parametrize("rule", ["spot", "keep"])
def test_an_apex_that_is_told_is_not_replaced_by_another(one, cell, rule):
    samples, defects = one(row(apex=cell), missing_apex=rule)
    assert not samples.included.any()
    found = defects[defects.defect == "unreadable_apex"].iloc[0]
    assert (found.severity, found.file) == ("error", f"{WORKBOOK}:2")
    assert f"apex '{cell}'; write the number alone, or / where there is none" in found.action


def test_an_apex_that_is_a_formula_without_a_value(one):
    samples, defects = one(row(apex="=D2+2"))
    assert not samples.included.any()
    found = defects[defects.defect == "unreadable_apex"].iloc[0]
    assert "apex 'formula without a value: save it in Excel or LibreOffice (=D2+2)'" in found.action


def test_a_clip_to_be_spotted_finds_its_frames(tmp_path, one):
    samples, _ = one(row(apex="/"))
    frames = clip_frames(tmp_path, samples.iloc[0])
    assert {number: path.name for number, path in frames.items()} == {
        n: f"reg_img{n}.jpg" for n in range(6, 13)
    }


def test_clip_frames_keep_to_the_interval_and_the_folder(tmp_path):
    write_workbook(tmp_path / WORKBOOK)
    write_frames(tmp_path / "CASME2-RAW", [(number, clip, 1, 0, 110) for number, clip, *_ in ROWS[:2]])
    samples, _ = read(tmp_path, casme2_settings(["sub01"]))
    sample = samples.loc["sub01/EP03_02"]
    assert list(clip_frames(tmp_path, sample)) == [98, 99, 100, 101, 102, 103]
    for path in ("../x/1.jpg", "nothing/1.jpg"):
        with pytest.raises(UserError, match="folder is gone"):
            clip_frames(tmp_path / "CASME2-RAW", sample.where(sample.index != "frame_path", path))


def test_midpoint_takes_the_nearest_frame_there_is(tmp_path):
    write_workbook(tmp_path / WORKBOOK, [row(onset=10, apex="/", offset=20)])
    for frame in (10, 12, 16, 20):
        draw(tmp_path / "Cropped" / "sub01" / "EP02_01f" / f"img{frame}.jpg")
    samples, _ = read(tmp_path, casme2_settings(["sub01"], missing_apex="midpoint"))
    assert samples.apex.tolist() == [16]


@pytest.mark.parametrize(("onset", "offset"), [(12, 6), (6, 6), ("x", 12), (6, None), (-6, 12), ("6-12", 12)])
def test_impossible_intervals_are_left_out(one, onset, offset):
    samples, defects = one(row(onset=onset, offset=offset), row(clip="EP03"))
    assert not samples.loc["sub01/EP02_01f"].included
    assert defects.defect[0] == "impossible_interval"
    assert defects.severity[0] == "error"


def test_label_map(one):
    rows = [row(), row(clip="b", label="fear"), row(clip="c", label="other"), row(clip="d", label=None)]
    samples, defects = one(*rows)
    assert samples.included.tolist() == [True, False, False, False]
    assert samples.reason["sub01/b"] == "label 'fear' is mapped to null"
    assert samples.label_raw["sub01/b"] == "fear"
    assert defects[defects.defect == "unknown_label"].row.tolist() == ["casme2/sub01/c", "casme2/sub01/d"]
    assert "sub01/b" not in " ".join(defects.row)


def test_three_classes(tmp_path):
    write_casme2(tmp_path)
    classes = {
        "disgust": "negative",
        "repression": "negative",
        "happiness": "positive",
        "surprise": "surprise",
    }
    samples, _ = read(tmp_path, casme2_settings(classes=classes | {"others": None}))
    assert samples.label.tolist() == ["positive", "negative", "", "surprise"]


def test_what_stands_below_the_table_is_no_row(tmp_path):
    write_casme2(tmp_path)
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    for cells in ([], ["Note: sub04 EP12_01f has no apex"], [*[None] * 7, "total", 4]):
        book.active.append(cells)
    book.save(tmp_path / WORKBOOK)
    assert read(tmp_path, casme2_settings())[1].empty


def test_merged_cells_are_told_as_such(tmp_path):
    write_casme2(tmp_path)
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / WORKBOOK)
    _, defects = read(tmp_path, casme2_settings())
    assert defects.row[0] == "row 3"
    assert defects.action[0].endswith("clip 'EP03_02'; a merged cell? write the subject into every row")


HOSTILE = [
    "../../etc",
    "/etc/passwd",
    "..",
    "EP02_01f/../../../x",
    "EP02 01f",
    "$(touch x)",
    "a'b\"c",
    "C:\\x",
    "x" * 5000,
    "",
    "~",
    "-rf",
    "a\nb",
    "EP\u202e02",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_none_are_left_out(one, name):
    samples, defects = one(row(clip=name), row(f"01/{name}", "EP02_01f"), row(clip="EP02_01f"))
    assert samples.index.tolist() == ["sub01/EP02_01f"]
    assert samples.included.all()
    assert defects.defect.tolist() == ["bad_name", "bad_name", "one_class_subject"]
    assert defects.row.tolist() == ["row 2", "row 3", ""]
    assert defects.map(len).to_numpy().max() < 200


def test_links_out_of_the_root_are_not_followed(tmp_path):
    root = tmp_path / "root"
    write_casme2(root, tree="Cropped")
    (root / "Cropped" / "sub01" / "EP03_02").rename(tmp_path / "secret")
    (root / "Cropped" / "sub01" / "EP03_02").symlink_to(tmp_path / "secret")
    apex = root / "Cropped" / "sub01" / "EP02_01f" / "img8.jpg"
    apex.rename(tmp_path / "secret.jpg")
    apex.symlink_to(tmp_path / "secret.jpg")
    samples, defects = read(root, casme2_settings())
    assert samples.included.tolist() == [False, False, True, True]
    assert defects[["defect", "file"]].to_numpy().tolist() == [
        ["missing_apex_frame", "Cropped/sub01/EP02_01f"],
        ["annotation_without_frames", "Cropped"],
        ["leaves_root", "Cropped/sub01/EP03_02"],
        ["absent_subject", ""],
    ]


def test_case_and_blanks_of_folder_names_do_not_matter(tmp_path):
    write_casme2(tmp_path, [row(clip="ep02_01F ")])
    write_workbook(tmp_path / WORKBOOK, [row()])
    assert read(tmp_path, casme2_settings(["sub01"]))[0].included.all()


def test_repeated_rows(one):
    samples, defects = one(row(), row(), row(label="disgust"), row(clip="ep02_01F", apex=9))
    assert samples.label.tolist() == ["happiness"]
    assert samples.apex.tolist() == [8]
    assert defects[["defect", "file"]].to_numpy().tolist() == [
        ["conflicting_annotation", f"{WORKBOOK}:4"],
        ["conflicting_annotation", f"{WORKBOOK}:5"],
        ["duplicate_annotation", f"{WORKBOOK}:3"],
        ["one_class_subject", ""],
    ]


def test_folders_and_rows_are_compared_both_ways(tmp_path):
    write_casme2(tmp_path, tree="Cropped")
    (tmp_path / "Cropped" / "sub01" / "EP03_02").rename(tmp_path / "Cropped" / "sub01" / "EP20_20")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.reason["sub01/EP03_02"] == "annotation_without_frames: no folder of frames"
    assert defects[["row", "file", "defect"]].to_numpy().tolist()[:2] == [
        ["casme2/sub01/EP03_02", "Cropped", "annotation_without_frames"],
        ["", "Cropped/sub01/EP20_20", "frames_without_annotation"],
    ]


@pytest.mark.parametrize(
    ("gone", "expected", "used"),
    [
        ([6], [("missing_onset_frame", "sample kept; frame 6")], True),
        ([12], [("missing_offset_frame", "sample kept; frame 12")], True),
        ([8], [("missing_apex_frame", "left out: no frame 8 on disk")], False),
        ([7, 10], [("frame_gaps", "sample kept; 2 missing, first 7")], True),
        ([7, 9, 10, 11], [("key_frames_only", "sample kept")], True),
    ],
)
def test_missing_frames(tmp_path, gone, expected, used):
    write_casme2(tmp_path, [row()], tree="Cropped")
    for number in gone:
        (tmp_path / "Cropped" / "sub01" / "EP02_01f" / f"img{number}.jpg").unlink()
    samples, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert samples.included.tolist() == [used]
    found = defects[defects.row != ""]
    assert list(zip(found.defect, found.action, strict=True)) == expected


def test_key_frames_alone_are_gaps_where_the_apex_must_be_found(tmp_path):
    write_workbook(tmp_path / WORKBOOK, [row(apex="/")])
    for frame in (6, 8, 12):
        draw(tmp_path / "Cropped" / "sub01" / "EP02_01f" / f"img{frame}.jpg")
    _, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert defects.defect.tolist()[:2] == ["missing_apex", "frame_gaps"]


def test_other_frames_are_checked_by_header(tmp_path):
    write_casme2(tmp_path, [row()], tree="Cropped", name="img{}.png")
    clip = tmp_path / "Cropped" / "sub01" / "EP02_01f"
    (clip / "img6.png").write_bytes(b"")
    (clip / "img7.png").write_text("no picture")
    (clip / "img9.png").write_bytes((clip / "img9.png").read_bytes()[:-100])  # seen by who needs it
    samples, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert samples.included.all()
    assert defects.action[0] == "sample kept; 2 of 7, first img6.png"
    assert defects.defect[0] == "unreadable_frame"


def test_two_files_of_one_number(tmp_path):
    write_casme2(tmp_path, [row()], tree="Cropped")
    clip = tmp_path / "Cropped" / "sub01" / "EP02_01f"
    shutil.copy(clip / "img8.jpg", clip / "img0008.jpg")
    draw(clip / "img0009.jpg")
    samples, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert samples.frame_path.tolist() == ["Cropped/sub01/EP02_01f/img8.jpg"], "the same bytes"
    assert defects[["defect", "action"]].to_numpy().tolist()[0] == [
        "ambiguous_frames",
        "passed over: img0008.jpg, img0009.jpg",
    ]
    draw(clip / "img0008.jpg")
    samples, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert not samples.included.any()
    assert defects[["defect", "severity", "action"]].to_numpy().tolist()[0] == [
        "ambiguous_apex_frame",
        "error",
        "left out: img8.jpg and img0008.jpg would do; keep one of them",
    ]
    (clip / "img0008.jpg").unlink()  # as advised
    assert read(tmp_path, casme2_settings(["sub01"]))[0].included.all()


def test_stray_files_are_no_defect(tmp_path):
    write_casme2(tmp_path)
    tree = tmp_path / "CASME2_RAW_selected"
    for place in (tmp_path, tree, tree / "sub01", tree / "sub01" / "EP02_01f"):
        for name in ("Desktop - Shortcut.lnk", ".DS_Store", "Thumbs.db", "note.txt", "readme.pdf"):
            (place / name).write_bytes(b"x")
    (tmp_path / "__MACOSX" / "sub01").mkdir(parents=True)
    write_workbook(tmp_path / "CASME2-ObjectiveClasses.xlsx", [], ["Subject", "Filename", "Objective Class"])
    write_workbook(tmp_path / "~$CASME2-coding-20140508.xlsx")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert defects.empty


def test_objective_classes_stand_in_a_table_of_their_own(tmp_path):
    write_casme2(tmp_path)
    classes = {"1": "I", "2": "II", "4": "IV", "7": None}
    settings = casme2_settings(labels="objective", classes=classes)
    with pytest.raises(UserError, match=r"no table of objective classes .*; put it beside"):
        read(tmp_path, settings)
    book = openpyxl.Workbook()
    # In another order, and the persons' numbers as numbers.
    told = zip(ROWS[::-1], (2, 7, 4, 1), strict=True)
    for cells in [("Subject", "Filename", "Objective Class"), *((int(r[0]), r[1], n) for r, n in told)]:
        book.active.append(cells)
    book.save(tmp_path / "CASME2-ObjectiveClasses.xlsx")
    samples, defects = read(tmp_path, settings)
    assert samples.label.tolist() == ["I", "IV", "", "II"]
    assert samples.label_raw.tolist() == ["1", "4", "7", "2"]
    assert samples.apex.tolist() == [*APEXES.values()], "of the other table"
    assert {*defects.defect} <= {"one_class_subject"}
    assert sum(published(settings).labels.values()) == 255


def test_two_tables_must_be_told_apart(tmp_path):
    write_casme2(tmp_path)
    write_workbook(tmp_path / "CASME2-coding-20190701.xlsx", [row(label="others"), *ROWS[1:]])
    with pytest.raises(UserError, match=r"which table .* CASME2-coding-2014.*, CASME2-coding-2019"):
        read(tmp_path, casme2_settings())
    samples, _ = read(tmp_path, casme2_settings(workbook="CASME2-coding-20190701.xlsx"))
    assert samples.label.iloc[0] == "others"
    elsewhere = tmp_path.parent / f"{tmp_path.name} table.xlsx"
    write_workbook(elsewhere, [row(label="surprise"), *ROWS[1:]])
    assert read(tmp_path, casme2_settings(workbook=str(elsewhere)))[0].label.iloc[0] == "surprise"


def test_nothing_to_read(tmp_path):
    with pytest.raises(UserError, match=r"no such folder; set datasets\.casme2\.root"):
        read(tmp_path / "nothing", casme2_settings())
    with pytest.raises(UserError, match="no annotation table"):
        read(tmp_path, casme2_settings())
    write_workbook(tmp_path / WORKBOOK)
    with pytest.raises(UserError, match="root: no frames there"):
        read(tmp_path, casme2_settings())


def test_subjects(tmp_path):
    write_casme2(tmp_path)
    assert list_subjects("casme2", casme2_settings(None), tmp_path) == [f"sub{n:02d}" for n in range(1, 27)]
    assert list_subjects("casme2", casme2_settings(["sub02"]), tmp_path) == ["sub02"]
    assert list_subjects("casme2", casme2_settings(None, root="simulated"), tmp_path) == ["sub01", "sub02"]
    with pytest.raises(UserError, match="no such folder"):
        list_subjects("casme2", casme2_settings(None), tmp_path / "nothing")


CELL = st.one_of(
    st.none(),
    st.integers(-3, 15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["01", "EP02_01f", "happiness", "fear", "/", "../x", "4+5", "", "1.0"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(*[CELL] * 7), max_size=5), rule=st.sampled_from(["spot", "midpoint", "drop"]))
def test_any_cells_give_a_manifest_or_a_message(tmp_path, rows, rule):
    if not (tmp_path / "Cropped").exists():
        write_frames(tmp_path / "Cropped", [row()])
    header = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Emotion"]
    table = pd.DataFrame([header, header, *rows, row()]).drop(index=1)
    table.to_csv(tmp_path / "casme2.csv", header=False, index=False)
    try:
        samples, defects = read(tmp_path, casme2_settings(["sub01"], missing_apex=rule))
    except UserError as error:
        assert "casme2.csv" in str(error)
        return
    for sample in samples[samples.included].itertuples():
        assert sample.subject == "sub01"
        assert sample.label
        assert (tmp_path / sample.frame_path).resolve().is_relative_to(tmp_path / "Cropped")
    assert defects.map(lambda cell: isinstance(cell, str)).all(axis=None)
