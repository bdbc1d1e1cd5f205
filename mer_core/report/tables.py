"""The paper's Tables 1 to 3 with measured figures beside the printed ones, and those of our own.

Accuracies are in percent and their differences in points, as in the paper; F1 and UAR lie in [0, 1]. Two
kinds of difference stand apart by name: `gain` is in macro-F1 over the table's baseline, paired clip by
clip, and carries the test and the verdict; `difference` is accuracy minus the printed figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from mer_core.config.evaluation import Evaluation
from mer_core.config.layouts.composite import challenge
from mer_core.config.models import Loss, Variant
from mer_core.evaluation.statistics import (
    COVERAGE_OF_SIX,
    FEW_PEOPLE,
    Comparison,
    compare,
    holm,
    majority_answers,
    score_variant,
    verdict,
)
from mer_core.provenance import mixture
from mer_core.report import challenges, printed
from mer_core.report.typeset import Row, Table, interval, make_table, number, p_value, text

TITLES = {
    "table1_loss": "Table 1: loss functions on the plain ResNet18",
    "table2_attention": "Table 2: attention kinds in ResNet18, all with focal loss",
    "table3_methods": "Table 3: methods",
}
# What is shown of each part, under which title.
PART_COLUMNS = {
    "accuracy": ("accuracy (%)", "{:.2f}"),
    "macro_f1": ("UF1", "{:.3f}"),
    "uar": ("UAR", "{:.3f}"),
}


@dataclass(frozen=True)
class Results:
    """What the tables are made of.

    Args:
        metrics: `statistics.score_variant` of each variant and comparison method, by name.
        predictions: their predictions, by name, as `collect.read_folds` gives them.
        samples: the samples to be evaluated (`collect.expected_samples`): sample_id, subject, label.
        variants: the configured variants; other names in `metrics` are comparison methods.
        losses: the configured losses by name.
        settings: confidence, draws, permutations, seed.
        dataset: the target's name.
        simulated: names of the datasets, target or source, that are simulated.
        pretrained: selected.json of each pretrained variant, by name; several where every fold has its own.
        sources: layouts of the datasets on disk that pretraining reads, by name.
        transductive: names of the methods whose training sees the unlabelled clips of the subject left out.
        layouts: of the parts that the target is put together of, by name; none where it is one dataset.
        seen: what each row sees of a clip, in words, by its name.
        by_flow: names of the comparison methods that measure flow.
        groups: what is left out in turn, as for `folds.held_out`.
        shared: pairs of the target's parts that show the same people.
        by_fold: whether every fold has a pretraining of its own, as the source shows people of the target.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, pd.DataFrame]
    samples: pd.DataFrame
    variants: Sequence[Variant]
    losses: Mapping[str, Loss]
    settings: Evaluation
    dataset: str
    simulated: Sequence[str] = ()
    pretrained: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    transductive: Sequence[str] = ()
    layouts: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    by_flow: Sequence[str] = ()
    groups: int | str | None = None
    shared: Sequence[tuple[str, str]] = ()
    by_fold: bool = False

    @property
    def classes(self) -> list[str]:
        """The class names in order."""
        return next(iter(self.metrics.values()))["classes"]

    @property
    def comparable(self) -> bool:
        """Whether measured figures may be held against the printed ones."""
        return printed.comparable(self.classes, self.dataset in self.simulated)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """The samples that were predicted, fewer than those to be evaluated where folds are missing."""
        predicted = {name for rows in self.predictions.values() for name in rows["sample_id"]}
        return self.samples[self.samples["sample_id"].isin(predicted)]

    @cached_property
    def floor(self) -> Row:
        """The row of the constant answer, on the samples that were predicted."""
        answers = majority_answers(self.scored)
        score = score_variant("", answers, self.classes, self.settings)
        return {
            "kind": "floor",
            "method": f"always answering '{answers['predicted'].iloc[0]}'",
            "variant": None,
            **_score_columns(score),
            "note": "the floor",
        }

    def changes(self, first: Variant, second: Variant) -> list[str]:
        """In which settings two variants differ; a comparison is clean where it is one."""
        before, after = (self._settings(variant) for variant in (first, second))
        return [name for name, value in before.items() if value != after[name]]

    def _settings(self, variant: Variant) -> dict[str, Any]:
        """All that makes a variant, its loss spelled out: cross entropy is focal loss with gamma 0."""
        loss = self.losses[variant.loss]
        gamma = loss.gamma if loss.kind == "focal" else 0.0
        own = variant.model_dump(exclude={"name", "loss"}), loss.model_dump(exclude={"kind"})
        return {**own[0], **own[1], "gamma": gamma}

    def measured(self) -> dict[str, Variant]:
        """The configured variants that were measured, by name."""
        return {variant.name: variant for variant in self.variants if variant.name in self.metrics}

    def compare(self, first: str | None, second: str | None) -> Comparison | None:
        """The second against the first; None where one is missing, both are the same or no clip is shared."""
        if first is None or second is None or first == second:
            return None
        return compare(self.predictions[first], self.predictions[second], self.classes, self.settings)

    def above_floor(self, name: str) -> Comparison | None:
        """A row against the constant answer, of every seed that the row has."""
        answers = self.predictions[name]
        seeds = answers[["seed"]].drop_duplicates()
        constant = majority_answers(self.scored).drop(columns="seed").merge(seeds, how="cross")
        return compare(constant, answers, self.classes, self.settings)


