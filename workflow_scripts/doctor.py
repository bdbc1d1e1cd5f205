"""Print what the doctor found, on the screen and in the log."""

from pathlib import Path

from mer_core import job


def main(snakemake):
    text = "\n\n".join(Path(summary).read_text(encoding="utf-8") for summary in snakemake.input.summaries)
    job.write_text(snakemake.log[0], text)
    print(text)


if __name__ == "__main__":
    main(snakemake)
