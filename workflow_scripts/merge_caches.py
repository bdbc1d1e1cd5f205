"""Merge the subjects' shards into one cache, and their lists of faces that were not found."""

import pandas as pd

from mer_core import job
from mer_core.csvs import read_csv, write_csv
from mer_core.faces.cache import merge_caches


def main(snakemake):
    merge_caches(snakemake.input.shards, snakemake.output.cache)
    failures = pd.concat([read_csv(path) for path in snakemake.input.failures])
    write_csv(failures, snakemake.output.failures)
    print(f"{len(failures)} faces were not found")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
