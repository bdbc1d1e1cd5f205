"""Draw a contact sheet of the aligned faces that may be shown."""

from pathlib import Path

import numpy as np

from mer_core import job
from mer_core.config.report import Report
from mer_core.datasets.manifest import read_manifest
from mer_core.faces.cache import read_cache
from mer_core.report.figures import save_figure
from mer_core.report.pictures import contact_sheet, may_show, notice

MOST = 64  # faces on a sheet, spread evenly over the dataset


def main(snakemake):
    dataset, about = snakemake.wildcards.dataset, snakemake.params.about
    settings = Report.model_validate(snakemake.params.report)
    aligned = read_cache(snakemake.input.cache)
    samples = read_manifest(snakemake.input.manifest).set_index("sample_id").loc[aligned.sample_id]
    shown = np.flatnonzero(
        [may_show(dataset, subject, **about, settings=settings) for subject in samples.subject]
    )
    shown = shown[np.linspace(0, len(shown) - 1, min(MOST, len(shown))).round().astype(int)]
    print(f"{len(shown)} of {len(samples)} faces are shown")
    figure = contact_sheet(
        aligned.images[shown],
        samples.label.iloc[shown].tolist(),
        [aligned.detector[index] for index in shown],
        credit=notice(**about),
    )
    save_figure(figure, Path(snakemake.output.png).with_suffix(""))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
