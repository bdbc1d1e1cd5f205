"""Every chart of the report, in one house style: data in, a matplotlib `Figure` out.

Colours are Okabe and Ito's, safe for colour-blind readers; whatever a colour says, a shape, a fill or
a printed number says too, so that a grey print loses nothing. Text is drawn as paths, and files carry
no date and no random id: the same data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from mer_core import job

INK, SOFT, GREY, PALE = "#222222", "#6a6a6a", "#8a8a8a", "#e6e6e6"
OURS, PRINTED = "#0072B2", "#D55E00"
WIDTH = 7.0  # inches, the text width of a page
HALF = 3.4  # two beside each other, or the width of a phone
HALVES = (0, 0.5, 1)

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titlesize": 9.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "image.interpolation": "nearest",
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "mer-core",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8.5,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": 8.5,
    "ytick.major.width": 0.6,
}
_DEFAULTS = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
# As a decorator: the style holds while a figure is drawn, over matplotlib's defaults and not over what a
# matplotlibrc of the user's says.
styled = matplotlib.rc_context(_DEFAULTS | STYLE)


@styled
def save_figure(
    figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "svg"), mode: int = 0o644
) -> list[Path]:
    """Write `{stem}.png` and `{stem}.svg`, each published by rename, the same bytes for the same figure."""
    silent = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    paths = {kind: Path(f"{stem}.{kind}") for kind in kinds}
    for kind, path in paths.items():
        with job.publish(path, mode) as temporary:
            figure.savefig(temporary, format=kind, metadata=silent[kind])
    return [*paths.values()]


@styled
def class_distribution(
    counts: Mapping[str, Mapping[str, int]], printed: Mapping[str, Mapping[str, int]] | None = None
) -> Figure:
    """Samples per class of each dataset, beside the counts that a paper printed (figure 5).

    Args:
        counts: dataset -> class -> number of included samples; the classes in the order to draw.
        printed: dataset -> class -> printed number; datasets and classes may be missing.

    Returns:
        One panel per dataset, each with its own scale.
    """
    rows = [len(classes) for classes in counts.values()]
    figure = Figure(figsize=(WIDTH, 0.36 * sum(rows) + 0.8 * len(rows)))
    panels = figure.subplots(len(rows), squeeze=False, height_ratios=rows)[:, 0]
    for panel, (dataset, classes) in zip(panels, counts.items(), strict=True):
        classes = dict(classes.items())  # a pandas Series, too
        places = np.arange(len(classes))
        paper = [(printed or {}).get(dataset, {}).get(name, np.nan) for name in classes]
        two = not np.isnan(paper).all()
        bars = panel.barh(places - 0.16 * two, list(classes.values()), 0.42, color=OURS, label="this run")
        panel.bar_label(bars, padding=4, fontsize=8.5)
        if two:
            hollow = {"facecolor": "none", "edgecolor": PRINTED, "label": "printed in the paper"}
            bars = panel.barh(places + 0.2, paper, 0.24, **hollow)
            labels = ["" if np.isnan(value) else f"{value:g}" for value in paper]
            panel.bar_label(bars, labels, padding=4, fontsize=7.5, color=PRINTED)
            panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
        panel.set_yticks(places, list(classes))
        panel.set_ylim(len(classes) - 0.4, -0.6)
        panel.set_title(f"{dataset}: {sum(classes.values())} samples")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        panel.grid(axis="x")
        panel.tick_params(axis="y", length=0)
        panel.margins(x=0.08)
    panels[-1].set_xlabel("samples")
    return figure


@styled
def confusion(matrix: Sequence[Sequence[float]], classes: Sequence[str], title: str = "") -> Figure:
    """A confusion matrix: each cell's shade is its share of the true class, its numbers count and share.

    Args:
        matrix: (K, K), true classes in rows, predicted ones in columns.
        classes: the K class names in that order.
        title: what stands above, the variant's name for one.

    Returns:
        One panel, half a page wide; a class without samples shows a dash instead of shares.
    """
    counts = np.asarray(matrix, dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    spell = "{:.0f}" if np.allclose(counts, counts.round()) else "{:.1f}"  # means over seeds have decimals
    edge = max(HALF, 0.5 * len(classes) + 1)
    figure = Figure(figsize=(edge, 0.88 * edge))
    panel = figure.subplots()
    _cells(panel, shares, 1.0, "{:.2f}")
    for text, count in zip(panel.texts, counts.flat, strict=True):
        text.set_text(f"{spell.format(count)}\n{text.get_text()}")
    panel.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(classes)), classes)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    panel.set_title(f"{title} (n = {counts.sum():g})".strip())
    return figure


@styled
def agreement(shares: pd.DataFrame) -> Figure:
    """How often two rows give the same answer.

    Args:
        shares: (K, K) in [0, 1], rows and columns in the order to draw; NaN where nothing is known.

    Returns:
        A matrix in percent; what a row has in common with itself is left out.
    """
    edge = min(WIDTH, 0.42 * len(shares) + 1.9)
    figure = Figure(figsize=(edge, 0.34 * len(shares) + 1.3))
    panel = figure.subplots()
    _cells(panel, np.where(np.eye(len(shares), dtype=bool), np.nan, 100 * shares), 100, "{:.0f}")
    panel.set_aspect("auto")
    panel.set_xticks(range(len(shares)), shares.columns, rotation=40, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(shares)), shares.index)
    panel.set_title("same answer, % of clips")
    return figure


@styled
def reliability(tables: Mapping[str, pd.DataFrame], titles: Mapping[str, str]) -> Figure:
    """How often the answers are right that were given with a probability of 0.3, 0.6, 0.9 and so on.

    Args:
        tables: row -> `clips.reliability` of its answers, in the order to draw.
        titles: row -> what stands under its name.

    Returns:
        A panel per row: a point per bin, its area by the number of answers, and the diagonal on which
        probabilities hold.
    """
    columns = min(4, len(tables))
    lines = -(-len(tables) // columns)
    figure = Figure(figsize=(WIDTH * columns / 4, 2.05 * lines + 0.3))
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(tables) :]:
        panel.set_visible(False)
    for panel, (name, table) in zip(panels.flat, tables.items(), strict=False):
        panel.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1)
        panel.plot(table["confidence"], table["accuracy"], color=OURS, linewidth=1)
        area = 160 * table["n"] / table["n"].sum() + 4
        panel.scatter(table["confidence"], table["accuracy"], area, color=OURS, zorder=3)
        panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=HALVES, yticks=HALVES)
        panel.set_title(f"{name}\n{titles[name]}", fontsize=8)
        panel.grid()
        panel.tick_params(labelbottom=True)
    figure.supxlabel("probability of the answer given", fontsize=9)
    figure.supylabel("share that is right", fontsize=9)
    return figure


def _cells(panel: Axes, values: np.ndarray, top: float, spell: str, fontsize: float = 8) -> None:
    """Draw a matrix as shaded cells, each with its number: the shade helps, the number tells."""
    image = panel.imshow(values, cmap="Blues", vmin=0, vmax=1.15 * top, aspect="equal")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else spell.format(value)
        panel.text(column, row, text, ha="center", va="center", color=_ink(image, value), fontsize=fontsize)
    panel.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=1.2)
    panel.grid(which="major", visible=False)
    panel.tick_params(which="both", length=0)
    panel.spines[:].set_visible(False)


def _ink(image: AxesImage, value: float) -> str:
    """Black or white, whichever is read better on the shade of a value."""
    if not value > 0:
        return SOFT
    return "white" if np.dot(image.to_rgba(value)[:3], (0.299, 0.587, 0.114)) < 0.42 else "black"


@styled
def subject_accuracy(frame: pd.DataFrame) -> Figure:
    """Accuracy on each subject, and how many samples it rests on.

    Args:
        frame: one row per variant and subject, in the order to draw: variant, subject, n (the
            subject's samples that it answered), accuracy (0 to 1).

    Returns:
        Bars of n above a matrix of variants by subjects in percent.
    """
    table = frame.pivot(index="variant", columns="subject", values="accuracy")
    table = table.loc[frame["variant"].unique(), frame["subject"].unique()]
    n = frame.groupby("subject")["n"].max().loc[table.columns]  # a row may lack clips that others see
    rows, columns = table.shape
    cell = max(0.26, min(0.5, 5.6 / columns))
    figure = Figure(figsize=(cell * columns + 1.6, 0.27 * rows + 1.9))
    top, main = figure.subplots(2, sharex=True, height_ratios=[0.7, 0.27 * rows])
    top.bar(range(columns), n, width=0.72, color=GREY)
    top.set_ylabel("n")
    top.set_title(f"{columns} subjects, {int(n.sum())} samples")
    top.tick_params(axis="x", which="both", length=0)
    top.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    top.grid(axis="y")
    _cells(main, 100 * table.to_numpy(float), 100, "{:.0f}", fontsize=6.5 if cell < 0.35 else 8)
    main.set_aspect("auto")
    main.set_xticks(range(columns), table.columns, rotation=90)
    main.set_yticks(range(rows), table.index)
    main.set_xlabel("accuracy by subject, in percent")
    return figure


@styled
def learning_curves(histories: pd.DataFrame) -> Figure:
    """Training loss and training accuracy over the epochs, with their spread over the folds.

    Args:
        histories: one row per variant, fold and epoch, in the order to draw: variant, fold (any label
            of subject and seed), epoch, loss, accuracy (0 to 1).

    Returns:
        A column of two panels per variant: median (line) and the middle 80 % of the folds (band).
    """
    names = list(histories["variant"].unique())
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, 3.1 * lines + 0.3))
    panels = figure.subplots(2 * lines, columns, squeeze=False)
    for panel in panels.flat[:]:
        panel.set_visible(False)
    for place, variant in enumerate(names):
        row, column = 2 * (place // columns), place % columns
        of_variant = histories[histories["variant"] == variant]
        for panel, quantity, factor in zip(
            panels[row : row + 2, column], ("loss", "accuracy"), (1, 100), strict=True
        ):
            spread = of_variant.groupby("epoch")[quantity].quantile([0.1, 0.5, 0.9]).unstack() * factor
            panel.set_visible(True)
            panel.fill_between(spread.index, spread[0.1], spread[0.9], color=OURS, alpha=0.22, linewidth=0)
            panel.plot(spread.index, spread[0.5], color=OURS)
            panel.grid(axis="y")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        loss, accuracy = panels[row : row + 2, column]
        loss.set_title(variant, fontsize=8.5)
        loss.sharex(accuracy)  # variants may have epochs of their own
        loss.tick_params(labelbottom=False)
        loss.set_ylim(bottom=0)  # losses of different kinds share no scale
        accuracy.set_ylim(0, 103)
        accuracy.tick_params(labelleft=column == 0)
        if column == 0:
            loss.set_ylabel("training loss")
            accuracy.set_ylabel("training accuracy, %")
    figure.supxlabel("epoch", fontsize=9)
    return figure


@styled
def variants(
    frame: pd.DataFrame, floor: Mapping[str, float], confidence: float = 0.95, narrow: bool = False
) -> Figure:
    """Every variant with its interval, beside the paper's value and the majority floor.

    Args:
        frame: one row per variant and metric, in the order to draw: variant, metric, value, low,
            high, printed (NaN where the paper has none); a metric's numbers in its own unit.
        floor: metric -> what always answering the commonest class scores.
        confidence: of the intervals, for the legend.
        narrow: the panels below each other, for a phone.

    Returns:
        One panel per metric; filled points are ours, hollow diamonds the paper's.
    """
    names, metrics = list(frame["variant"].unique()), list(frame["metric"].unique())
    if narrow:
        figure = Figure(figsize=(HALF, len(metrics) * (0.26 * len(names) + 0.7) + 0.7))
        panels = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    else:
        figure = Figure(figsize=(WIDTH, 0.34 * len(names) + 1.35))
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))
    for panel, metric in zip(panels, metrics, strict=True):
        rows = frame[frame["metric"] == metric].set_index("variant").loc[names]
        panel.hlines(places, rows["low"], rows["high"], color=OURS, linewidth=2, alpha=0.55)
        panel.plot(rows["value"], places, "o", color=OURS, label=f"this run, {100 * confidence:g} % interval")
        if frame["printed"].notna().any():
            hollow = {"markerfacecolor": "white", "markersize": 6, "label": "printed in the paper"}
            panel.plot(rows["printed"], places + 0.24, "D", color=PRINTED, **hollow)
        if metric in floor:
            dashed = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1, "label": "majority class"}
            panel.axvline(floor[metric], **dashed)
        panel.set_title(metric)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.grid(axis="x")
        panel.tick_params(axis="y", length=0)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=5 if narrow else 6))
        panel.set_yticks(places, names)
        if narrow:
            panel.tick_params(axis="y", labelsize=7.5)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=1 if narrow else 3)
    return figure


@styled
def critical_difference(mean: pd.Series, groups: Sequence[Sequence[str]], critical: float) -> Figure:
    """Mean ranks on one line, the best at the left; rows under one bar do not differ (Demšar 2006).

    Args:
        mean: rank of each row, the best first.
        groups: sets of rows that do not differ, see `ranks.Ranking.groups`.
        critical: the difference of mean ranks from which on two rows differ.
    """
    count, last = len(mean), (len(mean) + 1) // 2
    top = 1.1 + 0.35 * len(groups)
    height = top + 0.55 * last
    figure = Figure(figsize=(WIDTH, 0.36 * height + 0.55))
    panel = figure.subplots()
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.set(xlim=(1 - 0.45 * (count - 1), count + 0.45 * (count - 1)), ylim=(height, -1.2), yticks=[])
    panel.set_xticks([])
    panel.hlines(0, 1, count, color=INK, linewidth=1)
    for place in range(1, count + 1):
        panel.vlines(place, -0.18, 0, color=INK, linewidth=0.8)
        panel.text(place, -0.28, str(place), ha="center", va="bottom", fontsize=8.5)
    length = min(critical, count - 1)
    panel.hlines(-1.0, 1, 1 + length, color=PRINTED, linewidth=1.4)
    panel.vlines([1, 1 + length], -1.12, -0.88, color=PRINTED, linewidth=1.4)
    beyond = "" if critical <= count - 1 else ", more than there is room for"
    panel.text(1 + length + 0.03 * count, -1.0, f"CD {critical:.2f}{beyond}", va="center", fontsize=8.5)
    for place, (name, rank) in enumerate(mean.items()):
        is_left = place < last
        y = top + 0.55 * (place if is_left else count - 1 - place)
        end = 1 - 0.04 * (count - 1) if is_left else count + 0.04 * (count - 1)
        panel.plot([rank, rank, end], [0, y, y], color=GREY, linewidth=0.8)
        panel.plot(rank, 0, "o", color=OURS, markersize=4, clip_on=False)
        side = (
            {"ha": "right", "x": end - 0.01 * count} if is_left else {"ha": "left", "x": end + 0.01 * count}
        )
        panel.text(y=y, s=f"{name}  {rank:.2f}" if is_left else f"{rank:.2f}  {name}", va="center", **side)
    for place, group in enumerate(groups):
        low, high = mean[group[0]], mean[group[-1]]
        panel.hlines(0.5 + 0.35 * place, low - 0.02 * count, high + 0.02 * count, color=INK, linewidth=3)
    return figure


def read_benchmarks(root: Path) -> pd.DataFrame:
    """Read Snakemake's benchmark files.

    Args:
        root: the folder that holds `{rule}/**/*.tsv`, one file per job, a line per repeat.

    Returns:
        One row per line: rule, job (path below the rule's folder, without suffix), seconds, memory
        (peak resident MiB; NaN where the job was too short to be measured).
    """
    rows = []
    for path in sorted(Path(root).rglob("*.tsv")):
        rule, *below = path.relative_to(root).with_suffix("").parts
        lines = pd.read_csv(path, sep="\t")
        memory = pd.to_numeric(lines["max_rss"], errors="coerce")
        rows += [
            (rule, "/".join(below), float(seconds), float(peak) if peak > 0 else np.nan)
            for seconds, peak in zip(lines["s"], memory, strict=True)
        ]
    return pd.DataFrame(rows, columns=["rule", "job", "seconds", "memory"])


@styled
def stages(rules: Mapping[str, Sequence[str]], builds_on: Mapping[str, Sequence[str]]) -> Figure:
    """The stages of the workflow from left to right, each with its rules.

    Args:
        rules: stage -> names of its rules.
        builds_on: stage -> those before it whose files it reads; each stands after these.
    """
    column: dict[str, int] = {}
    for stage, before in builds_on.items():
        column[stage] = max((column[other] + 1 for other in before), default=0)
    figure = Figure(figsize=(WIDTH, 2.4))
    panel, boxes = figure.subplots(), {}
    panel.set(xlim=(-0.5, max(column.values()) + 0.5), ylim=(0, 1))
    panel.set_axis_off()
    for stage, before in builds_on.items():
        beside = [other for other in column if column[other] == column[stage]]
        place = column[stage], 1 - (beside.index(stage) + 0.5) / len(beside)
        style = {"ha": "center", "va": "center", "fontsize": 6.5, "linespacing": 1.4}
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": OURS, "linewidth": 0.8}
        boxes[stage] = panel.text(*place, "\n".join([stage.upper(), *rules[stage]]), bbox=frame, **style)
        for other in before:
            ends = {"patchA": boxes[other].get_bbox_patch(), "patchB": boxes[stage].get_bbox_patch()}
            arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8} | ends
            panel.annotate("", place, boxes[other].get_position(), arrowprops=arrow)
    return figure


@styled
def step_times(benchmarks: pd.DataFrame) -> Figure:
    """Where the time went: every job as a point, every rule with its number of jobs and its total.

    Args:
        benchmarks: as `read_benchmarks` returns it; rules are drawn from the longest total down.

    Returns:
        Seconds per job on a logarithmic axis.
    """
    totals = benchmarks.groupby("rule")["seconds"].agg(["sum", "count"]).sort_values("sum", ascending=False)
    figure = Figure(figsize=(WIDTH, 0.3 * len(totals) + 0.9))
    panel = figure.subplots()
    for place, rule in enumerate(totals.index):
        seconds = benchmarks.loc[benchmarks["rule"] == rule, "seconds"].clip(lower=0.01).to_numpy()
        spread = np.linspace(-0.22, 0.22, len(seconds)) if len(seconds) > 1 else np.zeros(1)
        panel.plot(seconds, place + spread, "o", color=OURS, markersize=3.2, alpha=0.45, markeredgewidth=0)
        panel.vlines(np.median(seconds), place - 0.32, place + 0.32, color=INK, linewidth=1.6)
        jobs = f"{totals['count'][rule]} job{'s' if totals['count'][rule] > 1 else ''}"
        text = f"{jobs}, {_duration(totals['sum'][rule])}"
        panel.text(1.02, place, text, transform=panel.get_yaxis_transform(), va="center", fontsize=8)
    panel.set_xscale("log")
    panel.set_yticks(range(len(totals)), totals.index)
    panel.set_ylim(len(totals) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x")
    panel.set_xlabel("seconds per job (line: median); right: jobs and their sum")
    return figure


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
