"""Digests of code, configuration and files, and under what circumstances numbers were computed."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mer_core.errors import UserError
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
# Of what is recorded, that on which numbers depend besides settings.
CIRCUMSTANCES = ("device", "instructions", "precision", "micro_batch")
LIBRARIES = ("torch", "cuda", "cudnn", "scikit-learn", "osqp")


# Sections of the configuration by which files are made that no fold's identity tells.
SHARED_SETTINGS = {"datasets", "simulation", "alignment", "inputs", "features", "pretraining"}


def code_digest(*modules: str) -> str:
    """Digest of what a step's code means: its script and every project module that it imports.

    Taken over syntax trees without docstrings, so comments and layout do not count, nor does the package's
    version. Imports are followed through this project's files only, in functions too; dynamic imports are not
    seen, and those for type checkers alone do not count. A template beside a module that bears its name
    counts by its bytes.

    Args:
        modules: paths relative to the repository, such as 'workflow_scripts/train_fold.py', and of what the
            script imports by a name that the configuration gives.
    """
    digest = hashlib.sha256()
    for path in sorted(_closure(ROOT / module for module in modules)):
        digest.update(f"{path.relative_to(ROOT)}\n{_meaning(path)[0]}\n".encode())
        for data in sorted(path.parent.glob(f"{path.stem}.*.j2")):
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


def inventory(*places: str | os.PathLike[str]) -> str:
    """Digest of which files lie in some folders, of their sizes and dates; a file may stand for a folder.

    Hidden files do not count, links are followed, and nothing is opened: 28,000 files take half a second.
    What is not there counts as well.
    """
    found: list[Any] = []
    for place in map(Path, places):
        known: set[tuple[int, int]] = set()  # folders, since links may lead back
        todo = [(place, "")]
        while todo:
            path, name = todo.pop()
            try:
                state = path.stat()
                inside = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else None
            except OSError as error:
                found.append([name, error.errno])
                continue
            if inside is None:
                found.append([name, state.st_size, state.st_mtime_ns])
            elif (state.st_dev, state.st_ino) not in known:
                known.add((state.st_dev, state.st_ino))
                shown = (entry for entry in inside if not entry.name.startswith("."))
                todo += [(Path(entry.path), f"{name}/{entry.name}") for entry in shown]
        found.append(None)
    return value_digest(found)


def refuse_other_settings(written: str | os.PathLike[str], present: Mapping[str, Any]) -> None:
    """Hold the configuration that an experiment was run with against the present one.

    Args:
        written: the configuration that a run wrote down; where there is none, nothing was made.
        present: the same now.

    Raises:
        UserError: what decides on samples, pictures or pretrained weights is set otherwise.
    """
    try:
        before = json.loads(Path(written).read_bytes())
    except (OSError, ValueError):
        return
    for section in sorted(SHARED_SETTINGS & before.keys()):
        old, new = before[section], json.loads(json.dumps(present[section]))
        if section in {"datasets", "inputs"}:
            # What was not there has made nothing.
            old, new = ({name: one[name] for name in old.keys() & new.keys()} for one in (old, new))
        if old != new:
            raise UserError(
                f"{section}: was set otherwise when {Path(written).parent} was made, and Snakemake's records "
                "of what that concerns (.snakemake) are lost; set it as before, name another experiment, or "
                f"delete the folder {Path(written).parent} and run the same command again"
            )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def circumstances() -> dict[str, Any]:
    """What a computation on the CPU depends on besides its settings, for its record.

    Returns:
        device, versions, and peak_memory_mb: the process's largest resident set since it started.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"device": "cpu", "versions": versions(), "peak_memory_mb": round(peak / 2**20)}


def occurring(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The circumstances that occur in some records, by name: device, precision, ..., torch, ...

    Args:
        records: each with what `circumstances` and `training.device.circumstances` return; what a record
            does not name does not occur.
    """
    known = [
        {name: record.get(name) for name in CIRCUMSTANCES}
        | {name: (record.get("versions") or {}).get(name) for name in LIBRARIES}
        for record in records
    ]
    found = {
        name: sorted({str(one[name]) for one in known if one[name]}) for name in (*CIRCUMSTANCES, *LIBRARIES)
    }
    return {name: values for name, values in found.items() if values}


def mixture(found: Mapping[str, Sequence[str]]) -> str:
    """Which circumstances occur in more than one way, in words; empty where none does.

    Args:
        found: as `occurring` returns it.
    """
    return "; ".join(f"{name} {' and '.join(values)}" for name, values in found.items() if len(values) > 1)


def _closure(modules: Iterable[Path]) -> set[Path]:
    seen: set[Path] = set()
    todo = [*modules]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(_meaning(path)[1])
    return seen


@cache
def _meaning(path: Path) -> tuple[str, frozenset[Path]]:
    """The digest of a module's syntax tree, and the project's modules that it imports."""
    reader = _Meaning()
    tree = reader.visit(ast.parse(path.read_bytes(), filename=str(path)))
    names = reader.imported
    # Importing a.b.c runs a and a.b, too.
    names |= {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    found = frozenset(found for name in names if (found := _module_file(name)))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), found


class _Meaning(ast.NodeTransformer):
    """Drops what no result depends on: docstrings, imports for type checkers, the version."""

    def __init__(self) -> None:
        self.imported: set[str] = set()

    def visit(self, node: ast.AST) -> ast.AST | None:
        # No statement stands in an expression.
        return node if isinstance(node, ast.expr) else super().visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.imported.update(alias.name for alias in node.names)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module and not node.level:
            self.imported.add(node.module)
            self.imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if checking else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        version = any(isinstance(target, ast.Name) and target.id == "__version__" for target in node.targets)
        return None if version else self.generic_visit(node)


def _module_file(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
