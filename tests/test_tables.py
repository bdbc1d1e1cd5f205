"""The tables: which rows, which figures, what they say, and the files."""

import io
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.config.evaluation import Evaluation
from mer_core.config.models import Loss, Variant
from mer_core.config.networks import Network
from mer_core.evaluation.metrics import possible
from mer_core.evaluation.statistics import (
    COVERAGE_OF_SIX,
    holm,
    majority_answers,
    score_variant,
    verdict,
)
from mer_core.report import printed
from mer_core.report.tables import Results, build_tables
from mer_core.report.typeset import p_value, read_tables, write_table, write_tables

SETTINGS = Evaluation(confidence=0.95, bootstrap=200, permutations=500, seed=0, partial=False)
LOSSES = {"ce": Loss(kind="cross_entropy"), "fl": Loss(kind="focal"), "fl5": Loss(kind="focal", gamma=5)}
# Names that say nothing: rows must be found by settings.
VARIANTS = [
    Variant(name="v1", attention="none", loss="ce"),
    Variant(name="v2", attention="none", loss="fl"),
    Variant(name="v3", attention="spatial", loss="fl"),
    Variant(name="v4", attention="channel", loss="fl"),
    Variant(name="v5", attention="dual", loss="fl"),
    Variant(name="v6", attention="dual", loss="fl", init="pretrained"),
    Variant(name="v7", attention="cbam", loss="fl"),
]
LABELS = [name for name in printed.CLASSES for _ in range({"others": 40}.get(name, 15))]
TRUE_F1 = COVERAGE_OF_SIX["macro_f1"]
FLOOR = ("always answering 'others'", "")
SUBJECTS = [f"sub{i % 10:02d}" for i in range(len(LABELS))]


def predictions(skill, seeds=(0,), classes=printed.CLASSES, labels=LABELS):
    rng = np.random.default_rng([int(100 * skill), len(seeds)])
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "seed": seed,
                    "sample_id": [f"casme2/clip{i}" for i in range(len(labels))],
                    "subject": SUBJECTS,
                    "label": labels,
                    "predicted": np.where(
                        rng.random(len(labels)) < skill, labels, rng.choice(classes, len(labels))
                    ),
                }
            )
            for seed in seeds
        ],
        ignore_index=True,
    )


def results(
    variants=VARIANTS, methods=(), seeds=(0,), classes=printed.CLASSES, labels=LABELS, missing=0, **kwargs
):
    names = [variant.name for variant in variants] + list(methods)
    rows = {name: predictions(0.08 * i, seeds, classes, labels) for i, name in enumerate(names)}
    metrics = {
        name: score_variant(name, one, classes, SETTINGS, 10 * len(seeds) + missing)
        for name, one in rows.items()
    }
    samples = next(iter(rows.values())).query("seed == 0")
    return Results(metrics, rows, samples, variants, LOSSES, SETTINGS, **{"dataset": "casme2", **kwargs})


@pytest.fixture(scope="module")
def shipped():
    return results()


@pytest.fixture(scope="module")
def tables(shipped):
    return build_tables(shipped)


def test_a_mixture_of_circumstances_is_said_under_every_table(tables):
    def told(**by_name):
        mixed = results(methods=["svm"])
        for name, score in mixed.metrics.items():
            score["circumstances"] = {"device": ["cpu"], "torch": ["2.11"]} | by_name.get(name, {})
        return build_tables(mixed)

    said = "Computed under different circumstances"
    assert not any(said in note for table in told().values() for note in table.notes)
    everybody = "v1, v2, v3, v4, v5, v6, v7"
    for table in told(v2={"device": ["NVIDIA H100", "cpu"]}).values():
        assert table.notes[-1] == f"{said}: device NVIDIA H100 (v2), cpu ({everybody})."
    # Comparison methods always run on the CPU: no mixture with networks on a GPU.
    on_a_gpu = {f"v{number}": {"device": ["NVIDIA H100"]} for number in range(1, 8)}
    assert not any(said in note for table in told(**on_a_gpu).values() for note in table.notes)


def rows_of(table):
    return list(zip(table.frame["method"], table.frame["variant"].fillna(""), strict=True))


