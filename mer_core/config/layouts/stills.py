"""What the sections of datasets of single images have in common of which nobody knows whom they show."""

from __future__ import annotations

from mer_core.config.datasets import Copy


class Stills(Copy):
    """Labelled images without names of people, which will do for a source only."""

    @property
    def has_subjects(self) -> bool:
        """Nobody knows them."""
        return False
