"""How the report is laid out: tables and pictures made ready for the template, and nothing that leaks.

The page holds its style, its script and its images; a content security policy forbids every other
source. Every text is escaped, and absolute paths are cut to their last component.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from mer_core.config.experiment import Config
from mer_core.config.section import dump
from mer_core.report.tables import Table

MISSING = "–"
FIGURE_SPACE = "\u2007"  # as wide as a digit
NUMBER = re.compile(r"(?<![\w.])[<+−]?\d+")
NUMERIC = re.compile(rf"{NUMBER.pattern}(\.\d+)?(\s.*)?")  # not a digest, not a version


@dataclass(frozen=True)
class Picture:
    """A figure as the report shows it.

    Args:
        path: the PNG or SVG file.
        title: a few words.
        caption: what it shows, with n, folds, seeds and what its spread is.
        alt: what somebody who does not see it should know.
        variant: the variant that it is about; '' when it is about all.
    """

    path: Path
    title: str
    caption: str
    alt: str
    variant: str = ""


@dataclass
class Section:
    """A part of the page: words, then tables and pictures, then what is folded away.

    Args:
        title: the heading.
        texts: paragraphs.
        points: a list under them.
        items: tables and pictures, in the order to show.
        folded: what opens on a click: its summary and a table or a text.
    """

    title: str
    texts: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    items: list[Table | Picture] = field(default_factory=list)
    folded: list[tuple[str, Table | str]] = field(default_factory=list)


def fill(settings: Config, **words: Any) -> str:
    """Fill the template.

    Args:
        settings: names the paths that must not appear.
        words: title, subtitle, banner ('' for none), finding (sentences), sections (`Section`s), variants
            (names that the filter offers), footer.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("mer_core.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_Hider(settings),
        trim_blocks=True,
    )
    environment.filters |= {"csp": _csp_hash, "laid_out": _lay_out}
    return environment.get_template("page.html.j2").render(**words) + "\n"


def split_caption(table: Table) -> tuple[str, str]:
    """The first sentence of a table's caption, which is its title, and the rest."""
    title, _, rest = table.caption.partition(". ")
    return title, rest


def _lay_out(item: Table | Picture) -> dict[str, Any]:
    return _lay_out_table(item) if isinstance(item, Table) else _lay_out_picture(item)


def _lay_out_table(table: Table) -> dict[str, Any]:
    """The cells, aligned, and for each row the variants that it is about."""
    title, caption = split_caption(table)
    about = [name for name in ("variant", "before", "after") if name in table.frame]
    rows = []
    for cells, (_, values) in zip(_align(table.shown), table.frame.iterrows(), strict=True):
        names = [str(values[name]) for name in about if pd.notna(values[name])]
        variants = " ".join(name for name in names if name not in ("majority", "printed"))
        rows.append({"cells": cells, "variants": variants, "floor": "majority" in names})
    shown = {"title": title, "caption": caption, "notes": table.notes, "columns": list(table.shown)}
    return {"kind": "table", "rows": rows, **shown}


def _align(shown: pd.DataFrame) -> list[list[str]]:
    """Rows of cells in which the numbers of a column stand under each other on the decimal point."""
    columns = [_align_column([str(cell) for cell in shown[name]]) for name in shown]
    return [list(row) for row in zip(*columns, strict=True)]


def _align_column(cells: Sequence[str]) -> list[str]:
    """Fill the integer part of each number with figure spaces up to the column's widest."""
    cells = [re.sub(r"(?<!\w)-(?=\d)", "−", cell) for cell in cells]
    if not all(cell == MISSING or NUMERIC.fullmatch(cell) for cell in cells):
        return cells  # words
    numbers = [NUMBER.findall(cell) for cell in cells]
    most = max(map(len, numbers))
    widths = [max(len(found[k]) for found in numbers if k < len(found)) for k in range(most)]

    def fill_up(cell: str) -> str:
        width = iter(widths)
        return NUMBER.sub(lambda match: match[0].rjust(next(width), FIGURE_SPACE), cell)

    return [
        cell.rjust(max(widths[:1], default=1), FIGURE_SPACE) if cell == MISSING else fill_up(cell)
        for cell in cells
    ]


def _lay_out_picture(picture: Picture) -> dict[str, Any]:
    """The file as a data URI, and its size on the page in CSS pixels (96 to the inch)."""
    content = picture.path.read_bytes()
    if picture.path.suffix == ".svg":
        kind, root = "svg+xml", ElementTree.fromstring(content)
        width, height = (float(root.attrib[name].removesuffix("pt")) / 72 for name in ("width", "height"))
    else:
        kind = "png"
        with Image.open(picture.path) as image:
            width, height = (size / image.info["dpi"][0] for size in image.size)
    return {
        "kind": "picture",
        "title": picture.title,
        "caption": picture.caption,
        "alt": picture.alt,
        "variants": picture.variant,
        "data": Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}"),
        "width": round(96 * width),
        "height": round(96 * height),
    }


def _csp_hash(text: str) -> str:
    """What a content security policy knows an inline style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class _Hider:
    """Takes absolute paths out of every text on the page: they tell user names and machines.

    Paths that the configuration names come first, as they may hold spaces; then whatever else looks like
    an absolute path. Only the last component stays.
    """

    def __init__(self, settings: Config) -> None:
        paths = {text for text in _strings(dump(settings)) if re.match(r"/|~|[A-Za-z]:[\\/]", text)}
        self._known = {path: _last(path) for path in sorted(paths, key=len, reverse=True)}

    def __call__(self, value: Any) -> Any:
        """Jinja's `finalize`: sees every value that is printed; markup of ours passes."""
        if not isinstance(value, str) or isinstance(value, Markup):
            return value
        for path, shown in self._known.items():
            value = value.replace(path, shown)
        part = r"[^\s/\\:\"'<>|]+"
        return re.sub(
            rf"(?<![\w./…])(?:~|[A-Za-z]:)?[/\\](?:{part}[/\\])+{part}", lambda m: _last(m[0]), value
        )


def _last(path: str) -> str:
    return "…/" + re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
