"""Write the simulated stand-in of one dataset."""

from mer_core import job
from mer_core.config.simulation import Simulation
from mer_core.simulation.samm import simulate_samm
from mer_core.simulation.smic import simulate_smic
from mer_core.simulation.writers import simulate_casme2, simulate_ckplus

WRITERS = {
    "casme2": simulate_casme2,
    "ckplus": simulate_ckplus,
    "samm": simulate_samm,
    "smic": simulate_smic,
}


def main(snakemake):
    write = WRITERS[snakemake.params.layout]
    settings = Simulation.model_validate(snakemake.params.simulation)
    write(snakemake.output[0], settings, processes=snakemake.threads)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
