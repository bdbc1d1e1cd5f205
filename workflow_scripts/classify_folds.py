"""Train and test a comparison method's classifier on every fold."""

from pathlib import Path

from mer_core import job
from mer_core.baselines.folds import classify_folds
from mer_core.config.baselines import Baseline


def main(snakemake):
    params = snakemake.params
    classify_folds(
        Path(snakemake.input.features),
        Path(snakemake.input.manifest),
        params.folds,
        Path(snakemake.output.predictions[0]).parents[1],
        baseline=Baseline.model_validate(params.baseline),
        classes=params.classes,
        seed=params.seed,
        groups=params.groups,
        code=params.code,
        identity=params.identity,
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