def build_tables(results: Results) -> dict[str, Table]:
    """All tables by name.

    Returns:
        parts where the target is put together of several datasets; table1_loss, table2_attention,
        table3_methods, methods, per_class, transfer; pretraining where something was pretrained.
    """
    tables = {"parts": _parts_table(results)} if results.layouts or "part" in results.samples else {}
    tables |= {name: _paper_table(number, name, results) for number, name in enumerate(TITLES, start=1)}
    tables["methods"] = _methods_table(results)
    tables |= {"per_class": _per_class_table(results), "transfer": _transfer_table(results)}
    if note := _mixture_note(results):
        tables = {name: replace(table, notes=(*table.notes, note)) for name, table in tables.items()}
    return tables | ({"pretraining": _pretraining_table(results)} if results.pretrained else {})


def telling(tables: Mapping[str, Table], classes: Sequence[str]) -> dict[str, Table]:
    """The tables that have something of their own to say of an experiment, in the same order.

    None has that is about no row of ours. Under the paper's classes all others have, as they say what is
    missing. Under other classes nothing is, so that of the paper's tables one that tests nothing is left out
    where its rows stand in a later one.

    Args:
        tables: as `build_tables` returns them, in memory or read from the files.
        classes: the target's.
    """
    shown = {name: table for name, table in tables.items() if any(table.about)}
    if printed.has_the_papers_classes(classes):
        return shown
    rows = {name: set(itertools.chain(*shown[name].about)) for name in TITLES if name in shown}
    for name in [*rows]:
        own = rows.pop(name)
        if shown[name].frame["gain"].isna().all() and own <= set().union(*rows.values()):
            del shown[name]
    return shown


def _paper_table(table: int, name: str, results: Results) -> Table:
    entries = [*_entries(table, results)]
    measured = [variant for _, variant in entries if variant]
    keys = _keys(results)
    baseline = next((name for name in measured if keys.get(name) == printed.BASELINES[table]), None)
    rows = _judged([_row(row, variant, baseline, results) for row, variant in entries], results)
    columns = {
        "Method": text("method"),
        "Variant": text("variant"),
        "Macro-F1": interval("macro_f1", "{:.3f}"),
        "UAR": number("uar", "{:.3f}"),
        "Accuracy (%)": interval("accuracy", "{:.2f}"),
        "Macro-F1 gain on baseline": interval("gain", "{:+.3f}"),
        "p against baseline (Holm)": p_value("p_holm"),
        "Verdict": text("verdict"),
        "Printed accuracy (%)": (interval if results.comparable else number)("printed_accuracy", "{:.2f}"),
        "Accuracy minus printed": number("difference", "{:+.2f}"),
        "Printed lies": text("printed_lies"),
        "Printed F1": number("printed_f1", "{:.4f}"),
        "F1 of means": number("f1_of_means", "{:.3f}"),
        "Note": text("note", missing=""),
    }
    missing = set() if table == 3 else {"Printed F1", "F1 of means"}
    if not printed.has_the_papers_classes(results.classes):
        missing |= {"Printed accuracy (%)", "Printed F1", "F1 of means"}
    if not results.comparable:
        missing |= {"Accuracy minus printed", "Printed lies"}
    if baseline is None:
        missing |= {"Macro-F1 gain on baseline", "p against baseline (Holm)", "Verdict"}
    shown = {header: cell for header, cell in columns.items() if header not in missing}
    notes = _paper_notes(table, baseline, rows, measured, results)
    title = TITLES[name]
    if not printed.has_the_papers_classes(results.classes):
        words = title.partition(": ")[2]  # the numbers are the paper's
        title = f"{words[0].upper()}{words[1:]}"
    return make_table([*rows, results.floor], shown, _caption(title, measured, results), notes)


