"""CK+: sequences from neutral to peak, as the original tree or as the seven folders of CK+48.

Lucey et al., The Extended Cohn-Kanade Dataset (CK+), CVPR Workshops, 2010.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from mer_core.config.layouts.ckplus import Ckplus
from mer_core.datasets import frames
from mer_core.datasets.checks import UNLABELLED, assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.errors import UserError
from mer_core.provenance import file_digest

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""Labels by the number in an emotion file (ReadMe of CK+)."""

_SEQUENCE = re.compile(r"(S[0-9]{3})[/_]([0-9]{3})", re.IGNORECASE)  # at the end of a folder's path
_FILE = re.compile(
    r"(?P<subject>S[0-9]{3})_(?P<clip>[0-9]{3})_(?P<frame>[0-9]{1,9})(?P<rest>_emotion\.txt|\.\w+)",
    re.IGNORECASE,
)
Key = tuple[str, str]  # subject, sequence


@dataclass(frozen=True)
class Label:
    """The label of a sequence and where it stands."""

    raw: str | None  # None: the file holds no code
    peak: int | None  # the frame that an emotion file is named after
    file: Path


@dataclass(frozen=True)
class Sequence:
    """One sequence, put together of all folders of one form (original or CK+48) that hold frames of it.

    Attributes:
        files: frame number -> the files of that number, the one to use first.
        labels: all there are.
    """

    files: dict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))
    labels: list[Label] = field(default_factory=list)

    @property
    def is_usable(self) -> bool:
        """Whether there are frames and a label, and the labelled frame is one of them."""
        peaks = {label.peak for label in self.labels} - {None}
        return bool(self.files and self.labels) and peaks <= self.files.keys()


