"""The paper's Tables 1 to 3 with measured figures beside the printed ones, and three of our own.

Accuracies are in percent and differences in percentage points, as in the paper; F1 lies in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import job
from mer_core.config import Evaluation, Loss, Variant
from mer_core.evaluation import printed
from mer_core.evaluation.statistics import Comparison, compare, holm, majority_answers, score_variant

Row = dict[str, Any]

TITLES = {
    "table1_loss": "Table 1: loss functions on the plain ResNet18",
    "table2_attention": "Table 2: attention kinds in ResNet18, all with focal loss",
    "table3_methods": "Table 3: methods",
}
INTEGERS = ("n", "folds", "folds_expected", "seeds", "support", "first_only", "second_only", "runs")
# Needs the packages booktabs and graphicx; a table wider than the page is scaled down to it.
LATEX_TABLE = r"""\begin{table}[htbp]
\centering
\caption{%s}
\label{tab:%s}
\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%%
%s}
\par\smallskip\footnotesize\raggedright %s
\end{table}
"""
LATEX = str.maketrans({character: f"\\{character}" for character in "%&_#$"})


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        frame: every figure in full precision, missing ones NaN or None; what the CSV holds.
        shown: the same rows as text for people; what Markdown, LaTeX and the report show.
        caption: what it is, on how many clips, folds and seeds, on which data.
        notes: sentences that belong under it.
    """

    frame: pd.DataFrame
    shown: pd.DataFrame
    caption: str
    notes: tuple[str, ...]


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

    @property
    def classes(self) -> list[str]:
        """The class names in order."""
        return next(iter(self.metrics.values()))["classes"]

    @property
    def comparable(self) -> bool:
        """Whether the classes are the paper's, without which a difference to it means nothing."""
        return set(self.classes) == set(printed.CLASSES)

    def key(self, variant: Variant) -> tuple[str, str, str]:
        """Attention, kind of loss, initial weights: what printed rows are matched by."""
        return variant.attention, self.losses[variant.loss].kind, variant.init

    def compare(self, first: str | None, second: str | None) -> Comparison | None:
        """The second against the first; None where one is missing, or both the same, or no clip shared."""
        if first is None or second is None or first == second:
            return None
        return compare(self.predictions[first], self.predictions[second], self.classes, self.settings)


def build_tables(results: Results) -> dict[str, Table]:
    """All tables by name: table1_loss, table2_attention, table3_methods, per_class, transfer, and
    pretraining where something was pretrained."""
    tables = {name: _paper_table(number, name, results) for number, name in enumerate(TITLES, start=1)}
    tables |= {"per_class": _per_class_table(results), "transfer": _transfer_table(results)}
    return tables | ({"pretraining": _pretraining_table(results)} if results.pretrained else {})


def write_table(table: Table, stem: Path) -> None:
    """Write `{stem}.csv`, `{stem}.md` and `{stem}.tex`; the same table gives the same bytes."""
    job.write_text(f"{stem}.csv", table.frame.to_csv(index=False, lineterminator="\n"))
    rows = [[*table.shown.columns], ["---"] * table.shown.shape[1], *table.shown.to_numpy().tolist()]
    lines = [f"**{table.caption}**", "", *("| " + " | ".join(row) + " |" for row in rows), ""]
    job.write_text(f"{stem}.md", "\n".join([*lines, *(f"- {note}" for note in table.notes)]) + "\n")
    tabular = table.shown.to_latex(index=False, escape=True)
    caption, notes = table.caption.translate(LATEX), " ".join(table.notes).translate(LATEX)
    job.write_text(f"{stem}.tex", LATEX_TABLE % (caption, Path(stem).name, tabular, notes))


def floor_score(results: Results) -> dict[str, Any]:
    """`score_variant` of the constant answer on the samples to be evaluated."""
    return score_variant("majority", majority_answers(results.samples), results.classes, results.settings)


