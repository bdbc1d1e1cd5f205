"""Gather everything that was made and write the report."""

import json
from pathlib import Path

from mer_core import job
from mer_core.config.experiment import load_config
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import read_manifest
from mer_core.evaluation.collect import read_pooled
from mer_core.faces.cache import read_cache
from mer_core.report import assemble
from mer_core.report.figures import read_benchmarks
from mer_core.report.typeset import read_tables


def main(snakemake):
    given = snakemake.input
    config = load_config(given.config)
    scores = [json.loads(Path(path).read_text()) for path in given.metrics]
    pictures = [*given.figures, *given.faces, *given.attention]
    page = assemble.render(
        assemble.ReportInput(
            config=config,
            metrics={score["variant"]: score for score in scores},
            predictions={
                score["variant"]: read_pooled(path)
                for score, path in zip(scores, given.predictions, strict=True)
            },
            tables=read_tables(Path(given.tables)),
            figures={Path(path).stem: Path(path) for path in pictures},
            datasets={
                name: read_findings(*paths)
                for name, *paths in zip(
                    config.datasets, given.manifests, given.defects, given.caches, given.failures, strict=True
                )
            },
            folds=[json.loads(Path(path).with_name("fold.json").read_text()) for path in given.folds],
            benchmarks=read_benchmarks(Path(snakemake.params.benchmarks)),
        )
    )
    job.write_text(snakemake.output.html, page)
    print(f"{len(page) / 1e6:.1f} MB")


def read_findings(manifest, defects, cache, failures):
    """What is known about one dataset."""
    aligned = read_cache(cache)
    return assemble.DatasetFindings(
        read_manifest(manifest), read_csv(defects), aligned.detector, read_csv(failures), aligned.inside
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