def _keys(results: Results) -> dict[str, tuple[str, str, str]]:
    """What variants are matched to the paper's rows by, by name."""
    return {
        name: (_architecture(variant), results.losses[variant.loss].kind, variant.init)
        for name, variant in results.measured().items()
    }


def _architecture(variant: Variant) -> str:
    """The attention of a row of the paper's kind; of others, network and input, which no printed row has."""
    return variant.attention if variant.is_the_papers else f"{variant.network_kind} of {variant.input}"


def _entries(table: int, results: Results) -> Iterator[tuple[printed.Printed | None, str | None]]:
    """The rows as (printed row or None, measured name or None), the paper's first."""
    keys, variants = _keys(results), results.measured()
    attended = {variant.loss for variant in variants.values() if variant.attention != "none"}
    if table == 2 and attended:  # under another loss a plain network is no baseline of attention
        keys = {
            name: key
            for name, key in keys.items()
            if variants[name].attention != "none" or variants[name].loss in attended
        }
    methods = [name for name in results.metrics if name not in variants]
    quoted = printed.ROWS if printed.has_the_papers_classes(results.classes) else ()
    matched: set[str] = set()
    for row in (row for row in quoted if row.table == table):
        names = [name for name, key in keys.items() if key == row.key]
        names += [name for name in methods if name in row.methods]
        matched.update(names)
        yield from ((row, name) for name in names or [None])
    extra = [name for name, key in keys.items() if printed.belongs(table, *key)]
    extra += methods if table == 3 else []
    yield from ((None, name) for name in extra if name not in matched)


def _row(row: printed.Printed | None, name: str | None, baseline: str | None, results: Results) -> Row:
    score = results.metrics[name] if name else None
    columns = _score_columns(score) if score else {}
    against = row.accuracy if row and score and results.comparable else None
    uncertain = row.interval(results.settings.confidence) if row else None
    variants = [results.measured().get(which) for which in (baseline, name)]
    notes = []
    if row is None and printed.has_the_papers_classes(results.classes):
        notes.append("not in the paper")
    if score is None and row:
        notes.append("printed only, on its authors' own samples" if row.methods else "not run")
    if name and name == baseline:
        notes.append("baseline")
    if name in results.transductive:
        notes.append("transductive")
    return {
        "kind": "measured" if score else "printed",
        "method": row.method if row else name,
        "variant": name,
        "baseline": baseline if name != baseline else None,
        **_compared(baseline, name, results),
        **columns,
        "changes": ", ".join(results.changes(*variants)) if all(variants) and name != baseline else None,
        "printed_accuracy": row.accuracy if row else None,
        "printed_accuracy_low": uncertain[0] if uncertain else None,
        "printed_accuracy_high": uncertain[1] if uncertain else None,
        "printed_f1": row.f1 if row else None,
        "difference": None if against is None else columns["accuracy"] - against,
        "printed_lies": None if against is None else _lies(against, columns),
        "note": ", ".join(notes),
    }


def _lies(figure: float, columns: Row) -> str | None:
    """Where a printed accuracy lies to our interval; None where there is no interval."""
    low, high = columns["accuracy_low"], columns["accuracy_high"]
    return None if low is None else "below" if figure < low else "above" if figure > high else "inside"


def _compared(first: str | None, second: str | None, results: Results) -> Row:
    """The columns of a comparison, accuracies in points; all None where there is none."""
    tested = results.compare(first, second)
    values = asdict(tested) if tested else dict.fromkeys(Comparison.__dataclass_fields__)
    for name in ("gain_accuracy", "gain_accuracy_low", "gain_accuracy_high"):
        values[name] = None if values[name] is None else 100 * values[name]
    return values


def _score_columns(score: Mapping[str, Any]) -> Row:
    columns: Row = {}
    for name in ("accuracy", "macro_f1", "f1_of_means", "uar"):
        columns |= _spread(name, score[name])
    counts = {name: score[name] for name in ("n", "folds", "folds_expected")}
    return columns | counts | {"seeds": len(score["seeds"])}


