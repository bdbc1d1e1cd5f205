"""What the sections of the configuration are made of: blocks, names, numbers."""

from __future__ import annotations

import json
import os
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mer_core.config.names import NAME


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text[:60]!r} is not allowed; it should hold printable characters only")
    if text != text.strip():
        raise ValueError(f"{text[:60]!r} is not allowed; it should not begin or end with a blank")
    return text


def _expand(path: str) -> str:
    """The path that a shell would make of it: `~` and `$NAME` are followed as far as they are known."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 (which raises for an unknown user)


def _number(value: Any) -> Any:
    """What YAML 1.1 takes for text and its writer for a number: 1e4. Pydantic would take yes for 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,9}(\.\d{0,9})?[eE][+-]?\d{1,2}", value):
        return float(value)
    return value


def _unlike(names: list[str] | None) -> list[str] | None:
    twice = sorted({name for name in names or [] if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice; names must differ")
    return names


Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Names = Annotated[list[Name] | None, Field(min_length=1), AfterValidator(_unlike)]
PathText = Annotated[
    str, Field(min_length=1, max_length=1000), AfterValidator(_expand), AfterValidator(_visible)
]
Whole = Annotated[int, BeforeValidator(_number)]
Real = Annotated[float, BeforeValidator(_number)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
Draws = Annotated[Whole, Field(ge=100, le=1_000_000)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
Positive = Annotated[Real, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[Real, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[Whole, Field(ge=1, le=1_000_000_000)]


class Section(BaseModel):
    """A block of settings: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def dump(section: BaseModel | list[BaseModel]) -> Any:
    """A section as plain JSON-able values, fit for a rule's params and for config.json."""
    if isinstance(section, list):
        return [dump(item) for item in section]
    return json.loads(section.model_dump_json())
