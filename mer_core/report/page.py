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
from functools import partial
from pathlib import Path
from string import ascii_lowercase
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
# A number, which is what a spreadsheet should get, and its spread: not a digest, not a version.
NUMBER = re.compile(r"([<+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)((?: ± \S+)?(?: \[.+\])?)")
NAMES = ["Method", "Variant"]  # columns that name a row together
NOTE = "Note"  # the column that becomes footnotes


@dataclass(frozen=True)
class Picture:
    """A figure as the report shows it.

    Args:
        path: the PNG or SVG file.
        title: a few words.
        caption: what it shows, with n, folds, seeds and what its spread is.
        alt: what somebody who does not see it should know.
        variant: the variant that it is about; '' when it is about all.
        narrow: the same figure for a phone, if there is one; others are scrolled there.
    """

    path: Path
    title: str
    caption: str
    alt: str
    variant: str = ""
    narrow: Path | None = None


@dataclass(frozen=True)
class Notes:
    """What is to be said on several tables, once.

    Args:
        title: a few words.
        notes: sentences.
    """

    title: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Clips:
    """What every row answered, clip by clip: a table to be filtered.

    Args:
        title: a few words.
        caption: what it shows.
        samples: one row per clip: clip, subject, label.
        answers: row of the tables -> per clip, in the same order, the answer and its probability, or None.
    """

    title: str
    caption: str
    samples: pd.DataFrame
    answers: Mapping[str, Sequence[tuple[str, float] | None]]


@dataclass
class Section:
    """A part of the page: words, then tables and pictures, then what is folded away.

    Args:
        title: the heading.
        texts: paragraphs.
        points: a list under them.
        items: tables, pictures and notes, in the order to show.
        folded: what opens on a click: its summary and a table or a text; not printed unless it is open.
    """

    title: str
    texts: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    items: list[Table | Picture | Notes] = field(default_factory=list)
    folded: list[tuple[str, Table | Clips | str]] = field(default_factory=list)


def fill(settings: Config, **words: Any) -> str:
    """Fill the template.

    Args:
        settings: names the paths that must not appear.
        words: title, subtitle, banner ('' for none), finding (sentences), sections (`Section`s), variants
            (names that the filter offers), footer.

    Returns:
        HTML.
    """
    hide = _Hider(settings)
    environment = Environment(
        loader=PackageLoader("mer_core.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=hide,
        trim_blocks=True,
    )
    environment.filters |= {"csp": _csp_hash, "laid_out": partial(_lay_out, hide), "zip": zip}
    return environment.get_template("page.html.j2").render(**words) + "\n"


def split_caption(table: Table) -> tuple[str, str]:
    """The first sentence of a table's caption, which is its title, and the rest."""
    title, _, rest = table.caption.partition(". ")
    return title, rest


def _lay_out(hide: _Hider, item: Table | Picture | Notes | Clips) -> dict[str, Any]:
    if isinstance(item, Table):
        return _lay_out_table(item, hide)
    if isinstance(item, Notes):
        return {"kind": "notes", "title": item.title, "notes": [("", note) for note in item.notes]}
    return _lay_out_picture(item) if isinstance(item, Picture) else _lay_out_clips(item)


def _lay_out_table(table: Table, hide: _Hider) -> dict[str, Any]:
    """The cells as they stand on the page, and for each row the variants that it is about."""
    title, caption = split_caption(table)
    shown = table.shown.astype(str)
    notes = shown.pop(NOTE) if NOTE in shown else pd.Series("", shown.index)
    marks = {
        text: letter for text, letter in zip(filter(None, notes.unique()), ascii_lowercase, strict=False)
    }
    second = shown.pop(NAMES[1]) if list(shown)[:2] == NAMES else shown.iloc[:, 0]
    columns = [_cells(shown[name]) for name in shown]
    rows = []
    for place, (names, (_, values)) in enumerate(zip(table.about, table.frame.iterrows(), strict=True)):
        name = second.iloc[place]
        rows.append(
            {
                "cells": [column[place] for column in columns],
                "name": "" if name in (MISSING, shown.iloc[place, 0]) else name,
                "mark": marks.get(notes.iloc[place], ""),
                "variants": " ".join(names),
                "floor": values.get("kind") == "floor",
            }
        )
    return {
        "kind": "table",
        "title": title,
        "caption": caption,
        "columns": [(name, cells[0]["number"]) for name, cells in zip(shown, columns, strict=True)],
        "rows": rows,
        "notes": [*((mark, text) for text, mark in marks.items()), *(("", text) for text in table.notes)],
        "file": re.sub(r"\W+", "_", title).strip("_").lower() + ".csv",
        "csv": _data("text/csv", hide(table.frame.to_csv(index=False)).encode()),
    }


def _cells(column: pd.Series) -> list[dict[str, Any]]:
    """A column's cells; in one of numbers, each number apart from its deviation and interval."""
    found = [NUMBER.fullmatch(text) for text in column]
    numbers = any(found) and all(
        match or text in ("", MISSING) for match, text in zip(found, column, strict=True)
    )
    return [
        {"text": match[1], "spread": match[2].strip(), "number": True}
        if numbers and match
        else {"text": text, "spread": "", "number": numbers}
        for match, text in zip(found, column, strict=True)
    ]


def _lay_out_clips(clips: Clips) -> dict[str, Any]:
    rows = [
        {
            "clip": clip,
            "subject": subject,
            "label": label,
            "answers": [
                {"text": given[0], "spread": f"{given[1]:.2f}", "wrong": given[0] != label}
                if given
                else {"text": MISSING, "spread": "", "wrong": False}
                for given in answers
            ],
            "right": sum(bool(given) and given[0] == label for given in answers),
        }
        for (clip, subject, label), *answers in zip(
            clips.samples.itertuples(index=False), *clips.answers.values(), strict=True
        )
    ]
    return {
        "kind": "clips",
        "title": clips.title,
        "caption": clips.caption,
        "names": list(clips.answers),
        "subjects": sorted(clips.samples["subject"].unique()),
        "labels": sorted(clips.samples["label"].unique()),
        "rows": rows,
    }


def _lay_out_picture(picture: Picture) -> dict[str, Any]:
    narrow = picture.narrow and _image(picture.narrow)
    words = {"title": picture.title, "caption": picture.caption, "alt": picture.alt}
    return {"kind": "picture", "variants": picture.variant, "narrow": narrow} | words | _image(picture.path)


def _image(path: Path) -> dict[str, Any]:
    """The file as a data URI, and its size on the page in CSS pixels (96 to the inch)."""
    content = path.read_bytes()
    if path.suffix == ".svg":
        kind, root = "svg+xml", ElementTree.fromstring(content)
        width, height = (float(root.attrib[name].removesuffix("pt")) / 72 for name in ("width", "height"))
    else:
        kind = "png"
        with Image.open(path) as image:
            width, height = (size / image.info["dpi"][0] for size in image.size)
    return {"data": _data(f"image/{kind}", content), "width": round(96 * width), "height": round(96 * height)}


def _data(kind: str, content: bytes) -> Markup:
    return Markup(f"data:{kind};base64,{base64.b64encode(content).decode()}")


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
