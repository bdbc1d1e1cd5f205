"""CASME II: clips of numbered frames in one of several trees, and a workbook that annotates them.

Yan et al., CASME II: An improved spontaneous micro-expression database, PLoS ONE 9(1), 2014.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config import CASME2_SUBJECTS, SIMULATED, Casme2
from mer_core.datasets import frames, workbook
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.manifest import new_sample
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
# `auto` prefers, among trees that hold equally many of the annotated clips, the whole head at the
# size of the interval: on the tight crops the detector misses about half of the faces, and the raw
# recordings hold the same frames among many more.
TREE_KINDS = ("raw_selected", "raw", "cropped")
_SUBJECT = re.compile(r"(?:sub)?0*([1-9][0-9]?)(?:\.0)?", re.IGNORECASE)
_CLIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Tree:
    """One set of frames: <folder>/<subject>/<clip>/<frames>."""

    folder: Path
    kind: str
    clips: dict[tuple[str, str], Path] = field(default_factory=dict)  # (subject, clip in lower case)


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
    tree = _choose_tree(name, settings, samples, _find_trees(root, findings), root, findings)
    for sample in samples:
        if sample["included"]:
            _find_frames(sample, settings, tree, root, findings)
    annotated = {(sample["subject"], sample["clip"].lower()) for sample in samples}
    for key, folder in tree.clips.items():
        if key not in annotated:
            findings.add("frames_without_annotation", "not used", file=_relative(folder, root))
    return samples


def list_subjects(settings: Casme2, root: Path) -> list[str]:
    """The configured subjects; without any, the 26 of the released set, or the simulated ones."""
    if settings.subjects is not None:
        return settings.subjects
    if settings.root != SIMULATED:
        return list(CASME2_SUBJECTS)
    trees = _find_trees(root, Findings({}))
    return sorted({subject for tree in trees for subject, _ in tree.clips})


def clip_frames(root: Path, row: pd.Series) -> dict[int, Path]:
    """The frames of a clip from onset to offset.

    Args:
        root: the dataset's folder.
        row: of the manifest, a CASME II sample.

    Returns:
        Frame number -> file, ascending. Numbers may have gaps.

    Raises:
        UserError: the folder is gone, or lies outside of the root.
    """
    path = Path(root) / row["frame_path"]
    folder = path if pd.isna(row["apex"]) else path.parent
    resolved = Path(root).resolve()
    if not folder.is_dir() or not frames.is_inside(folder, resolved):
        raise UserError(f"{folder}: the clip's folder is gone; put it back or run the doctor again")
    numbered = frames.list_frames(folder, resolved)
    return {number: file for number, file in numbered.items() if row["onset"] <= number <= row["offset"]}


def _find_table(name: str, settings: Casme2, root: Path) -> Path:
    if settings.workbook is not None:
        return root / settings.workbook
    # The root may be a folder of frames inside the dataset's, so the table may lie above it.
    nearby = [root, *(folder for folder in frames.walk(root, _has_clips, lambda _: None) if folder != root)]
    for folders in (nearby, [root.parent], [root.parent.parent]):
        tables = [path for folder in folders for path in sorted(folder.iterdir()) if _may_be_table(path)]
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


def _may_be_table(path: Path) -> bool:
    lower = path.name.lower()
    named = "casme" in lower and "objective" not in lower and not lower.startswith((".", "~"))
    return named and path.suffix.lower() in workbook.SUFFIXES and path.is_file()


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
        subject, clip = _SUBJECT.fullmatch(cells["subject"]), _CLIP.fullmatch(cells["clip"])
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
            _check_interval(sample, cells["apex"], settings.missing_apex, where, findings)
    return list(samples.values())


def _check_interval(
    sample: dict[str, Any], apex_cell: str, rule: str, where: str, findings: Findings
) -> None:
    """Refuse impossible intervals; empty an apex that cannot be one, so that the rule applies."""
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    if onset is None or offset is None or offset <= onset:
        findings.leave_out(sample, "impossible_interval", f"onset {onset}, offset {offset}", where)
        return
    sample["apex_source"] = "annotated"
    if apex is not None and onset < apex < offset:
        return
    kind = (
        "missing_apex" if apex is None else "degenerate_apex" if apex in (onset, offset) else "apex_outside"
    )
    shown = f"apex {apex_cell!r} in {onset}..{offset}"
    sample |= {"apex": None, "apex_source": "none"}
    if rule == "drop":
        findings.leave_out(sample, kind, f"{shown}, rule 'drop'", where)
    else:
        findings.add(kind, f"rule '{rule}' applied: {shown}", row=sample["sample_id"], file=where)


def _find_trees(root: Path, findings: Findings) -> list[Tree]:
    def report(link: Path) -> None:
        findings.add("leaves_root", "not followed", file=_relative(link, root))

    clips: dict[Path, dict[tuple[str, str], Path]] = defaultdict(dict)
    for folder in frames.walk(root, _has_clips, report):
        if _has_clips(folder):
            subject = f"sub{int(_SUBJECT.fullmatch(folder.name)[1]):02d}"
            for clip in frames.subfolders(folder, root, report):
                clips[folder.parent][subject, clip.name.strip().lower()] = clip
    return [Tree(folder, _kind(folder, found, root), found) for folder, found in clips.items()]


def _has_clips(folder: Path) -> bool:
    """Whether a folder is a subject's: named as one, and images lie one folder further down."""
    if not _SUBJECT.fullmatch(folder.name):
        return False
    return any(
        frames.frame_number(file.name) is not None
        for clip in folder.iterdir()
        if clip.is_dir() and not clip.is_symlink()
        for file in clip.iterdir()
    )


