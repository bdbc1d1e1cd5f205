"""The doctor's report: what is wrong with a copy of a dataset, beside what the published sets hold."""

from __future__ import annotations

import os

import pandas as pd

from mer_core.config.datasets import Dataset
from mer_core.datasets.defects import DEFECTS
from mer_core.datasets.manifest import included, is_to_be_spotted
from mer_core.datasets.published import Published
from mer_core.errors import UserError

WIDTH = 100  # of the summary, in characters


def stop_on_errors(defects: pd.DataFrame, where: str) -> None:
    """Refuse to go on when a defect is an error.

    Raises:
        UserError: with one line per error (ten at most), and how to lower the severity.
    """
    errors = defects[defects["severity"] == "error"]
    if errors.empty:
        return
    lines = [
        f"{where}: {' '.join(filter(None, [row.row, row.file]))}: {row.defect}: {row.action}"
        for row in errors.head(10).itertuples()
    ]
    kinds = ", ".join(f"{kind}: warning" for kind in errors["defect"].unique())
    lines.append(
        f"{where}: {len(errors)} error(s) in the data; mend the data, or accept what was done about them by "
        f"doctor.severity: {{{kinds}}}"
    )
    raise UserError("\n".join(lines))


def summarize(samples: pd.DataFrame, defects: pd.DataFrame, settings: Dataset, published: Published) -> str:
    """What was found, on one screen.

    Args:
        samples: the manifest.
        defects: the table that belongs to it.
        settings: of the dataset.
        published: what the authors say that it holds.

    Returns:
        Lines of at most `WIDTH` characters: counts per class and subject beside the published ones, where
        the apexes come from, what was left out, and every kind of defect.
    """
    used = included(samples)
    lines = [
        _headline(samples, used, settings),
        "",
        *_class_lines(used, settings, published),
        *_copy_lines(samples, published),
        "",
        *_subject_lines(used, settings, published),
    ]
    if settings.has_clips:
        sources = used["apex_source"].mask(is_to_be_spotted(used), "to be spotted").value_counts()
        lines += ["", "apex: " + _counted(sources)]
    reasons = samples.loc[~samples["included"], "reason"].str.split(":").str[0]
    lines += ["", "left out: " + (_counted(reasons.value_counts()) or "nothing")]
    return "\n".join([*lines, "", *_defect_lines(defects)]) + "\n"


def _headline(samples: pd.DataFrame, used: pd.DataFrame, settings: Dataset) -> str:
    name = samples["dataset"].iloc[0] if len(samples) else settings.layout
    text = f"{name}: {len(used)} samples"
    if settings.has_subjects:
        text += f" of {used['subject'].nunique()} subjects"
    else:
        text += ", nobody knows of whom: no split that keeps persons apart is possible"
    if settings.samples_per_clip > 1:
        sequences = samples[["subject", "clip"]].drop_duplicates()
        labelled = used[["subject", "clip"]].drop_duplicates()
        frames = settings.samples_per_clip
        text += f", the last {frames} frames of {len(labelled)} of {len(sequences)} sequences"
    folder = os.path.commonpath(list(used["frame_path"])) if len(used) else ""
    text += f", frames in {folder}" if folder else ""
    return text


def _class_lines(used: pd.DataFrame, settings: Dataset, known: Published) -> list[str]:
    published = _published_classes(settings, known)
    counts = used["label"].value_counts()
    rows = [(name, int(counts.get(name, 0)), published.get(name, "")) for name in settings.class_names]
    rows.append(("all", len(used), sum(published.values()) if published else ""))
    title = ("class", "here", "published" if published else "")
    return [f"{name:<24}{here:>6}{there:>11}".rstrip() for name, here, there in [title, *rows]]


def _copy_lines(samples: pd.DataFrame, known: Published) -> list[str]:
    """The known copies whose counts, other than the published ones, are these."""
    counts = samples["label_raw"].value_counts().to_dict() | {"all": len(samples)}
    return [
        f"the counts of a known copy: {what}"
        for what, told in known.copies.items()
        if all(counts.get(label, 0) == count for label, count in told.items())
    ]


def _subject_lines(used: pd.DataFrame, settings: Dataset, known: Published) -> list[str]:
    counts = used["subject"].value_counts()
    if len(counts) > 40:
        return [f"samples per subject: {counts.min()} to {counts.max()}, median {counts.median():g}"]
    published = _published_subjects(settings, known)
    title = "subject here/published" if published else "subject here"
    cells = [
        f"{subject} {counts.get(subject, 0)}" + (f"/{published.get(subject, 0)}" if published else "")
        for subject in settings.subjects or sorted({*counts.index, *published})
    ]
    wide = max(map(len, cells), default=0) + 2
    per_line = max(1, (WIDTH - 2) // wide)
    return [title] + [
        "  " + "".join(f"{cell:<{wide}}" for cell in cells[start : start + per_line]).rstrip()
        for start in range(0, len(cells), per_line)
    ]


def _defect_lines(defects: pd.DataFrame) -> list[str]:
    if defects.empty:
        return ["defects: none"]
    lines = ["defects:"]
    for (severity, kind), count in defects.groupby(["severity", "defect"], sort=False).size().items():
        lines.append(f"  {severity:<8}{count:>5}  {kind}: {DEFECTS[kind][1]}")
    errors = defects[defects["severity"] == "error"]
    lines += [f"  {row.row or row.file or row.defect}: {row.action}" for row in errors.head(5).itertuples()]
    return [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines]


def _counted(counts: pd.Series) -> str:
    return ", ".join(f"{what} ({count})" for what, count in counts.items())


def _published_classes(settings: Dataset, known: Published) -> dict[str, int]:
    """Published samples per class under the configured class map; empty where none are known."""
    counts: dict[str, int] = {}
    for label, name in settings.classes.items():
        if name is not None and (clips := known.labels.get(label.casefold())):
            counts[name] = counts.get(name, 0) + clips * settings.samples_per_clip
    return counts


def _published_subjects(settings: Dataset, known: Published) -> dict[str, int]:
    """Published clips per subject under the labels that take part, where they are known."""
    labels = frozenset(label.casefold() for label, name in settings.classes.items() if name is not None)
    return dict(zip(known.subjects, known.clips_per_subject.get(labels, ()), strict=False))
