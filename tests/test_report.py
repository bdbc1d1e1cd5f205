"""The report: its words, what it must not show, and how it behaves in a real browser."""

import base64
import hashlib
import itertools
import re
import shutil
from dataclasses import replace
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
from mer_core.report import assemble, captions, figures, finding, page, tables

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = [f"sub{n:02d}" for n in range(1, 7)]
EVIL = "<script>document.title='owned'</script>"


def made_up_predictions(samples, classes, skill, seed):
    """Predictions right with probability `skill`, else any class; the answer has a probability of 0.6."""
    generator = np.random.default_rng(seed)
    guesses = generator.choice(classes, len(samples))
    right = generator.random(len(samples)) < skill
    frame = samples.assign(predicted=np.where(right, samples["label"], guesses), seed=0)
    rest = 0.4 / (len(classes) - 1)
    return frame.assign(**{f"p_{name}": np.where(frame["predicted"] == name, 0.6, rest) for name in classes})


def made_up_report(tmp_path, evil="others", subjects=SUBJECTS, **changes):
    """A report on made-up predictions of every shipped variant and comparison method.

    Args:
        tmp_path: where its figures go.
        evil: a file name and a reason of the data part.
        subjects: who is left out, nine clips each.
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
        for number, variant in enumerate([*settings.variants, *settings.baselines])
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
        figures=made_up_figures(tmp_path, metrics, samples, classes),
        datasets={"casme2": findings},
        folds=[made_up_fold(name, subject) for name in metrics for subject in subjects],
        benchmarks=pd.DataFrame(
            [("train_fold", "dual/sub01", 31.2, 900.0), ("train_fold", "dual/sub02", 29.0, np.nan)],
            columns=["rule", "job", "seconds", "memory"],
        ),
    )


def made_up_figures(folder, metrics, samples, classes):
    """The figures, drawn small."""
    rows = [
        {"variant": name, "subject": subject, "n": 9, "accuracy": accuracy}
        for name, score in metrics.items()
        for subject, accuracy in score["accuracy_per_subject"].items()
    ]
    points = pd.DataFrame(
        [
            {"variant": name, "metric": metric, "printed": np.nan, "value": score[key]["mean"]}
            | {end: score[key][end] for end in ("low", "high")}
            for name, score in metrics.items()
            for metric, key in (("macro-F1", "macro_f1"), ("accuracy", "accuracy"))
        ]
    )
    drawn = {
        "variants": figures.variants(points, {}),
        "variants_narrow": figures.variants(points, {}, narrow=True),
        "class_distribution": figures.class_distribution({"casme2": samples["label"].value_counts()}),
        "subject_accuracy": figures.subject_accuracy(pd.DataFrame(rows)),
    }
    for name, score in metrics.items():
        drawn[f"confusion_{name}"] = figures.confusion(score["confusion"], classes, name)
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / name)
    paths = {name: folder / f"{name}.svg" for name in drawn}
    return paths | {"faces_casme2": folder / "class_distribution.png"}


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
    """A page as its parts: (tag, attributes) in order, words, tables by heading, text by tag."""

    VOID = ("meta", "link", "img", "input")

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
        if tag not in self.VOID:
            self._open.append(tag)
            self.contents.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> closes another element"
        if tag in ("td", "th"):
            self._rows[-1].append(self.contents[tag][-1])

    def handle_data(self, data):
        if self._open:
            self.contents[self._open[-1]][-1] += data
        if not {"script", "style"} & set(self._open):
            self.words.append(data)

    def all(self, tag):
        """The attributes of every such element."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    return made_up_report(tmp_path_factory.mktemp("figures"), evil=EVIL)


@pytest.fixture(scope="module")
def html(made_up):
    return assemble.render(made_up)


def plain(cell):
    """A cell as the tables have it: without the spaces that align it, with a hyphen for a minus."""
    return cell.replace(page.FIGURE_SPACE, "").replace("−", "-")


def finding_of(made_up):
    return finding.finding(made_up.config, made_up.metrics, made_up.tables)


def test_finding_is_three_sentences_made_of_the_scores(made_up):
    best, transfer, caveat = finding_of(made_up)
    score = max(made_up.metrics.values(), key=lambda one: one["macro_f1"]["mean"])
    floor = made_up.tables["table1_loss"].frame.set_index("variant").loc["majority"]
    assert f"{score['variant']} has the highest macro-F1, {score['macro_f1']['mean']:.3f} (95 %" in best
    accuracy = {key: f"{100 * value:.2f}" for key, value in score["accuracy"].items() if value is not None}
    assert f"{accuracy['mean']} % (95 % interval {accuracy['low']} to {accuracy['high']})" in best
    assert "54 clips, 6 subjects, 6 folds, 1 seed" in best
    assert f"always answering 'others' gives {floor['accuracy']:.2f} % and {floor['macro_f1']:.3f}" in best
    row = made_up.tables["transfer"].frame.iloc[1]
    assert f"by {row['gain_clips']:+.0f} of 54 clips, {row['gain']:+.2f} points" in plain(transfer)
    assert f"p = {row['p_permutation']:.3f}" in transfer and f"p = {row['p_mcnemar']:.3f}" in transfer
    assert "the paper prints +4 of 249" in transfer
    assert "54 clips of 6 people" in caveat and "no number on this page says anything about people" in caveat


