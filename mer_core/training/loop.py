"""The training loop: one model, one set of samples on the device, a number of epochs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_swa_avg_fn

from mer_core.errors import UserError
from mer_core.job import check_not_orphaned, is_out_of_memory
from mer_core.training.augment import augment
from mer_core.training.checkpoint import Checkpoint
from mer_core.training.data import Samples
from mer_core.training.device import autocast, choose_precision, kernels, lay_out

if TYPE_CHECKING:
    from mer_core.config.training import Training
    from mer_core.training.device import Precision

_LOG = logging.getLogger(__name__)
Criterion = Callable[[Tensor, Tensor], Tensor]
HISTORY = ("epoch", "loss", "accuracy", "images_per_second", "learning_rate", "micro_batch")
PREDICTED_AT_ONCE = 64  # images; large enough for any device to be busy, small enough to fit


def fit(
    model: nn.Module,
    samples: Samples,
    train: Tensor,
    criterion: Criterion,
    settings: Training,
    seed: int,
    *,
    reduction: str = "mean",
    groups: Sequence[Mapping[str, Any]] | None = None,
    epochs: int | None = None,
    after_epoch: Callable[[int, nn.Module], Mapping[str, float]] | None = None,
    checkpoint: Checkpoint | None = None,
    average_epochs: int = 0,
    current_statistics: bool = False,
) -> pd.DataFrame:
    """Train a model, in place.

    Each epoch goes once through a random permutation of the training samples in batches of equal size,
    at most `batch_size` (249 images by 64: 63, 62, 62, 62), so that no batch is a remainder of one
    image, from which batch norm could learn nothing. A batch passes the network in micro-batches,
    equal likewise and of at least two images, whose gradients add up to the whole batch's: the step
    is that of the whole batch, except that batch norm normalises each micro-batch by its own
    statistics and moves its running averages once for each. With `micro_batch: auto` the micro-batch
    is the batch; when the device is out of memory it is halved, for good, and the step begins again
    from where it began, with the same augmented images.

    All randomness is a function of seed and epoch, not of the variant: permutations and augmentation
    are the same for every model. On the CPU a repeat with the same number of threads is bit-identical;
    on a GPU with `deterministic`, on the same device and versions.

    On a GPU a batch that passes at once does so from the second epoch on as a CUDA graph: the same kernels
    in the same order, started by one call. The GPU is waited for only where its numbers are needed: an
    epoch's are looked at while the next one runs, unless `after_epoch` or a checkpoint needs them.

    Batch norm whose weights are frozen keeps its statistics, too. With `recompute_statistics` the others'
    are computed anew after the last epoch (before `after_epoch`), see there.

    Args:
        model: on the device of the samples.
        samples: with their normalisation.
        train: indices of the training samples, at least two.
        criterion: (logits float32 (n, K), target (n,)) -> scalar.
        settings: how to train.
        seed: of the permutations, the augmentation and torch's own generators.
        reduction: how the criterion reduces over samples, `mean` or `sum`.
        groups: parameter groups of the optimiser, each with `params` and `scale` (share of the
            learning rate); by default all that are not frozen, with scale 1.
        epochs: stop after so many; the schedule is that of `settings.epochs` all the same.
        after_epoch: called with the epoch, counted from 1, and the model; what it returns is added to
            the history.
        checkpoint: where to continue from and to save to.
        average_epochs: after the last epoch the weights, and batch norm's statistics, become the mean of
            those after so many last epochs (Izmailov et al. 2018, at the rates of the schedule).
        current_statistics: recompute batch norm's statistics before every call of after_epoch, for one that
            chooses between epochs, and not before the last alone.

    Returns:
        One row per epoch: epoch, loss (mean over the samples), accuracy (of the training samples, as
        they were trained on), images_per_second, learning_rate, micro_batch (the most images that passed
        at once), and the columns of `after_epoch`.

    Raises:
        UserError: the loss is not finite; there are fewer than two samples; or the device has no room
            for the micro-batch.
        Orphaned: see `job.check_not_orphaned`.
    """
    if len(train) < 2:
        raise UserError("training needs at least two images, since batch norm does; look at the manifest")
    device = samples.images.device
    lay_out(model, samples.memory_format)
    groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad], "scale": 1.0}]
    optimizer = build_optimizer(groups, settings)
    precision = choose_precision(settings.precision, device, samples.edge)
    step = _Step(model, criterion, optimizer, settings, precision, reduction)
    epochs = epochs or settings.epochs
    history = checkpoint.load(model, optimizer) if checkpoint else []
    # Tensor by tensor: many at once, as by default on a GPU, whole numbers cannot be averaged.
    average = AveragedModel(model, avg_fn=get_swa_avg_fn(), use_buffers=True) if average_epochs else None
    _LOG.info("computing in %s", precision)
    resumed, started = len(history), time.monotonic()
    if resumed and step.auto:
        step.micro_batch = int(history[-1]["micro_batch"])
    running: list[tuple[dict[str, Any], _Outcome]] = []
    begun = started

    def look_at(row: dict[str, Any], outcome: _Outcome) -> None:
        nonlocal begun
        loss, accuracy = outcome.means(row["epoch"])
        ended = time.monotonic()
        row |= {"loss": loss, "accuracy": accuracy, "images_per_second": len(train) / (ended - begun)}
        begun = ended
        history.append(row)
        left = (ended - started) / (row["epoch"] - resumed) * (epochs - row["epoch"])
        told = f"loss {loss:.4f}, accuracy {100 * accuracy:.1f} %, {row['images_per_second']:.0f} images/s"
        _LOG.info("epoch %d/%d: %s, %.0f s left", row["epoch"], epochs, told, left)

    for epoch in range(resumed + 1, epochs + 1):
        check_not_orphaned()  # the workflow that goes on in its place may need the device
        rate = learning_rate(settings, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        with kernels(precision, settings.deterministic, device):
            outcome = _epoch(step, samples, train, settings, seed, epoch)
        row = dict.fromkeys(HISTORY) | {
            "epoch": epoch,
            "learning_rate": rate,
            "micro_batch": step.micro_batch,
        }
        running.append((row, outcome))
        if average and epoch > epochs - average_epochs:
            average.update_parameters(model)
            if epoch == epochs:
                model.load_state_dict(average.module.state_dict())
        # On the CPU an epoch has ended by now; a GPU goes on with the next one meanwhile.
        needed_now = after_epoch or checkpoint or device.type == "cpu" or epoch == epochs
        while len(running) > (0 if needed_now else 1):
            look_at(*running.pop(0))
        looked_at = epoch == epochs or (after_epoch and current_statistics)
        if settings.recompute_statistics and looked_at:
            recompute_statistics(model, samples, train, settings, step.micro_batch)
        if after_epoch:
            row |= after_epoch(epoch, model)
        if checkpoint:
            checkpoint.save(model, optimizer, history)
        if needed_now:
            begun = time.monotonic()
    return pd.DataFrame(history)


def passed_at_once(history: pd.DataFrame, settings: Training) -> int | str:
    """How many images passed at once in the end, for the record; `whole` where every batch passed whole.

    Batch norm sees the parts of a batch alone, so a smaller number is a circumstance of the result; the size
    of the batch is a setting.

    Args:
        history: as `fit` returns it.
        settings: those of that training.
    """
    images = int(history["micro_batch"].iloc[-1])
    return images if images < settings.batch_size else "whole"


def predict(model: nn.Module, samples: Samples, index: Tensor, settings: Training) -> Tensor:
    """Logits of some samples, without augmentation, in evaluation mode.

    As many images at once as the device has room for: a trained model is not lost to a lack of memory.
    They are computed in float32, whatever the training was: bfloat16 would change an answer in a hundred.
    With `mirrored_test` the logits are the mean of those of the image and of its mirror image.

    Args:
        model: on the device of the samples; left in evaluation mode.
        samples: with their normalisation.
        index: (n,), at least one.
        settings: those of the training.

    Returns:
        float64 (n, K), on the CPU.

    Raises:
        UserError: a logit is not finite, or the device has no room for one image.
    """
    model.eval()
    logits = _with_room(
        lambda size: _logits(model, samples, index.split(size), settings),
        min(PREDICTED_AT_ONCE, len(index)),
        1,
        samples.images.device,
    )
    logits = torch.cat(logits).double().cpu()
    if not logits.isfinite().all():
        raise UserError("predictions are not finite, training diverged; lower learning_rate")
    return logits


def _logits(model: nn.Module, samples: Samples, index: Sequence[Tensor], settings: Training) -> list[Tensor]:
    with torch.inference_mode(), kernels("float32", settings.deterministic, samples.images.device):
        inputs = (samples.normalize(samples.pixels(part)) for part in index)
        if settings.mirrored_test:
            return [(model(x) + model(x.flip(3))) / 2 for x in inputs]
        return [model(x) for x in inputs]


def answers(model: nn.Module, samples: Samples, index: Tensor, settings: Training) -> tuple[Tensor, float]:
    """The classes that are predicted of some samples, (n,) on the CPU, and the accuracy; see predict."""
    predicted = predict(model, samples, index, settings).argmax(1)
    return predicted, (predicted == samples.labels[index].cpu()).double().mean().item()


def recompute_statistics(
    model: nn.Module, samples: Samples, train: Tensor, settings: Training, at_once: int
) -> None:
    """Compute batch norm's running statistics anew from the training samples, under the present weights.

    What training leaves there is a running average over its last steps, of which the last one counts a
    tenth: when steps are few it is that of weights long gone, or of none at all. Here it is the mean over
    batches as it had in training: of that size, at random, in that precision, but without augmentation. Batch
    norm whose weights are frozen keeps its statistics.

    Args:
        model: on the device of the samples; left in evaluation mode.
        samples: with their normalisation.
        train: indices of the training samples.
        settings: those of the training.
        at_once: the most images that passed the network at once.
    """
    device, norms = samples.images.device, [norm for norm in _norms(model) if not _is_frozen(norm)]
    precision = choose_precision(settings.precision, device, samples.edge)
    before = [norm.momentum for norm in norms]
    # A manifest is in order, by subject or by class; a batch of one class has other statistics.
    train = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).to(device)]
    model.eval()

    def passes(size: int) -> None:
        for norm in norms:
            norm.reset_running_stats()
        for part in train.tensor_split(parts(len(train), size)):
            with autocast(precision, device):
                model(samples.normalize(samples.pixels(part)))

    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean of all batches
    with torch.no_grad(), kernels(precision, settings.deterministic, device):
        _with_room(passes, min(settings.batch_size, at_once, len(train)), 2, device)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    model.eval()


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _is_frozen(norm: _BatchNorm) -> bool:
    return not any(parameter.requires_grad for parameter in norm.parameters())


def _with_room(work: Callable[[int], Any], size: int, least: int, device: torch.device) -> Any:
    """Do some work with so many images at once, or with as many as the device has room for."""
    while True:
        try:
            return work(size)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        size = _half(size, least, device)


def _half(failed: int, least: int, device: torch.device) -> int:
    """How many images to try at once after the device had no room for so many."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if failed <= least:
        raise UserError(
            f"{device}: out of memory with {failed} images at once; use a device with more memory, "
            "smaller alignment.size, or micro_batch: auto"
        )
    half = math.ceil(failed / 2)
    _LOG.warning("out of memory with %d images at once: going on with %d", failed, half)
    return half