def test_rows_are_the_papers_and_found_by_settings(tables):
    assert rows_of(tables["table1_loss"]) == [
        ("ResNet18 + Cross Entropy Loss", "v1"),
        ("ResNet18 + Focal Loss", "v2"),
        FLOOR,
    ]
    assert rows_of(tables["table2_attention"]) == [
        ("ResNet18 (baseline)", "v2"),
        ("ResNet18 + spatial", "v3"),
        ("ResNet18 + channel", "v4"),
        ("ResNet18 + spatial + channel", "v5"),
        ("v7", "v7"),
        FLOOR,
    ]
    table3 = tables["table3_methods"].frame.set_index("method")
    assert table3.index.tolist() == [
        *("LBP", "OSW", "FDM", "AdaBoost", "AdaBoost + STM + TIM"),
        *("This method (before transfer)", "This method (after transfer)", FLOOR[0]),
    ]
    assert table3["variant"].tolist()[5:7] == ["v5", "v6"]
    assert table3["kind"].tolist() == ["printed"] * 5 + ["measured"] * 2 + ["floor"]
    assert table3.loc[:"AdaBoost + STM + TIM", "accuracy"].isna().all()
    assert table3["note"]["FDM"] == "printed only, on its authors' own samples"
    assert tables["table2_attention"].frame["note"].tolist()[-2:] == [
        "not in the paper",
        "the floor",
    ]


def test_printed_figures():
    """Copied from the paper once more, by table."""
    by_table = {n: [row.accuracy for row in printed.ROWS if row.table == n] for n in (1, 2, 3)}
    assert by_table[1] == [37.34, 38.55]
    assert by_table[2] == [38.55, 42.57, 40.96, 43.37]
    assert by_table[3] == [39.68, 41.70, 41.96, 38.76, 43.78, 43.37, 44.97]
    assert [row.f1 for row in printed.ROWS if row.table == 3] == [
        *(0.3589, 0.3820, 0.2972, 0.2609, 0.3337, 0.3513, 0.3784),
    ]
    assert printed.CKPLUS_ACCURACY == 94.38
    assert sum(printed.CLASS_COUNTS.values()) == 255
    assert sum(printed.CLASS_COUNTS[name] for name in printed.CLASSES) == printed.CLIPS == 249
    for row in printed.ROWS:
        if row.attention:  # the paper's own figures are whole numbers of its 249 clips, cut to two decimals
            clips = round(row.accuracy / 100 * printed.CLIPS)
            assert 10_000 * clips // printed.CLIPS == round(100 * row.accuracy)
    for table, key in printed.BASELINES.items():
        assert key in [row.key for row in printed.ROWS if row.table == table]


def test_measured_figures_and_tests(tables, shipped):
    frame = tables["table2_attention"].frame.set_index("variant")
    for name in ("v2", "v3", "v4", "v5", "v7"):
        row, rows = frame.loc[name], shipped.predictions[name]
        assert row["accuracy"] == pytest.approx(100 * (rows["predicted"] == rows["label"]).mean())
        for score in ("accuracy", "macro_f1", "uar"):
            assert row[f"{score}_low"] <= row[score] <= row[f"{score}_high"]
        assert row["n"] == 100
    assert frame.loc["v4", "difference"] == pytest.approx(frame.loc["v4", "accuracy"] - 40.96)
    assert np.isnan(frame.loc["v7", "difference"])
    tested = ["v3", "v4", "v5", "v7"]
    assert frame["p_holm"].dropna().index.tolist() == frame["verdict"].dropna().index.tolist() == tested
    least = holm(frame.loc[tested, "p_least"].tolist())
    for name, lowest in zip(tested, least, strict=True):
        row, compared = frame.loc[name], shipped.compare("v2", name)
        assert row["baseline"] == "v2"
        for column in ("gain", "gain_low", "gain_high", "gain_clips", "p_permutation", "p_accuracy"):
            assert row[column] == getattr(compared, column)
        assert row["gain_accuracy"] == pytest.approx(row["accuracy"] - frame.loc["v2", "accuracy"])
        assert row["gain"] == pytest.approx(row["macro_f1"] - frame.loc["v2", "macro_f1"])
        assert (row["p_mcnemar"], row["p_least_holm"]) == (compared.p_mcnemar, lowest)
        assert row["verdict"] == verdict(row["gain"], row["p_holm"], lowest, 0.95)
    assert {*frame["verdict"].dropna()} == {"better", "not shown"}
    assert frame.loc[tested, "p_holm"].tolist() == holm(frame.loc[tested, "p_permutation"].tolist())


def test_every_measured_row_is_possible(tables):
    support = [LABELS.count(name) for name in printed.CLASSES]
    for name in ("table1_loss", "table2_attention", "table3_methods"):
        for _, row in tables[name].frame.dropna(subset="accuracy").iterrows():
            assert possible(row["macro_f1"], row["uar"], support)


def test_a_printed_accuracy_lies_below_inside_or_above_our_interval(tables):
    found = set()
    skilled = build_tables(results(methods=["adaboost"]))["table3_methods"]
    for table in (*[tables[name] for name in ("table1_loss", "table2_attention")], skilled):
        frame = table.frame
        rows = frame[frame["difference"].notna()]
        assert frame["printed_lies"].notna().tolist() == frame["difference"].notna().tolist()
        for _, row in rows.iterrows():
            below, above = (
                row["printed_accuracy"] < row["accuracy_low"],
                row["printed_accuracy"] > row["accuracy_high"],
            )
            assert row["printed_lies"] == ("below" if below else "above" if above else "inside")
            found.add(row["printed_lies"])
    assert found == {"below", "inside", "above"}


