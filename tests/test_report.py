"""The report: its words, what it must not show, and how it behaves in a real browser."""

import base64
import hashlib
import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mer_core.config.datasets import SIMULATED
from mer_core.config.experiment import load_config
from mer_core.config.section import dump
from mer_core.evaluation import statistics
from mer_core.report import assemble, captions, figures, finding, page, pictures, tables, typeset

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = [f"sub{n:02d}" for n in range(1, 27)]
KINDS = 10  # of figures as made up, besides the confusion matrices, one for each row
EVIL = "<script>document.title='owned'</script>"


def made_up_predictions(samples, classes, skill, seed):
    """Predictions right with probability `skill`, else any class; the answer has a probability of 0.6."""
    generator = np.random.default_rng(seed)
    guesses = generator.choice(classes, len(samples))
    right = generator.random(len(samples)) < skill
    frame = samples.assign(predicted=np.where(right, samples["label"], guesses), seed=0)
    rest = 0.4 / (len(classes) - 1)
    return frame.assign(**{f"p_{name}": np.where(frame["predicted"] == name, 0.6, rest) for name in classes})


def made_up_report(drawn, evil="others", subjects=SUBJECTS[:6], methods=False, **changes):
    """A report on made-up predictions of every shipped variant.

    Args:
        drawn: figures by name.
        evil: a file name and a reason of the data part.
        subjects: who is left out, nine clips each.
        methods: whether the shipped comparison methods are rows, too.
        changes: laid over the shipped configuration.
    """
    settings = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    settings["evaluation"] |= {"bootstrap": 200, "permutations": 200}
    settings = load_config(settings | changes)
    classes = settings.datasets["casme2"].class_names
    generator = np.random.default_rng(0)
    rows = [(f"casme2/{subject}/EP{clip:02d}", subject) for subject in subjects for clip in range(9)]
    samples = pd.DataFrame(rows, columns=["sample_id", "subject"])
    samples["label"] = generator.choice(classes, len(samples), p=[0.13, 0.26, 0.11, 0.1, 0.4])
    predictions = {
        variant.name: made_up_predictions(samples, classes, 0.2 + 0.05 * number, number)
        for number, variant in enumerate([*settings.variants, *settings.baselines * methods])
    }
    metrics = {
        name: statistics.score_variant(name, frame, classes, settings.evaluation)
        for name, frame in predictions.items()
    }
    results = tables.Results(
        metrics,
        predictions,
        samples,
        settings.variants,
        settings.losses,
        settings.evaluation,
        "casme2",
        [name for name in settings.used if settings.datasets[name].root == SIMULATED],
    )
    manifest = samples.assign(included=True, reason="", apex_source="annotated")
    manifest.loc[0, ["included", "reason"]] = [False, evil]
    defects = pd.DataFrame(
        [("casme2/sub01/EP01", f"sub01/{evil}", "missing_apex", "warning", f"spotted ({evil})")],
        columns=["row", "file", "defect", "severity", "action"],
    )
    findings = assemble.DatasetFindings(
        manifest,
        defects,
        ["hog"] * 50 + ["cnn"] * 3,
        pd.DataFrame(columns=["sample_id", "message"]),
        [1.0] * 50 + [0.9, 0.5, np.nan],
    )
    return assemble.ReportInput(
        config=settings,
        metrics=metrics,
        predictions=predictions,
        tables=tables.build_tables(results),
        figures={name: path for name, path in drawn.items() if name != "confusion"}
        | {f"confusion_{name}": drawn["confusion"] for name in metrics if drawn},
        datasets={"casme2": findings},
        folds=[made_up_fold(name, subject) for name in metrics for subject in subjects],
        benchmarks=pd.DataFrame(
            [("train_fold", "dual/sub01", 31.2, 900.0), ("train_fold", "dual/sub02", 29.0, np.nan)],
            columns=["rule", "job", "seconds", "memory"],
        ),
    )


