"""Look at a composite as a whole, and print what it is put together of."""

from mer_core import job
from mer_core.config.datasets import Doctor
from mer_core.config.layouts.composite import Composite
from mer_core.csvs import write_csv
from mer_core.datasets import composite
from mer_core.datasets.checks import check_classes
from mer_core.datasets.defects import Findings
from mer_core.datasets.manifest import read_manifest


def main(snakemake):
    name, params = snakemake.wildcards.composite, snakemake.params
    settings = Composite.model_validate(params.composite)
    parts = [read_manifest(path) for path in snakemake.input.samples]
    whole = composite.join(settings, parts, name)
    findings = Findings(Doctor.model_validate(params.doctor).severity)
    check_classes(whole, settings, name, findings)
    summary = composite.summarize(name, whole, settings, params.layouts)
    print(summary)
    write_csv(findings.table(), snakemake.output.defects)
    job.write_text(snakemake.output.summary, summary)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
