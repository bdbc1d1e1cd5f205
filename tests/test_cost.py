"""What was measured, and what a larger plan will take."""

import math

import pandas as pd

from mer_core.report.cost import cost, describe_cost

COLUMNS = ["rule", "job", "seconds", "memory"]
BENCHMARKS = pd.DataFrame(
    [
        ("train_fold", "dual/seed0/sub01", 10.0, 900.0),
        ("train_fold", "dual/seed0/sub02", 30.0, 1100.0),
        ("train_fold", "dual/seed0/sub03", 14.0, float("nan")),
        ("train_fold", "spatial/seed0/sub01", 6.0, 800.0),
        ("train_fold", "dropped/seed0/sub01", 100.0, 800.0),
        ("align_faces", "casme2", 40.0, 200.0),
        ("write_report", "", 5.0, 150.0),
    ],
    columns=COLUMNS,
)
PLANNED = {"train_fold": {"dual": 260, "spatial": 26, "new": 26}, "pretrain_model": {"dual": 10}}


def test_each_variant_takes_its_median_and_a_new_one_that_of_its_rule():
    table = cost(BENCHMARKS, PLANNED).set_index(["rule", "variant"])
    assert table.loc[("train_fold", "dual"), ["measured", "seconds", "memory"]].tolist() == [3, 14.0, 1100.0]
    assert table["planned"].to_dict() == {
        ("train_fold", "dual"): 260,
        ("train_fold", "new"): 26,
        ("train_fold", "spatial"): 26,
        ("train_fold", "dropped"): 0,
        ("pretrain_model", "dual"): 10,
        ("align_faces", ""): 1,
        ("write_report", ""): 1,
    }
    expected = table["expected"]
    assert expected["train_fold", "dual"] == 260 * 14
    assert expected["train_fold", "spatial"] == 26 * 6
    assert expected["train_fold", "new"] == 26 * 14  # the median of 6, 10, 14, 30 and 100
    assert expected["train_fold", "dropped"] == 0
    assert expected["align_faces", ""] == 40 and math.isnan(expected["pretrain_model", "dual"])
    assert table.index[0] == ("train_fold", "dual")


def test_what_is_not_known_is_said():
    text = describe_cost(cost(BENCHMARKS, PLANNED))
    assert "All 324 jobs one after another: 70.1 min" in text  # 3640 + 156 + 364 + 40 + 5 seconds
    assert "and pretrain_model, of which nothing was measured yet" in text
    assert "nan" not in text


def test_before_anything_ran():
    text = describe_cost(cost(pd.DataFrame(columns=COLUMNS), PLANNED))
    assert "All 322 jobs one after another: 0 s, and pretrain_model, train_fold, of which nothing" in text
