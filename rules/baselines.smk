rule extract_features:
    """Describe the clips of one subject for every baseline; what did not change is kept."""
    input:
        root=simulated_root,
        manifest="<results>/manifests/{dataset}.csv",
        shard="<results>/aligned/{dataset}/{subject}.h5",
    output:
        update("<results>/features/{dataset}/{subject}.h5"),
    log:
        "<logs>/extract_features/{dataset}/{subject}.log",
    benchmark:
        "<benchmarks>/extract_features/{dataset}/{subject}.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="2GB",
        runtime="1h",
    params:
        root=dataset_root,
        size=CONFIG.features.size,
        features={row.name: dump(row.features) for row in CONFIG.baselines},
        code=code_digest("workflow_scripts/extract_features.py"),
    script:
        "../workflow_scripts/extract_features.py"


rule classify_folds:
    """Answer for each subject by a classifier that was trained on the others; all folds at once."""
    input:
        features=collect(
            "<results>/features/{dataset}/{subject}.h5",
            dataset=CONFIG.target,
            subject=CONFIG.datasets[CONFIG.target].subjects,
        ),
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
    output:
        predictions=collect(
            "<results>/folds/{baseline}/seed{seed}/{subject}/predictions.csv",
            seed=CONFIG.seeds[0],
            subject=CONFIG.folds,
            allow_missing=True,
        ),
        folds=collect(
            "<results>/folds/{baseline}/seed{seed}/{subject}/fold.json",
            seed=CONFIG.seeds[0],
            subject=CONFIG.folds,
            allow_missing=True,
        ),
    log:
        "<logs>/classify_folds/{baseline}.log",
    benchmark:
        "<benchmarks>/classify_folds/{baseline}.tsv"
    conda:
        "../envs/baselines.yaml"
    resources:
        mem="2GB",
        runtime="1h",
    params:
        baseline=baseline_settings,
        classes=CONFIG.datasets[CONFIG.target].class_names,
        subjects=CONFIG.folds,
        seed=CONFIG.seeds[0],
        code=code_digest("workflow_scripts/classify_folds.py"),
    script:
        "../workflow_scripts/classify_folds.py"
