"""What the report says: the finding, then the evidence, the data, the provenance and the limits.

All words and numbers are put together here from what the steps before have written; `page` lays them
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mer_core.config.experiment import Config
from mer_core.config.section import dump
from mer_core.evaluation.clips import confidence, first_seed
from mer_core.report import page
from mer_core.report.captions import basis, describe, fullest
from mer_core.report.finding import finding
from mer_core.report.page import Picture, Section
from mer_core.report.tables import Table, telling

BANNER = "Simulated data: these numbers say nothing about people"
LONG = 20  # rows; a longer table is folded away
# What is left out in turn -> in words, and whom rows are trained on.
SCHEMES = {
    "subject": ("leave one subject out", "other subjects"),
    "dataset": ("leave one dataset out", "other datasets"),
    "split": ("official split", "the people of the training part"),
}
CUT = 0.95  # of a crop; with less inside the source, more than a rim of it is made up
# What is to be known of printed rows, and of the paper's method, where they are on the page.
QUOTED = (
    "Rows that are only printed were measured by their authors on clips that they chose, 246 to 255 where it "
    "is the paper that prints them; a small difference to them means nothing."
)
UNSTATED = (
    "The paper states neither optimiser, epochs, augmentation, normalisation, initial weights nor seeds; "
    "the configuration, under Provenance of the target's page, says what was used here."
)
LIMITS = (
    "Intervals and tests are over persons, because clips of one person are alike; other people, recorded "
    "elsewhere, may differ by more than that. The luck of training is in neither, such as that of a "
    "pretraining that feeds all folds of a row; where there is one seed, others would give other figures.",
    "The best of several rows is flattered by having been chosen among them.",
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
        inside: per aligned image, the share of the crop that lies inside its source; NaN where not known.
    """

    manifest: pd.DataFrame
    defects: pd.DataFrame
    detector: Sequence[str]
    failures: pd.DataFrame
    inside: Sequence[float]


@dataclass(frozen=True)
class ReportInput:
    """Everything that the report shows, already loaded.

    Args:
        config: the checked configuration, with its subjects.
        metrics: `statistics.score_variant` of each variant and comparison method, by name.
        predictions: their predictions, by name, as `collect.read_pooled` gives them.
        tables: as `tables.build_tables` returns them, in the order to show.
        figures: name -> PNG or SVG: class_distribution, variants, variants_narrow, subject_accuracy,
            learning_curves, agreement, reliability, workflow, times, confusion_{variant},
            attention_{variant}, faces_{dataset}; those that are there are shown.
        datasets: findings by dataset.
        folds: the content of every fold.json.
        benchmarks: as `figures.read_benchmarks` returns them.
    """

    config: Config
    metrics: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, pd.DataFrame]
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
    score = fullest(report.metrics)
    shown = telling(report.tables, score["classes"])
    in_groups = isinstance(report.config.groups, int)
    scheme = "leave a group of subjects out" if in_groups else SCHEMES[report.config.folds_by][0]
    return page.fill(
        report.config,
        title=f"Micro-expression recognition: {report.config.experiment}, {report.config.target}",
        subtitle=f"{report.config.target}, {scheme}: {basis(score)}",
        banner=BANNER if report.config.target in report.config.simulated else "",
        finding=finding(report.config, report.metrics, report.tables),
        sections=[
            _results(replace(report, tables=shown)),
            _clips(report),
            _data(report),
            _provenance(report),
            Section("Limits", points=limits(report.config, shown.values())),
        ],
        variants=list(report.metrics),
        footer="Every score on this page was computed from the folds' predictions.csv.",
    )


def limits(settings: Config, tables: Iterable[Table]) -> list[str]:
    """What a page has to say of the limits of its tables.

    Args:
        settings: the configuration.
        tables: that are on the page.
    """
    quotes = any((table.frame["kind"] == "printed").any() for table in tables if "kind" in table.frame)
    papers = any(variant.is_the_papers for variant in settings.variants)
    return [*[QUOTED] * quotes, *[UNSTATED] * papers, *LIMITS]


def _results(report: ReportInput) -> Section:
    others = SCHEMES[report.config.folds_by][1]
    over = "scores are taken over all clips together"
    if report.config.folds_by == "dataset":
        over = "the first table scores each dataset that was left out; all else takes their clips together"
    elif "parts" in report.tables:
        over += ", in the first table over each part's, too"
    clip = "Every clip of the test parts" if report.config.folds_by == "split" else "Every clip"
    text = (
        f"{clip} is predicted once per seed by a model that was trained on {others}, and {over}. "
        f"Brackets hold {100 * report.config.evaluation.confidence:g} % intervals, from a bootstrap over "
        "subjects."
    )
    belongs: dict[str, list[str]] = {}
    for table in report.tables.values():
        for note in table.notes:
            belongs.setdefault(note, []).append(page.split_caption(table)[0].partition(":")[0])
    common = {note: f"{note} ({', '.join(names)})" for note, names in belongs.items() if len(names) > 1}
    tables = [
        replace(table, notes=tuple(note for note in table.notes if note not in common))
        for table in report.tables.values()
    ]
    items = [
        *_pictures(report, ["variants"]),
        *(table for table in tables if len(table.frame) <= LONG),
        page.Notes("On several tables", [*common.values()]),
        *_pictures(report, ["confusion", "attention", "subject_accuracy", "learning_curves"]),
    ]
    return Section(
        "Results", [text], items=items, folded=[_fold(table) for table in tables if len(table.frame) > LONG]
    )


