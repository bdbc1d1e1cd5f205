"""Build the tables from the scores and pooled predictions of all variants."""

import json
from itertools import islice
from pathlib import Path

from mer_core import job
from mer_core.config.evaluation import Evaluation
from mer_core.config.models import Loss, Variant
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import read_manifest
from mer_core.evaluation.collect import expected_samples, read_pooled
from mer_core.report.tables import Results, build_tables
from mer_core.report.typeset import write_tables


def main(snakemake):
    params = snakemake.params
    absent = read_csv(snakemake.input.failures).sample_id
    metrics = [json.loads(Path(path).read_text()) for path in snakemake.input.metrics]
    names = [score["variant"] for score in metrics]
    predictions = [read_pooled(path) for path in snakemake.input.predictions]
    selected = (json.loads(Path(path).read_text()) for path in snakemake.input.selected)
    pretrained = {name: [*islice(selected, number)] for name, number in params.pretrained.items()}
    results = Results(
        metrics=dict(zip(names, metrics, strict=True)),
        predictions=dict(zip(names, predictions, strict=True)),
        samples=expected_samples(read_manifest(snakemake.input.manifest), absent, params.groups),
        variants=[Variant.model_validate(row) for row in params.variants],
        losses={name: Loss.model_validate(loss) for name, loss in params.losses.items()},
        settings=Evaluation.model_validate(params.evaluation),
        dataset=params.target,
        simulated=params.simulated,
        pretrained=pretrained,
        sources=params.sources,
        transductive=params.transductive,
        layouts=params.layouts,
        seen=params.seen,
        by_flow=params.by_flow,
        groups=params.groups,
        shared=params.shared,
        by_fold=params.by_fold,
    )
    tables = build_tables(results)
    write_tables(tables, Path(snakemake.output.json))
    for table in tables.values():
        print(f"{table.caption}\n{table.shown.to_string(index=False)}\n")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
