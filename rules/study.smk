"""One list of rows over several targets: each an experiment of its own, and what they say together."""

from pathlib import Path

from mer_core.config import dump, load_config
from mer_core.errors import UserError
from mer_core.provenance import code_digest

try:
    settings = {key: value for key, value in config.items() if key != "pathvars"}
    CONFIG = load_config(settings, files=workflow.configfiles)
    for target in CONFIG.study:
        CONFIG.for_target(target)
except UserError as error:
    raise WorkflowError(str(error))


pathvars:
    results=f"results/{CONFIG.experiment}",
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


RESULTS = workflow.pathvars.apply("<results>")

for target in CONFIG.study:
    # Snakemake looks up the word before the star, and puts its value there.
    before = f"{target}_"

    module:
        name: target
        pathvars:
            results=f"{RESULTS}/{target}",
        snakefile:
            "../Snakefile"
        config:
            settings | {"target": target, "study": None}

    use rule * from target as before*


# With all that belongs to the page of each target.
EVERY_FOLD = [getattr(rules, f"{target}_all").input for target in CONFIG.study]
EVERY_TABLE = "<results>/tables/study.csv"


localrules:
    compare_targets,


rule compare_targets:
    """Rank the rows on every target, compare their mean ranks."""
    input:
        tables=collect("<results>/{target}/tables/tables.json", target=CONFIG.study),
        methods=collect("<results>/{target}/tables/methods.csv", target=CONFIG.study),
    output:
        csv="<results>/tables/study.csv",
        md="<results>/tables/study.md",
        tex="<results>/tables/study.tex",
        png="<results>/figures/critical_difference.png",
        svg="<results>/figures/critical_difference.svg",
        html="<results>/report.html",
    log:
        "<logs>/compare_targets.log",
    benchmark:
        "<benchmarks>/compare_targets.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        config=dump(CONFIG),
        code=code_digest("workflow_scripts/compare_targets.py"),
    script:
        "../workflow_scripts/compare_targets.py"
