"""Put the manifests and the aligned faces of a composite's parts together."""

import pandas as pd

from mer_core import job
from mer_core.config.layouts.composite import Composite
from mer_core.csvs import read_csv, write_csv
from mer_core.datasets import composite
from mer_core.datasets.doctor import stop_on_errors
from mer_core.datasets.manifest import included, read_manifest, write_manifest
from mer_core.faces.cache import join_caches


def main(snakemake):
    given, output = snakemake.input, snakemake.output
    stop_on_errors(read_csv(given.defects), given.defects)
    settings = Composite.model_validate(snakemake.params.composite)
    parts = [read_manifest(path) for path in given.manifests]
    whole = composite.join(settings, parts, snakemake.wildcards.composite)
    wanted = set(included(whole).sample_id)
    failures = pd.concat([read_csv(path) for path in given.failures], ignore_index=True)
    join_caches(output.cache, given.caches, wanted)
    write_csv(failures[failures.sample_id.isin(wanted)], output.failures)
    write_manifest(whole, output.manifest)
    print(f"{len(wanted)} samples of {whole.subject.nunique()} subjects")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
