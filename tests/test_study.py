"""A study: the same rows over several targets, ranked together; and the picture of it."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from checkout import ROOT, Checkout
from dataset_samples import CONFIG

from mer_core.config.experiment import load_config
from mer_core.config.section import dump
from mer_core.csvs import read_csv
from mer_core.errors import UserError
from mer_core.report import figures, study

TARGETS = ["casme2", "samm"]
ROWS = ["ststnet", "flow_svm", "flow_boosted"]


def settings(**changes):
    smic = {
        "layout": "smic",
        "root": "simulated",
        "classes": {"negative": "negative", "positive": "positive"},
    }
    shipped = dump(CONFIG)
    return shipped | {"study": ["casme2", "smic"], "datasets": shipped["datasets"] | {"smic": smic}} | changes


def methods(scores):
    """The tables of all methods, as their experiments wrote them, from row -> scores by target."""
    return {
        target: pd.DataFrame(
            [
                {"kind": "measured", "variant": name, "macro_f1": values[place], "macro_f1_low": 0.1, "n": 20}
                for name, values in scores.items()
            ]
            + [{"kind": "floor", "variant": None, "macro_f1": 0.2, "n": 20}]
        )
        for place, target in enumerate(["casme2", "smic"])
    }


def test_rows_by_datasets():
    config = load_config(settings())
    given = methods({"first": [0.5, 0.6], "second": [0.7, 0.4], "third": [0.3, 0.3]})
    ranking = study.ranking_of(given, config)
    assert ranking.mean.to_dict() == {"first": 1.5, "second": 1.5, "third": 3.0}
    table = study.build_table(given, ranking, config)
    assert table.frame.variant.tolist() == ["first", "second", "third", study.FLOOR]
    assert table.shown["Mean rank"].tolist() == ["1.50", "1.50", "3.00", "–"], "the floor has no rank"
    assert table.frame.smic.tolist() == [0.6, 0.4, 0.3, 0.2]
    assert "casme2 20, smic 20. Simulated: casme2, ckplus, smic." in table.caption
    assert any("too few for any two rows to differ" in note for note in table.notes)
    several = study.build_table(given, ranking, load_config(settings(seeds=[0, 1])))
    said = "After ±: standard deviation over seeds. Comparison methods ran with the first seed only."
    assert said in several.notes and said not in table.notes
    best, nothing = study.finding(ranking, config)
    assert best == "first and second have the best mean rank, 1.50 of 3, over 2 targets."
    assert "no difference could have been found at 0.05" in nothing


@pytest.mark.parametrize(
    ("real", "said"),
    [
        ([], "Simulated data: these numbers say nothing about people"),
        (["casme2"], "Simulated in part: what rests on smic says nothing about people"),
        (["casme2", "smic"], ""),
    ],
)
def test_the_banner_says_which_targets_are_simulated(real, said):
    own = settings()
    for name in real:
        own["datasets"][name] = own["datasets"][name] | {"root": "/data"}
    assert study._banner(load_config(own)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"study": ["casme2", "samm"]}, r"study: 'samm' is not under datasets"),
        ({"study": ["casme2"]}, r"study: only casme2; name two targets at least, or set target"),
        ({"study": ["casme2", "casme2"]}, "stands twice"),
        ({"baselines": [], "variants": dump(CONFIG)["variants"][:1]}, "one row has nothing to be compared"),
    ],
)
def test_a_study_that_is_none_is_refused(changes, said):
    with pytest.raises(UserError, match=said):
        load_config(settings(**changes))


def test_every_target_is_checked_as_an_experiment():
    config = load_config(settings())
    own = config.for_target("smic")
    assert (own.target, own.study) == ("smic", None)
    single = {"layout": "fer2013", "root": "own", "classes": {"anger": "anger", "fear": "fear"}}
    changed = settings(study=["casme2", "fer"])
    changed["datasets"]["fer"] = single
    with pytest.raises(UserError, match="fer names no subjects"):
        load_config(changed).for_target("fer")


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_the_picture_of_the_critical_difference(tmp_path, rows):
    mean = pd.Series({f"row{place}": 1 + place * 0.9 for place in range(rows)})
    one, other = (figures.critical_difference(mean, [[*mean.index[:2]]], 1.2) for _ in range(2))
    written = [text.get_text() for text in one.axes[0].texts]
    assert all(any(name in text for text in written) for name in mean.index)
    assert any(text.startswith("CD 1.20") for text in written)
    first, second = (
        figures.save_figure(figure, tmp_path / name)[1].read_bytes()
        for name, figure in zip("ab", (one, other), strict=True)
    )
    assert first == second and ElementTree.fromstring(first) is not None


def test_the_shipped_study_holds_for_every_target():
    shipped = dump(CONFIG)
    own = yaml.safe_load((ROOT / "configs" / "study.yaml").read_text())
    own["datasets"] = shipped["datasets"] | own["datasets"]
    config = load_config(shipped | own)
    for target in config.study:
        assert config.for_target(target).target == target


def test_the_finding_names_what_differs():
    config = load_config(settings())
    given = methods({"first": [0.9, 0.9], "second": [0.6, 0.6], "third": [0.5, 0.5]})
    ranking = replace(study.ranking_of(given, config), p=0.01, p_least=0.001)
    said = {
        critical: study.finding(replace(ranking, critical=critical), config)[-1]
        for critical in (1.0, 1.5, 2.0001)
    }
    assert said[1.0] == "first differs from second, third."
    assert said[1.5] == "first differs from third."
    assert said[2.0001] == "Which ones differ cannot be told with so few targets."
    assert "do not differ more than chance" in study.finding(replace(ranking, p=0.2), config)[-1]
    tiny = replace(ranking, p=0.0001, critical=1.0)
    assert "The rows' ranks differ (p < 0.001)." in study.finding(tiny, config), "no p is zero"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("study"), "tests/study.yaml")
    done = checkout.run()
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout


@pytest.mark.workflow
def test_one_command_from_data_to_the_table_of_rows_by_datasets(finished):
    table = read_csv(finished.results / "tables/study.csv", ["mean_rank", *TARGETS])
    measured = table[table.kind == "measured"]
    assert {*measured.variant} == {*ROWS} and measured.mean_rank.is_monotonic_increasing
    assert measured.mean_rank.sum() == pytest.approx(len(ROWS) * (len(ROWS) + 1) / 2)
    for target in TARGETS:
        assert (finished.results / target / "report.html").is_file()
        for row in measured.itertuples():
            score = json.loads((finished.results / target / f"metrics/{row.variant}.json").read_text())
            assert getattr(row, target) == pytest.approx(score["macro_f1"]["mean"])
    page = (finished.results / "report.html").read_text()
    assert "Simulated data" in page and "Which rows differ" in page and str(finished.folder) not in page
    assert (finished.results / "figures/critical_difference.svg").is_file()
    assert finished.planned() == {}, "nothing is left to do"


@pytest.mark.workflow
def test_a_lost_table_of_one_target_is_made_anew(finished):
    path = finished.results / "samm/tables/methods.csv"
    path.rename(finished.folder / "kept.csv")
    try:
        plan = finished.planned()
    finally:
        (finished.folder / "kept.csv").rename(path)
    assert plan["samm_build_tables"] == plan["compare_targets"] == 1 and finished.planned() == {}


@pytest.mark.workflow
def test_a_fold_of_one_target_is_a_target_and_reruns_no_other(finished):
    fold = next((finished.results / "samm/folds/ststnet/seed0").iterdir()) / "predictions.csv"
    fold.unlink()
    plan = finished.planned()
    assert plan["samm_train_fold"] == 1 and not {name for name in plan if name.startswith("casme2")}
