"""The figures: what they draw, that they repeat byte for byte, and whose face they may show."""

import os
import subprocess
import sys
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mer_core.config.report import Report
from mer_core.faces.points import UNLIKE
from mer_core.report import figures, pictures

CLASSES = ["happiness", "disgust", "others"]


def texts(panel):
    return [text.get_text() for text in panel.texts]


def contrast(one, other):
    """Ratio of luminances as WCAG 2 defines it."""

    def luminance(color):
        channels = np.array(matplotlib.colors.to_rgb(color))
        linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_same_data_give_the_same_bytes(tmp_path):
    for folder in ("first", "second"):
        figure = figures.confusion([[3, 1], [0, 2]], ["happiness", "others"], "dual")
        written = figures.save_figure(figure, tmp_path / folder / "confusion")
    assert [path.suffix for path in written] == [".png", ".svg"]
    for path in written:
        assert path.read_bytes() == (tmp_path / "first" / path.name).read_bytes()
    svg = written[1].read_text()
    assert "<dc:date>" not in svg and "Matplotlib" not in svg
    assert "<text" not in svg, "text must be drawn as paths, to look the same without the font"
    assert b"Software" not in written[0].read_bytes()


def test_style_does_not_leak():
    before = dict(matplotlib.rcParams)
    figures.confusion([[1, 0], [0, 1]], ["a", "b"])
    assert dict(matplotlib.rcParams) == before


