"""The section of a dataset that is put together of others, and what the best known ones hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mer_core.config.datasets import Dataset
from mer_core.config.section import Name

# The composites of the Facial Micro-Expression Grand Challenges: layout -> clips per class, and people.
Known = Mapping[str, tuple[dict[str, int], int]]
# Of 2018 (Yap et al., FG 2018): who shows the objective classes I to V, which follow from action units.
MEGC2018: Known = {
    "casme2": ({"I": 25, "II": 15, "III": 99, "IV": 26, "V": 20}, 26),
    "samm": ({"I": 24, "II": 13, "III": 20, "IV": 8, "V": 3}, 21),
}
# Of 2019 (See et al., FG 2019). Its list follows from a rule: all of SMIC HS; SAMM but for Other; of CASME II
# disgust, repression, happiness and surprise whose apex is annotated and is not the onset.
MEGC2019: Known = {
    "smic": ({"negative": 70, "positive": 51, "surprise": 43}, 16),
    "casme2": ({"negative": 88, "positive": 32, "surprise": 25}, 24),
    "samm": ({"negative": 92, "positive": 26, "surprise": 15}, 28),
}


def _differ(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a part stands twice; parts must differ")
    return names


class Composite(Dataset):
    """Other datasets under one class map. Nobody is in two: a subject is named {dataset}-{subject}."""

    layout: Literal["composite"]
    parts: Annotated[list[Name], Field(min_length=2), AfterValidator(_differ)]
    """The datasets, each with a section of its own; `classes` maps the classes of these."""

    def misfit(self, parts: dict[str, Dataset]) -> str | None:
        """What of the parts' classes does not fit together, with the mapping to write; None where all does.

        Args:
            parts: the sections of the parts by name.
        """
        known = {name: part.class_names for name, part in parts.items()}
        unsaid = {
            label: name for name, labels in known.items() for label in labels if label not in self.classes
        }
        mapped = {
            name: {self.classes.get(label) for label in labels} - {None} for name, labels in known.items()
        }
        if not unsaid and all(len(found) == len(self.class_names) for found in mapped.values()):
            return None
        shared = set.intersection(*mapped.values())
        if unsaid:
            shown = ", ".join(f"{label} of {name}" for label, name in unsaid.items())
            problem = f"lacks {shown}"
        else:
            lacking = [
                f"{name} has no {label}"
                for name, found in mapped.items()
                for label in self.class_names
                if label not in found
            ]
            problem = ", ".join(lacking)
        if len(shared) < 2:
            return f"{problem}; map the classes of all parts to the same ones, two at least"
        labels = dict.fromkeys(label for labels in known.values() for label in labels)
        remedy = {
            label: self.classes.get(label) if self.classes.get(label) in shared else None for label in labels
        }
        written = ", ".join(f"{label}: {name or 'null'}" for label, name in remedy.items())
        return f"{problem}; to use what all parts have, write {{{written}}}, or map these to a class of all"


def challenge(layouts: Mapping[str, str], classes: Sequence[str]) -> Known | None:
    """What a challenge counted whose composite this is, by the layouts of the parts and the classes."""
    for known in (MEGC2018, MEGC2019):
        if sorted(layouts.values()) == sorted(known) and set(classes) == set(known["casme2"][0]):
            return known
    return None
