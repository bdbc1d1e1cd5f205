"""What datasets of annotated clips share: intervals, rules for the apex, and where a clip's frames lie.

A module of a dataset says how its table, its folders and its people are named; see `casme2`.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mer_core import images
from mer_core.config.layouts.annotated import AnnotatedClips
from mer_core.datasets import frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.errors import Unreadable, UserError
from mer_core.provenance import file_digest

APEX_KINDS = ("missing_apex", "degenerate_apex", "apex_outside")
"""The defects by which the rule `missing_apex` leaves clips out."""

Key = tuple[str, str]  # subject, clip: what folders and rows of the table are matched by


@dataclass(frozen=True)
class Candidate:
    """A folder that holds frames of a clip.

    Attributes:
        key: of the clip.
        folder: the folder.
        tree: the one above the subject's; clips of one tree were made together.
        kind: what the frames show, where releases differ.
        series: the frames.
    """

    key: Key
    folder: Path
    tree: Path
    kind: str
    series: Series


def clip_key(subject: str, clip: str) -> Key:
    """A key in which case, blanks at the ends, the suffix of a video and spelling do not matter."""
    clip = frames.plain(clip)
    stem = clip if Path(clip).suffix not in frames.VIDEO_SUFFIXES else Path(clip).stem
    return subject, stem.strip()


def is_missing(text: str) -> bool:
    """Whether a cell tells no frame at all ('', '/', 'n.a.', '0', '-1'); '101 (?)' does tell one."""
    is_negative = re.fullmatch(r"-\d+([.,]0*)?", text)
    return bool(is_negative) or not any(unicodedata.numeric(letter, 0) for letter in text)


def check_interval(
    sample: dict[str, Any],
    cells: Mapping[str, str],
    rule: str,
    where: str,
    findings: Findings,
    longest: float | None = None,
) -> None:
    """Refuse impossible intervals and unreadable apexes; empty an apex that cannot be one, for the rule.

    Args:
        sample: with onset, apex and offset as numbers, None where a cell holds none; changed in place.
        cells: the same as they are written.
        rule: `missing_apex` of the configuration.
        where: file and row.
        findings: where defects go.
        longest: how many frames an interval may span; None is no limit.
    """
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    if (
        onset is None
        or offset is None
        or offset <= onset
        or (longest is not None and offset - onset > longest)
    ):
        findings.leave_out(
            sample, "impossible_interval", f"onset {cells['onset']!r}, offset {cells['offset']!r}", where
        )
        return
    if apex is None and not is_missing(cells["apex"]):
        why = f"apex {cells['apex']!r}; write the number alone, or / where there is none"
        findings.leave_out(sample, "unreadable_apex", why, where)
        return
    sample["apex_source"] = "annotated"
    if apex is not None and onset < apex < offset:
        return
    kind = (
        "missing_apex" if apex is None else "degenerate_apex" if apex in (onset, offset) else "apex_outside"
    )
    shown = f"apex {cells['apex']!r} in {onset}..{offset}"
    if kind == "degenerate_apex" and (rule == "keep" or (rule == "keep_later" and apex == offset)):
        findings.add(kind, f"rule '{rule}': used as it is, {shown}", row=sample["sample_id"], file=where)
        return
    sample |= {"apex": None, "apex_source": "none"}
    if rule in ("drop", "keep", "keep_later"):
        findings.leave_out(sample, kind, f"{shown}, rule '{rule}'", where)
    else:
        findings.add(kind, f"rule '{rule}' applied: {shown}", row=sample["sample_id"], file=where)


def find_frames(
    name: str,
    settings: AnnotatedClips,
    samples: Sequence[dict[str, Any]],
    candidates: Iterable[Candidate],
    kinds: Sequence[str],
    foreign: Mapping[Key, Path],
    root: Root,
    findings: Findings,
) -> None:
    """Fill `frame_path` of the included samples, and hold their intervals against the disk.

    Clips are taken from wherever they lie. Where several folders hold a clip, it is the one that has its
    apex, of the kind that the dataset is mostly taken from, with most of the interval's frames; the
    others are named, with what they hold beyond it.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        samples: manifest rows; changed in place.
        candidates: every folder of frames that may be used, in natural order.
        kinds: of the candidates, best first.
        foreign: clip -> what lies there in place of frames.
        root: the dataset's folder.
        findings: where defects go.
    """
    by_key: dict[Key, list[Candidate]] = defaultdict(list)
    deeper: dict[Key, Path] = {}  # images one folder below that of a clip
    for candidate in candidates:
        by_key[candidate.key].append(candidate)
        deeper.setdefault(clip_key(candidate.key[0], candidate.folder.parent.name), candidate.folder)
    wanted = [sample for sample in samples if sample["included"]]
    if settings.frame_numbers == "from_onset":
        _count_from_onset(name, wanted, by_key, root, findings)
        wanted = [sample for sample in wanted if sample["included"]]
    home = os.path.commonpath([one.tree for found in by_key.values() for one in found] or [root.path])
    main = _main_kind(wanted, by_key, kinds)
    order = [main, *(kind for kind in kinds if kind != main)]
    choices: list[tuple[dict[str, Any], list[Candidate]]] = []
    for sample in wanted:
        ranked = sorted(_offered(sample, by_key), key=lambda one: _rank(sample, one, order))
        if ranked:
            choices.append((sample, ranked))
            _use(name, sample, ranked[0], settings, root, findings)
        else:
            why = "no folder of frames"
            folder, file = (
                next(filter(None, map(where.get, _keys(sample))), None) for where in (deeper, foreign)
            )
            if folder is not None:
                why += f"; move the images of {root.relative(folder)} right into the clip's folder"
            elif file is not None and (said := frames.describe_foreign([(file.parent, [file.name])], root)):
                why += f", but {said}"
            findings.leave_out(sample, "annotation_without_frames", why, root.relative(Path(home)))
    _name_others(choices, order, root, findings)
    annotated = {key for sample in samples for key in _keys(sample)}
    for key, found in by_key.items():
        if key not in annotated:
            where = root.relative(found[0].folder)
            findings.add("frames_without_annotation", "not used", file=where)


def _keys(sample: Mapping[str, Any]) -> list[Key]:
    """The clip's, and that of a folder for this expression alone where the table names one."""
    names = (sample["clip"], sample.get("cut_out"))
    return [clip_key(sample["subject"], name) for name in names if name]