def with_score(made_up, name, **changes):
    """The same report with another score of one variant."""
    return replace(made_up, metrics=dict(made_up.metrics) | {name: made_up.metrics[name] | changes})


def test_finding_names_the_printed_value_of_the_best_variant(made_up):
    perfect = {"mean": 1.0, "sd": None, "low": 0.9, "high": 1.0}
    best = finding_of(with_score(made_up, "dual_transfer", macro_f1=perfect))[0]
    assert "the paper prints 44.97 % and F1 0.3784 for it" in best
    assert (
        "the paper prints 37.34 % for it"
        in finding_of(with_score(made_up, "resnet18_ce", macro_f1=perfect))[0]
    )


def test_other_classes_than_the_papers_are_not_compared_with_it(made_up):
    name = finding.best(made_up.config, made_up.metrics)["variant"]
    sentences = finding_of(with_score(made_up, name, classes=["negative", "positive", "surprise"]))
    assert not any("the paper prints" in sentence for sentence in sentences)


def test_a_comparison_method_has_no_epochs_and_digests_of_its_own(made_up):
    fold = made_up_fold("lbp_apex", "sub01") | {
        "digests": {"configuration": "ab" * 32, "features": "ef" * 32}
    }
    del fold["epochs"]
    tables = Page(assemble.render(replace(made_up, folds=[*made_up.folds, fold]))).tables
    training = {row[0]: row for row in tables["Training"]}
    epochs = training["Variant"].index("Epochs")
    assert training["lbp_apex"][epochs].strip(page.FIGURE_SPACE) == page.MISSING
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


def test_a_comparison_method_is_no_variant_and_never_the_best(made_up):
    perfect = {"mean": 1.0, "sd": None, "low": 0.9, "high": 1.0}
    method = made_up.metrics["dual"] | {"variant": "lbptop_svm", "macro_f1": perfect}
    report_with = replace(made_up, metrics=dict(made_up.metrics) | {"lbptop_svm": method})
    assert "lbptop_svm" not in finding_of(report_with)[0]


def test_missing_folds_are_said_at_the_top(made_up):
    name = finding.best(made_up.config, made_up.metrics)["variant"]
    assert "only 6 of 26 folds" in finding_of(with_score(made_up, name, folds_expected=26))[0]


@pytest.mark.parametrize(("p", "words"), [(0.049, "), more than chance"), (0.051, "not more than chance")])
def test_finding_calls_a_gain_what_the_test_says(made_up, p, words):
    transfer = made_up.tables["transfer"]
    table = replace(transfer, frame=transfer.frame.assign(p_permutation=p))
    assert words in finding_of(replace(made_up, tables=dict(made_up.tables) | {"transfer": table}))[1]


def test_without_a_pair_nothing_is_said_about_transfer(made_up):
    transfer = made_up.tables["transfer"]
    table = replace(transfer, frame=transfer.frame.iloc[:1])
    sentence = finding_of(replace(made_up, tables=dict(made_up.tables) | {"transfer": table}))[1]
    assert sentence.startswith("No two variants differ in pretraining alone")


def test_tables_hold_the_numbers_of_the_csv_files(made_up, html):
    shown = Page(html).tables
    for table in made_up.tables.values():
        title, *_ = table.caption.split(". ")
        header, *rows = shown[title]
        assert header == list(table.shown.columns)
        assert [[plain(cell) for cell in row] for row in rows] == table.shown.astype(str).values.tolist()
    header, *rows = shown["Table 2: attention kinds in ResNet18, all with focal loss"]
    frame = made_up.tables["table2_attention"].frame
    for row, accuracy in zip(rows, frame["accuracy"], strict=True):
        assert float(plain(row[header.index("Accuracy (%)")]).split()[0]) == pytest.approx(
            accuracy, abs=0.005
        )


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
    assert parsed.tables["Why samples were left out"][1] == ["casme2", EVIL, "1"]


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
    links = [a["href"][1:] for a in parsed.all("a")]
    assert set(named + links) <= set(ids)
    assert parsed.all("html") == [{"lang": "en"}] and len(parsed.all("main")) == len(parsed.all("nav")) == 1
    assert parsed.all("a")[0]["class"] == "skip" and links[0] == "main"
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(header["scope"] in ("col", "row") for header in parsed.all("th"))
    assert all("aria-labelledby" in table for table in parsed.all("table"))


