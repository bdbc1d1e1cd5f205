"""The finding: the best row of all, the paper's three claims with their verdicts, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mer_core.config.experiment import Config
from mer_core.evaluation.statistics import COVERAGE_OF_SIX, FEW_PEOPLE
from mer_core.report import printed
from mer_core.report.tables import Table, shared_note, telling
from mer_core.report.typeset import p_in_words

Score = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper in words: `{subject} {better} {than}`, or does not.

    Attributes:
        table: that tests it.
        setting: that the claim is about; whatever else two rows differ in is said.
        needs: the rows that would test it.
    """

    table: str
    subject: str
    better: str
    worse: str
    than: str
    setting: str
    needs: str


LOSS = Claim(
    "table1_loss",
    "focal loss",
    "beats",
    "does worse than",
    "cross entropy",
    "gamma",
    "a plain ResNet18 under each loss",
)
ATTENTION = Claim(
    "table2_attention",
    "spatial and channel attention together",
    "beat",
    "do worse than",
    "the plain network",
    "attention",
    "both networks under focal loss",
)
TRANSFER = Claim(
    "transfer",
    "pretraining",
    "beats",
    "does worse than",
    "random initial weights",
    "init",
    "two rows that differ in this alone",
)
# Of networks that bring weights along, which pretraining starts from, too.
TRANSFER_OF_IMAGENET = replace(TRANSFER, than="ImageNet's weights alone")


def finding(settings: Config, metrics: Mapping[str, Score], tables: Mapping[str, Table]) -> list[str]:
    """What a reader should know first.

    Args:
        settings: the configuration.
        metrics: `statistics.score_variant` by name.
        tables: as `tables.build_tables` returns them.

    Returns:
        Sentences of at most four numbers: the best row against the floor, of each part where parts are left
        out in turn; the loss, the attention and the transfer, each with the verdict of its table, or that the
        paper's claim was not tested; then, where there is reason, that folds are missing, that people are
        few, that data are simulated.
    """
    classes = next(iter(metrics.values()))["classes"]
    papers = printed.has_the_papers_classes(classes)
    told = telling(tables, classes)
    real = printed.comparable(classes, settings.target in settings.simulated)
    transfer = _transfer_pair(tables)
    has_weights = transfer is not None and settings.variant[transfer["before"]].brings_weights

    def is_papers(pair: Row | None) -> bool:
        return real and pair is not None and settings.variant[pair["after"]].is_the_papers

    pairs = (
        (LOSS, _loss_pair(settings, tables)),
        (ATTENTION, _attention_pair(settings, tables)),
        (TRANSFER_OF_IMAGENET if has_weights else TRANSFER, transfer),
    )
    return [
        *_best_sentences(settings, metrics, tables),
        *(
            _claim_sentence(claim, pair, is_papers(pair))
            for claim, pair in pairs
            if pair is not None or (papers and claim.table in told)
        ),
        *_caveats(settings, metrics),
    ]


def _best_sentences(
    settings: Config, metrics: Mapping[str, Score], tables: Mapping[str, Table]
) -> Iterator[str]:
    """The row of the highest macro-F1 over all clips, or over those of each part left out in turn."""
    if settings.folds_by != "dataset":
        floor = _floor(tables["methods"])
        scores = {name: score["macro_f1"] for name, score in metrics.items()}
        yield _best_sentence(settings, scores, floor["method"], floor["macro_f1"])
        return
    floor, parts = _floor(tables["parts"]), settings.parts_of(settings.target)
    for part in parts:
        scores = {
            name: score["parts"][part]["macro_f1"]
            for name, score in metrics.items()
            if part in score["parts"]
        }
        if scores:  # not where its folds are missing
            others = " and ".join(other for other in parts if other != part)
            which = f" trained on {others} and tested on {part}"
            yield _best_sentence(settings, scores, floor["method"], floor[f"{part}_macro_f1"], which)


def _floor(table: Table) -> Row:
    """The row of the constant answer."""
    return table.frame[table.frame["kind"] == "floor"].iloc[0]


