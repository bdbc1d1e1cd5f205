"""Names go through every CSV unchanged, and no cell of ours runs in a spreadsheet."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.csvs import read_csv, write_csv
from mer_core.datasets.manifest import assemble, new_sample, write_manifest
from mer_core.errors import UserError
from mer_core.evaluation.collect import read_pooled
from mer_core.report.typeset import make_table, read_tables, write_tables

SCRIPTS = Path(__file__).parent.parent / "workflow_scripts"
# What a reader that guesses takes for a number, for nothing, or for a truth value.
NAMES = ["None", "0", "NA", "001", "1e5", "nan", "null", "True", "inf", "1_000", "N-A"]
# What a spreadsheet would run, some of it with an apostrophe before it already.
RUN = ["=1+1", "+1", "-1", "@a", "'=1", "''-1", "'"]
QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(st.lists(st.tuples(st.text(max_size=9) | st.sampled_from(NAMES + RUN), st.floats(allow_nan=False))))
def test_round_trip(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["name", "value"]).astype({"name": str, "value": float})
    frame = frame[~frame["name"].str.contains("[\r\n\ud800-\udfff]")]
    write_csv(frame, tmp_path / "t.csv")
    again = read_csv(tmp_path / "t.csv", ["value"])
    assert again["name"].tolist() == frame["name"].tolist()
    assert again["value"].tolist() == frame["value"].tolist()  # to the last digit
    text = read_csv(tmp_path / "t.csv")
    assert text.map(lambda cell: isinstance(cell, str)).all(axis=None)


def test_numbers_are_those_that_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("subject,n,share\n001,7,\n1e5,8,0.5\n")
    frame = read_csv(tmp_path / "t.csv", ["n", "share", "elsewhere"])
    assert frame["subject"].tolist() == ["001", "1e5"]
    assert frame["n"].tolist() == [7, 8] and frame["n"].dtype == "int64"
    assert frame["share"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,n\nx,1,2\n", "line 2: 3 cells under 2 columns; delete"),
        (b"a,n\nx,few\n", "column n holds what is no number; delete"),
        (b'a,n\n"x,1\n', "line 2: unexpected end of data"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_damage_is_refused(tmp_path, data, message):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UserError, match=f"t.csv: {message}"):
        read_csv(tmp_path / "t.csv", ["n"])


def test_pooled_predictions(tmp_path):
    frame = pd.DataFrame(
        {"seed": 0, "sample_id": ["d/001"], "subject": "001", "label": "None", "predicted": "0", "p_0": 0.75}
    )
    write_csv(frame, tmp_path / "1e5.predictions.csv")
    pd.testing.assert_frame_equal(read_pooled(tmp_path / "1e5.predictions.csv"), frame)


def test_tables(tmp_path):
    rows = [{"variant": name, "accuracy": 0.5, "note": None, "p": None} for name in NAMES]
    table = make_table(rows, {"variant": lambda row: row["variant"]}, "Names.", [])
    write_tables({"names": table}, tmp_path / "tables.json")
    frame = read_tables(tmp_path / "tables.json")["names"].frame
    assert frame["variant"].tolist() == NAMES
    assert frame["accuracy"].tolist() == [0.5] * len(NAMES)
    assert frame["p"].isna().all()


def test_figures(tmp_path, monkeypatch):
    """Classes, subjects and variants of every awkward name reach the figures as they are."""
    samples = [
        new_sample("mine", NAMES[k], str(k), label=NAMES[k % 2], frame_path="a.png") for k in range(10)
    ]
    write_manifest(assemble(samples), tmp_path / "mine.csv")
    columns = {"label": [NAMES[k % 2] for k in range(10)], "subject": NAMES[:10]}
    frame = pd.DataFrame({"seed": 0, "sample_id": [s["sample_id"] for s in samples]} | columns)
    for variant in ("1e5", "None"):
        write_csv(
            frame.assign(predicted="None", p_None=0.75, p_0=0.25), tmp_path / f"{variant}.predictions.csv"
        )
    history = tmp_path / "None" / "seed0" / "001" / "history.csv"
    write_csv(pd.DataFrame({"epoch": [1], "loss": [0.5], "accuracy": [0.5]}), history)
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "printed_accuracy": None}
    scores |= {"macro_f1": 0.5, "macro_f1_low": 0.4, "macro_f1_high": 0.6, "printed_f1": None}
    kinds = {"1e5": "measured", "None": "measured", "": "floor"}
    table = pd.DataFrame([{"kind": kind, "variant": v} | scores for v, kind in kinds.items()])
    write_csv(table, tmp_path / "t.csv")
    unseen = pd.DataFrame({"sample_id": [samples[9]["sample_id"]], "message": "no face"})
    write_csv(unseen, tmp_path / "failures.csv")
    script = runpy.run_path(str(SCRIPTS / "draw_figures.py"))
    seen = {}
    monkeypatch.setattr(
        script["figures"], "class_distribution", lambda counts, _: seen.setdefault("classes", counts)
    )
    monkeypatch.setattr(script["figures"], "subject_accuracy", lambda rows: seen.setdefault("subjects", rows))
    monkeypatch.setattr(script["figures"], "variants", lambda rows, *_: seen.setdefault("variants", rows))
    monkeypatch.setattr(script["figures"], "save_figure", lambda *_: None)
    script["main"](
        SimpleNamespace(
            params=SimpleNamespace(
                classes={"mine": NAMES[:2]}, target="mine", simulated=[], confidence=0.95, seed=0
            ),
            input=SimpleNamespace(
                predictions=[tmp_path / "1e5.predictions.csv", tmp_path / "None.predictions.csv"],
                histories=[history],
                manifests=[tmp_path / "mine.csv"],
                failures=[tmp_path / "failures.csv"],
                tables=[tmp_path / "t.csv"],
            ),
            output=SimpleNamespace(svg=[str(tmp_path / "x.svg")]),
        )
    )
    assert seen["classes"]["mine"].to_dict() == {NAMES[0]: 5, NAMES[1]: 4}, "one was found no face of"
    assert seen["subjects"]["subject"].unique().tolist() == NAMES[:10]
    assert seen["subjects"]["accuracy"].tolist() == [1.0, 0.0] * 10
    assert seen["variants"]["variant"].unique().tolist() == ["1e5", "None"]
