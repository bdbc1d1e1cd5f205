"""A model of random weights with all that a trained one has, for the tests of inference."""

import torch

from mer_core.config.alignment import Alignment
from mer_core.inference.bundle import Description, write_description
from mer_core.models import build_network
from mer_core.models.weights import save_weights
from mer_core.provenance import file_digest

CLASSES = ["happiness", "surprise", "others"]
SCORES = {
    **{"macro_f1": 0.4, "low": 0.3, "high": 0.5, "floor": 0.2, "n": 20, "subjects": 5, "confidence": 0.95},
    **{"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "accuracy_floor": 0.45},
    "per_class": {
        "happiness": {"precision": 0.5, "recall": 0.75, "f1": 0.6, "support": 8},
        "surprise": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2},
        "others": {"precision": 0.5, "recall": 0.4, "f1": 0.45, "support": 10},
    },
}


def write_model(folder, *, network=None, channels=3, input=None, simulated=(), size=48, **options):
    """A model of random weights, with all that a trained one has."""
    network = network or {"kind": "resnet18", "attention": "dual", "reduction": 16}
    torch.manual_seed(0)
    save_weights(build_network(network, len(CLASSES), channels), folder / "weights.safetensors")
    features = {"resnet18": 512, "off_apexnet": 1024}[network["kind"]]
    own = {
        "variant": {"name": "dual", "loss": "focal", "init": "random"},
        "network": network,
        "classes": CLASSES,
        "input": input,
        "alignment": Alignment(
            mode="landmarks", size=size, eye_distance=0.24, eye_center=(0.5, 0.35), color="rgb"
        ),
        "channels": channels,
        "mean": [0.5] * channels,
        "std": [0.25] * channels,
        "form": "softmax",
        "temperature": 2.0,
        "likeness": {"mean": [0.0] * features, "deviation": [1.0] * features, "threshold": 1e9},
        "simulated": list(simulated),
        "scores": SCORES,
        "versions": {"torch": "2"},
        "digests": {"weights.safetensors": file_digest(folder / "weights.safetensors")},
    }
    description = Description.model_validate(own | options)
    write_description(folder, description)
    return description
