"""A trained model on disk: weights.safetensors, model.json with all that inference needs, README.md (the
card)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from mer_core import job
from mer_core.config.alignment import Alignment
from mer_core.config.section import Section
from mer_core.errors import UserError
from mer_core.provenance import file_digest

WEIGHTS, DESCRIPTION, CARD = "weights.safetensors", "model.json", "README.md"
MAX_BYTES = 10_000_000  # of model.json


class Likeness(Section):
    """What the features of the training samples are like.

    Attributes:
        mean, deviation: per feature, over the training samples.
        threshold: the distance that 99 % of the training samples keep when their person is left out.
    """

    mean: list[float]
    deviation: list[float]
    threshold: float


class ClassScore(Section):
    """How well one class was told from the others in the folds; support: its clips."""

    precision: float
    recall: float
    f1: float
    support: int


class Scores(Section):
    """The folds' figures, on people, or else datasets, that no network of theirs had seen.

    Attributes:
        macro_f1, accuracy: with the ends of their intervals (`low` and `high` of macro-F1), None where there
            is none, and what always the most frequent answer reaches (`floor` of macro-F1).
        per_class: class -> its own figures.
        n, subjects: clips and people.
        confidence: of the intervals.
    """

    macro_f1: float
    low: float | None
    high: float | None
    floor: float
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    accuracy_floor: float
    per_class: dict[str, ClassScore]
    n: int
    subjects: int
    confidence: float


class Description(Section):
    """What stands in model.json.

    Attributes:
        variant: the row of the configuration.
        network: its network with all settings, as `models.build_network` takes it.
        classes: in the order of the outputs.
        input: settings of the input; None: the apex alone.
        alignment: how faces are cropped.
        bit_depth: how many bits the camera wrote into frames of 16 that the model was trained on; None: as
            many as files declare.
        channels: of the input.
        mean, std: per channel, of inputs in [0, 1].
        form: of the loss, which says how logits become probabilities.
        mirrored_test: whether it answers by the mean logits of an image and its mirror image, as its folds
            did.
        temperature: by which logits are divided, fitted on the folds' held-out predictions.
        likeness: what inputs the model knows.
        simulated: names of datasets in it that show nobody.
        scores: of the folds.
        shared: pairs of datasets that were left out in turn and show the same people.
        versions: of the packages it was trained with.
        digests: file -> sha256.
    """

    format: Literal[1] = 1
    variant: dict[str, Any]
    network: dict[str, Any]
    classes: list[str]
    input: dict[str, Any] | None
    alignment: Alignment
    bit_depth: int | None = None
    channels: int
    mean: list[float]
    std: list[float]
    form: Literal["softmax", "sigmoid"]
    mirrored_test: bool = False
    temperature: float
    likeness: Likeness
    simulated: list[str]
    scores: Scores
    shared: list[tuple[str, str]] = Field(default=[])
    versions: dict[str, str]
    digests: dict[str, str]


def write_description(folder: Path, description: Description) -> None:
    """Publish model.json beside the weights that it describes."""
    job.write_json(folder / DESCRIPTION, description.model_dump(mode="json"))


def read_description(folder: Path) -> Description:
    """Read model.json and hold the weights against it.

    Raises:
        UserError: the folder is no model, model.json is of another format, or the weights are others.
    """
    path = folder / DESCRIPTION
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: is larger than any of ours; name a folder that train_final wrote")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder}: no model there (no {DESCRIPTION}); name a folder that train_final wrote"
        ) from None
    except OSError as error:
        raise job.cannot_read(path, error) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy the model's folder again") from None
    try:
        description = Description.model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        raise UserError(f"{path}: {where} is not as this version writes it; train the model again") from None
    for name, digest in description.digests.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise UserError(f"{folder}: lacks {name}; copy the model's folder again")
        if file_digest(folder / name) != digest:
            raise UserError(
                f"{folder / name}: differs from the sha256 in {DESCRIPTION}; copy the folder again"
            )
    return description
