"""A layout of annotated clips: what is particular to one, and the one way to read them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mer_core.config.layouts.annotated import AnnotatedClips
from mer_core.datasets import frames
from mer_core.datasets.annotated import Candidate, Key, find_frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root, Series
from mer_core.datasets.tables import Table, read_rows, read_table_of, tables_above
from mer_core.datasets.trees import (
    Listing,
    check_labels,
    check_people,
    find_clips,
    find_foreign,
    is_cropped,
    tell_unplaced,
)

Settings = TypeVar("Settings", bound=AnnotatedClips)
Cut = Callable[[str, Settings, Root, Sequence[Candidate], Findings], list[dict[str, Any]]]


def whole_or_cropped(root: Root, tree: Path, series: Series) -> str:
    """What a clip's frames show: crops where a folder says so, or the files by their prefix `reg`."""
    first = next(iter(series.files.values()))
    return "cropped" if is_cropped(root, tree) or first.name.lower().startswith("reg") else "whole"


@dataclass(frozen=True)
class ClipLayout:
    """What is particular to a dataset of annotated clips.

    Attributes:
        example: of a clip's files, for messages.
        place: the tree and the clip that a folder belongs to by its name, None for a folder that is no
            clip's. Takes the root and the folder.
        table: where and how the clips are annotated.
        cut: how samples are made of the clips themselves, where no table tells them.
        aside: the setting by which a folder that is passed over on purpose would be taken, as camera: VIS, or
            empty; None for any other. Takes the root and the folder.
        kinds: what frames can show, best first.
        kind: which of several kinds a clip's frames show. Takes the root, the tree and the frames.
        person: the subject that the folders above a clip's tell, None where they tell none. A clip that its
            own name gives to another is a defect. Takes the root and the clip's folder.
        folder_label: likewise the label; one other than the sample's is a defect.
        split: likewise the part of the authors' split, as the manifest has it; empty where there is none.
    """

    example: str
    place: Callable[[Root, Path], tuple[Path, Key] | None]
    table: Table | None = None
    cut: Cut | None = None
    aside: Callable[[Root, Path], str | None] = lambda root, folder: None
    kinds: tuple[str, ...] = ("whole", "cropped")
    kind: Callable[[Root, Path, Series], str] = whole_or_cropped
    person: Callable[[Root, Path], str | None] = lambda root, folder: None
    folder_label: Callable[[Root, Path], str | None] = lambda root, folder: None
    split: Callable[[Root, Path], str] = lambda root, folder: ""


Describe = Callable[[Settings], ClipLayout]


def read_clips(
    describe: Describe[Settings], name: str, settings: Settings, root: Root, findings: Findings
) -> list[dict[str, Any]]:
    """One sample per annotated clip: its apex frame.

    Args:
        describe: the layout under the settings.
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows, in the order of the table, or by subject and clip where there is none.

    Raises:
        UserError: there is no annotation table or no tree of frames, or it cannot be chosen.
    """
    layout = describe(settings)
    listing = [*frames.walk(root, aliases=True)]
    if layout.table is not None:
        table = read_table_of(name, settings, layout.table, root, listing, findings)
        samples = read_rows(name, settings, layout.table, table, findings)
    candidates = _find(layout, name, settings, root, listing)
    if layout.cut is not None:
        samples = layout.cut(name, settings, root, candidates, findings)
        placed = {clip.folder.resolve() for clip in candidates}
        for folder, names in listing:
            if folder.resolve() not in placed and layout.aside(root, folder) is None:
                tell_unplaced(folder, names, layout.example, root, findings)
    check_people(candidates, partial(layout.person, root), root, findings)
    check_labels(samples, candidates, partial(layout.folder_label, root), root, findings)
    foreign = find_foreign(listing, partial(layout.place, root))
    find_frames(name, settings, samples, candidates, layout.kinds, foreign, root, findings)
    for sample in samples:
        if sample["frame_path"]:
            sample["split"] = layout.split(root, root.path / sample["frame_path"])
    return samples


def list_people(describe: Describe[Settings], settings: Settings, root: Root) -> list[str]:
    """The subjects that the table annotates under a label in use; where there is none, those on disk."""
    layout, name = describe(settings), settings.layout
    listing = [*frames.walk(root, aliases=True)]
    if layout.table is None:
        found = _find(layout, name, settings, root, listing)
        return sorted({clip.key[0] for clip in found}, key=frames.natural_key)
    findings = Findings({})
    table = read_table_of(name, settings, layout.table, root, listing, findings)
    samples = read_rows(name, settings, layout.table, table, findings)
    return sorted({sample["subject"] for sample in samples if sample["label"]}, key=frames.natural_key)


def list_beside(describe: Describe[Settings], settings: Settings, root: Root) -> list[Path]:
    """The tables outside of the root that annotate its clips."""
    form = describe(settings).table
    return tables_above(settings, form, root) if form else []


def _find(
    layout: ClipLayout, name: str, settings: AnnotatedClips, root: Root, listing: Listing
) -> list[Candidate]:
    def kind(tree: Path, series: Series) -> str:
        return layout.kind(root, tree, series) if len(layout.kinds) > 1 else layout.kinds[0]

    place, aside = partial(layout.place, root), partial(layout.aside, root)
    return find_clips(name, settings.frames, root, listing, place, kind, layout.example, aside)
