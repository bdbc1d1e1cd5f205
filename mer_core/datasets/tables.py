"""Annotation tables: finding the one of a dataset near its frames, and samples of its rows."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.config.layouts.annotated import AnnotatedClips
from mer_core.datasets import frames, workbook
from mer_core.datasets.annotated import Key, check_interval, clip_key, is_missing
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.trees import Listing
from mer_core.errors import Unreadable, UserError


@dataclass(frozen=True)
class Table:
    """How a dataset's annotation table looks.

    Attributes:
        columns: subject, clip, onset, apex, offset, action_units, label, fps where it differs, and what else
            `mend` needs -> the accepted header names, best first.
        named: subject and clip of a row as the dataset spells them; None where it names none.
        may_be: whether a file of this name may be a table of the dataset.
        example: of its name, for messages.
        optional: columns that may be missing, and are empty then.
        rank: of a file by its name, the lowest first, where copies hold several versions.
        part: which part of the clips a file annotates, by its path; the tables of all parts are put together.
            None where each file of any name may be one of a part.
        is_meant: whether the sheet of this name is one of the table, where a workbook has several.
        beside: another table of the copy, which `mend` needs.
        mend: what else must happen to the table, which has a column `where` (file and row) for defects. Takes
            the table, and the one beside it, None where there is none.
        label_of: the label that a clip's name tells, where that counts rather than the table's.
        repeats: whether several rows annotate one clip: sample ids then hold the onset.
        longest: seconds beyond which an interval is mistyped; None where there is no limit.
        parse: how the columns are read of a table without a header.
        cut_out: the name of a folder that holds a row's expression alone, where clips are whole recordings.
        passed_over: why a row is not used, whatever its label; empty where it is.
    """

    columns: Mapping[str, Sequence[str]]
    named: Callable[[pd.Series], Key | None]
    may_be: Callable[[str], bool]
    example: str
    optional: Sequence[str] = ("action_units",)
    rank: Callable[[str], int] = lambda file: 0
    part: Callable[[Path], str] | None = lambda path: ""
    is_meant: Callable[[str], bool] = lambda title: True
    beside: Table | None = None
    mend: Callable[[pd.DataFrame, pd.DataFrame | None, Findings], pd.DataFrame] = (
        lambda table, beside, findings: table
    )
    label_of: Callable[[Key], str] | None = None
    repeats: bool = False
    longest: float | None = None
    parse: Callable[[Path], pd.DataFrame] | None = None
    cut_out: Callable[[pd.Series], str] = lambda cells: ""
    passed_over: Callable[[pd.Series], str] = lambda cells: ""

    def read(self, path: Path) -> pd.DataFrame:
        """The columns as text, by the row that a spreadsheet shows; see `workbook.read_table`."""
        if self.parse:
            return self.parse(path)
        remedy = "mend its header, or move it away if it is no table of this dataset"
        return workbook.read_table(path, self.columns, self.optional, remedy, self.is_meant)


def read_table_of(
    name: str, settings: AnnotatedClips, form: Table, root: Root, listing: Listing, findings: Findings
) -> pd.DataFrame:
    """The table that annotates a dataset: the configured one, else the one that is found.

    The root may be a folder of frames inside the dataset's, so the table may lie above it: it is looked for
    under the root, else in one of the two folders above. Of several that hold the columns, all must say the
    same.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        form: how its table looks.
        root: the dataset's folder.
        listing: of the root.
        findings: where defects go.

    Returns:
        Text columns as `form` names them, and `where`: file and row, as a spreadsheet counts.

    Raises:
        UserError: there is no table, it is damaged, or it cannot be told which one is meant.
    """
    key = f"datasets.{name}.workbook"
    remedy = f"name it in {key}"
    if settings.workbook is None:
        paths = _find(root, listing, form, remedy)
        if not paths:
            raise UserError(
                f"{root.path}: no annotation table ({form.example}); "
                f"{_remedy(root, listing, form.may_be, key)}"
            )
    else:
        path = frames.spelled(root.path, settings.workbook)
        files = frames.scan(path, Root(path))[1] if path.is_dir() else []
        paths = _choose(root, [path / file for file in files], form, remedy) or [path]

    table, beside = _read_all(paths, form), None
    if form.beside and (found := _find(root, listing, form.beside, "leave one of them there")):
        beside = _read_all(found, form.beside)
    return form.mend(table, beside, findings)


def tables_above(settings: AnnotatedClips, form: Table, root: Root) -> list[Path]:
    """The tables in the two folders above the root that `read_table_of` may choose from."""
    forms = [form if settings.workbook is None else None, form.beside]
    return [
        folder / name
        for one in filter(None, forms)
        for folder, _, names in frames.above(root)
        for name in names
        if _is_table(name, one.may_be)
    ]


def mirror_offsets(table: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """Put offsets that are missing as far from the apex as the onset is."""
    table = table.copy()
    for row, cells in table.iterrows():
        onset, apex = (workbook.whole_number(cells[key]) for key in ("onset", "apex"))
        if is_missing(cells["offset"]) and onset is not None and apex is not None and onset < apex:
            table.loc[row, "offset"] = str(2 * apex - onset)
            action = (
                f"offset {cells['offset']!r} taken as {2 * apex - onset}, as far from the apex as the onset"
            )
            findings.add("missing_offset", action, file=cells["where"])
    return table


def _read_all(paths: Sequence[Path], form: Table) -> pd.DataFrame:
    tables = []
    for path in paths:
        table = form.read(path)
        tables.append(table.assign(where=[f"{path.name}:{row}" for row in table.index]))
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _find(root: Root, listing: Listing, form: Table, remedy: str) -> list[Path]:
    """The tables of the nearest level that has any: the root, or one of the two folders above."""
    for level in [listing, *([(folder, names)] for folder, _, names in frames.above(root))]:
        if found := _choose(root, [folder / name for folder, names in level for name in names], form, remedy):
            return found
    return []


def _choose(root: Root, files: Sequence[Path], form: Table, remedy: str) -> list[Path]:
    """One table for every part; of several for one, those that hold the columns must say the same.

    A part of which no table can be read is never passed over: half of the clips would be missing.
    """
    paths = [path for path in files if _is_table(path.name, form.may_be)]
    best = min((form.rank(path.name) for path in paths), default=0)
    paths = [path for path in paths if form.rank(path.name) == best]
    if len(paths) < 2:
        return paths
    fitting: dict[str, list[tuple[Path, pd.DataFrame]]] = defaultdict(list)
    unread: dict[str, UserError] = {}
    for path in paths:
        part = str(path) if form.part is None else form.part(path)
        try:
            table = form.read(path)
        except Unreadable:
            raise
        except workbook.LacksColumns as error:
            if form.part or error.nearly:
                unread.setdefault(part, error)
        except UserError as error:
            unread[part] = UserError(f"{error}; move it away then, or if it is no table of this dataset")
        else:
            fitting[part].append((path, table))
    if lost := [part for part in unread if part not in fitting]:
        raise unread[lost[0]]
    unlike = [
        [path for path, _ in some]
        for some in fitting.values()
        if not all(workbook.say_the_same(table, some[0][1]) for _, table in some)
    ]
    if unlike or not fitting:
        shown = ", ".join(os.path.relpath(path, root.path) for path in (unlike or [paths])[0][:5])
        raise UserError(f"{root.path}: which table annotates the clips? found {shown}; {remedy}")
    chosen: list[tuple[Path, pd.DataFrame]] = []
    for path, table in (some[0] for some in fitting.values()):
        if not any(workbook.say_the_same(table, other) for _, other in chosen):
            chosen.append((path, table))
    return [path for path, _ in chosen]


def read_rows(
    name: str, settings: AnnotatedClips, form: Table, table: pd.DataFrame, findings: Findings
) -> list[dict[str, Any]]:
    """A manifest row for every row of a table that names a clip; impossible ones are left out.

    Notes and sums below a table, which have neither clip nor onset nor offset, are passed over.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        form: how the dataset's tables look.
        table: as `read_table_of` gives it.
        findings: where defects go.
    """
    samples: dict[tuple[str, ...], dict[str, Any]] = {}
    written: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row, cells in table.iterrows():
        where = cells["where"]
        if not any(cells[["clip", "onset", "offset"]]):
            continue
        if (names := form.named(cells)) is None:
            shown = f"subject {cells['subject'][:40]!r}, clip {cells['clip'][:40]!r}"
            if cells["clip"] and not cells["subject"]:
                shown += "; a merged cell? write the subject into every row"
            # Of several tables put together, `row` counts through all.
            findings.add("bad_name", f"left out: {shown}", row=f"row {where.rpartition(':')[2]}", file=where)
            continue
        numbers = {key: workbook.whole_number(cells[key]) for key in ("onset", "apex", "offset")}
        sample = new_sample(name, *names, action_units=cells["action_units"], **numbers)
        sample["cut_out"] = form.cut_out(cells)  # which is no column of the manifest
        sample["fps"] = fps = workbook.whole_number(cells["fps"]) if "fps" in cells else settings.fps
        key: tuple[str, ...] = clip_key(*names)
        if form.repeats:
            key = (*key, cells["onset"])
            sample["sample_id"] += f"/{cells['onset'] if numbers['onset'] is not None else f'row{row}'}"
        content = tuple(cells[["onset", "apex", "offset", "label"]].str.lower())
        if key in samples:
            same = content == written[key]
            kind = "duplicate_annotation" if same else "conflicting_annotation"
            findings.add(kind, "the earlier row is used", row=sample["sample_id"], file=where)
            continue
        samples[key], written[key] = sample, content
        label = cells["label"]
        if why := form.passed_over(cells):
            sample |= {"label_raw": frames.plain(label), "included": False, "reason": why}
            continue
        if form.label_of is not None:
            label, told = form.label_of(names), frames.plain(label)
            if told not in (label, ""):
                action = f"used as {label}, the table says {told}"
                findings.add("contradicted_label", action, row=sample["sample_id"], file=where)
        assign_class(sample, label, settings.classes, findings, where)
        if sample["included"]:
            longest = form.longest and fps and form.longest * fps
            check_interval(sample, cells, settings.missing_apex, where, findings, longest)
    return list(samples.values())


def _is_table(name: str, may_be: Callable[[str], bool]) -> bool:
    return Path(name).suffix.lower() in workbook.SUFFIXES and not name.startswith("~") and may_be(name)


def _remedy(root: Root, listing: Listing, may_be: Callable[[str], bool], key: str) -> str:
    other = [
        folder / name
        for folder, names in listing
        for name in names
        if Path(name).suffix.lower() in workbook.OTHER_SUFFIXES and may_be(name)
    ]
    if other:
        return f"{root.relative(other[0])} is none that can be read here: save it as xlsx or csv"
    links = [(link, target) for link, target in root.refused.items() if _is_table(link.name, may_be)]
    if not links:
        return f"put it there or set {key}"
    link, target = links[0]
    return f"{root.relative(link)} is a link that leads out; to use it, set {key}: {target}"
