"""The section of a dataset that a CSV table lists."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import Copy, StandIn
from mer_core.config.section import PathText


class Tabular(Copy):
    """Any images listed in a CSV table with a subject and a label each."""

    stand_in: ClassVar[StandIn] = None

    layout: Literal["tabular"]
    table: PathText
    """The CSV table, its path relative to root."""
    path_column: str = "path"
    """Its column of image paths, relative to root."""
    subject_column: str | None = "subject"
    """Its column of subjects; null where nobody knows them, which will do for a source only."""
    label_column: str = "label"
    """Its column of raw labels."""

    @property
    def people(self) -> str | None:
        """Nobody else's, unless `people_of` says so."""
        return None

    @property
    def has_subjects(self) -> bool:
        """Whether the table names them."""
        return self.subject_column is not None
