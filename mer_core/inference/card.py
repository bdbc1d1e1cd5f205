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
        return "none: simulated" if self.simulated else LICENCES.get(self.layout, "that of your copy")


def write_card(description: Description, parts: Sequence[Part]) -> str:
    """The card's text, Markdown.

    Args:
        description: what stands in model.json.
        parts: the datasets, the target's first, each of those that it is put together of.
    """
    environment = Environment(
        loader=PackageLoader("mer_core.inference", ""), undefined=StrictUndefined, trim_blocks=True
    )
    sees = (
        "the apex frame" if description.input is None else f"the input {description.input['kind']} of a clip"
    )
    head = yaml.safe_dump(_head(description, parts), sort_keys=False, allow_unicode=True).rstrip()
    return environment.get_template("card.md.j2").render(
        about=description, parts=parts, sees=sees, head=head, between=between
    )


def between(low: float | None, high: float | None) -> str:
    """An interval in words; none where one person or equal draws give none."""
    return "none" if low is None else f"{low:.3f} to {high:.3f}"


def _head(description: Description, parts: Sequence[Part]) -> dict[str, Any]:
    """What model hubs read."""
    datasets = [f"{part.name} (simulated)" if part.simulated else part.name for part in parts]
    head: dict[str, Any] = {
        "library_name": "mer-core",
        "pipeline_tag": "image-classification",
        "license": "other",
        "license_name": "simulated" if all(part.simulated for part in parts) else "research-only",
        "tags": ["micro-expression", "facial-expression", description.network["kind"]],
        "datasets": datasets,
        "metrics": ["f1", "accuracy"],
    }
    if description.scores:
        target = [part for part in parts if part.role == parts[0].role]
        tested = datasets[: len(target)]
        layouts = [*dict.fromkeys(part.layout for part in target)]
        figures = [("f1", "Macro-F1", "macro_f1"), ("accuracy", "Accuracy", "accuracy")]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {
                "name": " and ".join(tested),
                "type": layouts[0] if len(layouts) == 1 else "composite",
            },
            "metrics": [
                {"type": kind, "name": f"{name}, people left out", "value": description.scores[key]}
                for kind, name, key in figures
            ],
        }
        head["model-index"] = [{"name": description.variant["name"], "results": [result]}]
    return head
