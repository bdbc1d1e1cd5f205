"""The paper's Tables 1 to 3 with measured figures beside the printed ones, and three of our own.

Accuracies are in percent and differences in percentage points, as in the paper; F1 lies in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from mer_core.config.evaluation import Evaluation
from mer_core.config.models import Loss, Variant
from mer_core.evaluation.statistics import Comparison, compare, holm, majority_answers, score_variant
from mer_core.report import printed
from mer_core.report.typeset import Row, Table, interval, make_table, number, p_value, text

TITLES = {
    "table1_loss": "Table 1: loss functions on the plain ResNet18",
    "table2_attention": "Table 2: attention kinds in ResNet18, all with focal loss",
    "table3_methods": "Table 3: methods",
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
        pretrained: selected.json of each pretrained variant, by name.
        transductive: names of the methods whose training sees the unlabelled clips of the subject left out.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, pd.DataFrame]
    samples: pd.DataFrame
    variants: Sequence[Variant]
    losses: Mapping[str, Loss]
    settings: Evaluation
    dataset: str
    simulated: Sequence[str] = ()
    pretrained: Mapping[str, Mapping[str, Any]] | None = None
    transductive: Sequence[str] = ()

    @property
    def classes(self) -> list[str]:
        """The class names in order."""
        return next(iter(self.metrics.values()))["classes"]

    @property
    def comparable(self) -> bool:
        """Whether the classes are the paper's, without which a difference to it means nothing."""
        return set(self.classes) == set(printed.CLASSES)

    def measured(self) -> dict[str, Variant]:
        """The configured variants that were measured, by name."""
        return {variant.name: variant for variant in self.variants if variant.name in self.metrics}

    def compare(self, first: str | None, second: str | None) -> Comparison | None:
        """The second against the first; None where one is missing, both are the same or no clip is shared."""
        if first is None or second is None or first == second:
            return None
        return compare(self.predictions[first], self.predictions[second], self.classes, self.settings)


def build_tables(results: Results) -> dict[str, Table]:
    """All tables by name.

    Returns:
        table1_loss, table2_attention, table3_methods, per_class, transfer; and pretraining where something
        was pretrained.
    """
    tables = {name: _paper_table(number, name, results) for number, name in enumerate(TITLES, start=1)}
    tables |= {"per_class": _per_class_table(results), "transfer": _transfer_table(results)}
    return tables | ({"pretraining": _pretraining_table(results)} if results.pretrained else {})


def floor_score(results: Results) -> dict[str, Any]:
    """`score_variant` of the constant answer on the samples to be evaluated, and `predicted`, the answer."""
    answers = majority_answers(results.samples)
    score = score_variant("majority", answers, results.classes, results.settings)
    return score | {"predicted": answers["predicted"].iloc[0]}


def _paper_table(table: int, name: str, results: Results) -> Table:
    entries = [*_entries(table, results)]
    measured = [variant for _, variant in entries if variant]
    baseline = next((v for row, v in entries if v and row and row.method == printed.BASELINES[table]), None)
    rows = _adjusted([_row(row, variant, baseline, results) for row, variant in entries])
    floor = floor_score(results)
    rows.append(
        {"method": f"always '{floor['predicted']}' (the floor)", "variant": "majority"}
        | _score_columns(floor)
        | {"note": "one answer for every clip"}
    )
    columns = {
        "Method": text("method"),
        "Variant": text("variant"),
        "Printed (%)": number("printed_accuracy", "{:.2f}"),
        "Accuracy (%)": interval("accuracy", "{:.2f}"),
        "Difference": number("difference", "{:+.2f}"),
        "Reached": text("reached"),
        "Printed F1": number("printed_f1", "{:.4f}"),
        "Macro-F1": interval("macro_f1", "{:.3f}"),
        "F1 of means": interval("f1_of_means", "{:.3f}"),
        "n": number("n", "{:d}"),
        "p (Holm)": p_value("p_holm"),
        "Note": text("note", missing=""),
    }
    if table < 3:
        del columns["Printed F1"], columns["F1 of means"]
    notes = _paper_notes(baseline, measured, results)
    return make_table(rows, columns, _caption(TITLES[name], measured, results), notes)


