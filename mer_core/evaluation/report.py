"""What the report says: the finding, then the evidence, the data, the provenance and the limits.

All words and numbers are put together here from what the steps before have written; `page` lays them
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mer_core import config
from mer_core.evaluation import page, printed
from mer_core.evaluation.page import Picture, Section
from mer_core.evaluation.tables import Table

BANNER = "Simulated data: these numbers say nothing about people"
LIMITS = (
    "The intervals are over persons, because clips of one person are alike; other people, recorded "
    "elsewhere, may differ by more than that.",
    "The best of several rows is flattered by having been chosen among them.",
    "Rows that are only printed were measured by their authors on 246 to 255 clips; a small difference to "
    "them means nothing.",
    "The paper states neither optimiser, epochs, augmentation, normalisation, initial weights nor seeds; "
    "the configuration under Provenance says what was used here.",
    "A label says what somebody reported or coders judged, not what somebody felt.",
    "Nothing here is fit to judge a person: no lie, no health, no hiring.",
)


@dataclass(frozen=True)
class DatasetFindings:
    """What is known about one dataset after alignment.

    Args:
        manifest: its samples, left-out ones with their reason.
        defects: what the doctor found: row, file, defect, severity, action.
        detector: per aligned image, the step that found the face.
        failures: images in which no face was found: sample_id, message.
    """

    manifest: pd.DataFrame
    defects: pd.DataFrame
    detector: Sequence[str]
    failures: pd.DataFrame


@dataclass(frozen=True)
class ReportInput:
    """Everything that the report shows, already loaded.

    Args:
        config: the checked configuration, with its subjects.
        metrics: `statistics.score_variant` of each variant and comparison method, by name.
        tables: as `tables.build_tables` returns them, in the order to show.
        figures: name -> PNG or SVG, in the order to show: class_distribution, variants, subject_accuracy,
            learning_curves, workflow, times, confusion_{variant}, attention_{variant}, faces_{dataset}.
        datasets: findings by dataset.
        folds: the content of every fold.json.
    """

    config: config.Config
    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    figures: Mapping[str, Path]
    datasets: Mapping[str, DatasetFindings]
    folds: Sequence[Mapping[str, Any]]

    @property
    def simulated(self) -> list[str]:
        """Names of the datasets that the simulation drew."""
        return [name for name in self.config.used if self.config.datasets[name].root == config.SIMULATED]

    @property
    def best(self) -> Mapping[str, Any]:
        """The scores of the variant with the highest macro-F1, of equals the first."""
        ours = [self.metrics[name] for name in self.config.variant if name in self.metrics]
        return max(ours, key=lambda score: score["macro_f1"]["mean"])


def render(report: ReportInput) -> str:
    """The report as one self-contained HTML page.

    Args:
        report: what to show.

    Returns:
        HTML with style, script and images inside; the same input gives the same bytes.
    """
    score = report.best
    return page.fill(
        report.config,
        title=f"Micro-expression recognition: {report.config.experiment}",
        subtitle=f"{report.config.target}: {_basis(score)}, leave one subject out",
        banner=BANNER if report.simulated else "",
        finding=finding(report),
        sections=[_results(report), _data(report), _provenance(report), Section("Limits", points=[*LIMITS])],
        variants=list(report.metrics),
        footer="Every score on this page was computed from the folds' predictions.csv.",
    )


def finding(report: ReportInput) -> list[str]:
    """Three sentences: the best variant against paper and floor, the gain by transfer, the caveat."""
    return [_best_sentence(report), _transfer_sentence(report), _caveat(report)]


def _best_sentence(report: ReportInput) -> str:
    score, floor = report.best, _floor(report)
    against = (
        f"always answering '{floor['answer']}' gives {floor['accuracy']:.2f} % and {floor['macro_f1']:.3f}"
    )
    if paper := _printed(report, score["variant"]):
        against = f"the paper prints {paper}, and {against}"
    return (
        f"Of {len(report.config.variants)} variants {score['variant']} has the highest macro-F1, "
        f"{_interval(score, 'macro_f1', 1, 3)}, and with it an accuracy of "
        f"{_interval(score, 'accuracy', 100, 2)} % ({_basis(score)}); {against}."
    )


def _printed(report: ReportInput, name: str) -> str:
    """What the paper prints for a variant's settings, '' when nothing."""
    variant = report.config.variant[name]
    settings = variant.attention, report.config.losses[variant.loss].kind, variant.init
    rows = [row for row in printed.ROWS if row.key == settings]
    f1 = [f" and F1 {row.f1}" for row in rows if row.f1 is not None]
    return f"{rows[0].accuracy:.2f} %{''.join(f1)} for it" if rows else ""


def _floor(report: ReportInput) -> dict[str, Any]:
    """The constant answer, as Table 1 has it."""
    frame = report.tables["table1_loss"].frame
    row = frame[frame["variant"] == "majority"].iloc[0]
    support = {name: values["support"] for name, values in report.best["per_class"].items()}
    answer = min(support, key=lambda name: (-support[name], name))
    return {"answer": answer, "accuracy": row["accuracy"], "macro_f1": row["macro_f1"]}


