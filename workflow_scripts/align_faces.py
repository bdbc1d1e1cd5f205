"""Align the faces of one subject; a shard whose sources and settings are unchanged is kept."""

from pathlib import Path

import cv2
import pandas as pd

from mer_core import job
from mer_core.config.alignment import Alignment
from mer_core.csvs import write_csv
from mer_core.datasets.manifest import included, read_manifest
from mer_core.errors import UserError
from mer_core.faces.alignment import align_samples, tell_inside
from mer_core.faces.cache import SHARD, read_cache, write_cache
from mer_core.provenance import file_digest, value_digest


def main(snakemake):
    cv2.setNumThreads(snakemake.threads)
    shard, failures = Path(snakemake.output.shard), Path(snakemake.output.failures)
    root = Path(snakemake.params.root)
    samples = included(read_manifest(snakemake.input.manifest))
    samples = samples[samples.subject == snakemake.wildcards.subject]
    sources = [[row.sample_id, file_digest(root / row.frame_path)] for row in samples.itertuples()]
    origin = value_digest([sources, snakemake.params.alignment, snakemake.params.code])
    if is_current(shard, failures, origin):
        print(f"{len(samples)} images and their settings are unchanged: kept")
        shard.touch()
        failures.touch()
        return
    settings = Alignment.model_validate(snakemake.params.alignment)
    aligned, failed = align_samples(samples, root, settings)
    aligned.attributes[SHARD] = origin
    write_cache(shard, aligned)
    table = pd.DataFrame(failed, columns=["sample_id", "message"])
    write_csv(table, failures)
    print(f"{len(aligned.sample_id)} faces aligned, {len(failed)} not found")
    tell_inside(aligned.inside, snakemake.wildcards.dataset)


def is_current(shard, failures, origin):
    """Whether both files are there from an earlier run on the same images with the same settings."""
    if not (shard.exists() and failures.exists()):
        return False
    try:
        read_cache(shard, expect={SHARD: origin})
    except UserError:
        return False
    return True


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