def _kind(folder: Path, clips: dict[tuple[str, str], Path], root: Path) -> str:
    """What a tree holds, told by the innermost folder name that says so, else by the file names."""
    for part in reversed((root.name, *folder.relative_to(root).parts)):
        for word, kind in (("crop", "cropped"), ("select", "raw_selected"), ("raw", "raw")):
            if word in part.lower():
                return kind
    names = (file.name for clip in clips.values() for file in clip.iterdir())
    return "cropped" if any(name.lower().startswith("reg_") for name in names) else "raw_selected"


def _choose_tree(
    name: str,
    settings: Casme2,
    samples: list[dict[str, Any]],
    trees: list[Tree],
    root: Path,
    findings: Findings,
) -> Tree:
    """The tree that holds the most of the annotated frames: releases differ in their numbering."""
    found = ", ".join(f"{tree.kind} in {_relative(tree.folder, root)}" for tree in trees)
    wanted = [tree for tree in trees if settings.frames in ("auto", tree.kind)]
    if not trees:
        raise UserError(
            f"{root}: no frames (sub01/EP02_01f/img46.jpg or reg_img46.jpg, at any depth; links that leave "
            f"the folder are not followed); set datasets.{name}.root to your copy"
        )
    if not wanted:
        raise UserError(
            f"{root}: no tree of kind '{settings.frames}', found {found}; change datasets.{name}.frames"
        )

    def rank(tree: Tree) -> tuple[int, int]:
        return -_count_held(samples, tree, root), TREE_KINDS.index(tree.kind)

    best = min(wanted, key=rank)
    rivals = [_relative(t.folder, root) for t in wanted if t is not best and rank(t) == rank(best)]
    if rivals:
        used = _relative(best.folder, root)
        findings.add(
            "ambiguous_frames", f"used rather than {', '.join(rivals)}; set root to choose", file=used
        )
    return best


def _count_held(samples: list[dict[str, Any]], tree: Tree, root: Path) -> int:
    """How many included samples have their apex, or at least their folder, in a tree."""
    count = 0
    for sample in samples:
        folder = tree.clips.get((sample["subject"], sample["clip"].lower()))
        if sample["included"] and folder is not None:
            count += sample["apex"] is None or sample["apex"] in frames.list_frames(folder, root)
    return count


def _find_frames(
    sample: dict[str, Any], settings: Casme2, tree: Tree, root: Path, findings: Findings
) -> None:
    """Fill `frame_path` (and the midpoint's apex), and hold the interval against the disk."""
    folder = tree.clips.get((sample["subject"], sample["clip"].lower()))
    where = _relative(folder or tree.folder, root)
    if folder is None:
        findings.leave_out(sample, "annotation_without_frames", "no folder of frames", where)
        return
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    on_disk = frames.list_frames(folder, root)
    inside = [number for number in on_disk if onset <= number <= offset]
    between = [number for number in inside if onset < number < offset]
    if apex is None and settings.missing_apex == "midpoint" and between:
        apex = min(between, key=lambda number: (abs(2 * number - onset - offset), number))
        sample |= {"apex": apex, "apex_source": "midpoint"}
    if apex not in on_disk if apex is not None else not between:
        what = f"frames between {onset} and {offset}" if apex is None else f"frame {apex}"
        findings.leave_out(sample, "missing_apex_frame", f"no {what} on disk", where)
        return
    sample["frame_path"] = _relative(folder if apex is None else on_disk[apex], root)
    _check_interval_on_disk(sample, inside, where, findings)


def _check_interval_on_disk(
    sample: dict[str, Any], inside: list[int], where: str, findings: Findings
) -> None:
    row, onset, apex, offset = (sample[key] for key in ("sample_id", "onset", "apex", "offset"))
    for kind, number in (("missing_onset_frame", onset), ("missing_offset_frame", offset)):
        if number not in inside:
            findings.add(kind, f"sample kept; frame {number}", row=row, file=where)
    missing = sorted(set(range(onset + 1, offset)) - set(inside))
    if not missing:
        return
    # A copy reduced to the key frames is meant so; where an apex must be found among them it matters.
    if apex is not None and set(inside) <= {onset, apex, offset}:
        findings.add("key_frames_only", "sample kept", row=row, file=where)
    else:
        findings.add(
            "frame_gaps", f"sample kept; {len(missing)} missing, first {missing[0]}", row=row, file=where
        )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
