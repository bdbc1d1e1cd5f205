"""The model card: what a trained model is for, what it was made of, and how far it can be believed.

In the convention of model hubs: a YAML head for machines, then text for people (Mitchell et al., Model cards
for model reporting, FAT* 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

import mer_core
from mer_core.evaluation.statistics import FEW_PEOPLE
from mer_core.inference.bundle import Description

LICENCES = {
    "affectnet": "AffectNet licence agreement: research only, no redistribution",
    "casme": "CASME licence agreement: research only, no redistribution",
    "casme2": "CASME II licence agreement: research only, no redistribution",
    "casme3": "CAS(ME)^3 licence agreement: research only, no redistribution of images",
    "casme_sq": "CAS(ME)^2 licence agreement: research only, no redistribution",
    "ckplus": "CK+ user agreement: research only, no redistribution",
    "oulu_casia": "Oulu-CASIA licence agreement: research only, no redistribution",
    "rafdb": "RAF-DB terms: research only, no redistribution",
    "dfme": "DFME licence agreement: research only, no redistribution",
    "fourdme": "4DME licence agreement: research only, no redistribution",
    "mmew": "MMEW release agreement: research only, no redistribution, no modification",
    "samm": "SAMM release form: research only, no redistribution",
    "samm_long": "SAMM release form: research only, no redistribution",
    "smic": "SMIC licence agreement: research only, no redistribution",
}


@dataclass(frozen=True)
class Part:
    """A dataset that the model has learnt from.

    Attributes:
        name, layout: as in the configuration.
        role: what it was used for.
        simulated: whether it shows nobody's expression.
        counts: class -> samples.
        subjects: people in it.
    """

    name: str
    layout: str
    role: str
    simulated: bool
    counts: Mapping[str, int]
    subjects: int

    @property
    def licence(self) -> str:
        """Under which its pictures may be used."""
        return "none needed: simulated" if self.simulated else LICENCES.get(self.layout, "that of your copy")


def write_card(description: Description, parts: Sequence[Part]) -> str:
    """The card's text, Markdown.

    Args:
        description: what stands in model.json.
        parts: the datasets, the target's first, each of those that it is put together of.
    """
    environment = Environment(
        loader=PackageLoader("mer_core.inference", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    head = yaml.safe_dump(_head(description, parts), sort_keys=False, allow_unicode=True).rstrip()
    return environment.get_template("card.md.j2").render(
        about=description,
        parts=parts,
        head=head,
        start=_start(description),
        between=between,
        few=FEW_PEOPLE,
        version=mer_core.__version__,
    )


def between(low: float | None, high: float | None) -> str:
    """An interval in words; none where one person or equal draws give none."""
    return "none" if low is None else f"{low:.3f} to {high:.3f}"


def _start(description: Description) -> str:
    """What training started from, in words."""
    init = description.variant["init"]
    brings_weights = init == "random" and description.network.get("weights") == "imagenet"
    return "ImageNet's, but for the classifier" if brings_weights else init


def _head(description: Description, parts: Sequence[Part]) -> dict[str, Any]:
    """What model hubs read."""
    datasets = [f"{part.name}-simulated" if part.simulated else part.name for part in parts]
    task = "image-classification" if description.input is None else "video-classification"
    real = [part for part in parts if not part.simulated]
    if all(part.layout in LICENCES for part in real):
        terms = "research-only" if real else "simulated-data"
    else:
        terms = "as-the-data"
    target = [part for part in parts if part.role == parts[0].role]
    layouts = [*dict.fromkeys(part.layout for part in target)]
    left_out = "datasets left out" if description.shared else "people left out"
    result = {
        "task": {"type": task},
        "dataset": {
            "name": " and ".join(datasets[: len(target)]),
            "type": layouts[0] if len(layouts) == 1 else "composite",
        },
        "metrics": [
            {"type": "f1", "name": f"Macro-F1, {left_out}", "value": description.scores.macro_f1},
            {"type": "accuracy", "name": f"Accuracy, {left_out}", "value": description.scores.accuracy},
        ],
    }
    return {
        "library_name": "mer-core",
        "pipeline_tag": task,
        "license": "other",
        "license_name": terms,
        "license_link": "README.md",
        "tags": ["micro-expression", "facial-expression", description.network["kind"]],
        "datasets": datasets,
        "metrics": ["f1", "accuracy"],
        "model-index": [{"name": description.variant["name"], "results": [result]}],
    }