def _paper_table(number: int, name: str, results: Results) -> Table:
    entries = [*_entries(number, results)]
    measured = [variant for _, variant in entries if variant]
    baseline = next((v for row, v in entries if v and row and row.method == printed.BASELINES[number]), None)
    rows = [_row(row, variant, baseline, results) for row, variant in entries]
    _adjust(rows)
    rows.append(
        {
            "method": f"always '{results.samples['label'].mode()[0]}' (the floor)",
            "variant": "majority",
            **_score_columns(floor_score(results)),
            "note": "one answer for every clip",
        }
    )
    columns: dict[str, Callable[[Row], str]] = {
        "Method": partial(_text, "method"),
        "Variant": partial(_text, "variant"),
        "Printed (%)": partial(_number, "printed_accuracy", "{:.2f}"),
        "Accuracy (%)": partial(_interval, "accuracy", "{:.2f}"),
        "Difference": partial(_number, "difference", "{:+.2f}"),
        "Reached": partial(_text, "reached"),
        "Printed F1": partial(_number, "printed_f1", "{:.4f}"),
        "Macro-F1": partial(_interval, "macro_f1", "{:.3f}"),
        "F1 of means": partial(_interval, "f1_of_means", "{:.3f}"),
        "n": partial(_number, "n", "{:d}"),
        "p (Holm)": partial(_p, "p_holm"),
        "Note": partial(_text, "note", missing=""),
    }
    if number < 3:
        del columns["Printed F1"], columns["F1 of means"]
    return _table(
        rows, columns, _caption(TITLES[name], measured, results), _paper_notes(baseline, measured, results)
    )


def _entries(number: int, results: Results) -> Iterator[tuple[printed.Printed | None, str | None]]:
    """The rows as (printed row or None, measured name or None), the paper's first."""
    variants = {v.name: results.key(v) for v in results.variants if v.name in results.metrics}
    configured = {variant.name for variant in results.variants}
    methods = [name for name in results.metrics if name not in configured]
    matched: set[str] = set()
    for row in (row for row in printed.ROWS if row.table == number):
        names = [name for name, key in variants.items() if key == row.key]
        names += [name for name in methods if name in row.methods]
        matched.update(names)
        yield from ((row, name) for name in names or [None])
    extra = [name for name, key in variants.items() if printed.belongs(number, *key)]
    extra += methods if number == 3 else []
    yield from ((None, name) for name in extra if name not in matched)


def _row(row: printed.Printed | None, name: str | None, baseline: str | None, results: Results) -> Row:
    score = results.metrics[name] if name else None
    columns = _score_columns(score) if score else {}
    against = row.accuracy if row and score and results.comparable else None
    tested = results.compare(baseline, name)
    if row is None:
        note = "not in the paper"
    elif score is None:
        note = "printed only, on its authors' own samples" if row.methods else "not run"
    else:
        note = "baseline" if name == baseline else ""
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
        "note": note,
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
        "Variant": partial(_text, "variant"),
        "Class": partial(_text, "class"),
        "Precision": partial(_number, "precision", "{:.3f}"),
        "Recall": partial(_number, "recall", "{:.3f}"),
        "F1": partial(_number, "f1", "{:.3f}"),
        "Clips": partial(_number, "support", "{:d}"),
    }
    title = "Precision, recall and F1 of each class (equations 12 to 14)"
    return _table(
        rows, columns, _caption(title, results.metrics, results), _never_notes(results.metrics, results)
    )


def _transfer_table(results: Results) -> Table:
    """Pairs of variants that differ in their initial weights only: random against pretrained."""
    clips = printed.TRANSFER_GAIN_CLIPS
    gain = 100 * clips / printed.CLIPS
    rows: list[Row] = [
        {"before": "printed", "after": "printed", "n": printed.CLIPS, "gain_clips": clips, "gain": gain}
    ]
    names: list[str] = []
    for before, after in _transfer_pairs(results):
        tested = results.compare(before, after)
        values = asdict(tested) if tested else {}
        percent = {key: 100 * values[key] for key in ("gain", "low", "high") if key in values}
        rows.append({"before": before, "after": after} | values | percent)
        names += [before, after]
    rows = [{"gain_low": row.pop("low", None), "gain_high": row.pop("high", None)} | row for row in rows]
    _adjust(rows)
    columns = {
        "Before": partial(_text, "before"),
        "After": partial(_text, "after"),
        "n": partial(_number, "n", "{:d}"),
        "Gain (clips)": partial(_number, "gain_clips", "{:+.4g}"),
        "Gain (points)": partial(_interval, "gain", "{:+.2f}"),
        "Only before right": partial(_number, "first_only", "{:d}"),
        "Only after right": partial(_number, "second_only", "{:d}"),
        "p (McNemar)": partial(_p, "p_mcnemar"),
        "p (permutation)": partial(_p, "p_permutation"),
        "p (permutation, macro-F1)": partial(_p, "p_permutation_f1"),
        "p (Holm)": partial(_p, "p_holm"),
    }
    notes = (
        _interval_note(results),
        "Holm's adjustment is over the permutation tests of accuracy in this table.",
    )
    return _table(rows, columns, _caption("Gain by transfer", names, results), notes)