def test_a_printed_accuracy_has_its_own_uncertainty(tables):
    """Wilson's interval of 108 of 249 clips by hand; rows quoted from elsewhere have none."""
    p, n, z = 108 / 249, 249, 1.959964
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [100 * (middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
    frame = tables["table3_methods"].frame.set_index("method")
    found = frame.loc["This method (before transfer)", ["printed_accuracy_low", "printed_accuracy_high"]]
    assert found.tolist() == pytest.approx(expected, abs=1e-3)
    assert np.isnan(frame.loc["FDM", "printed_accuracy_low"])
    assert f"43.37 [{expected[0]:.2f}, {expected[1]:.2f}]" in tables["table3_methods"].shown.to_string()


def test_too_few_people_get_no_verdict():
    """With four people no p lies below 1/8, whatever they answer."""
    few = results()
    four = {name: rows[rows["subject"] < "sub04"] for name, rows in few.predictions.items()}
    scores = {name: score_variant(name, rows, printed.CLASSES, SETTINGS) for name, rows in four.items()}
    few = replace(few, predictions=four, metrics=scores, samples=four["v1"])
    tables = build_tables(few)
    row = tables["table1_loss"].frame.set_index("variant").loc["v2"]
    assert row["p_least"] == row["p_least_holm"] == 0.125
    assert row["verdict"] == "too few people"
    notes = " ".join(tables["table1_loss"].notes)
    assert "It cannot fall below 0.125, which is above 0.05: too few people for a verdict." in notes
    few = f"With 4 people it is too narrow: with six, one called 95 % holds the true macro-F1 in {TRUE_F1}"
    assert few in notes
    assert "too few people" in tables["table2_attention"].shown["Verdict"].tolist()
    assert tables["transfer"].shown["Verdict"].tolist() == ["–", "too few people"]


def test_with_ten_people_the_least_p_is_said_and_no_more(tables):
    (note,) = [note for note in tables["table1_loss"].notes if note.startswith("p:")]
    assert note.endswith("It cannot fall below 0.00399.")  # 2 of 501 drawn swaps
    assert "too narrow" not in tables["table1_loss"].notes[0]


def test_no_row_is_known_by_its_name():
    """Variants and methods may be called like rows of ours."""
    names = ["majority", "printed", "floor", "baseline", "None", "nan", "measured"]
    variants = [replace_name(variant, name) for variant, name in zip(VARIANTS, names, strict=True)]
    found, plain = build_tables(results(variants)), build_tables(results())
    for name, table in plain.items():
        both = found[name].frame, table.frame
        columns = [
            column for column in table.frame if column not in ("variant", "baseline", "before", "after")
        ]
        columns = [column for column in columns if column != "method"]
        pd.testing.assert_frame_equal(both[0][columns], both[1][columns])
    assert found["table1_loss"].shown["Variant"].tolist() == ["majority", "printed", "–"]


def replace_name(variant, name):
    return variant.model_copy(update={"name": name})


def test_which_comparison_of_losses_is_clean():
    losses = {
        "ce": Loss(kind="cross_entropy"),
        "fl": Loss(kind="focal", form="sigmoid", alpha=0.25),
        "softmax": Loss(kind="focal"),
    }
    between = Variant(name="between", attention="none", loss="softmax")
    tables = build_tables(replace(results([*VARIANTS, between]), losses=losses))
    table = tables["table1_loss"]
    changes = table.frame.set_index("variant")["changes"]
    assert changes["v2"] == "form, gamma, alpha" and changes["between"] == "gamma"
    assert "v2 differs from v1 in form, gamma and alpha at once: not a clean comparison." in table.notes
    assert "between differs from v1 in gamma alone: the clean comparison of losses." in table.notes
    assert "between" not in tables["table2_attention"].frame["variant"].tolist(), "no attention has its loss"


def test_missing_folds_lower_the_floor_and_n_with_them():
    """The floor is the best constant of the clips that were scored, not of all that will be."""
    whole = results()
    others = whole.samples["label"] == "others"
    kept = set(whole.samples.loc[~others | (whole.samples["subject"] < "sub01"), "sample_id"])
    part = {name: rows[rows["sample_id"].isin(kept)] for name, rows in whole.predictions.items()}
    scores = {name: score_variant(name, rows, printed.CLASSES, SETTINGS, 20) for name, rows in part.items()}
    tables = build_tables(replace(whole, predictions=part, metrics=scores))
    floor = tables["table1_loss"].frame.iloc[-1]
    assert floor["n"] == len(kept) == 64
    assert floor["method"] == "always answering 'disgust'", "of equals the first by name"
    assert floor["accuracy"] == pytest.approx(100 * 15 / 64)
    assert "n = 64 clips" in tables["table1_loss"].caption


def test_a_new_variant_gets_its_row():
    extra = Variant(name="mine", attention="dual", loss="ce")
    gamma5 = Variant(name="gamma5", attention="none", loss="fl5")
    imagenet = Variant(name="imagenet", attention="dual", loss="fl", init="weights/imagenet.safetensors")
    tables = build_tables(results([*VARIANTS, extra, gamma5, imagenet]))
    assert ("mine", "mine") in rows_of(tables["table3_methods"])
    assert ("imagenet", "imagenet") in rows_of(tables["table3_methods"])
    # The paper states neither gamma nor alpha, so any focal loss stands beside its figure.
    assert rows_of(tables["table1_loss"])[1:3] == [
        ("ResNet18 + Focal Loss", "v2"),
        ("ResNet18 + Focal Loss", "gamma5"),
    ]
    assert "gamma5" not in set(tables["table2_attention"].frame["variant"]), "no attention has its loss"
    assert "mine" in set(tables["per_class"].frame["variant"])


@given(
    st.sampled_from(["none", "spatial", "channel", "dual", "cbam", "other"]),
    st.sampled_from(["cross_entropy", "focal"]),
    st.sampled_from(["random", "pretrained", "a/file.safetensors"]),
)
def test_every_variant_belongs_to_a_table(attention, loss, init):
    found = [table for table in (1, 2, 3) if printed.belongs(table, attention, loss, init)]
    assert found
    for row in printed.ROWS:
        if row.key == (attention, loss, init):
            assert row.table in found


def test_comparison_methods_plug_in_by_name():
    frame = build_tables(results(methods=["lbptop_svm", "lbp_apex", "bi_woof"]))["table3_methods"].frame
    rows = frame.set_index("variant")
    assert rows.loc["lbp_apex", "method"] == rows.loc["lbptop_svm", "method"] == "LBP"
    assert rows.loc["lbp_apex", "printed_accuracy"] == 39.68
    assert rows.loc["bi_woof", "note"] == "not in the paper"
    assert not np.isnan(rows.loc["bi_woof", "p_holm"])
    assert (rows.loc["lbp_apex", "kind"], rows.loc["bi_woof", "kind"]) == ("measured", "measured")
    assert "FDM" in set(frame["method"])


def test_a_transductive_method_is_marked_and_explained():
    table = build_tables(
        results(methods=["adaboost", "adaboost_stm_tim"], transductive=["adaboost_stm_tim"])
    )["table3_methods"]
    notes = table.frame.set_index("variant")["note"]
    assert (notes["adaboost"], notes["adaboost_stm_tim"]) == ("", "transductive")
    (explained,) = [note for note in table.notes if note.startswith("Transductive")]
    assert "adaboost_stm_tim also looked at the clips of the subject left out" in explained
    plain = build_tables(results(methods=["adaboost"]))["table3_methods"]
    assert not [note for note in plain.notes if "ransductive" in note]


def test_methods_of_one_seed_are_tested_on_that_seed():
    """A method with one seed beside variants with three: the same test as against that seed's answers."""
    both = results(methods=["bi_woof"], seeds=(0, 1, 2))
    first = {name: rows.query("seed == 0") for name, rows in both.predictions.items()}
    scores = {name: score_variant(name, rows, printed.CLASSES, SETTINGS) for name, rows in first.items()}
    alone = replace(both, metrics=scores, predictions=first)
    mixed = replace(
        both,
        metrics=both.metrics | {"bi_woof": scores["bi_woof"]},
        predictions=both.predictions | {"bi_woof": first["bi_woof"]},
    )
    mixed, alone = (replace(one, by_flow=["bi_woof"], layouts={"casme2": "casme2"}) for one in (mixed, alone))
    built = build_tables(mixed), build_tables(alone)
    found, expected = (tables["table3_methods"] for tables in built)
    for column in ("accuracy", "gain", "gain_clips", "p_permutation", "p_mcnemar"):
        values = [table.frame.set_index("variant").loc["bi_woof", column] for table in (found, expected)]
        assert values[0] == pytest.approx(values[1])
    found, expected = (tables["methods"].frame.set_index("variant") for tables in built)
    assert found.loc["v3", "gain_flow"] == pytest.approx(expected.loc["v3", "gain_flow"])
    assert found.loc["v3", "macro_f1"] != pytest.approx(expected.loc["v3", "macro_f1"])
    said = [
        {name for name, table in tables.items() if "gain on or of one is" in " ".join(table.notes)}
        for tables in built
    ]
    assert said == [{"table3_methods", "methods", "per_class", "parts"}, set()]


def test_what_was_not_run_is_said():
    tables = build_tables(results(VARIANTS[:1]))
    assert tables["table1_loss"].frame["note"].tolist()[:2] == ["baseline", "not run"]
    assert tables["table2_attention"].frame["accuracy"].notna().sum() == 1  # the floor
    assert "n = 100 clips, no row of this table was run. Data" in tables["table2_attention"].caption
    assert tables["table1_loss"].frame["p_holm"].isna().all()


def test_captions_say_n_seeds_missing_folds_and_simulated_data(tables):
    for table in tables.values():
        assert table.caption.endswith("n = 100 clips, 10 leave-one-subject-out folds, 1 seed. Data: casme2.")
        assert "SIMULATED" not in table.caption
    both = build_tables(results(simulated=["casme2", "ckplus"], seeds=(0, 1), missing=3))
    for table in both.values():
        assert "2 seeds" in table.caption
        assert "SIMULATED DATA (casme2, ckplus): these figures show that the workflow runs" in table.caption
    assert "PARTIAL: 40 of 46 folds." in both["table1_loss"].caption
    assert "±" in both["table1_loss"].shown["Accuracy (%)"][0]
    assert "±" in both["table1_loss"].notes[0]
    source = build_tables(results(simulated=["ckplus"]))
    assert source["table3_methods"].caption.endswith("Data: casme2, transfer from SIMULATED DATA (ckplus).")
    assert any("The paper counts 249 clips; here are 100." in note for note in source["table1_loss"].notes)


def test_other_classes_are_not_held_against_the_paper():
    labels = ["happy" if i % 2 else "neutral" for i in range(len(LABELS))]
    for name, table in build_tables(results(classes=["neutral", "happy"], labels=labels)).items():
        assert not [header for header in table.shown if "rinted" in header]
        assert "printed" not in " ".join([*table.notes, table.caption])
        assert "printed" not in table.frame.get("kind", pd.Series()).tolist()
        if "printed_accuracy" in table.frame:
            assert (
                table.frame[["printed_accuracy", "printed_f1", "difference", "printed_lies"]]
                .isna()
                .all(axis=None)
            )
            assert "not in the paper" not in table.frame["note"].tolist(), name


def test_simulated_clips_are_not_held_against_the_paper():
    """The paper's figures are quoted in its own classes, and nothing is said about them."""
    table = build_tables(results(simulated=["casme2"]))["table1_loss"]
    assert table.frame["printed_accuracy"].tolist()[:2] == [37.34, 38.55]
    assert table.frame[["difference", "printed_lies"]].isna().all(axis=None)
    assert not {"Accuracy minus printed", "Printed lies"} & {*table.shown}
    assert "The clips are simulated, so nothing is held against the printed figures." in table.notes
    assert not [note for note in table.notes if "249" in note]
    only_source = build_tables(results(simulated=["ckplus"]))["table1_loss"]
    assert only_source.frame["printed_lies"].notna().sum() == 2


@pytest.mark.parametrize(
    ("classes", "simulated", "comparable"),
    [
        (printed.CLASSES, False, True),
        (tuple(reversed(printed.CLASSES)), False, True),
        (printed.CLASSES, True, False),
        (printed.CLASSES[:4], False, False),
        ((*printed.CLASSES, "fear"), False, False),
    ],
)
def test_comparable(classes, simulated, comparable):
    assert printed.comparable(classes, simulated) == comparable


def test_classes_never_predicted_and_upper_bounds_are_notes(shipped):
    rows = shipped.predictions["v1"].assign(predicted="others", predicted_best_on_test=LABELS)
    changed = {**shipped.metrics, "v1": score_variant("v1", rows, printed.CLASSES, SETTINGS)}
    table = build_tables(
        Results(changed, shipped.predictions, shipped.samples, VARIANTS, LOSSES, SETTINGS, "casme2")
    )
    notes = "\n".join(table["table1_loss"].notes)
    assert (
        "v1 never predicts happiness, disgust, repression, surprise (precision and F1 count as 0)." in notes
    )
    assert (
        "Upper bound, not a result: at each fold's best epoch on its own test subject, v1 has accuracy 100.00"
        in notes
    )
    assert (
        not table["table1_loss"]
        .shown.astype(str)
        .apply(lambda column: column.str.contains("100.00"))
        .any(axis=None)
    )


def test_transfer_gain(tables, shipped):
    frame = tables["transfer"].frame
    assert frame.loc[0, ["kind", "n", "gain_clips", "note"]].tolist() == ["printed", 249, 4, "the paper"]
    assert frame.loc[0, ["before", "after", "p_holm"]].isna().all()
    assert round(frame.loc[0, "gain_accuracy"], 2) == 1.61
    assert frame.loc[1, ["before", "after"]].tolist() == ["v5", "v6"]
    assert len(frame) == 2
    compared = shipped.compare("v5", "v6")
    assert frame.loc[1, "gain_clips"] == compared.gain_clips
    assert frame.loc[1, "gain_accuracy"] == pytest.approx(compared.gain_clips)  # of 100
    assert frame.loc[1, "gain_accuracy_low"] == 100 * compared.gain_accuracy_low
    assert frame.loc[1, ["gain", "gain_low", "gain_high"]].tolist() == [
        compared.gain,
        compared.gain_low,
        compared.gain_high,
    ]
    assert frame.loc[1, "p_holm"] == frame.loc[1, "p_permutation"] == compared.p_permutation


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "<0.001"), (0.001, "0.001"), (1.0, "1.000"), (None, "–")])
def test_no_p_is_shown_as_zero(p, shown):
    assert p_value("p")({"p": p}) == shown


