"""One list of rows over several targets: the table of rows by datasets, its picture's words, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mer_core.config.experiment import Config
from mer_core.evaluation.ranks import Ranking, rank
from mer_core.report import page
from mer_core.report.assemble import BANNER, limits
from mer_core.report.page import Picture, Section
from mer_core.report.typeset import Row, Table, interval, make_table, number, p_in_words, text

FEW_DATASETS = 10  # below which Demšar calls the critical difference too coarse to find much
FLOOR = "always the commonest class"


def ranking_of(methods: Mapping[str, pd.DataFrame], config: Config) -> Ranking:
    """The rows by their macro-F1 on each target.

    Args:
        methods: target -> the table of all methods of its experiment, in full precision.
        config: of the study.
    """
    scores = pd.DataFrame(
        {target: _measured(frame)["macro_f1"].astype(float) for target, frame in methods.items()}
    )
    settings = config.evaluation
    return rank(scores, settings.confidence, settings.permutations, settings.seed)


def build_table(methods: Mapping[str, pd.DataFrame], ranking: Ranking, config: Config) -> Table:
    """Macro-F1 of every row on every target, with its mean rank; the floor stands below and has no rank.

    Args:
        methods, config: as for `ranking_of`.
        ranking: of the rows.
    """
    rows: list[Row] = []
    for name, mean in ranking.mean.items():
        row: Row = {"kind": "measured", "variant": name, "mean_rank": float(mean)}
        for target, frame in methods.items():
            row |= _cells(target, _measured(frame).loc[name])
            row[f"{target}_rank"] = float(ranking.ranks.loc[name, target])
        rows.append(row)
    floor: Row = {"kind": "floor", "variant": FLOOR, "mean_rank": None}
    for target, frame in methods.items():
        floor |= _cells(target, frame[frame["kind"] == "floor"].iloc[0])
    columns = {
        "Row": text("variant"),
        "Mean rank": number("mean_rank", "{:.2f}"),
        **{target: interval(target, "{:.3f}") for target in methods},
    }
    counts = ", ".join(f"{target} {_clips(frame)}" for target, frame in methods.items())
    caption = f"Rows over {len(methods)} targets. Macro-F1; clips: {counts}."
    if simulated := _simulated(config):
        caption += f" Simulated: {', '.join(simulated)}."
    return make_table([*rows, floor], columns, caption, _notes(ranking, config))


def render(config: Config, table: Table, ranking: Ranking, picture: Path) -> str:
    """The study's page, in one file.

    Args:
        config: of the study.
        table, ranking: of its rows.
        picture: the drawing of the critical difference.
    """
    confidence = 100 * config.evaluation.confidence
    drawn = Picture(
        picture,
        "Which rows differ",
        "Mean rank over the targets, 1 the best. Rows under one bar lie nearer to each other than the "
        f"critical difference (CD, Nemenyi at {confidence:g} %), so that nothing tells them apart.",
        f"Mean ranks: {', '.join(f'{name} {mean:.2f}' for name, mean in ranking.mean.items())}; critical "
        f"difference {ranking.critical:.2f}.",
    )
    pages = [f"{target}: {target}/report.html" for target in config.study]
    words = "Each target is an experiment of its own, with the same rows; its page lies beside this one."
    return page.fill(
        config,
        title=f"Micro-expression recognition: {config.experiment}",
        subtitle=f"{len(ranking.mean)} rows over {len(config.study)} targets: {', '.join(config.study)}",
        banner=_banner(config),
        finding=finding(ranking, config),
        sections=[
            Section("Results", items=[table, drawn]),
            Section("Targets", [words], points=pages),
            Section("Limits", points=limits(config, [table])),
        ],
        variants=[],
        footer="Every score on this page is that of its target's own page.",
    )


def finding(ranking: Ranking, config: Config) -> list[str]:
    """What the study says, in two or three sentences."""
    names, targets = [*ranking.mean.index], len(ranking.ranks.columns)
    level = 1 - config.evaluation.confidence
    first = ranking.mean.iloc[0]
    equal = [name for name in names if ranking.mean[name] == first]
    have = f"{' and '.join(equal)} {'has' if len(equal) == 1 else 'have'}"
    best = f"{have} the best mean rank, {first:.2f} of {len(names)}, over {targets} targets."
    if ranking.p_least > level:
        return [best, f"With so few rows and targets no difference could have been found at {level:.3g}."]
    if ranking.p > level:
        return [
            best,
            f"The rows' ranks do not differ more than chance would have them (p {p_in_words(ranking.p)}).",
        ]
    different = [name for name in names if ranking.mean[name] - first >= ranking.critical]
    said = f"None can be told apart from {names[0]}"
    if different:
        said = f"{names[0]} differs from {', '.join(different)}"
    if not ranking.can_differ:
        said = "Which ones differ cannot be told with so few targets"
    return [best, f"The rows' ranks differ (p {p_in_words(ranking.p)}).", f"{said}."]


def _simulated(config: Config) -> list[str]:
    return [*dict.fromkeys(name for one in config.study for name in config.for_target(one).simulated)]


def _banner(config: Config) -> str:
    """What stands above all: which targets show nobody; '' where all show people."""
    drawn = [target for target in config.study if target in _simulated(config)]
    if 0 < len(drawn) < len(config.study):
        return f"Simulated in part: what rests on {' and '.join(drawn)} says nothing about people"
    return BANNER if drawn else ""


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["kind"] == "measured"].set_index("variant")


def _cells(target: str, values: pd.Series) -> Row:
    """The macro-F1 of a row on a target, its interval and deviation, under the target's name."""
    found = {target: values["macro_f1"]}
    found |= {f"{target}_{end}": values.get(f"macro_f1_{end}") for end in ("low", "high", "sd")}
    return {name: None if value is None or pd.isna(value) else float(value) for name, value in found.items()}


def _clips(frame: pd.DataFrame) -> int:
    return int(_measured(frame)["n"].astype(float).max())


def _notes(ranking: Ranking, config: Config) -> list[str]:
    targets, confidence = len(ranking.ranks.columns), 100 * config.evaluation.confidence
    notes = []
    if len(config.seeds) > 1:
        alone = " Comparison methods ran with the first seed only." if config.baselines else ""
        notes.append(f"After ±: standard deviation over seeds.{alone}")
    notes += [
        f"In brackets: {confidence:g} % interval over the people of that target. Ranks take no notice of it, "
        "nor of how many clips a target has.",
        f"Do the ranks differ at all: p {p_in_words(ranking.p)} (Friedman's statistic, permutation of the "
        f"ranks within each target, {config.evaluation.permutations} draws); it cannot fall below "
        f"{ranking.p_least:.2g}.",
        f"Two rows differ from a difference of {ranking.critical:.2f} mean ranks on (Nemenyi, "
        f"{confidence:g} %).",
    ]
    if not ranking.can_differ:
        notes.append(f"{targets} targets are too few for any two rows to differ by that much.")
    elif targets < FEW_DATASETS:
        notes.append(f"{targets} targets are few: a row must be better nearly everywhere to be told apart.")
    if len({config.datasets[target].layout for target in config.study}) < targets:
        notes.append("Some targets are of one layout: what shows the same people counts twice.")
    return notes
