"""Draw what networks see of a dataset's samples other than the apex; what is unchanged is kept."""

from pydantic import TypeAdapter

from mer_core import job
from mer_core.config.inputs import AnyInput
from mer_core.datasets.manifest import read_manifest
from mer_core.faces.cache import read_cache
from mer_core.inputs.build import build_input


def main(snakemake):
    params = snakemake.params
    build_input(
        read_cache(snakemake.input.cache),
        read_manifest(snakemake.input.manifest),
        params.root,
        snakemake.output.cache,
        snakemake.output.failures,
        settings=TypeAdapter(AnyInput).validate_python(params.input),
        code=params.code,
        processes=snakemake.threads,
    )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