def _transfer_sentence(report: ReportInput) -> str:
    pairs = report.tables["transfer"].frame
    pairs = pairs[(pairs["before"] != "printed") & pairs["gain_clips"].notna()]
    if pairs.empty:
        return "No two variants differ in pretraining alone, so nothing can be said about transfer."
    row = pairs.iloc[0]
    surprising = row["p_permutation"] < 1 - report.config.evaluation.confidence
    chance = "more than chance explains" if surprising else "not more than chance explains"
    return (
        f"Pretraining ({row['after']} against {row['before']}) changes the right answers by "
        f"{row['gain_clips']:+.4g} of {row['n']} clips, {row['gain']:+.2f} points "
        f"[{row['gain_low']:+.2f}, {row['gain_high']:+.2f}], {chance} "
        f"(p {_p(row['p_permutation'])} by permutation of subjects, {_p(row['p_mcnemar'])} by McNemar's "
        f"exact test); the paper prints +{printed.TRANSFER_GAIN_CLIPS} of {printed.CLIPS}."
    )


def _caveat(report: ReportInput) -> str:
    score, drawn = report.best, report.simulated
    width = 50 * (score["accuracy"]["high"] - score["accuracy"]["low"])
    small = f"{score['n']} clips of {score['subjects']} people fix an accuracy to about ±{width:.0f} points"
    if drawn:
        drawn_are = f"{' and '.join(drawn)} {'is' if len(drawn) == 1 else 'are'} simulated here"
        return f"{small}; above all, {drawn_are}, so no number on this page says anything about people."
    return f"{small}, so smaller differences than that between variants are no progress yet."


def _results(report: ReportInput) -> Section:
    text = (
        "Every clip is predicted once per seed by a network that never saw its subject, and scores are "
        f"taken over all clips together. Brackets hold {report.config.evaluation.confidence:.0%} intervals, "
        "from a bootstrap over subjects."
    )
    shown = ("variants", "confusion", "subject_accuracy", "learning_curves", "attention")
    return Section("Results", [text], items=[*report.tables.values(), *_pictures(report, shown)])


def _data(report: ReportInput) -> Section:
    section = Section("Data")
    counts, found, reasons, apexes, steps = [], [], [], [], []
    for name, dataset in report.datasets.items():
        samples, defects, failures = dataset.manifest, dataset.defects, dataset.failures
        used = samples[samples["included"]]
        origin = "simulated" if name in report.simulated else "own copy"
        numbers = len(samples), len(used), len(samples) - len(used), len(failures), used["subject"].nunique()
        counts.append((name, origin, *numbers))
        found += _count(name, defects["defect"] + "\n" + defects["severity"])
        reasons += _count(name, samples.loc[~samples["included"], "reason"])
        apexes += _count(name, used["apex_source"].replace("none", "no apex in this dataset"))
        steps += _count(name, pd.Series(dataset.detector, dtype=str))
        for title, rows in (("Defects", defects), ("Faces not found", failures)):
            if len(rows):
                section.folded.append(
                    (f"{title} in {name}: all {len(rows)}", _table(f"{title} in {name}", rows))
                )
    columns = ["dataset", "origin", "annotated", "used", "left out", "no face found", "subjects"]
    section.items.append(_table("Samples", pd.DataFrame(counts, columns=columns)))
    found = [(name, *what.split("\n"), count) for name, what, count in found]
    for title, rows, columns in (
        ("What the doctor found", found, ["dataset", "defect", "severity", "count"]),
        ("Why samples were left out", reasons, ["dataset", "reason", "samples"]),
        ("Where the apex comes from", apexes, ["dataset", "apex", "samples"]),
        ("Which step of the detector found the face", steps, ["dataset", "step", "images"]),
    ):
        if rows:
            section.items.append(_table(title, pd.DataFrame(rows, columns=columns)))
        else:
            section.texts.append(f"{title}: nothing to tell.")
    section.items += _pictures(report, ("class_distribution", "faces"))
    return section


