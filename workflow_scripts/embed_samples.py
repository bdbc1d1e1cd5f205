"""Describe the samples of the target by what the last layer of a network sees of them."""

from pathlib import Path

from mer_core import job

with job.importing():
    import torch

    from mer_core.baselines.features import Features, write_features
    from mer_core.config.models import Variant
    from mer_core.training.embedding import embed


def main(snakemake):
    params = snakemake.params
    torch.set_num_threads(snakemake.threads)
    weights = snakemake.input.get("weights")
    described = embed(
        Path(snakemake.input.cache),
        Path(snakemake.input.manifest),
        params.classes,
        variant=Variant.model_validate(params.variant) if weights else None,
        reduction=params.reduction,
        normalization=params.normalization,
        weights=Path(weights) if weights else None,
        code=params.code,
    )
    write_features(snakemake.output[0], Features(*described))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