def _transfer_pairs(results: Results) -> Iterator[tuple[str, str]]:
    there = [variant for variant in results.variants if variant.name in results.metrics]
    for before in there:
        for after in there:
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
            "accuracy_sd": None if protocol["runs"] == 1 else 100 * protocol["accuracy"]["sd"],
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
        "Variant": partial(_text, "variant"),
        "8:2 split by": partial(_text, "split"),
        "Runs": partial(_number, "runs", "{:d}"),
        "Accuracy (%)": partial(_interval, "accuracy", "{:.2f}"),
        "Best run (%)": partial(_number, "best", "{:.2f}"),
        "Printed best run (%)": partial(_number, "printed_best", "{:.2f}"),
        "Macro-F1": partial(_interval, "macro_f1", "{:.3f}"),
        "Sequence in training (%)": partial(_number, "siblings", "{:.1f}"),
        "Person in training (%)": partial(_number, "same_person", "{:.1f}"),
        "Transferred": partial(_text, "transferred"),
    }
    notes = (
        "Mean ± standard deviation over runs, each with a split of its own; the best run is chosen by this "
        "very figure, hence it is optimistic.",
        "In training: share of test images of whose sequence, or person, other images were trained on. The "
        "paper splits by frame; that figure says little about new faces.",
    )
    return _table(rows, columns, f"Test accuracy of pretraining. {_data(results)}", notes)


def _table(
    rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]], caption: str, notes: Iterable[str]
) -> Table:
    frame = pd.DataFrame(list(rows))
    frame = frame.astype({name: "Int64" for name in INTEGERS if name in frame})
    shown = pd.DataFrame([{header: show(row) for header, show in columns.items()} for row in rows], dtype=str)
    return Table(frame, shown, caption, tuple(notes))


def _adjust(rows: Sequence[Row]) -> None:
    for row, p in zip(rows, holm([row.get("p_permutation") for row in rows]), strict=True):
        row["p_holm"] = p


def _caption(title: str, names: Iterable[str], results: Results) -> str:
    scores = [results.metrics[name] for name in names]
    subjects = results.samples["subject"].nunique()
    seeds = max((len(score["seeds"]) for score in scores), default=0)
    folds, expected = (sum(score[key] for score in scores) for key in ("folds", "folds_expected"))
    missing = f" PARTIAL: {folds} of {expected} folds." if folds < expected else ""
    counts = f"n = {len(results.samples)} clips, {subjects} leave-one-subject-out folds"
    return f"{title}. {counts}, {seeds} seed{'s' * (seeds != 1)}.{missing} {_data(results)}"


def _data(results: Results) -> str:
    if not results.simulated:
        return f"Data: {results.dataset}."
    names = " and ".join(results.simulated)
    return f"SIMULATED DATA ({names}): these figures show that the workflow runs, nothing about real faces."


def _paper_notes(baseline: str | None, measured: Sequence[str], results: Results) -> Iterator[str]:
    yield _interval_note(results)
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
    yield from _never_notes(measured, results)
    for name in measured:
        bound = results.metrics[name]["upper_bound_best_on_test"]
        if bound:
            yield (
                f"Upper bound, not a result: at each fold's best epoch on its own test subject, {name} has "
                f"accuracy {100 * bound['accuracy']:.2f} %, macro-F1 {bound['macro_f1']:.3f}."
            )


def _never_notes(names: Iterable[str], results: Results) -> Iterator[str]:
    for name in names:
        if classes := results.metrics[name]["never_predicted"]:
            yield f"{name} never predicts {', '.join(classes)} (precision and F1 count as 0)."


def _interval_note(results: Results) -> str:
    settings = results.settings
    return (
        f"In brackets: {100 * settings.confidence:g} % interval, percentile bootstrap over subjects, "
        f"{settings.bootstrap} draws; after ±: standard deviation over seeds."
    )


def _text(key: str, row: Row, missing: str = "–") -> str:
    return str(row.get(key) or missing)


def _number(key: str, style: str, row: Row) -> str:
    return "–" if row.get(key) is None else style.format(row[key])


def _interval(key: str, style: str, row: Row) -> str:
    """Such as '43.37 ± 0.80 [37.21, 49.60]'."""
    parts = [_number(key, style, row)]
    if row.get(f"{key}_sd") is not None:
        parts.append(f"± {style.format(row[f'{key}_sd'])}")
    if row.get(f"{key}_low") is not None:
        parts.append(f"[{style.format(row[f'{key}_low'])}, {style.format(row[f'{key}_high'])}]")
    return " ".join(parts)


def _p(key: str, row: Row) -> str:
    value = row.get(key)
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
