"""What the folds' networks look at: whose clips, which maps, and that it is the network that answered."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_samples import CLASSES, CPU, CROSS_ENTROPY, FOLD, write_dataset

from mer_core.config.models import Variant
from mer_core.config.networks import Network
from mer_core.config.report import Report
from mer_core.errors import UserError
from mer_core.evaluation.collect import read_pooled
from mer_core.inference import explain
from mer_core.models import build_model, build_network
from mer_core.report.pictures import CKPLUS_NOTICE, Look, looks
from mer_core.training import data
from mer_core.training.fold import train_fold

INPUTS = {
    "off_apexnet": (2, 28, 28),
    "ststnet": (3, 28, 28),
    "rcn_a": (3, 60, 60),
    "learnet": (3, 112, 112),
    "mmnet": (6, 224, 224),
}


def by_hand(model, image, answer, *names):
    """Grad-CAM by its definition: maps weighted by the mean gradient of the answer's logit, added."""
    seen = []
    for name in names:
        module = model.get_submodule(name)
        module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    gradients = torch.autograd.grad(model(image)[0, answer], seen)
    weighted = [
        gradient.mean((2, 3), keepdim=True) * maps for gradient, maps in zip(gradients, seen, strict=True)
    ]
    evidence = sum(one.sum(1)[0] for one in weighted).detach().relu()
    return (evidence / evidence.max().clamp(min=1e-12)).numpy()


@pytest.mark.parametrize(("size", "stage", "edge"), [(224, 4, 7), (112, 3, 7), (48, 2, 6), (32, 1, 8)])
def test_grad_cam_is_taken_where_maps_still_tell_places(size, stage, edge):
    torch.manual_seed(0)
    model = build_model("dual", 3).eval()
    image = torch.randn(1, 3, size, size)
    looked = [explain.look_into(model, image, answer, "resnet18") for answer in range(3)]
    for answer, (evidence, gate) in enumerate(looked):
        assert evidence.shape == gate.shape == (edge, edge) and ((gate > 0) & (gate < 1)).all()
        assert evidence == pytest.approx(by_hand(model, image, answer, f"layer{stage}"), abs=1e-4)
    assert max(evidence.max() for evidence, _ in looked) == pytest.approx(1)


def test_evidence_of_parallel_streams_is_added():
    torch.manual_seed(0)
    model = build_network({"kind": "off_apexnet"}, 3, 2).eval()
    image = torch.randn(1, 2, 28, 28)
    evidence, gate = explain.look_into(model, image, 2, "off_apexnet")
    assert gate is None and evidence == pytest.approx(by_hand(model, image, 2, "u", "v"), abs=1e-4)


@pytest.mark.parametrize("kind", INPUTS)
def test_every_network_of_motion_is_looked_into(kind):
    torch.manual_seed(0)
    model = build_network({"kind": kind}, 3, INPUTS[kind][0]).eval()
    image = torch.randn(1, *INPUTS[kind])
    maps = [explain.look_into(model, image, answer, kind)[0] for answer in range(3)]
    assert min(maps[0].shape) >= explain.LEAST_EDGE
    assert any(not np.array_equal(maps[0], other) for other in maps[1:]), "of the answer, not of the picture"


def test_a_network_is_looked_into_or_it_is_said_why_not():
    every = {network.model_fields["kind"].annotation.__args__[0] for network in Network.__subclasses__()}
    assert every == {"resnet18", "efficientnet_lite0"} | INPUTS.keys() | explain.OTHERS.keys()


@pytest.mark.parametrize(("size", "edge"), [(224, 7), (112, 7), (48, 6)])
def test_efficientnet_is_looked_into_by_the_size_of_the_crop(size, edge):
    torch.manual_seed(0)
    model = build_network({"kind": "efficientnet_lite0", "weights": "random"}, 3, 3).eval()
    evidence, gate = explain.look_into(model, torch.randn(1, 3, size, size), 0, "efficientnet_lite0")
    assert evidence.shape == (edge, edge) and gate is None


def test_the_surest_right_and_wrong_answers_are_chosen():
    rows = [("a", "a", 0.6), ("a", "a", 0.9), ("a", "b", 0.7), ("b", "b", 0.8), ("b", "b", 0.8)]
    table = pd.DataFrame(rows, columns=["label", "predicted", "sure"])
    for name in ("a", "b"):
        table[f"p_{name}"] = np.where(table["predicted"] == name, table["sure"], 1 - table["sure"])
    assert explain.choose(table, ["a", "b"]) == {("a", True): 1, ("a", False): 2, ("b", True): 3}


