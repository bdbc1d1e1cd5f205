"""The doctor's report: what is wrong with a copy of a dataset, beside what the published sets hold."""

from __future__ import annotations

import os

import pandas as pd

from mer_core.config import CASME2_SUBJECTS, Ckplus, Dataset
from mer_core.datasets.defects import DEFECTS
from mer_core.datasets.manifest import as_text, included, is_to_be_spotted
from mer_core.errors import UserError
from mer_core.job import publish

__all__ = ["DEFECTS", "stop_on_errors", "summarize", "write_defects"]

WIDTH = 100  # of the summary, in characters
# Clips per label in the released CASME2-coding-20140508.xlsx (255 clips; the 2014 article counts 247).
CASME2_LABELS = {
    "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2
}  # fmt: skip
# Its clips of sub01..sub26 under the first five labels (246), which the paper's experiment uses.
CASME2_FIVE = (9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16)
# Labelled sequences of CK+: 327 of 593, of 118 of 123 subjects (Lucey et al. 2010).
CKPLUS_LABELS = {
    "anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83
}  # fmt: skip


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
        f"{where}: {len(errors)} error(s) in the data; mend the data, or go on without those samples "
        f"by doctor.severity: {{{kinds}}}"
    )
    raise UserError("\n".join(lines))


def write_defects(defects: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Publish the table of defects as CSV."""
    with publish(path) as temporary:
        as_text(defects).to_csv(temporary, index=False, lineterminator="\n")


def summarize(samples: pd.DataFrame, defects: pd.DataFrame, settings: Dataset) -> str:
    """What was found, on one screen.

    Args:
        samples: the manifest.
        defects: the table that belongs to it.
        settings: of the dataset.

    Returns:
        Lines of at most `WIDTH` characters: counts per class and subject beside the published ones, where
        the apexes come from, what was left out, and every kind of defect.
    """
    used = included(samples)
    lines = [
        _headline(samples, used, settings),
        "",
        *_class_lines(used, settings),
        "",
        *_subject_lines(used, settings),
    ]
    if settings.layout == "casme2":
        sources = used["apex_source"].mask(is_to_be_spotted(used), "to be spotted").value_counts()
        lines += ["", "apex: " + _counted(sources)]
    reasons = samples.loc[~samples["included"], "reason"].str.split(":").str[0]
    lines += ["", "left out: " + (_counted(reasons.value_counts()) or "nothing")]
    return "\n".join([*lines, "", *_defect_lines(defects)]) + "\n"


def _headline(samples: pd.DataFrame, used: pd.DataFrame, settings: Dataset) -> str:
    name = samples["dataset"].iloc[0] if len(samples) else settings.layout
    text = f"{name}: {len(used)} samples of {used['subject'].nunique()} subjects"
    if isinstance(settings, Ckplus):
        sequences = samples[["subject", "clip"]].drop_duplicates()
        labelled = used[["subject", "clip"]].drop_duplicates()
        text += f", the last {settings.last_frames} frames of {len(labelled)} of {len(sequences)} sequences"
    folder = os.path.commonpath(list(used["frame_path"])) if len(used) else ""
    text += f", frames in {folder}" if folder else ""
    return text


def _class_lines(used: pd.DataFrame, settings: Dataset) -> list[str]:
    published = _published_classes(settings)
    counts = used["label"].value_counts()
    rows = [(name, int(counts.get(name, 0)), published.get(name, "")) for name in settings.class_names]
    rows.append(("all", len(used), sum(published.values()) if published else ""))
    title = ("class", "here", "published" if published else "")
    return [f"{name:<24}{here:>6}{there:>11}".rstrip() for name, here, there in [title, *rows]]


def _subject_lines(used: pd.DataFrame, settings: Dataset) -> list[str]:
    counts = used["subject"].value_counts()
    if len(counts) > 40:
        return [f"samples per subject: {counts.min()} to {counts.max()}, median {counts.median():g}"]
    published = _published_subjects(settings)
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


def _published_classes(settings: Dataset) -> dict[str, int]:
    """Published samples per class under the configured class map; empty for other datasets."""
    per_label = {"casme2": CASME2_LABELS, "ckplus": CKPLUS_LABELS}.get(settings.layout, {})
    frames = settings.last_frames if isinstance(settings, Ckplus) else 1
    counts: dict[str, int] = {}
    for label, name in settings.classes.items():
        if name is not None and label in per_label:
            counts[name] = counts.get(name, 0) + per_label[label] * frames
    return counts


def _published_subjects(settings: Dataset) -> dict[str, int]:
    """Published clips per subject, known for the five labels of CASME II only."""
    labels = {label for label, name in settings.classes.items() if name is not None}
    if settings.layout != "casme2" or labels != set(list(CASME2_LABELS)[:5]):
        return {}
    return dict(zip(CASME2_SUBJECTS, CASME2_FIVE, strict=True))
