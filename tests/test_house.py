"""What keeps code, rules, configuration and documents in step."""

import ast
import importlib
import itertools
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from mer_core.config.section import Section

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "mer_core").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))

# A room may import itself and what lies below it.
GROUND = {"errors", "config", "job", "csvs", "provenance", "images"}
BELOW = {
    "datasets": GROUND,
    "faces": GROUND,
    "models": GROUND,
    "evaluation": GROUND,
    "motion": GROUND | {"datasets", "faces"},
    "inputs": GROUND | {"datasets", "faces", "motion"},
    "training": GROUND | {"datasets", "faces", "models", "evaluation"},
    "baselines": GROUND | {"datasets", "faces", "models", "motion", "evaluation"},
    "simulation": GROUND | {"datasets", "faces", "models", "evaluation"},
    "report": GROUND | {"evaluation", "training", "baselines", "simulation"},
}
HEAVY = {
    "cv2": {"faces", "motion", "inputs", "baselines", "simulation"},
    "dlib": {"faces", "simulation"},
}


def room(path):
    return path.relative_to(ROOT / "mer_core").parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield node.module
            if node.module == "mer_core":
                yield from (f"mer_core.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    allowed = BELOW.get(room(path), GROUND) | {room(path)}
    for name in imports(path):
        top, *rest = name.split(".")
        assert top not in {"snakemake", "workflow_scripts", "rules", "tests"}, f"{path} imports {name}"
        if top == "mer_core" and rest:
            assert rest[0] in allowed, f"{path} imports {name}"
        assert room(path) in HEAVY.get(top, {room(path)}), f"{path} imports {name}"


@pytest.mark.parametrize("entry", ["mer_core.training.fold", "mer_core.training.pretrain"])
def test_training_runs_on_a_bare_gpu_node(entry):
    foreign = {"cv2", "dlib", "snakemake", "skimage", "matplotlib", "openpyxl", "xlrd", "scipy", "sklearn"}
    seen, todo = set(), [entry]
    while todo:
        name = todo.pop()
        assert name.split(".")[0] not in foreign, f"{entry} needs {name}"
        base = ROOT.joinpath(*name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py", base.parent / "__init__.py"):
            if path.is_relative_to(ROOT / "mer_core") and path.is_file() and path not in seen:
                seen.add(path)
                todo += imports(path)
    assert len(seen) > 10


def test_no_attic():
    names = {path.stem for path in LIBRARY}
    assert not names & {"utils", "helpers", "common", "misc"}
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 50
    assert len((ROOT / "rules" / "common.smk").read_text().splitlines()) <= 70


def rules():
    for path in RULE_FILES:
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"rule (\w+):", block)[1]
            body = re.split(r"^(?=\S)", block, flags=re.M)[1]
            yield pytest.param(name, body, id=name)


@pytest.mark.parametrize(("name", "body"), list(rules()))
def test_every_rule_is_complete(name, body):
    directives = re.findall(r"^    (\w+):", body, flags=re.M)
    assert re.search(r'^    """[A-Z]', body, flags=re.M), "needs a docstring"
    for wanted in ("log", "benchmark", "params", "conda", "script"):
        assert wanted in directives, f"needs {wanted}"
    assert not {"run", "shell", "lambda"} & set(directives)
    assert "lambda" not in body
    tries = re.findall(r"^    retries: (.*)", body, flags=re.M)
    assert set(tries) <= {"RETRIES"}, "else a cluster's job repeats itself within its memory"
    assert f"<logs>/{name}" in body, "the log is named as the rule"
    assert f"<benchmarks>/{name}" in body, "the benchmark is named as the rule"
    assert f'script:\n        "../workflow_scripts/{name}.py"' in body, "the script is named as the rule"
    # A digest of the script, or a function that takes one of it and of what it imports by name.
    code = re.search(r"^        code=(.*),$", body, flags=re.M)[1]
    inputs = (ROOT / "rules" / "inputs.smk").read_text()
    if "(" not in code:
        code = re.search(rf"^def {code}\(.*?(?=^\S)", inputs, flags=re.M | re.S)[0]
    assert f'code_digest("workflow_scripts/{name}.py"' in code, "an edit of the code must rerun it"
    assert (ROOT / re.search(r'conda:\n        "../(envs/\w+\.yaml)"', body)[1]).is_file()


def local_rules():
    for path in [ROOT / "Snakefile", *RULE_FILES]:
        for block in re.findall(r"^localrules:\n((?:    \w+,\n)+)", path.read_text(), flags=re.M):
            yield from re.findall(r"\w+", block)


@pytest.mark.parametrize(("name", "body"), list(rules()))
def test_a_rule_is_local_or_says_what_it_asks_of_a_cluster(name, body):
    if name not in local_rules():
        for wanted in ("mem", "runtime"):
            assert re.search(rf"^        {wanted}=", body, flags=re.M), f"needs {wanted}, or to be local"


def test_whoever_leases_a_gpu_asks_for_one():
    leasing = {path.stem for path in SCRIPTS if re.search(r"\blease\(", path.read_text())}
    asking = {name for name, body in (rule.values for rule in rules()) if "        gpu=1,\n" in body}
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert leasing == asking == profile["set-resources"].keys() != set()
    assert all(asked == {"gres": "gpu:1", "gpu": 0} for asked in profile["set-resources"].values())


def test_every_script_belongs_to_a_rule():
    assert {path.stem for path in SCRIPTS} == {parameter.values[0] for parameter in rules()}


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_every_caption_exists(path):
    for caption in re.findall(
        r'caption="\.\./?([\w/]+\.rst)"|caption="(report/[\w]+\.rst)"', path.read_text()
    ):
        name = next(filter(None, caption))
        assert (ROOT / "rules" / name).is_file()


def declared():
    """Every key of every section of the typed configuration."""
    importlib.import_module("mer_core.config.experiment")
    todo, seen = [Section], set()
    while todo:
        sections = todo.pop().__subclasses__()
        todo += sections
        seen |= {key for section in sections for key in section.model_fields}
    return seen


def test_every_declared_key_is_read():
    attributes = set()
    for path in [*LIBRARY, *SCRIPTS]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                attributes.add(node.attr)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                attributes.add(node.slice.value)
    for path in RULE_FILES:
        attributes.update(re.findall(r"\.(\w+)", path.read_text()))
    unread = {key for key in declared() if key not in attributes and key != "model_config"}
    assert not unread


def test_every_setting_is_commented():
    """Each key of config.yaml has a comment above it, or its block explains it."""
    lines = (ROOT / "config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w[\w-]*:", line):
            above = next((text for text in reversed(lines[:number]) if text.strip()), "")
            assert above.startswith("#") or line.split(":")[0] in {"source", "report"}, (
                f"line {number + 1}: {line}"
            )


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = (line.split("==") for line in lines if "==" in line)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_constraints_satisfy_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    for requirement in map(Requirement, required):
        version = pins().get(requirement.name.lower())
        assert version, f"{requirement.name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} against {version}"


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_environments_agree_with_constraints(path):
    *_, pip = yaml.safe_load(path.read_text())["dependencies"]
    for line in pip["pip"]:
        name, version = line.split("==")
        assert pins()[name.lower()] == version


def test_every_failure_in_the_documents_is_one_that_a_test_makes():
    table = (ROOT / "docs" / "operations.md").read_text().split("## When something fails")[1]
    seen = [re.findall(r"`(.+?)`", row.split("|")[1]) for row in re.findall(r"^\|.*", table, flags=re.M)[2:]]
    assert len(seen) > 10 and all(seen)
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py")).replace("\\", "")
    for message in itertools.chain(*seen):
        for part in message.split("..."):
            assert part.strip(" ,:") in tests, message
