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
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    clips_per_subject: Mapping[frozenset[str], tuple[int, ...]] = field(default_factory=dict)
