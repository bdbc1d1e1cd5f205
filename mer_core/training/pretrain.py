"""Pretraining on the source dataset, and the choice of the run that is transferred."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from mer_core import job
from mer_core.evaluation.metrics import evaluate
from mer_core.models.losses import build_loss, start_at_prior
from mer_core.models.weights import load_weights, save_weights
from mer_core.provenance import file_digest, occurring, value_digest
from mer_core.training import data, device, loop, splits
from mer_core.training.checkpoint import Checkpoint
from mer_core.training.fold import network_of

if TYPE_CHECKING:
    from mer_core.config.models import Loss, Variant
    from mer_core.config.training import PretrainingRun

_LOG = logging.getLogger(__name__)


def pretrain(
    cache: Path,
    manifest: Path,
    folder: Path,
    *,
    variant: Variant,
    loss: Loss,
    classes: Sequence[str],
    settings: PretrainingRun,
    reduction: int,
    split: Literal["frame", "subject"],
    run: int,
    on: torch.device,
    code: str = "",
) -> None:
    """Train one network on the source dataset; its test accuracy is that of the last epoch.

    Writes weights.safetensors (and its .sha256), history.csv and, last, metrics.json. Until then
    checkpoint.safetensors in the same folder lets an interrupted run go on.

    Args:
        cache: the source's merged cache.
        manifest: the source's manifest.
        folder: where the results go.
        variant: gives the network and its attention.
        loss: the variant's loss.
        classes: the source's classes in order.
        settings: the block `pretraining`.
        reduction: of the channel attention.
        split: `frame`, at random over images (the paper's), or `subject`, no person on both sides.
        run: counted from 0; the seed of the split, the initial weights and the training.
        on: the device.
        code: digest of the code, for the record.
    """
    begun = time.monotonic()
    samples = data.load(cache, manifest, classes, on)
    precision = device.choose_precision(settings.precision, on, samples.edge, variant.network_kind)
    halve = {"frame": splits.split_by_frame, "subject": splits.split_by_subject}[split]
    train, test = halve(samples, settings.test_fraction, run)
    samples = data.with_normalization(samples, settings.normalization, train)
    data.tell_missing_classes(samples, train)

    torch.manual_seed(run)
    model = network_of(variant, samples, reduction, settings.dropout)
    start_at_prior(model.fc, loss)
    initial = None
    if settings.init != "random":
        load_weights(model, Path(settings.init), skip_classifier=True)
        initial = file_digest(settings.init)
    model.to(on)
    criterion = build_loss(loss, samples.counts(train), classes).to(on)
    digests = {
        "configuration": value_digest(
            [
                variant.network,
                variant.attention,
                variant.input,
                loss.model_dump(),
                list(classes),
                settings.model_dump(),
                reduction,
            ]
        ),
        **samples.digests,
        "initial_weights": initial,
        "code": code,
    }
    settings = settings.model_copy(update={"precision": precision})
    circumstances = device.circumstances(on, precision)
    same = {key: circumstances[key] for key in ("device", "precision", "threads", "versions")}
    checkpoint = Checkpoint(folder / "checkpoint.safetensors", value_digest([digests, same, split, run]))

    def test_accuracy(epoch: int, model: nn.Module) -> dict[str, float]:
        return {"test_accuracy": loop.answers(model, samples, test, settings)[1]}

    history = loop.fit(
        model,
        samples,
        train,
        criterion,
        settings,
        seed=run,
        reduction=loss.reduction,
        after_epoch=test_accuracy,
        checkpoint=checkpoint,
    )
    answers, _ = loop.answers(model, samples, test, settings)
    table = samples.table.iloc[test.cpu().numpy()].assign(predicted=[classes[k] for k in answers])
    scores = evaluate(table, classes)
    shared = splits.shared_with_training(samples, train, test)
    _LOG.info(
        "test accuracy %.2f %%, macro-F1 %.4f, n = %d",
        100 * scores["accuracy"],
        scores["macro_f1"],
        len(test),
    )

    save_weights(model, folder / "weights.safetensors")
    with job.publish(folder / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    metrics = {
        "split": split,
        "run": run,
        "seed": run,
        "n_train": len(train),
        "n_test": len(test),
        "n_absent": len(samples.absent),
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "siblings_share": shared["siblings"],
        "same_person_share": shared["same_person"],
        "epochs": len(history),
        "micro_batch": loop.passed_at_once(history, settings),
        "seconds": time.monotonic() - begun,
        **device.circumstances(on, precision),
        "digests": digests,
    }
    job.write_json(folder / "metrics.json", metrics)
    checkpoint.remove()


def select(
    metrics: Iterable[Mapping[str, Any]], split: Literal["frame", "subject"]
) -> tuple[int, dict[str, Any]]:
    """Choose the run that feeds the transfer: the best test accuracy, as in the paper; of equals the first.

    The accuracy of the chosen run is a maximum over runs on the very images it is reported for, and so
    too high as an estimate; the mean over the runs stands beside it.

    Args:
        metrics: those of all runs under both protocols, in any order.
        split: the protocol whose runs are chosen from.

    Returns:
        The run, and what selected.json holds: run, split, rule, accuracy, and for each protocol the
        runs, mean, sd (None for a single run) and best of accuracy and macro-F1, n_train, n_test, and the
        mean shares of siblings and of persons seen in training; and the circumstances that occur.

    Raises:
        ValueError: no run has this split.
    """
    metrics = sorted(metrics, key=lambda one: (one["split"], one["run"]))
    candidates = [one for one in metrics if one["split"] == split]
    if not candidates:
        raise ValueError(f"no run with split '{split}'")
    best = max(candidates, key=lambda one: (one["accuracy"], -one["run"]))
    protocols = {}
    for protocol in sorted({one["split"] for one in metrics}):
        runs = [one for one in metrics if one["split"] == protocol]
        protocols[protocol] = {
            "runs": len(runs),
            **{name: _spread([one[name] for one in runs]) for name in ("accuracy", "macro_f1")},
            **{
                name: statistics.fmean(one[name] for one in runs)
                for name in ("n_train", "n_test", "siblings_share", "same_person_share")
            },
        }
    rule = f"best test accuracy among {len(candidates)} runs of the split by {split}; of equals the first"
    return best["run"], {
        "run": best["run"],
        "split": split,
        "rule": rule,
        "accuracy": best["accuracy"],
        "macro_f1": best["macro_f1"],
        "protocols": protocols,
        "circumstances": occurring(metrics),
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "values": list(values),
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "best": max(values),
    }
