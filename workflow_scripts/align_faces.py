"""Align the faces of a dataset; an image that is unchanged, and so are its settings, is kept."""

from mer_core import job
from mer_core.config.alignment import Alignment
from mer_core.datasets.manifest import included, read_manifest
from mer_core.faces.samples import align_samples


def main(snakemake):
    align_samples(
        snakemake.wildcards.dataset,
        included(read_manifest(snakemake.input.manifest)),
        snakemake.params.root,
        Alignment.model_validate(snakemake.params.alignment),
        snakemake.output.cache,
        snakemake.output.failures,
        processes=snakemake.threads,
        link_roots=snakemake.params.link_roots,
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
