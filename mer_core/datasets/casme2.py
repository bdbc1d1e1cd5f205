"""CASME II: clips of numbered frames in one of several trees, and a workbook that annotates them.

Yan et al., CASME II: An improved spontaneous micro-expression database, PLoS ONE 9(1), 2014.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core import images
from mer_core.config.datasets import SIMULATED
from mer_core.config.layouts.casme2 import Casme2
from mer_core.datasets import frames, workbook
from mer_core.datasets.casme2_trees import SUBJECT, Tree, choose_tree, clip_key, find_trees, has_clips
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.errors import UserError

COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name", "Clip", "Video"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "action_units": ("Action Units", "Action Unit", "AUs", "AU"),
    "label": ("Estimated Emotion", "Emotion", "Label"),
}
SETTINGS = Casme2
# The released CASME2-coding-20140508.xlsx: 255 clips (the 2014 article counts 247), 246 of them under the
# five labels that the paper's experiment uses.
PUBLISHED = Published(
    labels={
        **{"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25},
        **{"sadness": 7, "fear": 2},
    },
    subjects=tuple(f"sub{n:02d}" for n in range(1, 27)),
    clips_per_subject={
        frozenset({"others", "disgust", "happiness", "repression", "surprise"}): (
            *(9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8),
            *(4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 7, 7, 16),
        )
    },
)
_CLIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def read(name: str, settings: Casme2, root: Path, findings: Findings) -> list[dict[str, Any]]:
    """One sample per annotated clip: its apex frame.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside, resolved.
        findings: where defects go.

    Returns:
        Manifest rows, in the order of the table.

    Raises:
        UserError: there is no annotation table or no tree of frames, or it cannot be chosen.
    """
    table_path = _find_table(name, settings, root)
    table = workbook.read_table(table_path, COLUMNS, optional=["action_units"])
    samples = _annotations(name, settings, table, table_path.name, findings)
    wanted = [(sample["subject"], sample["clip"], sample["apex"]) for sample in samples if sample["included"]]
    tree = choose_tree(name, settings.frames, wanted, find_trees(root, findings), findings)
    for sample in samples:
        if sample["included"]:
            _find_frames(sample, settings.missing_apex, tree, findings)
    annotated = {clip_key(sample["subject"], sample["clip"]) for sample in samples}
    for key, folder in tree.clips.items():
        if key not in annotated:
            findings.add("frames_without_annotation", "not used", file=tree.relative(folder))
    return samples


def list_subjects(settings: Casme2, root: Path) -> list[str]:
    """The 26 of the released set, whatever of it is there; of a simulated copy, those on disk."""
    if settings.root != SIMULATED:
        return list(PUBLISHED.subjects)
    trees = find_trees(root, Findings({}))
    return sorted({subject for tree in trees for subject, _ in tree.clips})


def _find_table(name: str, settings: Casme2, root: Path) -> Path:
    if settings.workbook is not None:
        return root / settings.workbook
    # The root may be a folder of frames inside the dataset's, so the table may lie above it.
    nearby = [root, *(folder for folder in frames.walk(root, has_clips, lambda _: None) if folder != root)]
    for folders in (nearby, [root.parent], [root.parent.parent]):
        top = folders[0]
        tables = [path for folder in folders for path in sorted(folder.iterdir()) if _may_be_table(path, top)]
        if len(tables) == 1:
            return tables[0]
        fitting = [path for path in tables if _fits(path)]
        if len(fitting) == 1:
            return fitting[0]
        if tables:
            found = ", ".join(path.name for path in fitting or tables)
            raise UserError(
                f"{root}: which table annotates the clips? found {found}; name it in datasets.{name}.workbook"
            )
    raise UserError(
        f"{root}: no annotation table (CASME2-coding-*.xlsx); put it there or set datasets.{name}.workbook"
    )


def _may_be_table(path: Path, top: Path) -> bool:
    lower = path.name.lower()
    named = "casme" in lower and "objective" not in lower and not lower.startswith((".", "~"))
    return (
        named and path.suffix.lower() in workbook.SUFFIXES and path.is_file() and frames.is_inside(path, top)
    )


def _fits(path: Path) -> bool:
    try:
        workbook.read_table(path, COLUMNS, optional=["action_units"])
    except UserError:
        return False
    return True


def _annotations(
    name: str, settings: Casme2, table: pd.DataFrame, file: str, findings: Findings
) -> list[dict[str, Any]]:
    """A manifest row for every row of the table that names a clip."""
    samples: dict[str, dict[str, Any]] = {}
    written: dict[str, tuple[str, ...]] = {}
    for number, cells in table.iterrows():
        where = f"{file}:{number}"
        subject, clip = SUBJECT.fullmatch(cells["subject"]), _CLIP.fullmatch(cells["clip"])
        if subject is None or clip is None:
            shown = f"subject {cells['subject'][:40]!r}, clip {cells['clip'][:40]!r}"
            findings.add("bad_name", f"left out: {shown}", row=f"row {number}", file=where)
            continue
        numbers = {key: workbook.whole_number(cells[key]) for key in ("onset", "apex", "offset")}
        sample = new_sample(
            name, f"sub{int(subject[1]):02d}", cells["clip"], action_units=cells["action_units"]
        )
        sample |= numbers
        key = sample["sample_id"].lower()
        content = tuple(cells[["onset", "apex", "offset", "label"]].str.lower())
        if key in samples:
            same = content == written[key]
            kind = "duplicate_annotation" if same else "conflicting_annotation"
            findings.add(kind, "the earlier row is used", row=sample["sample_id"], file=where)
            continue
        samples[key], written[key] = sample, content
        assign_class(sample, cells["label"], settings.classes, findings, where)
        if sample["included"]:
            _check_interval(sample, cells, settings.missing_apex, where, findings)
    return list(samples.values())


def _check_interval(
    sample: dict[str, Any], cells: pd.Series, rule: str, where: str, findings: Findings
) -> None:
    """Refuse impossible intervals; empty an apex that cannot be one, so that the rule applies."""
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    if onset is None or offset is None or offset <= onset:
        findings.leave_out(
            sample, "impossible_interval", f"onset {cells['onset']!r}, offset {cells['offset']!r}", where
        )
        return
    sample["apex_source"] = "annotated"
    if apex is not None and onset < apex < offset:
        return
    kind = (
        "missing_apex" if apex is None else "degenerate_apex" if apex in (onset, offset) else "apex_outside"
    )
    shown = f"apex {cells['apex']!r} in {onset}..{offset}"
    sample |= {"apex": None, "apex_source": "none"}
    if rule == "drop":
        findings.leave_out(sample, kind, f"{shown}, rule 'drop'", where)
    else:
        findings.add(kind, f"rule '{rule}' applied: {shown}", row=sample["sample_id"], file=where)


def _find_frames(sample: dict[str, Any], rule: str, tree: Tree, findings: Findings) -> None:
    """Fill `frame_path` (and the midpoint's apex), and hold the interval against the disk."""
    folder = tree.clips.get(clip_key(sample["subject"], sample["clip"]))
    if folder is None:
        where = tree.relative(tree.folder)
        findings.leave_out(sample, "annotation_without_frames", "no folder of frames", where)
        return
    where = tree.relative(folder)
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    on_disk, passed_over = tree.frames(folder)
    if passed_over:
        action = f"passed over: {', '.join(passed_over[:5])}"
        findings.add("ambiguous_frames", action, row=sample["sample_id"], file=where)
    between = [number for number in on_disk if onset < number < offset]
    if apex is None and rule == "midpoint" and between:
        apex = min(between, key=lambda number: (abs(2 * number - onset - offset), number))
        sample |= {"apex": apex, "apex_source": "midpoint"}
    if not (between if apex is None else apex in on_disk):
        what = f"frame between {onset} and {offset}" if apex is None else f"frame {apex}"
        findings.leave_out(sample, "missing_apex_frame", f"no {what} on disk", where)
        return
    sample["frame_path"] = tree.relative(folder if apex is None else on_disk[apex])
    inside = {number: file for number, file in on_disk.items() if onset <= number <= offset}
    _check_numbers(sample, inside, where, findings)
    _check_headers(sample, inside, where, findings)


def _check_numbers(sample: dict[str, Any], inside: dict[int, Path], where: str, findings: Findings) -> None:
    row, onset, apex, offset = (sample[key] for key in ("sample_id", "onset", "apex", "offset"))
    for kind, number in (("missing_onset_frame", onset), ("missing_offset_frame", offset)):
        if number not in inside:
            findings.add(kind, f"sample kept; frame {number}", row=row, file=where)
    # Counted without making the numbers: a mistyped offset may be a thousand million frames away.
    missing = offset - onset - 1 - sum(onset < number < offset for number in inside)
    # A copy reduced to the key frames is meant so; where an apex must be found among them it matters.
    if missing and set(inside) <= {onset, apex, offset}:
        findings.add("key_frames_only", "sample kept", row=row, file=where)
    elif missing:
        action = f"sample kept; {missing} missing, first {frames.first_gap(inside, onset + 1)}"
        findings.add("frame_gaps", action, row=row, file=where)


def _check_headers(sample: dict[str, Any], inside: dict[int, Path], where: str, findings: Findings) -> None:
    """Note frames of the interval that are empty or no images; the used one is decoded later."""
    unreadable = []
    for number, file in inside.items():
        try:
            images.image_size(file)
        except UserError:
            if number != sample["apex"]:
                unreadable.append(file.name)
    if unreadable:
        action = f"sample kept; {len(unreadable)} of {len(inside)}, first {unreadable[0]}"
        findings.add("unreadable_frame", action, row=sample["sample_id"], file=where)
