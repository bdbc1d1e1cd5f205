"""The section of a dataset that a CSV table lists."""

from __future__ import annotations

from typing import Literal

from mer_core.config.datasets import Dataset
from mer_core.config.section import PathText


class Tabular(Dataset):
    """Any images listed in a CSV table with a subject and a label each."""

    layout: Literal["tabular"]
    table: PathText
    path_column: str = "path"
    subject_column: str = "subject"
    label_column: str = "label"
