"""What every dataset says: where it lies, how its labels become classes, how strict to be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from mer_core.config.alignment import AlignmentOverlay
from mer_core.config.names import plain_label
from mer_core.config.section import Name, Names, PathText, Section, Whole

SIMULATED = "simulated"
StandIn = Mapping[str, Sequence[str | bool]] | None


class Dataset(Section):
    """What every layout has.

    A raw label mapped to null is left out on purpose, and one that is not listed is a defect.
    """

    # Whether samples are clips with an annotated interval, of which a comparison method can see the motion.
    has_clips: ClassVar[bool] = False
    # Frames per second, where all recordings of the layout have the same rate.
    fps: ClassVar[float | None] = None
    # Whether a sample's frame stands at the end of a motion, from a neutral face or an onset.
    has_motion: ClassVar[bool] = False

    # Whether the authors divide the people into training and test parts.
    has_split: ClassVar[bool] = False

    classes: dict[str, Name | None]
    """Raw label -> class; null leaves a label out. The order of the classes is that of first mention."""
    subjects: Names = None
    """Subjects to use; null means those of the released set where it is fixed, else all that are found."""

    @field_validator("classes")
    @classmethod
    def _at_least_two(cls, classes: dict[str, str | None]) -> dict[str, str | None]:
        if len(set(classes.values()) - {None}) < 2:
            raise ValueError("needs at least two classes")
        return classes

    @property
    def class_names(self) -> list[str]:
        """The classes in their fixed order, each once."""
        return list(dict.fromkeys(name for name in self.classes.values() if name is not None))

    @property
    def has_subjects(self) -> bool:
        """Whether it is known who is seen; without, no split keeps persons apart."""
        return True

    @property
    def people(self) -> str | None:
        """Who is seen: datasets with one answer show the same people, named alike. None: nobody else's."""
        return self.layout

    @property
    def samples_per_clip(self) -> int:
        """How many samples an annotated clip or sequence gives."""
        return 1


class Copy(Dataset):
    """A dataset that lies on disk, or is simulated."""

    # The keys of which some values alone are simulated, and those values; None where nothing is.
    stand_in: ClassVar[StandIn] = {}

    root: PathText
    """Folder of your copy, or: simulated."""
    link_roots: tuple[PathText, ...] = ()
    """Folders outside of root, such as a scratch disk or a store of files, that links in it may lead to."""

    bit_depth: Whole | None = Field(default=None, ge=8, le=16)
    """How many bits the camera wrote into frames of 16 bits: 10 or 12, say. null: as many as the file
    declares."""

    people_of: Name | None = None
    """The dataset whose people these are as well, under the same names, where no layout tells: nobody whom a
    fold leaves out may be trained on elsewhere."""

    alignment: AlignmentOverlay = AlignmentOverlay()
    """Keys of alignment that hold for this dataset alone: mode, eye_distance, eye_center."""

    @field_validator("classes")
    @classmethod
    def _one_class_of_a_label(cls, classes: dict[str, str | None]) -> dict[str, str | None]:
        first: dict[str, str] = {}
        for label, name in classes.items():
            other = first.setdefault(plain_label(label), label)
            if classes[other] != name:
                said = f"{classes[other] or 'null'} and {name or 'null'}"
                raise ValueError(
                    f"{other!r} and {label!r} are one label, mapped to {said}; spell it {other!r} everywhere"
                )
        return classes

    def unlike_the_stand_in(self) -> Iterator[str]:
        """The keys that bar a simulation, each with what to set."""
        if self.root == SIMULATED and self.stand_in is None:
            yield f"root: the layout {self.layout} is not simulated; give a folder"
        elif self.root == SIMULATED:
            for key, values in self.stand_in.items():
                if getattr(self, key) not in values:
                    asked, *known = (json.dumps(value).strip('"') for value in (getattr(self, key), *values))
                    yield (
                        f"{key}: {asked} is not simulated; set {' or '.join(known)}, or the folder of your "
                        "copy under root"
                    )


class Doctor(Section):
    """Severity of each kind of defect; kinds not named keep their default."""

    severity: dict[str, Literal["error", "warning", "ignore"]]
    """Kind of defect -> severity; docs/data.md lists the kinds and their defaults."""
