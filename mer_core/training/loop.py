"""The training loop: one model, one set of samples on the device, a number of epochs."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mer_core.errors import UserError
from mer_core.training.augment import augment
from mer_core.training.checkpoint import Checkpoint
from mer_core.training.data import Samples

if TYPE_CHECKING:
    from mer_core.config import Training

_LOG = logging.getLogger(__name__)
Criterion = Callable[[Tensor, Tensor], Tensor]
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

    Batch norm whose weights are frozen keeps its statistics, too.

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

    Returns:
        One row per epoch: epoch, loss (mean over the samples), accuracy (of the training samples, as
        they were trained on), images_per_second, learning_rate, and the columns of `after_epoch`.

    Raises:
        UserError: the loss is not finite; there are fewer than two samples; or the device has no room
            for the micro-batch.
    """
    if len(train) < 2:
        raise UserError("training needs at least two images, since batch norm does; look at the manifest")
    device = samples.images.device
    model.to(memory_format=torch.channels_last)
    groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad], "scale": 1.0}]
    optimizer = build_optimizer(groups, settings)
    step = _Step(model, criterion, optimizer, settings, reduction, device)
    epochs = epochs or settings.epochs
    history = checkpoint.load(model, optimizer) if checkpoint else []
    resumed, started = len(history), time.monotonic()
    for epoch in range(resumed + 1, epochs + 1):
        rate = learning_rate(settings, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        begun = time.monotonic()
        with deterministic(settings.deterministic, device):
            loss, accuracy = _epoch(step, samples, train, settings, seed, epoch)
        speed = len(train) / (time.monotonic() - begun)
        row = {
            "epoch": epoch,
            "loss": loss,
            "accuracy": accuracy,
            "images_per_second": speed,
            "learning_rate": rate,
        }
        history.append(row | dict(after_epoch(epoch, model) if after_epoch else {}))
        if checkpoint:
            checkpoint.save(model, optimizer, history)
        left = (time.monotonic() - started) / (epoch - resumed) * (epochs - epoch)
        told = f"loss {loss:.4f}, accuracy {100 * accuracy:.1f} %, {speed:.0f} images/s, {left:.0f} s left"
        _LOG.info("epoch %d/%d: %s", epoch, epochs, told)
    return pd.DataFrame(history)


def predict(model: nn.Module, samples: Samples, index: Tensor, settings: Training) -> Tensor:
    """Logits of some samples, without augmentation, in evaluation mode.

    Args:
        model: on the device of the samples; left in evaluation mode.
        samples: with their normalisation.
        index: (n,), at least one.
        settings: those of the training.

    Returns:
        float64 (n, K), on the CPU.

    Raises:
        UserError: a logit is not finite.
    """
    device = samples.images.device
    model.eval()
    with torch.inference_mode(), deterministic(settings.deterministic, device), autocast(settings, device):
        parts = [model(samples.normalize(samples.pixels(part))) for part in index.split(PREDICTED_AT_ONCE)]
        logits = torch.cat(parts).double().cpu()
    if not logits.isfinite().all():
        raise UserError("predictions are not finite, training diverged; lower learning_rate")
    return logits


def build_optimizer(groups: Sequence[Mapping[str, Any]], settings: Training) -> torch.optim.Optimizer:
    """The optimiser that the settings name; fit sets the learning rate."""
    parameters = [dict(group) for group in groups]
    options = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, **options)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](parameters, **options)


def learning_rate(settings: Training, epoch: int) -> float:
    """The learning rate of an epoch, counted from 1: constant, or half a cosine wave towards zero."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / settings.epochs)) / 2


def autocast(settings: Training, device: torch.device) -> torch.autocast:
    """The context in which the network computes: bfloat16 where asked for, else float32."""
    auto = settings.precision == "auto" and device.type == "cuda"
    enabled = settings.precision == "bfloat16" or (
        auto and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def deterministic(wanted: bool, device: torch.device) -> Iterator[None]:
    """On a GPU, only algorithms that repeat bit for bit, or else the fastest; the CPU always repeats."""
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def equal_parts(index: Tensor, size: int) -> tuple[Tensor, ...]:
    """Cut into parts whose lengths differ by at most one: at most `size` long, at least two."""
    return index.tensor_split(max(1, min(math.ceil(len(index) / size), len(index) // 2)))


def _epoch(
    step: _Step, samples: Samples, train: Tensor, settings: Training, seed: int, epoch: int
) -> tuple[float, float]:
    """Train once on everything; the mean loss and the accuracy."""
    order, changes, others = np.random.SeedSequence((seed, epoch)).generate_state(3).tolist()
    torch.manual_seed(others)
    permutation = torch.randperm(len(train), generator=torch.Generator().manual_seed(order))
    generator = torch.Generator(samples.images.device).manual_seed(changes)
    step.model.train()
    for module in step.model.modules():
        if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
    losses, hits = [], []
    for batch in equal_parts(train[permutation.to(train.device)], settings.batch_size):
        pixels = augment(samples.pixels(batch), settings.augmentation, generator)
        loss, hit = step(samples.normalize(pixels), samples.labels[batch])
        losses.append(loss)
        hits.append(hit)
    # Looked at once per epoch: the only place where the CPU waits for the GPU.
    loss = torch.stack(losses).cpu()
    if not loss.isfinite().all():
        batch = int(loss.isfinite().logical_not().nonzero()[0]) + 1
        raise UserError(
            f"the loss is {loss[batch - 1].item()} in epoch {epoch}, batch {batch} of {len(losses)}; "
            "lower learning_rate, or use precision: float32"
        )
    return loss.sum().item() / len(train), torch.stack(hits).sum().item() / len(train)


class _Step:
    """One step of the optimiser on one batch, in as many micro-batches as the device needs."""

    def __init__(
        self,
        model: nn.Module,
        criterion: Criterion,
        optimizer: torch.optim.Optimizer,
        settings: Training,
        reduction: str,
        device: torch.device,
    ) -> None:
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.settings, self.reduction, self.device = settings, reduction, device
        self.auto = settings.micro_batch == "auto"
        self.micro_batch = settings.batch_size if self.auto else settings.micro_batch

    def __call__(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the samples' losses and the number of hits, both before the step."""
        while True:
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
            self._halve(len(inputs))
        self.optimizer.step()
        return result

    def _gradients(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        total, hits = (
            torch.zeros((), device=self.device),
            torch.zeros((), device=self.device, dtype=torch.int64),
        )
        for part in equal_parts(torch.arange(len(inputs), device=self.device), self.micro_batch):
            with autocast(self.settings, self.device):
                logits = self.model(inputs[part]).float()
            loss = self.criterion(logits, target[part])
            # A mean counts as many samples as it is made of.
            weight = len(part) / len(inputs) if self.reduction == "mean" else 1.0
            (loss * weight).backward()
            total += loss.detach() * (len(part) if self.reduction == "mean" else 1)
            hits += (logits.detach().argmax(1) == target[part]).sum()
        return total, hits

    def _halve(self, batch: int) -> None:
        """Make the micro-batch smaller after the device has been out of memory."""
        failed = min(self.micro_batch, batch)
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if not self.auto or failed <= 2:
            raise UserError(
                f"{self.device}: out of memory with {failed} images at once; use a device with more memory, "
                "smaller alignment.size, or micro_batch: auto"
            )
        self.micro_batch = math.ceil(failed / 2)
        _LOG.warning("out of memory with %d images at once: going on with %d", failed, self.micro_batch)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, CUDA's or the CPU's allocator, had no room."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(
        error
    )