def made_up_figures(folder):
    """One of each kind, as large as the paper's experiment would have it."""
    rows = [f"resnet18_{letter}" for letter in "abcdefghij"]
    points = [(row, metric, 0.5, 0.4, 0.6, 0.55) for row in rows for metric in ("macro-F1", "accuracy, %")]
    points = pd.DataFrame(points, columns=["variant", "metric", "value", "low", "high", "printed"])
    people = [(row, subject, 9, 0.5) for row in rows for subject in SUBJECTS]
    epochs = [(row, fold, epoch, 1 / epoch, 0.5) for row in rows for fold in "ab" for epoch in (1, 2)]
    bins = pd.DataFrame({"confidence": [0.6], "accuracy": [0.4], "n": [9]})
    jobs = [(f"rule_{number}", "", 5.0) for number in range(20)]
    classes = dict.fromkeys(["happiness", "disgust", "repression", "surprise", "others"], 30)
    drawn = {
        "variants": figures.variants(points, {"macro-F1": 0.2}),
        "variants_narrow": figures.variants(points, {"macro-F1": 0.2}, narrow=True),
        "class_distribution": figures.class_distribution({"casme2": classes, "ckplus": classes}),
        "subject_accuracy": figures.subject_accuracy(
            pd.DataFrame(people, columns=["variant", "subject", "n", "accuracy"])
        ),
        "learning_curves": figures.learning_curves(
            pd.DataFrame(epochs, columns=["variant", "fold", "epoch", "loss", "accuracy"])
        ),
        "agreement": figures.agreement(pd.DataFrame(0.5, rows, rows)),
        "reliability": figures.reliability(dict.fromkeys(rows, bins), dict.fromkeys(rows, "error")),
        "workflow": figures.stages(
            {"data": ["read_dataset"], "faces": ["align_faces"]}, {"data": [], "faces": ["data"]}
        ),
        "times": figures.step_times(pd.DataFrame(jobs, columns=["rule", "job", "seconds"])),
        "faces_casme2": pictures.contact_sheet(
            np.zeros((64, 8, 8, 3), np.uint8), ["fear"] * 64, ["hog"] * 64
        ),
        "attention_dual_transfer": pictures.attention_maps(
            np.zeros((5, 8, 8, 3), np.uint8), dict.fromkeys("abcd", np.ones((5, 4, 4))), list(classes)
        ),
        "confusion": figures.confusion(np.ones((5, 5)), list(classes)),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / name)
    return {
        name: folder / f"{name}.{'png' if 'faces' in name or 'attention' in name else 'svg'}"
        for name in drawn
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The figures of every report here, whatever it is about."""
    return made_up_figures(tmp_path_factory.mktemp("figures"))


def made_up_fold(variant, subject):
    """What train_fold records, as far as the report shows it."""
    return {
        "variant": variant,
        "seed": 0,
        "subject": subject,
        "epochs": 12,
        "device": "cpu",
        "peak_memory_mb": 900,
        "versions": {"python": "3.11.7", "torch": "2.11.0"},
        "seconds": {"load": 0.5, "train": 30.0, "predict": 0.1},
        "digests": {"configuration": "ab" * 32, "cache": "cd" * 32, "initial_weights": None},
    }


class Page(HTMLParser):
    """A page as its parts: (tag, attributes) in order, words, tables by heading, text by tag.

    A table's cells are without the marks of footnotes.
    """

    VOID = ("meta", "link", "img", "input", "source", "wbr")

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.tables, self.contents = [], [], {}, {}
        self._open = []
        self.feed(html)
        self.text = "".join(self.words)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self._rows = self.tables[self.contents["h3"][-1]] = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in self.VOID:
            self._open.append(tag)
            self.contents.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self._open:
            self.contents[self._open[-1]][-1] += data
        if {"td", "th"} & set(self._open) and "sup" not in self._open:
            self._rows[-1][-1] += data
        if not {"script", "style"} & set(self._open):
            self.words.append(data)

    def all(self, tag):
        """The attributes of every such element."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def made_up(drawn):
    return made_up_report(drawn, evil=EVIL)


@pytest.fixture(scope="module")
def html(made_up):
    return assemble.render(made_up)


def finding_of(made_up):
    return finding.finding(made_up.config, made_up.metrics, made_up.tables)


def numbers_in(sentence):
    """The numbers that a reader meets; those within names, such as macro-F1, are none."""
    return re.findall(r"(?<![\w.-])[-+]?\d+(?:\.\d+)?(?![\w-])", sentence.replace("−", "-"))


def test_finding_starts_with_the_best_row_and_the_floor(made_up):
    first, *claims, few, simulated = finding_of(made_up)
    score = max(made_up.metrics.values(), key=lambda one: one["macro_f1"]["mean"])["macro_f1"]
    floor = made_up.tables["table1_loss"].frame.query("kind == 'floor'").iloc[0]
    assert first == (
        f"Of all rows, the network ststnet is the best, with macro-F1 {score['mean']:.3f} (interval "
        f"{score['low']:.3f} to {score['high']:.3f}), which is above the floor: always answering 'others' "
        f"gives {floor['macro_f1']:.3f}."
    )
    assert [claim.count(words) for claim, words in zip(claims, CLAIMS, strict=True)] == [1, 1, 1]
    assert (
        few == "With 6 people the intervals are too narrow: of those called 95 %, about 80 in 100 hold "
        "the truth with six, fewer with fewer."
    )
    assert (
        simulated == "casme2 and ckplus are simulated, so no number on this page says anything about people."
    )


CLAIMS = (
    "focal loss beats cross entropy",
    "spatial and channel attention together beat the plain network",
    "pretraining beats random initial weights",
)


def test_claims_are_the_tested_rows_of_the_tables(made_up):
    frames = {name: made_up.tables[name].frame for name in ("table1_loss", "table2_attention", "transfer")}
    rows = [
        frames["table1_loss"].set_index("variant").loc["resnet18_focal"],
        frames["table2_attention"].set_index("variant").loc["dual"],
        frames["transfer"].set_index("after").loc["dual_transfer"],
    ]
    pairs = (
        "resnet18_focal against resnet18_ce",
        "dual against resnet18_focal",
        "dual_transfer against dual",
    )
    for sentence, row, pair in zip(finding_of(made_up)[1:4], rows, pairs, strict=True):
        gain = f"macro-F1 {row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
        assert gain in sentence.replace("−", "-") and f"for {pair}" in sentence
    assert "resnet18_ce, which differ in form and alpha, too." in finding_of(made_up)[1]
    assert rows[1]["verdict"] == "too few people"  # four tests of six people
    assert "So few people cannot tell whether spatial" in finding_of(made_up)[2]


def changed(made_up, table, **columns):
    """The same report with other values in a table's tested rows."""
    frame = made_up.tables[table].frame
    values = {name: frame[name].mask(frame["gain"].notna(), value) for name, value in columns.items()}
    return replace(
        made_up,
        tables=dict(made_up.tables) | {table: replace(made_up.tables[table], frame=frame.assign(**values))},
    )


def of_real_clips(made_up):
    """The same report as if its clips were of CASME II."""
    settings = dump(made_up.config)
    for name in settings["datasets"]:
        settings["datasets"][name]["root"] = f"data/{name}"
    return replace(made_up, config=load_config(settings))


def test_no_p_of_the_finding_is_zero(made_up):
    tiny = changed(made_up, "transfer", verdict="better", p_holm=0.0004, p_least_holm=0.0001)
    assert "p < 0.001," in finding_of(tiny)[3]


@pytest.mark.parametrize(
    ("verdict", "on_simulated", "on_real"),
    [
        ("better", "Pretraining beats random", "As the paper claims, pretraining beats random"),
        ("worse", "Pretraining does worse than", "Contrary to the paper, pretraining does worse than"),
        ("not shown", "It is not shown that pretraining", "It is not shown that pretraining"),
        ("too few people", "So few people cannot tell", "So few people cannot tell"),
    ],
)
def test_finding_calls_a_gain_what_the_table_does(made_up, verdict, on_simulated, on_real):
    report = changed(made_up, "transfer", verdict=verdict, p_holm=0.0421, p_least_holm=0.0625)
    for one, start in ((report, on_simulated), (of_real_clips(report), on_real)):
        sentence = finding_of(one)[3]
        assert sentence.startswith(start)
        assert ("0.0625" if verdict == "too few people" else "p = 0.042") in sentence


def test_no_sentence_has_more_than_four_numbers(made_up):
    partial = {name: score | {"folds_expected": 26} for name, score in made_up.metrics.items()}
    for report in (made_up, of_real_clips(made_up), replace(made_up, metrics=partial)):
        for sentence in finding_of(report):
            assert sentence.endswith(".") and len(numbers_in(sentence)) <= 4, sentence


def test_finding_says_what_is_simulated(made_up):
    assert "simulated" not in " ".join(finding_of(of_real_clips(made_up)))
    settings = dump(made_up.config)
    settings["datasets"]["casme2"]["root"] = "data/casme2"
    source = replace(made_up, config=load_config(settings))
    assert finding_of(source)[-1] == (
        "ckplus is simulated, so what pretraining gains here says nothing about real faces."
    )
    assert "the paper" not in " ".join(finding_of(made_up))


def with_score(made_up, name, **changes):
    """The same report with another score of one variant."""
    return replace(made_up, metrics=dict(made_up.metrics) | {name: made_up.metrics[name] | changes})


def test_a_comparison_method_can_be_the_best(made_up):
    perfect = {"mean": 1.0, "sd": None, "low": None, "high": None}
    method = made_up.metrics["dual"] | {"variant": "flow_svm", "macro_f1": perfect}
    best = finding_of(replace(made_up, metrics=dict(made_up.metrics) | {"flow_svm": method}))[0]
    assert best.startswith(
        "Of all rows, the comparison method flow_svm is the best, with macro-F1 1.000, where"
    )
    assert best.endswith("it has no interval, since every draw of people scores alike.")


def test_a_best_row_that_is_not_above_the_floor_is_said_to_be_so(made_up):
    poor = {"mean": 0.9, "sd": None, "low": 0.01, "high": 0.95}
    assert "not clearly above the floor" in finding_of(with_score(made_up, "dual", macro_f1=poor))[0]


def test_missing_folds_are_said(made_up):
    every = {name: score | {"folds_expected": 26} for name, score in made_up.metrics.items()}
    sentences = finding_of(replace(made_up, metrics=every))
    assert "Only 6 of 26 folds are in, so every figure is of those people alone." in sentences
    sentences = finding_of(with_score(made_up, "dual", folds_expected=8))
    assert "Folds are missing (dual has 6 of 8 folds), so rows are not of the same people." in sentences


def test_many_people_need_no_warning(made_up):
    ten = {name: score | {"subjects": 10} for name, score in made_up.metrics.items()}
    assert not any("too narrow" in one for one in finding_of(replace(made_up, metrics=ten)))


PLAIN = {"name": "plain", "attention": "none", "loss": "cross_entropy"}
CHANNEL = {"name": "channel", "attention": "channel", "loss": "focal"}
DUAL = {"name": "dual", "attention": "dual", "loss": "focal"}
TRANSFERRED = DUAL | {"name": "transferred", "init": "pretrained"}
STSTNET = {"name": "ststnet", "network": "ststnet", "input": "flow_strain", "loss": "cross_entropy"}
STSTNET["training"] = {"augmentation": {"flip": False, "rotation": 0, "brightness": 0}}


def of_other_classes(made_up):
    """Changes of a configuration that call two of the paper's classes otherwise."""
    datasets = dump(made_up.config)["datasets"]
    datasets["casme2"]["classes"] |= {"happiness": "positive", "disgust": "negative"}
    return {"datasets": datasets}


@pytest.mark.parametrize(
    ("rows", "untested"),
    [
        ([PLAIN, CHANNEL, TRANSFERRED], [0, 1, 2]),
        ([PLAIN, STSTNET], [0]),
        ([DUAL, STSTNET], [1]),
        ([STSTNET], []),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_a_claim_that_was_not_tested_is_said_where_a_row_of_ours_could_have_been(
    made_up, rows, untested, own
):
    """In the paper's classes; in others no row is missed."""
    report = made_up_report({}, variants=rows, **({} if own else of_other_classes(made_up)))
    said = [one for one in finding_of(report) if "not tested" in one]
    needs = (
        "a plain ResNet18 under each loss",
        "both networks under focal loss",
        "two rows that differ in this alone",
    )
    expected = [f"Whether {CLAIMS[place]} was not tested: it takes {needs[place]}." for place in untested]
    assert said == (expected if own else [])


def test_of_a_network_that_brings_weights_along_pretraining_is_not_held_against_random_ones(made_up):
    """Nor against the paper, which has no such network."""
    lite = {"name": "lite", "network": "efficientnet_lite0", "loss": "cross_entropy"}
    report = made_up_report({}, variants=[lite, lite | {"name": "lite_transfer", "init": "pretrained"}])
    better = changed(of_real_clips(report), "transfer", verdict="better", p_holm=0.01, p_least_holm=0.001)
    claims = [one for one in finding_of(better) if "retraining" in one]
    assert claims[0].startswith("Pretraining beats ImageNet's weights alone: ")


def test_rows_as_good_as_the_best_are_named(made_up):
    same = {name: made_up.metrics["dual"] for name in ("dual", "spatial", "channel")}
    best = finding_of(replace(made_up, metrics=same))[0]
    assert best.startswith(
        "Of all rows, the network dual is the best (as good: spatial, channel), with macro-F1"
    )


def test_a_page_has_no_table_in_which_no_row_of_ours_stands(made_up):
    """Nor a word about the paper where its classes are others; the files are there all the same."""

    def headings(rows, **changes):
        report = made_up_report({}, variants=rows, **changes)
        assert {"table1_loss", "table2_attention", "table3_methods", "transfer"} < {*report.tables}
        html = assemble.render(report)
        about = [
            title for title in Page(html).tables if title.startswith(("Table", "Loss", "Attention", "Gain"))
        ]
        return about, html

    papers = [title.partition(": ")[2] for title in tables.TITLES.values()]
    loss, attention, methods = (f"Table {number}: {words}" for number, words in enumerate(papers, start=1))
    assert headings([PLAIN, STSTNET])[0] == [loss, methods]
    assert headings([DUAL, STSTNET])[0] == [attention, methods]
    assert headings([CHANNEL, TRANSFERRED])[0] == [attention, methods, "Gain by transfer"]
    about, html = headings([STSTNET], **of_other_classes(made_up))
    assert about == [] and "printed" not in Page(html).text and "he paper" not in Page(html).text
    # Under other classes a row stands once, and where it is tested.
    other = of_other_classes(made_up)
    assert headings([PLAIN, STSTNET], **other)[0] == ["Loss functions on the plain ResNet18"]
    focal = PLAIN | {"name": "focal", "loss": "focal"}
    assert headings([focal, STSTNET], **other)[0] == ["Attention kinds in ResNet18, all with focal loss"]
    about, html = headings([DUAL, TRANSFERRED], **other)
    assert about == ["Gain by transfer"]
    assert assemble.UNSTATED in Page(html).text and assemble.QUOTED not in Page(html).text


def test_where_datasets_are_left_out_in_turn_the_best_row_is_of_each(made_up):
    """Not of all their clips together, of which the protocol says nothing."""
    settings = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    own = yaml.safe_load((ROOT / "configs" / "cdmer.yaml").read_text(encoding="utf-8"))
    own["datasets"]["casme2"] = settings["datasets"]["casme2"] | own["datasets"]["casme2"]
    config = load_config(settings | own | {"datasets": settings["datasets"] | own["datasets"]})

    def score(casme2, smic):
        parts = {
            name: {"macro_f1": {"mean": mean, "sd": None, "low": mean - 0.1, "high": mean + 0.1}}
            for name, mean in (("casme2", casme2), ("smic", smic))
        }
        return made_up.metrics["dual"] | {"parts": parts}

    metrics = {"dual": score(0.5, 0.3), "bi_woof": score(0.4, 0.35)}
    floor = pd.DataFrame(
        [{"kind": "floor", "method": "the commonest", "casme2_macro_f1": 0.25, "smic_macro_f1": 0.26}]
    )
    parts = typeset.Table(floor, floor, "", ())
    first, second, *_ = finding.finding(config, metrics, dict(made_up.tables) | {"parts": parts})
    assert first == (
        "Of all rows trained on smic and tested on casme2, the network dual is the best, with macro-F1 0.500 "
        "(interval 0.400 to 0.600), which is above the floor: the commonest gives 0.250."
    )
    assert second == (
        "Of all rows trained on casme2 and tested on smic, the comparison method bi_woof is the best, with "
        "macro-F1 0.350 (interval 0.250 to 0.450), which is not clearly above the floor: the commonest gives "
        "0.260."
    )


def test_finding_prefers_the_clean_pair_of_losses(made_up):
    frame = made_up.tables["table1_loss"].frame
    between = frame[frame["variant"] == "resnet18_focal"].assign(variant="channel", changes="gamma")
    table = replace(made_up.tables["table1_loss"], frame=pd.concat([frame, between]))
    sentence = finding_of(replace(made_up, tables=dict(made_up.tables) | {"table1_loss": table}))[1]
    assert sentence.endswith("for channel against resnet18_ce.")


def test_finding_says_what_else_two_rows_differ_in(made_up):
    sentence = finding_of(changed(made_up, "table2_attention", changes="attention, training"))[2]
    assert sentence.endswith("for dual against resnet18_focal, which differ in training, too.")


def test_finding_is_the_same_from_the_files(made_up, tmp_path):
    typeset.write_tables(made_up.tables, tmp_path / "tables.json")
    again = typeset.read_tables(tmp_path / "tables.json")
    assert finding_of(replace(made_up, tables=again)) == finding_of(made_up)


def test_a_comparison_method_has_no_epochs_and_digests_of_its_own(made_up):
    fold = made_up_fold("lbp_apex", "sub01") | {
        "digests": {"configuration": "ab" * 32, "features": "ef" * 32}
    }
    del fold["epochs"]
    tables = Page(assemble.render(replace(made_up, folds=[*made_up.folds, fold]))).tables
    training = {row[0]: row for row in tables["Training"]}
    epochs = training["Variant"].index("Epochs")
    assert training["lbp_apex"][epochs] == page.MISSING
    assert training["dual"][epochs] == "12"
    digests = {row[0]: row[1:] for row in tables["Digests (first 12 digits of sha256)"]}
    kinds = digests["Variant"]
    assert digests["lbp_apex"][kinds.index("Features")] == "ef" * 6
    assert digests["lbp_apex"][kinds.index("Cache")] == page.MISSING


def test_figures_of_all_rows_say_that_comparison_methods_have_one_seed(made_up):
    def of(kind, metrics):
        return captions.describe(kind, "", Path("f.svg"), made_up.config, metrics).caption

    several = {"dual": made_up.metrics["dual"] | {"seeds": [0, 1]}, "lbp_apex": made_up.metrics["dual"]}
    for kind in ("variants", "subject_accuracy"):
        assert "comparison methods: the first seed" in of(kind, several)
        assert "comparison methods" not in of(kind, made_up.metrics)
    assert "comparison methods" not in of("learning_curves", several)


def test_captions_hold_whichever_row_stands_first(made_up):
    """It may lack folds or clips; its attention may be another's; some rows give no probabilities."""

    def of(kind, about, config, metrics=made_up.metrics):
        return captions.describe(kind, about, Path("f.svg"), config, metrics).caption

    lacking = {"flow": made_up.metrics["dual"] | {"n": 40}} | made_up.metrics
    assert "54 clips" in of("variants", "", made_up.config, lacking)
    plain = load_config(dump(made_up.config) | {"baselines": []})
    assert "never meant as probabilities" in of("reliability", "", made_up.config)
    assert "never meant as probabilities" not in of("reliability", "", plain)
    rows = [row | {"attention": "cbam"} for row in dump(made_up.config)["variants"] if row["name"] == "dual"]
    cbam = load_config(dump(made_up.config) | {"variants": rows})
    assert "equation 3" in of("attention", "dual", made_up.config)
    assert of("attention", "dual", cbam).startswith("The spatial gate of CBAM over")


def test_figures_speak_of_the_paper_where_its_classes_are_those(made_up):
    def told(classes, kind):
        metrics = {name: score | {"classes": classes} for name, score in made_up.metrics.items()}
        picture = captions.describe(kind, "", Path("f.svg"), made_up.config, metrics)
        return picture.title + picture.caption

    own = next(iter(made_up.metrics.values()))["classes"]
    for kind in ("variants", "class_distribution"):
        assert "paper" in told(own, kind) and "paper" not in told(["negative", "positive"], kind)


def test_tables_hold_the_numbers_of_the_csv_files(made_up, html):
    shown = Page(html).tables
    for table in made_up.tables.values():
        title, *_ = table.caption.split(". ")
        header, *rows = shown[title]
        expected = table.shown.astype(str).drop(columns="Note", errors="ignore")
        if "Method" in expected:
            names = expected.pop("Variant")
            own = (names == page.MISSING) | (names == expected["Method"])
            expected["Method"] += np.where(own, "", " " + names)
        assert header == list(expected.columns)
        assert rows == expected.to_numpy().tolist()
    header, *rows = shown["Table 2: attention kinds in ResNet18, all with focal loss"]
    frame = made_up.tables["table2_attention"].frame
    for row, accuracy in zip(rows, frame["accuracy"], strict=True):
        assert float(row[header.index("Accuracy (%)")].split()[0]) == pytest.approx(accuracy, abs=0.005)


def test_every_note_of_a_row_is_a_footnote_and_every_note_is_said_once(made_up, html):
    for table in made_up.tables.values():
        part = html[html.index(f">{table.caption.split('. ')[0]}</h3>") :].partition("<h3")[0]
        listed = dict(re.findall(r'<li class="marked"><sup>(\w)</sup> (.*?)</li>', part))
        marks = re.findall(r"<th scope=\"row\".*?(?:<sup> (\w)</sup>)?</th>", part)
        notes = table.shown.get("Note", pd.Series("", table.shown.index))
        assert [unescape(listed[mark]) if mark else "" for mark in marks] == notes.tolist()
    listed = re.findall(r"<li>(.*?)</li>", html.partition("Limits</h2>")[0])
    for note in {note for table in made_up.tables.values() for note in table.notes}:
        said = [unescape(text) for text in listed if unescape(text).startswith(note)]
        tables_of = [table for table in made_up.tables.values() if note in table.notes]
        assert len(said) == 1, note
        named = [table.caption.split(". ")[0].partition(":")[0] for table in tables_of]
        assert said[0] == (note if len(named) == 1 else f"{note} ({', '.join(named)})")


def test_each_table_can_be_had_in_full_precision(made_up, html):
    files = {
        a["aria-label"].removesuffix(" as CSV"): base64.b64decode(a["href"].partition(",")[2]).decode()
        for a in Page(html).all("a")
        if "download" in a
    }
    for table in made_up.tables.values():
        assert files[table.caption.split(". ")[0]] == table.frame.to_csv(index=False)


def test_names_that_look_like_something_else_pass_unchanged(made_up):
    classes = {"happiness": "None", "disgust": "0", "repression": "NA", "surprise": "nan", "others": "others"}
    settings = dump(made_up.config)
    settings["datasets"]["casme2"]["classes"] |= classes
    rows = [
        row | {"name": name}
        for row, name in zip(settings["variants"], ["1e5", "007", "null", "true"], strict=False)
    ]
    report = made_up_report({}, datasets=settings["datasets"], variants=rows, baselines=[])
    parsed = Page(assemble.render(report))
    header, *rows = parsed.tables["Each class: precision, recall and F1"]
    assert {row[0] for row in rows} == {"1e5", "007", "null", "true"}
    assert {row[header.index("Class")] for row in rows} == set(classes.values())
    header, *rows = parsed.tables["Answers clip by clip"]
    assert header[4:] == ["1e5", "007", "null", "true"]
    assert {row[2] for row in rows} == set(classes.values())
    assert {"None", "0", "NA", "nan"} <= {option["value"] for option in parsed.all("option")}


def test_the_clips_hold_every_answer_with_its_probability(made_up, html):
    header, *rows = Page(html).tables["Answers clip by clip"]
    assert header == ["Clip", "Subject", "Class", "Right", *made_up.predictions]
    for place, (name, predictions) in enumerate(made_up.predictions.items(), start=4):
        given = predictions["predicted"] + " 0.60"
        assert [row[place] for row in rows] == given.tolist(), name
    expected = next(iter(made_up.predictions.values()))
    assert [row[1] for row in rows] == expected["subject"].tolist()
    assert [row[2] for row in rows] == expected["label"].tolist()
    hits = sum((frame["predicted"] == frame["label"]).astype(int) for frame in made_up.predictions.values())
    assert [int(row[3]) for row in rows] == hits.tolist()
    missed, solved = (hits == 0).sum(), (hits == len(made_up.predictions)).sum()
    said = f"Of 54 clips, {missed} are missed by every row and {solved} by none (8 rows, first seed)."
    assert said in Page(html).text


def test_the_page_of_a_target_says_which_it_is_and_where_its_files_lie(html):
    """Each target of a study has a page and a folder of its own, and pathvars put both elsewhere."""
    assert "recognition: demo, casme2</title>" in html
    assert (
        "All seeds are in metrics/*.predictions.csv beside this page." in html and "results/demo" not in html
    )


def test_the_clips_show_the_first_seed_and_what_was_not_predicted(made_up):
    first = made_up.predictions["dual"].iloc[1:].assign(seed=5)
    second = first.assign(seed=2, predicted="others")
    report = replace(made_up, predictions=dict(made_up.predictions) | {"dual": pd.concat([first, second])})
    header, *rows = Page(assemble.render(report)).tables["Answers clip by clip"]
    shown = [row[header.index("dual")] for row in rows]
    assert shown == [page.MISSING, *(first["predicted"] + " 0.60")]


def test_quality_of_the_data_at_a_glance(html):
    facts = dict(Page(html).tables["Samples and faces"][1:])
    assert facts == {
        "annotated": "54",
        "used": "53",
        "subjects": "6",
        f"left out: {EVIL}": "1",
        "left out: no face found": "0",
        "apex: annotated": "53",
        "face found by: hog": "50",
        "face found by: cnn": "3",
        "crop inside its source, median (%)": "100.0",
        "crop inside its source, least (%)": "50.0",
        "crops less than 95 % inside": "2",
    }


def test_a_clip_without_a_face_is_left_out_and_not_used(made_up):
    casme2 = made_up.datasets["casme2"]
    lost = casme2.manifest[casme2.manifest["subject"] == "sub03"]
    failures = pd.DataFrame({"sample_id": lost["sample_id"], "message": "no face"})
    facts = assemble._quality(replace(casme2, failures=failures))
    counts = {name: facts[name] for name in ("annotated", "used", "subjects", "left out: no face found")}
    assert counts == {"annotated": 54, "used": 44, "subjects": 5, "left out: no face found": 9}
    assert facts["apex: annotated"] == 44 and facts[f"left out: {EVIL}"] == 1


def test_qualities_of_one_kind_stand_together(made_up):
    casme2 = made_up.datasets["casme2"]
    other = casme2.manifest.assign(reason="no label", apex_source="none")
    both = {"casme2": casme2, "ckplus": replace(casme2, manifest=other)}
    header, *rows = Page(assemble.render(replace(made_up, datasets=both))).tables["Samples and faces"]
    assert header[1:] == ["casme2 (simulated)", "ckplus (simulated)"]
    kinds = [row[0].partition(":")[0] for row in rows]
    assert [kind for kind, _ in itertools.groupby(kinds)] == list(dict.fromkeys(kinds))
    assert ["left out: no label", page.MISSING, "1"] in rows


def test_page_is_well_formed_and_asks_nobody_for_anything(html):
    parsed = Page(html)
    sources = [attributes.get(name) for _, attributes in parsed.tags for name in ("src", "href")]
    assert all(source.startswith(("data:", "#")) for source in sources if source)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+/|@import|url\(", re.sub(r"base64,[^\"]+", "", html))
    policy = next(a["content"] for a in parsed.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:") and "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = parsed.contents[tag]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any(name.startswith("on") or name == "style" for _, given in parsed.tags for name in given)


def test_a_label_that_is_a_script_is_shown_as_text(html):
    parsed = Page(html)
    assert len(parsed.all("script")) == 1
    assert parsed.text.count(EVIL) >= 3, "the reason, the defect's file and its action"
    assert [f"left out: {EVIL}", "1"] in parsed.tables["Samples and faces"]


def test_names_of_variants_are_escaped_in_attributes(made_up):
    evil = 'x" onload="alert(1)'
    metrics = {evil: made_up.metrics["dual"]} | dict(made_up.metrics)
    parsed = Page(assemble.render(replace(made_up, metrics=metrics)))
    assert evil in [box["value"] for box in parsed.all("input")]
    assert not any("onload" in attributes for _, attributes in parsed.tags)


def test_structure_serves_a_screen_reader(html):
    parsed = Page(html)
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a[name] for _, a in parsed.tags for name in ("aria-labelledby",) if name in a]
    links = [a["href"][1:] for a in parsed.all("a") if "download" not in a]
    assert set(named + links) <= set(ids)
    assert parsed.all("html") == [{"lang": "en"}] and len(parsed.all("main")) == len(parsed.all("nav")) == 1
    assert parsed.all("a")[0]["class"] == "skip" and links[0] == "main"
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(header["scope"] in ("col", "row") for header in parsed.all("th"))
    assert all("aria-labelledby" in table for table in parsed.all("table"))


def test_captions_say_on_how_much_a_figure_rests(html):
    captions = Page(html).contents["figcaption"]
    assert len(captions) == KINDS + 8
    without = 5  # classes, faces, attention, stages and time
    said = sum("54 clips, 6 subjects, 6 folds, 1 seed" in caption for caption in captions)
    assert said == len(captions) - without


def test_banner_stands_on_simulated_data_only(made_up, html, tmp_path):
    assert assemble.BANNER in Page(html).text
    settings = dump(made_up.config)
    for name in ("casme2", "ckplus"):  # of people, while the source is still simulated, and then both
        settings["datasets"][name]["root"] = f"data/{name}"
        own = replace(made_up, config=load_config(settings))
        text = Page(assemble.render(own)).text
        assert assemble.BANNER not in text and "own copy" in text
    assert "(simulated)" not in text


def test_no_absolute_path_is_shown(made_up):
    settings = dump(made_up.config)
    settings["datasets"]["casme2"] |= {
        "root": "/users/jane doe/My CASME II",
        "workbook": "~/secret/coding.xlsx",
    }
    settings["datasets"]["ckplus"]["root"] = "C:\\Users\\Jane Doe\\CK+"
    action = (
        "file /users/jane doe/My CASME II/sub01/img1.jpg, /srv/jane/x.py, D:\\jane\\frames\\img2.jpg; "
        "left/right and 8:2 stay"
    )
    findings = made_up.datasets["casme2"]
    findings = replace(findings, defects=findings.defects.assign(action=action))
    text = Page(
        assemble.render(replace(made_up, config=load_config(settings), datasets={"casme2": findings}))
    ).text
    assert not re.search(r"jane|secret|/home|/srv|Users", text, re.IGNORECASE)
    for kept in (
        "…/My CASME II",
        "…/coding.xlsx",
        "…/CK+",
        "…/x.py",
        "…/img2.jpg",
        "left/right and 8:2 stay",
    ):
        assert kept in text, kept


def test_same_input_gives_the_same_page(made_up, html):
    assert assemble.render(made_up) == html


@pytest.mark.parametrize(
    ("folds", "said"),
    [(None, "leave one subject out: 54"), ({"groups": 3}, "leave a group of subjects out: 54")],
)
def test_the_page_says_who_is_left_out(made_up, folds, said):
    config = load_config(dump(made_up.config) | {"folds": folds})
    assert f"casme2, {said} clips" in assemble.render(replace(made_up, config=config))


def test_the_page_of_an_official_split_speaks_of_its_test_parts(made_up):
    config = load_config(dump(made_up.config))
    split = config.model_copy(update={"folds_by": "split"})
    text = Page(assemble.render(replace(made_up, config=split))).text
    assert (
        "Every clip of the test parts is predicted once per seed by a model that was trained on the " in text
    )
    one = made_up.metrics["dual"] | {"folds": 1, "folds_expected": 1}
    assert captions.basis(one) == "54 clips, 6 subjects, 1 fold, 1 seed"


def test_undefined_names_stop_the_template(made_up):
    with pytest.raises(Exception, match="'subtitle' is undefined"):
        page.fill(made_up.config, title="", banner="", finding=[], sections=[], variants=[], footer="")


NUMBERS = st.from_regex(r"[<+-]?([0-9]{1,4}|[0-9]{1,3}(,[0-9]{3}){1,2})(\.[0-9]{1,3})?", fullmatch=True)


@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["", "± 0.8", "[1, 2]", "± 0.8 [-1.5, 2]"])), min_size=1))
def test_a_number_stands_apart_from_its_spread(parts):
    column = pd.Series([f"{number} {spread}".strip() for number, spread in parts] + [page.MISSING])
    *cells, missing = page._cells(column)
    assert [(cell["text"], cell["spread"]) for cell in cells] == parts
    assert all(cell["number"] for cell in (*cells, missing)) and missing["text"] == page.MISSING


