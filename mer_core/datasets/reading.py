"""From the datasets' own on-disk layouts to one manifest."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from mer_core.config.datasets import SIMULATED, Copy
from mer_core.datasets import checks, manifest
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import NO_NAMES, Root, spelled
from mer_core.datasets.published import Published
from mer_core.errors import UserError
from mer_core.job import cannot_read


def layout(name: str) -> ModuleType:
    """The module of an on-disk layout.

    It holds SETTINGS, the layout's section of the configuration; PUBLISHED, what its authors say that it
    holds, or a function of the settings that tells it; read(name, settings, root, findings), its samples;
    where people have names, list_subjects(settings, root), the people on disk; and, where labels may lie
    outside of the root, beside(settings, root), the files and folders there. It is imported
    by its name, so that the code of one layout is no part of what another's samples depend on.
    """
    return importlib.import_module(f"mer_core.datasets.{name}")


def parse_settings(section: Mapping[str, Any]) -> Copy:
    """A dataset's section of the configuration, from plain values that were checked before."""
    return layout(section["layout"]).SETTINGS.model_validate(section)


def published(settings: Copy) -> Published:
    """What the authors of a dataset say that it holds."""
    known = layout(settings.layout).PUBLISHED
    return known(settings) if callable(known) else known


def read_dataset(
    name: str, settings: Copy, root: Path, severity: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Examine a dataset on disk.

    Args:
        name: of the dataset in the configuration; sample ids begin with it.
        settings: of the dataset.
        root: its folder.
        severity: kind of defect -> severity, where it differs from `defects.DEFECTS`.

    Returns:
        The manifest (see `manifest.SCHEMA`) and the table of defects (columns `defects.COLUMNS`).

    Raises:
        UserError: the folder cannot be read as a dataset of this layout at all. Defects of single
            samples do not raise; `doctor.stop_on_errors` does.
    """
    findings = Findings(severity)
    place = located(name, settings, root)
    with _readable():
        samples = layout(settings.layout).read(name, settings, place, findings)
        for sample in samples:
            sample["fps"] = settings.fps if sample["fps"] is None else sample["fps"]
            sample["bit_depth"] = settings.bit_depth
        checks.check_images(samples, place.path, name, findings)
    checks.check_links(place, name, findings)
    checks.check_subjects(samples, _listed(settings), name, findings)
    checks.check_names(samples, findings)
    frame = manifest.assemble(samples)
    checks.check_classes(frame, settings, name, findings)
    return frame, findings.table()


def located(name: str, settings: Copy, root: Path) -> Root:
    """A dataset's folder, and those that links in it may lead to.

    Raises:
        UserError: there is no such folder, or no such table, or it may not be looked for.
    """
    key = f"datasets.{name}"
    beside = [_existing(Path(folder), f"{key}.link_roots") for folder in settings.link_roots]
    place = Root(_existing(root, f"{key}.root"), beside)
    for table in ("workbook", "table"):
        named = getattr(settings, table, None)
        with _readable():
            if named is not None and not (path := spelled(place.path, named)).exists():
                raise UserError(f"{path}: no such table; mend {key}.{table}")
    return place


def list_beside(name: str, settings: Copy, root: Path) -> list[Path]:
    """What is read of a dataset besides its folder: the table that is named, else where the reader looks.

    Raises:
        UserError: as `located`.
    """
    place = located(name, settings, root)
    named = [getattr(settings, table, None) for table in ("workbook", "table")]
    found = getattr(layout(settings.layout), "beside", lambda *_: [])
    with _readable():
        return [*(spelled(place.path, one) for one in named if one), *found(settings, place)]


def list_subjects(name: str, settings: Copy, root: Path) -> list[str]:
    """The subjects of a dataset, cheaply: those of the configuration, else of the released set, else on disk.

    Where nobody knows who is seen, it is the one name that the manifest has for all.

    Raises:
        UserError: they must be looked up on disk, and the folder is missing or of another layout.
    """
    if not settings.has_subjects:
        return [manifest.UNNAMED]
    if settings.subjects is not None:
        return list(settings.subjects)
    place = located(name, settings, root)
    if (listed := _listed(settings)) is not None:
        return listed
    with _readable():
        return layout(settings.layout).list_subjects(settings, place)


def _listed(settings: Copy) -> list[str] | None:
    """The subjects that the data are held against; None where whatever is on disk counts."""
    people = published(settings).people(settings.classes)
    if settings.subjects is None and people and settings.root != SIMULATED:
        return people
    return settings.subjects


def _existing(root: Path, key: str) -> Path:
    try:
        resolved = Path(root).resolve()
        is_folder = resolved.is_dir()
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno not in NO_NAMES:
            raise cannot_read(root, error) from None
        resolved, is_folder = root, False
    if not is_folder:
        what = "your copy of the dataset" if key.endswith(".root") else "a folder that links lead to"
        raise UserError(f"{resolved}: no such folder; set {key} to {what}")
    return resolved


@contextmanager
def _readable() -> Iterator[None]:
    """Turns the refusal to let a folder be entered, say, into a UserError."""
    try:
        yield
    except OSError as error:
        raise cannot_read(error.filename or "the dataset", error) from None