def test_only_rows_that_differ_in_pretraining_alone_tell_what_it_gains():
    longer = Variant(name="longer", attention="dual", loss="fl", init="pretrained", training={"epochs": 9})
    table = build_tables(results([*VARIANTS[:5], longer]))["transfer"]
    assert table.frame["note"].iloc[-1] == "no two variants differ in pretraining alone"
    assert table.about == [[], ["longer"]], "whose gain is missing"


def test_a_gain_is_of_the_clips_that_both_predicted(shipped):
    part = shipped.predictions["v5"].query("subject < 'sub03'")
    frame = build_tables(replace(shipped, predictions=dict(shipped.predictions) | {"v5": part}))[
        "transfer"
    ].frame
    assert frame.loc[1, "n"] == len(part) == 30


def test_pretraining_shows_both_protocols(shipped):
    def protocol(mean, sd):
        spread = [] if sd is None else [mean - sd, mean + sd]
        values = {"values": [mean, *spread], "mean": mean, "sd": sd, "best": mean + 0.02}
        return {
            "runs": 3,
            "accuracy": values,
            "macro_f1": values,
            "siblings_share": 0.963,
            "same_person_share": 1.0,
        }

    selected = {
        "split": "frame",
        "run": 1,
        "protocols": {"frame": protocol(0.9, 0.01), "subject": protocol(0.7, None)},
    }

    def build(sources, simulated=()):
        given = replace(shipped, sources=sources, simulated=simulated, pretrained={"v6": [selected]})
        return build_tables(given)["pretraining"]

    table = build({"portraits": "ckplus"})
    assert table.shown["Printed best run (%)"].tolist() == ["94.38", "–"]
    assert table.frame["printed_best"][0] == 94.38 and "SIMULATED" not in table.caption
    for other in (build({"mmew": "mmew_macro"}), build({"ckplus": "ckplus", "oulu": "oulu_casia"})):
        assert "Printed best run (%)" not in other.shown and other.frame["printed_best"].isna().all()
    table = build({"ckplus": "ckplus"}, simulated=["casme2", "samm", "ckplus"])
    assert "Printed best run (%)" not in table.shown, "nothing simulated is held against printed figures"
    assert table.frame["best"].tolist() == pytest.approx([92, 72])
    assert table.frame["transferred"].tolist() == ["yes", "no"]
    assert "SIMULATED DATA (ckplus)" in table.caption
    assert table.shown["Accuracy (%)"].tolist() == ["90.00 ± 1.00", "70.00"]


