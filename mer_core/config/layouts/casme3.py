"""The section of a dataset in the layout of CAS(ME)^3."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from mer_core.config.datasets import StandIn
from mer_core.config.layouts.annotated import AnnotatedClips


class Casme3(AnnotatedClips):
    """CAS(ME)^3, parts A and C: one apex frame per annotated expression (Li et al. 2022)."""

    fps: ClassVar[float | None] = 30.0
    stand_in: ClassVar[StandIn] = {"part": ["A"]}

    layout: Literal["casme3"]
    part: Literal["A", "C"] = "A"
    """A has emotions and apexes; C, the mock crime, has valences alone."""
    expressions: Literal["micro", "macro"] = "micro"
    """Which expressions of part A are used. The same people show both; of macro-expressions no emotion is
    told, but the objective class."""
    labels: Literal["emotion", "objective"] = "emotion"
    """What `classes` maps: the emotion (in C the valence), or in A the objective class (I to VII)."""
    frames: Literal["auto"] = "auto"
    """There are whole pictures in colour; the depth is not used."""
    frame_numbers: Literal["annotated"] = "annotated"
    """As in the files' names: several expressions share a recording."""

    @model_validator(mode="after")
    def _told(self) -> Casme3:
        if self.expressions == "macro" and (self.part, self.labels) != ("A", "objective"):
            raise ValueError(
                "macro-expressions are in part A, without emotions; set part: A, labels: objective"
            )
        return self

    @property
    def people(self) -> str | None:
        """Each part was recorded with others."""
        return f"casme3, part {self.part}"
