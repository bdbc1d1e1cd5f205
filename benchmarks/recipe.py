"""What each lever of the recipe is worth: trials that differ in one thing, over seeds, by groups of people.

    python benchmarks/recipe.py portraits                            # every trial of the portraits
    python benchmarks/recipe.py portraits --only shipped "larger face"
    python benchmarks/recipe.py people --seeds 0 1 2 3 4 --workers 8
    python benchmarks/recipe.py networks --seeds 0                   # every row of configs/networks.yaml

A trial reads the manifests, aligned faces and drawn inputs of an experiment, results/{experiment}, which
the workflow has run as far as these, and lays its keys over that experiment's configuration. All people are
tested, each by a network that saw none of their group (`folds: {groups: 6}`), with every seed; where it
starts from pretrained weights, each seed has a pretraining of its own unless the trial says otherwise.
Prints a row of a Markdown table as soon as a trial is complete, with 95 % intervals over people; what
lies in --folder and was made of the same configuration, epochs and data is not computed again.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from measuring import machine

from mer_core import container
from mer_core.config.experiment import Config, load_config
from mer_core.config.models import Variant
from mer_core.config.section import dump
from mer_core.evaluation.metrics import confusion_matrices, evaluate, seeds_averaged
from mer_core.evaluation.statistics import bootstrap_intervals, compare, majority_answers, over_seeds
from mer_core.provenance import file_digest, value_digest
from mer_core.training.fold import train_fold
from mer_core.training.pretrain import pretrain

GROUPS = 6
HEADER = [
    "trial",
    "accuracy, %",
    "95 %",
    "macro-F1",
    "95 %",
    "seeds averaged: accuracy, %",
    "macro-F1",
    "p against the floor",
    "of the training images, %",
    "minutes",
]


@dataclass(frozen=True)
class Trial:
    """One row: what is laid over the configuration of an experiment."""

    name: str
    experiment: str
    keys: Mapping[str, Any]
    one_pretraining: bool = False  # for all seeds, that of run 0

    def config(self, results: Path) -> Config:
        """The experiment's configuration with the trial's keys."""
        return _configuration(results / self.experiment / "config.json", json.dumps(self.keys))


def training(**keys: Any) -> dict[str, Any]:
    """Keys of the training of a fold; those of the augmentation among them."""
    inner = {"flip", "shift", "rotation", "brightness", "scale", "contrast", "erasing"}
    augmentation = {key: value for key, value in keys.items() if key in inner}
    return {"training": {k: v for k, v in keys.items() if k not in inner} | {"augmentation": augmentation}}


def variant(
    attention: str = "dual", loss: str = "focal", init: str = "random", **keys: Any
) -> dict[str, Any]:
    """The one network of a trial; further keys are the row's own."""
    return {"variants": [{"name": "trial", "attention": attention, "loss": loss, "init": init} | keys]}