def build_optimizer(groups: Sequence[Mapping[str, Any]], settings: Training) -> torch.optim.Optimizer:
    """The optimiser that the settings name; fit sets the learning rate."""
    parameters = [dict(group) for group in groups]
    options = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, **options)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](parameters, **options)


def learning_rate(settings: Training, epoch: int) -> float:
    """The learning rate of an epoch, counted from 1: constant, or half a cosine wave towards zero.

    It rises to it in equal steps during the first `warmup_epochs`.
    """
    warmup = settings.warmup_epochs
    if epoch <= warmup:
        return settings.learning_rate * epoch / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    passed = (epoch - 1 - warmup) / (settings.epochs - warmup)
    return settings.learning_rate * (1 + math.cos(math.pi * passed)) / 2


def parts(n: int, size: int) -> int:
    """How many parts to cut n images into, equal to within one: at most `size` in each, at least two."""
    return max(1, min(math.ceil(n / size), n // 2))


def _epoch(
    step: _Step, samples: Samples, train: Tensor, settings: Training, seed: int, epoch: int
) -> _Outcome:
    """Train once on everything."""
    device = samples.images.device
    order, changes, others = np.random.SeedSequence((seed, epoch)).generate_state(3).tolist()
    torch.manual_seed(others)
    permutation = torch.randperm(len(train), generator=torch.Generator().manual_seed(order))
    if device.type == "cuda":
        permutation = permutation.pin_memory().to(device, non_blocking=True)
    generator = torch.Generator(device).manual_seed(changes)
    step.model.train()
    for norm in _norms(step.model):
        if _is_frozen(norm):
            norm.eval()
    outcomes = []
    for batch in train[permutation].tensor_split(parts(len(train), settings.batch_size)):
        pixels = augment(samples.pixels(batch), settings.augmentation, generator)
        outcomes.append(step(samples.normalize(pixels), samples.labels[batch]))
    step.warm = True
    return _Outcome(torch.stack(outcomes), len(train))


class _Outcome:
    """The losses and hits of an epoch, on their way from the device."""

    def __init__(self, outcomes: Tensor, samples: int) -> None:
        self.batches, self.samples = outcomes.to("cpu", non_blocking=True), samples
        self.ready = None
        if outcomes.is_cuda:
            self.ready = torch.cuda.Event(blocking=True)
            self.ready.record()

    def means(self, epoch: int) -> tuple[float, float]:
        """The mean loss and the accuracy, when they have arrived."""
        if self.ready:
            self.ready.synchronize()
        loss, hits = self.batches.double().unbind(1)
        if not loss.isfinite().all():
            batch = int(loss.isfinite().logical_not().nonzero()[0]) + 1
            raise UserError(
                f"the loss is {loss[batch - 1].item()} in epoch {epoch}, batch {batch} of {len(loss)}; "
                "lower learning_rate, or use precision: float32"
            )
        return loss.sum().item() / self.samples, hits.sum().item() / self.samples


class _Step:
    """One step of the optimiser on one batch, in as many micro-batches as the device needs."""

    def __init__(
        self,
        model: nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        settings: Training,
        precision: Precision,
        reduction: str,
    ) -> None:
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.precision, self.reduction = precision, reduction
        self.auto = settings.micro_batch == "auto"
        self.micro_batch = settings.batch_size if self.auto else settings.micro_batch
        self.warm = False  # every size of batch has passed once
        self.graphs: dict[int, _Graph] | None = {}

    def __call__(self, inputs: Tensor, target: Tensor) -> Tensor:
        """The sum of the samples' losses and the number of hits, (2,), both before the step."""
        result = self._replayed(inputs, target)
        while result is None:
            # A pass that breaks off has moved the running averages of batch norm already.
            buffers = [buffer.clone() for buffer in self.model.buffers()] if self.auto else []
            try:
                result = self._gradients(inputs, target)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            for buffer, before in zip(self.model.buffers(), buffers, strict=self.auto):
                buffer.copy_(before)
            self._halve(inputs)
        self.optimizer.step()
        return result

    def _gradients(self, inputs: Tensor, target: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        losses, hits = [], []
        count = parts(len(inputs), self.micro_batch)
        for x, y in zip(inputs.tensor_split(count), target.tensor_split(count), strict=True):
            with autocast(self.precision, inputs.device):
                logits = self.model(x)
            # A mean counts as many samples as it is made of.
            weight = len(x) / len(inputs) if self.reduction == "mean" else 1.0
            loss = weight * self.criterion(logits.float(), y)
            loss.backward()
            losses.append(loss.detach())
            hits.append((logits.detach().argmax(1) == y).sum())
        samples = len(inputs) if self.reduction == "mean" else 1
        return torch.stack([samples * torch.stack(losses).sum(), torch.stack(hits).sum()])

    def _replayed(self, inputs: Tensor, target: Tensor) -> Tensor | None:
        """The same as a CUDA graph; None where a graph is not to be had, and then nothing has happened."""
        if not (self.warm and inputs.is_cuda) or self.graphs is None:
            return None
        if parts(len(inputs), self.micro_batch) > 1:
            return None
        if len(inputs) not in self.graphs:
            others = next(iter(self.graphs.values()), None)
            try:
                self.graphs[len(inputs)] = _Graph(self._gradients, self.model, inputs, target, others)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                _LOG.warning("no memory for the step as a CUDA graph: going on without")
                self.graphs = None
                return None
        return self.graphs[len(inputs)](inputs, target)

    def _halve(self, inputs: Tensor) -> None:
        """Make the micro-batch smaller after the device has been out of memory."""
        failed = min(self.micro_batch, len(inputs))
        self.optimizer.zero_grad()
        self.micro_batch = _half(failed, 2 if self.auto else failed, inputs.device)


class _Graph:
    """Forward and backward pass of batches of one size as a CUDA graph, which Python starts by one call."""

    def __init__(
        self,
        gradients: Callable[[Tensor, Tensor], Tensor],
        model: nn.Module,
        inputs: Tensor,
        target: Tensor,
        other: _Graph | None,
    ) -> None:
        """Record the kernels; nothing is computed yet.

        Args:
            gradients: the pass, which leaves each parameter a new gradient.
            model: whose parameters.
            inputs: of the pass.
            target: of the pass.
            other: a graph whose memory can be used again, since one runs after the other.
        """
        self.inputs, self.target = inputs.clone(), target.clone()
        self.parameters = list(model.parameters())
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=other and other.graph.pool()):
            self.result = gradients(self.inputs, self.target)
        self.gradients = [parameter.grad for parameter in self.parameters]

    def __call__(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Compute what was recorded, on other numbers."""
        self.inputs.copy_(inputs)
        self.target.copy_(target)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.result.clone()
