"""Read a dataset's annotations and files; list its samples and its defects."""

from pathlib import Path

from mer_core import job
from mer_core.config.datasets import Doctor
from mer_core.csvs import write_csv
from mer_core.datasets import doctor
from mer_core.datasets.manifest import write_manifest
from mer_core.datasets.reading import parse_settings, published, read_dataset


def main(snakemake):
    name = snakemake.wildcards.dataset
    settings = parse_settings(snakemake.params.dataset)
    severity = Doctor.model_validate(snakemake.params.doctor).severity
    samples, defects = read_dataset(name, settings, Path(snakemake.params.root), severity)
    summary = doctor.summarize(samples, defects, settings, published(settings))
    print(summary)
    write_manifest(samples, snakemake.output.samples)
    write_csv(defects, snakemake.output.defects)
    job.write_text(snakemake.output.summary, summary)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
