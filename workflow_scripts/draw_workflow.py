"""Draw the stages of the workflow, their rules, and what builds on what."""

from pathlib import Path

from mer_core import job
from mer_core.report.figures import save_figure, stages


def main(snakemake):
    figure = stages(snakemake.params.rules, snakemake.params.builds_on)
    save_figure(figure, Path(snakemake.output[0]).with_suffix(""), kinds=("svg",))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
