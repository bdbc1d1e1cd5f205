"""Write the source's manifest without those whom a fold leaves out."""

from mer_core import job
from mer_core.datasets.folds import held_out
from mer_core.datasets.manifest import read_manifest, write_manifest
from mer_core.datasets.people import Named, without


def main(snakemake):
    params, fold = snakemake.params, snakemake.wildcards.subject
    source, target = (read_manifest(snakemake.input[role]) for role in ("source", "target"))
    left_out = held_out(target, fold, params.groups)
    rest = without(
        Named(params.source, source), Named(params.target, target), left_out, [*map(tuple, params.shared)]
    )
    write_manifest(rest, snakemake.output[0])
    gone = source["included"].sum() - rest["included"].sum()
    print(f"{fold}: {gone} of {source['included'].sum()} samples of {params.source} are not pretrained on")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
