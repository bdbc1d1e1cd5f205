rule align_faces:
    """Find, level and crop the faces of a dataset; images that did not change are kept."""
    input:
        root=simulated_root,
        manifest="<results>/manifests/{dataset}.csv",
        landmarks=landmark_table,
    output:
        cache=update("<results>/aligned/{dataset}.h5"),
        failures=update("<results>/aligned/{dataset}.failures.csv"),
    log:
        "<logs>/align_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/align_faces/{dataset}.tsv"
    conda:
        "../envs/faces.yaml"
    threads: 4
    resources:
        mem="4GB",
        runtime="2h",
    params:
        root=dataset_root,
        alignment=alignment_of,
        code=code_digest("workflow_scripts/align_faces.py"),
    script:
        "../workflow_scripts/align_faces.py"
