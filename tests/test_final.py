"""A final model is trained as its folds are, on everybody, and opens as what it is."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from training_samples import CLASSES, CPU, CROSS_ENTROPY, FOLD, write_dataset

from mer_core.config.alignment import Alignment
from mer_core.config.models import Variant
from mer_core.config.section import Section
from mer_core.csvs import write_csv
from mer_core.faces.alignment import align_image
from mer_core.inference import final, load_model
from mer_core.inference.bundle import ClassScore
from mer_core.inference.card import Part, write_card
from mer_core.inference.final import features_of, train_final
from mer_core.training import data
from mer_core.training.fold import Recipe

DUAL = Variant(name="dual", attention="dual", loss="cross_entropy", init="from_ada/resnet18.safetensors")
ALIGNMENT = Alignment(mode="precropped", size=16, eye_distance=0.24, eye_center=(0.5, 0.35), color="rgb")
SCRIPTS = Path(__file__).parent.parent / "workflow_scripts"
PART = Part("faces", "tabular", "training", True, {"happiness": 4}, 4)
SCORE = {"mean": 0.5, "low": None, "high": None}


def predictions(people=4, clips=3):
    """Held-out answers that are too sure: right in half of the cases, with a probability of 0.99."""
    rows = []
    for number in range(people * clips):
        label, answer = number % 3, (number % 3 if number % 2 else (number + 1) % 3)
        sure = {f"p_{name}": 0.99 if k == answer else 0.005 for k, name in enumerate(CLASSES)}
        names = {"label": CLASSES[label], "predicted": CLASSES[answer]}
        rows.append({"seed": 0, "sample_id": f"s{number}", "subject": f"s{number // clips}"} | names | sure)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("final")
    cache, manifest = write_dataset(folder)
    settings = FOLD.model_copy(update={"epochs": 3, "normalization": "dataset"})
    scores = {"macro_f1": SCORE, "accuracy": SCORE, "n": 12, "subjects": 4, "confidence": 0.95}
    of_class = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4}
    scores["per_class"] = {name: of_class for name in CLASSES}
    given = {"alignment": ALIGNMENT, "input_settings": None, "predictions": predictions(), "scores": scores}
    for name, mirrored in (("model", False), ("again", True)):
        own = settings.model_copy(update={"mirrored_test": mirrored})
        train_final(
            cache,
            manifest,
            folder / name,
            recipe=Recipe(DUAL, CROSS_ENTROPY, own, None, 16, None),
            classes=CLASSES,
            seed=0,
            on=CPU,
            parts=[PART],
            **given,
        )
    return folder, data.load(cache, manifest, CLASSES, CPU)


def test_the_model_opens_and_answers_as_it_was_trained(made):
    folder, samples = made
    model = load_model(folder / "model")
    about = model.description
    pixels = samples.images.double().div(255).flatten(0, 2)
    assert about.mean == pytest.approx(pixels.mean(0).tolist()), "of everybody: nobody is held out"
    assert about.simulated == ["faces"] and about.network["attention"] == "dual"
    shown = [model.predict(image.numpy())[0] for image in samples.images]
    sure = np.array([list(one.probabilities.values()) for one in shown])
    raw = (samples.pixels(torch.arange(len(samples.labels))) - model._mean) / model._std
    with torch.no_grad():
        logits = model.network(raw)
    assert sure == pytest.approx((logits / about.temperature).softmax(1).numpy(), abs=1e-4)
    known = [one.distance <= about.likeness.threshold for one in shown]
    assert np.mean(known) > 0.9


@pytest.mark.parametrize("shape", [(70, 70), (23, 31), (12, 9)])
def test_faces_that_are_cropped_already_are_resized_as_those_of_the_training(made, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    [face] = load_model(made[0] / "model").faces(image)
    np.testing.assert_array_equal(face.crop, align_image(image, None, ALIGNMENT).image)


def test_too_sure_folds_make_a_modest_model(made):
    assert load_model(made[0] / "model").description.temperature > 2


def test_training_again_gives_the_same_model(made):
    first, second = (made[0] / name / "weights.safetensors" for name in ("model", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_the_model_answers_by_the_mirror_image_too_where_its_folds_did(made):
    for name, mirrored in (("model", False), ("again", True)):
        assert load_model(made[0] / name).description.mirrored_test is mirrored
        assert ("mirror image together" in (made[0] / name / "README.md").read_text()) is mirrored


def test_a_model_does_not_tell_where_its_initial_weights_lay(made):
    for name in ("model.json", "README.md"):
        text = (made[0] / "model" / name).read_text()
        assert "resnet18.safetensors" in text and "ada" not in text


def test_the_card_says_that_there_is_no_interval(made):
    card = (made[0] / "model" / "README.md").read_text()
    assert "| macro-F1 | 0.500 | none |" in card and "simulated data (faces)" in card
    assert "over people, of whom there are so few that they are too narrow." in card


@pytest.mark.parametrize(
    ("init", "network", "said"),
    [
        (
            "random",
            {"kind": "efficientnet_lite0", "weights": "imagenet"},
            "ImageNet's, but for the classifier",
        ),
        ("random", {"kind": "efficientnet_lite0", "weights": "random"}, "random"),
        ("random", {"kind": "resnet18"}, "random"),
        ("pretrained", {"kind": "efficientnet_lite0", "weights": "imagenet"}, "pretrained"),
    ],
)
def test_the_card_tells_what_the_weights_were_at_first(made, init, network, said):
    about = load_model(made[0] / "model").description
    about = about.model_copy(update={"variant": about.variant | {"init": init}, "network": network})
    assert f"initial weights\n{said});" in write_card(about, [PART])


def test_the_card_scores_no_class_that_nobody_showed(made):
    about = load_model(made[0] / "model").description
    scored = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    classes = about.scores.per_class | {"fear": ClassScore(**scored)}
    scores = about.scores.model_copy(update={"per_class": classes})
    card = write_card(about.model_copy(update={"scores": scores}), [PART])
    assert "| fear | 0 | none there | 0.000 | 0.000 |" in card


def test_the_card_counts_the_samples_that_were_learnt_from(tmp_path, monkeypatch):
    cache, manifest = write_dataset(tmp_path)
    unseen = pd.DataFrame({"sample_id": [f"faces/s0/c{clip}f0" for clip in range(3)], "message": "no face"})
    write_csv(unseen, tmp_path / "failures.csv")
    script, seen = runpy.run_path(str(SCRIPTS / "train_final.py")), {}
    write_csv(predictions(), tmp_path / "predictions.csv")
    (tmp_path / "metrics.json").write_text("{}")
    about = {"name": "faces", "layout": "tabular", "role": "training", "simulated": True}
    files = {"cache": cache, "manifests": [manifest], "failures": [tmp_path / "failures.csv"]}
    files |= {"predictions": tmp_path / "predictions.csv", "metrics": tmp_path / "metrics.json"}
    given = {
        "variant": DUAL,
        "loss": CROSS_ENTROPY,
        "training": FOLD,
        "alignment": ALIGNMENT,
        "seed": 0,
        "transfer": None,
    }
    given = {name: one.model_dump() if isinstance(one, Section) else one for name, one in given.items()}
    given |= {"parts": [[about]], "shared": [], "reduction": 16, "classes": CLASSES, "input": None}
    monkeypatch.setitem(script["main"].__globals__, "train_final", lambda *_, **named: seen.update(named))
    script["main"](
        SimpleNamespace(
            input=SimpleNamespace(get=files.get, **files),
            params=SimpleNamespace(**given),
            output=SimpleNamespace(description=str(tmp_path / "model" / "model.json")),
            threads=1,
            resources=SimpleNamespace(slots=1),
        )
    )
    [part] = seen["parts"]
    assert (part.subjects, sum(part.counts.values())) == (3, 9)


def test_features_are_what_the_classifier_sees(made):
    folder, samples = made
    model = load_model(folder / "model")
    features = torch.from_numpy(features_of(model.network, samples)).float()
    with torch.no_grad():
        logits = model.network(samples.normalize(samples.pixels(torch.arange(len(samples.labels)))))
        assert torch.allclose(model.network.fc(features), logits, atol=1e-4)


@pytest.mark.parametrize(("depths", "shared"), [([12, 12], 12), ([None, None], None), ([12, None], None)])
def test_a_model_reads_by_the_depth_that_all_its_images_share(depths, shared):
    assert final._depth(pd.DataFrame({"bit_depth": pd.array(depths, "Int64")})) == shared
