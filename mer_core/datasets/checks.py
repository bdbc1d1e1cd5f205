"""Checks that every dataset goes through: labels, images, subjects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import images
from mer_core.datasets.defects import Findings
from mer_core.datasets.manifest import included
from mer_core.errors import UserError
from mer_core.provenance import file_digest

UNLABELLED = "sequence without a label"
"""The reason of CK+ sequences that come without an emotion file, which is no defect."""


def assign_class(
    sample: dict[str, Any], raw: str, classes: Mapping[str, str | None], findings: Findings, file: str
) -> None:
    """Fill `label` and `label_raw`; leave the sample out when its label is unknown or mapped to null."""
    raw = raw.lower()
    known = {" ".join(label.lower().split()): name for label, name in classes.items()}
    sample |= {"label_raw": raw, "label": known.get(raw) or ""}
    if raw not in known:
        findings.leave_out(sample, "unknown_label", f"label {raw[:60]!r} is not under classes", file)
    elif known[raw] is None:
        sample |= {"included": False, "reason": f"label {raw[:60]!r} is mapped to null"}


def check_images(samples: list[dict[str, Any]], root: Path, findings: Findings) -> None:
    """Decode every frame that is used, leave out the damaged ones, and look for copies.

    Only these are decoded; of a clip's other frames the headers are read when it is looked up. Decoding
    all 17,000 frames of CASME II would take minutes, and few of them are ever used.
    """
    first_seen: dict[str, str] = {}
    for sample in samples:
        path = root / sample["frame_path"]
        if not sample["included"] or path.is_dir():  # a folder: the apex is still to be spotted
            continue
        try:
            images.read_image(path)
        except UserError as error:
            why = str(error).replace(f"{root}/", "").removeprefix(f"{sample['frame_path']}: ")
            findings.leave_out(sample, "unreadable_image", why, sample["frame_path"])
            continue
        digest = file_digest(path)
        twin = first_seen.setdefault(digest, sample["sample_id"])
        if twin != sample["sample_id"]:
            action = f"both kept; the same bytes as {twin}"
            findings.add("duplicate_image", action, row=sample["sample_id"], file=sample["frame_path"])


def check_subjects(
    samples: list[dict[str, Any]], listed: list[str] | None, name: str, findings: Findings
) -> None:
    """Leave out samples of subjects that the configuration does not list, and note both differences.

    Args:
        samples: of the whole dataset; changed in place.
        listed: the subjects of the configuration; None takes every subject.
        name: of the dataset, for the key to mend.
        findings: where the defects go.
    """
    if listed is None:
        return
    present = sorted({sample["subject"] for sample in samples if sample["included"]})
    unlabelled = {sample["subject"] for sample in samples if sample["reason"] == UNLABELLED}
    remedy = f"to use what is on disk, write datasets.{name}.subjects: [{', '.join(present)}]"
    unlisted = sorted(set(present) - set(listed))
    absent = sorted(set(listed) - set(present))
    bare = [subject for subject in absent if subject in unlabelled]
    empty = [subject for subject in absent if subject not in unlabelled]
    if unlisted:
        findings.add("unlisted_subject", f"left out: {', '.join(unlisted)}; {remedy}")
    if empty:
        findings.add("absent_subject", f"nothing to use of {', '.join(empty)}; {remedy}")
    if bare:
        findings.add("unlabelled_subject", f"nothing to use of {', '.join(bare)}; {remedy}")
    for sample in samples:
        if sample["included"] and sample["subject"] in unlisted:
            sample |= {"included": False, "reason": "unlisted_subject: not in the configuration"}


def check_classes(frame: pd.DataFrame, findings: Findings) -> None:
    """Note the subjects whose samples all have one class."""
    classes = included(frame).groupby("subject")["label"].unique()
    single = [f"{subject} ({names[0]})" for subject, names in classes.items() if len(names) == 1]
    if single:
        findings.add("one_class_subject", f"kept: {', '.join(single)}; pool F1 over the folds")
