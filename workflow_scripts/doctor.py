"""Read the datasets anew and print what is found, on the screen and in the log."""

import sys
from pathlib import Path

from mer_core import job
from mer_core.config.datasets import Doctor
from mer_core.datasets import doctor
from mer_core.datasets.reading import layout, parse_settings, read_dataset
from mer_core.errors import UserError


def main(snakemake):
    severity, summaries = Doctor.model_validate(snakemake.params.doctor).severity, []
    for name, section in snakemake.params.datasets.items():
        settings = parse_settings(section)
        samples, defects = read_dataset(name, settings, Path(snakemake.params.roots[name]), severity)
        summaries.append(doctor.summarize(samples, defects, settings, layout(settings.layout).PUBLISHED))
    text = "\n\n".join(summaries)
    job.write_text(snakemake.log[0], text)
    print(text)


if __name__ == "__main__":
    try:
        main(snakemake)
    except UserError as error:
        sys.exit(f"error: {error}")
