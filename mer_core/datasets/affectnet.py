"""AffectNet: faces with a file of annotation each, or in folders by label.

Mollahosseini, Hasani, Mahoor, AffectNet: a database for facial expression, valence, and arousal computing in
the wild, IEEE Transactions on Affective Computing 10(1), 2019.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mer_core.config.layouts.affectnet import Affectnet
from mer_core.datasets import frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.published import Published
from mer_core.datasets.stills import Said, labels_above, of_code, opened, read_stills

SETTINGS = Affectnet
CODES = dict(
    enumerate(("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"))
) | {8: "none", 9: "uncertain", 10: "no-face"}
# The released part with eight labels: 287,651 for training, 500 of each label for validation.
PUBLISHED = Published(
    labels={
        **{"neutral": 75374, "happiness": 134915, "sadness": 25959, "surprise": 14590},
        **{"fear": 6878, "disgust": 4303, "anger": 25382, "contempt": 4250},
    }
)
SUFFIX = "_exp.npy"
_ANNOTATION = re.compile(r"_(exp|val|aro|lnd)\.npy$")
MAX_BYTES = 10_000  # of a file that holds one number


def read(name: str, settings: Affectnet, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per face.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by path.

    Raises:
        UserError: there are no labelled images.
    """
    listing = [*frames.walk(root)]
    annotated = _annotations(listing) or _annotations(opened(beside(settings, root)))
    used = [(folder, [file for file in names if not _ANNOTATION.search(file)]) for folder, names in listing]

    def listed(path: Path) -> list[Said]:
        files = annotated.get((_part(path.parent), path.stem), [])
        return [(of_code(parse_label(file), CODES), root.relative(file)) for file in files]

    example = "train_set/images/0.jpg with train_set/annotations/0_exp.npy, or anger/0.jpg"
    return read_stills(name, settings, root, used, CODES, listed, example, findings)


def beside(_: Affectnet, root: Root) -> list[Path]:
    """The annotations next to a root that is a part of the dataset: files, and folders of such."""
    return labels_above(root, lambda file: file.endswith(SUFFIX), "annotations")


def _annotations(listing: Iterable[tuple[Path, list[str]]]) -> dict[tuple[Path, str], list[Path]]:
    """The part and the name of an image -> its files of annotation."""
    found: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder, names in listing:
        for file in names:
            if file.endswith(SUFFIX):
                found[_part(folder), file.removesuffix(SUFFIX)].append(folder / file)
    return found


def _part(folder: Path) -> Path:
    """Training or validation part of `images` or `annotations`, which unpacking may have doubled."""
    return folder.parent if folder.parent.name != folder.name else _part(folder.parent)


def parse_label(file: Path) -> str:
    """The number in a file of annotation, an array of one text; nothing where it holds none."""
    try:
        if file.stat().st_size <= MAX_BYTES:
            with file.open("rb") as opened:  # np.load would open an archive, too
                return str(int(str(np.lib.format.read_array(opened, allow_pickle=False).item())))
    except OSError:
        raise
    except Exception:  # the header is parsed as Python, and damaged ones raise nearly anything
        pass
    return ""
