"""Any images that a CSV table lists with a subject and a label each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.layouts.tabular import Tabular
from mer_core.config.names import NAME
from mer_core.datasets import frames, pixels, workbook
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import UNNAMED, new_sample
from mer_core.datasets.published import Published
from mer_core.errors import UserError

_SUBJECT = re.compile(NAME)

SETTINGS = Tabular
PUBLISHED = Published()


def read(name: str, settings: Tabular, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per row of the table.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset; `table` is relative to `root`.
        root: the folder that the table's paths start from, or lie in where they are absolute; none may leave
            it but by links that it holds.
        findings: where defects go.

    Returns:
        Manifest rows in the order of the table.

    Raises:
        UserError: the table is missing, damaged or lacks a column.
    """
    table = _read_table(settings, root)
    samples: dict[str, dict[str, Any]] = {}
    known: frames.Spellings = {}
    for number, cells in table.iterrows():
        where = f"{Path(settings.table).name}:{number}"
        if not _SUBJECT.fullmatch(cells["subject"]) or not cells["path"]:
            shown = f"subject {cells['subject'][:40]!r}, path {cells['path'][:40]!r}"
            action = f"left out: {shown}; names of subjects are letters, digits, - and _"
            findings.add("bad_name", action, row=f"row {number}", file=where)
            continue
        written = root.inner(cells["path"])
        path = frames.spelled(root.path, written, known)
        if not path.is_relative_to(root.path) or not root.holds(path):
            findings.add("leaves_root", f"left out: {written[:80]!r}", row=f"row {number}", file=where)
            continue
        sample = new_sample(
            name,
            cells["subject"],
            written,
            sample_id=f"{name}/{written}",
            frame_path=root.relative(path),
        )
        _add(sample, samples, cells["label"], settings, path, where, findings)
    return list(samples.values())


def list_subjects(settings: Tabular, root: Root) -> list[str]:
    """The subjects that the table names, in order."""
    named = _read_table(settings, root)["subject"].unique()
    return sorted(filter(_SUBJECT.fullmatch, named), key=frames.natural_key)


def _read_table(settings: Tabular, root: Root) -> pd.DataFrame:
    columns = {"path": [settings.path_column], "label": [settings.label_column]}
    if settings.has_subjects:
        columns["subject"] = [settings.subject_column]
    path = frames.spelled(root.path, settings.table)
    if pixels.is_table(path):
        raise UserError(
            f"{path}: holds pixels in place of paths; write them as images, to be listed in a table of their "
            f"own: python -m mer_core.datasets.pixels {shlex.quote(str(path))} FOLDER"
        )
    table = workbook.read_table(path, columns, verbatim=["path"])
    return table if settings.has_subjects else table.assign(subject=UNNAMED)


def _add(
    sample: dict[str, Any],
    samples: dict[str, dict[str, Any]],
    label: str,
    settings: Tabular,
    path: Path,
    where: str,
    findings: Findings,
) -> None:
    earlier = samples.setdefault(sample["frame_path"], sample)
    if earlier is not sample:
        same = (earlier["subject"], earlier["label_raw"]) == (sample["subject"], label.lower())
        kind = "duplicate_annotation" if same else "conflicting_annotation"
        findings.add(kind, "the earlier row is used", row=sample["sample_id"], file=where)
        return
    assign_class(sample, label, settings.classes, findings, where)
    if sample["included"] and not path.is_file():
        why = "no such image; mend its path in the table"
        findings.leave_out(sample, "annotation_without_frames", why, where)