@pytest.mark.parametrize(
    "cells", [["dual", "cbam"], ["3 to 4", "none"], ["", "yes"], ["3.11.7", "2.0.1.post1"], ["64cc37", "12"]]
)
def test_words_are_left_alone(cells):
    shown = page._cells(pd.Series(cells))
    assert [cell["text"] for cell in shown] == cells
    assert not any(cell["number"] or cell["spread"] for cell in shown)


# In a real browser. Debian: apt-get install chromium chromium-driver.


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(programs):
        pytest.skip("no chromium with chromedriver: the report is not tested in a browser")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def whole(drawn):
    """As large as the paper's experiment: 26 subjects, ten rows."""
    return made_up_report(drawn, evil=EVIL, subjects=SUBJECTS, methods=True)


@pytest.fixture
def opened(browser, whole, tmp_path):
    """Opens the large report at a width, on screen or as on paper, and returns the browser."""
    path = tmp_path / "report.html"
    path.write_text(assemble.render(whole), encoding="utf-8")

    def open_at(width, media="screen", scheme="light"):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri())
        return browser

    return open_at


@pytest.mark.parametrize("width", [360, 390, 1400])
def test_browser_shows_all_of_it_without_error_request_or_overflow(opened, width):
    browser = opened(width)
    assert browser.get_log("browser") == []
    requests = re.findall(
        r'"url":"(\w+):', "".join(entry["message"] for entry in browser.get_log("performance"))
    )
    assert set(requests) <= {"file", "data", "about"} and "file" in requests
    sizes = browser.execute_script("return [...document.images].map(i => i.naturalWidth * i.complete)")
    assert len(sizes) == KINDS + 10 and all(sizes)
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    outside = browser.execute_script(
        "return [...document.body.querySelectorAll('*')].filter(e => !e.closest('.scroll, .paper, pre')"
        " && !e.matches('.skip') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert outside == []
    assert browser.title == "Micro-expression recognition: demo, casme2", "a label ran as a script"


COLUMN = """
const table = document.querySelectorAll("table")[arguments[0]];
return [...table.tBodies[0].rows].map(row => row.cells[arguments[1]].textContent);
"""


def column(browser, table, place):
    """The visible texts of a column, from top to bottom."""
    return browser.execute_script(COLUMN, table, place)


def first_number(text):
    return float(re.search(r"[-+]?\d+(\.\d+)?", text)[0])


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_browser_sorts_by_number_with_missing_values_last(opened, how):
    browser = opened(1400)
    headers = browser.find_elements("css selector", "table")[2].find_elements("css selector", "thead th")
    place = [header.text for header in headers].index("Macro-F1 gain on baseline")
    before = column(browser, 2, place)
    button = headers[place].find_element("css selector", "button")

    def press():
        if how == "click":
            button.click()
        else:
            browser.execute_script("arguments[0].focus()", button)
            button.send_keys("\ue007")  # the Enter key

    for order, direction in ((1, "ascending"), (-1, "descending")):
        press()
        assert headers[place].get_attribute("aria-sort") == direction
        after = column(browser, 2, place)
        numbers = [first_number(text) for text in after if text != page.MISSING]
        assert numbers == sorted(numbers, reverse=order == -1) and len(numbers) > 1
        assert after[len(numbers) :] == [page.MISSING] * (len(after) - len(numbers))
        assert sorted(after) == sorted(before)
    headers[0].find_element("css selector", "button").click()
    assert headers[place].get_attribute("aria-sort") is None
    names = column(browser, 2, 0)
    assert names == sorted(names, key=str.lower)


def test_browser_sorts_thousands_by_all_their_digits(opened):
    browser = opened(1400)
    rows = len(column(browser, 2, 1))
    numbers = ["11,179,077", "2,485", "900", "16,933", *map(str, range(rows - 4))]
    write = "document.querySelectorAll('table')[2].tBodies[0].querySelectorAll('tr').forEach("
    browser.execute_script(write + "(row, place) => row.cells[1].textContent = arguments[0][place])", numbers)
    browser.find_elements("css selector", "table")[2].find_elements("css selector", "thead button")[1].click()
    assert column(browser, 2, 1)[-4:] == ["900", "2,485", "16,933", "11,179,077"]


def test_browser_filters_by_variant(opened):
    browser = opened(1400)
    boxes = {
        box.get_attribute("value"): box for box in browser.find_elements("css selector", "#filter input")
    }
    for name, box in boxes.items():
        if name != "spatial":
            box.click()
    assert browser.find_element("id", "shown").text == "1 of 10 shown"
    visible = browser.execute_script(
        "return [...document.querySelectorAll('[data-variant]:not([hidden])')].map(e => e.dataset.variant)"
    )
    assert set(visible) == {"spatial"}
    figures = [f for f in browser.find_elements("css selector", "figure") if f.is_displayed()]
    assert sum("Confusion matrix" in figure.text for figure in figures) == 1
    rows = browser.find_elements("css selector", "table")[1].find_elements("css selector", "tbody tr")
    shown = [row.text for row in rows if row.is_displayed()]
    assert len(shown) == 2 and "always answering" in shown[1], "the floor belongs to every choice"
    boxes["dual"].click()
    assert browser.find_element("id", "shown").text == "2 of 10 shown"


def test_browser_reaches_the_content_first_and_everything_by_keyboard(opened):
    browser = opened(1400)
    body = browser.find_element("css selector", "body")
    assert browser.find_element("css selector", ".skip").rect["x"] < 0, "it shows when it has the focus"
    body.send_keys("\ue004")  # the Tab key
    focused = browser.switch_to.active_element
    assert focused.text == "Skip to the content" and focused.rect["x"] >= 0
    unreachable = browser.execute_script(
        "return [...document.querySelectorAll('.scroll, .paper, pre, button, input, summary, a')]"
        ".filter(e => e.tabIndex < 0).length"
    )
    assert unreachable == 0


OPEN_ALL = "document.querySelectorAll('details').forEach(part => part.open = true);"
SCROLLED = """
return [...document.querySelectorAll(".scroll")].filter(part => part.scrollWidth > part.clientWidth)
  .map(part => part.getAttribute("aria-labelledby"));
"""


def test_browser_hides_no_column_on_a_desktop(opened):
    browser = opened(1400)
    assert browser.execute_script(OPEN_ALL + SCROLLED) == []


# Per table, the headers of the numbers that are seen whole before anybody scrolls sideways.
FIRST_SCREEN = """
const whole = (cell, left, right) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const box = range.getBoundingClientRect();
  return box.left >= left - 1 && box.right <= right + 1;
};
return Object.fromEntries([...document.querySelectorAll(".scroll")].map(part => {
  const [table, view] = [part.querySelector("table"), part.getBoundingClientRect()];
  const left = table.tBodies[0].rows[0].cells[0].getBoundingClientRect().right;
  const number = cell => cell.matches("td.number") && /\\d/.test(cell.textContent);
  const seen = [...table.tHead.rows[0].cells].filter((_, column) => [...table.tBodies[0].rows]
    .map(row => row.cells[column]).some(cell => number(cell) && whole(cell, left, view.right)));
  const title = document.getElementById(part.getAttribute("aria-labelledby")).textContent;
  return [title, seen.map(header => header.textContent)];
}));
"""


@pytest.mark.parametrize("width", [360, 390])
def test_browser_shows_a_measured_figure_of_every_table_on_a_phones_first_screen(opened, whole, width):
    browser = opened(width)
    seen = browser.execute_script(OPEN_ALL + FIRST_SCREEN)
    for table in whole.tables.values():
        title = table.caption.split(". ")[0]
        measured = ("Macro-F1", "Macro-F1 gain", "Precision")
        assert set(seen[title]) & set(measured), f"{title}: {seen[title]}"
    assert "Right" in seen["Answers clip by clip"]
    numbers = {"Samples and faces", "What the doctor found", "Training", "Time per rule"}
    assert all(seen[title] for title in numbers)


def test_browser_keeps_a_rows_name_in_sight_when_a_phone_scrolls(opened):
    browser = opened(360)
    part = browser.find_elements("css selector", ".scroll")[2]
    browser.execute_script("arguments[0].scrollLeft = 300", part)
    head = part.find_element("css selector", "tbody th")
    assert abs(head.rect["x"] - part.rect["x"]) < 1
    top = browser.execute_script(
        "const box = arguments[0].getBoundingClientRect(); arguments[0].scrollIntoView({block: 'center'});"
        "const now = arguments[0].getBoundingClientRect();"
        "return document.elementFromPoint(now.left + 20, now.top + 8).closest('th') === arguments[0]",
        head,
    )
    assert top, "the numbers run over the name"


@pytest.mark.parametrize(("width", "narrow"), [(360, True), (390, True), (1400, False)])
def test_browser_shows_the_main_figure_whole(opened, whole, width, narrow):
    browser = opened(width)
    picture = browser.find_element("css selector", "figure img")
    source = browser.execute_script("return arguments[0].currentSrc", picture)
    path = whole.figures["variants_narrow" if narrow else "variants"]
    assert base64.b64decode(source.partition(",")[2]) == path.read_bytes()
    box = picture.rect
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    frame = picture.find_element("xpath", "./ancestor::*[contains(@class, 'paper')]")
    assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", frame)
    natural = browser.execute_script("return arguments[0].naturalWidth", picture)
    assert box["width"] > 0.95 * natural, "its words are too small to be read"


def test_browser_copies_numbers_as_numbers(opened, whole):
    browser = opened(1400)
    copied = browser.execute_script(
        "const range = document.createRange(); range.selectNode(document.querySelectorAll('table')[2]);"
        "getSelection().removeAllRanges(); getSelection().addRange(range); return getSelection().toString()"
    )
    header, *rows = [line.split("\t") for line in copied.splitlines() if line.strip()]
    frame = whole.tables["table3_methods"].frame
    assert len(rows) == len(frame)
    for name, column in (
        ("Accuracy (%)", "accuracy"),
        ("Macro-F1 gain on baseline", "gain"),
        ("Macro-F1", "macro_f1"),
    ):
        cells = [row[header.index(name)].strip() for row in rows]
        numbers = [float(cell) if cell else np.nan for cell in cells]
        assert numbers == pytest.approx(frame[column].astype(float).tolist(), abs=0.006, nan_ok=True)
    assert copied.isascii()
    assert rows[0][0].strip() == f"{frame['method'][0]} {frame['variant'][0]}", "a name without its footnote"


def clips_shown(browser):
    """Subject and class of the clips that the filter leaves."""
    shown = browser.execute_script(
        "return [...document.querySelectorAll('.answers tbody tr')].filter(row => row.checkVisibility())"
        ".map(row => [1, 2].map(column => row.cells[column].innerText))"
    )
    return [*map(tuple, shown)]


def choose(browser, place, value, how="click"):
    selectors = browser.find_elements("css selector", ".answers select")
    option = next(o for o in selectors[place].find_elements("css selector", "option") if o.text == value)
    if how == "click":
        option.click()
    else:
        browser.execute_script("arguments[0].focus()", selectors[place])
        selectors[place].send_keys(value[:9])


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_browser_finds_the_clips_that_every_row_misses(opened, whole, how):
    browser = opened(1400)
    browser.find_element("css selector", "details:has(.answers) summary").click()
    samples = next(iter(whole.predictions.values()))
    hits = pd.DataFrame(
        {name: frame["predicted"] == frame["label"] for name, frame in whole.predictions.items()}
    )
    assert len(clips_shown(browser)) == len(samples)
    few = hits[["resnet18_ce", "spatial"]]
    for box in browser.find_elements("css selector", "#filter input"):
        if box.get_attribute("value") not in few:
            box.click()
    choose(browser, 2, "wrongly by every row", how)
    missed = samples[~few.any(axis=1)]
    assert clips_shown(browser) == list(zip(missed["subject"], missed["label"], strict=True)) and len(missed)
    output = browser.find_element("css selector", ".answers output").text
    assert output == f"{len(missed)} of {len(samples)} clips"
    choose(browser, 1, "others", how)
    of_class = missed[missed["label"] == "others"]
    assert len(clips_shown(browser)) == len(of_class) > 0
    subject = of_class["subject"].iloc[0]
    choose(browser, 0, subject, how)
    assert set(clips_shown(browser)) == {(subject, "others")}
    for place in (0, 1):
        choose(browser, place, "all")
    choose(browser, 2, "rightly by every row")
    assert len(clips_shown(browser)) == few.all(axis=1).sum()
    choose(browser, 2, "rightly by some rows")
    assert len(clips_shown(browser)) == (few.any(axis=1) & ~few.all(axis=1)).sum()


CONTRAST = """
const luminance = color => {
  const linear = color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const ground = part => {
  for (; part; part = part.parentElement) {
    const color = getComputedStyle(part).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color;
  }
};
return arguments[0].map(selector => {
  const part = document.querySelector(selector);
  const pair = [luminance(getComputedStyle(part).color), luminance(ground(part))].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
});
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_shows_words_that_can_be_read_in_light_and_dark(opened, scheme):
    browser = opened(1400, scheme=scheme)
    parts = [
        "main p",
        ".small",
        ".spread",
        "td.wrong",
        "td.wrong .spread",
        "a",
        ".banner",
        "select",
        "summary",
    ]
    for part, contrast in zip(parts, browser.execute_script(CONTRAST, parts), strict=True):
        assert contrast > 4.5, part
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 384) is (scheme == "dark")


PAPER = 184  # mm between the margins


def test_browser_prints_every_part_on_few_pages(opened, whole):
    browser = opened(round(PAPER / 25.4 * 96), media="print")
    visible = "return [...document.querySelectorAll(arguments[0])].filter(e => !e.checkVisibility()).length"
    for part in ("h1", "h2", ".finding p", ".banner", "section > p", "figure img", "figcaption", "footer"):
        assert browser.execute_script(visible, part) == 0, part
    hidden = "details > :not(summary)"
    assert browser.execute_script(visible, hidden) == len(browser.find_elements("css selector", hidden)) > 5
    unfolded = "return [...document.querySelectorAll('.items table')].every(table => table.checkVisibility())"
    assert browser.execute_script(unfolded)
    cut = (
        "return [...document.querySelectorAll('table, img')].filter(e => e.checkVisibility()"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.execute_script(cut) == []
    pdf = base64.b64decode(
        browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": False})[
            "data"
        ]
    )
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    assert 4 <= len(pages) < 12


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="no pdftotext: the words of the PDF are not read")
def test_the_pdf_holds_the_words_and_numbers_and_no_list_of_defects(opened, whole, tmp_path):
    browser = opened(1400)
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    path = tmp_path / "report.pdf"
    path.write_bytes(base64.b64decode(pdf))
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True
    ).stdout
    words = " ".join(text.split())
    for sentence in (*finding_of(whole), *assemble.LIMITS):
        assert sentence[:40] in words
    for table in whole.tables.values():
        if len(table.frame) <= assemble.LONG:
            assert table.caption.split(". ")[0] in words
    for accuracy in whole.tables["table3_methods"].frame["accuracy"].dropna():
        assert f"{accuracy:.2f}" in words
    assert "Defects in casme2" in words and "spotted (" not in words
    assert "Answers clip by clip" in words and "EP08" not in words