def test_nothing_of_the_users_environment_reaches_the_figures(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom mer_core.report import pictures, figures\n"
        "figures.save_figure(figures.confusion([[3, 1], [0, 2]], ['a_1', 'b%']), Path(sys.argv[1]))"
    )
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\naxes.facecolor: red\nsavefig.bbox: tight\naxes.prop_cycle: cycler('color', 'k')\n"
        "axes.formatter.use_locale: True\n"
    )
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MPL") or "DIR" in key}
    environments = {
        "plain": {},
        "notebook": {"MPLBACKEND": "module://of_a_notebook.backend_inline"},
        "rc": {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")},
        "locale": {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "LC_ALL": "xx_XX.UTF-8"},
    }
    for name, changes in environments.items():
        command = [sys.executable, "-c", code, tmp_path / name]
        subprocess.run(command, check=True, env=plain | changes, timeout=120)
    command = [sys.executable, "-c", "import mer_core.inference.pictures"]
    subprocess.run(command, check=True, env=plain | environments["locale"], timeout=120)
    for kind in ("png", "svg"):
        first, *others = ((tmp_path / f"{name}.{kind}").read_bytes() for name in environments)
        assert all(other == first for other in others)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_class_distribution_draws_both_counts(kind):
    counts = {"casme2": kind({"disgust": 63, "surprise": 25}), "ckplus": kind({"anger": 135})}
    figure = figures.class_distribution(counts, {"casme2": {"disgust": 63, "surprise": 28, "others": 99}})
    casme2, ckplus = figure.axes
    ours, printed = ([bar.get_width() for bar in bars] for bars in casme2.containers)
    assert (ours, printed) == ([63, 25], [63, 28])
    assert casme2.get_title(loc="left") == "casme2: 88 samples"
    assert [bar.get_width() for bar in ckplus.containers[0]] == [135] and len(ckplus.containers) == 1
    heights = casme2.get_yticklabels()
    assert [label.get_text() for label in heights] == ["disgust", "surprise"]


def test_confusion_shows_counts_and_shares_of_the_row():
    (panel,) = figures.confusion([[6, 2, 0], [0, 0, 0], [1, 0, 3]], CLASSES, "dual").axes
    counts, shares = zip(*(text.split("\n") for text in texts(panel)), strict=True)
    assert counts == ("6", "2", "0", "0", "0", "0", "1", "0", "3")
    assert shares == ("0.75", "0.25", "0.00", "–", "–", "–", "0.25", "0.00", "0.75")
    assert panel.get_title(loc="left") == "dual (n = 12)"


def test_confusion_of_several_seeds_keeps_the_decimals():
    (panel,) = figures.confusion([[2.5, 0.5], [1.0, 3.0]], ["a", "b"]).axes
    assert [text.split("\n")[0] for text in texts(panel)] == ["2.5", "0.5", "1.0", "3.0"]


def test_every_number_can_be_read_on_its_cell():
    values = np.linspace(0.01, 1, 100).reshape(10, 10)
    panel = figures.agreement(pd.DataFrame(values, list("abcdefghij"), list("abcdefghij"))).axes[0]
    for text, value in zip(panel.texts, panel.images[0].get_array().ravel(), strict=True):
        if text.get_text() != "–":
            assert contrast(text.get_color(), panel.images[0].to_rgba(value)[:3]) > 4.4


def test_agreement_is_in_percent_and_leaves_out_a_row_with_itself():
    names = ["(truth)", "dual", "lbp"]
    shares = pd.DataFrame([[1, 0.4, np.nan], [0.4, 1, 0.25], [np.nan, 0.25, 1]], names, names)
    (panel,) = figures.agreement(shares).axes
    assert texts(panel) == ["–", "40", "–", "40", "–", "25", "–", "25", "–"]
    assert [label.get_text() for label in panel.get_yticklabels()] == names


def test_reliability_draws_a_point_per_bin_and_the_diagonal():
    table = pd.DataFrame({"confidence": [0.35, 0.9], "accuracy": [0.5, 0.75], "n": [10, 30]})
    figure = figures.reliability(
        dict.fromkeys(["dual", "lbp", "a", "b", "c"], table),
        dict.fromkeys("abc", "") | {"dual": "error 0.150", "lbp": ""},
    )
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == 5 and shown[0].get_title(loc="left") == "dual\nerror 0.150"
    diagonal, _ = shown[0].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    (points,) = shown[0].collections
    assert points.get_offsets().tolist() == [[0.35, 0.5], [0.9, 0.75]]
    few, many = points.get_sizes()
    assert many > 2 * few, "the area tells the number of answers"


def test_subject_accuracy_keeps_order_and_counts():
    frame = pd.DataFrame(
        [
            ("dual", "sub02", 3, 0.5),  # a row that lacks what it sees of one clip
            ("dual", "sub01", 9, 1 / 3),
            ("cbam", "sub02", 4, 1),
            ("cbam", "sub01", 9, 0),
        ],
        columns=["variant", "subject", "n", "accuracy"],
    )
    top, main = figures.subject_accuracy(frame).axes
    assert [bar.get_height() for bar in top.patches] == [4, 9]
    assert [label.get_text() for label in main.get_xticklabels()] == ["sub02", "sub01"]
    assert [label.get_text() for label in main.get_yticklabels()] == ["dual", "cbam"]
    assert texts(main) == ["50", "33", "100", "0"]


def test_learning_curves_show_the_median_and_the_middle_of_the_folds():
    generator = np.random.default_rng(0)
    histories = pd.DataFrame(
        [
            ("dual", fold, epoch, *generator.random(2))
            for fold in range(11)
            for epoch in range(1, 4 + (fold == 0))  # one fold ran an epoch more
        ],
        columns=["variant", "fold", "epoch", "loss", "accuracy"],
    )
    loss, accuracy = figures.learning_curves(histories).axes
    for panel, quantity, factor in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        second = factor * histories.loc[histories["epoch"] == 2, quantity]
        x, y = panel.lines[0].get_data()
        assert list(x) == [1, 2, 3, 4]
        assert y[1] == pytest.approx(np.median(second))
        band = panel.collections[0].get_paths()[0].vertices
        at_two = band[band[:, 0] == 2, 1]
        assert sorted(at_two) == pytest.approx(sorted(np.quantile(second, [0.1, 0.9])))


def test_a_variant_of_few_epochs_fills_its_learning_curve():
    histories = pd.DataFrame(
        [
            (name, 0, epoch, 0.5, 0.5)
            for name, epochs in (("few", 10), ("many", 200))
            for epoch in range(epochs)
        ],
        columns=["variant", "fold", "epoch", "loss", "accuracy"],
    )
    few, many, *below = figures.learning_curves(histories).axes
    assert few.get_xlim()[1] < 12 and many.get_xlim()[1] > 190
    assert [panel.get_xlim() for panel in below] == [few.get_xlim(), many.get_xlim()]


def test_variants_show_value_interval_printed_and_floor():
    frame = pd.DataFrame(
        [("dual", "accuracy, %", 45.0, 40.0, 51.0, 43.37), ("cbam", "accuracy, %", 47.0, 41.0, 52.0, np.nan)],
        columns=["variant", "metric", "value", "low", "high", "printed"],
    )
    panel = figures.variants(frame, {"accuracy, %": 40.24}).axes[0]
    value, printed, floor = panel.lines
    assert list(value.get_xdata()) == [45, 47]
    assert printed.get_xdata()[0] == 43.37 and np.isnan(printed.get_xdata()[1])
    assert list(floor.get_xdata()) == [40.24, 40.24]
    ends = [path.vertices[:, 0].tolist() for path in panel.collections[0].get_paths()]
    assert ends == [[40, 51], [41, 52]]
    assert value.get_marker() != printed.get_marker(), "the colours are alike in a grey print"


def test_variants_name_nothing_printed_where_nothing_is():
    rows = [("dual", "macro-F1", 0.45, 0.40, 0.51, None)]
    frame = pd.DataFrame(rows, columns=["variant", "metric", "value", "low", "high", "printed"])
    (legend,) = figures.variants(frame, {}).legends
    assert [text.get_text() for text in legend.get_texts()] == ["this run, 95 % interval"]


def test_the_narrow_figure_of_the_variants_fits_a_phone_and_holds_the_same_points():
    rows = [("dual", metric, 45.0, 40.0, 51.0, 43.37) for metric in ("macro-F1", "accuracy, %")]
    frame = pd.DataFrame(rows, columns=["variant", "metric", "value", "low", "high", "printed"])
    wide, narrow = (
        figures.variants(frame, {"accuracy, %": 40.24}, narrow=narrow) for narrow in (False, True)
    )
    assert narrow.get_figwidth() * 96 < 360 - 2 * 16
    for one, other in zip(wide.axes, narrow.axes, strict=True):
        assert one.get_title(loc="left") == other.get_title(loc="left")
        for line, same in zip(one.lines, other.lines, strict=True):
            assert np.array_equal(line.get_xydata(), same.get_xydata(), equal_nan=True)


def test_benchmarks_are_read_as_snakemake_writes_them(tmp_path):
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    jobs = {
        "train_fold/dual/seed0/sub01.tsv": "61.5\t0:01:01\t900.25\t1\t1\t1\t0\t0\t99\t60\n",
        "write_config.tsv": "0.00\t0:00:00\t0\t0\t0\t0\t0.00\t0.00\t0.00\t0.00\n",
        "select/a.tsv": "1.0\t0:00:01\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n",
    }
    for name, line in jobs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(head + line)
    frame = figures.read_benchmarks(tmp_path).set_index("rule")
    assert list(frame.columns) == ["job", "seconds", "memory"]
    assert frame.loc["train_fold"].tolist() == ["dual/seed0/sub01", 61.5, 900.25]
    assert frame["memory"].isna().to_dict() == {"train_fold": False, "write_config": True, "select": True}


def test_step_times_put_the_longest_rule_first():
    jobs = [("a", "1", 5.0), ("b", "1", 100.0), ("b", "2", 140.0), ("c", "1", 0.0)]
    panel = figures.step_times(pd.DataFrame(jobs, columns=["rule", "job", "seconds"])).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["b", "a", "c"]
    assert texts(panel) == ["2 jobs, 4 min", "1 job, 5.0 s", "1 job, 0.0 s"]
    assert min(min(line.get_xdata()) for line in panel.lines) > 0, "zero has no place on this axis"


REPORT = {"never_show": ["casme2/sub02", "ckplus/S055"]}
LICENSED, DRAWN = False, True


@pytest.mark.parametrize(
    ("show_faces", "simulated", "layout", "who", "expected"),
    [
        ("simulated", DRAWN, "casme2", "casme2/sub01", True),
        (True, DRAWN, "casme2", "casme2/sub01", True),
        (False, DRAWN, "casme2", "casme2/sub01", False),
        ("simulated", DRAWN, "ckplus", "ckplus/S001", True),
        (True, DRAWN, "casme2", "casme2/sub02", False),
        (True, DRAWN, "casme2", "casme2/sub12", True),
        ("simulated", LICENSED, "casme2", "casme2/sub01", False),
        (False, LICENSED, "casme2", "casme2/sub01", False),
        (True, LICENSED, "casme2", "casme2/sub01", True),
        (True, LICENSED, "casme2", "casme2/sub02", False),
        (True, LICENSED, "casme2", "other/sub02", True),
        (True, LICENSED, "casme2", "casme2_three/sub12", False),
        (True, LICENSED, "casme2", "casme2/sub22", False),
        (True, LICENSED, "samm", "samm/sub12", True),
        (True, LICENSED, "tabular", "mine/p1", True),
        (True, LICENSED, "ckplus", "ckplus/S052", True),
        (True, LICENSED, "ckplus", "ckplus/S055", False),
        (True, LICENSED, "ckplus", "ckplus/S001", False),
        ("simulated", LICENSED, "ckplus", "ckplus/S052", False),
    ],
)
def test_whose_face_may_be_shown(show_faces, simulated, layout, who, expected):
    report = Report(show_faces=show_faces, **REPORT)
    dataset, subject = who.split("/")
    shown = pictures.may_show(dataset, subject, simulated=simulated, layout=layout, settings=report)
    assert shown is expected


def test_the_notice_belongs_to_licensed_ckplus_only():
    assert pictures.notice("ckplus", simulated=False) == "© Jeffrey Cohn"
    assert pictures.notice("ckplus", simulated=True) == pictures.notice("casme2", simulated=False) == ""


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet_shows_every_face_with_label_and_step(channels):
    images = np.random.default_rng(0).integers(0, 255, (11, 8, 8, channels), dtype=np.uint8)
    figure = pictures.contact_sheet(images, ["fear"] * 11, ["hog"] * 10 + ["cnn"], credit="© Somebody")
    shown = [panel for panel in figure.axes if panel.images]
    assert len(shown) == 11
    for panel, image in zip(shown, images, strict=True):
        assert (panel.images[0].get_array() == image).all()
    assert shown[-1].get_title(loc="center") == "fear\ncnn"
    assert figure.get_supxlabel() == "© Somebody"


def test_what_stands_above_faces_does_not_run_into_each_other():
    images = np.zeros((16, 8, 8, 3), np.uint8)
    figure = pictures.contact_sheet(images, ["surprise"] * 16, [f"upsampled, {UNLIKE}"] * 16)
    figure.draw_without_rendering()
    titles = [panel.title.get_window_extent() for panel in figure.axes]
    faces = [panel.images[0].get_window_extent() for panel in figure.axes]
    assert not any(a.overlaps(b) for a, b in combinations([*titles, *faces], 2))
    assert max(title.y1 for title in titles) < figure.bbox.y1 + 2  # pixels, of which no letter takes any


def test_contact_sheet_without_faces_says_so():
    figure = pictures.contact_sheet(np.zeros((0, 8, 8, 3), np.uint8), [], [])
    assert not any(panel.images for panel in figure.axes)
    assert texts(figure.axes[0]) == ["No face of this dataset may be shown."]


def test_attention_maps_share_one_scale():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    maps = {"1.2": np.full((2, 4, 4), 0.25), "4.2": np.linspace(0.1, 0.9, 8).reshape(2, 2, 2)}
    figure = pictures.attention_maps(images, maps, ["fear", "anger"])
    overlays = [panel.images[1] for panel in figure.axes if len(panel.images) == 2]
    assert len(overlays) == 4
    assert {overlay.get_clim() for overlay in overlays} == {(0.1, 0.9)}
    assert (overlays[3].get_array() == maps["4.2"][1]).all()
    assert overlays[3].get_extent() == [-0.5, 7.5, 7.5, -0.5], "the map must cover the face"


def test_figures_and_report_need_no_torch():
    code = (
        "import sys; from mer_core.report import assemble, figures, pictures; "
        "assert not {'torch', 'cv2', 'dlib', 'snakemake'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
