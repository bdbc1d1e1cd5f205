"""Clip by clip: agreement between rows, and the calibration of probabilities, against known answers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.evaluation import clips


def answers(predicted, seed=0, first=0):
    return pd.DataFrame(
        {
            "sample_id": [f"clip{k}" for k in range(first, first + len(predicted))],
            "predicted": predicted,
            "seed": seed,
        }
    )


def test_agreement_counts_the_clips_that_both_predicted():
    rows = {
        "dual": answers(["a", "b", "b", "a"]),
        "lbp": answers(["b", "a", "c"], first=1),
        "alone": answers(["a"], first=9),
    }
    table = clips.agreement(rows)
    assert table.loc["dual", "lbp"] == table.loc["lbp", "dual"] == pytest.approx(1 / 3)
    assert table.loc["dual", "dual"] == 1
    assert np.isnan(table.loc["alone", "dual"]), "no clip in common, nothing to say"


def test_agreement_is_that_of_the_first_seed():
    several = pd.concat([answers(["a", "b"], seed=7), answers(["b", "a"], seed=3)])
    table = clips.agreement({"dual": several, "lbp": answers(["a", "b"], seed=7)})
    assert table.loc["dual", "lbp"] == 1


def test_confidence_is_the_probability_of_the_answer_given():
    rows = pd.DataFrame({"predicted": ["None", "0"], "p_0": [0.3, 0.4], "p_None": [0.7, 0.6]})
    assert clips.confidence(rows, ["0", "None"]).tolist() == [0.7, 0.4]


def test_calibration_error_of_a_table_done_by_hand():
    # Bin (0.5, 0.6]: 4 answers at 0.6, 1 right. Bin (0.8, 0.9]: 2 answers at 0.9, both right.
    confidences, right = np.array([0.6] * 4 + [0.9] * 2), np.array([1, 0, 0, 0, 1, 1], bool)
    table = clips.reliability(confidences, right)
    assert table["n"].tolist() == [4, 2]
    assert table["accuracy"].tolist() == [0.25, 1]
    assert table["confidence"].tolist() == pytest.approx([0.6, 0.9])
    assert clips.calibration_error(confidences, right) == pytest.approx((4 * 0.35 + 2 * 0.1) / 6)


def test_edges_belong_to_the_bin_below_and_nothing_is_lost():
    edges = np.arange(11) / 10
    assert clips.reliability(edges, edges > 0)["n"].tolist() == [2] + [1] * 9


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_lies_between_the_distance_of_the_means_and_one(rows):
    confidences, right = (np.array(values) for values in zip(*rows, strict=True))
    error = clips.calibration_error(confidences, right)
    assert abs(confidences.mean() - right.mean()) - 1e-9 <= error <= 1 + 1e-9
    assert clips.calibration_error(confidences, right, bins=1) == pytest.approx(
        abs(confidences.mean() - right.mean())
    )


def test_error_by_chance_is_what_probabilities_that_hold_would_show():
    # One answer at 1/2 is right or wrong, both times 1/2 away; four are off by |k - 2| / 4, k binomial: 3/16.
    assert clips.calibration_error_by_chance(np.array([0.5]), seed=0) == 0.5
    error = clips.calibration_error_by_chance(np.full(4, 0.5), seed=0, draws=20000)
    assert error == pytest.approx(3 / 16, abs=0.005)
    assert clips.calibration_error_by_chance(np.array([1.0, 1.0]), seed=0) == 0
