"""How fast `mer predict` judges pictures, and what the network adds to finding and aligning the faces.

    python benchmarks/predict.py --images 200

A model of random weights (ResNet18 with dual attention, 224 pixels) judges copies of a photograph. Prints
pictures per minute and the network's share, by number of processes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

import cv2
import skimage.data
import torch
from measuring import machine

from mer_core.images import write_image
from mer_core.inference import load_model
from mer_core.inference.command import main as mer

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from model_samples import write_model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--edge", type=int, default=400, help="of the photograph in pixels")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print(f"{machine()}\n{arguments.images} photographs of {arguments.edge} pixels\n")
    print("| processes | pictures per minute | network's share of the time, % |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        model, pictures = Path(folder) / "model", Path(folder) / "pictures"
        model.mkdir()
        write_model(model, size=224)
        edges = (arguments.edge, arguments.edge)
        photograph = cv2.resize(skimage.data.astronaut(), edges, interpolation=cv2.INTER_AREA)
        for number in range(arguments.images):
            write_image(pictures / f"{number:05d}.jpg", photograph)
        opened = load_model(model)
        faces = opened.faces(photograph) * arguments.images
        opened.judge(faces[:8])  # the first call is slower
        start = time.monotonic()
        opened.judge(faces)
        network = time.monotonic() - start
        for processes in arguments.processes:
            start = time.monotonic()
            with contextlib.redirect_stdout(io.StringIO()):
                mer(["predict", str(model), str(pictures), "--processes", str(processes)])
            seconds = time.monotonic() - start
            speed = 60 * arguments.images / seconds
            print(f"| {processes} | {speed:,.0f} | {100 * network / seconds:.0f} |", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