def test_captions_say_on_how_much_a_figure_rests(html):
    captions = Page(html).contents["figcaption"]
    assert len(captions) == 10
    assert sum("54 clips, 6 subjects, 6 folds, 1 seed" in caption for caption in captions) == 8


def test_banner_stands_on_simulated_data_only(made_up, html, tmp_path):
    assert assemble.BANNER in Page(html).text
    settings = dump(made_up.config)
    for name in settings["datasets"]:
        settings["datasets"][name]["root"] = f"data/{name}"
    own = replace(made_up, config=load_config(settings))
    text = Page(assemble.render(own)).text
    assert assemble.BANNER not in text and "own copy" in text
    assert "simulated here" not in text


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


def test_undefined_names_stop_the_template(made_up):
    with pytest.raises(Exception, match="'subtitle' is undefined"):
        page.fill(made_up.config, title="", banner="", finding=[], sections=[], variants=[], footer="")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(1, 3))
def test_numbers_stand_under_each_other_on_the_decimal_point(values, decimals):
    cells = [f"{value:+.{decimals}f} [{value:.{decimals}f}, {2 * value:.{decimals}f}]" for value in values]
    aligned = page._align_column([*cells, page.MISSING])
    assert [plain(cell) for cell in aligned] == [*cells, page.MISSING]
    points = [[place for place, mark in enumerate(cell) if mark == "."] for cell in aligned[:-1]]
    assert all(place == points[0] for place in points)


@pytest.mark.parametrize(
    "cells", [["dual", "cbam"], ["3 to 4", "none"], ["", "yes"], ["3.11.7", "2.0.1.post1"], ["64cc37", "12"]]
)
def test_words_are_left_alone(cells):
    assert page._align_column(cells) == cells


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


@pytest.fixture
def opened(browser, html, tmp_path):
    """Opens the report at a width and returns the browser."""
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")

    def open_at(width):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri())
        return browser

    return open_at


@pytest.mark.parametrize("width", [360, 1400])
def test_browser_shows_all_of_it_without_error_request_or_overflow(opened, width):
    browser = opened(width)
    assert browser.get_log("browser") == []
    requests = re.findall(
        r'"url":"(\w+):', "".join(entry["message"] for entry in browser.get_log("performance"))
    )
    assert set(requests) <= {"file", "data", "about"} and "file" in requests
    sizes = browser.execute_script("return [...document.images].map(i => i.naturalWidth * i.complete)")
    assert len(sizes) == 10 and all(sizes)
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    outside = browser.execute_script(
        "return [...document.body.querySelectorAll('*')].filter(e => !e.closest('.scroll, .paper, pre')"
        " && !e.matches('.skip') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert outside == []
    assert browser.title == "Micro-expression recognition: demo", "a label ran as a script"


COLUMN = """
const table = document.querySelectorAll("table")[arguments[0]];
return [...table.tBodies[0].rows].map(row => row.cells[arguments[1]].textContent);
"""


def column(browser, table, place):
    """The visible texts of a column, from top to bottom."""
    return [plain(text) for text in browser.execute_script(COLUMN, table, place)]


def first_number(text):
    return float(re.search(r"[-+]?\d+(\.\d+)?", text)[0])


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_browser_sorts_by_number_with_missing_values_last(opened, how):
    browser = opened(1400)
    headers = browser.find_elements("css selector", "table")[2].find_elements("css selector", "thead th")
    place = [header.text for header in headers].index("Difference")
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


def test_browser_filters_by_variant(opened):
    browser = opened(1400)
    boxes = {
        box.get_attribute("value"): box for box in browser.find_elements("css selector", "#filter input")
    }
    for name, box in boxes.items():
        if name != "spatial":
            box.click()
    assert browser.find_element("id", "shown").text == "1 of 7 shown"
    visible = browser.execute_script(
        "return [...document.querySelectorAll('[data-variant]:not([hidden])')].map(e => e.dataset.variant)"
    )
    assert set(visible) == {"spatial"}
    figures = [f for f in browser.find_elements("css selector", "figure") if f.is_displayed()]
    assert sum("Confusion matrix" in figure.text for figure in figures) == 1
    rows = browser.find_elements("css selector", "table")[1].find_elements("css selector", "tbody tr")
    shown = [row.text for row in rows if row.is_displayed()]
    assert len(shown) == 2 and "the floor" in shown[1], "the floor belongs to every choice"
    boxes["dual"].click()
    assert browser.find_element("id", "shown").text == "2 of 7 shown"


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


def test_browser_prints_every_part(opened):
    browser = opened(1400)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) > 2
    assert browser.execute_script("return [...document.querySelectorAll('details')].every(part => part.open)")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    parts = browser.find_elements("css selector", "h1, h2, main p, main td, main figure, main pre")
    assert len(parts) > 50
    assert not [part.get_attribute("outerHTML")[:80] for part in parts if not part.is_displayed()]
