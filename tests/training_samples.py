"""Tiny caches and manifests for the tests of training, and the shipped settings made small."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from mer_core.config.experiment import load_config
from mer_core.config.models import Loss, Variant
from mer_core.config.training import FoldTraining, Pretraining, Transfer
from mer_core.datasets.manifest import assemble, new_sample, write_manifest
from mer_core.faces.cache import Aligned, write_cache

torch.set_num_threads(1)  # as a job of the workflow does; repeats are bit-identical for equal numbers
CPU = torch.device("cpu")
CLASSES = ["happiness", "disgust", "others"]
CONFIG = load_config(Path(__file__).parent.parent / "config.yaml")
STILL = CONFIG.training.augmentation.model_copy(
    update={"flip": False, "shift": 0.0, "rotation": 0.0, "brightness": 0.0}
)
# Named, since what `auto` means depends on the processor.
QUICK = {"batch_size": 8, "precision": "float32"}
FOLD: FoldTraining = CONFIG.training.model_copy(update=QUICK | {"epochs": 2})
PRETRAINING: Pretraining = CONFIG.pretraining.model_copy(update=QUICK | {"epochs": 3})
TRANSFER: Transfer = CONFIG.transfer
PLAIN = Variant(name="plain", attention="none", loss="cross_entropy")
CROSS_ENTROPY = Loss(kind="cross_entropy")
FOCAL = Loss(kind="focal", form="sigmoid", alpha=0.25)


def write_dataset(
    folder: Path, subjects: int = 4, clips: int = 3, frames: int = 1, size=16, channels=3, absent=()
):
    """A cache and a manifest of noise with a bright patch whose place tells the class; their paths.

    Sample ids are faces/s<subject>/c<clip>[f<frame>]; those in `absent` have no image. The images lie in
    the cache in another order than in the manifest.
    """
    rng = np.random.default_rng(0)
    rows, images = [], []
    for subject in range(subjects):
        for clip in range(clips):
            label = (subject + clip) % len(CLASSES)
            for frame in range(frames):
                image = rng.integers(0, 100, (size, size, channels))
                image[:, label * size // 3 : (label + 1) * size // 3] += 100
                images.append(image.astype(np.uint8))
                rows.append(
                    new_sample(
                        "faces",
                        f"s{subject}",
                        f"c{clip}",
                        sample_id=f"faces/s{subject}/c{clip}f{frame}",
                        label=CLASSES[label],
                        frame_path=f"s{subject}/c{clip}/{frame}.png",
                    )
                )
    write_manifest(assemble(rows), folder / "manifest.csv")
    order = [i for i in rng.permutation(len(rows)) if rows[i]["sample_id"] not in absent]
    n = len(order)
    aligned = Aligned(
        images=np.stack([images[i] for i in order]),
        landmarks=np.zeros((n, 68, 2), np.float32),
        transform=np.zeros((n, 2, 3)),
        sample_id=[rows[i]["sample_id"] for i in order],
        detector=["test"] * n,
        attributes={"size": size},
    )
    write_cache(folder / "cache.h5", aligned)
    return folder / "cache.h5", folder / "manifest.csv"


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file can be made longer than so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
