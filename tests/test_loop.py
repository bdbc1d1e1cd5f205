"""The training loop on tiny networks."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from training_samples import FOLD, STILL, full_disk

from mer_core.config.training import FoldTraining
from mer_core.errors import UserError
from mer_core.training import checkpoint as checkpoints
from mer_core.training.checkpoint import Checkpoint
from mer_core.training.data import Samples
from mer_core.training.loop import fit, learning_rate, parts, passed_at_once, predict, recompute_statistics

SETTINGS = FOLD.model_copy(
    update={
        "augmentation": STILL,
        "recompute_statistics": False,
        "normalization": "none",
        "schedule": "constant",
    }
)


def settings(**changes):
    return SETTINGS.model_copy(update=changes)


def samples(n=8, classes=3, size=8):
    g = torch.Generator().manual_seed(5)
    return Samples(
        images=torch.randint(0, 256, (n, size, size, 3), generator=g, dtype=torch.uint8),
        labels=torch.arange(n) % classes,
        table=pd.DataFrame({"sample_id": [f"d/{i}" for i in range(n)]}),
        classes=[f"class{k}" for k in range(classes)],
        absent=[],
        subjects=set(),
        digests={},
        mean=torch.zeros(3, 1, 1),
        std=torch.ones(3, 1, 1),
    )


class Net(nn.Module):
    """A small network with or without batch norm."""

    def __init__(self, classes=3, norm=True):
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.bn = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.fc = nn.Linear(16 * 4, classes)

    def forward(self, x):
        return self.fc(self.bn(self.conv2(self.conv1(x).relu())).relu().flatten(1))


def run(model, data=None, criterion=cross_entropy, seed=0, **options):
    data = data or samples()
    keys = FoldTraining.model_fields.keys() - {"average_epochs"}  # which fit takes by itself
    changes = {key: options.pop(key) for key in list(options) if key in keys}
    history = fit(
        model, data, torch.arange(len(data.labels)), criterion, settings(**changes), seed, **options
    )
    return model, history


def same(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_it_overfits_eight_samples():
    model, history = run(Net(), epochs=60, learning_rate=0.01)
    assert history["accuracy"].iloc[-1] == 1 and history["loss"].iloc[-1] < 0.05
    assert list(history.columns) == [
        "epoch",
        "loss",
        "accuracy",
        "images_per_second",
        "learning_rate",
        "micro_batch",
    ]
    data = samples()
    logits = predict(model, data, torch.arange(8), SETTINGS)
    assert logits.dtype == torch.float64 and torch.equal(logits.argmax(1), data.labels)


def test_same_seed_same_weights_and_another_seed_others():
    augmented = FOLD.augmentation
    a, b, c = (run(Net(), seed=seed, batch_size=3, augmentation=augmented)[0] for seed in (1, 1, 2))
    assert same(a, b) and not same(a, c)


def test_order_and_augmentation_do_not_depend_on_the_model():
    seen = {}

    class Watching(Net):
        def forward(self, x):
            seen.setdefault(self.key, []).append(x.clone())
            return super().forward(x)

    for norm in (True, False):
        model = Watching(norm=norm)
        model.key = norm
        torch.rand(int(norm) + 1)  # what building another model draws
        run(model, batch_size=3, augmentation=FOLD.augmentation)
    assert all(torch.equal(a, b) for a, b in zip(seen[True], seen[False], strict=True))
    assert not torch.equal(seen[True][0], seen[True][3]), "a new order and new changes in the second epoch"


@given(n=st.integers(2, 300), size=st.integers(1, 300))
def test_parts_are_equal_complete_and_never_one_alone(n, size):
    lengths = [len(part) for part in torch.arange(n).tensor_split(parts(n, size))]
    assert sum(lengths) == n and max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 2 and max(lengths) <= max(size, 3)


def test_a_remainder_of_one_image_does_not_reach_batch_norm():
    sizes = []

    class Watching(Net):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    run(Watching(), samples(9), batch_size=8)
    assert sizes == [5, 4] * 2
    sizes.clear()
    run(Watching(), samples(9), batch_size=8, micro_batch=1, epochs=1)
    assert sizes == [3, 2, 2, 2]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_micro_batches_of_unequal_size_make_the_whole_batchs_step(reduction, optimizer):
    def criterion(logits, target):
        return cross_entropy(logits, target, reduction=reduction)

    options = {"optimizer": optimizer, "batch_size": 7, "learning_rate": 0.01, "reduction": reduction}
    whole, history = run(Net(norm=False), samples(7), criterion, **options)
    parts, micro_history = run(Net(norm=False), samples(7), criterion, micro_batch=3, **options)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(history["loss"].iloc[0], micro_history["loss"].iloc[0], atol=1e-5, rtol=1e-5)


def test_the_loss_in_the_history_is_the_mean_over_samples_for_either_reduction():
    model, data = Net(norm=False), samples(7)
    expected = cross_entropy(model(data.pixels(torch.arange(7))), data.labels).item()
    for reduction in ("mean", "sum"):
        _, history = run(
            Net(norm=False),
            data,
            lambda x, y, how=reduction: cross_entropy(x, y, reduction=how),
            reduction=reduction,
            batch_size=7,
            epochs=1,
        )
        assert history["loss"].iloc[0] == pytest.approx(expected, rel=1e-5)


class Cramped(Net):
    """A device with room for a few images only; it notices at the end of the pass."""

    def forward(self, x):
        logits = super().forward(x)
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return logits


def test_out_of_memory_halves_the_micro_batch_and_repeats_the_step(caplog):
    caplog.set_level(logging.INFO)
    cramped, free = Cramped(), Net()
    cramped.room = 2
    options = {"augmentation": FOLD.augmentation, "batch_size": 8}
    _, history = run(cramped, **options)
    _, whole = run(Net(), **options)
    run(free, micro_batch=2, **options)
    assert same(cramped, free), "as if it had been small from the start, running averages included"
    assert [passed_at_once(rows, settings(**options)) for rows in (history, whole)] == [2, "whole"]
    told = [record.message for record in caplog.records if "out of memory" in record.message]
    assert told == [
        "out of memory with 8 images at once: going on with 4",
        "out of memory with 4 images at once: going on with 2",
    ]


@pytest.mark.parametrize(("micro_batch", "images"), [("auto", 2), (4, 4)])
def test_no_room_at_all_is_said(micro_batch, images):
    model = Cramped()
    model.room = 0
    with pytest.raises(UserError, match=f"out of memory with {images} images at once"):
        run(model, micro_batch=micro_batch)


def test_prediction_goes_on_with_fewer_images_at_once(caplog):
    model, data = Cramped(), samples(n=40)
    model.room = 5
    logits = predict(model, data, torch.arange(40), SETTINGS)
    assert "out of memory with 10 images at once: going on with 5" in caplog.text
    model.room = 40
    torch.testing.assert_close(predict(model, data, torch.arange(40), SETTINGS), logits)
    model.room = 0
    with pytest.raises(UserError, match="out of memory with 1 images at once"):
        predict(model, data, torch.arange(40), SETTINGS)


def test_other_errors_pass_through():
    class Broken(Net):
        def forward(self, x):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(Broken())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_names_epoch_and_batch(value):
    steps = iter(range(100))

    def criterion(logits, target):
        return cross_entropy(logits, target) * (value if next(steps) == 5 else 1)

    with pytest.raises(UserError, match=r"the loss is (nan|inf) in epoch 2, batch 2 of 4"):
        run(Net(), criterion=criterion, batch_size=2)


def test_predictions_that_are_not_finite_stop():
    model = Net()
    model.fc.bias.data.fill_(math.nan)
    with pytest.raises(UserError, match="not finite"):
        predict(model, samples(), torch.arange(8), SETTINGS)


def test_one_sample_is_refused():
    with pytest.raises(UserError, match="at least two images"):
        run(Net(), samples(1))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_resumed_training_ends_like_a_straight_one(optimizer, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0)
    options = {
        "epochs": 5,
        "batch_size": 3,
        "optimizer": optimizer,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "augmentation": FOLD.augmentation,
    }
    straight, history = run(Net(), after_epoch=lambda epoch, model: {"square": epoch**2 / 7}, **options)

    def stop_in_the_fourth(epoch, model):
        if epoch == 4:
            raise KeyboardInterrupt
        return {"square": epoch**2 / 7}

    kept = Checkpoint(tmp_path / "checkpoint.safetensors", "this one")
    with pytest.raises(KeyboardInterrupt):
        run(Net(), after_epoch=stop_in_the_fourth, checkpoint=kept, **options)
    other = Net()
    other.fc.weight.data.zero_()  # all that counts comes from the file
    epochs = []
    resumed, resumed_history = run(
        other,
        after_epoch=lambda epoch, model: epochs.append(epoch) or {"square": epoch**2 / 7},
        checkpoint=Checkpoint(kept.path, "this one"),
        **options,
    )
    assert epochs == [4, 5]
    assert same(straight, resumed)
    pd.testing.assert_frame_equal(
        history.drop(columns="images_per_second"), resumed_history.drop(columns="images_per_second")
    )


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_ignored(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0)
    path = tmp_path / "checkpoint.safetensors"
    run(Net(), epochs=1, checkpoint=Checkpoint(path, "other settings"))
    straight, _ = run(Net())
    anew, history = run(Net(), checkpoint=Checkpoint(path, "these settings"))
    assert same(straight, anew) and len(history) == 2
    assert "another training" in caplog.text
    path.write_bytes(path.read_bytes()[:1000])
    anew, history = run(Net(), checkpoint=Checkpoint(path, "these settings"))
    assert same(straight, anew) and len(history) == 2
    assert "cannot be read" in caplog.text


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here whose reading fails")
def test_a_checkpoint_that_the_disk_does_not_give_is_not_trained_over(tmp_path):
    (tmp_path / "checkpoint.safetensors").symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match="the file may be whole"):
        run(Net(), checkpoint=Checkpoint(tmp_path / "checkpoint.safetensors", "this"))
    assert (tmp_path / "checkpoint.safetensors").is_symlink()


def test_short_epochs_are_not_saved_each(tmp_path, monkeypatch):
    saves, real = [], checkpoints.publish
    monkeypatch.setattr(checkpoints, "publish", lambda path: saves.append(path) or real(path))
    run(Net(), epochs=5, checkpoint=Checkpoint(tmp_path / "checkpoint.safetensors", ""))
    assert len(saves) == 1


def test_a_full_disk_is_said_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_SAVES", 0)
    path = tmp_path / "checkpoint.safetensors"
    run(Net(), epochs=1, checkpoint=Checkpoint(path, "this"))
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(UserError, match="cannot be written"):
        run(Net(), checkpoint=Checkpoint(path, "this"))
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]


def test_statistics_are_those_of_the_training_images_under_the_last_weights():
    data, options = samples(9), {"batch_size": 9, "epochs": 3, "augmentation": FOLD.augmentation}
    lagging, _ = run(Net(), data, **options)
    model, _ = run(Net(), data, recompute_statistics=True, **options)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), lagging.parameters(), strict=True))
    with torch.no_grad():
        features = model.conv2(model.conv1(data.pixels(torch.arange(9))).relu())
    torch.testing.assert_close(model.bn.running_mean, features.mean((0, 2, 3)))
    torch.testing.assert_close(model.bn.running_var, features.var((0, 2, 3)))
    assert not torch.allclose(lagging.bn.running_mean, model.bn.running_mean, rtol=0.01)
    assert model.bn.momentum == 0.1 and not model.training


def test_statistics_are_of_mixed_batches_where_samples_stand_in_order_of_class():
    data, model = samples(64), Net()
    data.images[:32], data.images[32:] = 20, 200
    recompute_statistics(model, data, torch.arange(64), settings(), 16)
    with torch.no_grad():
        features = model.conv2(model.conv1(data.pixels(torch.arange(64))).relu())
        by_class = torch.stack([part.var((0, 2, 3)) for part in features.split(16)]).mean(0)
    all_together = features.var((0, 2, 3))
    assert (model.bn.running_var / all_together).mean() > 0.95 > 0.9 > (by_class / all_together).mean()


def test_statistics_are_recomputed_in_smaller_parts_where_memory_lacks():
    cramped, free = Cramped(), Net()
    cramped.room = 4
    recompute_statistics(cramped, samples(), torch.arange(8), settings(), 8)
    recompute_statistics(free, samples(), torch.arange(8), settings(), 4)
    assert same(cramped, free) and int(cramped.bn.num_batches_tracked) == 2


def test_statistics_are_current_at_every_look_where_epochs_are_chosen_from():
    def looking(**options):
        seen = []
        run(
            Net(),
            epochs=3,
            after_epoch=lambda epoch, model: seen.append(model.bn.running_mean.clone()) or {},
            recompute_statistics=True,
            **options,
        )
        return seen

    last, every = looking(), looking(current_statistics=True)
    for epoch, mean in enumerate(every, 1):
        alone, _ = run(Net(), epochs=epoch, recompute_statistics=True)
        assert torch.equal(alone.bn.running_mean, mean)
    assert torch.equal(last[2], every[2]) and not torch.allclose(last[1], every[1])


def test_statistics_are_recomputed_once_where_nobody_looks():
    def passes(**options):
        model, seen = Net(), []
        model.register_forward_hook(lambda *_: seen.append(1))
        run(model, epochs=3, recompute_statistics=True, **options)
        return len(seen)

    assert passes(current_statistics=True) == passes()


def test_frozen_batch_norm_keeps_weights_and_statistics():
    model = Net()
    model.bn.requires_grad_(False)
    before = {name: value.clone() for name, value in model.bn.state_dict().items()}
    run(model)
    assert all(torch.equal(before[name], value) for name, value in model.bn.state_dict().items())
    free, _ = run(Net())
    assert not torch.equal(free.bn.running_mean, before["running_mean"])


def test_groups_have_their_share_of_the_learning_rate():
    model, start = Net(), Net()
    groups = [
        {"params": [*model.conv1.parameters(), *model.conv2.parameters()], "scale": 0.0},
        {"params": [*model.fc.parameters()], "scale": 1.0},
    ]
    run(model, groups=groups)
    assert torch.equal(model.conv1.weight, start.conv1.weight)
    assert not torch.equal(model.fc.weight, start.fc.weight)


def test_the_cosine_goes_from_the_learning_rate_towards_zero():
    rates = [learning_rate(settings(schedule="cosine", epochs=4, learning_rate=2.0), e) for e in (1, 2, 3, 4)]
    assert rates == pytest.approx([2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5)])
    assert learning_rate(settings(learning_rate=2.0), 9) == 2.0


def test_the_warm_up_rises_in_equal_steps_and_leaves_the_rest_to_the_schedule():
    warm = settings(schedule="cosine", epochs=6, warmup_epochs=2, learning_rate=3.0)
    rest = settings(schedule="cosine", epochs=4, learning_rate=3.0)
    assert [learning_rate(warm, epoch) for epoch in (1, 2)] == pytest.approx([1, 2])
    assert [learning_rate(warm, epoch + 2) for epoch in (1, 2, 3, 4)] == pytest.approx(
        [learning_rate(rest, epoch) for epoch in (1, 2, 3, 4)]
    )


def test_the_average_is_that_of_the_last_epochs():
    seen = []

    def look(epoch, model):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {}

    run(Net(), epochs=4, after_epoch=look)
    averaged, _ = run(Net(), epochs=4, average_epochs=2)
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (seen[2][name] + seen[3][name]) / 2)


def test_the_average_takes_whole_numbers_where_torch_adds_many_tensors_at_once(monkeypatch):
    monkeypatch.setattr("torch.optim.swa_utils._get_foreach_kernels_supported_devices", lambda: ["cpu"])
    averaged, _ = run(Net(), epochs=4, average_epochs=3)
    assert averaged.bn.num_batches_tracked > 0


def test_the_mirrored_test_answers_alike_for_an_image_and_its_mirror():
    data = samples()
    mirror = replace(data, images=data.images.flip(2))
    model, everyone = Net(), torch.arange(8)
    both = [predict(model, side, everyone, settings(mirrored_test=True)) for side in (data, mirror)]
    one = [predict(model, side, everyone, settings()) for side in (data, mirror)]
    torch.testing.assert_close(both[0], (one[0] + one[1]) / 2)
    torch.testing.assert_close(both[0], both[1])
    assert not torch.allclose(one[0], one[1])


def test_stopping_early_keeps_the_schedule():
    _, whole = run(Net(), schedule="cosine")
    data = samples()
    short = fit(
        Net(), data, torch.arange(8), cross_entropy, settings(schedule="cosine", epochs=2), 0, epochs=1
    )
    assert short["learning_rate"].tolist() == whole["learning_rate"].tolist()[:1]


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_network_computes_in_the_precision_asked_for(precision, dtype, caplog):
    caplog.set_level(logging.INFO)
    seen = []

    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    model.register_forward_hook(lambda module, inputs, logits: seen.append(logits.dtype))
    data = samples(size=32)

    def criterion(logits, target):
        assert logits.dtype == torch.float32
        return cross_entropy(logits, target)

    run(model, data, criterion=criterion, precision=precision)
    assert set(seen) == {dtype}
    seen.clear()
    predict(model, data, torch.arange(8), settings(precision=precision))
    assert set(seen) == {torch.float32}, "whatever the training was"
    assert f"computing in {precision}" in caplog.text


@pytest.mark.parametrize(("size", "layout"), [(48, torch.contiguous_format), (224, torch.channels_last)])
def test_images_and_weights_lie_in_memory_as_the_cpu_likes_their_size(size, layout):
    data = samples(n=2, size=size)
    assert data.normalize(data.pixels(torch.arange(2))).is_contiguous(memory_format=layout)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    run(model, data, epochs=1)
    assert model[0].weight.is_contiguous(memory_format=layout)


def test_prediction_leaves_the_model_alone():
    data, model = samples(), Net()
    run(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    all_at_once = predict(model, data, torch.arange(8), SETTINGS)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    single = torch.cat([predict(model, data, torch.tensor([i]), SETTINGS) for i in range(8)])
    torch.testing.assert_close(all_at_once, single, atol=1e-5, rtol=1e-4)


def test_the_log_has_one_line_per_epoch(caplog):
    caplog.set_level(logging.INFO)
    run(Net(), epochs=3)
    lines = [record.message for record in caplog.records if record.message.startswith("epoch")]
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"epoch {number}/3: loss ")
        assert all(part in line for part in ("accuracy", "images/s", "s left"))
