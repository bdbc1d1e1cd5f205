"""Draw the time of every job so far."""

from pathlib import Path

from mer_core import job
from mer_core.report.figures import read_benchmarks, save_figure, step_times


def main(snakemake):
    benchmarks = read_benchmarks(Path(snakemake.params.benchmarks))
    save_figure(step_times(benchmarks), Path(snakemake.output.png).with_suffix(""))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
