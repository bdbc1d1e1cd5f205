localrules:
    merge_caches,


rule align_faces:
    """Find, level and crop the faces of one subject; images that did not change are kept."""
    input:
        root=simulated_root,
        manifest="<results>/manifests/{dataset}.csv",
    output:
        shard=update("<results>/aligned/{dataset}/{subject}.h5"),
        failures=update("<results>/aligned/{dataset}/{subject}.failures.csv"),
    log:
        "<logs>/align_faces/{dataset}/{subject}.log",
    benchmark:
        "<benchmarks>/align_faces/{dataset}/{subject}.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="1GB",
        runtime="30m",
    params:
        root=dataset_root,
        alignment=alignment_of,
        code=code_digest("workflow_scripts/align_faces.py"),
    script:
        "../workflow_scripts/align_faces.py"


rule merge_caches:
    """Put the subjects' shards into the one file that training reads."""
    input:
        unpack(shards_of),
    output:
        cache="<results>/aligned/{dataset}.h5",
        failures="<results>/aligned/{dataset}.failures.csv",
    log:
        "<logs>/merge_caches/{dataset}.log",
    benchmark:
        "<benchmarks>/merge_caches/{dataset}.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        code=code_digest("workflow_scripts/merge_caches.py"),
    script:
        "../workflow_scripts/merge_caches.py"
