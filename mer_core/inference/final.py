"""A variant trained on all subjects by the recipe of its folds, put on disk as a model to use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from mer_core import job
from mer_core.config.alignment import Alignment
from mer_core.evaluation.clips import first_seed
from mer_core.evaluation.metrics import evaluate
from mer_core.evaluation.statistics import majority_answers
from mer_core.images import depth_of
from mer_core.inference.bundle import CARD, WEIGHTS, Description, Scores, write_description
from mer_core.inference.calibration import fit_temperature
from mer_core.inference.card import Part, write_card
from mer_core.inference.likeness import describe_likeness
from mer_core.models.weights import save_weights
from mer_core.provenance import file_digest, versions
from mer_core.training import data, device
from mer_core.training.fold import Recipe, choose_epochs, fold_seed, network_settings

_LOG = logging.getLogger(__name__)
AT_ONCE = 64  # images
EVERYBODY = "everybody"  # in place of the subject left out, where a fold's seed is drawn


def train_final(
    cache: Path,
    manifest: Path,
    folder: Path,
    *,
    recipe: Recipe,
    classes: Sequence[str],
    seed: int,
    on: torch.device,
    alignment: Alignment,
    input_settings: Mapping[str, Any] | None,
    predictions: pd.DataFrame,
    scores: Mapping[str, Any],
    parts: Sequence[Part],
    shared: Sequence[tuple[str, str]] = (),
) -> None:
    """Train on every sample; publish the weights, the card, and model.json last.

    Args:
        cache: what the variant sees of the target.
        manifest: the target's.
        folder: where the model goes.
        recipe: of the variant's folds.
        classes: in order.
        seed: the first of the experiment.
        on: the device.
        alignment: how the target's faces are cropped.
        input_settings: of the variant's input; None: the apex.
        predictions: the folds' pooled predictions, which the temperature is fitted on.
        scores: of the folds, the content of metrics/{variant}.json.
        parts: the datasets that the model has learnt from, for the card.
        shared: pairs of those that were left out in turn and show the same people.

    Raises:
        UserError: as `training.fold.train_fold`.
    """
    samples = data.load(cache, manifest, classes, on)
    everything = torch.arange(len(samples.labels), device=on)
    network = recipe.variant.network_kind
    precision = device.choose_precision(recipe.settings.precision, on, samples.edge, network)
    settings = recipe.settings.model_copy(update={"precision": precision})
    recipe = replace(recipe, settings=settings)
    samples = data.with_normalization(samples, settings.normalization, everything)
    draw, chosen = fold_seed(seed, EVERYBODY), None

    def trained(part: torch.Tensor, **watch: Any) -> tuple[nn.Module, pd.DataFrame]:
        return recipe.train(samples, draw, part, **watch)

    if settings.selection == "inner":
        chosen, _ = choose_epochs(trained, samples, everything, settings, draw)
    model, _ = trained(everything, epochs=chosen)
    likeness = describe_likeness(features_of(model, samples), samples.table["subject"].to_numpy())
    temperature = _temperature(predictions, classes)
    _LOG.info("trained on %d samples; temperature %.2f", len(everything), temperature)
    save_weights(model.cpu(), folder / WEIGHTS)
    description = Description(
        # Whoever gets the model need not know where its initial weights lay.
        variant=recipe.variant.model_dump(mode="json") | {"init": Path(recipe.variant.init).name},
        network=network_settings(recipe.variant, recipe.reduction),
        classes=list(classes),
        input=dict(input_settings) if input_settings else None,
        alignment=alignment,
        bit_depth=_depth(samples.table),
        channels=samples.channels,
        mean=samples.mean.flatten().tolist(),
        std=samples.std.flatten().tolist(),
        form=recipe.loss.form,
        mirrored_test=settings.mirrored_test,
        temperature=temperature,
        likeness=likeness,
        simulated=[part.name for part in parts if part.simulated],
        scores=_summary(predictions, scores, classes),
        shared=[*shared],
        versions=versions(),
        digests={WEIGHTS: file_digest(folder / WEIGHTS)},
    )
    job.write_text(folder / CARD, write_card(description, parts))
    write_description(folder, description)


@torch.inference_mode()
def features_of(model: nn.Module, samples: data.Samples) -> np.ndarray:
    """What the classifier sees of each sample, float64 (N, D)."""
    seen: list[torch.Tensor] = []
    hook = model.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].double().cpu()))
    model.eval()
    on = samples.images.device
    try:
        with device.kernels("float32", True, on):
            for index in torch.arange(len(samples.labels), device=on).split(AT_ONCE):
                model(samples.normalize(samples.pixels(index)))
    finally:
        hook.remove()
    return torch.cat(seen).numpy()


def _depth(table: pd.DataFrame) -> int | None:
    """The depth that all samples share, if they do."""
    depths = {depth_of(cell) for cell in table["bit_depth"]}
    return depths.pop() if len(depths) == 1 else None


def _temperature(predictions: pd.DataFrame, classes: Sequence[str]) -> float:
    values = predictions[[f"p_{name}" for name in classes]].to_numpy(float)
    return fit_temperature(values, pd.Index(classes).get_indexer(predictions["label"]))


def _summary(predictions: pd.DataFrame, scores: Mapping[str, Any], classes: Sequence[str]) -> Scores:
    """The folds' figures as the card shows them."""
    floor = evaluate(majority_answers(first_seed(predictions)), classes)
    macro_f1, accuracy = scores["macro_f1"], scores["accuracy"]
    return Scores(
        macro_f1=macro_f1["mean"],
        low=macro_f1["low"],
        high=macro_f1["high"],
        floor=floor["macro_f1"],
        accuracy=accuracy["mean"],
        accuracy_low=accuracy["low"],
        accuracy_high=accuracy["high"],
        accuracy_floor=floor["accuracy"],
        **{key: scores[key] for key in ("per_class", "n", "subjects", "confidence")},
    )