def _provenance(report: ReportInput) -> Section:
    settings, folds = report.config, pd.DataFrame(report.folds)
    statistics = settings.evaluation
    text = (
        f"Seeds of training: {', '.join(map(str, settings.seeds))}. Statistics: seed {statistics.seed}, "
        f"{statistics.bootstrap} bootstrap draws, {statistics.permutations} permutations."
    )
    folds["time"] = folds["seconds"].map(lambda phases: sum(phases.values()))
    training, digests = [], []
    for variant, rows in folds.groupby("variant", sort=False):
        training.append(
            {
                "variant": variant,
                "folds": len(rows),
                "device": _each(rows["device"]),
                "epochs": _each(rows["epochs"]),
                "seconds per fold (median)": f"{rows['time'].median():.1f}",
                "minutes in all": f"{rows['time'].sum() / 60:.1f}",
                "peak memory, MB": rows["peak_memory_mb"].max(),
            }
        )
        kinds = pd.DataFrame(list(rows["digests"]))
        digests.append(
            {"variant": variant} | {kind: _each(kinds[kind].str[:12].fillna("–")) for kind in kinds}
        )
    versions = (
        pd.DataFrame(list(folds["versions"])).agg(_each).rename_axis("package").reset_index(name="version")
    )
    items = [
        _table("Training", pd.DataFrame(training)),
        _table("Digests (first 12 digits of sha256)", pd.DataFrame(digests)),
        _table("Versions", versions),
        *_pictures(report, ("times", "workflow")),
    ]
    text_of_config = yaml.safe_dump(config.dump(settings), sort_keys=False, allow_unicode=True)
    return Section("Provenance", [text], items=items, folded=[("The whole configuration", text_of_config)])


def _pictures(report: ReportInput, kinds: Iterable[str]) -> list[Picture]:
    """The figures of some kinds, each with its words; of `confusion`, those of all variants."""
    found = []
    for kind in kinds:
        for name, path in report.figures.items():
            if name == kind or name.startswith(f"{kind}_"):
                found.append(_describe(report, kind, name.removeprefix(kind).removeprefix("_"), path))
    return found


def _describe(report: ReportInput, kind: str, about: str, path: Path) -> Picture:
    """Title, caption and text alternative of a figure; `about` is its variant or dataset, or ''."""
    score = report.metrics.get(about, report.best)
    basis, confidence = _basis(score), f"{report.config.evaluation.confidence:.0%}"
    words = {
        "class_distribution": (
            "Classes",
            "Samples per class that take part; hollow bars: the paper's counts, its figure 5 (249 clips).",
            "Bars of the number of samples per class of each dataset.",
        ),
        "variants": (
            "Variants beside the paper",
            f"Points: mean over seeds; bars: {confidence} interval, bootstrap over subjects ({basis}). "
            "Diamonds: printed in the paper. Dashed: always answering the commonest class.",
            "Points with intervals per variant; the numbers stand in Tables 1 to 3.",
        ),
        "subject_accuracy": (
            "Accuracy per subject",
            f"Percent of each subject's clips that are right, mean over seeds ({basis}). With one seed a "
            "subject of two clips can only be at 0, 50 or 100.",
            "Bars of the number of clips per subject above a matrix of accuracies, variants by subjects.",
        ),
        "learning_curves": (
            "Learning curves",
            "Loss and accuracy on the training samples; line: median over folds, band: the middle 80 % of "
            f"folds ({basis}). The left-out subject has no part in them.",
            "Training loss falling and training accuracy rising over the epochs, a column per variant.",
        ),
        "confusion": (
            f"Confusion matrix of {about}",
            f"Left: clips, added up over seeds; right: shares of each true class ({basis}).",
            f"Matrix of true against predicted classes; share right per class: {_recalls(score)}.",
        ),
        "attention": (
            f"Spatial attention of {about}",
            "The gate S of equation 3 over aligned faces, one column per residual unit; one scale for all.",
            "Aligned faces with the spatial gate laid over them as colour.",
        ),
        "faces": (
            f"Aligned faces of {about}",
            "With the class and the step of the detector that found the face. Only people who may be shown.",
            f"Contact sheet of aligned faces of {about}.",
        ),
        "times": (
            "Time per step",
            "Wall-clock seconds of every job, from Snakemake's benchmarks; waiting for a device counts.",
            "Seconds per job for each rule, on a logarithmic axis.",
        ),
        "workflow": (
            "The workflow",
            "Rules from the data at the top to the report; arrows that a longer way implies are left out.",
            "Graph of the workflow's rules.",
        ),
    }
    title, caption, alt = words[kind]
    return Picture(path, title, caption, alt, about if about in report.metrics else "")


def _table(title: str, frame: pd.DataFrame) -> Table:
    """A small table of the report's own, shown as it is."""
    return Table(frame, frame.astype(str), title, ())


def _count(name: str, values: pd.Series) -> list[tuple[str, str, int]]:
    return [(name, value, count) for value, count in values.value_counts().items()]


def _each(values: pd.Series) -> str:
    """The different values, usually one."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _basis(score: Mapping[str, Any]) -> str:
    """On what a score rests, such as '246 clips, 26 subjects, 26 folds, 1 seed'."""
    folds, expected, seeds = score["folds"], score["folds_expected"], len(score["seeds"])
    of = f"only {folds} of {expected} folds" if folds < expected else f"{folds} folds"
    return f"{score['n']} clips, {score['subjects']} subjects, {of}, {seeds} seed{'s' * (seeds > 1)}"


def _recalls(score: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values['recall']:.2f}" for name, values in score["per_class"].items())


def _interval(score: Mapping[str, Any], name: str, scale: float, decimals: int) -> str:
    mean, low, high = (f"{scale * score[name][key]:.{decimals}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
