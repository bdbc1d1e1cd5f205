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
from mer_core.evaluation.captions import basis, describe
from mer_core.evaluation.page import Picture, Section
from mer_core.evaluation.tables import Table

BANNER = "Simulated data: these numbers say nothing about people"
LONG = 20  # rows; a longer table is folded away
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
        figures: name -> PNG or SVG: class_distribution, variants, subject_accuracy, learning_curves,
            workflow, times, confusion_{variant}, attention_{variant}, faces_{dataset}; those that are
            there are shown.
        datasets: findings by dataset.
        folds: the content of every fold.json.
        benchmarks: as `figures.read_benchmarks` returns them.
    """

    config: config.Config
    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    figures: Mapping[str, Path]
    datasets: Mapping[str, DatasetFindings]
    folds: Sequence[Mapping[str, Any]]
    benchmarks: pd.DataFrame

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
    return page.fill(
        report.config,
        title=f"Micro-expression recognition: {report.config.experiment}",
        subtitle=f"{report.config.target}, leave one subject out: {basis(report.best)}",
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
        f"Of {len(report.config.variants)} variants, {score['variant']} has the highest macro-F1, "
        f"{_spell(score, 'macro_f1', 1, '.3f')}, and with it an accuracy of "
        f"{_spell(score, 'accuracy', 100, '.2f', ' %')}, over {basis(score)}; {against}."
    )


def _printed(report: ReportInput, name: str) -> str:
    """What the paper prints for a variant's settings, '' when nothing."""
    variant = report.config.variant[name]
    key = variant.attention, report.config.losses[variant.loss].kind, variant.init
    rows = [row for row in printed.ROWS if row.key == key]
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
        f"{_signed(row['gain_clips'], '.4g')} of {row['n']} clips, {_signed(row['gain'])} points "
        f"({_signed(row['gain_low'])} to {_signed(row['gain_high'])}), {chance} "
        f"(permutation of subjects p {_p(row['p_permutation'])}, McNemar's exact test p "
        f"{_p(row['p_mcnemar'])}); the paper prints +{printed.TRANSFER_GAIN_CLIPS} of {printed.CLIPS}."
    )


def _caveat(report: ReportInput) -> str:
    score, drawn = report.best, report.simulated
    width = 50 * (score["accuracy"]["high"] - score["accuracy"]["low"])
    small = (
        f"{score['n']} clips of {score['subjects']} people pin an accuracy down to about ±{width:.0f} points"
    )
    if drawn:
        drawn_are = f"{' and '.join(drawn)} {'is' if len(drawn) == 1 else 'are'} simulated here"
        return f"{small}; above all, {drawn_are}, so no number on this page says anything about people."
    return f"{small}, so smaller differences than that between variants are no progress yet."


def _results(report: ReportInput) -> Section:
    text = (
        "Every clip is predicted once per seed by a network that never saw its subject, and scores are "
        f"taken over all clips together. Brackets hold {100 * report.config.evaluation.confidence:g} % "
        "intervals, from a bootstrap over subjects."
    )
    tables = report.tables.values()
    long = [table for table in tables if len(table.frame) > LONG]
    folded = [(f"{page.split_caption(table)[0]}: all {len(table.frame)} rows", table) for table in long]
    items = [
        *_pictures(report, ["variants"]),
        *(table for table in tables if len(table.frame) <= LONG),
        *_pictures(report, ["subject_accuracy", "confusion", "attention", "learning_curves"]),
    ]
    return Section("Results", [text], items=items, folded=folded)


def _data(report: ReportInput) -> Section:
    section = Section("Data")
    counts, found, reasons, apexes, steps = [], [], [], [], []
    for name, dataset in report.datasets.items():
        samples, defects, failures = dataset.manifest, dataset.defects, dataset.failures
        used = samples[samples["included"]]
        origin = "simulated" if name in report.simulated else "own copy"
        numbers = len(samples), len(used), len(samples) - len(used), len(failures), used["subject"].nunique()
        counts.append((name, origin, *numbers))
        found += _count(name, defects[["defect", "severity"]])
        reasons += _count(name, samples.loc[~samples["included"], ["reason"]])
        apexes += _count(name, used[["apex_source"]].replace("none", "no apex in this dataset"))
        steps += _count(name, pd.DataFrame({"step": dataset.detector}))
        for title, rows in (("Defects", defects), ("Faces not found", failures)):
            if len(rows):
                title = f"{title} in {name}"
                section.folded.append((f"{title}: all {len(rows)}", _table(title, rows)))
    columns = ["Dataset", "Origin", "Annotated", "Used", "Left out", "No face found", "Subjects"]
    section.items.append(_table("Samples", pd.DataFrame(counts, columns=columns)))
    for title, rows, columns in (
        ("What the doctor found", found, ["Dataset", "Defect", "Severity", "Count"]),
        ("Why samples were left out", reasons, ["Dataset", "Reason", "Samples"]),
        ("Where the apex comes from", apexes, ["Dataset", "Apex", "Samples"]),
        ("Which step of the detector found the face", steps, ["Dataset", "Step", "Images"]),
    ):
        if rows:
            section.items.append(_table(title, pd.DataFrame(rows, columns=columns)))
        else:
            section.texts.append(f"{title}: nothing to tell.")
    section.items += _pictures(report, ["class_distribution", "faces"])
    return section


