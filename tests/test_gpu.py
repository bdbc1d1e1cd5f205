"""On a real GPU: what the CPU cannot show. Skipped, and said so, where torch sees none."""

import copy
import json

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy
from training_samples import (
    CLASSES,
    CPU,
    CROSS_ENTROPY,
    FOCAL,
    FOLD,
    PLAIN,
    PRETRAINING,
    STILL,
    write_dataset,
)

from mer_core.models import ATTENTION, build_model
from mer_core.models.losses import build_loss
from mer_core.training import checkpoint, data, device, loop
from mer_core.training.device import lease
from mer_core.training.fold import train_fold
from mer_core.training.pretrain import pretrain

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
GPU = torch.device("cuda", 0)
SIZE = 48


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), subjects=5, clips=7, size=SIZE)


def samples(dataset, on=GPU):
    loaded = data.load(*dataset, CLASSES, on)
    return data.with_normalization(loaded, "imagenet", torch.arange(len(loaded.labels), device=on))


def fitted(dataset, on=GPU, attention="dual", loss=FOCAL, batch=16, model=None, average=0, **changes):
    """A network and its history after a few epochs on 35 images, in batches of two sizes."""
    known = samples(dataset, on)
    everything = torch.arange(len(known.labels), device=on)
    torch.manual_seed(0)
    model = (model or build_model(attention, len(CLASSES))).to(on)
    criterion = build_loss(loss, known.counts(everything)).to(on)
    settings = FOLD.model_copy(update={"epochs": 4, "batch_size": batch} | changes)
    options = {"reduction": loss.reduction, "average_epochs": average}
    return model, loop.fit(model, known, everything, criterion, settings, seed=0, **options)


def differing(a, b):
    """The names of the tensors that are not equal bit for bit."""
    return [
        name
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True)
        if not torch.equal(x, y)
    ]


LOSSES = {
    "cross entropy": CROSS_ENTROPY,
    "softmax focal": FOCAL.model_copy(update={"form": "softmax", "alpha": None}),
    "sigmoid focal": FOCAL,
    "balanced, summed": FOCAL.model_copy(update={"alpha": "balanced", "reduction": "sum"}),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("attention", ATTENTION)
def test_every_attention_learns_with_every_loss_and_repeats_bit_for_bit(dataset, attention, loss):
    runs = [
        fitted(dataset, attention=attention, loss=LOSSES[loss], precision="auto", learning_rate=1e-4)
        for _ in range(2)
    ]
    assert differing(runs[0][0], runs[1][0]) == []
    losses = runs[0][1]["loss"]
    assert losses.iloc[-1] < losses.iloc[0]


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("attention", ["none", "dual", "cbam"])
def test_the_step_as_a_graph_is_the_step(dataset, monkeypatch, attention, precision):
    graphs, real = [], loop._Graph
    monkeypatch.setattr(loop, "_Graph", lambda *given: graphs.append(len(given[2])) or real(*given))
    replayed, history = fitted(dataset, attention=attention, precision=precision)
    assert sorted(graphs) == [11, 12], "one for each size of batch"
    monkeypatch.setattr(loop._Step, "_replayed", lambda *given: None)
    eager, eager_history = fitted(dataset, attention=attention, precision=precision)
    assert differing(replayed, eager) == []
    pd.testing.assert_series_equal(history["loss"], eager_history["loss"])


def test_dropout_draws_anew_in_every_replay(dataset):
    def trained(epochs):
        torch.manual_seed(0)
        model = build_model("none", len(CLASSES), dropout=0.5)
        changes = {"epochs": epochs, "learning_rate": 1e-12, "augmentation": STILL}
        return fitted(dataset, model=model, batch=35, **changes)[1]["loss"]

    # One batch of the same images in every epoch, the first by itself, the others by one graph.
    assert trained(5).diff().abs().iloc[1:].min() > 1e-4
    assert trained(5).tolist() == trained(5).tolist()


def test_the_average_is_that_of_the_last_epochs(dataset):
    whole = {"precision": "float32", "recompute_statistics": False, "schedule": "constant"}
    (third, _), (fourth, _) = (fitted(dataset, **whole, epochs=epochs) for epochs in (3, 4))
    averaged, _ = fitted(dataset, **whole, average=2)
    before, after = third.state_dict(), fourth.state_dict()
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (before[name] + after[name]) / 2, msg=name)


