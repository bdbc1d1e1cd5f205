"""Print what was measured of the jobs so far, and what the whole plan will take."""

from pathlib import Path

from mer_core import job
from mer_core.report.cost import cost, describe_cost
from mer_core.report.figures import read_benchmarks


def main(snakemake):
    benchmarks = read_benchmarks(Path(snakemake.params.benchmarks))
    text = describe_cost(cost(benchmarks, snakemake.params.planned))
    job.write_text(snakemake.log[0], text)
    print(text)


if __name__ == "__main__":
    job.print_any_text()
    main(snakemake)
