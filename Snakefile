"""Apex-frame micro-expression recognition: from annotated faces on disk to tables and report."""

from os.path import relpath

from snakemake.utils import min_version

min_version("9.20")


configfile: relpath(workflow.source_path("config.yaml"))


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/data.smk"
include: "rules/faces.smk"
include: "rules/baselines.smk"
include: "rules/pretrain.smk"
include: "rules/folds.smk"
include: "rules/models.smk"
include: "rules/evaluation.smk"


localrules:
    all,


rule all:
    """The report, and the folds that it is made of: one that was lost is trained again."""
    default_target: True
    input:
        "<results>/report.html",
        EVERY_FOLD,


onsuccess:
    if Path(f"{RESULTS}/report.html").exists():
        print(f"The report: {RESULTS}/report.html")


onerror:
    print("The log of what failed is above. Mend the cause and run the same command again: it continues.")
