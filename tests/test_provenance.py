"""Digests follow what code means, not how it is written."""

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
    for cached in (provenance._tree, provenance._tree_digest, provenance._imported):
        cached.cache_clear()
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
