"""A manifest survives the disk unchanged, and one that breaks the schema is refused by row and column."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.datasets.manifest import (
    COLUMNS,
    assemble,
    digest,
    included,
    is_to_be_spotted,
    new_sample,
    read_manifest,
    write_manifest,
)
from mer_core.errors import UserError

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def annotated(clip="EP02_01f", **changes):
    """A row of an annotated clip."""
    known = {
        "label": "happiness",
        "label_raw": "happiness",
        "onset": 46,
        "apex": 59,
        "offset": 86,
        "apex_source": "annotated",
        "frame_path": "Cropped/sub01/EP02_01f/reg_img59.jpg",
        "action_units": "6+12",
    }
    return new_sample("casme2", "sub01", clip, **known | changes)


def left_out(clip="EP03"):
    return annotated(clip, included=False, reason="label 'fear' is mapped to null", label="", frame_path="")


def test_columns_and_types(tmp_path):
    write_manifest(assemble([annotated(), left_out()]), tmp_path / "m.csv")
    frame = read_manifest(tmp_path / "m.csv")
    assert tuple(frame.columns) == COLUMNS
    assert frame.loc[0, "sample_id"] == "casme2/sub01/EP02_01f"
    assert frame.onset.dtype == frame.apex.dtype == frame.offset.dtype == "Int64"
    assert frame.included.tolist() == [True, False]
    assert frame.loc[1, "label"] == ""
    assert included(frame).sample_id.tolist() == ["casme2/sub01/EP02_01f"]


@pytest.mark.parametrize(
    ("changes", "is_another"),
    [
        ({"label": "disgust"}, True),
        ({"subject": "sub02"}, True),
        ({"sample_id": "casme2/sub01/other"}, True),
        ({"action_units": "4", "apex": 60, "label_raw": "Happiness", "fps": 200.0}, False),
    ],
)
def test_the_digest_is_of_what_a_model_learns(changes, is_another):
    one, other = (assemble([row]) for row in (annotated(), annotated() | changes))
    assert (digest(one) != digest(other)) is is_another


def test_an_empty_manifest_is_one(tmp_path):
    write_manifest(assemble([]), tmp_path / "m.csv")
    assert len(read_manifest(tmp_path / "m.csv")) == 0


def test_what_is_to_be_spotted():
    rows = [
        annotated(),
        annotated("b", apex=None, apex_source="none", frame_path="Cropped/sub01/b"),
        left_out("c"),
    ]
    still = new_sample("ckplus", "S005", "001", label="fear", frame_path="a.png")
    assert is_to_be_spotted(assemble([*rows, still])).tolist() == [False, True, False, False]


TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30).filter(str.isprintable)
NUMBERS = st.one_of(
    st.just((None, None, None)),
    st.lists(st.integers(0, 10**9 - 1), min_size=3, max_size=3).map(sorted).map(tuple),
)


@QUICK
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, NUMBERS, st.booleans()), max_size=4))
def test_round_trip(tmp_path, drawn):
    samples = []
    for number, (clip, raw, units, (onset, apex, offset), used) in enumerate(drawn):
        changes = {"onset": onset, "apex": apex, "offset": offset, "label_raw": raw, "action_units": units}
        source = "none" if apex is None else "midpoint"
        reason = {} if used else {"included": False, "reason": "NaN, 'quoted' \"twice\" ; ok"}
        samples.append(annotated(f"{number}{clip}", apex_source=source, **changes | reason))
    frame = assemble(samples)
    write_manifest(frame, tmp_path / "m.csv")
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.csv"), frame)
    assert read_manifest(tmp_path / "m.csv").label_raw.tolist() == [raw for _, raw, *_ in drawn]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": "../x"}, "row 2 column subject"),
        ({"subject": ""}, "row 2 column subject"),
        ({"label": "<b>"}, "row 2 column label"),
        ({"frame_path": "../../x.jpg"}, "row 2 column frame_path"),
        ({"frame_path": "/etc/passwd"}, "row 2 column frame_path"),
        ({"frame_path": ""}, "an included sample has a frame_path"),
        ({"label": ""}, "an included sample has a label"),
        ({"reason": "why"}, "left out if and only if a reason is given"),
        ({"included": False}, "left out if and only if a reason is given"),
        ({"apex": 45}, "the apex is not before the onset"),
        ({"apex": 87}, "the apex is not after the offset"),
        ({"apex": None}, "apex_source belongs to an apex"),
        ({"apex_source": "guessed"}, "row 2 column apex_source"),
        ({"onset": -1}, "row 2 column onset"),
        ({"label_raw": "two\nlines"}, "row 2 column label_raw"),
        ({"action_units": "4" * 5000}, "row 2 column action_units"),
        ({"sample_id": "casme2"}, "row 2 column sample_id"),
    ],
)
def test_schema(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        assemble([annotated() | changes])
    assert "\n" not in str(caught.value)


def test_sample_ids_are_unique():
    with pytest.raises(UserError, match=r"row 2 column sample_id.*field_uniqueness"):
        assemble([annotated(), annotated()])


def lines(tmp_path):
    write_manifest(assemble([annotated(), annotated("b")]), tmp_path / "m.csv")
    return (tmp_path / "m.csv").read_text().splitlines()


@pytest.mark.parametrize(
    ("row", "old", "new", "message"),
    [
        (2, ",46,", ",4x6,", "row 3 column onset: '4x6'"),
        (2, ",46,", ",46.0,", "row 3 column onset: '46.0'"),
        (2, ",46,", ",99999999999999999999,", "row 3 column onset"),
        (2, "True", "yes", "row 3 column included: 'yes'"),
        (1, "6+12", "6+12,surplus", "line 2: 18 cells under 17 columns"),
        (1, ",6+12", "", "line 2: 16 cells under 17 columns"),
        (1, "sub01,", '"sub01,', "line 3: unexpected end of data"),
        (0, "subject", "Subject", "row 1: the columns must be sample_id,dataset"),
        (0, "sample_id", "\ufeffsample_id", "row 1: the columns must be"),
        (2, "Cropped", "..", "row 3 column frame_path"),
    ],
)
def test_a_damaged_file_is_refused_by_row(tmp_path, row, old, new, message):
    text = lines(tmp_path)
    assert old in text[row]
    text[row] = text[row].replace(old, new, 1)
    (tmp_path / "m.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"m\.csv") as caught:
        read_manifest(tmp_path / "m.csv")
    assert message in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such manifest"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a manifest"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(UserError, match="name a file"):
        read_manifest(tmp_path)


def test_nothing_wrong_is_written(tmp_path):
    frame = assemble([annotated()])
    frame.loc[0, "frame_path"] = "../x"
    with pytest.raises(UserError, match=r"m.csv row 2 column frame_path: '../x'"):
        write_manifest(frame, tmp_path / "m.csv")
    assert not list(tmp_path.iterdir())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), removed=st.integers(0, 5), put=st.text(max_size=5))
def test_damage_is_read_or_refused(tmp_path, place, removed, put):
    text = "\n".join(lines(tmp_path)) + "\n"
    path = tmp_path / "m.csv"
    path.write_bytes((text[:place] + put + text[place + removed :]).encode("utf-8", "surrogatepass"))
    try:
        frame = read_manifest(path)
    except UserError as error:
        assert "m.csv" in str(error)
        assert "\n" not in str(error)
    else:
        write_manifest(frame, tmp_path / "again.csv")
        pd.testing.assert_frame_equal(read_manifest(tmp_path / "again.csv"), frame)
