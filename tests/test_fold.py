"""One fold, from cache and manifest to its three files."""

import itertools
import json
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from training_samples import (
    CLASSES,
    CPU,
    CROSS_ENTROPY,
    FOCAL,
    FOLD,
    PLAIN,
    STILL,
    TRANSFER,
    full_disk,
    write_dataset,
)

from mer_core.config.models import Loss
from mer_core.datasets.folds import deal
from mer_core.datasets.manifest import read_manifest, write_manifest
from mer_core.errors import UserError
from mer_core.faces import cache as caches
from mer_core.models import build_model
from mer_core.models.weights import load_weights, save_weights
from mer_core.training import loop
from mer_core.training.device import SMALLEST_BFLOAT16
from mer_core.training.fold import fold_seed, probabilities, train_fold, transfer_groups

ONE_EPOCH = FOLD.model_copy(update={"epochs": 1})


def run(folder, dataset, subject="s1", settings=ONE_EPOCH, **changes):
    options = {
        "variant": PLAIN,
        "loss": CROSS_ENTROPY,
        "classes": CLASSES,
        "transfer": None,
        "reduction": 16,
        "seed": 0,
        "initial_weights": None,
        "on": CPU,
    } | changes
    train_fold(*dataset, subject, folder, settings=settings, **options)
    predictions = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    return predictions, json.loads((folder / "fold.json").read_text())


def rewrite(dataset, change):
    """Change a dataset's manifest in place."""
    table = read_manifest(dataset[1])
    write_manifest(change(table), dataset[1])
    return dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"))


def test_a_fold_writes_its_three_files(dataset, tmp_path):
    predictions, fold = run(tmp_path, dataset, settings=FOLD, code="abc")
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.csv", "history.csv", "fold.json"}
    assert list(predictions.columns) == [
        "sample_id",
        "subject",
        "label",
        "predicted",
        *(f"p_{c}" for c in CLASSES),
    ]
    assert predictions["sample_id"].tolist() == [f"faces/s1/c{c}f0" for c in range(3)]
    truth = read_manifest(dataset[1]).set_index("sample_id")["label"]
    assert predictions["label"].tolist() == truth[predictions["sample_id"]].tolist()
    p = predictions[[f"p_{c}" for c in CLASSES]].to_numpy()
    np.testing.assert_allclose(p.sum(1), 1)
    assert predictions["predicted"].tolist() == [CLASSES[k] for k in p.argmax(1)]
    history = pd.read_csv(tmp_path / "history.csv")
    assert tuple(history.columns) == loop.HISTORY
    assert set(history["micro_batch"]) == {8} and fold["micro_batch"] == "whole"
    assert history["epoch"].tolist() == [1, 2]
    assert fold["loss"] == history["loss"].iloc[-1] and fold["epochs"] == 2
    assert (fold["variant"], fold["seed"], fold["subject"]) == ("plain", 0, "s1")
    assert (fold["n_train"], fold["n_test"], fold["n_absent"]) == (9, 3, 0)
    assert fold["n_train_per_class"] == {"happiness": 3, "disgust": 3, "others": 3}
    assert fold["parameters"] == 11_179_077 - 512 * 2 - 2 and fold["multiply_adds"] > 1_000_000
    assert set(fold["seconds"]) == {"load", "train", "predict", "write"}
    assert fold["digests"]["code"] == "abc" and fold["digests"]["initial_weights"] is None


def test_a_group_is_left_out_together(dataset, tmp_path):
    predictions, fold = run(tmp_path, dataset, "group1", groups=2)
    manifest = read_manifest(dataset[1])
    assert fold["subject"] == "group1" and fold["held_out"] == deal(manifest, 2)["group1"] == ["s0", "s2"]
    assert (
        predictions["sample_id"].tolist() == manifest[manifest.subject.isin(["s0", "s2"])].sample_id.tolist()
    )
    assert fold["n_train"] == 6


def test_it_learns_what_other_people_show(tmp_path):
    settings = FOLD.model_copy(update={"epochs": 20, "augmentation": STILL, "batch_size": 15})
    predictions, _ = run(tmp_path, write_dataset(tmp_path, subjects=6), "s0", settings)
    assert predictions["predicted"].tolist() == predictions["label"].tolist()


