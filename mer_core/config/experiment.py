"""The whole experiment: its sections, and how they must agree."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from mer_core.config.alignment import Alignment
from mer_core.config.baselines import Baseline, Features
from mer_core.config.compute import Compute
from mer_core.config.datasets import SIMULATED, Copy, Doctor
from mer_core.config.descriptors import Description, Pretrained
from mer_core.config.evaluation import Evaluation
from mer_core.config.inputs import AnyInput, FlowPatches, Input
from mer_core.config.layouts.affectnet import Affectnet
from mer_core.config.layouts.casme import Casme
from mer_core.config.layouts.casme2 import Casme2
from mer_core.config.layouts.casme3 import Casme3
from mer_core.config.layouts.casme_sq import CasmeSq
from mer_core.config.layouts.ckplus import Ckplus
from mer_core.config.layouts.composite import Composite
from mer_core.config.layouts.dfme import Dfme
from mer_core.config.layouts.fer2013 import Fer2013
from mer_core.config.layouts.fourdme import Fourdme
from mer_core.config.layouts.mmew import Mmew
from mer_core.config.layouts.mmew_macro import MmewMacro
from mer_core.config.layouts.oulu_casia import OuluCasia
from mer_core.config.layouts.rafdb import Rafdb
from mer_core.config.layouts.samm import Samm
from mer_core.config.layouts.samm_long import SammLong
from mer_core.config.layouts.smic import Smic
from mer_core.config.layouts.tabular import Tabular
from mer_core.config.models import Loss, Variant
from mer_core.config.names import person_key
from mer_core.config.networks import AnyNetwork, ResNet18
from mer_core.config.reading import read_yaml
from mer_core.config.report import Report
from mer_core.config.section import Name, Names, Section, Seed, Whole, dump
from mer_core.config.simulation import Simulation
from mer_core.config.training import FoldTraining, Pretraining, Transfer
from mer_core.config.wording import OF_COMMAND_LINE, explain
from mer_core.errors import UserError

MAX_VALUES = 100_000  # of a configuration, aliases followed; the shipped one holds 200

AnyDataset = Annotated[
    Affectnet
    | Casme
    | Casme2
    | Casme3
    | CasmeSq
    | Ckplus
    | Composite
    | Dfme
    | Fer2013
    | Fourdme
    | Mmew
    | MmewMacro
    | OuluCasia
    | Rafdb
    | Samm
    | SammLong
    | Smic
    | Tabular,
    Field(discriminator="layout"),
]


class AnyVariant(Variant):
    """One row of the ablation."""

    network: AnyNetwork = ResNet18(kind="resnet18")
    """By its name alone, or a block with kind and what it can be built with (docs/methods.md)."""

    @property
    def network_kind(self) -> str:
        """The network's name."""
        return self.network.kind

    @property
    def brings_weights(self) -> bool:
        """Whether all but the classifier starts from ImageNet's weights where `init` is random."""
        return getattr(self.network, "weights", None) == "imagenet"


class AnyBaseline(Baseline):
    """One comparison method: how a sample is described, and how descriptions are classified."""

    features: Description
    """How a sample is described, by its kind."""


class Groups(Section):
    """People left out in groups."""

    groups: Whole = Field(ge=2)
    """How many, of about the same number of samples each; every one is left out in turn."""


def _kind_of_folds(value: Any) -> str:
    return "groups" if isinstance(value, Mapping | Groups) else "names"