def _entries(table: int, results: Results) -> Iterator[tuple[printed.Printed | None, str | None]]:
    """The rows as (printed row or None, measured name or None), the paper's first."""
    keys = {
        name: (variant.attention, results.losses[variant.loss].kind, variant.init)
        for name, variant in results.measured().items()
    }
    configured = {variant.name for variant in results.variants}
    methods = [name for name in results.metrics if name not in configured]
    matched: set[str] = set()
    for row in (row for row in printed.ROWS if row.table == table):
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
    tested = results.compare(baseline, name)
    if row is None:
        notes = ["not in the paper"]
    elif score is None:
        notes = ["printed only, on its authors' own samples" if row.methods else "not run"]
    else:
        notes = ["baseline"] if name == baseline else []
    if name in results.transductive:
        notes.append("transductive")
    return {
        "method": row.method if row else name,
        "variant": name,
        "printed_accuracy": row.accuracy if row else None,
        "printed_f1": row.f1 if row else None,
        **columns,
        "difference": None if against is None else columns["accuracy"] - against,
        "reached": None if against is None else "yes" if against <= columns["accuracy_high"] else "no",
        "gain_clips": tested.gain_clips if tested else None,
        "p_mcnemar": tested.p_mcnemar if tested else None,
        "p_permutation": tested.p_permutation if tested else None,
        "p_permutation_f1": tested.p_permutation_f1 if tested else None,
        "p_holm": None,
        "note": ", ".join(notes),
    }


def _score_columns(score: Mapping[str, Any]) -> Row:
    columns: Row = {}
    for name, scale in (("accuracy", 100), ("macro_f1", 1), ("f1_of_means", 1), ("uar", 1)):
        for key, value in score[name].items():
            columns[name if key == "mean" else f"{name}_{key}"] = None if value is None else scale * value
    counts = {name: score[name] for name in ("n", "folds", "folds_expected")}
    return columns | counts | {"seeds": len(score["seeds"])}


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
    caption = _caption("Each class by equations 12 to 14", results.metrics, results)
    return make_table(rows, columns, caption, _never_notes(results.metrics, results))


def _transfer_table(results: Results) -> Table:
    """Pairs of variants that differ in their initial weights only: random against pretrained."""
    clips, n = printed.TRANSFER_GAIN_CLIPS, printed.CLIPS
    rows: list[Row] = [
        {"before": "printed", "after": "printed", "n": n, "gain_clips": clips, "gain": 100 * clips / n}
    ]
    pairs = [*_transfer_pairs(results)]
    for before, after in pairs:
        tested = results.compare(before, after)
        values = asdict(tested) if tested else dict.fromkeys(Comparison.__dataclass_fields__)
        for column, key in (("gain", "gain"), ("gain_low", "low"), ("gain_high", "high")):
            fraction = values.pop(key)
            values[column] = None if fraction is None else 100 * fraction
        rows.append({"before": before, "after": after, **values})
    columns = {
        "Before": text("before"),
        "After": text("after"),
        "n": number("n", "{:d}"),
        "Gain (clips)": number("gain_clips", "{:+.4g}"),
        "Gain (points)": interval("gain", "{:+.2f}"),
        "Only before right": number("first_only", "{:d}"),
        "Only after right": number("second_only", "{:d}"),
        "p (McNemar)": p_value("p_mcnemar"),
        "p (permutation)": p_value("p_permutation"),
        "p (permutation, macro-F1)": p_value("p_permutation_f1"),
        "p (Holm)": p_value("p_holm"),
    }
    notes = (
        _interval_note([], results),
        "Only one right and McNemar's exact test: first seed. Permutation of whole subjects: all "
        "seeds; Holm's adjustment is over its tests of accuracy in this table.",
    )
    caption = _caption("Gain by transfer", [name for pair in pairs for name in pair], results)
    return make_table(_adjusted(rows), columns, caption, notes)


def _transfer_pairs(results: Results) -> Iterator[tuple[str, str]]:
    measured = results.measured().values()
    for before in measured:
        for after in measured:
            same = (before.attention, before.loss) == (after.attention, after.loss)
            if same and (before.init, after.init) == ("random", "pretrained"):
                yield before.name, after.name


