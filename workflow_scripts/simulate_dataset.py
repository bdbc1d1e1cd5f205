"""Write the simulated stand-in of one dataset."""

from mer_core import job
from mer_core.config.simulation import Simulation
from mer_core.simulation.writers import simulate


def main(snakemake):
    settings = Simulation.model_validate(snakemake.params.simulation)
    simulate(snakemake.params.layout, snakemake.output[0], settings, processes=snakemake.threads)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
