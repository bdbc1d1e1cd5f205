# Baselines that describe clips alike share a file, and what it is called depends on nobody else.
EMBEDDINGS = {describes(row): row.features for row in CONFIG.baselines if isinstance(row.features, Embedding)}
DESCRIPTIONS = {
    name: dump(row.features) for row in CONFIG.baselines if (name := describes(row)) not in EMBEDDINGS
}


checkpoint extract_features:
    """Describe the target's clips in one way; clips that did not change are kept."""
    input:
        pictures=pictures_of,
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        cache=f"<results>/aligned/{CONFIG.target}.h5",
    output:
        "<results>/features/{description}.h5",
    log:
        "<logs>/extract_features/{description}.log",
    benchmark:
        "<benchmarks>/extract_features/{description}.tsv"
    wildcard_constraints:
        description="|".join(DESCRIPTIONS) or "(?!)",
    conda:
        "../envs/faces.yaml"
    threads: 4
    resources:
        mem="4GB",
        runtime="4h",
    params:
        root=dataset_root,
        size=CONFIG.features.size,
        features=description_settings,
        code=description_code,
    script:
        "../workflow_scripts/extract_features.py"


rule embed_samples:
    """Describe the target's apexes by what the classifier of a network sees that was trained on others."""
    input:
        cache=f"<results>/aligned/{CONFIG.target}.h5",
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        weights=embedding_weights,
    output:
        "<results>/features/{embedding}.h5",
    log:
        "<logs>/embed_samples/{embedding}.log",
    benchmark:
        "<benchmarks>/embed_samples/{embedding}.tsv"
    wildcard_constraints:
        embedding="|".join(EMBEDDINGS) or "(?!)",
    conda:
        "../envs/training.yaml"
    threads: CONFIG.compute.threads
    resources:
        mem="2GB",
        runtime="1h",
    params:
        classes=CONFIG.datasets[CONFIG.target].class_names,
        variant=embedding_variant,
        reduction=embedding_reduction,
        normalization=embedding_normalization,
        code=embedding_code,
    script:
        "../workflow_scripts/embed_samples.py"


rule classify_folds:
    """Answer for each subject by a classifier that was trained on the others; all folds at once."""
    input:
        features=described,
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        failures=f"<results>/aligned/{CONFIG.target}.failures.csv",  # as of train_fold
    output:
        predictions=collect(
            "<results>/folds/{baseline}/seed{seed}/{subject}/predictions.csv",
            seed=CONFIG.seeds[0],
            subject=CONFIG.fold_names,
            allow_missing=True,
        ),
        folds=collect(
            "<results>/folds/{baseline}/seed{seed}/{subject}/fold.json",
            seed=CONFIG.seeds[0],
            subject=CONFIG.fold_names,
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
        folds=CONFIG.fold_names,
        groups=CONFIG.groups,
        seed=CONFIG.seeds[0],
        identity=fold_identity,
        code=code_digest("workflow_scripts/classify_folds.py"),
    script:
        "../workflow_scripts/classify_folds.py"