def test_same_seed_same_predictions_byte_for_byte(dataset, tmp_path):
    folds = [run(tmp_path / name, dataset, seed=seed)[1] for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    a, b, c = ((tmp_path / name / "predictions.csv").read_bytes() for name in "abc")
    assert a == b != c
    assert folds[0]["digests"] == folds[2]["digests"], "a seed or a subject is no other configuration"


def test_what_is_not_the_same_has_another_digest(dataset, tmp_path):
    _, fold = run(tmp_path / "a", dataset)
    _, other = run(tmp_path / "b", dataset, loss=FOCAL)
    assert fold["digests"]["configuration"] != other["digests"]["configuration"]
    assert fold["digests"]["cache"] == other["digests"]["cache"]


def test_a_clock_that_goes_back_makes_no_negative_duration(dataset, tmp_path, monkeypatch):
    clock = itertools.count(2e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    _, fold = run(tmp_path, dataset)
    assert min(fold["seconds"].values()) >= 0
    assert pd.read_csv(tmp_path / "history.csv")["images_per_second"].min() > 0


@pytest.mark.parametrize(("selection", "maps"), [("last", False), ("inner", False), ("last", True)])
def test_the_held_out_subject_has_no_influence_on_the_weights(tmp_path, selection, maps):
    """Neither by its pictures nor by its labels: on photographs, and on the maps of an input."""
    dataset = write_dataset(tmp_path)
    if maps:
        faces = caches.read_cache(dataset[0])
        caches.write_cache(dataset[0], replace(faces, images=(faces.images / 50).astype(np.float16)))
    settings = FOLD.model_copy(
        update={
            "keep_weights": True,
            "normalization": "dataset",
            "selection": selection,
            "best_on_test": True,
        }
    )
    balanced = Loss(kind="focal", form="softmax", alpha="balanced")
    before, _ = run(tmp_path / "before", dataset, settings=settings, loss=balanced)
    faces = caches.read_cache(dataset[0])
    faces.images[[sample.startswith("faces/s1/") for sample in faces.sample_id]] = 255
    caches.write_cache(dataset[0], faces)
    rewrite(
        dataset, lambda table: table.assign(label=table["label"].mask(table["subject"] == "s1", "others"))
    )
    after, _ = run(tmp_path / "after", dataset, settings=settings, loss=balanced)
    assert not before["p_others"].equals(after["p_others"]) and set(after["label"]) == {"others"}
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("before", "after")]
    assert weights[0] == weights[1]


def test_the_held_out_subject_is_not_trained_on(dataset, tmp_path, monkeypatch):
    seen = {}

    def fit(model, samples, train, *args, **options):
        seen.update(train=set(samples.table["subject"].iloc[train.numpy()]))
        return pd.DataFrame([{"epoch": 1, "loss": 0.0, "accuracy": 0.0, "micro_batch": 8}])

    monkeypatch.setattr(loop, "fit", fit)
    predictions, _ = run(tmp_path, dataset, subject="s2")
    assert seen["train"] == {"s0", "s1", "s3"} and set(predictions["subject"]) == {"s2"}


def test_divergence_leaves_nothing(dataset, tmp_path):
    settings = FOLD.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd", "keep_weights": True})
    with pytest.raises(UserError, match=r"the loss is .* in epoch \d, batch \d of \d"):
        run(tmp_path / "fold", dataset, settings=settings)
    assert not (tmp_path / "fold").exists()


def test_a_full_disk_is_said_and_leaves_nothing(dataset, tmp_path):
    with full_disk(100), pytest.raises(UserError, match="cannot be written"):
        run(tmp_path, dataset)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("broken", ["predictions.csv", "history.csv", "fold.json"])
def test_all_three_or_nothing(dataset, tmp_path, broken, monkeypatch):
    (tmp_path / broken).mkdir()  # where a file cannot be put
    (tmp_path / broken / "in the way").touch()
    with pytest.raises((OSError, UserError)):
        run(tmp_path, dataset)
    assert not (tmp_path / "predictions.csv").is_file(), "the last to appear"
    assert not [*tmp_path.glob(".*")]


def test_a_subject_without_usable_samples_has_empty_predictions(tmp_path, caplog):
    gone = [f"faces/s1/c{c}f0" for c in range(3)]
    settings = FOLD.model_copy(update={"best_on_test": True, "keep_weights": True})
    predictions, fold = run(tmp_path, write_dataset(tmp_path, absent=gone), settings=settings)
    assert predictions.empty and list(predictions.columns)[:4] == [
        "sample_id",
        "subject",
        "label",
        "predicted",
    ]
    assert (fold["n_test"], fold["n_absent"], fold["epochs"]) == (0, 3, 0)
    assert "upper_bound_best_on_test" not in fold
    assert "no sample of s1 can be used" in caplog.text
    assert (tmp_path / "history.csv").read_text().startswith("epoch,loss")


def test_an_unknown_subject_is_refused(dataset, tmp_path):
    with pytest.raises(UserError, match="subject 's7' is not in the manifest"):
        run(tmp_path, dataset, subject="s7")


def test_one_clip_and_a_class_nobody_else_shows(tmp_path, caplog):
    def change(table):
        table = table[(table["subject"] != "s1") | (table["clip"] == "c0")]
        table = table[(table["subject"] == "s1") | (table["label"] != "disgust")]
        lonely = table.index[table["label"] == "others"][1:]
        return table.drop([i for i in lonely if table.loc[i, "subject"] != "s1"])

    dataset = rewrite(write_dataset(tmp_path), change)
    for name, loss in {
        "softmax": Loss(kind="focal", form="softmax", alpha="balanced"),
        "sigmoid": Loss(kind="focal", form="sigmoid", alpha="balanced"),
    }.items():
        predictions, fold = run(tmp_path / name, dataset, loss=loss)
        assert len(predictions) == 1 and math.isfinite(fold["loss"])
        assert np.isfinite(predictions[[f"p_{c}" for c in CLASSES]].to_numpy()).all()
        assert fold["n_train_per_class"] == {"happiness": 3, "disgust": 0, "others": 1}
    assert "no training sample of class disgust" in caplog.text
    assert "a single training sample of class others" in caplog.text


def test_best_on_test_goes_into_a_column_of_its_own(dataset, tmp_path):
    plain, _ = run(tmp_path / "plain", dataset, settings=FOLD)
    both, fold = run(tmp_path / "both", dataset, settings=FOLD.model_copy(update={"best_on_test": True}))
    pd.testing.assert_frame_equal(plain, both.drop(columns="predicted_best_on_test"))
    upper = (both["predicted_best_on_test"] == both["label"]).mean()
    assert (
        upper == fold["upper_bound_best_on_test"]["accuracy"] >= (both["predicted"] == both["label"]).mean()
    )
    columns = pd.read_csv(tmp_path / "both" / "history.csv").columns
    assert list(columns) == list(pd.read_csv(tmp_path / "plain" / "history.csv").columns)


def test_the_upper_bound_is_the_best_epoch_of_equals_the_first(dataset, tmp_path, monkeypatch):
    hits = iter([1, 3, 3, 2, 2])  # after each of four epochs, and of the result

    def predict(model, samples, index, settings):
        right = torch.arange(len(index)) < next(hits)
        answers = torch.where(right, samples.labels[index], (samples.labels[index] + 1) % 3)
        return torch.nn.functional.one_hot(answers, 3).double()

    monkeypatch.setattr(loop, "predict", predict)
    settings = FOLD.model_copy(update={"best_on_test": True, "epochs": 4})
    predictions, fold = run(tmp_path, dataset, settings=settings)
    assert fold["upper_bound_best_on_test"] == {"epoch": 2, "accuracy": 1.0}
    assert (predictions["predicted_best_on_test"] == predictions["label"]).all()
    assert (predictions["predicted"] == predictions["label"]).sum() == 2


def test_inner_selection_takes_the_best_epoch_and_trains_anew_on_everyone(dataset, tmp_path, monkeypatch):
    calls, real = [], loop.fit
    accuracy = iter([0.1, 0.9, 0.9])

    def fit(model, samples, train, *args, **options):
        calls.append((len(train), options.get("epochs")))
        return real(model, samples, train, *args, **options)

    def predict(model, samples, index, settings):
        subjects = set(samples.table["subject"].iloc[index.numpy()])
        logits = torch.zeros(len(index), 3, dtype=torch.float64)
        if subjects != {"s1"}:
            right = torch.arange(len(index)) < next(accuracy) * len(index)
            logits[
                torch.arange(len(index)),
                torch.where(right, samples.labels[index], (samples.labels[index] + 1) % 3),
            ] = 1
        return logits

    monkeypatch.setattr(loop, "fit", fit)
    monkeypatch.setattr(loop, "predict", predict)
    settings = FOLD.model_copy(update={"selection": "inner", "epochs": 3})
    _, fold = run(tmp_path, dataset, settings=settings)
    assert calls == [(6, None), (9, 2)]
    assert fold["epochs"] == 2 and len(fold["inner_accuracy"]) == 3


def test_transfer_takes_all_but_the_classifier(dataset, tmp_path):
    torch.manual_seed(9)
    source = build_model("none", 7)
    save_weights(source, tmp_path / "source.safetensors")
    settings = ONE_EPOCH.model_copy(update={"keep_weights": True, "learning_rate": 1e-3, "optimizer": "sgd"})
    transfer = TRANSFER.model_copy(update={"freeze_stages": 2, "backbone_lr_factor": 1e-9})
    _, fold = run(
        tmp_path,
        dataset,
        settings=settings,
        transfer=transfer,
        initial_weights=tmp_path / "source.safetensors",
    )
    trained = build_model("none", 3)
    load_weights(trained, tmp_path / "weights.safetensors")
    before, after = source.state_dict(), trained.state_dict()
    for name in before:
        if name.startswith(("conv1", "bn1", "layer1", "layer2")):
            assert torch.equal(before[name], after[name]), f"{name} is frozen, statistics included"
    torch.testing.assert_close(
        before["layer3.0.conv1.weight"], after["layer3.0.conv1.weight"], atol=1e-6, rtol=0
    )
    assert not torch.equal(before["layer3.0.bn1.running_mean"], after["layer3.0.bn1.running_mean"])
    digest = (tmp_path / "source.safetensors.sha256").read_text().split()[0]
    assert fold["digests"]["initial_weights"] == digest


def test_what_a_network_brings_along_is_transferred_too(dataset, tmp_path):
    settings = ONE_EPOCH.model_copy(update={"keep_weights": True, "learning_rate": 1e-2, "optimizer": "sgd"})
    states = []
    for factor in (1e-9, 1.0):
        transfer = TRANSFER.model_copy(update={"backbone_lr_factor": factor})
        run(tmp_path / str(factor), dataset, settings=settings, transfer=transfer)
        model = build_model("none", 3)
        load_weights(model, tmp_path / str(factor) / "weights.safetensors")
        states.append(dict(model.named_parameters()))
    torch.manual_seed(fold_seed(0, "s1"))
    begun = dict(build_model("none", 3).named_parameters())
    slow, fast = (
        {name for name in begun if not torch.allclose(begun[name], one[name], atol=1e-7)} for one in states
    )
    assert slow == {"fc.weight", "fc.bias"} < fast


@pytest.mark.parametrize(
    ("stages", "frozen"),
    [(0, ()), (1, ("conv1", "bn1", "layer1")), (4, ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"))],
)
def test_frozen_stages(stages, frozen):
    model = build_model("dual", 3)
    groups = transfer_groups(
        model, TRANSFER.model_copy(update={"freeze_stages": stages, "backbone_lr_factor": 0.1})
    )
    trained = {id(p): group["scale"] for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        stage = name.split(".")[0]
        if stage in frozen:
            assert id(parameter) not in trained and not parameter.requires_grad
        else:
            assert trained[id(parameter)] == (1.0 if stage == "fc" else 0.1)


def test_attention_that_the_weights_lack_is_trained_in_frozen_stages_too(dataset, tmp_path):
    save_weights(build_model("none", 7), tmp_path / "plain.safetensors")
    transfer = TRANSFER.model_copy(update={"freeze_stages": 4, "backbone_lr_factor": 0.1})
    model = build_model("dual", 3)
    new = load_weights(model, tmp_path / "plain.safetensors", skip_classifier=True)
    [group] = transfer_groups(model, transfer, new)
    trained = {id(parameter) for parameter in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in trained}
    assert group["scale"] == 1.0 and names == new | {"fc.weight", "fc.bias"} and len(new) == 40
    assert all(parameter.requires_grad == (name in names) for name, parameter in model.named_parameters())
    save_weights(model, tmp_path / "dual.safetensors")
    assert not load_weights(build_model("dual", 3), tmp_path / "dual.safetensors")


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, FOCAL])
def test_probabilities_sum_to_one_and_keep_the_order_for_any_logits(loss):
    logits = torch.tensor([[0.0, 1.0, 2.0], [-1e4, -2e4, -3e4], [50.0, -900.0, 49.0]], dtype=torch.float64)
    p = probabilities(logits, loss)
    assert p.isfinite().all() and torch.equal(p.argmax(1), logits.argmax(1))
    torch.testing.assert_close(p.sum(1), torch.ones(3, dtype=torch.float64))
    expected = logits[0].sigmoid() / logits[0].sigmoid().sum() if loss is FOCAL else logits[0].softmax(0)
    torch.testing.assert_close(p[0], expected)


def test_gray_faces_and_every_attention(tmp_path):
    dataset = write_dataset(tmp_path, channels=1)
    for attention in ("dual", "cbam"):
        variant = PLAIN.model_copy(update={"attention": attention})
        predictions, _ = run(tmp_path / attention, dataset, variant=variant, loss=FOCAL)
        assert len(predictions) == 3


def test_a_damaged_cache_is_refused_and_leaves_nothing(tmp_path):
    dataset = write_dataset(tmp_path)
    data = bytearray(dataset[0].read_bytes())
    faces = caches.read_cache(dataset[0]).images.tobytes()
    data[data.find(faces) + 100] ^= 1
    dataset[0].write_bytes(data)
    with pytest.raises(UserError, match="checksum"):
        run(tmp_path / "fold", dataset)
    assert not (tmp_path / "fold").exists()


def test_folds_draw_their_own_and_variants_the_same(dataset, tmp_path, monkeypatch):
    drawn = {}

    def fit(model, samples, train, criterion, settings, seed, **options):
        drawn[key] = seed, model.conv1.weight.clone()
        return pd.DataFrame([{"epoch": 1, "loss": 0.0, "accuracy": 0.0, "micro_batch": 8}])

    monkeypatch.setattr(loop, "fit", fit)
    for key in [("plain", "s1", 0), ("dual", "s1", 0), ("plain", "s2", 0), ("plain", "s1", 1)]:
        name, subject, seed = key
        variant = PLAIN.model_copy(update={"name": name, "attention": "dual" if name == "dual" else "none"})
        run(tmp_path / "-".join(map(str, key)), dataset, subject=subject, seed=seed, variant=variant)
    first, other_variant, *others = drawn.values()
    assert first[0] == other_variant[0] and torch.equal(first[1], other_variant[1])
    assert len({first[0], *(seed for seed, _ in others)}) == 3


def test_bfloat16_repeats_from_the_size_on_at_which_it_is_allowed():
    """What the memory held before must not matter; below, oneDNN's gradients take it in."""

    def gradients(junk):
        torch.full((2_000_000,), float(junk))
        torch.manual_seed(0)
        model = build_model("none", 3)
        images = torch.randn(4, 3, SMALLEST_BFLOAT16, SMALLEST_BFLOAT16)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images)
        logits.float().logsumexp(1).sum().backward()
        return [parameter.grad for parameter in model.parameters()]

    first = gradients(0)
    for junk in (1e3, -1e3, float("nan")):
        assert all(torch.equal(a, b) for a, b in zip(first, gradients(junk), strict=True))
