PRETRAINED = [variant.name for variant in CONFIG.variants if variant.init == "pretrained"]
# What was pretrained for them, of each fold by itself where the source shows whom it leaves out.
SELECTED = {
    name: collect(
        "<results>/pretrain/{variant}/{without}selected.json",
        variant=name,
        without=[*dict.fromkeys(map(unseen, CONFIG.fold_names))],
    )
    for name in PRETRAINED
}
TABLES = ["table1_loss", "table2_attention", "table3_methods", "methods", "per_class", "transfer"]
TABLES += ["parts"] if CONFIG.target in CONFIG.composites or CONFIG.groups == "split" else []
TABLES += ["pretraining"] if PRETRAINED else []
EVERY_TABLE = collect("<results>/tables/{table}.csv", table=TABLES)
FIGURES = ["class_distribution", "variants", "variants_narrow", "subject_accuracy", "learning_curves"]
FIGURES += ["agreement", "reliability"]
FIGURES += [f"confusion_{method}" for method in METHODS]
# Faces are drawn where the configuration allows it; subject by subject the script decides.
FACES_SHOWN = {
    True: ON_DISK,
    "simulated": [name for name in ON_DISK if name in CONFIG.simulated],
    False: [],
}[CONFIG.report.show_faces]
ATTENTION_SHOWN = [
    name
    for name in PRETRAINED
    if CONFIG.target in FACES_SHOWN
    and CONFIG.variant[name].is_the_papers
    and CONFIG.variant[name].attention in {"spatial", "dual", "cbam"}
]

# The files of rules, and what each builds on besides what that builds on.
STAGES = {
    "data": [],
    "faces": ["data"],
    "pretrain": ["faces"],
    "folds": ["pretrain"],
    "baselines": ["pretrain"],
    "evaluation": ["folds", "baselines"],
    "models": ["evaluation"],
}


localrules:
    build_tables,
    cost,
    draw_attention,
    draw_faces,
    draw_figures,
    draw_times,
    draw_workflow,
    score_variant,
    write_report,


rule score_variant:
    """Pool the folds of a variant or a comparison method and score them."""
    input:
        unpack(folds_of),
        unpack(sources_of),
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        failures=not_seen,
    output:
        metrics="<results>/metrics/{variant}.json",
        predictions="<results>/metrics/{variant}.predictions.csv",
    log:
        "<logs>/score_variant/{variant}.log",
    benchmark:
        "<benchmarks>/score_variant/{variant}.tsv"
    wildcard_constraints:
        variant="|".join(METHODS),
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        classes=CONFIG.datasets[CONFIG.target].class_names,
        seeds=seeds_of,
        evaluation=dump(CONFIG.evaluation.scoring),
        identity=fold_identity,
        groups=CONFIG.groups,
        code=code_digest("workflow_scripts/score_variant.py"),
    script:
        "../workflow_scripts/score_variant.py"


rule build_tables:
    """The paper's tables recomputed beside the printed figures, and our own."""
    input:
        metrics=collect("<results>/metrics/{variant}.json", variant=METHODS),
        predictions=collect("<results>/metrics/{variant}.predictions.csv", variant=METHODS),
        selected=[path for paths in SELECTED.values() for path in paths],
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        failures=f"<results>/aligned/{CONFIG.target}.failures.csv",
    output:
        csv=[
            report(
                f"<results>/tables/{table}.csv",
                caption="report/tables.rst",
                category="Tables",
                labels={"table": table},
            )
            for table in TABLES
        ],
        md=collect("<results>/tables/{table}.md", table=TABLES),
        tex=collect("<results>/tables/{table}.tex", table=TABLES),
        json="<results>/tables/tables.json",
    log:
        "<logs>/build_tables.log",
    benchmark:
        "<benchmarks>/build_tables.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        variants=dump(CONFIG.variants),
        pretrained={name: len(paths) for name, paths in SELECTED.items()},
        sources={
            part: CONFIG.datasets[part].layout
            for part in (CONFIG.parts_of(CONFIG.source) if PRETRAINED else [])
        },
        transductive=[row.name for row in CONFIG.baselines if row.classifier.transductive],
        seen={name: seen_in_words(name) for name in METHODS},
        by_flow=[row.name for row in CONFIG.baselines if hasattr(row.features, "flow")],
        losses={name: dump(loss) for name, loss in CONFIG.losses.items()},
        evaluation=dump(CONFIG.evaluation),
        target=CONFIG.target,
        simulated=CONFIG.simulated,
        layouts=layouts_of_target,
        groups=CONFIG.groups,
        shared=CONFIG.shared_parts(CONFIG.target),
        by_fold=bool(CONFIG.shared_with_source),
        code=code_digest("workflow_scripts/build_tables.py"),
    script:
        "../workflow_scripts/build_tables.py"