def test_only_faces_that_may_be_shown_are():
    people = [("casme2", "casme2-sub12"), ("casme2", "casme2-sub01"), ("ck", "ck-S001"), ("ck", "ck-S052")]
    samples = pd.DataFrame(people, columns=["dataset", "subject"])
    samples["sample_id"] = samples["subject"]
    parts = {
        "casme2": {"layout": "casme2", "simulated": False},
        "ck": {"layout": "ckplus", "simulated": False},
    }
    settings = Report(show_faces=True, never_show=[])
    assert explain.allowed(samples, parts, settings) == ({"casme2-sub01", "ck-S052"}, CKPLUS_NOTICE)
    nobody = Report(show_faces="simulated", never_show=[])
    assert explain.allowed(samples, parts, nobody) == (set(), "")
    alone = samples[:1].assign(subject="sub12")
    assert explain.allowed(alone, {"casme2": parts["casme2"]}, settings)[0] == set()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    cache, manifest = write_dataset(folder, size=32)
    variant = Variant(name="spatial", attention="spatial", loss="cross_entropy")
    settings = FOLD.model_copy(update={"keep_weights": True, "normalization": "dataset"})
    tables = []
    for subject in ("s0", "s1", "s2", "s3"):
        train_fold(
            cache,
            manifest,
            subject,
            folder / "seed0" / subject,
            variant=variant,
            loss=CROSS_ENTROPY,
            classes=CLASSES,
            settings=settings,
            transfer=None,
            reduction=16,
            seed=0,
            initial_weights=None,
            on=CPU,
        )
        tables.append(
            pd.read_csv(folder / "seed0" / subject / "predictions.csv").assign(seed=0, fold=subject)
        )
    pd.concat(tables).to_csv(folder / "pooled.csv", index=False)
    samples = data.load(cache, manifest, CLASSES, CPU)
    return folder / "seed0", read_pooled(folder / "pooled.csv"), samples, variant


def test_the_network_looked_into_is_the_one_that_answered(trained, monkeypatch):
    """Its weights, and its inputs as it saw them: the answer comes out with its probability."""
    folds, predictions, samples, variant = trained
    faces = {name: np.zeros((32, 32, 3), np.uint8) for name in samples.table["sample_id"]}
    again, real = [], explain.look_into

    def look_into(model, image, answer, kind):
        with torch.no_grad():
            again.append(float(model(image).softmax(1)[0, answer]))
        return real(model, image, answer, kind)

    monkeypatch.setattr(explain, "look_into", look_into)
    found = explain.look(folds, predictions, samples, faces, variant, "dataset", 16)
    assert [look.probability for look in found.values()] == pytest.approx(again, abs=1e-5)
    assert all(look.gate.shape == look.evidence.shape == (8, 8) for look in found.values())
    assert all((look.label == look.predicted) == is_right for (_, is_right), look in found.items())
    few = {name: face for name, face in faces.items() if "/s0/" in name}
    assert explain.look(folds, predictions, samples, few, variant, "dataset", 16).keys() <= found.keys()
    assert explain.look(folds, predictions, samples, {}, variant, "dataset", 16) == {}


def test_weights_that_were_lost_are_named(trained, tmp_path):
    folds, predictions, samples, variant = trained
    faces = {name: np.zeros((32, 32, 3), np.uint8) for name in samples.table["sample_id"]}
    for fold in folds.iterdir():
        (tmp_path / fold.name).mkdir()
        (tmp_path / fold.name / "fold.json").write_bytes((fold / "fold.json").read_bytes())
    with pytest.raises(UserError, match="its weights are lost; delete this folder"):
        explain.look(tmp_path, predictions, samples, faces, variant, "dataset", 16)


def test_right_and_wrong_stand_side_by_side():
    face, evidence = np.full((8, 8, 3), 90, np.uint8), np.eye(4)
    right = Look("set/s0/c0", "a", "a", 0.75, face, evidence, np.full((4, 4), 0.25))
    wrong = Look("set/s1/c0", "b", "a", 0.5, face, evidence, np.full((4, 4), 0.5))
    found = {("a", True): right, ("b", False): wrong}
    figure = looks(found, ["a", "b"], title="dual on set", credit=CKPLUS_NOTICE)
    grid = np.array(figure.axes).reshape(2, 7)
    said = [panel.get_xlabel() for panel in grid[:, [0, 4]].flat]
    assert said == ["a 0.75", "", "", "a 0.50"]
    assert [grid[0, 1].get_xlabel(), grid[1, 5].get_xlabel()] == ["set/s0/c0", "set/s1/c0"]
    assert figure.get_suptitle() == "dual on set"
    assert [len(panel.images) for panel in grid[0]] == [1, 2, 2, 0, 0, 0, 0]
    gates = [grid[0, 2].images[1], grid[1, 6].images[1]]
    assert {gate.get_clim() for gate in gates} == {(0.25, 0.5)}, "one scale"
    assert "gate S: 0.25 dark, 0.50 bright" in figure.get_supxlabel()
    assert figure.get_supxlabel().endswith(CKPLUS_NOTICE)


@pytest.mark.parametrize("instead", ["", "It sees patches."])
def test_a_picture_without_faces_says_why(instead):
    figure = looks({}, ["a"], instead=instead)
    assert [text.get_text() for text in figure.texts] == [instead or "No face of this dataset may be shown."]