@pytest.mark.parametrize(
    ("split", "by_fold", "said"),
    [
        ("frame", False, "The source names no subjects"),
        ("frame", True, "The source shows people of the target"),
        ("subject", True, "The source shows people of the target"),
    ],
)
def test_what_is_said_of_the_source_of_a_pretraining(shipped, split, by_fold, said):
    """One that shows the target's people names them, also where its images are split by frame."""
    of_runs = {"values": [0.9], "mean": 0.9, "sd": None, "best": 0.9}
    protocol = {"runs": 1, "accuracy": of_runs, "macro_f1": of_runs, "siblings_share": 0.0}
    selected = {"split": split, "run": 0, "protocols": {split: protocol | {"same_person_share": 0.0}}}
    given = {"sources": {"macro": "mmew_macro"}, "pretrained": {"v6": [selected]}, "by_fold": by_fold}
    notes = build_tables(replace(shipped, **given))["pretraining"].notes
    [told] = [note for note in notes if note.startswith("The source")]
    assert told.startswith(said)


def test_a_class_of_which_no_clip_was_scored_is_named(shipped):
    few = shipped.samples["label"] != "disgust"
    some = {name: rows[rows["label"] != "disgust"] for name, rows in shipped.predictions.items()}
    table = build_tables(replace(shipped, samples=shipped.samples[few], predictions=some))["per_class"]
    said = "No clip shows disgust (recall and F1 count as 0)."
    assert said in table.notes and said not in build_tables(shipped)["per_class"].notes