# What each row of the table of methods is tested against.
SIDES = ("floor", "transferred", "flow")
# Those of which no source quotes a figure: the others are `printed.SOURCES`.
NETWORKS = {"resnet18": "ResNet18", "efficientnet_lite0": "EfficientNet-Lite0"}


def _methods_table(results: Results) -> Table:
    """Every row: what it sees, what it costs, what it scores, and its tests against floor and two rows."""
    transferred = next((name for name, key in _keys(results).items() if key == printed.ROWS[-1].key), None)
    flow = max(
        results.by_flow, key=lambda name: results.metrics[name]["macro_f1"]["mean"], default=None
    )  # of equals the first
    rows = [_method_row(name, transferred, flow, results) for name in results.metrics]
    # One family of tests: all columns together.
    p_values = iter(holm([row[f"p_{side}"] for side in SIDES for row in rows]))
    for side in SIDES:
        for row in rows:
            row[f"p_holm_{side}"] = next(p_values)
    together = any("macro_f1_together" in row for row in rows)
    columns = {
        "Method": text("method"),
        "Variant": text("variant"),
        "Macro-F1": interval("macro_f1", "{:.3f}"),
        **({"Seeds averaged": interval("macro_f1_together", "{:.3f}")} if together else {}),
        "p against the floor (Holm)": p_value("p_holm_floor"),
    }
    for side, name in (("transferred", transferred), ("flow", flow)):
        if name:
            columns[f"Gain on {name}"] = interval(f"gain_{side}", "{:+.3f}")
            columns[f"p against {name} (Holm)"] = p_value(f"p_holm_{side}")
    columns |= {
        "Sees": text("seen"),
        "Clips": _clips,
        "Parameters": number("parameters", "{:,}"),
        "Multiply-adds (million)": number("millions", "{:,.1f}"),
        "Seconds per fold": number("seconds", "{:.1f}"),
        "Note": text("note", missing=""),
    }
    caption = _caption("All methods: what they see, cost and score", results.metrics, results)
    return make_table([*rows, results.floor], columns, caption, _methods_notes(rows, flow, results))


def _method_row(name: str, transferred: str | None, flow: str | None, results: Results) -> Row:
    score, variant = results.metrics[name], results.measured().get(name)
    source = printed.SOURCES.get(variant.network_kind) if variant else None
    cost = score.get("cost", {})
    row = {
        "kind": "measured",
        "method": source.name
        if source
        else NETWORKS[variant.network_kind]
        if variant
        else "comparison method",
        "variant": name,
        "seen": results.seen.get(name),
        **_score_columns(score),
        **_together_columns(score),
        "left_out": score.get("left_out"),
        "parameters": cost.get("parameters"),
        "millions": None if cost.get("multiply_adds") is None else cost["multiply_adds"] / 1e6,
        "seconds": cost.get("seconds"),
        "note": f"its source: {source.figure}; assumed here: {source.assumed}" if source else "",
    }
    for side, tested in (
        ("floor", results.above_floor(name)),
        ("transferred", results.compare(transferred, name)),
        ("flow", results.compare(flow, name)),
    ):
        row |= {
            f"gain_{side}": tested and tested.gain,
            f"gain_{side}_low": tested and tested.gain_low,
            f"gain_{side}_high": tested and tested.gain_high,
            f"p_{side}": tested and tested.p_permutation,
            f"n_{side}": tested and tested.n,
        }
    return row


def _together_columns(score: Mapping[str, Any]) -> Row:
    """The scores of the seeds' mean answer; nothing where there is one seed or no probabilities."""
    return {
        key.replace(name, f"{name}_together"): value
        for name, together in (score["seeds_averaged"] or {}).items()
        for key, value in _spread(name, together).items()
        if not key.endswith("_sd")
    }


def _clips(row: Row) -> str:
    return f"{row['n']} ({row['left_out']} left out)" if row.get("left_out") else f"{row['n']}"


