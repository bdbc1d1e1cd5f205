"""One fold: train on everyone but one subject, predict that subject."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import logsigmoid
from torch.utils.flop_counter import FlopCounterMode

from mer_core import job
from mer_core.datasets import folds
from mer_core.datasets.manifest import read_manifest
from mer_core.models import build_network
from mer_core.models.losses import build_loss, start_at_prior
from mer_core.models.weights import load_weights, save_weights
from mer_core.provenance import file_digest, value_digest
from mer_core.training import data, device, loop, splits

if TYPE_CHECKING:
    from mer_core.config.models import Loss, Variant
    from mer_core.config.training import FoldTraining, Transfer

_LOG = logging.getLogger(__name__)
INNER_FRACTION = 0.2  # share of the training samples that selection: inner holds out


def train_fold(
    cache: Path,
    manifest: Path,
    subject: str,
    folder: Path,
    *,
    variant: Variant,
    loss: Loss,
    classes: Sequence[str],
    settings: FoldTraining,
    transfer: Transfer | None,
    reduction: int,
    seed: int,
    initial_weights: Path | None,
    on: torch.device,
    groups: int | str | None = None,
    code: str = "",
    identity: str = "",
) -> None:
    """Train without one subject, or one group, and predict it; publish predictions.csv and its companions.

    These are history.csv and fold.json.

    The last epoch is scored. With `selection: inner` the number of epochs is chosen first: a fifth of
    the training samples, whole subjects, is held out, the epoch with the best accuracy on them is
    found (of equals the first), and the network is trained anew on all training subjects for so many
    epochs, under the same learning-rate schedule. The held-out subject plays no part in it.

    With `best_on_test` the predictions of the epoch that is best on the held-out subject go into the
    column `predicted_best_on_test`: an upper bound, never the result.

    A subject of whom no sample can be used gets a predictions.csv without rows, and nothing is trained.

    Args:
        cache: the target's merged cache.
        manifest: the target's manifest.
        subject: who is left out: a subject's name, or with `groups` that of a group, such as group1.
        folder: where the results go; with `keep_weights`, weights.safetensors and its .sha256, too.
        variant: the row of the ablation.
        loss: the variant's loss.
        classes: the target's classes in order.
        settings: the block `training`.
        transfer: freezing and learning rates, for weights that do not start at random: of a file, or those
            that a network brings along.
        reduction: of the channel attention.
        seed: with the subject it seeds all that is drawn, see fold_seed.
        initial_weights: safetensors file for all but the classifier; None starts at random.
        on: the device.
        groups: who is left out together, as for `folds.held_out`; None leaves out one subject.
        code: digest of the code, for the record.
        identity: digest of all that the fold is made with, by which it is told from a stale one.

    Raises:
        UserError: the data do not suffice, training diverged, or a file is damaged; then no file appears.
    """
    clock = _Clock()
    configuration = value_digest(
        [
            *(
                part.model_dump(exclude={"keep_weights"})
                for part in (variant, loss, settings, transfer)
                if part
            ),
            list(classes),
            reduction,
            groups,
        ]
    )
    samples = data.load(cache, manifest, classes, on)
    precision = device.choose_precision(settings.precision, on, samples.edge, variant.network_kind)
    settings = settings.model_copy(update={"precision": precision})
    draw = fold_seed(seed, subject)
    held_out = folds.held_out(read_manifest(manifest), subject, groups)
    train, test = splits.split_fold(samples, held_out)
    samples = data.with_normalization(samples, settings.normalization, train)
    _LOG.info(
        "%s, seed %d: training on %d, testing %d of %s", variant.name, seed, len(train), len(test), subject
    )
    data.tell_missing_classes(samples, train)
    clock.lap("load")

    recipe = Recipe(variant, loss, settings, transfer, reduction, initial_weights)
    trained = partial(recipe.train, samples, draw)
    record: dict[str, Any] = {"epochs": 0, "loss": None, "accuracy": None, "micro_batch": None}
    logits, history = torch.empty(0, len(classes), dtype=torch.float64), pd.DataFrame(columns=loop.HISTORY)
    upper_bound = _BestOnTest(samples, test, settings)
    if len(test):
        chosen = None
        if settings.selection == "inner":
            chosen, record["inner_accuracy"] = choose_epochs(trained, samples, train, settings, draw)
        model, history = trained(
            train, epochs=chosen, after_epoch=upper_bound.look if settings.best_on_test else None
        )
        record |= {"epochs": len(history)} | history.iloc[-1][["loss", "accuracy"]].to_dict()
        record["parameters"] = sum(parameter.numel() for parameter in model.parameters())
        record["multiply_adds"] = multiply_adds(model, samples)
        record["micro_batch"] = loop.passed_at_once(history, settings)
        if settings.best_on_test:
            record["upper_bound_best_on_test"] = {
                "epoch": upper_bound.epoch,
                "accuracy": upper_bound.accuracy,
            }
        clock.lap("train")
        logits = loop.predict(model, samples, test, settings)
        clock.lap("predict")
    else:
        _LOG.warning("no sample of %s can be used: nothing is trained, predictions.csv has no rows", subject)

    predictions = samples.table.iloc[test.cpu().numpy()][["sample_id", "subject", "label"]]
    predictions["predicted"] = [classes[k] for k in logits.argmax(1)]
    predictions[[f"p_{name}" for name in classes]] = probabilities(logits, loss).numpy()
    if settings.best_on_test:
        predictions["predicted_best_on_test"] = [classes[k] for k in upper_bound.answers]
    record = {
        **folds.record(
            variant.name,
            seed,
            subject,
            held_out,
            dict(zip(classes, samples.counts(train), strict=True)),
            test=len(test),
            absent=len(samples.absent),
        ),
        "selection": settings.selection,
        "keep_weights": settings.keep_weights,
        **record,
        **device.circumstances(on, precision),
        "digests": {
            "configuration": configuration,
            **samples.digests,
            "initial_weights": file_digest(initial_weights) if initial_weights else None,
            "code": code,
            "identity": identity,
        },
    }
    if settings.keep_weights and len(test):
        save_weights(model, folder / "weights.safetensors")
    _publish(folder, predictions, history, record, clock)


def fold_seed(seed: int, subject: str) -> int:
    """The seed of a fold's initial weights, order of samples, augmentation and inner split.

    Every fold draws its own, so that a run is not the luck of one draw; all variants draw the same, so that
    their differences are paired.
    """
    return int(np.random.SeedSequence([seed, *subject.encode()]).generate_state(1)[0])


def network_of(variant: Variant, samples: data.Samples, reduction: int, dropout: float) -> nn.Module:
    """A variant's network, for what it sees of the samples, initialised as `models.build_network` does.

    Args:
        variant: the row of the ablation.
        samples: what it will be trained on.
        reduction, dropout: of resnet18; the other networks have their own.
    """
    settings = network_settings(variant, reduction)
    if variant.network_kind == "resnet18":
        settings["dropout"] = dropout
    return build_network(settings, len(samples.classes), samples.channels)


def network_settings(variant: Variant, reduction: int) -> dict[str, Any]:
    """What `models.build_network` takes for a variant; nothing of it matters in training alone."""
    own = {"attention": variant.attention, "reduction": reduction}
    return dict(variant.network) | (own if variant.network_kind == "resnet18" else {})


@dataclass(frozen=True)
class Recipe:
    """How a variant's network is trained on some samples; a fold's and a final model's training alike.

    Attributes:
        variant, loss, settings, transfer, reduction, initial_weights: as for `train_fold`.
    """

    variant: Variant
    loss: Loss
    settings: FoldTraining
    transfer: Transfer | None
    reduction: int
    initial_weights: Path | None

    def train(
        self, samples: data.Samples, draw: int, part: Tensor, **watch: Any
    ) -> tuple[nn.Module, pd.DataFrame]:
        """Train a new network.

        Args:
            samples: the dataset, normalised.
            draw: the seed of weights, order and augmentation.
            part: indices of the samples to train on.
            watch: for `loop.fit`.

        Returns:
            The network, and the history of `loop.fit`.
        """
        torch.manual_seed(draw)
        model, groups = network_of(self.variant, samples, self.reduction, self.settings.dropout), None
        start_at_prior(model.fc, self.loss)
        new: set[str] = set()
        if self.initial_weights is not None:
            new = load_weights(model, self.initial_weights, skip_classifier=True)
        if self.transfer is not None:
            groups = transfer_groups(model, self.transfer, new)
        criterion = build_loss(self.loss, samples.counts(part), samples.classes).to(samples.images.device)
        model.to(samples.images.device)
        watch |= {"reduction": self.loss.reduction, "groups": groups}
        watch |= {"average_epochs": self.settings.average_epochs, "current_statistics": True}
        return model, loop.fit(model, samples, part, criterion, self.settings, draw, **watch)


@torch.no_grad()
def multiply_adds(model: nn.Module, samples: data.Samples) -> int:
    """Of the convolutions and matrix products of one answer; the model is left in evaluation mode."""
    model.eval()
    one = samples.normalize(samples.pixels(torch.zeros(1, dtype=torch.int64, device=samples.images.device)))
    # What a fused kernel multiplies, of attention or of a whole layer, is not counted.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
            model(one)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counted.get_total_flops() // 2


def choose_epochs(
    trained: Callable[..., Any], samples: data.Samples, train: Tensor, settings: FoldTraining, seed: int
) -> tuple[int, list[float]]:
    """Find the epoch that is best on training subjects held out from the training.

    Args:
        trained: (indices, after_epoch=...) trains a new network on some samples.
        samples: the dataset.
        train: indices of the fold's training samples.
        settings: how predictions are made.
        seed: of the inner split.

    Returns:
        The epoch, of equals the first, and the accuracy after every epoch.

    Raises:
        UserError: there is only one training subject.
    """
    part, held_out = splits.split_by_subject(samples, INNER_FRACTION, seed, among=train)
    _LOG.info("choosing the epoch: training on %d, held out %d of other subjects", len(part), len(held_out))
    accuracy = []

    def look(epoch: int, model: nn.Module) -> dict[str, float]:
        accuracy.append(loop.answers(model, samples, held_out, settings)[1])
        return {}

    trained(part, after_epoch=look)
    chosen = accuracy.index(max(accuracy)) + 1
    _LOG.info("epoch %d is the best on them (accuracy %.1f %%)", chosen, 100 * max(accuracy))
    return chosen, accuracy


def transfer_groups(
    model: nn.Module, transfer: Transfer, new: Set[str] = frozenset()
) -> list[dict[str, Any]]:
    """Freeze the first stages of a ResNet and divide the rest into backbone and head.

    Args:
        model: of any kind where nothing is frozen; of a ResNet stage 1 is the stem with the first residual
            stage.
        transfer: how many stages are frozen, and the backbone's share of the learning rate.
        new: names of what was not transferred, besides the classifier; it learns as that does.

    Returns:
        Parameter groups for fit: what is not frozen of the backbone; the classifier, and what is new.
    """
    if transfer.freeze_stages:
        stages = [model.layer1, model.layer2, model.layer3, model.layer4][: transfer.freeze_stages]
        for module in [model.conv1, model.bn1, *stages]:
            module.requires_grad_(False)
    head, backbone = [], []
    for name, parameter in model.named_parameters():
        if name.startswith("fc.") or name in new:
            head.append(parameter.requires_grad_())
        elif parameter.requires_grad:
            backbone.append(parameter)
    groups = [{"params": backbone, "scale": transfer.backbone_lr_factor}, {"params": head, "scale": 1.0}]
    return [group for group in groups if group["params"]]


def probabilities(logits: Tensor, loss: Loss) -> Tensor:
    """Class probabilities (n, K) of logits (n, K), each row summing to 1.

    The softmax where the loss is made of it; the one-versus-all loss trains K independent sigmoids, and
    these are divided by their sum. Both keep the order of the logits.
    """
    return (logsigmoid(logits) if loss.form == "sigmoid" else logits).softmax(dim=1)


def _publish(
    folder: Path, predictions: pd.DataFrame, history: pd.DataFrame, record: dict[str, Any], clock: _Clock
) -> None:
    """Write the three files before any of them gets its name; predictions.csv gets it last."""
    with ExitStack() as stack:
        names = ("predictions.csv", "history.csv", "fold.json")
        paths = [stack.enter_context(job.publish(folder / name)) for name in names]
        predictions.to_csv(paths[0], index=False)
        history.to_csv(paths[1], index=False)
        clock.lap("write")
        paths[2].write_text(json.dumps(record | {"seconds": clock.seconds}, indent=2, allow_nan=False) + "\n")


class _BestOnTest:
    """The predictions of the epoch that is best on the held-out subject: an upper bound."""

    def __init__(self, samples: data.Samples, test: Tensor, settings: FoldTraining) -> None:
        self.samples, self.test, self.settings = samples, test, settings
        self.epoch, self.accuracy, self.answers = 0, -1.0, torch.empty(0, dtype=torch.int64)

    def look(self, epoch: int, model: nn.Module) -> dict[str, float]:
        """After an epoch; of equals the first is kept. Nothing of it enters the history."""
        answers, accuracy = loop.answers(model, self.samples, self.test, self.settings)
        if accuracy > self.accuracy:
            self.epoch, self.accuracy, self.answers = epoch, accuracy, answers
        return {}


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase], self._last = now - self._last, now
