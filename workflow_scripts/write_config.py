"""Write down the checked configuration."""

from mer_core import job


def main(snakemake):
    job.write_json(snakemake.output[0], snakemake.params.config)


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
