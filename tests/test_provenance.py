"""Digests follow what code means, not how it is written."""

import os
import shutil

import pytest

from mer_core import provenance


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one script, two modules it uses and one it does not."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    files = {
        "scripts/step.py": "from core import loss\nimport numpy\n\nprint(loss.value())\n",
        "core/__init__.py": "",
        "core/loss.py": "def value():\n    from core.deep import base\n    return base.N + 1\n",
        "core/deep/__init__.py": "",
        "core/deep/base.py": "N = 1\n",
        "core/figures.py": "COLOR = 'red'\n",
        "core/loss.html.j2": "",
        "core/figures.html.j2": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest():
    provenance._meaning.cache_clear()
    return provenance.code_digest("scripts/step.py")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("scripts/step.py", "print(", "abs("),
        ("core/loss.py", "+ 1", "+ 2"),
        ("core/deep/base.py", "N = 1", "N = 2"),
        ("core/deep/__init__.py", "", "X = 1"),
        ("core/loss.html.j2", "", "<p>"),
    ],
)
def test_an_edit_of_anything_that_is_imported_counts(project, name, old, new):
    before = digest()
    path = project / name
    path.write_text(path.read_text().replace(old, new) if old else new)
    assert digest() != before


def test_comments_layout_and_other_modules_do_not_count(project):
    before = digest()
    path = project / "core/loss.py"
    path.write_text("# why\n" + path.read_text().replace("base.N + 1", "(base.N\n            + 1)"))
    (project / "core/figures.py").write_text("COLOR = 'blue'\n")
    (project / "core/figures.html.j2").write_text("<p>")
    assert digest() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/loss.py", '"""Says what it is."""\n\n\ndef value():\n    """And why."""\n    {body}'),
        ("core/__init__.py", '__version__ = "0.2.0"\n'),
        ("scripts/step.py", "from typing import TYPE_CHECKING\n\nfrom core import loss\nimport numpy\n"),
    ],
)
def test_docstrings_and_the_version_do_not_count(project, name, text):
    path = project / name
    if name == "scripts/step.py":
        path.write_text(text + "\nprint(loss.value())\n")
        before = digest()
        text += "\nif TYPE_CHECKING:\n    from core import figures\n\nprint(loss.value())\n"
    else:
        before = digest()
        body = "from core.deep import base\n    return base.N + 1\n"
        text = text.replace("{body}", body)
    path.write_text(text)
    assert digest() == before


@pytest.mark.parametrize("name", ["loss.py~", "loss.py.orig", ".loss.py.swp", "loss.html.j2~", "loss.pyc"])
def test_an_editors_backups_do_not_count(project, name):
    before = digest()
    (project / "core" / name).write_text("anything")
    assert digest() == before


def test_the_inventory_tells_a_mended_copy_and_nothing_else(tmp_path):
    root = tmp_path / "data"
    for name in ("sub01/img1.jpg", "sub02/img1.jpg"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(b"x")
    (root / "back").symlink_to(root)
    seen = [provenance.inventory(root)]
    for place in (root / ".DS_Store", tmp_path / "beside"):
        place.write_text("hidden, or elsewhere")
    assert provenance.inventory(root) == seen[0]
    (root / "sub02/img1.jpg").write_bytes(b"xy")
    seen.append(provenance.inventory(root))
    (root / "sub02/img2.jpg").write_bytes(b"x")
    seen.append(provenance.inventory(root))
    os.utime(root / "sub01/img1.jpg", (1, 1))
    seen.append(provenance.inventory(root))
    (root / "sub02/img2.jpg").rename(root / "sub02/img3.jpg")
    seen.append(provenance.inventory(root))
    seen.append(provenance.inventory(root, tmp_path / "table.csv"))
    (tmp_path / "table.csv").touch()
    seen.append(provenance.inventory(root, tmp_path / "table.csv"))
    assert len(set(seen)) == len(seen)
    (root / "back").unlink()
    copy = shutil.copytree(root, tmp_path / "copy")
    assert provenance.inventory(copy) == provenance.inventory(root)


def test_the_digest_does_not_depend_on_where_the_project_lies(project, tmp_path_factory, monkeypatch):
    before = digest()
    elsewhere = tmp_path_factory.mktemp("else") / "copy"
    shutil.copytree(project, elsewhere)
    monkeypatch.setattr(provenance, "ROOT", elsewhere)
    assert digest() == before


def test_value_digest_ignores_the_order_of_keys():
    assert provenance.value_digest({"a": 1, "b": [1, 2]}) == provenance.value_digest({"b": [1, 2], "a": 1})
    assert provenance.value_digest({"a": [1, 2]}) != provenance.value_digest({"a": [2, 1]})


def test_file_digest_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert provenance.file_digest(tmp_path / "x") == known