def test_float32_is_float32_and_tf32_is_not(dataset):
    """One convolution and one product with their gradients, in and out of the context, against float64."""
    torch.manual_seed(0)
    x, w = torch.randn(4, 64, 24, 24, device=GPU), torch.randn(64, 64, 3, 3, device=GPU)
    a = torch.randn(512, 512, device=GPU)

    def computed(dtype):
        leaves = [tensor.to(dtype).requires_grad_() for tensor in (x, w, a)]
        outputs = torch.conv2d(*leaves[:2], padding=1), leaves[2] @ leaves[2]
        # A gradient of ones would be exact in TF32.
        gradients = torch.autograd.grad([output.sin().sum() for output in outputs], leaves)
        return *outputs, *gradients

    exact = computed(torch.float64)

    def errors(precision):
        with device.kernels(precision, True, GPU):
            found = computed(torch.float32)
        return [((f - e).abs().max() / e.abs().max()).item() for f, e in zip(found, exact, strict=True)]

    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    assert max(errors("float32")) < 3e-5 < 1e-4 < min(errors("tf32"))
    assert (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision) == before


@pytest.mark.parametrize("attention", ATTENTION)
def test_gradients_are_those_of_the_cpu(dataset, attention):
    """In float64: in float32 a sum rounded across the kink of a ReLU moves gradients by a percent."""
    torch.manual_seed(0)
    here = build_model(attention, len(CLASSES)).double().to(memory_format=torch.channels_last)
    there = copy.deepcopy(here).to(GPU)
    x = torch.randn(12, 3, 64, 64, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    y = torch.arange(12) % 3
    with device.kernels("float32", True, GPU):
        cross_entropy(there(x.to(GPU)), y.to(GPU)).backward()
    cross_entropy(here(x), y).backward()
    for (name, a), b in zip(here.named_parameters(), there.parameters(), strict=True):
        difference = (a.grad - b.grad.cpu()).norm() / a.grad.norm().clamp(min=1e-6)
        assert difference < 1e-8, name


def test_training_on_the_cpu_and_on_the_gpu_ends_alike(dataset):
    """With the same images: the two draw their augmentation from generators of their own.

    Weights that differ by 1e-6 from the start move these losses by 3e-4 on the CPU, too.
    """
    changes = {"precision": "float32", "optimizer": "sgd", "learning_rate": 1e-4, "epochs": 2}
    changes["augmentation"] = STILL
    here, history_here = fitted(dataset, CPU, **changes)
    there, history_there = fitted(dataset, GPU, **changes)
    assert history_there["loss"].tolist() == pytest.approx(history_here["loss"].tolist(), rel=2e-3)
    settings = FOLD.model_copy(update=changes)
    known_here, known_there = samples(dataset, CPU), samples(dataset, GPU)
    index = torch.arange(len(known_here.labels))
    torch.testing.assert_close(
        loop.predict(here, known_here, index, settings),
        loop.predict(there, known_there, index.to(GPU), settings),
        rtol=0,
        atol=5e-2,
    )


def test_bfloat16_learns_what_float32_learns(dataset):
    losses = [fitted(dataset, precision=p, epochs=6)[1]["loss"].iloc[-1] for p in ("float32", "bfloat16")]
    assert losses[1] == pytest.approx(losses[0], rel=0.3, abs=0.02)


def test_predictions_are_float32_whatever_the_training_was(dataset):
    model, _ = fitted(dataset, precision="bfloat16")
    known = samples(dataset)
    index = torch.arange(len(known.labels), device=GPU)
    answers = [
        loop.predict(model, known, index, FOLD.model_copy(update={"precision": precision}))
        for precision in ("float32", "bfloat16", "tf32")
    ]
    assert torch.equal(answers[0], answers[1]) and torch.equal(answers[0], answers[2])


def test_out_of_memory_halves_the_micro_batch_and_makes_no_graph(dataset, monkeypatch):
    class Cramped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = build_model("dual", len(CLASSES))

        def forward(self, x):
            logits = self.net(x)
            if len(x) > 6:
                torch.empty(2**50, dtype=torch.uint8, device=x.device)
            return logits

    monkeypatch.setattr(loop, "_Graph", lambda *given: pytest.fail("a graph"))
    torch.manual_seed(0)  # which `fitted` does too late for a network that is given
    cramped, history = fitted(dataset, model=Cramped())
    small, _ = fitted(dataset, micro_batch=6)
    assert history["micro_batch"].tolist() == [6] * 4
    assert differing(cramped.net, small) == [], "as if it had been small from the start"


def test_a_step_of_the_whole_set_does_not_wait(dataset):
    known = samples(dataset)
    everything = torch.arange(len(known.labels), device=GPU)
    settings = FOLD.model_copy(update={"epochs": 6, "batch_size": 64})
    model = build_model("none", len(CLASSES)).to(GPU)
    criterion = build_loss(CROSS_ENTROPY, known.counts(everything)).to(GPU)
    loop.fit(model, known, everything, criterion, settings, seed=0)  # all that is loaded once
    step = loop._Step(
        model,
        criterion,
        loop.build_optimizer([{"params": [*model.parameters()]}], settings),
        settings,
        "float32",
        "mean",
    )
    with device.kernels("float32", True, GPU):
        for epoch in (1, 2):
            loop._epoch(step, known, everything, settings, 0, epoch).means(epoch)
        torch.cuda.set_sync_debug_mode("error")
        try:
            outcome = loop._epoch(step, known, everything, settings, 0, 3)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert outcome.means(3)[0] > 0


def test_a_lease_is_a_gpu_that_can_be_computed_on(dataset, tmp_path):
    with lease(1, tmp_path / "locks") as leased:
        assert leased == GPU
        train_fold(
            *dataset,
            "s0",
            tmp_path,
            variant=PLAIN.model_copy(update={"attention": "dual"}),
            loss=FOCAL,
            classes=CLASSES,
            settings=FOLD.model_copy(update={"precision": "auto"}),
            transfer=None,
            reduction=16,
            seed=0,
            initial_weights=None,
            on=leased,
        )
    record = json.loads((tmp_path / "fold.json").read_text())
    assert record["device"] == torch.cuda.get_device_name(GPU)
    bfloat16 = torch.cuda.get_device_capability(GPU) >= (8, 0)
    assert record["precision"] == ("bfloat16" if bfloat16 else "float32")
    assert {"torch", "cuda", "cudnn"} <= record["versions"].keys()
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 7


def test_an_interrupted_pretraining_ends_like_a_straight_one(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_SAVES", 0)
    options = {
        "variant": PLAIN.model_copy(update={"attention": "dual"}),
        "loss": FOCAL,
        "classes": CLASSES,
        "settings": PRETRAINING.model_copy(update={"epochs": 5, "precision": "auto"}),
        "reduction": 16,
        "split": "frame",
        "run": 0,
        "on": GPU,
    }
    pretrain(*dataset, tmp_path / "straight", **options)
    real, asked = loop.predict, []

    def broken_off(*given):
        asked.append(given)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(loop, "predict", broken_off)
    with pytest.raises(KeyboardInterrupt):
        pretrain(*dataset, tmp_path / "resumed", **options)
    assert (tmp_path / "resumed" / "checkpoint.safetensors").exists()
    pretrain(*dataset, tmp_path / "resumed", **options)
    straight, resumed = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("straight", "resumed")
    )
    assert straight == resumed
