"""Folders of clips' frames, by person and clip, at any depth of a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mer_core.datasets import frames
from mer_core.datasets.annotated import Candidate, Key, clip_key
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.errors import UserError

Listing = Sequence[tuple[Path, Sequence[str]]]
"""Folders under the root with the names of their files, as `frames.walk` gives them."""
Place = Callable[[Path], tuple[Path, Key] | None]
"""The tree and the clip that a folder belongs to by its name; None for a folder that is no clip's."""


def find_clips(
    name: str,
    wanted: str,
    root: Root,
    listing: Listing,
    place: Place,
    kind_of: Callable[[Path, Series], str],
    example: str,
    aside: Callable[[Path], str | None],
) -> list[Candidate]:
    """Every folder that holds frames of a clip; of those that links lead to, one of each name.

    Args:
        name: of the dataset in the configuration.
        wanted: the kind of frames to use; auto takes all.
        root: the dataset's folder.
        listing: of the root.
        place: where a folder belongs.
        kind_of: what the frames of a tree show, by the tree and a clip's frames.
        example: of a clip's files, for the message.
        aside: the setting by which a folder would be taken that is passed over.

    Raises:
        UserError: there is none, or none of the kind that is asked for.
    """
    at_target: dict[tuple[Path, Key], Candidate] = {}
    for folder, names in listing:
        if (at := place(folder)) is not None and (series := frames.series(folder, names)).files:
            tree, key = at
            clip = Candidate(key, folder, tree, kind_of(tree, series), series)
            at_target.setdefault((folder.resolve(), key), clip)
    found = [*at_target.values()]
    if not found:
        others = {aside(folder) for folder, names in listing if frames.series(folder, names).files}
        instead = frames.of_settings(sorted(others - {None, ""}))
        raise frames.nothing_there(name, "frames", example, listing, root, instead)
    of_kind = [clip for clip in found if wanted in ("auto", clip.kind)]
    if not of_kind:
        trees = {clip.tree: clip.kind for clip in found}
        shown = ", ".join(f"{kind} ({root.relative(tree)})" for tree, kind in trees.items())
        raise UserError(
            f"datasets.{name}.frames: no tree of kind '{wanted}' there, found {shown}; choose one of these"
        )
    return of_kind


def tell_unplaced(folder: Path, names: Sequence[str], example: str, root: Root, findings: Findings) -> None:
    """Note a folder of frames whose name says nothing, where names alone tell what frames show."""
    if files := frames.series(folder, names).files:
        action = f"not used: {len(files)} frames, in no folder named as in {example}"
        findings.add("frames_without_annotation", action, file=root.relative(folder))


def find_foreign(listing: Listing, place: Place) -> dict[Key, Path]:
    """Clip -> a file that may hold its frames, but not as images: a video named as it, say."""
    found: dict[Key, Path] = {}
    for folder, names in listing:
        for name in filter(frames.is_foreign, names):
            for at in (place(folder / Path(name).stem), place(folder)):
                if at is not None:
                    found.setdefault(at[1], folder / name)
    return found


def folders_above(root: Root, folder: Path) -> list[Path]:
    """The folders above one, the nearest first, up to the root."""
    return [parent for parent in folder.parents if parent.is_relative_to(root.path)]


def tree_above(root: Root, subject: Path) -> Path:
    """The folder above a subject's, never above the root."""
    return subject.parent if subject.parent.is_relative_to(root.path) else root.path


def is_cropped(root: Root, tree: Path) -> bool:
    """Whether the name of a folder from the root's to this one says so."""
    return any("crop" in part.lower() for part in (root.path.name, *tree.relative_to(root.path).parts))


def check_people(
    candidates: Iterable[Candidate],
    person_of: Callable[[Path], str | None],
    root: Root,
    findings: Findings,
) -> None:
    """Note clips whose own names tell a person other than the folder above: believed, it would leak.

    Args:
        candidates: the folders of clips.
        person_of: the subject that the folders above a clip's tell; None where they tell none.
        root: the dataset's folder.
        findings: where defects go.
    """
    for clip in candidates:
        person = person_of(clip.folder)
        if person not in (clip.key[0], None):
            action = f"counted as {clip.key[0]}, among the clips of {person}; move it there"
            findings.add("other_person", action, file=root.relative(clip.folder))


def check_labels(
    samples: Iterable[Mapping[str, Any]],
    candidates: Iterable[Candidate],
    label_of: Callable[[Path], str | None],
    root: Root,
    findings: Findings,
) -> None:
    """Note clips in the folder of a label other than the one that they are used as.

    Args:
        samples: manifest rows, with the label that counts.
        candidates: the folders of clips.
        label_of: the label that the folders above a clip's tell; None where they tell none.
        root: the dataset's folder.
        findings: where defects go.
    """
    used: dict[Key, Mapping[str, Any]] = {}
    for sample in samples:
        used.setdefault(clip_key(sample["subject"], sample["clip"]), sample)
    for clip in candidates:
        if (told := label_of(clip.folder)) is None or (sample := used.get(clip.key)) is None:
            continue
        if told != sample["label_raw"]:
            action = f"used as {sample['label_raw']}, the folder says {told}"
            where = root.relative(clip.folder)
            findings.add("contradicted_label", action, row=sample["sample_id"], file=where)
