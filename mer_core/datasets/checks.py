"""Checks that every dataset goes through: labels, images, subjects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import images
from mer_core.config.datasets import Dataset
from mer_core.config.names import person_key, plain_label
from mer_core.datasets import frames
from mer_core.datasets.defects import Findings, as_yaml
from mer_core.datasets.manifest import included
from mer_core.errors import Unreadable, UserError
from mer_core.provenance import file_digest

UNLABELLED = "sequence without a label"
"""The reason of CK+ sequences that come without an emotion file, which is no defect."""
CAMERA_BITS = (8, 10, 12, 14)
ON_PURPOSE = "is mapped to null"
"""How the reason of a sample ends whose label the configuration leaves out."""


def assign_class(
    sample: dict[str, Any], raw: str, classes: Mapping[str, str | None], findings: Findings, file: str
) -> None:
    """Fill `label` and `label_raw`; leave the sample out when its label is unknown or mapped to null."""
    raw = frames.plain(raw)
    known = {plain_label(label): name for label, name in classes.items()}
    sample |= {"label_raw": raw, "label": known.get(raw) or ""}
    if raw not in known:
        findings.leave_out(sample, "unknown_label", f"label {raw[:60]!r} is not under classes", file)
    elif known[raw] is None:
        sample |= {"included": False, "reason": f"label {raw[:60]!r} {ON_PURPOSE}"}


def check_images(samples: list[dict[str, Any]], root: Path, name: str, findings: Findings) -> None:
    """Decode every frame that is used, leave out the damaged ones, and look for copies and for dark depths.

    Only these are decoded; of a clip's other frames the headers are read when it is looked up. Decoding
    all 17,000 frames of CASME II would take minutes, and few of them are ever used.
    """
    first_seen: dict[str, str] = {}
    wide: dict[str, int] = {}  # frames of 16 bits that are read as such, and their largest value
    for sample in samples:
        path = root / sample["frame_path"]
        if not sample["included"] or path.is_dir():  # a folder: the apex is still to be spotted
            continue
        try:
            images.read_image(path, sample["bit_depth"])
            largest = images.largest_value(path)
        except Unreadable:
            raise
        except UserError as error:
            why = str(error).replace(f"{root}/", "").removeprefix(f"{sample['frame_path']}: ")
            why = why.replace("bit_depth: ", f"datasets.{name}.bit_depth: ")
            findings.leave_out(sample, "unreadable_image", why, sample["frame_path"])
            continue
        if largest is not None and sample["bit_depth"] is None:
            wide[sample["frame_path"]] = largest
        digest = file_digest(path)
        twin = first_seen.setdefault(digest, sample["sample_id"])
        if twin != sample["sample_id"]:
            action = f"both kept; the same bytes as {twin}"
            findings.add("duplicate_image", action, row=sample["sample_id"], file=sample["frame_path"])
    if wide and (most := max(wide.values())) < 2 ** max(CAMERA_BITS):
        bits = next(bits for bits in CAMERA_BITS if most < 2**bits)
        remedy = f"write datasets.{name}.bit_depth: {bits}"
        if not all(images.is_wide_gray(root / path) for path in wide):  # of colours it would be refused
            remedy = f"divide the colours by {2 ** (bits - 8)} and save all frames with 8 bits"
        findings.add(
            "unused_bits",
            f"no value above {most} in {len(wide)} frames of 16 bits: they come out dark; if the camera "
            f"wrote {bits} bits, {remedy}",
            file=next(iter(wide)),
        )


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
    present = {sample["subject"] for sample in samples if sample["included"]}
    reasons = {
        subject: {sample["reason"] for sample in samples if sample["subject"] == subject}
        for subject in sorted(set(listed) - present)
    }
    bare = [subject for subject, why in reasons.items() if UNLABELLED in why]
    idle = [
        subject
        for subject, why in reasons.items()
        if subject not in bare and all(reason.endswith(ON_PURPOSE) for reason in why)
    ]
    lost = [subject for subject in reasons if subject not in bare and subject not in idle]
    unlisted = sorted(present - set(listed))
    # Whoever is only lost by a defect stays listed: the defect is to be mended.
    meant = sorted({*listed, *unlisted} - {*bare, *idle})
    remedy = f"; to use what is on disk, write datasets.{name}.subjects: {as_yaml(meant)}"
    if len(meant) < 2:  # one cannot be left out of one
        remedy = ""
    if unlisted:
        findings.add("unlisted_subject", f"left out: {', '.join(unlisted)}{remedy}")
    if idle:
        findings.add("absent_subject", f"nothing to use of {', '.join(idle)}{remedy}")
    if lost:
        action = f"nothing to use of {', '.join(lost)}; mend what is said of their clips"
        findings.add("absent_subject", action)
    if bare:
        findings.add("unlabelled_subject", f"nothing to use of {', '.join(bare)}{remedy}")
    for sample in samples:
        if sample["included"] and sample["subject"] in unlisted:
            sample |= {"included": False, "reason": "unlisted_subject: not in the configuration"}


def check_names(samples: list[dict[str, Any]], findings: Findings) -> None:
    """Note subjects in use whose names may be spellings of one: whoever counts as two people leaks."""
    found: dict[str, set[str]] = defaultdict(set)
    for subject in (sample["subject"] for sample in samples if sample["included"]):
        found[person_key(subject)].add(subject)
    for names in found.values():
        if len(names) > 1:
            action = f"counted as {len(names)} people: {', '.join(sorted(names))}; give one person one name"
            findings.add("similar_subjects", action)


def check_links(root: frames.Root, name: str, findings: Findings) -> None:
    """Note the links that were met while reading and not followed."""
    first = next(iter({**root.refused, **root.broken}), root.path)
    for line in frames.describe_links(root, name):
        findings.add("leaves_root", line, file=root.relative(first))


def check_classes(frame: pd.DataFrame, settings: Dataset, name: str, findings: Findings) -> None:
    """Note classes without samples, and the subjects whose samples all have one class."""
    used = included(frame)
    absent = [one for one in settings.class_names if one not in set(used["label"])] if len(used) else []
    lost = frame["label"].value_counts().reindex(absent, fill_value=0)
    for missing, count in lost[lost > 0].items():
        reasons = frame.loc[frame["label"] == missing, "reason"]
        if reasons.str.startswith("unlisted_subject").all():
            findings.add("unlisted_class", f"all {count} samples of '{missing}' are of subjects not listed")
        else:
            what = f"all {count} samples of '{missing}' are left out; mend what is said of them"
            findings.add("absent_class", what)
    if unsaid := [missing for missing in absent if not lost[missing]]:
        what = f"no annotation says {', '.join(map(repr, unsaid))}; "
        if len(settings.class_names) - len(unsaid) < 2:
            what += "see that root and classes fit each other"
        else:
            kept = {label: None if one in unsaid else one for label, one in settings.classes.items()}
            what += f"to do without, write datasets.{name}.classes: {as_yaml(kept)}"
        findings.add("absent_class", what)
    classes = used.groupby("subject")["label"].unique()
    if not settings.has_subjects:
        return
    single = [f"{subject} ({names[0]})" for subject, names in classes.items() if len(names) == 1]
    if single:
        findings.add("one_class_subject", f"kept: {', '.join(single)}; pool F1 over the folds")
