"""Whether a model trained on the portraits tells smile from neutral on people that it never saw.

    python benchmarks/unseen.py ../shared/data/portraits

Leaves the last people out of configs/portraits.yaml, trains its folds and a model on the others (half an hour
on one core), and lets `mer predict` judge who was left out, and two photographs of installed packages. Prints
the answers; draws those to the photographs into the file that --picture names.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import yaml
from matplotlib.cbook import get_sample_data
from measuring import machine
from PIL import Image

from mer_core.csvs import read_csv
from mer_core.images import write_image
from mer_core.inference.command import main as mer

ROOT = Path(__file__).parent.parent
EXPERIMENT = "unseen"
MODEL = f"results/{EXPERIMENT}/models/dual"


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("portraits", type=Path, help="folder with portraits.csv")
    parser.add_argument("--left-out", type=int, default=17, help="people that nothing is trained on")
    parser.add_argument("--picture", type=Path, help="where the photographs' answers are drawn")
    arguments = parser.parse_args()
    table = read_csv(arguments.portraits / "portraits.csv")
    people = sorted(set(table["subject"]))
    strangers = people[-arguments.left_out :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(arguments.portraits, people[: -arguments.left_out], folder / "overlay.yaml")
        of_strangers = table[table["subject"].isin(strangers)]
        paths = [arguments.portraits.resolve() / path for path in of_strangers["path"]]
        photographs = {"astronaut": skimage.data.astronaut()}
        with get_sample_data("grace_hopper.jpg") as file:
            photographs["grace_hopper"] = np.asarray(Image.open(file).convert("RGB"))
        for name, pixels in photographs.items():
            write_image(folder / f"{name}.png", pixels)
            paths.append(folder / f"{name}.png")
        options = ["--output", str(folder / "answers.csv"), "--pictures", str(folder / "drawn")]
        mer(["predict", MODEL, *map(str, paths), *options])
        with (folder / "answers.csv").open(newline="", encoding="utf-8") as file:
            answers = [*csv.DictReader(file)]
        given = [row["answer"] for row in answers[: len(of_strangers)]]
        right = int((np.array(given) == of_strangers["label"].to_numpy()).sum())
        print(f"{machine()}\n{len(strangers)} people left out: {right} of {len(given)} photographs right")
        for row in answers[len(of_strangers) :]:
            print(f"{Path(row['file']).stem}: {row['answer']}, p_smile {row['p_smile']}, {row['notes']}")
        if arguments.picture:
            drawn = [Image.open(path).convert("RGB") for path in drawings(folder / "drawn", photographs)]
            both = np.concatenate([np.asarray(picture) for picture in drawn])
            Image.fromarray(both).save(arguments.picture, optimize=True)


def train(portraits: Path, people: list[str], overlay: Path) -> None:
    """Make the model, unless it is there."""
    settings = {
        "experiment": EXPERIMENT,
        "datasets": {"portraits": {"root": str(portraits), "subjects": people}},
        "doctor": {"severity": {"unlisted_subject": "warning"}},
        "training": {"keep_weights": True},  # for snakemake explain
    }
    overlay.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "snakemake", f"{MODEL}/model.json", "--cores", "1"]
    configs = ["--configfile", "configs/portraits.yaml", str(overlay)]
    subprocess.run([*command, *configs], cwd=ROOT, check=True)


def drawings(folder: Path, names: dict[str, np.ndarray]) -> list[Path]:
    """What `mer predict --pictures` drew of some photographs."""
    return [next(folder.glob(f"*{name}.png")) for name in names]


if __name__ == "__main__":
    main()
