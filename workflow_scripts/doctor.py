"""Read the datasets anew and print what is found, on the screen and in the log."""

import sys
from pathlib import Path

from mer_core import job
from mer_core.config.datasets import Doctor
from mer_core.datasets import composite, doctor
from mer_core.datasets.reading import parse_settings, published, read_dataset
from mer_core.errors import UserError


def main(snakemake):
    params = snakemake.params
    severity, summaries, samples = Doctor.model_validate(params.doctor).severity, [], {}
    for name, section in params.datasets.items():
        settings = parse_settings(section)
        if settings.layout == "composite":  # whose parts stand before it
            layouts = {part: params.datasets[part]["layout"] for part in settings.parts}
            whole = composite.join(settings, [samples[part] for part in settings.parts], name)
            summaries.append(composite.summarize(name, whole, settings, layouts))
            continue
        samples[name], defects = read_dataset(name, settings, Path(params.roots[name]), severity)
        summaries.append(doctor.summarize(samples[name], defects, settings, published(settings)))
    text = "\n\n".join(summaries)
    job.write_text(snakemake.log[0], text)
    print(text)


if __name__ == "__main__":
    job.print_any_text()
    try:
        main(snakemake)
    except UserError as error:
        sys.exit(f"error: {error}")
