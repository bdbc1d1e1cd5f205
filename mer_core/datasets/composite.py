"""Datasets put together under one class map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mer_core.config.layouts.composite import MEGC2019, Composite, challenge
from mer_core.datasets.annotated import APEX_KINDS
from mer_core.datasets.checks import ON_PURPOSE
from mer_core.datasets.manifest import check, included

SETTINGS = Composite


def join(settings: Composite, parts: Sequence[pd.DataFrame], where: str) -> pd.DataFrame:
    """The manifest of the whole: subjects carry their dataset, so that people of two sets never meet.

    Args:
        settings: of the composite; its classes map those of the parts.
        parts: their manifests. `dataset`, `sample_id` and `frame_path` stay those of the part.
        where: what the manifest is for, for the message.

    Raises:
        UserError: the whole is no manifest.
    """
    whole = pd.concat(parts, ignore_index=True)
    mapped = whole["label"].map({label: name or "" for label, name in settings.classes.items()})
    left_out = whole["included"] & mapped.eq("")
    reasons = [f"class '{label}' {ON_PURPOSE}" for label in whole["label"]]
    whole = whole.assign(
        subject=whole["dataset"] + "-" + whole["subject"],
        label=mapped.fillna(""),
        included=whole["included"] & ~left_out,
        reason=whole["reason"].mask(left_out, pd.Series(reasons, whole.index, dtype=object)),
    )
    return check(whole, where)


def summarize(name: str, whole: pd.DataFrame, settings: Composite, layouts: Mapping[str, str]) -> str:
    """What was put together, on one screen; of a challenge's composite beside the published counts.

    Args:
        name: of the composite.
        whole: its manifest.
        settings: of the composite.
        layouts: of the parts, by name.
    """
    used = included(whole)
    published = challenge(layouts, settings.class_names)
    counts = pd.crosstab(used["label"], used["dataset"]).reindex(
        index=settings.class_names, columns=list(layouts), fill_value=0
    )
    people = used.groupby("dataset")["subject"].nunique().reindex(list(layouts), fill_value=0)
    here = pd.concat([counts, counts.sum().to_frame("all").T, people.to_frame("people").T])
    here["all"] = here.sum(axis=1)
    told = here.astype(str)
    if published:
        known = pd.DataFrame({part: published[layout][0] for part, layout in layouts.items()})
        known = known.reindex(settings.class_names)
        known.loc["all"] = known.sum()
        known.loc["people"] = [published[layout][1] for layout in layouts.values()]
        known["all"] = known.sum(axis=1)
        told += "/" + known.astype(str)
    wide = max(map(len, [*layouts, "all"])) + 6
    lines = [
        f"{name}: {len(used)} samples of {used['subject'].nunique()} subjects, put together of "
        + ", ".join(layouts),
        "",
        f"{'here/published' if published else '':<24}" + "".join(f"{part:>{wide}}" for part in told),
        *(f"{label:<24}" + "".join(f"{cell:>{wide}}" for cell in row) for label, *row in told.itertuples()),
    ]
    kinds = whole["reason"].str.split(":").str[0]
    by_apex = whole.loc[~whole["included"] & kinds.isin(APEX_KINDS), "sample_id"]
    lines += ["", f"left out by the rule of the apex: {', '.join(by_apex) or 'nothing'}"]
    if published is MEGC2019:
        lines.append("(as published: sub04/EP12_01f and sub05/EP09_05f of CASME II)")
    return "\n".join(lines) + "\n"
