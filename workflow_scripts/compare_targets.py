"""Put the rows of several experiments together: one table, one picture, one page."""

from pathlib import Path

from mer_core import job
from mer_core.config.experiment import load_config
from mer_core.report import figures, study
from mer_core.report.typeset import read_tables, write_table


def main(snakemake):
    config, given, made = load_config(snakemake.params.config), snakemake.input, snakemake.output
    methods = {
        target: read_tables(Path(tables), ["methods"])["methods"].frame
        for target, tables in zip(config.study, given.tables, strict=True)
    }
    ranking = study.ranking_of(methods, config)
    table = study.build_table(methods, ranking, config)
    write_table(table, Path(made.csv).with_suffix(""))
    figure = figures.critical_difference(ranking.mean, ranking.groups, ranking.critical)
    figures.save_figure(figure, Path(made.svg).with_suffix(""))
    job.write_text(made.html, study.render(config, table, ranking, Path(made.svg)))
    print(f"{table.caption}\n{table.shown.to_string(index=False)}\n")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
