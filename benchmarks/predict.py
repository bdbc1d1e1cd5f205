"""How fast `mer predict` judges pictures and clips, and what the network adds to finding and aligning faces.

    python benchmarks/predict.py --images 1000

Models of random weights judge copies of a photograph (ResNet18 with dual attention, by the edges of
photograph and crop) and clips of nine frames of the smallest edge (OFF-ApexNet on flow), by as many processes
as there are cores. Prints what passed in a minute, from the start of the command to its end; what would pass
on idle cores, by the processor time of all processes; and the share that the network, in one thread, has of
that time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import skimage.data
import torch
from measuring import cpu_seconds, machine

from mer_core.images import write_image
from mer_core.inference import load_model

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from model_samples import write_model

FLOW = {"kind": "flow", "size": 28, "crop": 224, "estimator": "dis", "scale": "minmax_joint"}
FRAMES = 9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--edges", type=int, nargs="+", default=[400, 1600], help="of the photograph, pixels")
    parser.add_argument("--sizes", type=int, nargs="*", default=[48, 112, 224], help="of the crop")
    arguments = parser.parse_args()
    print(machine())
    original = skimage.data.astronaut()
    photographs = {
        edge: cv2.resize(
            original, (edge, edge), interpolation=cv2.INTER_AREA if edge < len(original) else cv2.INTER_CUBIC
        )
        for edge in sorted(arguments.edges)
    }
    head = ["what", "a minute", "a minute, idle cores", "network's share, %"]
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for edge, photograph in photographs.items():
            for number in range(arguments.images):
                write_image(folder / str(edge) / f"{number:05d}.jpg", photograph)
        for size in arguments.sizes:
            model = folder / f"model{size}"
            model.mkdir()
            write_model(model, size=size)
            for edge, photograph in photographs.items():
                face = load_model(model).faces(photograph)
                what = f"pictures of {edge:,} px, crops of {size}"
                measure(what, model, [str(folder / str(edge))], face * arguments.images)
        if arguments.clips:
            model = folder / "flow"
            model.mkdir()
            network = {"kind": "off_apexnet", "conv_activation": True}
            write_model(model, network=network, channels=2, input=FLOW)
            clips = [folder / "clips" / str(number) for number in range(arguments.clips)]
            frames = [photographs[min(photographs)]] * FRAMES
            for clip in clips:
                for number, frame in enumerate(frames):
                    write_image(clip / f"{number}.jpg", frame)
            face = [load_model(model).face_of_clip(frames, 5)]
            given = [*map(str, clips), "--clip", "--apex", "5"]
            measure("clips, flow", model, given, face * arguments.clips)


def measure(what: str, model: Path, arguments: list[str], faces: list) -> None:
    """Print a row of the table."""
    opened = load_model(model)
    opened.judge(faces[:8])  # the first call is slower
    start = cpu_seconds()
    opened.judge(faces)
    network = cpu_seconds() - start
    wall, start = time.monotonic(), cpu_seconds()
    command = "import sys; from mer_core.inference.command import main; sys.exit(main())"
    call = [sys.executable, "-c", command, "predict", str(model), *arguments]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, processor = time.monotonic() - wall, cpu_seconds() - start
    idle = processor / len(os.sched_getaffinity(0))
    speeds = [f"{60 * len(faces) / seconds:,.0f}" for seconds in (wall, idle)]
    print(f"| {what} | {' | '.join(speeds)} | {100 * network / processor:.0f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
