"""Draw the figures that are made of manifests, tables, pooled predictions and learning curves."""

from pathlib import Path

import pandas as pd

from mer_core import job
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import included, read_manifest
from mer_core.evaluation.collect import read_pooled
from mer_core.evaluation.metrics import confusion_matrices
from mer_core.report import figures, printed

FLOOR = "majority"
METRICS = {"accuracy": ("accuracy, %", 1), "macro_f1": ("macro-F1, %", 100)}
FIGURES = [
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
    *(f"printed_{name.removeprefix('macro_')}" for name in METRICS),
]


def main(snakemake):
    params, folder = snakemake.params, Path(snakemake.output.svg[0]).parent
    classes = params.classes[params.target]
    predictions = pd.concat([*map(read_predictions, snakemake.input.predictions)], ignore_index=True)
    histories = pd.concat([*map(read_history, snakemake.input.histories)], ignore_index=True)
    manifests = [included(read_manifest(path)) for path in snakemake.input.manifests]
    tables = pd.concat([read_csv(path, FIGURES) for path in snakemake.input.tables])
    drawn = {
        "class_distribution": draw_classes(manifests, params.classes, params.target),
        "variants": draw_variants(tables, params.confidence),
        "subject_accuracy": draw_subjects(predictions),
        "learning_curves": figures.learning_curves(histories),
    }
    for variant, rows in predictions.groupby("variant", sort=False):
        matrix = confusion_matrices(rows, classes, by=["seed"]).mean(axis=0)
        drawn[f"confusion_{variant}"] = figures.confusion(matrix, classes, variant)
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / name)


def read_predictions(path):
    """The pooled predictions of one variant or comparison method, with its name."""
    return read_pooled(path).assign(variant=Path(path).name.removesuffix(".predictions.csv"))


def read_history(path):
    """The learning curve of folds/{variant}/seed{seed}/{subject}/history.csv, with these names."""
    *_, variant, seed, subject, _ = Path(path).parts
    return read_csv(path, ["epoch", "loss", "accuracy"]).assign(variant=variant, fold=f"{seed}/{subject}")


def draw_classes(manifests, classes, target):
    """Samples per class, beside the paper's where the classes are the paper's."""
    counts = {
        samples.dataset.iloc[0]: samples.label.value_counts().reindex(
            classes[samples.dataset.iloc[0]], fill_value=0
        )
        for samples in manifests
    }
    comparable = set(classes[target]) == set(printed.CLASSES)
    return figures.class_distribution(counts, {target: printed.CLASS_COUNTS} if comparable else None)


def draw_variants(tables, confidence):
    """Every measured row once, with the paper's figure where it has one."""
    measured = tables.dropna(subset="accuracy").sort_values("printed_f1", na_position="last", kind="stable")
    measured = measured.drop_duplicates("variant").set_index("variant")
    order = tables.dropna(subset="accuracy").variant.unique()
    measured = measured.loc[order]
    rows = [
        {
            "variant": variant,
            "metric": title,
            "value": scale * row[name],
            "low": scale * row[f"{name}_low"],
            "high": scale * row[f"{name}_high"],
            "printed": scale * row[f"printed_{name.removeprefix('macro_')}"],
        }
        for variant, row in measured.drop(FLOOR).iterrows()
        for name, (title, scale) in METRICS.items()
    ]
    floor = {title: scale * measured.loc[FLOOR, name] for name, (title, scale) in METRICS.items()}
    return figures.variants(pd.DataFrame(rows), floor, confidence)


def draw_subjects(predictions):
    """Accuracy of every variant on every subject, the mean over seeds."""
    hits = predictions.assign(hit=predictions.label == predictions.predicted)
    by_subject = hits.groupby(["variant", "subject"], sort=False)
    frame = by_subject.agg(n=("sample_id", "nunique"), accuracy=("hit", "mean"))
    return figures.subject_accuracy(frame.reset_index())


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
