"""Apex-frame micro-expression recognition: from annotated faces on disk to tables and report."""

from os.path import relpath

from snakemake.utils import min_version

min_version("9.20")


configfile: relpath(workflow.source_path("config.yaml"))


report: "rules/report/workflow.rst"


# Each target of a study is an experiment, which comes back here without that key.
include: "rules/study.smk" if config.get("study") else "rules/experiment.smk"


localrules:
    all,


rule all:
    """The report, and the folds and tables that it is made of: one that was lost is made again."""
    default_target: True
    input:
        "<results>/report.html",
        EVERY_FOLD,
        EVERY_TABLE,


onsuccess:
    if Path(f"{RESULTS}/report.html").exists():
        print(f"The report: {RESULTS}/report.html")


onerror:
    print("The log of what failed is above. Mend the cause and run the same command again: it continues.")
