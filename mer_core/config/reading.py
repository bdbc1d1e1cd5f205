"""Reading a configuration's file, and refusing what YAML itself would pass over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mer_core.errors import UserError

# The same parser in C, where it was compiled: Snakemake's jobs read these files again, each of them.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
# Octal (010 is 8) and by sixties (1:30 is 90), as YAML 1.1 has them.
_MISLEADING = re.compile(r"[-+]?(0[0-9_]+|[0-9_]+(:[0-9]+)+(\.[0-9_]*)?)")


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The settings that a file holds.

    Raises:
        UserError: it cannot be read, is no YAML, holds no settings, has a key twice in one block, of which
            YAML would keep the last and forget the others, or a number that YAML takes for another.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); name a readable YAML file") from None
    try:
        problems = [*_problems(yaml.compose(text, Loader=_Loader))]
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # of an endless number, say
        place = " ".join(str(error).split())
        raise UserError(f"{path}: is not valid YAML ({place}); mend the syntax there") from None
    if problems:
        raise UserError("\n".join(f"{path}: {problem}" for problem in problems))
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: holds no settings; start from the shipped config.yaml")
    return value


def _problems(root: yaml.Node | None) -> Iterator[str]:
    """One line for each key that stands twice in its block, and each number that is another than it looks."""
    pending, seen = [] if root is None else [((), root)], set()
    for above, node in pending:  # which grows on the way
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and _MISLEADING.fullmatch(node.value):
            yield (
                f"{'.'.join(above)}: YAML reads {node.value} as {yaml.load(node.value, Loader=_Loader)}; "
                "write it in quotes if it is a name, else without leading zeros or colons"
            )
        if isinstance(node, yaml.SequenceNode):
            pending += [((*above, str(number)), item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                path, line = (*above, str(key.value)), key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode):
                    if first := lines.get((key.tag, key.value)):
                        yield f"{'.'.join(path)} stands twice, in lines {first} and {line}; put both together"
                    lines[key.tag, key.value] = line
                pending.append((path, value))
