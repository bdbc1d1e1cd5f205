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
