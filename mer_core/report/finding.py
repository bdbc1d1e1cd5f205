"""The finding, in three sentences: the best variant, the gain by transfer, and what to think of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mer_core.config.datasets import SIMULATED
from mer_core.config.experiment import Config
from mer_core.report import printed
from mer_core.report.captions import basis
from mer_core.report.tables import Table

Score = Mapping[str, Any]


def finding(settings: Config, metrics: Mapping[str, Score], tables: Mapping[str, Table]) -> list[str]:
    """What a reader should know first.

    Args:
        settings: the configuration.
        metrics: `statistics.score_variant` by name.
        tables: as `tables.build_tables` returns them.

    Returns:
        Three sentences: the best variant against the paper and the floor; the gain by transfer with its
        tests; how little that is, and whether the data are simulated.
    """
    score = best(settings, metrics)
    return [
        _best_sentence(settings, score, tables),
        _transfer_sentence(settings, score, tables),
        _caveat(settings, score),
    ]


def best(settings: Config, metrics: Mapping[str, Score]) -> Score:
    """The scores of the variant with the highest macro-F1, of equals the first; no comparison method."""
    ours = [metrics[name] for name in settings.variant if name in metrics]
    return max(ours, key=lambda score: score["macro_f1"]["mean"])


def simulated(settings: Config) -> list[str]:
    """Names of the datasets that the simulation drew."""
    return [name for name in settings.used if settings.datasets[name].root == SIMULATED]


def _best_sentence(settings: Config, score: Score, tables: Mapping[str, Table]) -> str:
    floor = _floor(score, tables)
    against = (
        f"always answering '{floor['answer']}' gives {floor['accuracy']:.2f} % and {floor['macro_f1']:.3f}"
    )
    if paper := _printed(settings, score):
        against = f"the paper prints {paper}, and {against}"
    others = len(settings.variants) - 1
    best_of = (
        f"Of {others + 1} variants, {score['variant']} has the highest" if others else "The variant has the"
    )
    return (
        f"{best_of} macro-F1, {_spell(score, 'macro_f1', 1, '.3f')}, and with it an accuracy of "
        f"{_spell(score, 'accuracy', 100, '.2f', ' %')}, over {basis(score)}; {against}."
    )


def _printed(settings: Config, score: Score) -> str:
    """What the paper prints for a variant's settings, '' when nothing or for other classes."""
    variant = settings.variant[score["variant"]]
    key = variant.attention, settings.losses[variant.loss].kind, variant.init
    rows = [row for row in printed.ROWS if row.key == key and _has_the_papers_classes(score)]
    f1 = [f" and F1 {row.f1}" for row in rows if row.f1 is not None]
    return f"{rows[0].accuracy:.2f} %{''.join(f1)} for it" if rows else ""


def _has_the_papers_classes(score: Score) -> bool:
    return set(score["classes"]) == set(printed.CLASSES)


def _floor(score: Score, tables: Mapping[str, Table]) -> dict[str, Any]:
    """The constant answer, as Table 1 has it."""
    frame = tables["table1_loss"].frame
    row = frame[frame["variant"] == "majority"].iloc[0]
    support = {name: values["support"] for name, values in score["per_class"].items()}
    answer = min(support, key=lambda name: (-support[name], name))
    return {"answer": answer, "accuracy": row["accuracy"], "macro_f1": row["macro_f1"]}


def _transfer_sentence(settings: Config, score: Score, tables: Mapping[str, Table]) -> str:
    pairs = tables["transfer"].frame
    pairs = pairs[(pairs["before"] != "printed") & pairs["gain_clips"].notna()]
    if pairs.empty:
        return "No two variants differ in pretraining alone, so nothing can be said about transfer."
    row = pairs.iloc[0]
    surprising = row["p_permutation"] < 1 - settings.evaluation.confidence
    chance = "more than chance explains" if surprising else "not more than chance explains"
    paper = f"; the paper prints +{printed.TRANSFER_GAIN_CLIPS} of {printed.CLIPS}"
    return (
        f"Pretraining ({row['after']} against {row['before']}) changes the right answers by "
        f"{_signed(row['gain_clips'], '.4g')} of {row['n']:.0f} clips, {_signed(row['gain'])} points "
        f"({_signed(row['gain_low'])} to {_signed(row['gain_high'])}), {chance} "
        f"(permutation of subjects p {_p(row['p_permutation'])}, McNemar's exact test p "
        f"{_p(row['p_mcnemar'])}){paper if _has_the_papers_classes(score) else ''}."
    )


def _caveat(settings: Config, score: Score) -> str:
    drawn = simulated(settings)
    width = 50 * (score["accuracy"]["high"] - score["accuracy"]["low"])
    small = (
        f"{score['n']} clips of {score['subjects']} people pin an accuracy down to about ±{width:.0f} points"
    )
    if drawn:
        drawn_are = f"{' and '.join(drawn)} {'is' if len(drawn) == 1 else 'are'} simulated here"
        return f"{small}; above all, {drawn_are}, so no number on this page says anything about people."
    return f"{small}, so smaller differences than that between variants are no progress yet."


def _spell(score: Score, name: str, scale: float, style: str, unit: str = "") -> str:
    """Such as '43.37 % (95 % interval 37.21 to 49.60)'."""
    mean, low, high = (f"{scale * score[name][key]:{style}}" for key in ("mean", "low", "high"))
    return f"{mean}{unit} ({100 * score['confidence']:g} % interval {low} to {high})"


def _signed(value: float, style: str = ".2f") -> str:
    return f"{value:+{style}}".replace("-", "−")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