class Config(Section):
    """The whole experiment."""

    experiment: Name
    seeds: list[Seed] = Field(min_length=1)
    datasets: dict[Name, AnyDataset]
    target: Name
    """The dataset whose subjects are the folds."""
    source: Name | None
    """The dataset that pretraining uses; null: none."""
    study: Names = None
    """Several targets in place of one: the same rows are run on each, as an experiment of its own below
    results/{experiment}/, and compared over all of them."""
    folds: Annotated[
        Annotated[Names, Tag("names")] | Annotated[Groups, Tag("groups")], Discriminator(_kind_of_folds)
    ]
    """Subjects held out in turn; null means every subject of the target. Or groups of them."""
    folds_by: Literal["subject", "dataset", "split"] = "subject"
    """What is left out in turn: people, or each part of a composite as a whole; or, by the official split of
    the target, its test parts all at once."""
    simulation: Simulation
    doctor: Doctor
    alignment: Alignment
    reduction: Literal[1, 2, 4, 8, 16, 32, 64]
    losses: dict[Name, Loss]
    variants: list[AnyVariant] = Field(min_length=1)
    inputs: dict[Name, AnyInput] = Field(default={})
    """What networks see other than the apex, by names that variants refer to."""
    training: FoldTraining
    pretraining: Pretraining
    transfer: Transfer
    features: Features
    baselines: list[AnyBaseline]
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
            why = f"; {OF_COMMAND_LINE}" if self.source == "null" else ""
            yield f"source: '{self.source}' is not under datasets ({', '.join(self.datasets)}){why}"
        yield from self._misfit_study()
        if not self._names_subjects(self.target):
            yield f"target: {self.target} names no subjects, and none can be left out; use it as a source"
        if not self._names_subjects(self.source) and self.pretraining.split == "subject":
            yield f"pretraining.split: {self.source} names no subjects; set frame"
        for variant in self.variants:
            if set("{}") & set(variant.init):
                yield f"variants.{variant.name}.init: {variant.init!r} holds braces; rename the file"
            if variant.loss not in self.losses:
                known = ", ".join(self.losses)
                yield f"variants.{variant.name}.loss: '{variant.loss}' is not under losses ({known})"
            if variant.init == "pretrained" and self.source is None:
                yield f"variants.{variant.name}.init: 'pretrained' needs a dataset; name one under source"
            yield from self._unfit(variant)
        yield from self._misfit_alphas()
        if set("{}") & set(self.pretraining.init):
            yield f"pretraining.init: {self.pretraining.init!r} holds braces; rename the file"
        yield from self._misfit_people()
        yield from self._misfit_parts()
        if self.folds_by == "dataset":
            target = self.datasets.get(self.target)
            if target is not None and target.layout != "composite":
                yield f"folds_by: {self.target} is one dataset, not put together of several; set subject"
            if self.folds is not None:
                yield "folds: each part is left out in turn; set null, or folds_by: subject"
        if self.folds_by == "split":
            target = self.datasets.get(self.target)
            if target is not None and not target.has_split:
                yield f"folds_by: {self.target} has no official split; set subject"
            if self.folds is not None:
                yield "folds: the official test parts are left out; set null, or folds_by: subject"
        known = [name for name in self.datasets if name not in self.composites]
        for person in self.report.never_show:
            if person.partition("/")[0] not in known:
                yield f"report.never_show: '{person}' is of no dataset on disk; name {', '.join(known)}"
        yield from self._unmet_needs()
        for row in self.baselines:
            if isinstance(row.features, Pretrained) and (problem := self._unfit_to_describe(row.features)):
                yield f"baselines.{row.name}.features.variant: {problem}"
        for name in self.datasets:
            dataset = self.datasets[name]
            if isinstance(dataset, Copy):
                yield from (f"datasets.{name}.{problem}" for problem in dataset.unlike_the_stand_in())

    def _misfit_study(self) -> Iterator[str]:
        """Targets of a study that are none, or cannot be told apart by the names of their rules."""
        for name in self.study or []:
            if name not in self.datasets:
                yield f"study: '{name}' is not under datasets ({', '.join(self.datasets)})"
            elif not name.isidentifier():
                yield f"study: '{name}' begins rules' names; rename the dataset with letters, digits and _"
        if self.study and len(self.study) < 2:
            yield f"study: only {self.study[0]}; name two targets at least, or set target"
        if self.study and len(self.variants) + len(self.baselines) < 2:
            yield "study: one row has nothing to be compared with; add a variant or a baseline"

    def _misfit_people(self) -> Iterator[str]:
        """Datasets whose people are said to be those of one that is not there, or refers to another."""
        for name, dataset in self.datasets.items():
            other = getattr(dataset, "people_of", None)
            known = [
                one
                for one, it in self.datasets.items()
                if one != name and isinstance(it, Copy) and it.people_of is None
            ]
            if other not in (None, *known):
                yield f"datasets.{name}.people_of: '{other}' is none of {', '.join(known)}"

    def _misfit_parts(self) -> Iterator[str]:
        """Composites whose parts are not there, or do not fit together."""
        for name, dataset in self.datasets.items():
            if not isinstance(dataset, Composite):
                continue
            where = f"datasets.{name}"
            parts = {part: self.datasets[part] for part in dataset.parts if part in self.datasets}
            if lost := [part for part in dataset.parts if part not in parts]:
                known = ", ".join(one for one in self.datasets if one != name)
                yield f"{where}.parts: {', '.join(lost)} not under datasets ({known})"
            if nested := [part for part, one in parts.items() if not isinstance(one, Copy)]:
                yield f"{where}.parts: {', '.join(nested)} is put together itself; name its parts"
            if unnamed := [part for part, one in parts.items() if not one.has_subjects]:
                yield f"{where}.parts: {', '.join(unnamed)} names no subjects; leave it out"
            if self.folds_by != "dataset" or name != self.target:
                for one, other in self.shared_parts(name):
                    yield (
                        f"{where}.parts: {one} and {other} show the same people, who would be taken for "
                        f"others; leave one out, or set target: {name} and folds_by: dataset to train on one "
                        "and test on the other"
                    )
            if not (lost or nested or unnamed) and (problem := dataset.misfit(parts)):
                yield f"{where}.classes: {problem}"

    def _misfit_alphas(self) -> Iterator[str]:
        """Weights of classes that are not those of a dataset that a variant is trained on."""
        for variant in self.variants:
            loss = self.losses.get(variant.loss)
            used = [self.target, self.source] if variant.init == "pretrained" else [self.target]
            for name in used:
                if loss is None or name not in self.datasets:
                    continue
                classes = self.datasets[name].class_names
                if problem := loss.misfit(classes):
                    yield (
                        f"losses.{variant.loss}.alpha: {problem}, and variant {variant.name} is trained on "
                        f"the {len(classes)} classes of {name} ({', '.join(classes)}); give each a weight by "
                        "its name, or balanced"
                    )

    def _unfit(self, variant: AnyVariant) -> Iterator[str]:
        """What of a variant does not go together."""
        where, network = f"variants.{variant.name}", variant.network
        if variant.attention != "none" and network.kind != "resnet18":
            yield f"{where}.attention: {network.kind} has no residual units; leave attention out"
        if self.transfer.freeze_stages and network.kind != "resnet18" and self.transfer_of(variant):
            yield f"transfer.freeze_stages: {network.kind} of {where} has no stages; set 0"
        seen = self.input_of(variant)
        if seen is None and variant.input != "apex":
            known = ", ".join(["apex", *self.inputs])
            yield f"{where}.input: '{variant.input}' is none of {known}; add it under inputs"
            return
        kind = "apex" if seen is None else seen.kind
        if kind not in network.takes:
            yield f"{where}.input: {network.kind} takes {' or '.join(sorted(network.takes))}, not {kind}"
        elif seen is None and self.alignment.size < network.least:
            yield f"alignment.size: {network.kind} of {where} needs {network.least} pixels; set as many"
        elif seen is not None:
            takes = f"{where}.input: {network.kind} takes"
            if network.edge not in (None, seen.size):
                yield f"{takes} {network.edge} pixels, not {seen.size}; set its size"
            if seen.size < network.least:
                yield f"{takes} {network.least} pixels or more, not {seen.size}; set its size"
            if network.length and network.length != seen.frames:
                yield f"{takes} {network.length} maps, not {seen.frames}; set its frames"
        try:
            settings = self.training_of(variant)
        except ValidationError as error:
            merged = self._with_overlay(variant)
            yield from (f"{where}.training.{line}" for line in explain(error, merged, FoldTraining))
            return
        if "dropout" in variant.training and settings.dropout and network.kind != "resnet18":
            yield f"{where}.training.dropout: {network.kind} does not take it; leave it out"
        if seen is not None:
            # Grey levels are no brightness there. Mirrored, flow changes its sign; rotated, its direction.
            barred = ["brightness", "contrast", *(["flip", "rotation"] if seen.directed else [])]
            # Of patches tiled to one picture each would move into its neighbours.
            barred += ["shift", "scale"] if isinstance(seen, FlowPatches) else []
            blocks = {f"{where}.training": settings}
            if variant.init == "pretrained":
                blocks["pretraining"] = self.pretraining_of(variant)
            used = [n for n in barred if any(getattr(block.augmentation, n) for block in blocks.values())]
            if used:
                off = ", ".join(f"{name}: {'false' if name == 'flip' else 0}" for name in used)
                yield f"{where}.training.augmentation: would falsify the input {variant.input}; set {{{off}}}"
            for name, block in blocks.items():
                if seen.directed and block.mirrored_test:
                    yield f"{name}.mirrored_test: would falsify the input {variant.input}; set false"

    def _unfit_to_describe(self, features: Pretrained) -> str | None:
        """Why the variant that features name gives none."""
        name = features.variant
        variant = next((row for row in self.variants if row.name == name), None)
        if variant is None or variant.init != "pretrained" or variant.input != "apex":
            fit = [row.name for row in self.variants if row.init == "pretrained" and row.input == "apex"]
            known = ", ".join(fit) or "none is"
            return f"{name} is no variant with init: pretrained that sees the apex ({known}); name one"
        if variant.training.get("normalization", self.pretraining.normalization) == "dataset":
            return f"{name} is normalised by images of the source alone; set normalization: imagenet or none"
        return None

    def _unmet_needs(self) -> Iterator[str]:
        """Baselines and inputs that need more of a clip, or of a face, than there is."""
        needs = [
            (self.target, row.features, f"baselines.{row.name}: features '{row.features.kind}' need")
            for row in self.baselines
        ]
        for variant in self.variants:
            if seen := self.input_of(variant):
                source = [self.source] if variant.init == "pretrained" else []
                where = f"variants.{variant.name}: input '{variant.input}' needs"
                needs += [(name, seen, where) for name in (self.target, *source)]
        needs = [
            (self.datasets.get(part), part, seen, where)
            for name, seen, where in needs
            if name in self.datasets
            for part in self.parts_of(name)
        ]
        for dataset, name, seen, where in needs:
            if not isinstance(dataset, Copy):
                continue
            need = seen.needs
            if isinstance(seen, FlowPatches) and self.alignment_of(name).mode == "precropped":
                remedy = f"set datasets.{name}.alignment.mode: landmarks or leave out this row"
                yield f"{where} landmarks, which precropped faces lack; {remedy}"
            if need == "apex":
                continue
            if not dataset.has_motion:
                yield f"{where} clips and {name} has single images; leave out this row"
            elif need == "clip" and dataset.root == SIMULATED and self.simulation.frames == "key":
                yield f"{where} every frame; set simulation.frames: all or leave out this row"

    def for_target(self, target: str) -> Config:
        """The experiment of one target of a study."""
        return load_config(dump(self) | {"target": target, "study": None})

    def transfer_of(self, variant: AnyVariant) -> Transfer | None:
        """What a fold does with the weights a variant starts from; None where they are random."""
        return self.transfer if variant.init != "random" or variant.brings_weights else None

    def input_of(self, variant: AnyVariant) -> Input | None:
        """What a variant sees; None is the apex."""
        return self.inputs.get(variant.input)

    def training_of(self, variant: AnyVariant) -> FoldTraining:
        """How a variant's folds are trained: the common block with the row's own keys laid over it."""
        return FoldTraining.model_validate(self._with_overlay(variant))

    def pretraining_of(self, variant: AnyVariant) -> Pretraining:
        """How a variant is pretrained; what its row says of its input holds here, too."""
        own = {
            key: variant.training[key] for key in ("normalization", "augmentation") if key in variant.training
        }
        return Pretraining.model_validate(_laid_over(dump(self.pretraining), own))

    def _with_overlay(self, variant: AnyVariant) -> dict[str, Any]:
        return _laid_over(dump(self.training), variant.training)

    @property
    def variant(self) -> Mapping[str, AnyVariant]:
        """Variants by name."""
        return {variant.name: variant for variant in self.variants}

    @property
    def baseline(self) -> Mapping[str, AnyBaseline]:
        """Comparison methods by name."""
        return {row.name: row for row in self.baselines}

    def parts_of(self, dataset: str) -> list[str]:
        """The datasets that one is put together of; itself, where it lies on disk."""
        section = self.datasets[dataset]
        return section.parts if isinstance(section, Composite) else [dataset]

    def people_in(self, dataset: str) -> str:
        """Who is seen in a dataset on disk: those with one answer show the same people."""
        section = self.datasets[dataset]
        if section.people_of in self.datasets:
            return self.people_in(section.people_of)
        return section.people or f"{dataset} alone"

    def _keep_who_is_seen(self, sections: dict[str, dict[str, Any]]) -> None:
        """Let `people_of` that names none of some datasets name one of them that shows the same people."""
        for name, section in sections.items():
            if section.get("people_of") not in (None, *sections):
                same = (
                    other
                    for other, its in sections.items()
                    if other != name
                    and isinstance(self.datasets[other], Copy)
                    and its["people_of"] is None
                    and self.people_in(other) == self.people_in(name)
                )
                section["people_of"] = next(same, None)

    def shared_parts(self, dataset: str) -> list[tuple[str, str]]:
        """Pairs of a composite's parts that show the same people."""
        parts = [name for name in self.parts_of(dataset) if isinstance(self.datasets.get(name), Copy)]
        pairs = itertools.combinations(parts, 2)
        return [pair for pair in pairs if len({self.people_in(part) for part in pair}) == 1]

    @property
    def shared_with_source(self) -> list[tuple[str, str]]:
        """Pairs of a part of the target and one of the source that shows people whom folds leave out, too."""
        if self.source not in self.used:
            return []
        left_out = self.folds if isinstance(self.folds, list) else self.datasets[self.target].subjects or []
        pairs = []
        for part, other in itertools.product(self.parts_of(self.target), self.parts_of(self.source)):
            own = left_out if part == self.target else [name.removeprefix(f"{part}-") for name in left_out]
            named = {*map(person_key, own)}
            seen = self.datasets[other].subjects
            shares = seen is None or named & {*map(person_key, seen)}
            if self.people_in(part) == self.people_in(other) and shares:
                pairs.append((part, other))
        return pairs

    @property
    def composites(self) -> list[str]:
        """The datasets that are put together of others."""
        return [name for name, dataset in self.datasets.items() if isinstance(dataset, Composite)]

    @property
    def simulated(self) -> list[str]:
        """The used datasets that are simulated, or in part."""
        return [
            name
            for name in self.used
            if any(self.datasets[part].root == SIMULATED for part in self.parts_of(name))
        ]

    def alignment_of(self, dataset: str) -> Alignment:
        """How the faces of a dataset are aligned.

        Raises:
            UserError: it is a composite, and its parts are cropped differently.
        """
        section = self.datasets[dataset]
        if isinstance(section, Copy):
            return section.alignment.over(self.alignment)
        # Where the landmarks of a part come from does not change how faces are cropped by them.
        where = {"landmarks": self.alignment.landmarks}
        crops = [self.alignment_of(part).model_copy(update=where) for part in section.parts]
        if any(crop != crops[0] for crop in crops):
            raise UserError(
                f"datasets.{dataset}: its parts ({', '.join(section.parts)}) are cropped differently, and a "
                "model crops all faces alike; give their alignment the same mode, eye_distance and eye_center"
            )
        return crops[0]

    def seeds_of(self, name: str) -> list[int]:
        """The seeds that a variant or a comparison method runs with: methods need but one, the first."""
        return self.seeds if name in self.variant else self.seeds[:1]

    def _names_subjects(self, name: str | None) -> bool:
        return name not in self.datasets or self.datasets[name].has_subjects

    @property
    def pretraining_splits(self) -> list[str]:
        """The protocols that pretraining runs under: both where the source names subjects and one serves all.

        Where every fold has a pretraining of its own, only the one that feeds it is worth its time.
        """
        if not self._names_subjects(self.source):
            return ["frame"]
        return [self.pretraining.split] if self.shared_with_source else ["frame", "subject"]

    @property
    def pretraining_runs(self) -> list[int]:
        """The numbers, and seeds, of the pretraining runs: the seeds of the folds, where each has its own."""
        return self.seeds if self.pretraining.per_seed else [*range(self.pretraining.runs)]

    @property
    def used(self) -> list[str]:
        """The datasets that this experiment reads: the target, and the source if any variant needs it."""
        pretrained = any(variant.init == "pretrained" for variant in self.variants)
        wanted = [self.target, *([self.source] if pretrained and self.source is not None else [])]
        # What is put together stands after its parts.
        return [*dict.fromkeys(one for name in wanted for one in (*self.parts_of(name), name))]

    @property
    def groups(self) -> int | Literal["dataset", "split"] | None:
        """Into how many groups people are dealt who are left out together, or by what; None: each alone."""
        if self.folds_by != "subject":
            return self.folds_by
        return self.folds.groups if isinstance(self.folds, Groups) else None

    @property
    def fold_names(self) -> list[str]:
        """What is left out in turn: subjects, once they are known, or group1, group2, ..., or datasets."""
        if self.folds_by == "dataset":
            return self.parts_of(self.target)
        if self.folds_by == "split":
            return ["test"]
        if isinstance(self.folds, Groups):
            return [f"group{number}" for number in range(1, self.folds.groups + 1)]
        return self.folds or []

    def check_files(self) -> None:
        """See that what the configuration names by path, besides the datasets, is there.

        Snakemake misses no input of folds that are there already: it would keep those of other weights.

        Raises:
            UserError: one of them is not.
        """
        starts = {f"variants.{row.name}.init": (row.init, ["random", "pretrained"]) for row in self.variants}
        if any(row.init == "pretrained" for row in self.variants):
            starts["pretraining.init"] = self.pretraining.init, ["random"]
        for key, (init, words) in starts.items():
            if init not in words and not Path(init).is_file():
                raise UserError(f"{key}: no such file: {init}; give {', '.join(words)} or a safetensors file")
        for name in self.used:
            points = "dlib" if name in self.composites else self.alignment_of(name).landmarks
            if points not in {"dlib", "dataset"} and not Path(points).is_file():
                raise UserError(
                    f"alignment.landmarks of {name}: no such file: {points}; give dlib, dataset or a CSV"
                )
        faces = self.simulation.faces
        if self.simulated and faces != "packaged" and not Path(faces).is_dir():
            raise UserError(
                f"simulation.faces: no such folder: {faces}; give packaged or a folder of portraits"
            )

    def check_never_shown(self, people_of: Callable[[str], Sequence[str]]) -> None:
        """See that everybody under `report.never_show` is there: in another spelling nobody would be hidden.

        Of simulated datasets, which show no one, and of those that are not used any name will do.

        Args:
            people_of: the people of a dataset, as its manifest names them.

        Raises:
            UserError: somebody is not.
        """
        for name in self.used:
            people = (person.split("/") for person in self.report.never_show)
            named = [subject for dataset, subject in people if dataset == name]
            if name in self.simulated or not named:
                continue
            known = people_of(name)
            if unknown := [f"{name}/{subject}" for subject in named if subject not in known]:
                raise UserError(
                    f"report.never_show: {', '.join(unknown)} not among the people of {name}; take it out or "
                    f"spell it as one of these: {', '.join(known)}"
                )

    def with_subjects(self, every: Sequence[str]) -> Config:
        """The same experiment with the target's subjects spelled out, and no dataset that is not used.

        Of the source nothing depends on who is in it; its reader finds them.

        Args:
            every: subjects of the target.

        Raises:
            UserError: there are fewer than two, a name cannot be a folder's, `folds` does not fit, or whom it
                leaves out cannot be kept out of the pretraining.
        """
        source, every = dump(self), list(every)
        if not every:
            root = self.datasets[self.target].root
            raise UserError(
                f"datasets.{self.target}.root: no subject found in {root}; give the dataset's folder"
            )
        source["datasets"] = {name: source["datasets"][name] for name in self.used}
        self._keep_who_is_seen(source["datasets"])
        source["datasets"][self.target]["subjects"] = every
        source["source"] = self.source if self.source in self.used else None
        source["report"]["never_show"] = [
            person for person in self.report.never_show if person.partition("/")[0] in self.used
        ]
        if len(every) < 2:
            raise UserError(
                f"datasets.{self.target}.subjects: only {every[0]}; leaving one out needs two at least"
            )
        if self.folds_by == "subject" and self.groups:
            if self.groups > len(every):
                raise UserError(f"folds.groups: {self.groups} groups of {len(every)} subjects; give fewer")
        elif self.folds_by == "subject":
            source["folds"] = every if self.folds is None else self.folds
            unknown = [subject for subject in source["folds"] if subject not in every]
            if unknown:
                known = ", ".join(every)
                raise UserError(
                    f"folds: {', '.join(unknown)} not among the subjects of {self.target} ({known})"
                )
            left_out = len(every) - len(set(source["folds"]))
            if left_out and not self.evaluation.partial:
                raise UserError(
                    f"folds: leaves out {left_out} of {len(every)} subjects; if that is meant, set "
                    "evaluation.partial: true, and every table will say it"
                )
        config = load_config(source)
        config._check_source_can_be_split()
        return config

    def _check_source_can_be_split(self) -> None:
        """See that whom a fold leaves out can be kept out of its pretraining."""
        shared = self.shared_with_source
        for part, other in shared:
            if not self.datasets[other].has_subjects:
                raise UserError(
                    f"source: {other} shows people of {part} and does not tell whom, so that those whom a "
                    "fold leaves out would be pretrained on; name another source"
                )
        if rows := [row.name for row in self.baselines if shared and isinstance(row.features, Pretrained)]:
            raise UserError(
                f"baselines: {', '.join(rows)} would describe everybody by one network, and {self.source} "
                f"shows people of {self.target} whom folds leave out; leave the row out, or name another "
                "source"
            )