rule draw_figures:
    """Draw what was measured: classes, confusion, subjects, learning curves, variants."""
    input:
        predictions=collect("<results>/metrics/{variant}.predictions.csv", variant=METHODS),
        histories=HISTORIES,
        manifests=collect("<results>/manifests/{dataset}.csv", dataset=CONFIG.datasets),
        failures=collect("<results>/aligned/{dataset}.failures.csv", dataset=CONFIG.datasets),
        tables=collect("<results>/tables/{table}.csv", table=TABLES[:3]),
    output:
        png=collect("<results>/figures/{figure}.png", figure=FIGURES),
        svg=[
            report(
                f"<results>/figures/{figure}.svg",
                caption="report/figures.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in FIGURES
        ],
    log:
        "<logs>/draw_figures.log",
    benchmark:
        "<benchmarks>/draw_figures.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        classes={name: dataset.class_names for name, dataset in CONFIG.datasets.items()},
        target=CONFIG.target,
        simulated=CONFIG.simulated,
        confidence=CONFIG.evaluation.confidence,
        seed=CONFIG.evaluation.seed,
        code=code_digest("workflow_scripts/draw_figures.py"),
    script:
        "../workflow_scripts/draw_figures.py"


rule draw_faces:
    """A contact sheet of a dataset's aligned faces, as far as they may be shown."""
    input:
        cache="<results>/aligned/{dataset}.h5",
        manifest="<results>/manifests/{dataset}.csv",
    output:
        png=report(
            "<results>/figures/faces_{dataset}.png",
            caption="report/faces.rst",
            category="Data",
            labels={"dataset": "{dataset}", "what": "aligned faces"},
        ),
        svg="<results>/figures/faces_{dataset}.svg",
    log:
        "<logs>/draw_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/draw_faces/{dataset}.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        about=about_faces,
        report=dump(CONFIG.report),
        code=code_digest("workflow_scripts/draw_faces.py"),
    script:
        "../workflow_scripts/draw_faces.py"


rule check_faces:
    """Contact sheets of all datasets' faces, doubtful ones first: private, and no part of the report."""
    input:
        caches=collect("<results>/aligned/{dataset}.h5", dataset=ON_DISK),
        manifests=collect("<results>/manifests/{dataset}.csv", dataset=ON_DISK),
    output:
        collect("<results>/private/faces_{dataset}.png", dataset=ON_DISK),
    log:
        "<logs>/check_faces.log",
    benchmark:
        "<benchmarks>/check_faces.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="4GB",
        runtime="10m",
    params:
        roots={name: root_of(name) for name in ON_DISK},
        code=code_digest("workflow_scripts/check_faces.py"),
    script:
        "../workflow_scripts/check_faces.py"


rule draw_attention:
    """Where the spatial attention looks that pretraining has learnt, over faces that may be shown."""
    input:
        cache=f"<results>/aligned/{CONFIG.target}.h5",
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        weights=f"<results>/pretrain/{{variant}}/{unseen(CONFIG.fold_names[0])}selected.safetensors",
    output:
        png=report(
            "<results>/figures/attention_{variant}.png",
            caption="report/attention.rst",
            category="Figures",
            labels={"figure": "attention_{variant}"},
        ),
        svg="<results>/figures/attention_{variant}.svg",
    log:
        "<logs>/draw_attention/{variant}.log",
    benchmark:
        "<benchmarks>/draw_attention/{variant}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem="4GB",
        runtime="10m",
    params:
        variant=variant_settings,
        target=CONFIG.target,
        about=about_faces,
        classes=CONFIG.datasets[CONFIG.target].class_names,
        pretraining=pretraining_settings,
        reduction=reduction,
        report=dump(CONFIG.report),
        code=code_digest("workflow_scripts/draw_attention.py"),
    script:
        "../workflow_scripts/draw_attention.py"


rule draw_times:
    """Draw the time of every job that was run for the tables."""
    input:
        tables="<results>/tables/tables.json",
    output:
        png="<results>/figures/times.png",
        svg=report(
            "<results>/figures/times.svg",
            caption="report/times.rst",
            category="Figures",
            labels={"figure": "times"},
        ),
    log:
        "<logs>/draw_times.log",
    benchmark:
        "<benchmarks>/draw_times.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="1GB",
        runtime="10m",
    params:
        benchmarks=BENCHMARKS,
        code=code_digest("workflow_scripts/draw_times.py"),
    script:
        "../workflow_scripts/draw_times.py"


rule draw_workflow:
    """Draw what the workflow is made of: its stages, their rules, and what builds on what."""
    output:
        "<results>/figures/workflow.svg",
    log:
        "<logs>/draw_workflow.log",
    benchmark:
        "<benchmarks>/draw_workflow.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="1GB",
        runtime="10m",
    params:
        rules={stage: rules_of(stage) for stage in STAGES},
        builds_on=STAGES,
        code=code_digest("workflow_scripts/draw_workflow.py"),
    script:
        "../workflow_scripts/draw_workflow.py"


rule write_report:
    """Everything on one self-contained page."""
    input:
        config="<results>/config.json",
        metrics=collect("<results>/metrics/{variant}.json", variant=METHODS),
        predictions=collect("<results>/metrics/{variant}.predictions.csv", variant=METHODS),
        tables="<results>/tables/tables.json",
        csv=EVERY_TABLE,
        figures=collect("<results>/figures/{figure}.svg", figure=[*FIGURES, "times", "workflow"]),
        faces=collect("<results>/figures/faces_{dataset}.png", dataset=FACES_SHOWN),
        attention=collect("<results>/figures/attention_{variant}.png", variant=ATTENTION_SHOWN),
        folds=[f"{fold}/fold.json" for folds in FOLDS.values() for fold in folds],
        manifests=collect("<results>/manifests/{dataset}.csv", dataset=CONFIG.datasets),
        defects=collect("<results>/manifests/{dataset}.defects.csv", dataset=CONFIG.datasets),
        caches=collect("<results>/aligned/{dataset}.h5", dataset=CONFIG.datasets),
        failures=collect("<results>/aligned/{dataset}.failures.csv", dataset=CONFIG.datasets),
    output:
        html=report(
            "<results>/report.html",
            caption="report/page.rst",
            category="Page",
            labels={"page": "everything"},
        ),
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        benchmarks=BENCHMARKS,
        code=code_digest("workflow_scripts/write_report.py"),
    script:
        "../workflow_scripts/write_report.py"


rule cost:
    """Print the time and memory of the jobs so far, and what the whole plan will take; go no further."""
    log:
        "<logs>/cost.log",
    benchmark:
        "<benchmarks>/cost.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        benchmarks=BENCHMARKS,
        planned={
            "train_fold": {name: len(FOLDS[name]) for name in CONFIG.variant},
            "pretrain_model": {
                name: len(paths) * len(CONFIG.pretraining_splits) * len(CONFIG.pretraining_runs)
                for name, paths in SELECTED.items()
            },
            "classify_folds": dict.fromkeys(CONFIG.baseline, 1),
        },
        code=code_digest("workflow_scripts/cost.py"),
    script:
        "../workflow_scripts/cost.py"
