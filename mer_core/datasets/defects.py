"""The kinds of defect that a copy of a dataset can have, and the list of those found."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from mer_core.errors import UserError

COLUMNS = ("row", "file", "defect", "severity", "action")
SEVERITIES = ("error", "warning", "ignore")

DEFECTS: dict[str, tuple[str, str]] = {
    "bad_name": (
        "error",
        "Subject or clip is not named as the dataset names them, so it cannot be looked up.",
    ),
    "leaves_root": (
        "error",
        "A path or link leads out of the dataset's folder, or nowhere, and is not followed.",
    ),
    "unknown_label": ("error", "The label is not under `classes` in the configuration."),
    "bad_label_file": ("error", "A file of labels does not hold one of the numbers that its dataset has."),
    "duplicate_annotation": ("warning", "A row of the annotations repeats an earlier one."),
    "conflicting_annotation": ("error", "Two annotations of the same clip disagree."),
    "contradicted_label": (
        "warning",
        "Folder, table and name of a clip disagree on its label: the name's counts, else the table's.",
    ),
    "several_labels": ("warning", "A clip has several labels; the first one is used."),
    "other_person": (
        "error",
        "A clip lies among those of a person other than the one that its own name tells, who counts.",
    ),
    "similar_subjects": (
        "error",
        "Names of subjects differ in case or in leading zeros alone; of one person, it would leak.",
    ),
    "impossible_interval": (
        "error",
        "Onset or offset is no frame number, the offset is not after the onset, or far after it.",
    ),
    "repaired_interval": (
        "warning",
        "Onset, apex and offset are out of order in the table; another one of the copy has them in order.",
    ),
    "missing_offset": ("warning", "The offset is not annotated; the rule `missing_offset` applies."),
    "missing_apex": ("warning", "The apex is not annotated; the rule `missing_apex` applies."),
    "unreadable_apex": ("error", "The apex is annotated, but not as the number of a frame alone."),
    "degenerate_apex": ("warning", "The apex equals onset or offset; the rule `missing_apex` applies."),
    "apex_outside": ("warning", "The apex is not between onset and offset; the rule `missing_apex` applies."),
    "annotation_without_frames": ("error", "An annotated clip or image is not on disk."),
    "frames_without_annotation": ("warning", "A folder of frames that no annotation mentions."),
    "unused_place": ("ignore", "A folder holds clips that are taken from a better one."),
    "unused_frames": ("warning", "A folder that is not used has frames that lack in the one that is."),
    "split_clip": (
        "error",
        "Several folders hold frames of one clip, and its first and last frame depend on which is meant.",
    ),
    "mixed_kinds": (
        "warning",
        "Clips that are not whole where the others are come from frames of another kind.",
    ),
    "renumbered_frames": ("error", "A clip's files are counted anew, so the annotated numbers name others."),
    "missing_apex_frame": ("error", "The frame that is to be used is not among the clip's frames."),
    "missing_onset_frame": (
        "warning",
        "The onset frame, which methods of motion start from, is not on disk.",
    ),
    "missing_offset_frame": ("warning", "The offset frame, where methods of motion end, is not on disk."),
    "frame_gaps": ("warning", "Frames are missing inside the interval."),
    "key_frames_only": ("ignore", "Of the interval, only onset, apex and offset are on disk."),
    "frames_after_peak": (
        "warning",
        "A CK+ sequence goes on after the labelled frame; what comes after is not used.",
    ),
    "short_sequence": ("warning", "A sequence has fewer frames than `last_frames`."),
    "ambiguous_frames": ("warning", "Several folders, or files of one number, would do equally well."),
    "ambiguous_apex_frame": ("error", "Several files that differ would do for the frame that is to be used."),
    "unreadable_image": ("error", "An image that is used is empty, truncated, damaged or too large."),
    "unreadable_frame": ("warning", "Another frame of a used clip is empty or no image, by its header."),
    "unused_bits": (
        "warning",
        "Frames of 16 bits never use the upper ones and come out dark; `bit_depth` tells what was meant.",
    ),
    "duplicate_image": ("warning", "The same file, byte by byte, stands under two samples."),
    "absent_class": ("error", "A class of the configuration has no sample."),
    "unlisted_class": ("warning", "A class has samples of subjects alone that the configuration leaves out."),
    "one_class_subject": ("warning", "All samples of a subject have one class."),
    "unlisted_subject": ("error", "Subjects with data are missing in the configuration."),
    "absent_subject": (
        "error",
        "Subjects of the configuration have no sample; their fold would be empty.",
    ),
    "unlabelled_subject": ("warning", "CK+ subjects of the configuration have no labelled sequence."),
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
        texts = (row, file, kind, self._severity[kind], action)
        # Names of files may hold line breaks, or bytes that are no text at all.
        self._rows.append(tuple("".join(c if c.isprintable() else "?" for c in text) for text in texts))

    def leave_out(self, sample: dict[str, Any], kind: str, why: str, file: str = "") -> None:
        """Note a defect that costs the sample; the sample's reason is the kind and why."""
        self.add(kind, f"left out: {why}", row=sample["sample_id"], file=file)
        sample |= {"included": False, "reason": f"{kind}: {why}"}

    def table(self) -> pd.DataFrame:
        """All defects, errors first: text columns row, file, defect, severity, action."""
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS), dtype=str)
        return frame.sort_values(
            "severity", key=lambda s: s.map(SEVERITIES.index), kind="stable", ignore_index=True
        )


def as_yaml(value: Any) -> str:
    """A list or mapping as it is written in a configuration, names quoted where they must be."""
    options = {"default_flow_style": True, "allow_unicode": True, "width": 10**6, "sort_keys": False}
    return yaml.safe_dump(value, **options).strip()
