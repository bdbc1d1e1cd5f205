"""What keeps code, rules, configuration and documents in step."""

import ast
import importlib.metadata
import inspect
import itertools
import re
import sys
import typing
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from mer_core.config.experiment import Config
from mer_core.config.networks import Network
from mer_core.config.section import Section

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "mer_core").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))
LAYOUTS = sorted((ROOT / "mer_core" / "config" / "layouts").glob("[!_]*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))

# A room may import itself and what lies below it.
GROUND = {"errors", "config", "job", "batch", "container", "csvs", "provenance", "images"}
BELOW = {
    "datasets": GROUND,
    "faces": GROUND | {"datasets"},
    "models": GROUND,
    "evaluation": GROUND,
    "motion": GROUND | {"datasets", "faces"},
    "inputs": GROUND | {"datasets", "faces", "motion"},
    "training": GROUND | {"datasets", "faces", "models", "evaluation"},
    "baselines": GROUND | {"datasets", "faces", "models", "motion", "evaluation"},
    "simulation": GROUND | {"datasets", "faces", "models", "evaluation"},
    "report": GROUND | {"evaluation", "training", "baselines", "simulation"},
    "inference": GROUND
    | {"datasets", "faces", "motion", "inputs", "models", "evaluation", "training", "report"},
}
HEAVY = {
    "cv2": {"faces", "motion", "inputs", "baselines", "simulation", "inference"},
    "dlib": {"faces", "simulation"},
}


def room(path):
    return path.relative_to(ROOT / "mer_core").parts[0].removesuffix(".py")


def imports(path, for_types=True):
    """What a module imports; `for_types`: also what only type checkers see."""
    tree = ast.parse(path.read_text())
    if not for_types:
        tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if TYPE_CHECKING:")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield node.module
            if node.module.startswith("mer_core"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    allowed = BELOW.get(room(path), GROUND) | {room(path)}
    for name in imports(path):
        top, *rest = name.split(".")
        assert top not in {"snakemake", "workflow_scripts", "rules", "tests"}, f"{path} imports {name}"
        if top == "mer_core" and rest:
            assert rest[0] in allowed, f"{path} imports {name}"
        assert room(path) in HEAVY.get(top, {room(path)}), f"{path} imports {name}"


def reached(*entries):
    """The modules that some modules of ours import, through ours, and the files of ours among them."""
    names, files, todo = set(), set(), [*entries]
    while todo:
        name = todo.pop()
        names.add(name)
        if name == "mer_core.datasets.reading":  # which imports the layout that the configuration names
            todo += (f"mer_core.datasets.{path.stem}" for path in LAYOUTS)
        base = ROOT.joinpath(*name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py", base.parent / "__init__.py"):
            if path.is_relative_to(ROOT) and path.is_file() and path not in files:
                files.add(path)
                todo += imports(path, for_types=False)
    return names, files


@pytest.mark.parametrize(("room_of", "marked"), [("datasets", "SETTINGS"), ("simulation", "CLIPS")])
def test_layouts_do_not_know_each_other(room_of, marked):
    paths = (ROOT / "mer_core" / room_of).glob("*.py")
    layouts = {path.stem: path for path in paths if re.search(rf"^{marked} = ", path.read_text(), flags=re.M)}
    assert {"samm", "smic"} <= set(layouts)
    for name, path in layouts.items():
        known = {part for module in imports(path) for part in module.split(".")}
        assert not known & (layouts.keys() - {name}), f"{path}: what two layouts share stands beside them"


@pytest.mark.parametrize("entry", ["mer_core.training.fold", "mer_core.training.pretrain"])
def test_training_runs_on_a_bare_gpu_node(entry):
    foreign = {"cv2", "dlib", "snakemake", "skimage", "matplotlib", "openpyxl", "xlrd", "scipy", "sklearn"}
    foreign |= {"pydantic"}  # settings come as arguments
    names, files = reached(entry)
    assert not foreign & {name.split(".")[0] for name in names}
    assert len(files) > 10


def test_no_attic():
    names = {path.stem for path in LIBRARY}
    assert not names & {"utils", "helpers", "common", "misc"}
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 50
    assert len((ROOT / "rules" / "common.smk").read_text().splitlines()) <= 70


def rules():
    for path in RULE_FILES:
        for block in re.split(r"^(?=rule |checkpoint )", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"(?:rule|checkpoint) (\w+):", block)[1]
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
    digest = rf'(code_digest|network_code)\("workflow_scripts/{name}\.py"'
    assert re.search(digest, code), "an edit of the code must rerun it"
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


def sections():
    """Every section of the typed configuration."""
    todo = [Section]
    while todo:
        found = todo.pop().__subclasses__()
        todo += found
        # A model's description is made of sections, too, and is no part of the configuration.
        yield from (model for model in found if model.__module__.startswith("mer_core.config."))


def sections_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {annotation}
    return set().union(*map(sections_in, typing.get_args(annotation)))


def last_name(node):
    """`settings` of `self.settings` and of `settings[0]`; `Section` of `Section.model_validate(it)`."""
    match node:
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.Attribute(inner, "model_validate"):
            return last_name(inner)
        case ast.Attribute(attr=name) | ast.Name(name):
            return name
    return None


def bound(tree):
    """Pairs of a target and of what it is made of, or annotated with."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as kind):
                yield ast.Name(node.arg), kind
            case ast.Assign():
                yield from ((target, node.value) for target in node.targets)
            case ast.For() | ast.comprehension():
                yield node.target, node.iter
            case ast.AnnAssign():
                yield node.target, node.annotation
            case ast.ClassDef():
                yield ast.Name("self"), ast.Name(node.name)


def keys_read(tree, known):
    """Keys read of names that may stand for a section, with the section that declares them."""
    known = {name: set(models) for name, models in known.items()}
    for target, value in [*bound(tree)] * 2:  # twice, since a name may be used above what gives it a meaning
        models = set().union(*(known.get(last_name(part), ()) for part in ast.walk(value)))
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                known[part.id] = known.get(part.id, set()) | models
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            for model in known.get(last_name(node.value), ()):
                yield from ((base, node.attr) for base in model.__mro__ if node.attr in annotated(base))


def annotated(model):
    return vars(model).get("__annotations__", {})


def test_every_declared_key_is_read():
    declared = {
        (model, key)
        for model in sections()
        for key in annotated(model)
        # A key of one value only tells the members of a union apart: pydantic reads it.
        if key in model.model_fields and len(typing.get_args(model.model_fields[key].annotation)) != 1
    }
    known = {model.__name__: {model} for model in sections()}
    for model in sections():
        for key, field in model.model_fields.items():
            known.setdefault(key, set()).update(sections_in(field.annotation))
    sources = [path.read_text() for path in [*LIBRARY, *SCRIPTS]]
    for path in RULE_FILES:
        sources += re.findall(r"CONFIG(?:\.\w+|\[[^][]*\])+", path.read_text())
    known["CONFIG"] = {Config}
    read = set().union(*(keys_read(ast.parse(source), known) for source in sources))
    # What is laid over a section is read as that section's, and a key that is narrowed as the wider one.
    names = {(model.__name__, key) for model, key in read}
    unread = {
        f"{model.__name__}.{key}"
        for model, key in declared - read
        if (model.__name__.removesuffix("Overlay"), key) not in names
        and not any((base, key) in read for base in model.__mro__)
    }
    # A network is built with the keys of its section.
    for model in Network.__subclasses__():
        kind = typing.get_args(model.model_fields["kind"].annotation)[0]
        if kind != "resnet18":
            build = importlib.import_module(f"mer_core.models.{kind}").build
            unread -= {f"{model.__name__}.{key}" for key in inspect.signature(build).parameters}
    assert not unread
    assert len(declared) > 80


def test_numbers_of_the_configuration_are_read_as_they_are_meant():
    """Pydantic's own would take yes for 1, and refuse 1e4."""
    for path in (ROOT / "mer_core" / "config").rglob("*.py"):
        bare = re.findall(
            r"^    \w+: (?!ClassVar).*\b(?:int|float)\b.*|Annotated\[(?:int|float),.*", path.read_text(), re.M
        )
        if path.name != "section.py":
            assert not bare, f"{path.name}: write Whole or Real"


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


ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_environments_agree_with_constraints(path):
    for name, version in pinned(path).items():
        assert pins()[name] == version


def distributions(*entries):
    """The packages of others that some modules of ours import, in the end."""
    names, _ = reached(*entries)
    modules = (
        {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"mer_core", "workflow_scripts"}
    )
    packages = importlib.metadata.packages_distributions()
    packages |= {"dlib": ["dlib-bin"], "pydantic_core": ["pydantic"]}
    return {packages[module][0].lower().replace("_", "-") for module in modules}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_environments_hold_what_their_rules_import(path):
    scripts = [
        f"workflow_scripts.{name}"
        for name, body in (rule.values for rule in rules())
        if f'conda:\n        "../envs/{path.name}"' in body
    ]
    # Snakemake begins every script with an import of itself.
    missing = (distributions(*scripts) | {"snakemake"}) - pinned(path).keys()
    assert scripts and not missing


def test_snakemake_itself_runs_in_the_environment_that_the_documents_name():
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *RULE_FILES])
    lines = re.findall(r"^from (mer_core[\w.]*) import (.*)$", text, flags=re.M)
    names = [f"{module}.{name}" for module, imported in lines for name in imported.split(", ")]
    wanted = distributions("mer_core.config.experiment", *(module for module, _ in lines), *names)
    assert len(wanted) > 5 and not wanted - pinned(ROOT / "envs" / "data.yaml").keys()
    assert "conda env create --file envs/data.yaml" in (ROOT / "docs" / "cluster.md").read_text()


def pinned(environment):
    *_, pip = yaml.safe_load(environment.read_text())["dependencies"]
    return {
        name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in pip["pip"])
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_documents_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"\w+:", link):
            continue
        file, _, heading = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), f"{path}: {link}"
        if heading:
            names = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.M)
            assert heading in {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in names}, link


def test_every_dataset_has_a_page():
    contents = (ROOT / "docs" / "data.md").read_text()
    for path in LAYOUTS:
        if path.stem not in {"annotated", "composite", "stills", "tabular"}:
            assert f"[{path.stem}](datasets/" in contents
    for page in (ROOT / "docs" / "datasets").glob("*.md"):
        assert f"(datasets/{page.name})" in contents


def test_every_failure_in_the_documents_is_one_that_a_test_makes():
    table = (ROOT / "docs" / "operations.md").read_text().split("## When something fails")[1]
    seen = [re.findall(r"`(.+?)`", row.split("|")[1]) for row in re.findall(r"^\|.*", table, flags=re.M)[2:]]
    assert len(seen) > 10 and all(seen)
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py")).replace("\\", "")
    for message in itertools.chain(*seen):
        for part in message.split("..."):
            assert part.strip(" ,:") in tests, message