def _offered(sample: Mapping[str, Any], by_key: Mapping[Key, list[Candidate]]) -> list[Candidate]:
    return [one for key in _keys(sample) for one in by_key.get(key, [])]


def _quality(sample: Mapping[str, Any], candidate: Candidate) -> int:
    """0: the apex is not there; 1: it is; 2: onset and offset are, too."""
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    files = candidate.series.files
    if _is_renumbered(sample, candidate.series):
        return 0
    held = any(onset < number < offset for number in files) if apex is None else apex in files
    return held + (held and onset in files and offset in files)


def _rank(sample: Mapping[str, Any], candidate: Candidate, kinds: Sequence[str]) -> tuple[Any, ...]:
    quality = _quality(sample, candidate)
    return quality == 0, kinds.index(candidate.kind), -quality, -len(_inside(sample, candidate))


def _inside(sample: Mapping[str, Any], candidate: Candidate) -> dict[int, Path]:
    files = candidate.series.files.items()
    return {number: file for number, file in files if sample["onset"] <= number <= sample["offset"]}


def _main_kind(
    samples: Iterable[Mapping[str, Any]], by_key: Mapping[Key, list[Candidate]], kinds: Sequence[str]
) -> str:
    """The first kind that holds more than half of what the fullest holds: one lost clip moves no other."""
    held: Counter[str] = Counter()
    for sample in samples:
        found = _offered(sample, by_key)
        best = {kind: [_quality(sample, one) for one in found if one.kind == kind] for kind in kinds}
        held.update({kind: max(qualities, default=0) for kind, qualities in best.items()})
    most = max(held.values(), default=0)
    return next((kind for kind in kinds if 2 * held[kind] > most), kinds[0])


def _is_renumbered(sample: Mapping[str, Any], series: Series) -> bool:
    """Whether the files are counted anew from 0 or 1, as many as the interval has frames."""
    length = sample["offset"] - sample["onset"] + 1
    first = min(series.files, default=None)
    return (
        first in (0, 1)
        and first != sample["onset"]
        and len(series.files) == length
        and max(series.files) == first + length - 1
    )


def _count_from_onset(
    name: str,
    samples: Sequence[dict[str, Any]],
    by_key: dict[Key, list[Candidate]],
    root: Root,
    findings: Findings,
) -> None:
    """Count onset, apex and offset as the files do: the onset is their first number, one for all clips."""
    pairs = [
        (sample, one) for sample in samples for one in by_key[clip_key(sample["subject"], sample["clip"])]
    ]
    starts = Counter(min(one.series.files) for _, one in pairs)
    start = min(starts, key=lambda number: (-starts[number], number), default=0)
    for sample in samples:
        key = clip_key(sample["subject"], sample["clip"])
        shift = sample["onset"] - start
        fitting = [
            one
            for one in by_key[key]
            if start in (0, 1)
            and start <= min(one.series.files)
            and max(one.series.files) <= sample["offset"] - shift
        ]
        if by_key[key] and not fitting:
            files = by_key[key][0].series.files
            why = (
                f"files {min(files)} to {max(files)} are not the {sample['offset'] - sample['onset'] + 1} "
                f"frames from {min(start, 1)} on; mend the clip, or write datasets.{name}.frame_numbers: "
                "annotated"
            )
            findings.leave_out(sample, "renumbered_frames", why, root.relative(by_key[key][0].folder))
            continue
        by_key[key] = fitting
        for number in ("onset", "apex", "offset"):
            if sample[number] is not None:
                sample[number] -= shift


