"""Every key of the configuration as a page and as a JSON schema: `python -m mer_core.config.document`.

What a key means stands once: below it in its section, or as the comment above it in `config.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mer_core.config.experiment import Config
from mer_core.config.names import NAME
from mer_core.config.section import Section
from mer_core.config.wording import WISHES

ROOT = Path(__file__).parents[2]
COMMAND = "python -m mer_core.config.document"
INTRODUCTION = """
Every key of the configuration. `config.yaml` holds the values in the third column; a file given by
`--configfile` is laid over it: blocks are merged, values and lists replaced. Where `config.yaml` lacks a key,
the column says what counts then. A key that is not listed is refused.

On the command line, `--config 'training={epochs: 3}' seeds=[0,1] folds=` is laid over both; nothing behind
`=` is null, and names of digits alone need a file.

A name is made of letters, digits, - and _, 64 at most; `NAME` stands for one that you choose, `[]` for each
item of a list. Paths follow `~` and `$VARIABLE`. Editors complete and check keys by
[config.schema.json](config.schema.json), which the first line of `config.yaml` names.
"""
# Pydantic leaves limits in its own words where a validator goes before them; of no use to an editor, or wrong
# for a file that holds but a part of the settings.
RENAMED = {"ge": "minimum", "le": "maximum", "lt": "exclusiveMaximum", "oneOf": "anyOf"}
DROPPED = {"title", "required", "discriminator"}
LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
HUGE = 10**9  # limits of this size guard the machine and tell people nothing


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration, and of every file that is laid over it: nothing is required."""
    whole = _plain(Config.model_json_schema())
    whole["$defs"]["Config"] = {"description": whole["description"], "properties": whole["properties"]}
    shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
    comments = dict(_comments(yaml.compose(shipped), ["Config"], whole["$defs"], shipped.splitlines()))
    for name, definition in whole["$defs"].items():
        for key, node in definition["properties"].items():
            block = whole["$defs"].get(node.get("$ref", "").rpartition("/")[2], {})
            said = comments.get(_declared(name, key)) or block.get("description", "")
            node.setdefault("description", said)
    del whole["$defs"]["Config"]
    return {"$comment": f"Written by {COMMAND}; do not edit."} | whole


def page() -> str:
    """The same in Markdown."""
    whole = schema()
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    head = f"<!-- Written by {COMMAND}; do not edit. -->\n# Configuration\n{INTRODUCTION}"
    return head + "\n".join(_block("", whole, whole["$defs"], shipped)) + "\n"


def _block(path: str, definition: Mapping, definitions: Mapping, shipped: Any) -> Iterator[str]:
    """A block's keys as a table, then the blocks within it."""
    kind = "".join(
        f", {key}: {node['const']}" for key, node in definition["properties"].items() if "const" in node
    )
    yield from ["", f"## {path or 'The experiment'}{kind}", "", _line(definition["description"]), ""]
    yield from ["| key | type | value | meaning |", "|---|---|---|---|"]
    for key, node in definition["properties"].items():
        value = ""
        if not [*_references(node)]:
            value = shipped[key] if key in shipped else node.get("default", "required")
            value = value if value == "required" else f"`{json.dumps(value)}`"
        yield f"| `{key}` | {_type(node)} | {value} | {_line(node['description'])} |"
    for key, node in definition["properties"].items():
        within = shipped.get(key, {}) if "$ref" in node else {}
        for place, name in _references(node, f"{path}.{key}".strip(".")):
            yield from _block(place, definitions[name], definitions, within)


def _references(node: Mapping, path: str = "") -> Iterator[tuple[str, str]]:
    """The blocks that a key may hold, by their names in the schema, and where they stand."""
    if "$ref" in node:
        yield path, node["$ref"].rpartition("/")[2]
    for inner in node.get("anyOf", []):
        yield from _references(inner, path)
    for inner in node.get("patternProperties", {}).values():
        yield from _references(inner, f"{path}.NAME")
    if "items" in node:
        yield from _references(node["items"], f"{path}[]")


def _type(node: Mapping) -> str:
    limits = [f"{word} {node[key]}" for key, word in LIMITS.items() if node.get(key, HUGE) < HUGE]
    match node:
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"anyOf": kinds}:
            return " or ".join(dict.fromkeys(map(_type, kinds)))
        case {"type": "array", "prefixItems": parts}:
            return f"{len(parts)} of: {_type(parts[0])}"
        case {"type": "array", "items": item}:
            return f"list of: {_type(item)}"
        case {"type": "object", "patternProperties": values}:
            return f"by name: {_type(next(iter(values.values())))}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"by name: {_type(values)}"
        case {"type": "integer" | "number" as kind}:
            return " ".join([{"integer": "whole number", "number": "number"}[kind], *limits])
        case {"type": "string", "pattern": pattern}:
            return "name" if pattern == f"^{NAME}$" else WISHES[pattern].removeprefix("should be ")
        case {"type": "string" | "boolean" | "null" as kind}:
            return {"string": "text", "boolean": "`true`, `false`", "null": "`null`"}[kind]
    return "block"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(node: Any) -> Any:
    """A schema without what is of no use to an editor."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("properties"), dict):
        inner = {key: _plain(value) for key, value in node["properties"].items()}
        node = node | {"properties": inner}
    return {
        RENAMED.get(key, key): value if key == "properties" else _plain(value)
        for key, value in node.items()
        if key not in DROPPED
    }


def _comments(
    node: yaml.Node, names: list[str], definitions: Mapping, lines: list[str]
) -> Iterator[tuple[tuple[str, str], str]]:
    """The comments above the keys of `config.yaml`, by the section that declares the key, and the key."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        row, above = key.start_mark.line, []
        if lines[row][: key.start_mark.column].strip():
            continue  # a block in one line, of which the comment above is not this key's
        while (text := lines[row - len(above) - 1].strip()).startswith("#"):
            above.insert(0, text.removeprefix("#").strip())
        for name in names:
            if inner := definitions[name]["properties"].get(key.value):
                if above:
                    yield _declared(name, key.value), " ".join(above)
                within = [name for _, name in _references(inner)]
                values = [item for _, item in value.value] if "patternProperties" in inner else [value]
                for item in values:
                    yield from _comments(item, within, definitions, lines)


def _declared(name: str, key: str) -> tuple[str, str]:
    """The section that declares a key, which others may inherit."""
    todo: list[type] = [Section]
    while todo:
        model = todo.pop()
        todo += model.__subclasses__()
        if model.__name__ == name:
            bases = reversed(model.__mro__)
            return next(base.__name__ for base in bases if key in vars(base).get("__annotations__", ())), key
    raise AssertionError(name)


if __name__ == "__main__":
    (ROOT / "docs" / "configuration.md").write_text(page(), encoding="utf-8")
    (ROOT / "docs" / "config.schema.json").write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
