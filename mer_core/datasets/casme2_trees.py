"""The trees of frames in which copies of CASME II hold their clips, and which of them to use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mer_core.datasets import frames
from mer_core.datasets.defects import Findings
from mer_core.errors import UserError

# `auto` prefers, among trees that hold equally many of the annotated frames, the whole head: on the
# tight crops the detector misses about half of the faces. The raw recordings hold the same frames as
# the selection, among many more.
KINDS = ("raw_selected", "raw", "cropped")
SUBJECT = re.compile(r"(?:sub)?0*([1-9][0-9]?)(?:\.0)?", re.IGNORECASE)


@dataclass
class Tree:
    """One set of frames: folder / subject / clip / frames."""

    root: Path
    folder: Path
    kind: str
    clips: dict[tuple[str, str], Path]
    _listed: dict[Path, tuple[dict[int, Path], list[str]]] = field(default_factory=dict)

    def frames(self, clip: Path) -> tuple[dict[int, Path], list[str]]:
        """The frames of a clip's folder by number and the files passed over; looked up once."""
        if clip not in self._listed:
            self._listed[clip] = frames.list_frames(clip, self.root)
        return self._listed[clip]

    def relative(self, path: Path) -> str:
        """A path as the manifest writes it."""
        return path.relative_to(self.root).as_posix()


def clip_key(subject: str, clip: str) -> tuple[str, str]:
    """What folders and rows of the table are matched by."""
    return subject, clip.strip().lower()


def find_trees(root: Path, findings: Findings) -> list[Tree]:
    """Every folder under `root`, or `root` itself, that holds folders of subjects."""

    def report(link: Path) -> None:
        findings.add("leaves_root", "not followed", file=link.relative_to(root).as_posix())

    found: dict[Path, dict[tuple[str, str], Path]] = {}
    for folder in frames.walk(root, has_clips, report):
        if has_clips(folder):
            subject = f"sub{int(SUBJECT.fullmatch(folder.name)[1]):02d}"
            clips = frames.subfolders(folder, root, report)
            found.setdefault(folder.parent, {}).update({clip_key(subject, clip.name): clip for clip in clips})
    return [Tree(root, folder, _kind(root, folder, clips), clips) for folder, clips in found.items()]


def has_clips(folder: Path) -> bool:
    """Whether a folder is a subject's: named as one, and images lie one folder further down."""
    if not SUBJECT.fullmatch(folder.name):
        return False
    return any(
        frames.frame_number(file.name) is not None
        for clip in folder.iterdir()
        if clip.is_dir() and not clip.is_symlink()
        for file in clip.iterdir()
    )


def choose_tree(
    name: str, kind: str, wanted: Sequence[tuple[str, str, int | None]], trees: list[Tree], findings: Findings
) -> Tree:
    """The tree that holds the most of the annotated apexes: releases differ in their numbering.

    Args:
        name: of the dataset, for the key to mend.
        kind: a member of `KINDS`, or auto.
        wanted: subject, clip and annotated apex (None: to be found) of each clip in use.
        trees: all there are.
        findings: where a draw is noted.

    Raises:
        UserError: there is no tree, or none of this kind.
    """
    if not trees:
        raise UserError(
            f"datasets.{name}.root: no frames there (sub01/EP02_01f/img46.jpg or reg_img46.jpg, at any "
            "depth; links out of the folder are not followed); give the folder of your copy"
        )
    of_kind = [tree for tree in trees if kind in ("auto", tree.kind)]
    if not of_kind:
        found = ", ".join(f"{tree.kind} ({tree.relative(tree.folder)})" for tree in trees)
        raise UserError(
            f"datasets.{name}.frames: no tree of kind '{kind}' there, found {found}; choose one of these"
        )
    ranks = [(-_count_held(wanted, tree), KINDS.index(tree.kind)) for tree in of_kind]
    best = of_kind[ranks.index(min(ranks))]
    rivals = [
        tree for tree, rank in zip(of_kind, ranks, strict=True) if rank == min(ranks) and tree is not best
    ]
    if rivals:
        action = (
            f"used rather than {', '.join(tree.relative(tree.folder) for tree in rivals)}; set root to choose"
        )
        findings.add("ambiguous_frames", action, file=best.relative(best.folder))
    return best


def _count_held(wanted: Sequence[tuple[str, str, int | None]], tree: Tree) -> int:
    """How many clips have their apex, or at least their folder, in a tree."""
    folders = [(tree.clips.get(clip_key(subject, clip)), apex) for subject, clip, apex in wanted]
    return sum(
        folder is not None and (apex is None or apex in tree.frames(folder)[0]) for folder, apex in folders
    )


def _kind(root: Path, folder: Path, clips: dict[tuple[str, str], Path]) -> str:
    """What a tree holds, told by the innermost folder name that says so, else by the file names."""
    for part in reversed((root.name, *folder.relative_to(root).parts)):
        for word, kind in (("crop", "cropped"), ("select", "raw_selected"), ("raw", "raw")):
            if word in part.lower():
                return kind
    names = (file.name for clip in clips.values() for file in clip.iterdir())
    return "cropped" if any(name.lower().startswith("reg_") for name in names) else "raw_selected"
