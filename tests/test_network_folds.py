"""Every network on every input that it takes, from clips to a fold's answers."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from training_samples import CPU, CROSS_ENTROPY, FOLD, STILL

from mer_core.config.inputs import AnyInput
from mer_core.config.models import Variant
from mer_core.config.networks import Network
from mer_core.datasets.manifest import assemble, new_sample, write_manifest
from mer_core.faces.cache import Aligned, write_cache
from mer_core.inputs.maps import draw
from mer_core.motion.clip import Clip
from mer_core.training.fold import train_fold

CROP = 48
SHIFTS = {"right": (2.0, 0.0), "down": (0.0, 2.0)}  # what the classes are told by, pixels
SETTINGS = FOLD.model_copy(update={"epochs": 1, "batch_size": 4, "augmentation": STILL})
RESNET = {"kind": "resnet18"}
LONG = {"frames": 64, "size": 96}  # the shortest that a stream of dtscnn takes, laid out as large images are
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
CASES = [
    ({"kind": "off_apexnet"}, {"kind": "flow"}),
    ({"kind": "ststnet"}, {"kind": "flow_strain", "size": 28}),
    ({"kind": "ststnet", "layers": "table"}, {"kind": "flow_strain", "size": 28, "scale": "minmax_channel"}),
    ({"kind": "rcn_a"}, {"kind": "flow_strain", "size": 60}),
    ({"kind": "learnet"}, {"kind": "dynamic_image", "pooling": "learnet"}),
    ({"kind": "learnet"}, {"kind": "dynamic_image", "pooling": "bilen"}),
    ({"kind": "htnet", "dim": 8}, {"kind": "flow_patches", "size": 28}),
    ({"kind": "htnet", "dim": 8, "attention": "true"}, {"kind": "flow_patches", "size": 28}),
    ({"kind": "mmnet", "size": 32}, {"kind": "pair", "size": 32}),
    ({"kind": "dtscnn", "streams": [64]}, {"kind": "flow_clip", **LONG}),
    ({"kind": "efficientnet_lite0", "weights": "random"}, {"kind": "difference", "size": 32}),
    *((RESNET, {"kind": kind, "size": 32}) for kind in ("difference", "pair", "flow", "flow_strain", "clip")),
    (RESNET, {"kind": "dynamic_image", "size": 32}),
]


def clip_of(subject, label):
    """A texture of the subject's own that moves as the class says, and back."""
    noise = np.random.default_rng(subject).integers(0, 256, (CROP, CROP), np.uint8)
    face = cv2.GaussianBlur(noise, (0, 0), 2)
    face = cv2.normalize(face, None, 0, 255, cv2.NORM_MINMAX)
    frames = {}
    for number, share in enumerate([0, 0.5, 1, 0.5, 0], start=1):
        right, down = np.multiply(SHIFTS[label], share)
        frames[number] = cv2.warpAffine(face, np.float32([[1, 0, right], [0, 1, down]]), (CROP, CROP))
    colors = {number: np.repeat(frame[..., None], 3, 2) for number, frame in frames.items()}
    return Clip(f"faces/s{subject}/{label}", frames, 1, 3, 5, colors=colors)


def drawn(folder, seen):
    """A cache of what an input draws of three people's two clips, and their manifest."""
    settings = TypeAdapter(AnyInput).validate_python({"crop": CROP, **seen})
    clips = [clip_of(subject, label) for subject in range(3) for label in SHIFTS]
    landmarks = np.zeros((68, 2))
    landmarks[36:48], landmarks[48:] = [24, 18], [24, 36]
    maps = np.stack([draw(clip, settings, landmarks).astype(np.float16) for clip in clips])
    names = [clip.sample_id for clip in clips]
    rows = []
    for name in names:
        dataset, subject, label = name.split("/")
        rows.append(
            new_sample(dataset, subject, label, sample_id=name, label=label, frame_path=f"{name}/3.png")
        )
    write_manifest(assemble(rows), folder / "manifest.csv")
    landmarks, transform = np.zeros((len(clips), 68, 2), np.float32), np.zeros((len(clips), 2, 3))
    aligned = Aligned(maps, landmarks, transform, names, ["test"] * len(clips), attributes={"size": CROP})
    write_cache(folder / "cache.h5", aligned)
    return folder / "cache.h5", folder / "manifest.csv"


def test_every_network_and_every_input_is_among_the_cases():
    kinds = {case["kind"] for pair in CASES for case in pair}
    inputs = TypeAdapter(AnyInput).json_schema()["discriminator"]["mapping"]
    networks = {model.model_fields["kind"].annotation.__args__[0] for model in Network.__subclasses__()}
    assert len(networks) > 8 and kinds == networks | inputs.keys()


@pytest.mark.parametrize(
    ("network", "seen"), CASES, ids=lambda case: "-".join(map(str, case.values())).replace(" ", "")
)
@pytest.mark.parametrize("on", [CPU, pytest.param(torch.device("cuda", 0), marks=NEEDS_GPU)], ids=str)
def test_a_fold_on_what_its_input_draws(tmp_path, network, seen, on):
    cache, manifest = drawn(tmp_path, seen)
    answers = []
    for run in ("first", "again"):
        train_fold(
            cache,
            manifest,
            "s1",
            tmp_path / run,
            variant=Variant(name="own", network=network, input="own", loss="cross_entropy"),
            loss=CROSS_ENTROPY,
            classes=list(SHIFTS),
            settings=SETTINGS,
            transfer=None,
            reduction=16,
            seed=0,
            initial_weights=None,
            on=on,
        )
        answers.append(pd.read_csv(tmp_path / run / "predictions.csv"))
    told = json.loads((tmp_path / "first" / "fold.json").read_text())
    assert told["n_train"] == 4 and told["parameters"] > 1000 and told["multiply_adds"] > 1e5
    assert answers[0].equals(answers[1]), "the same seed gives the same answers"
    p_right, p_down = answers[0].set_index("label")["p_right"][["right", "down"]]
    assert abs(p_right - p_down) > 1e-6, "another motion, another answer"