def over(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings laid over each other, from left to right."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = over(result[key], value) if both else value
    return result


# Levers that several trials share.
WIDE = training(shift=0.08, rotation=8.0, brightness=0.2, scale=0.1, contrast=0.2)
SMOOTH = {"losses": {"cross_entropy": {"smoothing": 0.1}}}
BALANCED = {"losses": {"focal": {"alpha": "balanced"}}}
SOFTMAX = {"losses": {"focal": {"form": "softmax", "alpha": None}}}
DECAY = training(optimizer="adamw", weight_decay=0.05)
LONGER = over(training(epochs=40, batch_size=32), WIDE)
TOGETHER = over(
    LONGER, SMOOTH, DECAY, training(warmup_epochs=4, dropout=0.3, erasing=0.3, mirrored_test=True)
)


FINE_TUNED = over(
    training(epochs=20, learning_rate=0.002, optimizer="adamw", weight_decay=0.01, warmup_epochs=2),
    training(mirrored_test=True),
    {"variants": [{"name": "trial", "network": "efficientnet_lite0", "loss": "cross_entropy"}]},
    {"transfer": {"backbone_lr_factor": 1.0}},
)
SMALLER_STEPS = over(FINE_TUNED, training(learning_rate=0.0005))


def transfer(pretraining: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    """The dual network pretrained so, and what the fold does with it."""
    return over(variant(init="pretrained"), {"pretraining": pretraining, "transfer": keys})


# Pretrained as folds are trained, but for what only they know.
LONGER_BEFORE = {"epochs": 20, "batch_size": 32, "augmentation": WIDE["training"]["augmentation"]}
LONGER_TRANSFER = over(LONGER, transfer(LONGER_BEFORE))
# Which the experiment has drawn; grey levels of a difference are no brightness.
DIFFERENCE = {"input": "difference", **training(brightness=0.0, contrast=0.0)}

DEMO = {
    "dual_transfer as shipped": transfer({}),
    "16 epochs": over(training(epochs=16), transfer({})),
    "24 epochs": over(training(epochs=24), transfer({})),
    "batch 16": over(training(batch_size=16), transfer({})),
    "larger steps": over(training(learning_rate=0.002), transfer({})),
    "pretrained 10 epochs": transfer({"epochs": 10}),
    "pretrained 30 epochs": transfer({"epochs": 30}),
    "pretrained in batches of 16": transfer({"batch_size": 16}),
    "24 epochs after 30": over(training(epochs=24), transfer({"epochs": 30})),
    "cross entropy": over(transfer({}), variant(loss="cross_entropy", init="pretrained")),
    "balanced": over(transfer({}), BALANCED),
    "focal in the softmax form": over(transfer({}), SOFTMAX),
    "focal from a prior of 0.2": over(transfer({}), {"losses": {"focal": {"prior": 0.2}}}),
    "constant rate": over(training(schedule="constant"), transfer({})),
    "without augmentation": over(training(flip=False, shift=0.0, rotation=0.0, brightness=0.0), transfer({})),
    "backbone as fast as the head": transfer({}, backbone_lr_factor=1.0),
    "slower backbone": transfer({}, backbone_lr_factor=0.1),
    "mean of the last 4 epochs": over(training(average_epochs=4), transfer({})),
    "smoothed": over(transfer({}), {"losses": {"focal": {"smoothing": 0.1}}}),
}

# Sorted by worth: a run that is cut off has answered the first questions.
PLANS = {
    "portraits": [
        Trial("shipped", "portraits-48-20", variant()),
        Trial("larger face", "portraits-48-28", variant()),
        Trial("larger crop, too", "portraits-112-28", variant()),
        Trial("longer, wider augmentation, too: base", "portraits-112-28", over(LONGER, variant())),
        Trial("everything", "portraits-112-28", over(TOGETHER, variant(loss="cross_entropy"))),
        Trial("base, 120 epochs", "portraits-112-28", over(LONGER, training(epochs=120), variant())),
        Trial(
            "everything, no attention", "portraits-112-28", over(TOGETHER, variant("none", "cross_entropy"))
        ),
        Trial("everything, 160 pixels", "portraits-160-28", over(TOGETHER, variant(loss="cross_entropy"))),
        Trial("base, cross entropy", "portraits-112-28", over(LONGER, variant(loss="cross_entropy"))),
        Trial("base, smoothed", "portraits-112-28", over(LONGER, SMOOTH, variant(loss="cross_entropy"))),
        # Weights of a million photographs want few epochs and small steps.
        Trial("EfficientNet-Lite0 from ImageNet", "portraits-112-28", over(WIDE, FINE_TUNED)),
        Trial(
            "EfficientNet-Lite0, backbone at 0.3 of the head's rate",
            "portraits-112-28",
            over(WIDE, FINE_TUNED, training(learning_rate=0.001), {"transfer": {"backbone_lr_factor": 0.3}}),
        ),
        Trial(
            "EfficientNet-Lite0, largest steps",
            "portraits-112-28",
            over(WIDE, FINE_TUNED, training(learning_rate=0.004)),
        ),
        Trial(
            "EfficientNet-Lite0, rate 0.001",
            "portraits-112-28",
            over(WIDE, FINE_TUNED, training(learning_rate=0.001)),
        ),
        Trial("EfficientNet-Lite0, smaller steps", "portraits-112-28", over(WIDE, SMALLER_STEPS)),
        Trial(
            "EfficientNet-Lite0, smaller steps, in bfloat16",
            "portraits-112-28",
            over(WIDE, SMALLER_STEPS, training(precision="bfloat16")),
        ),
        Trial("EfficientNet-Lite0, 160 pixels", "portraits-160-28", over(WIDE, SMALLER_STEPS)),
        Trial(
            "EfficientNet-Lite0, erasing",
            "portraits-112-28",
            over(WIDE, SMALLER_STEPS, training(erasing=0.5)),
        ),
        Trial("EfficientNet-Lite0, 224 pixels", "portraits-224-28", over(WIDE, SMALLER_STEPS)),
        Trial("EfficientNet-Lite0, 224 pixels, smaller face", "portraits-224-22", over(WIDE, SMALLER_STEPS)),
        Trial(
            "EfficientNet-Lite0, 224 pixels, 60 epochs",
            "portraits-224-28",
            over(WIDE, SMALLER_STEPS, training(epochs=60)),
        ),
        Trial(
            "EfficientNet-Lite0, 224 pixels, smaller steps",
            "portraits-224-28",
            over(WIDE, SMALLER_STEPS, training(epochs=40, learning_rate=0.0002)),
        ),
        Trial(
            "EfficientNet-Lite0, 224 pixels, larger steps",
            "portraits-224-28",
            over(WIDE, SMALLER_STEPS, training(epochs=40, learning_rate=0.001)),
        ),
        Trial(
            "EfficientNet-Lite0, 224 pixels, erasing and smoothing",
            "portraits-224-28",
            over(WIDE, SMALLER_STEPS, SMOOTH, training(epochs=40, erasing=0.3)),
        ),
        Trial(
            "EfficientNet-Lite0, 224 pixels, stronger augmentation",
            "portraits-224-28",
            over(
                SMALLER_STEPS,
                training(epochs=40, shift=0.1, rotation=12.0, brightness=0.3, scale=0.2, contrast=0.3),
            ),
        ),
        Trial("base, no attention", "portraits-112-28", over(LONGER, variant("none"))),
        Trial(
            "base, pretrained on simulated CK+",
            "portraits-112-28-ckplus",
            over(LONGER_TRANSFER, variant(init="pretrained")),
        ),
        Trial("base, largest face", "portraits-112-36", over(LONGER, variant())),
        Trial("base, erasing", "portraits-112-28", over(LONGER, training(erasing=0.5), variant())),
        Trial("base, decay", "portraits-112-28", over(LONGER, DECAY, variant())),
        Trial("base, dropout", "portraits-112-28", over(LONGER, training(dropout=0.5), variant())),
        Trial("base, warm-up", "portraits-112-28", over(LONGER, training(warmup_epochs=4), variant())),
        Trial(
            "base, mirrored test", "portraits-112-28", over(LONGER, training(mirrored_test=True), variant())
        ),
        Trial(
            "base, averaged weights", "portraits-112-28", over(LONGER, training(average_epochs=8), variant())
        ),
        Trial(
            "base, statistics as training leaves them",
            "portraits-112-28",
            over(LONGER, training(recompute_statistics=False), variant()),
        ),
        Trial("base, batch 16", "portraits-112-28", over(LONGER, training(batch_size=16), variant())),
        Trial(
            "everything, 120 epochs",
            "portraits-112-28",
            over(TOGETHER, training(epochs=120), variant(loss="cross_entropy")),
        ),
    ],
    "people": [
        Trial("dual as shipped", "people-40-20", variant()),
        Trial("dual_transfer as shipped", "people-40-20", transfer({}), one_pretraining=True),
        Trial("dual_transfer, a pretraining per seed", "people-40-20", transfer({})),
        Trial("base: dual, larger, longer", "people-64-28", over(LONGER, variant())),
        Trial("base, transfer", "people-64-28", LONGER_TRANSFER),
        Trial("base, transfer, 100 epochs", "people-64-28", over(LONGER_TRANSFER, training(epochs=100))),
        Trial("base, transfer, 112 pixels", "people-112-28", LONGER_TRANSFER),
        Trial(
            "base, transfer, 112 pixels, pretrained 60 epochs",
            "people-112-28",
            over(LONGER, transfer(LONGER_BEFORE | {"epochs": 60})),
        ),
        Trial("base, 112 pixels: dual", "people-112-28", over(LONGER, variant())),
        Trial("base, apex minus onset", "people-64-28-difference", over(LONGER, variant(**DIFFERENCE))),
        Trial(
            "base, apex minus onset, transfer",
            "people-64-28-difference",
            over(LONGER_TRANSFER, variant(init="pretrained", **DIFFERENCE)),
        ),
        Trial(
            "base, transfer, everything",
            "people-64-28",
            over(TOGETHER, transfer(LONGER_BEFORE), variant(loss="cross_entropy", init="pretrained"), SMOOTH),
        ),
        Trial(
            "base, transfer, backbone as fast as the head",
            "people-64-28",
            over(LONGER, transfer(LONGER_BEFORE, backbone_lr_factor=1.0)),
        ),
        Trial(
            "base, transfer, two stages frozen",
            "people-64-28",
            over(LONGER, transfer(LONGER_BEFORE, freeze_stages=2)),
        ),
        Trial("base, transfer, one pretraining", "people-64-28", LONGER_TRANSFER, one_pretraining=True),
        Trial(
            "base, transfer, pretrained by subject",
            "people-64-28",
            over(LONGER, transfer(LONGER_BEFORE | {"split": "subject"})),
        ),
        Trial(
            "base, transfer, pretrained 60 epochs",
            "people-64-28",
            over(LONGER, transfer(LONGER_BEFORE | {"epochs": 60})),
        ),
        Trial("base, no attention", "people-64-28", over(LONGER, variant("none"))),
        Trial(
            "base, no attention, transfer",
            "people-64-28",
            over(LONGER_TRANSFER, variant("none", init="pretrained")),
        ),
    ],
    # Three draws of the demo's people: experiment demo-s1 is config.yaml with `simulation: {seed: 1}`.
    "demo": [
        Trial(f"{name}, simulated with seed {seed}", f"demo-s{seed}", keys, one_pretraining=True)
        for name, keys in DEMO.items()
        for seed in range(3)
    ],
}

ROWS = ["networks", "networks_gpu"]  # experiments whose networks are the trials


def rows_of(experiment: str, results: Path) -> list[Trial]:
    """A trial for each network of an experiment."""
    variants = json.loads((results / experiment / "config.json").read_text())["variants"]
    return [Trial(row["name"], experiment, {"variants": [row], "baselines": []}) for row in variants]


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", choices=[*PLANS, *ROWS])
    parser.add_argument("--only", nargs="+", metavar="TRIAL", help="names of trials")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of every trial's own, for a quick look")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the experiments")
    parser.add_argument("--folder", type=Path, default=Path("results/recipe"), help="where folds are kept")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    if arguments.plan in ROWS and not (arguments.results / arguments.plan / "config.json").exists():
        parser.error(
            f"{arguments.results / arguments.plan} is not there; make it by snakemake --cores 2 --configfile "
            f"configs/{arguments.plan}.yaml --until align_faces draw_input write_config"
        )
    plan = PLANS.get(arguments.plan) or rows_of(arguments.plan, arguments.results)
    trials = [t for t in plan if not arguments.only or t.name in arguments.only]
    absent = [
        trial for trial in trials if not (arguments.results / trial.experiment / "config.json").exists()
    ]
    for trial in absent:
        print(f"{trial.name}: left out, since {arguments.results / trial.experiment} is not there")
        trials.remove(trial)
    for trial in trials:
        trial.config(arguments.results)  # a wrong key ends it here
    run = Run(arguments.results, arguments.folder, arguments.epochs, arguments.cpu)
    device = [] if run.cpu or not torch.cuda.is_available() else [torch.cuda.get_device_name()]
    print(f"{machine(*device)}\n{arguments.plan}: seeds {arguments.seeds}, {GROUPS} groups of people\n")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        arguments.workers, context, initializer=torch.set_num_threads, initargs=[1]
    ) as pool:
        open_jobs: dict[str, set[Future]] = {}
        of: dict[Future, str] = {}
        for trial in trials:
            for job in run.jobs(trial, arguments.seeds):
                future = pool.submit(*job)
                of[future] = trial.name
                open_jobs.setdefault(trial.name, set()).add(future)
        by_name = {trial.name: trial for trial in trials}
        for future in as_completed(of):
            future.result()
            left = open_jobs[of[future]]
            left.remove(future)
            if not left:
                print(f"| {' | '.join(run.row(by_name[of[future]], arguments.seeds))} |", flush=True)
    if trials:
        print(f"\n{run.always_wrong(trials, arguments.seeds)}")


@dataclass(frozen=True)
class Run:
    """Where trials read and write."""

    results: Path
    folder: Path
    epochs: int | None
    cpu: bool

    def jobs(self, trial: Trial, seeds: list[int]) -> Iterator[tuple[Any, ...]]:
        """What a trial consists of, as functions with their arguments; pretraining comes first."""
        if trial.config(self.results).variants[0].init == "pretrained":
            yield from ((self.pretrained, trial, run) for run in ([0] if trial.one_pretraining else seeds))
        for seed in seeds:
            for number in range(1, GROUPS + 1):
                yield self.fold, trial, seed, f"group{number}"

    def fold(self, trial: Trial, seed: int, group: str) -> None:
        """Train without one group, unless that was done before."""
        folder = self._fold(trial, seed, group)
        if (folder / "predictions.csv").exists():
            return
        config = trial.config(self.results)
        row = _as_a_step_gets_it(config)
        init = row.init
        weights = None if init == "random" else Path(init)
        if init == "pretrained":
            weights = self.pretrained(trial, 0 if trial.one_pretraining else seed)
        train_fold(
            *self._data(trial, config.target, row.input),
            group,
            folder,
            variant=row,
            loss=config.losses[row.loss],
            classes=config.datasets[config.target].class_names,
            settings=self._hurried(config.training_of(config.variants[0])),
            transfer=config.transfer_of(config.variants[0]),
            reduction=config.reduction,
            seed=seed,
            initial_weights=weights,
            on=self._device(),
            groups=GROUPS,
        )

    def pretrained(self, trial: Trial, run: int) -> Path:
        """The weights of a pretraining, which trials share that pretrain alike."""
        config = trial.config(self.results)
        row = _as_a_step_gets_it(config)
        settings = self._hurried(config.pretraining_of(config.variants[0]))
        loss, classes = config.losses[row.loss], config.datasets[config.source].class_names
        seen = row.network, row.attention, row.input
        data = self._digests(trial, config.source, row.input)
        identity = [trial.experiment, *seen, loss, classes, settings, config.reduction, data]
        plain = [part.model_dump() if hasattr(part, "model_dump") else part for part in identity]
        folder = self.folder / "pretrained" / value_digest(plain)[:12] / f"run{run}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "metrics.json").exists():
                pretrain(
                    *self._data(trial, config.source, row.input),
                    folder,
                    variant=row,
                    loss=loss,
                    classes=classes,
                    settings=settings,
                    reduction=config.reduction,
                    split=settings.split,
                    run=run,
                    on=self._device(),
                )
        return folder / "weights.safetensors"

    def row(self, trial: Trial, seeds: list[int]) -> list[str]:
        """What is printed of a trial whose folds are all there."""
        config = trial.config(self.results)
        classes = config.datasets[config.target].class_names
        predictions = self._predictions(trial, seeds)
        records = [
            json.loads((self._fold(trial, seed, f"group{n}") / "fold.json").read_text())
            for seed in seeds
            for n in range(1, GROUPS + 1)
        ]
        scores = [evaluate(rows, classes) for _, rows in predictions.groupby("seed")]
        intervals = bootstrap_intervals(
            confusion_matrices(predictions, classes, by=["subject", "seed"]), 0.95, 2000, seed=0
        )
        together = evaluate(seeds_averaged(predictions, classes), classes)
        cells = [trial.name]
        for name, scale, digits in (("accuracy", 100, 1), ("macro_f1", 1, 3)):
            mean, sd = over_seeds([scale * one[name] for one in scores]).values()
            low, high = (intervals[name][end] for end in ("low", "high"))
            cells.append(f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}"))
            cells.append("" if low is None else f"{scale * low:.{digits}f} to {scale * high:.{digits}f}")
        trained = pd.DataFrame(records)["accuracy"].mean()
        minutes = sum(sum(record["seconds"].values()) for record in records) / 60
        cells += [f"{100 * together['accuracy']:.1f}", f"{together['macro_f1']:.3f}"]
        floor = majority_answers(predictions.drop_duplicates("sample_id")).drop(columns="seed")
        floor = floor.merge(pd.DataFrame({"seed": seeds}), how="cross")
        p = compare(floor, predictions, classes, config.evaluation).p_permutation
        return [*cells, f"{p:.4f}", f"{100 * trained:.1f}", f"{minutes:.1f}"]

    def always_wrong(self, trials: list[Trial], seeds: list[int]) -> str:
        """What most runs misjudge, whatever the trial: there the samples are the limit, or what all share."""
        answers = pd.concat(self._predictions(trial, seeds) for trial in trials)
        share = answers["predicted"].ne(answers["label"]).groupby(answers["sample_id"]).mean()
        most = list(share.index[share > 0.5])
        return (
            f"{len(most)} of {len(share)} samples are misjudged in most of {len(trials) * len(seeds)} runs, "
            f"{(share == 0).sum()} in none; the former: {', '.join(most)}"
        )

    def _predictions(self, trial: Trial, seeds: list[int]) -> pd.DataFrame:
        return pd.concat(
            pd.read_csv(
                self._fold(trial, seed, f"group{n}") / "predictions.csv",
                dtype={"subject": str},
                keep_default_na=False,
            ).assign(seed=seed)
            for seed in seeds
            for n in range(1, GROUPS + 1)
        )

    def _hurried(self, settings: Any) -> Any:
        return settings.model_copy(update={"epochs": self.epochs}) if self.epochs else settings

    def _fold(self, trial: Trial, seed: int, group: str) -> Path:
        config = trial.config(self.results)
        row = config.variants[0]
        used = [config.target, *([config.source] if row.init == "pretrained" else [])]
        data = [self._digests(trial, dataset, row.input) for dataset in used]
        identity = value_digest([trial.experiment, trial.one_pretraining, self.epochs, dump(config), data])
        return self.folder / f"{trial.name.replace(' ', '-')}-{identity[:12]}" / f"seed{seed}" / group

    def _digests(self, trial: Trial, dataset: str, sees: str) -> list[str]:
        cache, manifest = self._data(trial, dataset, sees)
        return [container.seal(cache), file_digest(manifest)]

    def _data(self, trial: Trial, dataset: str, sees: str) -> tuple[Path, Path]:
        folder = self.results / trial.experiment
        images = folder / "aligned" if sees == "apex" else folder / "inputs" / sees
        return images / f"{dataset}.h5", folder / "manifests" / f"{dataset}.csv"

    def _device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() and not self.cpu else "cpu")


def _as_a_step_gets_it(config: Config) -> Variant:
    """The trial's row with its network as plain values."""
    return Variant.model_validate(dump(config.variants[0]))


@cache
def _configuration(path: Path, keys: str) -> Config:
    return load_config(over(json.loads(path.read_text()), json.loads(keys)))


if __name__ == "__main__":
    main()
