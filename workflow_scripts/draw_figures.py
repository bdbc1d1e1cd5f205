"""Draw the figures that are made of manifests, tables, pooled predictions and learning curves."""

from pathlib import Path

import pandas as pd

from mer_core import job
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import read_manifest
from mer_core.evaluation import clips
from mer_core.evaluation.collect import expected_samples, read_pooled
from mer_core.evaluation.metrics import confusion_matrices
from mer_core.report import figures, printed

METRICS = {"macro_f1": "macro-F1", "accuracy": "accuracy, %"}  # each in the tables' unit
TRUTH = "(truth)"  # no row can be called so
FIGURES = [
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
    *(f"printed_{name.removeprefix('macro_')}" for name in METRICS),
]


def main(snakemake):
    params, folder = snakemake.params, Path(snakemake.output.svg[0]).parent
    classes = params.classes[params.target]
    predictions = {
        Path(path).name.removesuffix(".predictions.csv"): read_pooled(path)
        for path in snakemake.input.predictions
    }
    histories = pd.concat([*map(read_history, snakemake.input.histories)], ignore_index=True)
    given = zip(snakemake.input.manifests, snakemake.input.failures, strict=True)
    used = {
        Path(path).stem: expected_samples(read_manifest(path), read_csv(failures).sample_id)
        for path, failures in given
    }
    tables = pd.concat([read_csv(path, FIGURES) for path in snakemake.input.tables])
    comparable = printed.comparable(classes, params.target in params.simulated)
    paper = {params.target: printed.CLASS_COUNTS} if comparable else None
    drawn = {
        "class_distribution": draw_classes(used, params.classes, paper),
        "variants": draw_variants(tables, comparable, params.confidence),
        "variants_narrow": draw_variants(tables, comparable, params.confidence, narrow=True),
        "subject_accuracy": draw_subjects(predictions),
        "agreement": draw_agreement(predictions),
        "reliability": draw_reliability(predictions, classes, params.seed),
        "learning_curves": figures.learning_curves(histories),
    }
    for variant, rows in predictions.items():
        matrix = confusion_matrices(rows, classes, by=["seed"]).mean(axis=0)
        drawn[f"confusion_{variant}"] = figures.confusion(matrix, classes, variant)
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / name)


def read_history(path):
    """The learning curve of folds/{variant}/seed{seed}/{subject}/history.csv, with these names."""
    *_, variant, seed, subject, _ = Path(path).parts
    return read_csv(path, ["epoch", "loss", "accuracy"]).assign(variant=variant, fold=f"{seed}/{subject}")


def draw_classes(used, classes, paper):
    """Samples per class, beside the paper's if they are comparable."""
    counts = {
        name: samples.label.value_counts().reindex(classes[name], fill_value=0)
        for name, samples in used.items()
    }
    return figures.class_distribution(counts, paper)


def draw_variants(tables, comparable, confidence, narrow=False):
    """Every measured row once, with the paper's figure where it has a comparable one."""
    floor = tables[tables.kind == "floor"].iloc[0]
    measured = tables[tables.kind == "measured"]
    order = measured.variant.unique()
    measured = measured.sort_values("printed_f1", na_position="last", kind="stable")
    measured = measured.drop_duplicates("variant").set_index("variant").loc[order]
    rows = [
        {
            "variant": variant,
            "metric": title,
            "value": row[name],
            "low": row[f"{name}_low"],
            "high": row[f"{name}_high"],
            "printed": row[f"printed_{name.removeprefix('macro_')}"] if comparable else None,
        }
        for variant, row in measured.iterrows()
        for name, title in METRICS.items()
    ]
    constant = {title: floor[name] for name, title in METRICS.items()}
    return figures.variants(pd.DataFrame(rows), constant, confidence, narrow)


def draw_subjects(predictions):
    """Accuracy of every variant on every subject, the mean over seeds."""
    pooled = pd.concat([rows.assign(variant=variant) for variant, rows in predictions.items()])
    hits = pooled.assign(hit=pooled.label == pooled.predicted)
    by_subject = hits.groupby(["variant", "subject"], sort=False)
    frame = by_subject.agg(n=("sample_id", "nunique"), accuracy=("hit", "mean"))
    return figures.subject_accuracy(frame.reset_index())


def draw_agreement(predictions):
    """The rows beside each other and beside the truth."""
    truth = pd.concat(predictions.values()).drop_duplicates("sample_id")
    return figures.agreement(
        clips.agreement({TRUTH: truth.assign(predicted=truth.label, seed=0)} | predictions)
    )


def draw_reliability(predictions, classes, seed):
    """Confidence against accuracy of every row, over all seeds, with the calibration error."""
    tables, titles = {}, {}
    for variant, rows in predictions.items():
        confidence, right = clips.confidence(rows, classes), (rows.label == rows.predicted).to_numpy()
        error = clips.calibration_error(confidence, right)
        by_chance = clips.calibration_error_by_chance(confidence, seed)
        tables[variant] = clips.reliability(confidence, right)
        titles[variant] = f"error {error:.3f} ({by_chance:.3f})"
    return figures.reliability(tables, titles)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