def _laid_over(common: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks merged, values and lists replaced."""
    both = {
        key: value
        for key, value in own.items()
        if isinstance(value, Mapping) and isinstance(common.get(key), dict)
    }
    return common | dict(own) | {key: _laid_over(common[key], value) for key, value in both.items()}


def load_config(source: str | Path | Mapping[str, Any], files: Iterable[str | Path] = ()) -> Config:
    """Read and check a configuration.

    Args:
        source: a YAML file, or the mapping that it holds.
        files: those that the mapping was put together of, to see what it no longer shows.

    Returns:
        The checked configuration.

    Raises:
        UserError: with one line for every wrong key at once: key, value, what is allowed.
    """
    where = "configuration"
    if not isinstance(source, Mapping):
        where, source = str(source), read_yaml(Path(source))
    for file in files:
        read_yaml(Path(file))
    if _count_values(source) > MAX_VALUES:
        raise UserError(
            f"{where}: more than {MAX_VALUES:,} values; aliases (&, *) multiply them, write them out"
        )
    try:
        return Config.model_validate(source)
    except ValidationError as error:
        raise UserError("\n".join(f"{where}: {line}" for line in explain(error, source, Config))) from None


def _count_values(source: Any) -> int:
    """How many values a mapping holds, or enough of them to say that they are too many."""
    pending, count = [source], 0
    while pending and count <= MAX_VALUES:
        value = pending.pop()
        count += 1
        if isinstance(value, Mapping | list):
            pending += value.values() if isinstance(value, Mapping) else value
    return count
