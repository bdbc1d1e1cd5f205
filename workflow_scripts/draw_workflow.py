"""Draw the graph of the rules, as Snakemake itself sees it for this configuration."""

import subprocess
import sys
from pathlib import Path

from mer_core import job
from mer_core.evaluation.figures import save_figure
from mer_core.evaluation.rulegraph import read_edges, workflow_graph


def main(snakemake):
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakemake.params.snakefile]
    command += ["--configfile", snakemake.input.config, "--rulegraph", "mermaid-js", "--forceall"]
    graph = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    save_figure(workflow_graph(read_edges(graph)), Path(snakemake.output.png).with_suffix(""))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