def _provenance(report: ReportInput) -> Section:
    settings, evaluation = report.config, report.config.evaluation
    text = (
        f"Seeds of training: {', '.join(map(str, settings.seeds))}. Statistics: seed {evaluation.seed}, "
        f"{evaluation.bootstrap} bootstrap draws, {evaluation.permutations} permutations."
    )
    training, digests = [], []
    for variant, rows in pd.DataFrame(report.folds).groupby("variant", sort=False):
        seconds = rows["seconds"].map(lambda phases: sum(phases.values()))
        training.append(
            {
                "Variant": variant,
                "Folds": len(rows),
                "Device": _each(rows["device"]),
                "Epochs": _each(rows["epochs"]),
                "Seconds per fold (median)": f"{seconds.median():.1f}",
                "Minutes in all": f"{seconds.sum() / 60:.1f}",
                "Peak memory, MiB": rows["peak_memory_mb"].max(),
            }
        )
        kinds = {kind.replace("_", " ").capitalize(): kind for kind in rows["digests"].iloc[0]}
        shorter = {
            title: _each((digest[kind] or page.MISSING)[:12] for digest in rows["digests"])
            for title, kind in kinds.items()
        }
        digests.append({"Variant": variant} | shorter)
    versions = pd.DataFrame([fold["versions"] for fold in report.folds]).agg(_each)
    items = [
        _table("Training", pd.DataFrame(training)),
        _table("Digests (first 12 digits of sha256)", pd.DataFrame(digests)),
        _table("Versions", versions.rename_axis("Package").reset_index(name="Version")),
        _table("Time per rule", _times(report.benchmarks)),
        *_pictures(report, ["times", "workflow"]),
    ]
    everything = yaml.safe_dump(config.dump(settings), sort_keys=False, allow_unicode=True)
    return Section("Provenance", [text], items=items, folded=[("The whole configuration", everything)])


def _times(benchmarks: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "Rule": rule,
            "Jobs": len(jobs),
            "Seconds per job (median)": f"{jobs['seconds'].median():.1f}",
            "Seconds in all": f"{jobs['seconds'].sum():.1f}",
            "Peak memory, MiB": page.MISSING
            if jobs["memory"].isna().all()
            else f"{jobs['memory'].max():.0f}",
        }
        for rule, jobs in benchmarks.groupby("rule", sort=False)
    ]
    return pd.DataFrame(rows)


def _pictures(report: ReportInput, kinds: Iterable[str]) -> list[Picture]:
    """The figures of some kinds, each with its words; of `confusion`, those of all variants."""
    return [
        describe(kind, name.removeprefix(kind).removeprefix("_"), path, report.config, report.metrics)
        for kind in kinds
        for name, path in report.figures.items()
        if name == kind or name.startswith(f"{kind}_")
    ]


def _table(title: str, frame: pd.DataFrame) -> Table:
    """A small table of the report's own, shown as it is."""
    return Table(frame, frame.astype(str), title, ())


def _count(name: str, rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    """How often each row occurs, the commonest first: (dataset, *row, count)."""
    return [(name, *row, count) for row, count in rows.value_counts().items()]


def _each(values: Iterable[Any]) -> str:
    """The different values, usually one."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _spell(score: Mapping[str, Any], name: str, scale: float, style: str, unit: str = "") -> str:
    """Such as '43.37 % (95 % interval 37.21 to 49.60)'."""
    mean, low, high = (f"{scale * score[name][key]:{style}}" for key in ("mean", "low", "high"))
    return f"{mean}{unit} ({100 * score['confidence']:g} % interval {low} to {high})"


def _signed(value: float, style: str = ".2f") -> str:
    return f"{value:+{style}}".replace("-", "−")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