def test_per_class_equals_the_metrics(tables, shipped):
    frame = tables["per_class"].frame
    assert len(frame) == len(VARIANTS) * 5
    for _, row in frame.iterrows():
        assert shipped.metrics[row["variant"]]["per_class"][row["class"]]["f1"] == row["f1"]


def test_floor(shipped, tables):
    assert shipped.floor["method"] == "always answering 'others'"
    assert shipped.floor["accuracy"] == pytest.approx(40)
    assert shipped.floor["macro_f1"] == pytest.approx((2 * 0.4 / 1.4) / 5)
    for name in ("table1_loss", "table2_attention", "table3_methods"):
        (floor,) = tables[name].frame.query("kind == 'floor'").to_dict("records")
        assert {key: floor[key] for key in shipped.floor if key in ("method", "macro_f1", "note")} == {
            "method": "always answering 'others'",
            "macro_f1": shipped.floor["macro_f1"],
            "note": "the floor",
        }


def test_files(tables, tmp_path):
    for name, table in tables.items():
        write_table(table, tmp_path / "a" / name)
        write_table(table, tmp_path / "b" / name)
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert set(first) == {f"{name}.{kind}" for name in tables for kind in ("csv", "md", "tex")}

    table = tables["table2_attention"]
    read = pd.read_csv(io.BytesIO(first["table2_attention.csv"]), keep_default_na=False, na_values=[""])
    assert read["accuracy"].tolist() == table.frame["accuracy"].tolist()  # to the last digit
    assert read["p_holm"].dropna().tolist() == table.frame["p_holm"].dropna().tolist()

    markdown = first["table2_attention.md"].decode().splitlines()
    assert markdown[0] == f"**{table.caption}**"
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in markdown if line.startswith("|")
    ]
    assert cells[0] == table.shown.columns.tolist()
    assert cells[2:] == table.shown.to_numpy().tolist()
    assert all(f"- {note}" in markdown for note in table.notes)

    latex = first["table2_attention.tex"].decode()
    assert r"\toprule" in latex
    assert r"95 \% interval" in latex
    assert r"Printed accuracy (\%)" in latex
    assert latex.count(r"\\" + "\n") == len(table.shown) + 1


