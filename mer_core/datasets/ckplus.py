"""CK+: sequences from neutral to peak, as the original tree or as the seven folders of CK+48.

Lucey et al., The Extended Cohn-Kanade Dataset (CK+), CVPR Workshops, 2010.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mer_core.config.layouts.ckplus import Ckplus
from mer_core.datasets import frames
from mer_core.datasets.checks import UNLABELLED, assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.errors import UserError

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""Labels by the number in an emotion file (ReadMe of CK+)."""

_FILE = re.compile(
    r"(?P<subject>S[0-9]{3})_(?P<clip>[0-9]{3})_(?P<frame>[0-9]{1,9})(?P<rest>_emotion\.txt|\.\w+)"
)
Key = tuple[str, str]  # subject, sequence


@dataclass(frozen=True)
class Label:
    """The label of a sequence and where it stands."""

    raw: str | None  # None: the file holds no code
    peak: int | None  # the frame that an emotion file is named after
    file: Path


@dataclass(frozen=True)
class Copy:
    """What lies on disk: the frames of every sequence and its labels."""

    sequences: dict[Key, dict[int, Path]] = field(default_factory=lambda: defaultdict(dict))
    labels: dict[Key, list[Label]] = field(default_factory=lambda: defaultdict(list))


SETTINGS = Ckplus
# Labelled sequences: 327 of 593, of 118 of 123 subjects (Lucey et al. 2010).
PUBLISHED = Published(
    labels={
        **{"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28},
        "surprise": 83,
    }
)


def read(name: str, settings: Ckplus, root: Path, findings: Findings) -> list[dict[str, Any]]:
    """One sample per used frame: the last `last_frames` of each labelled sequence.

    Sequences without a label, two fifths of CK+, stay as one left-out row each; they are no defect.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside, resolved.
        findings: where defects go.

    Returns:
        Manifest rows by subject, sequence and frame.

    Raises:
        UserError: there are no frames, or no labels.
    """
    copy = _find_copy(name, root, findings)
    keys = sorted(copy.sequences.keys() | copy.labels.keys())
    return [sample for key in keys for sample in _read_sequence(name, settings, key, copy, root, findings)]


def list_subjects(settings: Ckplus, root: Path) -> list[str]:
    """The subjects on disk that have at least one labelled sequence of a class in use."""
    samples = read("ckplus", settings, root, Findings({}))
    return sorted({sample["subject"] for sample in samples if sample["included"]})


def _find_copy(name: str, root: Path, findings: Findings) -> Copy:
    def report(link: Path) -> None:
        findings.add("leaves_root", "not followed", file=link.relative_to(root).as_posix())

    originals: dict[Path, Copy] = defaultdict(Copy)
    reduced: dict[Path, Copy] = defaultdict(Copy)
    labels: dict[Key, list[Label]] = defaultdict(list)
    for folder in frames.walk(root, lambda _: False, report):
        for key, numbered, found in _scan(folder, root):
            if found:
                labels[key] += found
            if numbered and folder.name == key[1] and folder.parent.name.upper() == key[0]:
                originals[folder.parent.parent].sequences[key] |= numbered
            elif numbered:
                tree = reduced[folder.parent]
                tree.sequences[key] |= numbered
                tree.labels[key].append(Label(folder.name.lower(), None, folder))
    if not originals and not reduced:
        raise UserError(
            f"{root}: no frames (S005/001/S005_001_00000011.png, or folders of CK+48 such as "
            f"happy/S010_004_00000017.png); set datasets.{name}.root to your copy"
        )
    if originals and not labels:
        labels = _labels_beside(root)
    if originals and labels:
        chosen = _fullest(originals, root, findings)
        return Copy(chosen.sequences, labels)
    if reduced:
        return _fullest(reduced, root, findings)
    raise UserError(f"{root}: frames, but no S005_001_00000011_emotion.txt; unzip Emotion_labels.zip there")


def _scan(folder: Path, root: Path) -> list[tuple[Key, dict[int, Path], list[Label]]]:
    """What one folder holds of each sequence: frames by number, and emotion files."""
    numbered: dict[Key, dict[int, Path]] = defaultdict(dict)
    labels: dict[Key, list[Label]] = defaultdict(list)
    for file in sorted(folder.iterdir(), key=lambda path: path.name):
        match = _FILE.fullmatch(file.name)
        if match is None or not file.is_file() or (file.is_symlink() and not frames.is_inside(file, root)):
            continue
        key, frame = (match["subject"], match["clip"]), int(match["frame"])
        if match["rest"] == "_emotion.txt":
            labels[key].append(Label(parse_label(file), frame, file))
        elif file.suffix.lower() in frames.IMAGE_SUFFIXES:
            numbered[key][frame] = file
    return [(key, numbered[key], labels[key]) for key in sorted(numbered.keys() | labels.keys())]


def parse_label(file: Path) -> str | None:
    """The label in an emotion file, which holds one float such as '   3.0000000e+00'.

    Returns:
        An entry of `CODES`, or None when the file does not hold one of 0 to 7.
    """
    try:
        with file.open("rb") as opened:
            code = float(opened.read(100).decode("ascii"))
    except (OSError, ValueError):
        return None
    return CODES[int(code)] if code in range(len(CODES)) else None


def _labels_beside(root: Path) -> dict[Key, list[Label]]:
    """Emotion files next to a root that is the image folder of the dataset."""
    labels: dict[Key, list[Label]] = defaultdict(list)
    for above in (root.parent, root.parent.parent):
        for folder in frames.subfolders(above, above, lambda _: None):
            if "emotion" in folder.name.lower():
                for inner in frames.walk(folder, lambda _: False, lambda _: None):
                    for key, _, found in _scan(inner, folder):
                        labels[key] += found
        if labels:
            break
    return {key: found for key, found in labels.items() if found}


def _fullest(trees: dict[Path, Copy], root: Path, findings: Findings) -> Copy:
    ranked = sorted(trees, key=lambda folder: -len(trees[folder].sequences))
    most = len(trees[ranked[0]].sequences)
    rivals = [f.relative_to(root).as_posix() for f in ranked[1:] if len(trees[f].sequences) == most]
    if rivals:
        used = ranked[0].relative_to(root).as_posix()
        findings.add(
            "ambiguous_frames", f"used rather than {', '.join(rivals)}; set root to choose", file=used
        )
    return trees[ranked[0]]


def _read_sequence(
    name: str, settings: Ckplus, key: Key, copy: Copy, root: Path, findings: Findings
) -> list[dict[str, Any]]:
    subject, clip = key
    numbered = copy.sequences.get(key, {})
    labels = copy.labels.get(key, [])
    whole = new_sample(name, subject, clip, sample_id=f"{name}/{subject}_{clip}")
    where = _shown(labels[0].file, root) if labels else ""
    if not labels:
        return [whole | {"included": False, "reason": UNLABELLED}]
    label = labels[0]
    if len({other.raw for other in labels}) > 1:
        said = ", ".join(f"{other.raw} in {_shown(other.file, root)}" for other in labels)
        findings.leave_out(whole, "conflicting_annotation", said, where)
    elif label.raw is None:
        findings.leave_out(whole, "bad_label_file", "the emotion file holds no code from 0 to 7", where)
    elif not numbered:
        findings.leave_out(whole, "annotation_without_frames", "no frames of the sequence", where)
    elif label.peak is not None and label.peak not in numbered:
        findings.leave_out(whole, "missing_apex_frame", f"frame {label.peak}, which is labelled", where)
    if not whole["included"]:
        return [whole]
    chosen = sorted(numbered)[-settings.last_frames :]
    _check_numbers(whole["sample_id"], settings, chosen, where, findings)
    samples = []
    for number in chosen:
        file = numbered[number]
        sample = whole | {"sample_id": f"{name}/{file.stem}", "frame_path": _shown(file, root)}
        assign_class(sample, label.raw, settings.classes, findings, where)
        samples.append(sample)
    return samples


def _check_numbers(row: str, settings: Ckplus, chosen: list[int], where: str, findings: Findings) -> None:
    """Only the frames in use matter: copies without the sequence's beginning are common."""
    if len(chosen) < settings.last_frames:
        findings.add("short_sequence", f"the {len(chosen)} frames there are", row=row, file=where)
    missing = chosen[-1] - chosen[0] + 1 - len(chosen)
    if missing:
        action = f"kept; {missing} missing, first {frames.first_gap(chosen, chosen[0])}"
        findings.add("frame_gaps", action, row=row, file=where)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