def _best_sentence(
    settings: Config, scores: Mapping[str, Score], constant: str, floor: float, which: str = ""
) -> str:
    """The best of some rows, comparison methods included, of equals the first; against the floor."""
    most = max(score["mean"] for score in scores.values())
    best, *others = (name for name, score in scores.items() if score["mean"] == most)
    scored = scores[best]
    name = f"the {'network' if best in settings.variant else 'comparison method'} {best}"
    start = f"Of all rows{which}, {name} is the best" if len(scores) > 1 else f"The only row{which} is {name}"
    start += f" (as good: {', '.join(others)})" if others else ""
    sentence = f"{start}, with macro-F1 {scored['mean']:.3f}"
    against = f"{constant} gives {floor:.3f}"
    if scored["low"] is None:
        return f"{sentence}, where {against}; it has no interval, since every draw of people scores alike."
    sentence += f" (interval {scored['low']:.3f} to {scored['high']:.3f})"
    if scored["low"] > floor:
        return f"{sentence}, which is above the floor: {against}."
    return f"{sentence}, which is not clearly above the floor: {against}."


def _loss_pair(settings: Config, tables: Mapping[str, Table]) -> Row | None:
    """Focal loss against cross entropy; of several the one that changes least beside."""
    pairs = [
        row
        for row in _tested(tables["table1_loss"])
        if row["variant"] in settings.variant
        and settings.losses[settings.variant[row["variant"]].loss].kind == "focal"
    ]
    return min(pairs, key=lambda row: len(row["changes"].split(", ")), default=None)


def _attention_pair(settings: Config, tables: Mapping[str, Table]) -> Row | None:
    """Both attentions against none."""
    rows = _tested(tables["table2_attention"])
    dual = {name for name, variant in settings.variant.items() if variant.attention == "dual"}
    return next((row for row in rows if row["variant"] in dual), None)


def _transfer_pair(tables: Mapping[str, Table]) -> Row | None:
    """The first pair that differs in pretraining alone."""
    return next(_tested(tables["transfer"]), None)


def _tested(table: Table) -> Iterator[Row]:
    """The rows that were tested, each with the names of both sides as `before` and `after`."""
    for row in table.frame.to_dict("records"):
        if pd.notna(row.get("gain")):
            yield row if "after" in row else row | {"before": row["baseline"], "after": row["variant"]}


def _claim_sentence(claim: Claim, row: Row | None, papers: bool) -> str:
    """The verdict first, then the gain with its interval and its p, and who was compared."""
    beats = f"{claim.subject} {claim.better} {claim.than}"
    if row is None:
        return f"Whether {beats} was not tested: it takes {claim.needs}."
    gain = f"macro-F1 {_signed(row['gain'])}"
    if pd.notna(row["gain_low"]):
        gain += f" ({_signed(row['gain_low'])} to {_signed(row['gain_high'])})"
    tested = f"{gain}, p {p_in_words(row['p_holm'])}"
    sentence = {
        "better": f"{'As the paper claims, ' * papers}{beats}: {tested}",
        "worse": f"{'Contrary to the paper, ' * papers}{claim.subject} {claim.worse} {claim.than}: {tested}",
        "not shown": f"It is not shown that {beats}: {tested}",
        "too few people": (
            f"So few people cannot tell whether {beats}, as p cannot fall below "
            f"{row['p_least_holm']:.3g}: {gain}"
        ),
    }[row["verdict"]]
    changes = str(row.get("changes") or "").split(", ")
    beside = [name for name in changes if name not in ("", claim.setting)]
    also = f", which differ in {' and '.join(beside)}, too" if beside else ""
    return f"{sentence[0].upper()}{sentence[1:]}, for {row['after']} against {row['before']}{also}."


def _caveats(settings: Config, metrics: Mapping[str, Score]) -> Iterator[str]:
    least = min(metrics.values(), key=lambda score: score["folds"] / score["folds_expected"])
    missing = f"{least['folds']} of {least['folds_expected']} folds"
    if least["folds"] < least["folds_expected"]:
        alike = len({score["folds"] / score["folds_expected"] for score in metrics.values()}) == 1
        yield (
            f"Only {missing} are in, so every figure is of those people alone."
            if alike
            else f"Folds are missing ({least['variant']} has {missing}), so rows are not of the same people."
        )
    for one, other in settings.shared_parts(settings.target):
        yield shared_note(one, other)
    people = min(score["subjects"] for score in metrics.values())
    if people < FEW_PEOPLE:
        yield (
            f"With {people} people the intervals are too narrow: of those called 95 %, about "
            f"{COVERAGE_OF_SIX['macro_f1']} in 100 hold the truth with six, fewer with fewer."
        )
    drawn = [name for name in settings.simulated if name not in settings.composites]
    if settings.target in settings.simulated:
        yield f"{_listed(drawn)} simulated, so no number on this page says anything about people."
    elif drawn:
        yield f"{_listed(drawn)} simulated, so what pretraining gains here says nothing about real faces."


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