def test_written_figures_are_those_of_the_metrics(tables, shipped, tmp_path):
    """What a reader computes from the predictions is what stands in the table, rounded."""
    write_table(tables["table1_loss"], Path(tmp_path / "t"))
    rows = shipped.predictions["v1"]
    percent = f"{100 * (rows['predicted'] == rows['label']).mean():.2f}"
    line = next(line for line in (tmp_path / "t.md").read_text().splitlines() if "| v1 |" in line)
    assert f"| {percent} [" in line


def test_written_tables_are_read_back(tables, tmp_path):
    write_tables(tables, tmp_path / "tables.json")
    again = read_tables(tmp_path / "tables.json")
    assert list(again) == list(tables)
    for name, table in tables.items():
        assert again[name].caption == table.caption
        assert again[name].notes == tuple(table.notes)
        pd.testing.assert_frame_equal(again[name].shown, table.shown)
        assert (tmp_path / f"{name}.csv").exists()


NETWORKS = [
    Variant(name="before", attention="dual", loss="fl"),
    Variant(name="transferred", attention="dual", loss="fl", init="pretrained"),
    Variant(name="small", network={"kind": "ststnet"}, input="flow_strain", loss="ce"),
]


def with_methods(fewer=0, **kwargs):
    """Rows of which the network `small` answered fewer clips."""
    given = results(NETWORKS, methods=("flow_a", "flow_b", "texture"), by_flow=("flow_a", "flow_b"), **kwargs)
    rows = {**given.predictions, "small": given.predictions["small"].iloc[fewer:]}
    metrics = {
        name: score_variant(name, one, printed.CLASSES, SETTINGS)
        | {"cost": {"parameters": 2485, "multiply_adds": 390_800, "seconds": 1.5}, "left_out": 0}
        for name, one in rows.items()
    }
    metrics["small"]["left_out"] = fewer
    return replace(given, predictions=rows, metrics=metrics, seen={"small": "flow_strain, 28"})


