"""RAF-DB, its basic expressions: faces with a list of labels, or in folders by label.

Li, Deng, Du, Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the
wild, CVPR 2017.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mer_core.config.layouts.rafdb import Rafdb
from mer_core.datasets import frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.published import Published
from mer_core.datasets.stills import Said, labels_above, of_code, opened, read_stills
from mer_core.errors import UserError
from mer_core.job import cannot_read

SETTINGS = Rafdb
CODES = dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1))
# 12,271 for training and 3,068 for testing.
PUBLISHED = Published(
    labels={
        **{"surprise": 1619, "fear": 355, "disgust": 877, "happiness": 5957},
        **{"sadness": 2460, "anger": 867, "neutral": 3204},
    }
)
LIST = "list_patition_label.txt"  # spelled so, or by whoever copied it
_LIST = re.compile(r"list_par?tition_label\.txt", re.IGNORECASE)
_FACE = re.compile(r"((?:train|test)_[0-9]+)(_aligned)?", re.IGNORECASE)


def read(name: str, settings: Rafdb, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per face. The compound expressions, which have a list of the same name, are passed over.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by path; faces of the list that are not there follow.

    Raises:
        UserError: there are no labelled images, or the list cannot be read.
    """
    listing = [(folder, names) for folder, names in frames.walk(root) if not _is_compound(folder, root)]
    said = _read_lists(listing, root) or _read_lists(opened(beside(settings, root)), root)
    kinds = {_kind(folder, file) for folder, names in listing for file in names} - {None}
    wanted = settings.frames if settings.frames != "auto" else "aligned" if "aligned" in kinds else "original"
    used = [
        (folder, [file for file in names if _kind(folder, file) in (wanted, None)])
        for folder, names in listing
    ]
    example = f"EmoLabel/{LIST} and Image/aligned/train_00001_aligned.jpg, or train/1/train_00001_aligned.jpg"
    samples = read_stills(
        name, settings, root, used, CODES, lambda path: said.get(_face(path.name), []), example, findings
    )
    there = {_face(Path(sample["frame_path"]).name) for sample in samples}
    lost = [face for face in said if face not in there]
    if lost:
        action = f"{len(lost)} of {len(said)} faces of the list are not there as {wanted}, first {lost[0]}"
        findings.add("annotation_without_frames", action, file=said[lost[0]][0][1])
    return samples


def beside(_: Rafdb, root: Root) -> list[Path]:
    """The lists of labels next to a root that is a part of the dataset, and the folders of such."""
    return labels_above(root, _LIST.fullmatch, "emolabel")


def _is_compound(folder: Path, root: Root) -> bool:
    names = [name.lower() for name in folder.relative_to(root.path).parts]
    inside = any("compound" in name and "basic" not in name for name in names)
    return inside or root.path.name.lower() == "compound"


def _face(file: str) -> str | None:
    """train_00001 of train_00001_aligned.jpg."""
    match = _FACE.fullmatch(Path(file).stem)
    return match[1].lower() if match else None


def _kind(folder: Path, file: str) -> str | None:
    """Whether a file shows a face that is aligned, or a whole picture; None for other files."""
    match = _FACE.fullmatch(Path(file).stem)
    if match is None or Path(file).suffix.lower() not in frames.IMAGE_SUFFIXES:
        return None
    return "aligned" if match[2] or folder.name.lower() == "aligned" else "original"


def _read_lists(listing: Iterable[tuple[Path, list[str]]], root: Root) -> dict[str, list[Said]]:
    """What the lists say of each face, lines such as `train_00001.jpg 5`."""
    said: dict[str, list[Said]] = defaultdict(list)
    for path in (folder / file for folder, names in listing for file in names if _LIST.fullmatch(file)):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise cannot_read(path, error) from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: cannot be read ({error}); copy it again from the source") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            face, _, code = " ".join(re.split(r"[\s,;]+", line.strip())).rpartition(" ")
            if (key := _face(face)) is None or not code.isdecimal():
                raise UserError(f"{path}: line {number}: {line[:60]!r} is not as train_00001.jpg 5; mend it")
            said[key].append((of_code(code, CODES), f"{root.relative(path)}:{number}"))
    return said