def _methods_notes(rows: Sequence[Row], flow: str | None, results: Results) -> Iterator[str]:
    yield _interval_note(results.metrics, results)
    if any(row["left_out"] for row in rows):
        yield (
            "Left out: clips with a face that lack what the row sees, an onset on disk or motion at all. "
            "Tests take the clips that both rows answered."
        )
    if any("macro_f1_together" in row for row in rows):
        yield (
            "Seeds averaged: macro-F1 of one answer per clip, by the mean of the probabilities over seeds, "
            "as the networks of all seeds give it together. Macro-F1 and p are of single networks."
        )
    yield "p: permutation of whole subjects; Holm-adjusted over all columns of p as one family."
    yield from _seeds_notes(results.metrics, results)
    if flow and len(results.by_flow) > 1:
        yield f"{flow} is the best of {len(results.by_flow)} methods on flow, by this very figure."
    if any(row["note"] for row in rows):
        yield "Figures of sources count other classes, clips or epochs, so no difference to them is taken."
    if printed.comparable(results.classes, results.dataset in results.simulated):
        for row in rows:
            if row["macro_f1"] > printed.ALARM:
                yield (
                    f"{row['variant']}: macro-F1 above {printed.ALARM:.2f} on five real classes; look for a "
                    "leak before you believe it."
                )


def _per_class_table(results: Results) -> Table:
    rows = [
        {"variant": name, "class": label, **values}
        for name, score in results.metrics.items()
        for label, values in score["per_class"].items()
    ]
    columns = {
        "Variant": text("variant"),
        "Class": text("class"),
        "Precision": number("precision", "{:.3f}"),
        "Recall": number("recall", "{:.3f}"),
        "F1": number("f1", "{:.3f}"),
        "Clips": number("support", "{:d}"),
    }
    caption = _caption("Each class: precision, recall and F1", results.metrics, results)
    notes = [*_seeds_notes(results.metrics, results), *_never_notes(results.metrics, results)]
    return make_table(rows, columns, caption, notes)


def _transfer_table(results: Results) -> Table:
    """Pairs of variants that differ in their initial weights only: random against pretrained."""
    rows: list[Row] = []
    pairs = [*_transfer_pairs(results)]
    for before, after in pairs:
        names = {"kind": "measured", "before": before, "after": after}
        rows.append(names | _compared(before, after, results))
    rows, alone = _judged(rows, results), []
    if printed.has_the_papers_classes(results.classes):
        clips, n = printed.TRANSFER_GAIN_CLIPS, printed.CLIPS
        names = {"kind": "printed", "before": None, "after": None, "n": n}
        rows.insert(0, names | {"gain_clips": clips, "gain_accuracy": 100 * clips / n, "note": "the paper"})
        alone = [name for name, variant in results.measured().items() if variant.init == "pretrained"]
    if not pairs:
        why = "no two variants differ in pretraining alone"
        rows += [{"kind": "missing", "before": None, "after": name, "note": why} for name in alone or [None]]
    columns = {
        "Before": text("before"),
        "After": text("after"),
        "Macro-F1 gain": interval("gain", "{:+.3f}"),
        "p of that gain (Holm)": p_value("p_holm"),
        "Verdict": text("verdict"),
        "Accuracy gain (points)": interval("gain_accuracy", "{:+.2f}"),
        "Gain (clips)": number("gain_clips", "{:+.4g}"),
        "n": number("n", "{:d}"),
        "Only before right": number("first_only", "{:d}"),
        "Only after right": number("second_only", "{:d}"),
        "p (McNemar)": p_value("p_mcnemar"),
        "Note": text("note", missing=""),
    }
    notes = [_interval_note([], results), *_test_notes(rows, results)] if pairs else []
    notes += ["Only one right and McNemar's exact test: the first seed, clip by clip."] * bool(pairs)
    caption = _caption("Gain by transfer", [name for pair in pairs for name in pair], results)
    return make_table(rows, columns, caption, notes)


def _transfer_pairs(results: Results) -> Iterator[tuple[str, str]]:
    for before, after in itertools.permutations(results.measured().values(), 2):
        starts = before.init, after.init
        if starts == ("random", "pretrained") and results.changes(before, after) == ["init"]:
            yield before.name, after.name


def _parts_note(results: Results) -> str:
    """What rows that a part was answered by were trained on."""
    if "part" in results.samples:
        return (
            "The parts are the test parts of the official split: one network per seed was trained on its "
            "training people, and answered all of them."
        )
    if results.groups == "dataset":
        return (
            "A part is answered by rows that were trained on the other parts alone: its columns are results "
            "across datasets."
        )
    return (
        "Parts are scored on the predictions of folds that trained on all datasets: they are not results on "
        "one dataset alone."
    )


def shared_note(one: str, other: str) -> str:
    """What is to be said where two parts show the same people."""
    return (
        f"{one} and {other} show the same people: from one to the other the camera changes, not who is seen."
    )


