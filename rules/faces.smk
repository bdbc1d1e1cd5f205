# Checkpoints as manifests are: a copy that was moved, or code that was rewritten, may give the same faces.
checkpoint align_faces:
    """Find, level and crop the faces of a dataset; images that did not change are kept."""
    input:
        pictures=pictures_of,
        manifest="<results>/manifests/{dataset}.csv",
        landmarks=landmark_table,
    output:
        cache="<results>/aligned/{dataset}.h5",
        failures="<results>/aligned/{dataset}.failures.csv",
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
        link_roots=link_roots_of,
        alignment=alignment_of,
        code=code_digest("workflow_scripts/align_faces.py"),
    script:
        "../workflow_scripts/align_faces.py"


checkpoint draw_input:
    """Draw what networks see of a dataset other than the apex; samples that did not change are kept."""
    input:
        pictures=pictures_of,
        manifest="<results>/manifests/{dataset}.csv",
        cache="<results>/aligned/{dataset}.h5",
    output:
        cache="<results>/inputs/{input}/{dataset}.h5",
        failures="<results>/inputs/{input}/{dataset}.failures.csv",
    log:
        "<logs>/draw_input/{input}/{dataset}.log",
    benchmark:
        "<benchmarks>/draw_input/{input}/{dataset}.tsv"
    wildcard_constraints:
        dataset="|".join(CONFIG.datasets),
    conda:
        "../envs/faces.yaml"
    threads: 4
    resources:
        mem="4GB",
        runtime="4h",
    params:
        root=dataset_root,
        input=input_settings,
        code=code_digest("workflow_scripts/draw_input.py"),
    script:
        "../workflow_scripts/draw_input.py"
