"""Gather everything that was made and write the report."""

import json
from pathlib import Path

import pandas as pd

from mer_core import job
from mer_core.config import load_config
from mer_core.datasets.manifest import read_manifest
from mer_core.evaluation import report
from mer_core.evaluation.figures import read_benchmarks
from mer_core.evaluation.tables import Table
from mer_core.faces.cache import read_cache


def main(snakemake):
    given = snakemake.input
    config = load_config(given.config)
    scores = [json.loads(Path(path).read_text()) for path in given.metrics]
    page = report.render(
        report.ReportInput(
            config=config,
            metrics={score["variant"]: score for score in scores},
            tables=read_tables(Path(given.tables)),
            pictures=list(pictures(config, scores, given)),
            datasets={
                name: report.DatasetFindings(
                    manifest=read_manifest(manifest),
                    defects=pd.read_csv(defects, keep_default_na=False),
                    detector=read_cache(cache).detector,
                    failures=pd.read_csv(failures, keep_default_na=False),
                )
                for name, manifest, defects, cache, failures in zip(
                    config.datasets, given.manifests, given.defects, given.caches, given.failures, strict=True
                )
            },
            folds=[json.loads(Path(path).with_name("fold.json").read_text()) for path in given.folds],
            benchmarks=read_benchmarks(Path(snakemake.params.benchmarks)),
        )
    )
    job.write_text(snakemake.output.html, page)
    print(f"{len(page) / 1e6:.1f} MB")


def read_tables(index):
    """The tables as `build_tables` wrote them."""
    return {
        name: Table(
            frame=pd.read_csv(index.with_name(f"{name}.csv")),
            shown=pd.DataFrame(table["rows"]),
            caption=table["caption"],
            notes=tuple(table["notes"]),
        )
        for name, table in json.loads(index.read_text()).items()
    }


def pictures(config, scores, given):
    """The figures in reading order, each with what it shows and what of it a table tells."""
    path = {Path(figure).stem: Path(figure) for figure in [*given.figures, *given.faces]}
    clips, subjects = scores[0]["n"], scores[0]["subjects"]
    seeds = f"{len(config.seeds)} seed{'s' * (len(config.seeds) != 1)}"
    basis = f"n = {clips} clips of {subjects} subjects, {seeds}"
    yield report.Picture(
        path["variants"],
        "All variants",
        f"Pooled scores with {config.evaluation.confidence:.0%} bootstrap intervals over subjects ({basis}), "
        "the printed values, and the floor of always giving the commonest answer.",
        "Points with intervals, one row per variant; Tables 1 to 3 hold the numbers.",
    )
    for score in scores:
        variant = score["variant"]
        yield report.Picture(
            path[f"confusion_{variant}"],
            f"Confusion of {variant}",
            f"Rows are the true classes. Left: clips, mean over {seeds}; right: share of the true class. {basis}.",
            f"Confusion matrix of {variant}; the per-class table holds precision, recall and F1.",
            variant=variant,
        )
    yield report.Picture(
        path["subject_accuracy"],
        "Accuracy on each subject left out",
        f"Mean over {seeds}, in percent; above, how many clips a subject has.",
        "A matrix of variants by subjects.",
    )
    yield report.Picture(
        path["learning_curves"],
        "Learning curves",
        "Median over folds and seeds (line) and the middle 80 % of them (band), on the training data.",
        "Training loss falls and training accuracy rises over the epochs, one column per variant.",
    )
    yield report.Picture(
        path["class_distribution"],
        "Samples per class",
        "Samples used, beside the counts that the paper prints (its figure 5).",
        "Bars per class; the exact counts stand at the bars.",
        section=report.DATA,
    )
    for name, dataset in config.datasets.items():
        if f"faces_{name}" in path:
            yield report.Picture(
                path[f"faces_{name}"],
                f"Aligned faces of {name}",
                f"Up to 64 of the crops that the network sees, {config.alignment.size} pixels wide, each with its "
                f"class and the step that found the face{' (simulated)' if dataset.root == 'simulated' else ''}.",
                f"A sheet of aligned faces of {name}.",
                section=report.DATA,
            )
    yield report.Picture(
        path["workflow"],
        "The workflow",
        "Every rule and what it depends on, as Snakemake sees it for this configuration.",
        "A graph of rules from data at the top to the report at the bottom.",
        section=report.PROVENANCE,
    )
    yield report.Picture(
        path["times"],
        "Time per step",
        "Every job as a point; wall-clock time as Snakemake measured it.",
        "Seconds per job for each rule.",
        section=report.PROVENANCE,
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