def _pretraining_table(results: Results) -> Table:
    rows = [
        {
            "variant": name,
            "split": split,
            "runs": protocol["runs"],
            "accuracy": 100 * protocol["accuracy"]["mean"],
            "accuracy_sd": None if protocol["accuracy"]["sd"] is None else 100 * protocol["accuracy"]["sd"],
            "best": 100 * protocol["accuracy"]["best"],
            "printed_best": printed.CKPLUS_ACCURACY if split == "frame" else None,
            "macro_f1": protocol["macro_f1"]["mean"],
            "macro_f1_sd": protocol["macro_f1"]["sd"],
            "siblings": 100 * protocol["siblings_share"],
            "same_person": 100 * protocol["same_person_share"],
            "transferred": "yes" if split == selected["split"] else "no",
        }
        for name, selected in (results.pretrained or {}).items()
        for split, protocol in selected["protocols"].items()
    ]
    columns = {
        "Variant": text("variant"),
        "8:2 split by": text("split"),
        "Runs": number("runs", "{:d}"),
        "Accuracy (%)": interval("accuracy", "{:.2f}"),
        "Best run (%)": number("best", "{:.2f}"),
        "Printed best run (%)": number("printed_best", "{:.2f}"),
        "Macro-F1": interval("macro_f1", "{:.3f}"),
        "Sequence in training (%)": number("siblings", "{:.1f}"),
        "Person in training (%)": number("same_person", "{:.1f}"),
        "Transferred": text("transferred"),
    }
    unnamed = bool(rows) and not any(row["split"] == "subject" for row in rows)
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
    )
    caption = "Pretraining: accuracy on test images of the source dataset."
    sources = [name for name in results.simulated if name != results.dataset]
    return make_table(rows, columns, f"{caption} {_simulated(sources)}" if sources else caption, notes)


def _adjusted(rows: list[Row]) -> list[Row]:
    adjusted = holm([row.get("p_permutation") for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _caption(title: str, names: Iterable[str], results: Results) -> str:
    scores = [results.metrics[name] for name in names]
    subjects = results.samples["subject"].nunique()
    seeds = max((len(score["seeds"]) for score in scores), default=0)
    folds, expected = (sum(score[key] for score in scores) for key in ("folds", "folds_expected"))
    missing = f" PARTIAL: {folds} of {expected} folds." if folds < expected else ""
    folds_of_a_seed = max(
        (score["folds_expected"] // len(score["seeds"]) for score in scores), default=subjects
    )
    people = f"{subjects} leave-one-subject-out folds"
    if folds_of_a_seed != subjects:
        people = f"{subjects} subjects left out in {folds_of_a_seed} groups"
    counts = f"n = {len(results.samples)} clips, {people}"
    return f"{title}. {counts}, {seeds} seed{'s' * (seeds != 1)}.{missing} {_data(results)}"


def _data(results: Results) -> str:
    if results.dataset in results.simulated:
        return _simulated(results.simulated)
    source = ", ".join(results.simulated)
    return f"Data: {results.dataset}" + (f", transfer from SIMULATED DATA ({source})." if source else ".")


def _simulated(names: Iterable[str]) -> str:
    joined = ", ".join(names)
    return f"SIMULATED DATA ({joined}): these figures show that the workflow runs, nothing about real faces."


def _paper_notes(baseline: str | None, measured: Sequence[str], results: Results) -> Iterator[str]:
    yield _interval_note(measured, results)
    yield "Reached: the printed accuracy lies within our interval or below it."
    if baseline:
        yield (
            f"p: accuracy against {baseline}, permutation of whole subjects, Holm-adjusted within the table; "
            "raw p of this test, of its like for macro-F1 and of McNemar's exact test are in the CSV."
        )
    if not results.comparable:
        yield "The classes are not the paper's five, so no difference is taken."
    elif len(results.samples) != printed.CLIPS:
        yield f"The paper counts {printed.CLIPS} clips; here are {len(results.samples)}."
    if transductive := [name for name in measured if name in results.transductive]:
        yield (
            f"Transductive: to train, {', '.join(transductive)} also looked at the clips of the subject left "
            "out, without their labels; no other row did."
        )
    if len({len(results.metrics[name]["seeds"]) for name in measured}) > 1:
        yield "Comparison methods ran with the first seed only, and are tested on it."
    yield from _never_notes(measured, results)
    for name in measured:
        if bound := results.metrics[name]["upper_bound_best_on_test"]:
            yield (
                f"Upper bound, not a result: at each fold's best epoch on its own test subject, {name} has "
                f"accuracy {100 * bound['accuracy']:.2f} %, macro-F1 {bound['macro_f1']:.3f}."
            )


def _never_notes(names: Iterable[str], results: Results) -> Iterator[str]:
    for name in names:
        if classes := results.metrics[name]["never_predicted"]:
            yield f"{name} never predicts {', '.join(classes)} (precision and F1 count as 0)."


def _interval_note(names: Iterable[str], results: Results) -> str:
    settings = results.settings
    several = any(len(results.metrics[name]["seeds"]) > 1 for name in names)
    return (
        f"In brackets: {100 * settings.confidence:g} % interval, percentile bootstrap over subjects, "
        f"{settings.bootstrap} draws{'; after ±: standard deviation over seeds' * several}."
    )