def _parts_table(results: Results) -> Table:
    """Scores of the whole and of each part, of the same pooled predictions, beside printed ones.

    Where parts are left out in turn, each is a result of its own: with accuracy, and a floor of its own;
    nothing is said of the whole.
    """
    is_holdout = results.groups == "dataset"
    part = results.scored["sample_id"].str.partition("/")[0] if is_holdout else None
    answers = majority_answers(results.scored, by=part)
    constant = score_variant("", answers, results.classes, results.settings)
    scores = {**results.metrics, "always the commonest class": constant}
    rows = [
        {"kind": "floor" if score is constant else "measured", "method": name}
        | {"variant": None if score is constant else name}
        | {
            f"{part}_{column}": value
            for part, found in (score["parts"] if is_holdout else {"whole": score} | score["parts"]).items()
            for metric in PART_COLUMNS
            for column, value in _spread(metric, found[metric]).items()
        }
        | {"note": "the floor" if score is constant else ""}
        for name, score in scores.items()
    ]
    notes = [
        _interval_note(results.metrics, results),
        _parts_note(results),
        *_seeds_notes(results.metrics, results),
        *(shared_note(one, other) for one, other in results.shared),
    ]
    if not is_holdout:
        notes.append(
            "UF1 and UAR are taken of the counts added up over all folds; a mean over folds would be capped "
            "by those that lack a class."
        )
    known = challenge(results.layouts, results.classes)
    if known and results.dataset not in results.simulated:
        quoted, said = challenges.printed(known, results.layouts, is_holdout)
        rows, notes = rows + quoted, notes + said
    parts = {name: score["n"] for name, score in constant["parts"].items()}
    columns = {"Row": text("method")} | {
        f"{part} {title}": interval(f"{part}_{metric}", style)
        for part in (parts if is_holdout else ["whole", *parts])
        for metric, (title, style) in PART_COLUMNS.items()
        if is_holdout or metric != "accuracy"
    }
    counts = ", ".join(f"{count} clips of {name}" for name, count in parts.items())
    title = "Parts that were left out in turn" if is_holdout else "The whole and its parts"
    caption = _caption(f"{title}: {counts}", results.metrics, results)
    return make_table(rows, columns | {"Note": text("note", missing="")}, caption, notes)


def _spread(metric: str, score: Mapping[str, Any]) -> Row:
    """Mean, deviation and interval of a score; of accuracy in percent."""
    scale = 100 if metric == "accuracy" else 1
    return {
        metric if key == "mean" else f"{metric}_{key}": None if value is None else scale * value
        for key, value in score.items()
    }


def _pretraining_table(results: Results) -> Table:
    pretrained = results.pretrained or {}
    simulated = [name for name in results.sources if name in results.simulated]
    quotes = not results.by_fold and printed.has_the_papers_source(results.sources.values(), bool(simulated))
    rows = [
        {
            "variant": name,
            "split": split,
            "runs": sum(protocol["runs"] for protocol in of_split),
            **_over_runs("accuracy", of_split, 100),
            "best": 100 * fmean(protocol["accuracy"]["best"] for protocol in of_split),
            "printed_best": printed.CKPLUS_ACCURACY if split == "frame" and quotes else None,
            **_over_runs("macro_f1", of_split),
            "siblings": 100 * fmean(protocol["siblings_share"] for protocol in of_split),
            "same_person": 100 * fmean(protocol["same_person_share"] for protocol in of_split),
            "transferred": "yes" if split == selected[0]["split"] else "no",
        }
        for name, selected in pretrained.items()
        for split in selected[0]["protocols"]
        for of_split in [[one["protocols"][split] for one in selected]]
    ]
    columns = {
        "Variant": text("variant"),
        "Split by": text("split"),
        "Runs": number("runs", "{:d}"),
        "Accuracy (%)": interval("accuracy", "{:.2f}"),
        "Best run (%)": number("best", "{:.2f}"),
        **({"Printed best run (%)": number("printed_best", "{:.2f}")} if quotes else {}),
        "Macro-F1": interval("macro_f1", "{:.3f}"),
        "Sequence in training (%)": number("siblings", "{:.1f}"),
        "Person in training (%)": number("same_person", "{:.1f}"),
        "Transferred": text("transferred"),
    }
    # Of a source that names people both splits are run, but where every fold has its own.
    unnamed = not results.by_fold and all(row["split"] == "frame" for row in rows)
    notes = (
        "Mean ± standard deviation over runs, each with a split of its own; the best run is chosen by this "
        "very figure, hence it is optimistic.",
        "In training: share of test images of whose sequence, or person, other images were trained on. The "
        "paper splits by frame; that figure says little about new faces.",
        *(
            ["The source names no subjects: no split that keeps persons apart is possible."]
            if unnamed
            else []
        ),
        *(
            [
                "The source shows people of the target, so every fold has a pretraining of its own, without "
                "whom it leaves out: the runs are those of all folds, and the best one is a mean over them."
            ]
            if results.by_fold
            else []
        ),
        *(
            f"The runs of {name} were made under different circumstances: {mixed}."
            for name, selected in pretrained.items()
            if (mixed := _mixture_of(selected))
        ),
    )
    caption = "Pretraining: accuracy on test images of the source dataset."
    return make_table(rows, columns, f"{caption} {_simulated(simulated)}" if simulated else caption, notes)