def _use(
    name: str,
    sample: dict[str, Any],
    candidate: Candidate,
    settings: AnnotatedClips,
    root: Root,
    findings: Findings,
) -> None:
    """Fill `frame_path` (and the midpoint's apex) from one folder."""
    series, row, where = candidate.series, sample["sample_id"], root.relative(candidate.folder)
    onset, apex, offset = sample["onset"], sample["apex"], sample["offset"]
    if _is_renumbered(sample, series):
        why = (
            f"files {min(series.files)} to {max(series.files)} are as many as the frames {onset} to {offset} "
            f"and {onset - min(series.files)} lower; "
        )
        if "from_onset" in get_args(type(settings).model_fields["frame_numbers"].annotation):
            why += f"if the clips were written anew, set datasets.{name}.frame_numbers: from_onset"
        else:
            why += f"rename them, so that they have the numbers {onset} to {offset}"
        findings.leave_out(sample, "renumbered_frames", why, where)
        return
    if series.passed_over:
        action = f"passed over: {', '.join(series.passed_over[:5])}"
        findings.add("ambiguous_frames", action, row=row, file=where)
    between = [number for number in series.files if onset < number < offset]
    if apex is None and settings.missing_apex == "midpoint" and between:
        apex = min(between, key=lambda number: (abs(2 * number - onset - offset), number))
        sample |= {"apex": apex, "apex_source": "midpoint"}
    if not (between if apex is None else apex in series.files):
        what = f"frame between {onset} and {offset}" if apex is None else f"frame {apex}"
        findings.leave_out(sample, "missing_apex_frame", f"no {what} on disk", where)
        return
    for number in between if apex is None else [apex]:
        files = series.doubtful.get(number, ())
        if len(set(map(file_digest, files))) > 1:
            why = f"{' and '.join(file.name for file in files[:3])} would do; keep one of them"
            findings.leave_out(sample, "ambiguous_apex_frame", why, where)
            return
    sample["frame_path"] = root.relative(candidate.folder if apex is None else series.files[apex])
    inside = _inside(sample, candidate)
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
            images.check_header(file)
        except Unreadable:
            raise
        except UserError:
            if number != sample["apex"]:
                unreadable.append(file.name)
    if unreadable:
        action = f"sample kept; {len(unreadable)} of {len(inside)}, first {unreadable[0]}"
        findings.add("unreadable_frame", action, row=sample["sample_id"], file=where)


def _name_others(
    choices: Sequence[tuple[dict[str, Any], list[Candidate]]],
    kinds: Sequence[str],
    root: Root,
    findings: Findings,
) -> None:
    """Say which trees are mixed, and which hold clips that are taken from a better one."""
    kind_used = Counter(ranked[0].kind for _, ranked in choices)
    main = max(kind_used, key=lambda kind: (kind_used[kind], -kinds.index(kind)), default="")
    mixed: dict[Path, list[str]] = defaultdict(list)
    others: dict[tuple[Path, Path], list[tuple[str, bool, list[int]]]] = defaultdict(list)
    for sample, (used, *rest) in choices:
        clip = f"{sample['subject']}/{sample['clip']}"
        if used.kind != main and sample["included"]:
            mixed[used.tree].append(clip)
        for other in rest:
            if used.tree == other.tree and not _inside(sample, other):  # another piece of the recording
                continue
            draw = _rank(sample, other, kinds) == _rank(sample, used, kinds)
            more = sorted(_inside(sample, other).keys() - used.series.files.keys())
            same_tree = used.tree == other.tree  # and names that differ in case or blanks, say
            places = (used.folder, other.folder) if same_tree else (used.tree, other.tree)
            others[places].append((clip, draw, more))
    for tree, clips in mixed.items():
        action = (
            f"{len(clips)} clips that are not whole elsewhere: {', '.join(clips[:5])}; look at their faces"
        )
        findings.add("mixed_kinds", action, file=root.relative(tree))
    for (used, other), clips in others.items():
        draws = [clip for clip, draw, _ in clips if draw]
        more = [(clip, numbers) for clip, _, numbers in clips if numbers]
        name, used_name = root.relative(other), root.relative(used)
        if more:
            clip, numbers = more[0]
            action = (
                f"{used_name} is used; {len(more)} clips have frames here that lack there, "
                f"first {clip}: {', '.join(map(str, numbers[:3]))}"
            )
            findings.add("unused_frames", action, file=name)
        elif draws:
            action = f"used rather than {name} for {len(draws)} clips; set root to choose"
            findings.add("ambiguous_frames", action, file=used_name)
        else:
            action = f"{used_name} is used for the {len(clips)} clips of both"
            findings.add("unused_place", action, file=name)
