"""The typed configuration, the single truth about every setting.

`config.yaml` holds the values and why one would change them; this module holds types, ranges and
how the parts must agree. Nothing below it reads a configuration file.
"""

from __future__ import annotations

import difflib
import json
import re
import reprlib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mer_core.errors import UserError

SIMULATED = "simulated"
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
MAX_VALUES = 100_000  # of a configuration, aliases followed; the shipped one holds 200
# What a pattern asks for, and a kind of problem means, in words.
WISHES = {
    rf"^{NAME}$": "should be letters, digits, - and _, no more than 64",
    rf"^{NAME}/{NAME}$": "should be a dataset and a subject, such as casme2/sub12",
    r"^\d{1,6}(MB|GB)$": "should be a size, such as 6GB",
    r"^\d{1,6}[smhd]$": "should be a time, such as 1h",
    "model_type": "should be a block of keys and values",
    "model_attributes_type": "should be a block of keys and values",
    "dict_type": "should be a block of keys and values",
    "invalid_key": "should be text",
    "list_type": "should be a list, such as [a, b]",
}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text[:60]!r} is not allowed; it should hold printable characters only")
    return text


def _unlike(names: list[str] | None) -> list[str] | None:
    twice = sorted({name for name in names or [] if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice; names must differ")
    return names


Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
Names = Annotated[list[Name] | None, Field(min_length=1), AfterValidator(_unlike)]
PathText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Draws = Annotated[int, Field(ge=100, le=1_000_000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Points = Annotated[int, Field(ge=4, le=16)]
Frames = Annotated[int, Field(ge=2)]
Codes = Literal["u2", "full"]
Flow = Literal["dis", "tvl1", "farneback"]
Strain = Literal["four_term", "three_term"]
Needs = Literal["apex", "pair", "clip"]

CASME2_SUBJECTS = tuple(f"sub{n:02d}" for n in range(1, 27))


class Section(BaseModel):
    """A block of settings: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassMap(Section):
    """How the labels on disk become the classes of the experiment.

    `classes` maps raw label -> class; a raw label mapped to null is left out on purpose, and one
    that is not listed is a defect. The order of the classes is the order of first mention.
    """

    classes: dict[str, Name | None]

    @field_validator("classes")
    @classmethod
    def _at_least_two(cls, classes: dict[str, str | None]) -> dict[str, str | None]:
        if len(set(classes.values()) - {None}) < 2:
            raise ValueError("needs at least two classes")
        return classes

    @property
    def class_names(self) -> list[str]:
        """The classes in their fixed order, each once."""
        return list(dict.fromkeys(name for name in self.classes.values() if name is not None))


class Casme2(ClassMap):
    """CASME II: one apex frame per annotated clip (Yan et al. 2014)."""

    layout: Literal["casme2"]
    root: PathText
    workbook: PathText | None = None
    frames: Literal["auto", "raw", "raw_selected", "cropped"] = "auto"
    missing_apex: Literal["spot", "midpoint", "drop"] = "spot"
    subjects: Names = None


class Ckplus(ClassMap):
    """CK+: the last frames of each labelled sequence (Lucey et al. 2010)."""

    layout: Literal["ckplus"]
    root: PathText
    last_frames: Count = 3
    subjects: Names = None


class Tabular(ClassMap):
    """Any images listed in a CSV table with a subject and a label each."""

    layout: Literal["tabular"]
    root: PathText
    table: PathText
    path_column: str = "path"
    subject_column: str = "subject"
    label_column: str = "label"
    subjects: Names = None


Dataset = Annotated[Casme2 | Ckplus | Tabular, Field(discriminator="layout")]


class Simulation(Section):
    """The stand-in for licensed data."""

    size: Literal["tiny", "demo", "full"]
    faces: PathText
    frames: Literal["key", "all"]
    casme2_tree: Literal["cropped", "raw_selected"]
    micro_strength: Positive
    seed: Seed


class Doctor(Section):
    """Severity of each kind of defect; kinds not named keep their default."""

    severity: dict[str, Literal["error", "warning", "ignore"]]


class Alignment(Section):
    """From a face in a photograph to a canonical square crop (equations 1 and 2)."""

    mode: Literal["landmarks", "precropped"]
    size: int = Field(ge=16, le=1024)
    eye_distance: float = Field(gt=0.05, lt=0.8)
    eye_center: tuple[Fraction, Fraction]
    color: Literal["rgb", "gray"]


class Loss(Section):
    """One loss function; variants refer to it by its name."""

    kind: Literal["cross_entropy", "focal"]
    form: Literal["softmax", "sigmoid"] = "softmax"
    gamma: NonNegative = 2.0
    alpha: Literal["balanced"] | Fraction | list[Fraction] | None = None
    reduction: Literal["mean", "sum"] = "mean"


class Augmentation(Section):
    """Random changes of the training images, made on the device."""

    flip: bool
    shift: float = Field(ge=0, le=0.5)
    rotation: float = Field(ge=0, le=45)
    brightness: Fraction


class Training(Section):
    """One run of the training loop."""

    epochs: Count
    batch_size: Count
    micro_batch: Literal["auto"] | Count
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Literal["constant", "cosine"]
    normalization: Literal["imagenet", "dataset", "none"]
    precision: Literal["auto", "float32", "bfloat16"]
    deterministic: bool
    augmentation: Augmentation


class FoldTraining(Training):
    """Training of one leave-one-subject-out fold."""

    selection: Literal["last", "inner"]
    best_on_test: bool
    keep_weights: bool


class Pretraining(Training):
    """Training on the source dataset, repeated; the best run feeds the transfer."""

    runs: Count
    test_fraction: float = Field(gt=0, lt=1)
    split: Literal["frame", "subject"]
    init: PathText


class Transfer(Section):
    """What a fold does with pretrained weights."""

    freeze_stages: int = Field(ge=0, le=4)
    backbone_lr_factor: Positive


class Variant(Section):
    """One row of the ablation."""

    name: Name
    attention: Literal["none", "spatial", "channel", "dual", "cbam"]
    loss: Name
    init: PathText = "random"


class Features(Section):
    """What all baselines are computed on: grey clips, aligned by the apex's transform."""

    size: int = Field(ge=32, le=512)


class Lbp(Section):
    """Local binary patterns of the apex frame."""

    needs: ClassVar[Needs] = "apex"
    kind: Literal["lbp"] = "lbp"
    blocks: Count = 5
    points: Points = 8
    radius: Count = 1
    mapping: Codes = "u2"


class LbpTop(Section):
    """Local binary patterns on three orthogonal planes; radii along x, y and t.

    `frames` is the length that temporal interpolation brings every clip to; null leaves clips as they are.
    """

    needs: ClassVar[Needs] = "clip"
    kind: Literal["lbptop"] = "lbptop"
    blocks: Count = 5
    temporal_blocks: Count = 1
    points: Points = 4
    radii: tuple[Count, Count, Count] = (1, 1, 4)
    mapping: Codes = "u2"
    frames: Frames | None = None


class Osw(LbpTop):
    """Optical strain weighted LBP-TOP (Liong et al. 2014)."""

    kind: Literal["osw"] = "osw"
    flow: Flow = "dis"
    strain: Strain = "four_term"


class Fdm(Section):
    """Facial dynamics map: principal directions of the flow in cuboids (Xu et al. 2017)."""

    needs: ClassVar[Needs] = "clip"
    kind: Literal["fdm"] = "fdm"
    blocks: Count = 8
    temporal_blocks: Count = 2
    direction: Literal["sweep", "fixed_point"] = "sweep"
    flow: Flow = "dis"


class BiWoof(Section):
    """Bi-weighted oriented optical flow from onset to apex (Liong et al. 2018)."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["bi_woof"] = "bi_woof"
    blocks: Count = 5
    bins: int = Field(default=8, ge=2)
    flow: Flow = "dis"
    strain: Strain = "four_term"


class FlowImage(Section):
    """The flow from onset to apex itself, as a small image."""

    needs: ClassVar[Needs] = "pair"
    kind: Literal["flow"] = "flow"
    size: Count = 32
    flow: Flow = "dis"


Description = Annotated[Lbp | LbpTop | Osw | Fdm | BiWoof | FlowImage, Field(discriminator="kind")]


class SupportVectorMachine(Section):
    """One-versus-one support vector machines on features that are normalised by the training clips."""

    transductive: ClassVar[bool] = False
    kind: Literal["svm"]
    kernel: Literal["linear", "rbf"] = "linear"
    normalization: Literal["none", "l2", "hellinger", "standard"] = "none"
    cost: list[Positive] = Field(default=[1.0], min_length=1)
    class_weight: Literal["balanced"] | None = None


class AdaBoost(Section):
    """Multi-class AdaBoost (SAMME) of decision stumps."""

    kind: Literal["adaboost"]
    rounds: Count = 50
    learning_rate: Positive = 1.0
    weights: Literal["uniform", "kmm", "stm"] = "uniform"

    @property
    def transductive(self) -> bool:
        """Whether training looks at the unlabelled clips of the subject left out."""
        return self.weights != "uniform"


Classifier = Annotated[SupportVectorMachine | AdaBoost, Field(discriminator="kind")]


class Baseline(Section):
    """One comparison method: how a sample is described, and how descriptions are classified."""

    name: Name
    features: Description
    classifier: Classifier


class Evaluation(Section):
    """Statistics over the folds' predictions."""

    confidence: float = Field(gt=0.5, lt=1)
    bootstrap: Draws
    permutations: Draws
    seed: Seed
    partial: bool


class Report(Section):
    """What the report may show."""

    show_faces: bool | Literal["simulated"]
    never_show: list[Annotated[str, Field(pattern=rf"^{NAME}/{NAME}$")]]


class Compute(Section):
    """What one training job may take."""

    threads: Count
    slots_per_device: Count
    memory: str = Field(pattern=r"^\d{1,6}(MB|GB)$")
    runtime: str = Field(pattern=r"^\d{1,6}[smhd]$")

    @property
    def memory_mb(self) -> int:
        """Memory in units of 10^6 bytes."""
        return int(self.memory[:-2]) * {"MB": 1, "GB": 1000}[self.memory[-2:]]


class Config(Section):
    """The whole experiment."""

    experiment: Name
    seeds: list[Seed] = Field(min_length=1)
    datasets: dict[Name, Dataset]
    target: Name
    source: Name | None
    folds: Names
    simulation: Simulation
    doctor: Doctor
    alignment: Alignment
    reduction: Count
    losses: dict[Name, Loss]
    variants: list[Variant] = Field(min_length=1)
    training: FoldTraining
    pretraining: Pretraining
    transfer: Transfer
    features: Features
    baselines: list[Baseline]
    evaluation: Evaluation
    report: Report
    compute: Compute

    @model_validator(mode="after")
    def _parts_agree(self) -> Config:
        problems = [*self._problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        names = [variant.name for variant in self.variants]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"variants: the name '{name}' stands twice; names must differ"
        names += [row.name for row in self.baselines]
        for name in sorted({row.name for row in self.baselines if names.count(row.name) > 1}):
            yield f"baselines: the name '{name}' stands twice, here or under variants; names must differ"
        if len(set(self.seeds)) < len(self.seeds):
            yield "seeds: a seed stands twice; seeds must differ"
        if self.target not in self.datasets:
            yield f"target: '{self.target}' is not under datasets ({', '.join(self.datasets)})"
        if self.source is not None and self.source not in self.datasets:
            yield f"source: '{self.source}' is not under datasets ({', '.join(self.datasets)})"
        for variant in self.variants:
            if set("{}") & set(variant.init):
                yield f"variants.{variant.name}.init: {variant.init!r} holds braces; rename the file"
            if variant.loss not in self.losses:
                known = ", ".join(self.losses)
                yield f"variants.{variant.name}.loss: '{variant.loss}' is not under losses ({known})"
            if variant.init == "pretrained" and self.source is None:
                yield f"variants.{variant.name}.init: 'pretrained' needs a dataset; name one under source"
        yield from self._missing_frames()
        for name, dataset in self.datasets.items():
            if dataset.root == SIMULATED and dataset.layout == "tabular":
                yield f"datasets.{name}.root: this layout cannot be simulated; give a folder"

    def _missing_frames(self) -> Iterator[str]:
        """Baselines that need more of a clip than the target has."""
        dataset = self.datasets.get(self.target)
        for row in self.baselines:
            if dataset is None or row.features.needs == "apex":
                continue
            where = f"baselines.{row.name}: features '{row.features.kind}' need"
            if dataset.layout != "casme2":
                yield f"{where} annotated clips and {self.target} has none; leave out this baseline"
            elif (
                row.features.needs == "clip" and dataset.root == SIMULATED and self.simulation.frames == "key"
            ):
                yield f"{where} every frame; set simulation.frames: all or leave out this baseline"

    @property
    def variant(self) -> Mapping[str, Variant]:
        """Variants by name."""
        return {variant.name: variant for variant in self.variants}

    @property
    def baseline(self) -> Mapping[str, Baseline]:
        """Comparison methods by name."""
        return {row.name: row for row in self.baselines}

    def seeds_of(self, name: str) -> list[int]:
        """The seeds that a variant or a comparison method runs with: methods need but one, the first."""
        return self.seeds if name in self.variant else self.seeds[:1]

    @property
    def used(self) -> list[str]:
        """The datasets that this experiment reads: the target, and the source if any variant needs it."""
        pretrained = any(variant.init == "pretrained" for variant in self.variants)
        return [self.target, *([self.source] if pretrained and self.source != self.target else [])]

    def check_weights(self) -> None:
        """See that the files that variants start from are there.

        Snakemake misses no input of folds that are there already: it would keep those of other weights.

        Raises:
            UserError: one of them is not.
        """
        for variant in self.variants:
            if variant.init not in {"random", "pretrained"} and not Path(variant.init).is_file():
                raise UserError(
                    f"variants.{variant.name}.init: no such file: {variant.init}; give random, "
                    "pretrained or a safetensors file"
                )

    def with_subjects(self, subjects: Mapping[str, list[str]]) -> Config:
        """The same experiment with every used dataset's subjects spelled out, and no other dataset.

        Raises:
            UserError: a dataset has no subject, or one whose name cannot be a folder's.
        """
        source = dump(self)
        for name in self.used:
            if not subjects[name]:
                root = self.datasets[name].root
                raise UserError(
                    f"datasets.{name}.root: no subject found in {root}; give the dataset's folder"
                )
        source["datasets"] = {
            name: source["datasets"][name] | {"subjects": list(subjects[name])} for name in self.used
        }
        source["source"] = self.source if self.source in self.used else None
        every = list(subjects[self.target])
        if len(every) < 2:
            raise UserError(
                f"datasets.{self.target}.subjects: only {every[0]}; leaving one out needs two at least"
            )
        source["folds"] = every if self.folds is None else self.folds
        unknown = [subject for subject in source["folds"] if subject not in every]
        if unknown:
            known = ", ".join(every)
            raise UserError(f"folds: {', '.join(unknown)} not among the subjects of {self.target} ({known})")
        left_out = len(every) - len(set(source["folds"]))
        if left_out and not self.evaluation.partial:
            raise UserError(
                f"folds: leaves out {left_out} of {len(every)} subjects; if that is meant, set "
                "evaluation.partial: true, and every table will say it"
            )
        return load_config(source)


def load_config(source: str | Path | Mapping[str, Any]) -> Config:
    """Read and check a configuration.

    Args:
        source: a YAML file, or the mapping that it holds.

    Returns:
        The checked configuration.

    Raises:
        UserError: with one line for every wrong key at once: key, value, what is allowed.
    """
    where = "configuration"
    if not isinstance(source, Mapping):
        where, source = str(source), _read_yaml(Path(source))
    if _count_values(source) > MAX_VALUES:
        raise UserError(
            f"{where}: more than {MAX_VALUES:,} values; aliases (&, *) multiply them, write them out"
        )
    try:
        return Config.model_validate(source)
    except ValidationError as error:
        raise UserError("\n".join(f"{where}: {line}" for line in _explain(error, source))) from None


def dump(section: BaseModel | list[BaseModel]) -> Any:
    """A section as plain JSON-able values, fit for a rule's params and for config.json."""
    if isinstance(section, list):
        return [dump(item) for item in section]
    return json.loads(section.model_dump_json())


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); name a readable YAML file") from None
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # of an endless number, say
        place = " ".join(str(error).split())
        raise UserError(f"{path}: is not valid YAML ({place}); mend the syntax there") from None
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: holds no settings; start from the shipped config.yaml")
    return value


def _count_values(source: Any) -> int:
    """How many values a mapping holds, or enough of them to say that they are too many."""
    pending, count = [source], 0
    while pending and count <= MAX_VALUES:
        value = pending.pop()
        count += 1
        if isinstance(value, Mapping | list):
            pending += value.values() if isinstance(value, Mapping) else value
    return count


def _explain(error: ValidationError, source: Mapping[str, Any]) -> Iterator[str]:
    """One readable line per wrong key; what the branches of a union want is joined by 'or'."""
    lines: dict[tuple[str, str], list[str]] = {}
    for problem in error.errors():
        is_key = problem["loc"][-1:] == ("[key]",)
        path = _spell(problem["loc"][: -2 if is_key else None], source)
        for start, wish in _wishes(problem):
            lines.setdefault((path, start), []).append(wish)
    for (path, start), wishes in lines.items():
        # Of a union, the branch that got deepest into the value is the one that was meant.
        if not path or not any(other.startswith(f"{path}.") for other, _ in lines):
            yield (f"{path}: " if path else "") + start + " or ".join(dict.fromkeys(wishes))


def _wishes(problem: Any) -> Iterator[tuple[str, str]]:
    """What is wrong, and what would be right, for one problem that pydantic found."""
    kind, value = problem["type"], problem["input"]
    if problem["loc"][-1:] == ("[key]",):
        yield f"the key {_show(value)} is not text; ", "write it in quotes"
    elif kind == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        yield "unknown key; ", f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(known)}"
    elif kind == "missing":
        yield "missing; ", "add it (the shipped config.yaml explains it)"
    elif kind == "union_tag_invalid":
        tag, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        yield f"'{tag}' is not a {_discriminator(problem)}; ", f"it should be one of {allowed}"
    elif kind == "union_tag_not_found":
        yield f"{_discriminator(problem)}: missing; ", "add it (the shipped config.yaml explains it)"
    elif kind == "value_error":
        yield from ((line, "") for line in str(problem["ctx"]["error"]).splitlines())
    else:
        message = re.sub("^(Input|String|List) ", "", problem["msg"])
        wish = WISHES.get(problem.get("ctx", {}).get("pattern", kind), message)
        yield f"{_show(value)} is not allowed; it ", wish


def _discriminator(problem: Any) -> str:
    return problem["ctx"]["discriminator"].strip("'")


def _show(value: Any) -> str:
    """A wrong value in less than a line, however large it is."""
    short = reprlib.Repr()
    short.maxstring = 60
    try:
        return short.repr(value)
    except ValueError:  # Python prints no more than 4300 digits
        return "a number of thousands of digits"


def _spell(loc: tuple, source: Any) -> str:
    """The dotted key as the user wrote it: without the names of union members."""
    parts = []
    for depth, part in enumerate(loc):
        in_mapping = isinstance(source, Mapping) and part in source
        in_list = isinstance(source, list) and isinstance(part, int) and part < len(source)
        if in_mapping or in_list:
            source = source[part]
        elif not (isinstance(source, Mapping) and depth == len(loc) - 1):
            continue  # a member of a union, not a key of the file
        parts.append(str(part) if str(part).isprintable() and len(str(part)) <= 64 else _show(part))
    return ".".join(parts)


def _known_keys(loc: tuple) -> list[str]:
    """The keys allowed at a place of the configuration."""
    annotation: Any = Config
    for part in loc:
        annotation = _step(annotation, part)
    return sorted({key for model in _models(annotation) for key in model.model_fields})


def _step(annotation: Any, part: Any) -> Any:
    for model in _models(annotation):
        if part in model.model_fields:
            return model.model_fields[part].annotation
    members = [m for m in _models(annotation) if _tag(m) == part]
    if members:  # the discriminator's value of a union
        return members[0]
    arguments = typing.get_args(annotation)
    return arguments[-1] if arguments else annotation


def _tag(model: type[BaseModel]) -> Any:
    key = model.model_fields.get("layout") or model.model_fields.get("kind")
    return typing.get_args(key.annotation)[0] if key else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin in (dict, list, tuple, Mapping):
        return []
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]