def test_every_method_is_tested_against_the_transferred_row_and_the_best_on_flow():
    given = with_methods(fewer=7)
    table = build_tables(given)["methods"]
    frame = table.frame.set_index("variant")
    assert frame.index.dropna().tolist() == [*given.metrics]
    small = frame.loc["small"]
    assert (small["n"], small["left_out"], small["n_transferred"], small["n_flow"]) == (93, 7, 93, 93)
    common = given.predictions["transferred"].iloc[7:]
    assert small["gain_transferred"] == pytest.approx(
        small["macro_f1"] - score_variant("", common, printed.CLASSES, SETTINGS)["macro_f1"]["mean"]
    )
    best = max(("flow_a", "flow_b"), key=lambda name: frame.loc[name, "macro_f1"])
    assert np.isnan(frame.loc["transferred", "gain_transferred"]) and np.isnan(frame.loc[best, "gain_flow"])
    sides = ("floor", "transferred", "flow")
    tested, adjusted = (
        frame[[f"{what}_{side}" for side in sides]].stack().dropna() for what in ("p", "p_holm")
    )
    assert adjusted.tolist() == pytest.approx(holm(tested.tolist())) and len(tested) == 16
    shown = table.shown.set_index("Variant").loc["small"]
    assert shown["Clips"] == "93 (7 left out)" and shown["Sees"] == "flow_strain, 28"
    assert (shown["Method"], shown["Parameters"], shown["Multiply-adds (million)"]) == (
        "STSTNet",
        "2,485",
        "0.4",
    )
    assert "UF1 0.735; 3 classes" in shown["Note"] and "no difference" in " ".join(table.notes)
    assert "Left out" in " ".join(table.notes) and f"Gain on {best}" in table.shown


def test_every_network_is_called_by_its_name():
    kinds = [
        kind
        for (kind,) in (get_args(one.model_fields["kind"].annotation) for one in Network.__subclasses__())
    ]
    rows = [Variant(name=kind, network={"kind": kind}, input="apex", loss="ce") for kind in kinds]
    methods = build_tables(results(rows))["methods"].shown.set_index("Variant")["Method"]
    assert {"resnet18", "efficientnet_lite0", "ststnet"} < {*kinds}
    assert methods[kinds].str.lower().str.replace(r"\W", "", regex=True).tolist() == [
        kind.replace("_", "") for kind in kinds
    ]


def test_several_seeds_are_shown_with_their_mean_answer():
    """A network that knows each clip in two of three seeds is right in all of them together."""
    given = results(NETWORKS, seeds=(0, 1, 2))
    rows = given.predictions["small"]
    wrong = rows.groupby("seed").cumcount() % 3 == rows["seed"]
    answer = rows["label"].where(
        ~wrong, rows["label"].map(lambda of: "others" if of != "others" else "disgust")
    )
    shares = {f"p_{name}": 0.2 + 0.1 * (answer == name) for name in printed.CLASSES}
    score = score_variant("small", rows.assign(predicted=answer, **shares), printed.CLASSES, SETTINGS)
    table = build_tables(replace(given, metrics={**given.metrics, "small": score}))["methods"]
    frame, shown = (
        rows.set_index(name) for rows, name in ((table.frame, "variant"), (table.shown, "Variant"))
    )
    assert frame.loc["small", "macro_f1"] < 0.75 and frame.loc["small", "macro_f1_together"] == 1
    assert frame.loc["small", "accuracy_together"] == 100
    assert shown.loc["small", "Seeds averaged"] == "1.000"
    assert shown.loc["transferred", "Seeds averaged"] == "–", "without probabilities"
    assert any(note.startswith("Seeds averaged") for note in table.notes)
    assert "Seeds averaged" not in build_tables(results(NETWORKS))["methods"].shown


def test_a_figure_too_good_on_real_clips_calls_for_a_search_for_leaks():
    given = with_methods()
    perfect = given.predictions["small"].assign(predicted=lambda frame: frame["label"])
    score = score_variant("small", perfect, printed.CLASSES, SETTINGS)
    given = replace(
        given,
        predictions={**given.predictions, "small": perfect},
        metrics={**given.metrics, "small": score},
    )
    hints = [note for note in build_tables(given)["methods"].notes if "leak" in note]
    assert len(hints) == 1 and hints[0].startswith("small:")
    simulated = replace(given, simulated=["casme2"])
    assert not [note for note in build_tables(simulated)["methods"].notes if "leak" in note]


def test_every_method_is_tested_against_the_floor_with_whatever_seeds_it_has():
    given = with_methods()
    perfect = given.predictions["small"].assign(predicted=lambda frame: frame["label"], seed=3)
    constant = perfect.assign(predicted=majority_answers(given.samples)["predicted"].iloc[0])
    given = replace(given, predictions={**given.predictions, "small": perfect, "texture": constant})
    frame = build_tables(given)["methods"].frame.set_index("variant")
    gain = frame.loc["small", "gain_floor"]
    assert gain == pytest.approx(1 - given.floor["macro_f1"]) and frame.loc["small", "p_floor"] < 0.05
    assert frame.loc["texture", "gain_floor"] == 0 and frame.loc["texture", "p_floor"] == 1
