"""The doctor: what is wrong with a copy of a dataset, how bad that is, and what was done about it."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import images
from mer_core.datasets.manifest import included
from mer_core.errors import UserError

COLUMNS = ("row", "file", "defect", "severity", "action")
SEVERITIES = ("error", "warning", "ignore")

DEFECTS: dict[str, tuple[str, str]] = {
    "bad_name": (
        "error",
        "Subject or clip is not named as the dataset names them, so it cannot be looked up.",
    ),
    "leaves_root": ("error", "A path or link leads out of the dataset's folder and is not followed."),
    "unknown_label": ("error", "The label is not under `classes` in the configuration."),
    "bad_label_file": ("error", "A CK+ emotion file does not hold one of the numbers 0 to 7."),
    "duplicate_annotation": ("warning", "A row of the annotations repeats an earlier one."),
    "conflicting_annotation": ("error", "Two annotations of the same clip disagree."),
    "impossible_interval": (
        "error",
        "Onset or offset is no frame number, or the offset is not after the onset.",
    ),
    "missing_apex": ("warning", "The apex is not annotated; the rule `missing_apex` applies."),
    "degenerate_apex": ("warning", "The apex equals onset or offset; the rule `missing_apex` applies."),
    "apex_outside": ("warning", "The apex is not between onset and offset; the rule `missing_apex` applies."),
    "annotation_without_frames": ("error", "An annotated clip or image is not on disk."),
    "frames_without_annotation": ("warning", "A folder of frames that no annotation mentions."),
    "missing_apex_frame": ("error", "The frame that is to be used is not among the clip's frames."),
    "missing_onset_frame": (
        "warning",
        "The onset frame, which methods of motion start from, is not on disk.",
    ),
    "missing_offset_frame": ("warning", "The offset frame, where methods of motion end, is not on disk."),
    "frame_gaps": ("warning", "Frames are missing inside the interval."),
    "key_frames_only": ("ignore", "Of the interval, only onset, apex and offset are on disk."),
    "short_sequence": ("warning", "A CK+ sequence has fewer frames than `last_frames`."),
    "ambiguous_frames": ("warning", "Several folders of frames would do equally well."),
    "unreadable_image": ("error", "An image that is used is empty, truncated, damaged or too large."),
    "duplicate_image": ("warning", "The same file, byte by byte, stands under two samples."),
    "one_class_subject": ("warning", "All samples of a subject have one class."),
    "unlisted_subject": ("error", "Subjects with data are missing in the configuration."),
    "absent_subject": (
        "error",
        "Subjects of the configuration have no sample, so their fold would be empty.",
    ),
    "no_face": ("warning", "No step of the detector's chain found a face."),
}
"""Kind of defect -> its default severity and what it means. An error stops the run."""


class Findings:
    """Collects defects while a dataset is read.

    Args:
        severity: kind -> error, warning or ignore, where it differs from the default.

    Raises:
        UserError: an unknown kind, with the nearest known one.
    """

    def __init__(self, severity: Mapping[str, str]) -> None:
        for kind in severity:
            if kind not in DEFECTS:
                near = difflib.get_close_matches(kind, DEFECTS, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(DEFECTS)}"
                raise UserError(f"doctor.severity.{kind}: no such kind of defect; {hint}")
        self._severity = {kind: default for kind, (default, _) in DEFECTS.items()} | dict(severity)
        self._rows: list[tuple[str, ...]] = []

    def add(self, kind: str, action: str, *, row: str = "", file: str = "") -> None:
        """Note a defect.

        Args:
            kind: a key of `DEFECTS`.
            action: what was done about it, and the particulars.
            row: the sample_id, or a row of the annotations that names none.
            file: the file or folder it was seen in, with `:row` behind a table's name.
        """
        self._rows.append((row, file, kind, self._severity[kind], action))

    def leave_out(self, sample: dict[str, Any], kind: str, reason: str, file: str = "") -> None:
        """Note a defect that costs the sample."""
        self.add(kind, f"left out: {reason}", row=sample["sample_id"], file=file)
        sample |= {"included": False, "reason": reason}

    def table(self) -> pd.DataFrame:
        """All defects, errors first: text columns row, file, defect, severity, action."""
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS), dtype=str)
        return frame.sort_values(
            "severity", key=lambda s: s.map(SEVERITIES.index), kind="stable", ignore_index=True
        )


def assign_class(
    sample: dict[str, Any], raw: str, classes: Mapping[str, str | None], findings: Findings, file: str
) -> None:
    """Fill `label` and `label_raw`; leave the sample out when its label is unknown or mapped to null."""
    raw = raw.lower()
    known = {" ".join(label.lower().split()): name for label, name in classes.items()}
    sample |= {"label_raw": raw, "label": known.get(raw) or ""}
    if raw not in known:
        findings.leave_out(sample, "unknown_label", f"label {raw!r} is not under classes", file)
    elif known[raw] is None:
        sample |= {"included": False, "reason": f"the class map leaves {raw!r} out"}


def check_images(samples: list[dict[str, Any]], root: Path, findings: Findings) -> None:
    """Decode every frame that is used, leave out the damaged ones, and look for copies.

    Only these are decoded; other frames are checked by name when the clip is looked up. Decoding all
    frames of CASME II would take minutes and touch what the workflow never reads.
    """
    first_seen: dict[str, str] = {}
    for sample in samples:
        path = root / sample["frame_path"]
        if not sample["included"] or path.is_dir():  # a folder: the apex is still to be spotted
            continue
        try:
            images.read_image(path)
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ")
            findings.leave_out(sample, "unreadable_image", reason, sample["frame_path"])
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
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
    present = sorted({sample["subject"] for sample in samples if sample["included"]})
    if listed is None:
        return
    remedy = f"to use what is on disk, write datasets.{name}.subjects: [{', '.join(present)}]"
    unlisted = sorted(set(present) - set(listed))
    absent = sorted(set(listed) - set(present))
    if unlisted:
        findings.add("unlisted_subject", f"left out: {', '.join(unlisted)}; {remedy}")
    if absent:
        findings.add("absent_subject", f"nothing to use of {', '.join(absent)}; {remedy}")
    for sample in samples:
        if sample["included"] and sample["subject"] in unlisted:
            sample |= {"included": False, "reason": "the configuration does not list the subject"}


def check_classes(frame: pd.DataFrame, findings: Findings) -> None:
    """Note the subjects whose samples all have one class."""
    classes = included(frame).groupby("subject")["label"].unique()
    single = [f"{subject} ({names[0]})" for subject, names in classes.items() if len(names) == 1]
    if single:
        findings.add("one_class_subject", f"kept: {', '.join(single)}; pool F1 over the folds")


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
