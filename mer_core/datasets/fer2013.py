"""FER2013: small grey faces in folders by label, or as a table of pixels that was written as images.

Goodfellow et al., Challenges in representation learning: a report on three machine learning contests, ICONIP
2013.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

from mer_core.config.layouts.fer2013 import Fer2013
from mer_core.datasets import frames, pixels, workbook
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.published import Published
from mer_core.datasets.stills import Said, of_code, read_stills
from mer_core.errors import UserError

SETTINGS = Fer2013
CODES = dict(enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")))
# 28,709 for training, 3,589 twice for testing.
PUBLISHED = Published(
    labels={
        **{"anger": 4953, "disgust": 547, "fear": 5121, "happiness": 8989},
        **{"sadness": 6077, "surprise": 4002, "neutral": 6198},
    }
)


def read(name: str, settings: Fer2013, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per face.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by path.

    Raises:
        UserError: there are no labelled images; where there is a table of pixels, with the command to write
            its images.
    """
    listing = [*frames.walk(root)]
    said: dict[Path, list[Said]] = defaultdict(list)
    for folder, names in listing:
        if pixels.TABLE in names:
            columns = {"path": ["path"], "label": ["label"]}
            table = workbook.read_table(folder / pixels.TABLE, columns, verbatim=["path"])
            for row, cells in table.iterrows():
                where = f"{root.relative(folder / pixels.TABLE)}:{row}"
                said[folder / cells["path"]].append((of_code(cells["label"], CODES), where))
    try:
        example = "train/angry/Training_3908.jpg"
        return read_stills(
            name, settings, root, listing, CODES, lambda path: said.get(path, []), example, findings
        )
    except UserError:
        tables = (
            folder / file for folder, names in listing for file in names if file.lower().endswith(".csv")
        )
        if path := next(filter(pixels.is_table, tables), None):
            raise UserError(
                f"{path}: holds pixels in place of images; write them, and set datasets.{name}.root to their "
                f"FOLDER: python -m mer_core.datasets.pixels {shlex.quote(str(path))} FOLDER"
            ) from None
        raise
