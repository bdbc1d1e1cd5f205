"""Describe the clips of the target in one way; clips whose sources are unchanged are kept."""

from mer_core import job
from mer_core.baselines.extraction import extract_features
from mer_core.datasets.manifest import read_manifest
from mer_core.faces.cache import read_cache


def main(snakemake):
    params = snakemake.params
    extract_features(
        read_cache(snakemake.input.cache),
        read_manifest(snakemake.input.manifest),
        params.root,
        snakemake.output[0],
        settings=params.features,
        size=params.size,
        code=params.code,
        processes=snakemake.threads,
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