def _over_runs(metric: str, protocols: Sequence[Mapping[str, Any]], scale: int = 1) -> Row:
    """Mean and standard deviation over all runs of some pretrainings."""
    values = [scale * value for protocol in protocols for value in protocol[metric]["values"]]
    return {metric: fmean(values), f"{metric}_sd": stdev(values) if len(values) > 1 else None}


def _mixture_of(selected: Sequence[Mapping[str, Any]]) -> str:
    """Which circumstances some pretrainings differ in, in words."""
    found: dict[str, set[str]] = {}
    for one in selected:
        for name, values in one.get("circumstances", {}).items():
            found.setdefault(name, set()).update(values)
    return mixture({name: sorted(values) for name, values in found.items()})


def _judged(rows: list[Row], results: Results) -> list[Row]:
    """The rows of one table with Holm's adjustment of p, of the least p, and the verdict."""
    adjusted, least = (holm([row[name] for row in rows]) for name in ("p_permutation", "p_least"))
    confidence = results.settings.confidence
    return [
        row
        | {
            "p_holm": p,
            "p_least_holm": lowest,
            "verdict": None if p is None else verdict(row["gain"], p, lowest, confidence),
        }
        for row, p, lowest in zip(rows, adjusted, least, strict=True)
    ]


def _caption(title: str, names: Iterable[str], results: Results) -> str:
    scores = [results.metrics[name] for name in names]
    subjects = results.scored["subject"].nunique()
    seeds = max((len(score["seeds"]) for score in scores), default=0)
    folds, expected = (sum(score[key] for score in scores) for key in ("folds", "folds_expected"))
    missing = f" PARTIAL: {folds} of {expected} folds." if folds < expected else ""
    groups = max((score["folds_expected"] // len(score["seeds"]) for score in scores), default=subjects)
    people = f"{subjects} leave-one-subject-out folds"
    if "part" in results.samples:
        people = f"{subjects} subjects of the official test parts"
    elif results.groups == "dataset":
        people = f"{subjects} subjects of {len(results.layouts)} datasets left out in turn"
    elif groups != results.samples["subject"].nunique():
        people = f"{subjects} subjects left out in {groups} groups"
    ran = f"{people}, {seeds} seed{'s' * (seeds != 1)}" if scores else "no row of this table was run"
    return f"{title}. n = {len(results.scored)} clips, {ran}.{missing} {_data(results)}"


def _data(results: Results) -> str:
    if results.dataset in results.simulated:
        # What is put together is so by its parts, which are among them.
        composite = results.dataset if results.layouts else None
        return _simulated(name for name in results.simulated if name != composite)
    source = ", ".join(results.simulated)
    return f"Data: {results.dataset}" + (f", transfer from SIMULATED DATA ({source})." if source else ".")


def _simulated(names: Iterable[str]) -> str:
    joined = ", ".join(names)
    return f"SIMULATED DATA ({joined}): these figures show that the workflow runs, nothing about real faces."


def _paper_notes(
    table: int, baseline: str | None, rows: Sequence[Row], measured: Sequence[str], results: Results
) -> Iterator[str]:
    yield _interval_note(measured, results)
    if dull := [name for name in measured if results.metrics[name]["macro_f1"]["low"] is None]:
        yield f"No interval for {', '.join(dull)}: every draw of people scores alike."
    if baseline:
        yield f"Baseline: {baseline}."
        yield from _test_notes(rows, results)
        yield from _change_notes(table, baseline, rows)
    if results.comparable:
        yield (
            "Printed lies: below, inside or above our interval of accuracy. In brackets after a printed "
            f"accuracy: Wilson's interval for {printed.CLIPS} independent clips, hence too narrow."
        )
        if len(results.scored) != printed.CLIPS:
            yield f"The paper counts {printed.CLIPS} clips; here are {len(results.scored)}."
    elif printed.has_the_papers_classes(results.classes):
        yield "The clips are simulated, so nothing is held against the printed figures."
    if transductive := [name for name in measured if name in results.transductive]:
        yield (
            f"Transductive: to train, {', '.join(transductive)} also looked at the clips of the subject left "
            "out, without their labels; no other row did."
        )
    yield from _seeds_notes(measured, results)
    yield from _never_notes(measured, results)
    for name in measured:
        if bound := results.metrics[name]["upper_bound_best_on_test"]:
            yield (
                f"Upper bound, not a result: at each fold's best epoch on its own test subject, {name} has "
                f"accuracy {100 * bound['accuracy']:.2f} %, macro-F1 {bound['macro_f1']:.3f}."
            )


def _mixture_note(results: Results) -> str:
    """Under which different circumstances networks were trained, or comparison methods computed."""
    networks = results.measured()
    said = []
    for group in (networks, [name for name in results.metrics if name not in networks]):
        holders: dict[str, dict[str, list[str]]] = {}
        for name in group:
            for key, values in results.metrics[name].get("circumstances", {}).items():
                for value in values:
                    holders.setdefault(key, {}).setdefault(value, []).append(name)
        said += [
            f"{key} " + ", ".join(f"{value} ({', '.join(names)})" for value, names in sorted(found.items()))
            for key, found in holders.items()
            if len(found) > 1
        ]
    return f"Computed under different circumstances: {'; '.join(said)}." if said else ""


def _seeds_notes(names: Iterable[str], results: Results) -> Iterator[str]:
    """That a row of one seed is compared on it, whereas the scores of others are means over theirs."""
    if len({len(results.metrics[name]["seeds"]) for name in names}) > 1:
        yield (
            "Comparison methods ran with the first seed only, and every gain on or of one is of that seed "
            "alone; scores of networks are means over theirs."
        )


def _never_notes(names: Iterable[str], results: Results) -> Iterator[str]:
    for name in names:
        if classes := results.metrics[name]["never_predicted"]:
            yield f"{name} never predicts {', '.join(classes)} (precision and F1 count as 0)."
    if lacking := [name for name in results.classes if name not in {*results.scored["label"]}]:
        yield f"No clip shows {', '.join(lacking)} (recall and F1 count as 0)."


def _test_notes(rows: Sequence[Row], results: Results) -> Iterator[str]:
    """What p is and how small it could have been at all."""
    least = [row["p_least_holm"] for row in rows if row.get("p_least_holm") is not None]
    if not least:
        return
    level = 1 - results.settings.confidence
    silent = f", which is above {level:.3g}: too few people for a verdict" if min(least) > level else ""
    yield (
        "p: macro-F1 of the same clips, permutation of whole subjects, Holm-adjusted within the table, as "
        f"intervals are not. It cannot fall below {min(least):.3g}{silent}."
    )


def _change_notes(table: int, baseline: str, rows: Sequence[Row]) -> Iterator[str]:
    """Which rows differ from the baseline in one thing; in Table 1 that is not a matter of course."""
    for row in rows:
        changes = (row["changes"] or "").split(", ")
        if table == 1 and changes == ["gamma"]:
            yield f"{row['variant']} differs from {baseline} in gamma alone: the clean comparison of losses."
        elif table < 3 and len(changes) > 1:
            listed = f"{', '.join(changes[:-1])} and {changes[-1]}"
            yield f"{row['variant']} differs from {baseline} in {listed} at once: not a clean comparison."


def _interval_note(names: Iterable[str], results: Results) -> str:
    settings = results.settings
    several = any(len(results.metrics[name]["seeds"]) > 1 for name in names)
    people = results.scored["subject"].nunique()
    note = (
        f"In brackets: {100 * settings.confidence:g} % interval, BCa bootstrap over subjects, "
        f"{settings.bootstrap} draws{'; after ±: standard deviation over seeds' * several}."
    )
    if people < FEW_PEOPLE:
        note += (
            f" With {people} people it is too narrow: with six, one called 95 % holds the true macro-F1 in "
            f"{COVERAGE_OF_SIX['macro_f1']} of 100 cases, the true accuracy in {COVERAGE_OF_SIX['accuracy']}."
        )
    return note
