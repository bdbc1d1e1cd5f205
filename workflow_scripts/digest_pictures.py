"""Digest the pictures that a dataset's samples are made of, and the landmarks that lie among them."""

from pathlib import Path

from mer_core import job
from mer_core.datasets.clips import pictures_digest
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import included, read_manifest
from mer_core.faces.given import landmark_files
from mer_core.provenance import file_digest, value_digest


def main(snakemake):
    params, samples = snakemake.params, included(read_manifest(snakemake.input.samples))
    root = Root(params.root, params.link_roots)
    landmarks = {file.name: file_digest(file) for file in landmark_files(root)} if params.landmarks else None
    digest = value_digest([pictures_digest(Path(params.root), samples), landmarks])
    job.write_text(snakemake.output[0], f"{digest}\n")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
