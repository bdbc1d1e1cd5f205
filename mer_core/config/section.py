"""What the sections of the configuration are made of: blocks, names, numbers."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text[:60]!r} is not allowed; it should hold printable characters only")
    return text


def _unlike(names: list[str] | None) -> list[str] | None:
    twice = sorted({name for name in names or [] if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice; names must differ")
    return names


Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Names = Annotated[list[Name] | None, Field(min_length=1), AfterValidator(_unlike)]
PathText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Draws = Annotated[int, Field(ge=100, le=1_000_000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Section(BaseModel):
    """A block of settings: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def dump(section: BaseModel | list[BaseModel]) -> Any:
    """A section as plain JSON-able values, fit for a rule's params and for config.json."""
    if isinstance(section, list):
        return [dump(item) for item in section]
    return json.loads(section.model_dump_json())
