TABLES = ["table1_loss", "table2_attention", "table3_methods", "per_class", "transfer"]
TABLES += ["pretraining"] if CONFIG.source else []
FIGURES = ["class_distribution", "variants", "confusion", "subject_accuracy", "learning_curves"]
SHOWN = [name for name, dataset in CONFIG.datasets.items() if shows_faces(dataset)]


def folds_of(wildcards):
    """The predictions of a variant's folds, over all seeds."""
    return collect(
        "<results>/folds/{variant}/seed{seed}/{subject}/predictions.csv",
        variant=wildcards.variant,
        seed=CONFIG.seeds,
        subject=CONFIG.folds,
    )


rule score_variant:
    """Pool a variant's folds and score them."""
    input:
        predictions=folds_of,
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        failures=f"<results>/aligned/{CONFIG.target}.failures.csv",
    output:
        metrics="<results>/metrics/{variant}.json",
        predictions="<results>/metrics/{variant}.predictions.csv",
        history="<results>/metrics/{variant}.history.csv",
    log:
        "<logs>/score_variant/{variant}.log",
    benchmark:
        "<benchmarks>/score_variant/{variant}.tsv"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        classes=CONFIG.datasets[CONFIG.target].class_names,
        seeds=CONFIG.seeds,
        evaluation=dump(CONFIG.evaluation),
        code=code_digest("workflow_scripts/score_variant.py"),
    conda:
        "../envs/evaluation.yaml"
    script:
        "../workflow_scripts/score_variant.py"


rule build_tables:
    """The paper's tables recomputed beside the printed figures, and our own."""
    input:
        metrics=collect("<results>/metrics/{variant}.json", variant=CONFIG.variant),
        predictions=collect("<results>/metrics/{variant}.predictions.csv", variant=CONFIG.variant),
        selected=collect("<results>/pretrain/{variant}/selected.json", variant=PRETRAINED),
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        failures=f"<results>/aligned/{CONFIG.target}.failures.csv",
    output:
        csv=report(
            collect("<results>/tables/{table}.csv", table=TABLES),
            caption="report/tables.rst",
            category="Tables",
        ),
        md=collect("<results>/tables/{table}.md", table=TABLES),
        tex=collect("<results>/tables/{table}.tex", table=TABLES),
        json="<results>/tables/tables.json",
    log:
        "<logs>/build_tables.log",
    benchmark:
        "<benchmarks>/build_tables.tsv"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        variants=dump(CONFIG.variants),
        losses={name: dump(loss) for name, loss in CONFIG.losses.items()},
        evaluation=dump(CONFIG.evaluation),
        target=CONFIG.target,
        simulated=SIMULATED_DATASETS,
        code=code_digest("workflow_scripts/build_tables.py"),
    conda:
        "../envs/evaluation.yaml"
    script:
        "../workflow_scripts/build_tables.py"
