"""What a dataset's authors say that it holds, for the doctor to print beside a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """Published counts.

    Attributes:
        labels: raw label -> clips (or sequences).
        subjects: the people of the released set; a copy that lacks one is defective. Empty where they differ
            from copy to copy.
        clips_per_subject: sets of raw labels -> clips of each of `subjects` under these labels.
        only: people of whom there are clips of these labels alone.
        copies: what is known of a copy with other counts -> how many clips of these labels, or of `all`, it
            has.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    clips_per_subject: Mapping[frozenset[str], tuple[int, ...]] = field(default_factory=dict)
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    copies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def people(self, classes: Mapping[str, str | None]) -> list[str]:
        """The people of whom something is used under a class map."""
        used = {label.casefold() for label, name in classes.items() if name is not None}
        return [name for name in self.subjects if name not in self.only or self.only[name] & used]
