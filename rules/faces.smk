rule align_faces:
    """Find, level and crop the faces of one subject; images that did not change are kept."""
    input:
        root=simulated_root,
        manifest="<results>/manifests/{dataset}.csv",
    output:
        shard=update("<results>/aligned/{dataset}/{subject}.h5"),
        failures="<results>/aligned/{dataset}/{subject}.failures.csv",
    log:
        "<logs>/align_faces/{dataset}/{subject}.log",
    benchmark:
        "<benchmarks>/align_faces/{dataset}/{subject}.tsv"
    resources:
        mem="1GB",
        runtime="30m",
    params:
        dataset=dataset_settings,
        alignment=dump(CONFIG.alignment),
        code=code_digest("workflow_scripts/align_faces.py"),
    conda:
        "../envs/faces.yaml"
    script:
        "../workflow_scripts/align_faces.py"


rule merge_caches:
    """Put the subjects' shards into the one file that training reads."""
    input:
        shards=subject_files("<results>/aligned/{{dataset}}/{subject}.h5"),
        failures=subject_files("<results>/aligned/{{dataset}}/{subject}.failures.csv"),
    output:
        cache="<results>/aligned/{dataset}.h5",
        failures="<results>/aligned/{dataset}.failures.csv",
    log:
        "<logs>/merge_caches/{dataset}.log",
    benchmark:
        "<benchmarks>/merge_caches/{dataset}.tsv"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        code=code_digest("workflow_scripts/merge_caches.py"),
    conda:
        "../envs/faces.yaml"
    script:
        "../workflow_scripts/merge_caches.py"