NEUTRAL = 1  # number of a sequence's first frame, on which the face is neutral
SETTINGS = Ckplus
# Labelled sequences: 327 of 593, of 118 of 123 subjects (Lucey et al. 2010).
PUBLISHED = Published(
    labels={
        **{"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28},
        "surprise": 83,
    }
)


def read(name: str, settings: Ckplus, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per used frame: the last `last_frames` of each labelled sequence, up to the labelled one.

    Frames are taken from wherever they lie. Where a sequence is there in the original form and as CK+48, the
    original is used if it is whole. Sequences without a label, two fifths of CK+, stay as one left-out row
    each; they are no defect.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by subject, sequence and frame.

    Raises:
        UserError: there are no frames, or no labels.
    """
    forms = dict(zip(("original", "CK+48"), _find_sequences(name, settings, root, findings), strict=True))
    whole = {form: sum(one.is_usable for one in found.values()) for form, found in forms.items()}
    # One sequence that lies in the other form moves none of the rest.
    main = "original" if 2 * whole["original"] > whole["CK+48"] else "CK+48"
    other = next(form for form in forms if form != main)
    samples, instead, both = [], [], []
    for key in sorted(forms[main].keys() | forms[other].keys()):
        first, second = forms[main].get(key), forms[other].get(key)
        if first is None or (second is not None and second.is_usable and not first.is_usable):
            first, second = second, first
            instead += ["_".join(key)] if first.is_usable and forms[main] else []
        both += [(first, second)] if second is not None and second.files else []
        samples += _read_sequence(name, settings, key, first, root, findings)
    if instead:
        action = f"{len(instead)} sequences as {other}, not whole as {main}: {', '.join(instead[:5])}"
        findings.add("mixed_kinds", action)
    if both:
        used, unused = both[0]
        action = f"{_home(used, root)} is used for the {len(both)} sequences of both"
        findings.add("unused_place", action, file=_home(unused, root))
    return samples


def list_subjects(settings: Ckplus, root: Root) -> list[str]:
    """The subjects on disk that have at least one labelled sequence of a class in use."""
    samples = read("ckplus", settings, root, Findings({}))
    return sorted({sample["subject"] for sample in samples if sample["included"]})


def beside(_: Ckplus, root: Root) -> list[Path]:
    """The folders of labels next to a root that is the image folder of the dataset, the nearer first."""
    return [
        inner for _, folders, _ in frames.above(root) for inner in folders if "emotion" in inner.name.lower()
    ]


def _find_sequences(
    name: str, settings: Ckplus, root: Root, findings: Findings
) -> tuple[dict[Key, Sequence], dict[Key, Sequence]]:
    """The sequences in the original form, and those in folders of classes."""
    originals: dict[Key, Sequence] = defaultdict(Sequence)
    reduced: dict[Key, Sequence] = defaultdict(Sequence)
    listing = [*frames.walk(root)]
    trees: Counter[Path] = Counter()  # frames by the folder above those of people, or of classes
    groups = [(folder, *group) for folder, names in listing for group in _group(folder, names)]
    has_labels = any(labels for *_, labels in groups)
    for folder, key, numbered, labels in groups:
        if labels:
            originals[key].labels[:0] = labels  # which name the peak, as folders do not
        if not numbered:
            continue
        name_of_class = _class_of(folder, settings, root)
        is_original = folder.name.strip().upper() in key or (has_labels and name_of_class is None)
        sequence = originals[key] if is_original else reduced[key]
        trees[_tree(folder)] += len(numbered)
        for number, files in numbered.items():
            sequence.files[number] += files
        if name_of_class or not is_original:
            sequence.labels.append(Label(name_of_class or frames.plain(folder.name), None, folder))
    with_frames = any(sequence.files for sequence in originals.values())
    if not reduced and not with_frames:
        example = "S005/001/S005_001_00000011.png, or folders of CK+48 such as happy/S010_004_00000017.png"
        raise frames.nothing_there(name, "frames", example, listing, root)
    if with_frames and not any(sequence.labels for sequence in originals.values()):
        outside = _read_labels(beside(settings, root))
        if not outside and not reduced:
            raise UserError(
                f"{root.path}: frames, but no S005_001_00000011_emotion.txt; unzip Emotion_labels.zip there"
            )
        for key, labels in outside.items():
            originals[key].labels.extend(labels)
    for folder, names in listing:
        others = [
            name
            for name in names
            if Path(name).suffix.lower() in frames.IMAGE_SUFFIXES and not _FILE.fullmatch(name)
        ]
        if others and _class_of(folder, settings, root) and _sequence_of(folder) is None:
            action = f"not used: {len(others)} images not named as S010_004_00000017.png, first {others[0]}"
            findings.add("frames_without_annotation", action, file=root.relative(folder))
    _order_copies([*originals.values(), *reduced.values()], trees, root, findings)
    return dict(originals), dict(reduced)


def _tree(folder: Path) -> Path:
    return folder.parent.parent if re.fullmatch("[0-9]{3}", folder.name.strip()) else folder.parent


def _order_copies(
    sequences: Iterable[Sequence], trees: Counter[Path], root: Root, findings: Findings
) -> None:
    """Put the file of the fullest tree first where several trees hold a frame, and name the others."""
    shadowed: Counter[tuple[Path, Path]] = Counter()
    for sequence in sequences:
        for files in sequence.files.values():
            files.sort(key=lambda file: -trees[_tree(file.parent)])
            used = _tree(files[0].parent)
            shadowed.update((used, tree) for tree in {_tree(file.parent) for file in files} - {used})
    for (used, other), count in shadowed.items():
        draw = trees[used] == trees[other]
        action = f"{root.relative(used)} is used for {count} frames of both" + (
            "; set root to choose" if draw else ""
        )
        findings.add("ambiguous_frames" if draw else "unused_place", action, file=root.relative(other))


def _group(folder: Path, names: Iterable[str]) -> list[tuple[Key, dict[int, list[Path]], list[Label]]]:
    """What one folder holds of each sequence: frames by number, and emotion files."""
    numbered: dict[Key, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    labels: dict[Key, list[Label]] = defaultdict(list)
    if (key := _sequence_of(folder)) is not None:  # whose frames may bear numbers alone, as those of videos
        others = frames.series(folder, (name for name in names if not _FILE.fullmatch(name)))
        numbered |= (
            {key: defaultdict(list, {n: [file] for n, file in others.files.items()})} if others.files else {}
        )
    for name in names:
        match = _FILE.fullmatch(name)
        if match is None:
            continue
        key, frame = (match["subject"].upper(), match["clip"]), int(match["frame"])
        if match["rest"].lower() == "_emotion.txt":
            labels[key].append(Label(parse_label(folder / name), frame, folder / name))
        elif Path(name).suffix.lower() in frames.IMAGE_SUFFIXES:
            numbered[key][frame].append(folder / name)
    return [(key, numbered[key], labels[key]) for key in sorted(numbered.keys() | labels.keys())]


def _sequence_of(folder: Path) -> Key | None:
    """The sequence that a folder is named after, S005/001 or S005_001."""
    named = [folder.name, f"{folder.parent.name}/{folder.name}"]
    match = next(filter(None, map(_SEQUENCE.fullmatch, (name.strip() for name in named))), None)
    return (match[1].upper(), match[2]) if match else None


def _class_of(folder: Path, settings: Ckplus, root: Root) -> str | None:
    """The label that a folder is named after, or the nearest above it in the root."""
    known = {*CODES, *map(frames.plain, settings.classes)}
    above = [folder, *(parent for parent in folder.parents if parent.is_relative_to(root.path))]
    return next((name for name in (frames.plain(parent.name) for parent in above) if name in known), None)


def parse_label(file: Path) -> str | None:
    """The label in an emotion file, which holds one float such as '   3.0000000e+00'.

    Returns:
        An entry of `CODES`, or None when the file does not hold one of 0 to 7.
    """
    try:
        with file.open("rb") as opened:
            code = float(opened.read(100).decode("ascii"))
    except ValueError:
        return None
    return CODES[int(code)] if code in range(len(CODES)) else None


def _read_labels(folders: Iterable[Path]) -> dict[Key, list[Label]]:
    """What emotion files say, of the nearest place that has any."""
    labels: dict[Key, list[Label]] = defaultdict(list)
    for _, level in groupby(folders, key=lambda folder: folder.parent):
        for folder in level:
            for inner, names in frames.walk(Root(folder)):
                for key, _, found in _group(inner, names):
                    labels[key] += found
        if labels:
            break
    return {key: found for key, found in labels.items() if found}


def _read_sequence(
    name: str, settings: Ckplus, key: Key, sequence: Sequence, root: Root, findings: Findings
) -> list[dict[str, Any]]:
    subject, clip = key
    whole = new_sample(name, subject, clip, sample_id=f"{name}/{subject}_{clip}")
    labels, numbered = sequence.labels, sequence.files
    where = root.relative(labels[0].file) if labels else ""
    if not labels:
        return [whole | {"included": False, "reason": UNLABELLED}]
    label = labels[0]
    if len({other.raw for other in labels}) > 1:
        said = ", ".join(f"{other.raw} in {root.relative(other.file)}" for other in labels)
        findings.leave_out(whole, "conflicting_annotation", said, where)
    elif label.raw is None:
        findings.leave_out(whole, "bad_label_file", "the emotion file holds no code from 0 to 7", where)
    elif not numbered:
        findings.leave_out(whole, "annotation_without_frames", "no frames of the sequence", where)
    elif label.peak is not None and label.peak not in numbered:
        findings.leave_out(whole, "missing_apex_frame", f"frame {label.peak}, which is labelled", where)
    if not whole["included"]:
        return [whole]
    chosen = sorted(number for number in numbered if label.peak is None or number <= label.peak)
    if len(chosen) < len(numbered):
        action = f"not used: {len(numbered) - len(chosen)} frames after {label.peak}, which is labelled"
        findings.add("frames_after_peak", action, row=whole["sample_id"], file=where)
    chosen = chosen[-settings.last_frames :]
    _check_numbers(whole["sample_id"], settings, chosen, where, findings)
    # A clip is read from one folder, so motion needs the neutral frame beside the peak; CK+48 has none.
    homes = {file.parent for file in numbered.get(NEUTRAL, ())}
    if homes and any(numbered[number][0].parent not in homes for number in chosen):
        others = ", ".join(sorted(map(root.relative, homes)))
        action = f"kept; frame {NEUTRAL} lies in {others}; for motion put all into one folder"
        findings.add("missing_onset_frame", action, row=whole["sample_id"], file=where)
    samples = []
    for number in chosen:
        files = numbered[number]
        sample_id = f"{name}/{subject}_{clip}_{number:08d}"
        sample = whole | {"sample_id": sample_id, "frame_path": root.relative(files[0])}
        if number > NEUTRAL and files[0].parent in homes:
            sample |= {"onset": NEUTRAL, "apex": number, "offset": number, "apex_source": "annotated"}
        assign_class(sample, label.raw, settings.classes, findings, where)
        if sample["included"] and len(files) > 1:
            _check_twins(sample, files, root, findings)
        samples.append(sample)
    return samples


def _check_twins(sample: dict[str, Any], files: list[Path], root: Root, findings: Findings) -> None:
    """Leave out a frame of which one folder holds several files that differ."""
    twins = [file for file in files if file.parent == files[0].parent]
    if len(set(map(file_digest, twins))) > 1:
        why = f"{' and '.join(file.name for file in twins[:3])} would do; keep one of them"
        findings.leave_out(sample, "ambiguous_apex_frame", why, root.relative(files[0]))


def _check_numbers(row: str, settings: Ckplus, chosen: list[int], where: str, findings: Findings) -> None:
    """Only the frames in use matter: copies without the sequence's beginning are common."""
    if len(chosen) < settings.last_frames:
        findings.add("short_sequence", f"the {len(chosen)} frames there are", row=row, file=where)
    missing = chosen[-1] - chosen[0] + 1 - len(chosen)
    if missing:
        action = f"kept; {missing} missing, first {frames.first_gap(chosen, chosen[0])}"
        findings.add("frame_gaps", action, row=row, file=where)


def _home(sequence: Sequence, root: Root) -> str:
    """The topmost folder of a sequence's frames below the root."""
    folders = Counter(
        root.relative(file).split("/")[0] for files in sequence.files.values() for file in files
    )
    return folders.most_common(1)[0][0] if folders else "."
