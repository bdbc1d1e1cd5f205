"""From cache and manifest to tensors, splits and normalisation."""

from dataclasses import replace

import pytest
import torch
from training_samples import CLASSES, CPU, write_dataset

from mer_core.datasets.manifest import read_manifest, write_manifest
from mer_core.errors import UserError
from mer_core.training import data, splits


@pytest.fixture
def samples(tmp_path):
    return data.load(*write_dataset(tmp_path, subjects=5, frames=2), CLASSES, CPU)


def brightest_third(images):
    thirds = torch.stack([part.float().mean((1, 2, 3)) for part in images.tensor_split(3, dim=2)], 1)
    return thirds.argmax(1)


def test_images_and_labels_are_joined_by_sample_id(samples):
    assert samples.images.shape == (30, 16, 16, 3) and samples.images.dtype == torch.uint8
    assert torch.equal(brightest_third(samples.images), samples.labels)
    assert [CLASSES[k] for k in samples.labels] == samples.table["label"].tolist()
    assert not samples.absent


def test_absent_images_are_left_out_and_counted(tmp_path, caplog):
    gone = ["faces/s0/c1f0", "faces/s3/c2f0"]
    samples = data.load(*write_dataset(tmp_path, absent=gone), CLASSES, CPU)
    assert samples.absent == gone and len(samples.images) == len(samples.table) == 10
    assert not samples.table["sample_id"].isin(gone).any()
    assert torch.equal(brightest_third(samples.images), samples.labels)
    assert "2 of 12 included samples have no aligned image" in caplog.text


def test_what_the_manifest_excludes_is_not_used(tmp_path):
    cache, path = write_dataset(tmp_path)
    table = read_manifest(path)
    table.loc[table["subject"] == "s1", ["included", "reason"]] = [False, "on purpose"]
    write_manifest(table, path)
    samples = data.load(cache, path, CLASSES, CPU)
    assert len(samples.images) == 9 and "s1" not in set(samples.table["subject"])
    assert torch.equal(brightest_third(samples.images), samples.labels)
    train, test = splits.split_fold(samples, ["s1"])
    assert len(train) == 9 and len(test) == 0


def test_a_label_that_is_no_class_is_refused(tmp_path):
    with pytest.raises(UserError, match="label 'others', which is none of happiness, disgust"):
        data.load(*write_dataset(tmp_path), CLASSES[:2], CPU)


def test_nothing_left_is_refused(tmp_path):
    ids = [f"faces/s{s}/c{c}f0" for s in range(4) for c in range(3)]
    cache, _ = write_dataset(tmp_path, absent=ids[:11])
    table = read_manifest(tmp_path / "manifest.csv")
    write_manifest(table[table["sample_id"].isin(ids[:11])], tmp_path / "others.csv")
    with pytest.raises(UserError, match="holds no image of"):
        data.load(cache, tmp_path / "others.csv", CLASSES, CPU)


def test_dataset_statistics_are_of_the_training_part_alone(samples):
    train, test = splits.split_fold(samples, ["s0"])
    samples.images[test] = 255
    normalized = data.with_normalization(samples, "dataset", train)
    seen = normalized.normalize(normalized.pixels(train))
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_statistics_are_those_of_all_pixels_whatever_the_parts(samples, monkeypatch):
    monkeypatch.setattr(data, "SUMMED_AT_ONCE", 7)
    train = torch.tensor([4, 9, 2, 17, 25, 11, 0, 29, 28])
    normalized = data.with_normalization(samples, "dataset", train)
    pixels = samples.images[train].double().div(255).flatten(0, 2)
    torch.testing.assert_close(normalized.mean.flatten().double(), pixels.mean(0), atol=1e-7, rtol=0)
    expected = pixels.std(0, correction=0)
    torch.testing.assert_close(normalized.std.flatten().double(), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("shape", [(8, 8, 2), (5, 8, 8, 2)], ids=["maps", "clips"])
def test_statistics_of_maps_are_those_of_the_training_part_whatever_the_parts(samples, monkeypatch, shape):
    monkeypatch.setattr(data, "SUMMED_AT_ONCE", 4)
    train = torch.tensor([4, 9, 2, 17, 25, 11, 0, 29, 28])
    maps = (3 + torch.randn(len(samples.images), *shape, generator=torch.Generator().manual_seed(0))).half()
    normalized = data.with_normalization(replace(samples, images=maps), "dataset", train)
    seen = maps[train].double().flatten(0, -2)
    assert normalized.edge == 8
    assert normalized.normalize(normalized.pixels(train)).shape == (9, *shape[:-3], 2, 8, 8)
    torch.testing.assert_close(normalized.mean.flatten().double(), seen.mean(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        normalized.std.flatten().double(), seen.std(0, correction=0), atol=1e-6, rtol=0
    )


def test_imagenet_statistics_and_none(samples):
    one = torch.tensor([3])
    pixels = samples.images[3].permute(2, 0, 1) / 255
    plain = data.with_normalization(samples, "none", one)
    torch.testing.assert_close(plain.normalize(plain.pixels(one))[0], pixels)
    usual = data.with_normalization(samples, "imagenet", one)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (pixels - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(usual.normalize(usual.pixels(one))[0], expected)


@pytest.mark.parametrize("kind", ["imagenet", "dataset", "none"])
def test_gray_becomes_three_channels(tmp_path, kind):
    samples = data.load(*write_dataset(tmp_path, channels=1), CLASSES, CPU)
    everything = torch.arange(12)
    samples = data.with_normalization(samples, kind, everything)
    inputs = samples.normalize(samples.pixels(everything))
    assert inputs.shape == (12, 3, 16, 16)
    if kind != "imagenet":
        assert torch.equal(inputs[:, 0], inputs[:, 1]) and torch.equal(inputs[:, 0], inputs[:, 2])


def test_a_constant_image_is_normalised_to_numbers(samples):
    samples.images.fill_(7)
    constant = data.with_normalization(samples, "dataset", torch.arange(30))
    assert constant.normalize(constant.pixels(torch.arange(30))).isfinite().all()


def test_missing_and_single_classes_are_said(samples, caplog):
    rows = samples.table
    keep = torch.tensor([*rows.index[rows["label"] == "others"], rows.index[rows["label"] == "disgust"][0]])
    data.tell_missing_classes(samples, keep)
    assert "no training sample of class happiness" in caplog.text
    assert "a single training sample of class disgust" in caplog.text
