"""What is wrong with a configuration, in the words of its user."""

from __future__ import annotations

import difflib
import re
import reprlib
import typing
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError

from mer_core.config.names import NAME

OF_COMMAND_LINE = "of --config, nothing behind the = is null, and null is text"
# What a pattern asks for, and a kind of problem means, in words.
WISHES = {
    rf"^{NAME}$": "should be letters, digits, - and _, no more than 64",
    rf"^{NAME}/{NAME}$": "should be a dataset and a subject, such as casme2/sub12",
    r"^\d{1,6}(MB|GB)$": "should be a size, such as 6GB",
    r"^\d{1,6}[smhd]$": "should be a time, such as 1h",
    "model_type": "should be a block of keys and values",
    "model_attributes_type": "should be a block of keys and values",
    "dict_type": "should be a block of keys and values",
    "invalid_key": "should be text",
    "list_type": "should be a list, such as [a, b]",
    "tuple_type": "should be a list, such as [a, b]",
}


def explain(error: ValidationError, source: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """One readable line per wrong key; what the branches of a union want is joined by 'or'."""
    lines: dict[tuple[str, str], list[str]] = {}
    for problem in error.errors():
        is_key = problem["loc"][-1:] == ("[key]",)
        path = _spell(problem["loc"][: -2 if is_key else None], source)
        for start, wish in _wishes(problem, model):
            lines.setdefault((path, start), []).append(wish)
    for (path, start), wishes in lines.items():
        # Of a union, the branch that got deepest into the value is the one that was meant.
        if not path or not any(other.startswith(f"{path}.") for other, _ in lines):
            yield (f"{path}: " if path else "") + start + " or ".join(dict.fromkeys(wishes))


def _wishes(problem: Any, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """What is wrong, and what would be right, for one problem that pydantic found."""
    kind, value = problem["type"], problem["input"]
    if problem["loc"][-1:] == ("[key]",):
        yield f"the key {_show(value)} is not text{_misread(value)}; ", "write it in quotes"
    elif kind == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1], model)
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        yield "unknown key; ", f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(known)}"
    elif kind == "missing":
        yield "missing; ", "add it (the shipped config.yaml explains it)"
    elif kind == "union_tag_invalid":
        tag, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        yield f"'{tag}' is not a {_discriminator(problem)}; ", f"it should be one of {allowed}"
    elif kind == "union_tag_not_found":
        yield f"{_discriminator(problem)}: missing; ", "add it (the shipped config.yaml explains it)"
    elif kind == "value_error":
        yield from ((line, "") for line in str(problem["ctx"]["error"]).splitlines())
    elif kind == "string_type" and isinstance(value, bool | int | float | date | None):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Snakemake takes quotes off, too, and makes a number of what is left.
        where = ", in a file: --config knows none" if is_number and len(problem["loc"]) == 1 else ""
        yield f"{_show(value)} is not text{_misread(value)}; ", f"write it in quotes{where}"
    else:
        message = re.sub("^(Input|String|List|Tuple|Dictionary) ", "", problem["msg"])
        wish = WISHES.get(problem.get("ctx", {}).get("pattern", kind), message)
        yield f"{_show(value)}{_misread(value)} is not allowed; it ", wish


def _discriminator(problem: Any) -> str:
    return problem["ctx"]["discriminator"].strip("'")


def _misread(value: Any) -> str:
    """What YAML 1.1 makes of words that were meant as names, and `--config` of those that were not."""
    if value == "null":
        return f" ({OF_COMMAND_LINE})"
    words = {True: "yes and on", False: "no and off", None: "~, null and nothing at all"}
    return f" (YAML reads {words[value]} so)" if value is None or isinstance(value, bool) else ""


def _show(value: Any) -> str:
    """A wrong value in less than a line, however large it is."""
    short = reprlib.Repr()
    short.maxstring = 60
    try:
        return short.repr(value)
    except ValueError:  # Python prints no more than 4300 digits
        return "a number of thousands of digits"


def _spell(loc: tuple, source: Any) -> str:
    """The dotted key as the user wrote it: without the names of union members."""
    parts = []
    for depth, part in enumerate(loc):
        in_mapping = isinstance(source, Mapping) and part in source
        in_list = isinstance(source, list) and isinstance(part, int) and part < len(source)
        if in_mapping or in_list:
            source = source[part]
        elif not (isinstance(source, Mapping) and depth == len(loc) - 1):
            continue  # a member of a union, not a key of the file
        parts.append(str(part) if str(part).isprintable() and len(str(part)) <= 64 else _show(part))
    return ".".join(parts)


def _known_keys(loc: tuple, model: type[BaseModel]) -> list[str]:
    """The keys allowed at a place of the configuration."""
    annotation: Any = model
    for part in loc:
        annotation = _step(annotation, part)
    return sorted({key for model in _models(annotation) for key in model.model_fields})


def _step(annotation: Any, part: Any) -> Any:
    for model in _models(annotation):
        if part in model.model_fields:
            return model.model_fields[part].annotation
    members = [m for m in _models(annotation) if _tag(m) == part]
    if members:  # the discriminator's value of a union
        return members[0]
    arguments = typing.get_args(annotation)
    return arguments[-1] if arguments else annotation


def _tag(model: type[BaseModel]) -> Any:
    key = model.model_fields.get("layout") or model.model_fields.get("kind")
    return typing.get_args(key.annotation)[0] if key else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin in (dict, list, tuple, Mapping):
        return []
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]
