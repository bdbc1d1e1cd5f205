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

from mer_core.config.experiment import Config
from mer_core.config.section import dump
from mer_core.report import page
from mer_core.report.captions import basis, describe
from mer_core.report.finding import best, finding, simulated
from mer_core.report.page import Picture, Section
from mer_core.report.tables import Table

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
            times, confusion_{variant}, attention_{variant}, faces_{dataset}; those that are
            there are shown.
        datasets: findings by dataset.
        folds: the content of every fold.json.
        benchmarks: as `figures.read_benchmarks` returns them.
    """

    config: Config
    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    figures: Mapping[str, Path]
    datasets: Mapping[str, DatasetFindings]
    folds: Sequence[Mapping[str, Any]]
    benchmarks: pd.DataFrame


def render(report: ReportInput) -> str:
    """The report as one self-contained HTML page.

    Args:
        report: what to show.

    Returns:
        HTML with style, script and images inside; the same input gives the same bytes.
    """
    score = best(report.config, report.metrics)
    return page.fill(
        report.config,
        title=f"Micro-expression recognition: {report.config.experiment}",
        subtitle=f"{report.config.target}, leave one subject out: {basis(score)}",
        banner=BANNER if simulated(report.config) else "",
        finding=finding(report.config, report.metrics, report.tables),
        sections=[_results(report), _data(report), _provenance(report), Section("Limits", points=[*LIMITS])],
        variants=list(report.metrics),
        footer="Every score on this page was computed from the folds' predictions.csv.",
    )


def _results(report: ReportInput) -> Section:
    text = (
        "Every clip is predicted once per seed by a model that was trained on other subjects, and scores are "
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
        origin = "simulated" if name in simulated(report.config) else "own copy"
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
    folds = pd.DataFrame(report.folds, dtype=object).fillna({"epochs": page.MISSING})
    for variant, rows in folds.groupby("variant", sort=False):
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
        _table("Digests (first 12 digits of sha256)", pd.DataFrame(digests).fillna(page.MISSING)),
        _table("Versions", versions.rename_axis("Package").reset_index(name="Version")),
        _table("Time per rule", _times(report.benchmarks)),
        *_pictures(report, ["times"]),
    ]
    everything = yaml.safe_dump(dump(settings), sort_keys=False, allow_unicode=True)
    return Section("Provenance", [text], items=items, folded=[("The whole configuration", everything)])


def _times(benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Jobs, time and memory of each rule, the longest first."""
    rows = [
        {
            "Rule": rule,
            "Jobs": len(jobs),
            "Seconds per job (median)": f"{jobs['seconds'].median():.1f}",
            "Seconds in all": jobs["seconds"].sum().round(1),
            "Peak memory, MiB": page.MISSING
            if jobs["memory"].isna().all()
            else f"{jobs['memory'].max():.0f}",
        }
        for rule, jobs in benchmarks.groupby("rule")
    ]
    return pd.DataFrame(rows).sort_values("Seconds in all", ascending=False)


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
