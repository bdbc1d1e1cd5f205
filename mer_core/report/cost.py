"""What the jobs of an experiment took, and what all that is planned will take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd


def cost(benchmarks: pd.DataFrame, planned: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Time and memory by rule and variant, measured and expected.

    A job that was not measured is expected to take the median of its rule and variant; without such, that of
    its rule. The rules that are not under `planned` count with what they took.

    Args:
        benchmarks: as `figures.read_benchmarks` returns them; of the rules under `planned` the first folder
            of a job names the variant.
        planned: rule -> variant -> how many jobs the present configuration has of it.

    Returns:
        One row per rule and variant (empty for other rules): measured (jobs), seconds (median of a job),
        memory (peak MiB), planned (jobs), expected (seconds in all; NaN where nothing was measured). The
        rules that will take longest come first.
    """
    first = benchmarks["job"].str.split("/").str[0]
    jobs = benchmarks.assign(variant=first.where(benchmarks["rule"].isin(planned.keys()), ""))
    plan = pd.Series(
        {
            (rule, variant): number
            for rule, variants in planned.items()
            for variant, number in variants.items()
        },
        dtype=float,
    )
    table = jobs.groupby(["rule", "variant"]).agg(
        measured=("seconds", "size"),
        total=("seconds", "sum"),
        seconds=("seconds", "median"),
        memory=("memory", "max"),
    )
    table = table.reindex(table.index.union(plan.index)).rename_axis(["rule", "variant"])
    of_rule = table.index.get_level_values("rule").map(jobs.groupby("rule")["seconds"].median())
    is_planned = table.index.get_level_values("rule").isin(planned.keys())
    table["measured"] = table["measured"].fillna(0).astype(int)
    table["planned"] = plan.reindex(table.index).fillna(0).where(is_planned, table["measured"]).astype(int)
    per_job = table["seconds"].fillna(pd.Series(of_rule, table.index))
    table["expected"] = (table["planned"] * per_job).where(is_planned, table["total"])
    longest = table.groupby("rule")["expected"].transform("sum")
    order = np.lexsort([-table["expected"].fillna(np.inf), table.index.get_level_values("rule"), -longest])
    return table.iloc[order].drop(columns="total").reset_index()


def describe_cost(table: pd.DataFrame) -> str:
    """The table of `cost` as text, with the sum of what is expected."""
    lines = pd.DataFrame(
        {
            "rule": table["rule"] + (" " + table["variant"]).where(table["variant"] != "", ""),
            "measured": table["measured"],
            "s per job": table["seconds"].map("{:.1f}".format),
            "peak MiB": table["memory"].map("{:.0f}".format),
            "planned": table["planned"],
            "in all": table["expected"].map(_duration),
        }
    ).replace("nan", "-")
    unknown = table.loc[table["expected"].isna(), "rule"].unique()
    total = (
        f"All {table['planned'].sum():,} jobs one after another: {_duration(table['expected'].sum())}"
        + (f", and {', '.join(unknown)}, of which nothing was measured yet" if len(unknown) else "")
        + ". Divide by how many run at once."
    )
    return f"{lines.to_string(index=False)}\n\n{total}"


def _duration(seconds: float) -> str:
    if np.isnan(seconds):
        return "-"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