def _clips(report: ReportInput) -> Section:
    """Every clip with every row's answer, and what rows have in common."""
    first = {name: first_seed(frame).set_index("sample_id") for name, frame in report.predictions.items()}
    samples = pd.concat(first.values())[["subject", "label"]].groupby(level=0, sort=False).first()
    answers = {name: _answers(frame, samples.index, report) for name, frame in first.items()}
    right = [
        [given[0] == label for given in clip if given]
        for label, *clip in zip(samples["label"], *answers.values(), strict=True)
    ]
    missed, solved = (sum(map(kind, right)) for kind in (lambda clip: not any(clip), all))
    text = (
        f"Of {len(samples)} clips, {missed} are missed by every row and {solved} by none ({len(answers)} "
        f"row{'s' * (len(answers) != 1)}, first seed). The table below, which can be sorted and filtered, "
        "shows which."
    )
    samples.insert(0, "clip", [name.rpartition("/")[2] for name in samples.index])
    table = page.Clips(
        "Answers clip by clip",
        "Each row's answer to each clip, by the first seed, and the probability it gave to it; wrong answers "
        "are shaded. All seeds are in metrics/*.predictions.csv beside this page.",
        samples,
        answers,
    )
    items = _pictures(report, ["agreement", "reliability"])
    return Section("Clips", [text], items=items, folded=[(f"{table.title}: all {len(samples)}", table)])


def _answers(
    predictions: pd.DataFrame, clips: pd.Index, report: ReportInput
) -> list[tuple[str, float] | None]:
    """Answer and its probability for each clip, None where the clip was not predicted."""
    given = confidence(predictions, report.config.datasets[report.config.target].class_names)
    answers = dict(zip(predictions.index, zip(predictions["predicted"], given, strict=True), strict=True))
    return [answers.get(clip) for clip in clips]


def _data(report: ReportInput) -> Section:
    drawn = report.config.simulated
    section, found, columns = Section("Data"), [], {}
    for name, dataset in report.datasets.items():
        columns[f"{name} ({'simulated' if name in drawn else 'own copy'})"] = _quality(dataset)
        defects = dataset.defects[["defect", "severity"]].value_counts()
        found += [(defect, name, count, severity) for (defect, severity), count in defects.items()]
        for title, rows in (("Defects", dataset.defects), ("Faces not found", dataset.failures)):
            if len(rows):
                section.folded.append(_fold(_table(f"{title} in {name}", rows)))
    kinds = [fact.partition(":")[0] for facts in columns.values() for fact in facts]
    facts = dict.fromkeys(fact for facts in columns.values() for fact in facts)
    facts = sorted(facts, key=lambda fact: kinds.index(fact.partition(":")[0]))
    quality = {name: [own.get(fact, page.MISSING) for fact in facts] for name, own in columns.items()}
    section.items.append(_table("Samples and faces", pd.DataFrame({"": facts} | quality)))
    if found:
        columns = ["Defect", "Dataset", "Count", "Severity"]
        section.items.append(_table("What the doctor found", pd.DataFrame(found, columns=columns)))
    else:
        section.texts.append("The doctor found nothing.")
    section.items += _pictures(report, ["class_distribution", "faces"])
    return section


def _quality(dataset: DatasetFindings) -> dict[str, int | str]:
    """What became of a dataset's samples, and how well their faces were found and cropped."""
    samples = dataset.manifest
    unseen = samples["included"] & samples["sample_id"].isin(dataset.failures["sample_id"])
    used = samples[samples["included"] & ~unseen]
    facts = {"annotated": len(samples), "used": len(used), "subjects": used["subject"].nunique()}
    left_out = samples.loc[~samples["included"], "reason"].value_counts()
    facts |= {f"left out: {reason}": count for reason, count in left_out.items()}
    facts |= {"left out: no face found": int(unseen.sum())}
    apexes = used["apex_source"].replace("none", "none in this dataset").value_counts()
    facts |= {f"apex: {source}": count for source, count in apexes.items()}
    facts |= {f"face found by: {step}": n for step, n in pd.Series(dataset.detector).value_counts().items()}
    inside = pd.Series(dataset.inside, dtype=float).dropna()
    if len(inside):
        facts["crop inside its source, median (%)"] = f"{100 * inside.median():.1f}"
        facts["crop inside its source, least (%)"] = f"{100 * inside.min():.1f}"
        facts[f"crops less than {100 * CUT:g} % inside"] = int((inside < CUT).sum())
    return facts


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
    items = [_table("Training", pd.DataFrame(training)), *_pictures(report, ["workflow", "times"])]
    more = [
        _table("Digests (first 12 digits of sha256)", pd.DataFrame(digests).fillna(page.MISSING)),
        _table("Versions", versions.rename_axis("Package").reset_index(name="Version")),
        _table("Time per rule", _times(report.benchmarks)),
    ]
    everything = yaml.safe_dump(dump(settings), sort_keys=False, allow_unicode=True)
    folded = [*map(_fold, more), ("The whole configuration", everything)]
    return Section("Provenance", [text], items=items, folded=folded)


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
    shown = []
    for kind in kinds:
        for about in ("", *report.metrics, *report.datasets):
            if path := report.figures.get(f"{kind}_{about}" if about else kind):
                picture = describe(kind, about, path, report.config, report.metrics)
                shown.append(replace(picture, narrow=report.figures.get(f"{kind}_narrow")))
    return shown


def _fold(table: Table) -> tuple[str, Table]:
    return f"{page.split_caption(table)[0]}: {len(table.frame)} row{'s' * (len(table.frame) != 1)}", table


def _table(title: str, frame: pd.DataFrame) -> Table:
    """A small table of the report's own, shown as it is."""
    return Table(frame, frame.astype(str), title, ())


def _each(values: Iterable[Any]) -> str:
    """The different values, usually one."""
    return ", ".join(dict.fromkeys(map(str, values)))
