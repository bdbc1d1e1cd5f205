"""Features of networks: what the classifier gets, of nothing but the sample and the weights."""

import numpy as np
import pytest
import torch
from training_samples import CLASSES, PLAIN, write_dataset

from mer_core.datasets.manifest import read_manifest, write_manifest
from mer_core.faces.cache import read_cache
from mer_core.models import build_model
from mer_core.models.weights import save_weights
from mer_core.training.data import IMAGENET
from mer_core.training.embedding import embed

OWN = {"variant": PLAIN, "reduction": 16, "normalization": "imagenet"}
PACKAGED = OWN | {"variant": None, "weights": None}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    save_weights(build_model("none", 7), tmp_path / "weights.safetensors")  # of a source of seven classes
    return tmp_path / "weights.safetensors"


def test_a_sample_is_described_by_what_reaches_the_classifier(tmp_path, weights):
    dataset = write_dataset(tmp_path)
    names, values, _ = embed(*dataset, CLASSES, **OWN, weights=weights)
    torch.manual_seed(3)
    model, seen = build_model("none", 7).eval(), []
    model.fc.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    aligned = read_cache(dataset[0])
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in IMAGENET)
    for name, value in zip(names, values, strict=True):
        image = aligned.images[aligned.sample_id.index(name)]
        model((torch.from_numpy(image).movedim(-1, 0)[None] / 255 - mean) / std)
        assert seen[-1][0].detach().numpy() == pytest.approx(value, abs=1e-5)
    assert values.shape == (12, 512) and values.dtype == np.float32


@pytest.mark.parametrize("packaged", [True, False])
def test_neither_labels_nor_other_samples_matter(tmp_path, weights, packaged):
    options = PACKAGED if packaged else OWN | {"weights": weights}
    cache, manifest = write_dataset(tmp_path, subjects=2)
    names, values, _ = embed(cache, manifest, CLASSES, **options)
    table = read_manifest(manifest)
    kept = table["subject"] == "s1"
    write_manifest(table[kept].assign(label=CLASSES[0]).reset_index(drop=True), manifest)
    few, alone, _ = embed(cache, manifest, CLASSES, **options)
    assert few == [name for name in names if "/s1/" in name]
    assert alone == pytest.approx(values[[names.index(name) for name in few]], abs=1e-5)


def test_other_weights_and_other_images_are_told(tmp_path, weights):
    (tmp_path / "gray").mkdir()
    dataset, gray = write_dataset(tmp_path), write_dataset(tmp_path / "gray", channels=1)
    made_of = {embed(*dataset, CLASSES, **OWN, weights=weights)[2][0]}
    made_of.add(embed(*gray, CLASSES, **OWN, weights=weights)[2][0])
    made_of.add(embed(*dataset, CLASSES, **OWN, weights=weights, code="changed")[2][0])
    torch.manual_seed(4)
    save_weights(build_model("none", 7), weights)
    made_of.add(embed(*dataset, CLASSES, **OWN, weights=weights)[2][0])
    assert len(made_of) == 4
    assert embed(*dataset, CLASSES, **PACKAGED)[1].shape == (12, 1280)
