"""Digests of code, configuration and files."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from mer_core.job import cannot_read

ROOT = Path(__file__).resolve().parent.parent
REPORTED = (
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "h5py",
    "dlib-bin",
    "opencv-python-headless",
    "scikit-learn",
    "osqp",
    "snakemake",
)


def code_digest(*modules: str) -> str:
    """Digest of what a step's code means: its script and every project module that it imports.

    Taken over syntax trees, so comments and layout do not count. Imports are followed through this
    project's files only, in functions too; dynamic imports are not seen. Data files beside a module that
    bear its name (a template, say) count by their bytes.

    Args:
        modules: paths relative to the repository, such as 'workflow_scripts/train_fold.py', and of what the
            script imports by a name that the configuration gives.
    """
    digest = hashlib.sha256()
    for path in sorted(_closure(ROOT / module for module in modules)):
        digest.update(f"{path.relative_to(ROOT)}\n{_tree_digest(path)}\n".encode())
        for data in sorted(set(path.parent.glob(f"{path.stem}.*")) - {path}):
            digest.update(f"{data.name}\n{file_digest(data)}\n".encode())
    return digest.hexdigest()


def file_digest(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, in hexadecimal.

    Raises:
        UserError: the system does not let it be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


def value_digest(value: Any) -> str:
    """sha256 of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _closure(modules: Iterable[Path]) -> set[Path]:
    seen: set[Path] = set()
    todo = [*modules]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(_imported(path))
    return seen


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


@cache
def _tree_digest(path: Path) -> str:
    return hashlib.sha256(ast.dump(_tree(path)).encode()).hexdigest()


@cache
def _imported(path: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    # Importing a.b.c runs a and a.b, too.
    names |= {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return frozenset(found for name in names if (found := _module_file(name)))


def _module_file(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
