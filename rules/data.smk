# Local rules, here and below: what is short stays on the machine that submits to a cluster.
localrules:
    doctor,
    join_datasets,
    join_samples,
    read_dataset,
    write_config,
    write_manifest,


rule write_config:
    """Write down the checked configuration, every default and subject spelled out."""
    output:
        "<results>/config.json",
    log:
        "<logs>/write_config.log",
    benchmark:
        "<benchmarks>/write_config.tsv"
    conda:
        "../envs/data.yaml"
    params:
        config=dump(CONFIG),
        code=code_digest("workflow_scripts/write_config.py"),
    script:
        "../workflow_scripts/write_config.py"


rule simulate_dataset:
    """Write the stand-in for a licensed dataset in its on-disk layout."""
    output:
        directory("<results>/simulated/{dataset}"),
    log:
        "<logs>/simulate_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/simulate_dataset/{dataset}.tsv"
    conda:
        "../envs/faces.yaml"
    threads: 4
    resources:
        mem="4GB",
        runtime="1h",
    params:
        layout=layout_of,
        simulation=dump(CONFIG.simulation),
        faces=portraits,
        code=writer_code,
    script:
        "../workflow_scripts/simulate_dataset.py"


rule read_dataset:
    """Read annotations and files, compare them both ways, list samples and defects."""
    input:
        root=simulated_root,
    output:
        samples="<results>/manifests/{dataset}.samples.csv",
        defects="<results>/manifests/{dataset}.defects.csv",
        summary="<results>/manifests/{dataset}.summary.txt",
    log:
        "<logs>/read_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/read_dataset/{dataset}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem="2GB",
        runtime="30m",
    params:
        dataset=dataset_settings,
        root=dataset_root,
        doctor=dump(CONFIG.doctor),
        inventory=outside_data,
        code=reader_code,
    script:
        "../workflow_scripts/read_dataset.py"


rule doctor:
    """Read the datasets, always anew, print what was found, and go no further."""
    input:
        collect(
            "<results>/simulated/{dataset}",
            dataset=[name for name in ON_DISK if name in CONFIG.simulated],
        ),
    log:
        "<logs>/doctor.log",
    benchmark:
        "<benchmarks>/doctor.tsv"
    conda:
        "../envs/data.yaml"
    params:
        datasets={name: dump(dataset) for name, dataset in CONFIG.datasets.items()},
        roots={name: root_of(name) for name in ON_DISK},
        doctor=dump(CONFIG.doctor),
        code=code_digest("workflow_scripts/doctor.py"),
    script:
        "../workflow_scripts/doctor.py"


rule digest_pictures:
    """A digest of the pictures that samples are made of, in a user's own copy, which is no input itself."""
    input:
        samples="<results>/manifests/{dataset}.samples.csv",
    output:
        "<results>/manifests/{dataset}.pictures.sha256",
    log:
        "<logs>/digest_pictures/{dataset}.log",
    benchmark:
        "<benchmarks>/digest_pictures/{dataset}.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="1GB",
        runtime="1h",
    params:
        root=dataset_root,
        link_roots=link_roots_of,
        landmarks=has_own_landmarks,
        inventory=outside_data,
        code=code_digest("workflow_scripts/digest_pictures.py"),
    script:
        "../workflow_scripts/digest_pictures.py"


# Manifests are checkpoints: what depends on one is planned again when it is there, and does not run where it
# has come out as it was. So a stray file, or a defect that is judged anew, costs the reading alone.
checkpoint write_manifest:
    """Refuse defects that are errors, spot the apexes that are not annotated, settle the samples."""
    input:
        pictures=pictures_of,
        samples="<results>/manifests/{dataset}.samples.csv",
        defects="<results>/manifests/{dataset}.defects.csv",
    output:
        manifest="<results>/manifests/{dataset}.csv",
    log:
        "<logs>/write_manifest/{dataset}.log",
    benchmark:
        "<benchmarks>/write_manifest/{dataset}.tsv"
    conda:
        "../envs/faces.yaml"
    resources:
        mem="2GB",
        runtime="30m",
    params:
        root=dataset_root,
        alignment=spotting_alignment,
        code=code_digest("workflow_scripts/write_manifest.py"),
    script:
        "../workflow_scripts/write_manifest.py"


rule join_samples:
    """Print what a composite is put together of; look at it as a whole."""
    input:
        samples=of_parts("<results>/manifests/{dataset}.samples.csv"),
    output:
        defects="<results>/manifests/{composite}.defects.csv",
        summary="<results>/manifests/{composite}.summary.txt",
    log:
        "<logs>/join_samples/{composite}.log",
    benchmark:
        "<benchmarks>/join_samples/{composite}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem="1GB",
        runtime="10m",
    params:
        composite=composite_settings,
        layouts=layouts_of_parts,
        doctor=dump(CONFIG.doctor),
        code=code_digest("workflow_scripts/join_samples.py"),
    script:
        "../workflow_scripts/join_samples.py"


checkpoint join_datasets:
    """Put the manifests and the aligned faces of a composite's parts together."""
    input:
        manifests=of_parts("<results>/manifests/{dataset}.csv"),
        caches=of_parts("<results>/aligned/{dataset}.h5"),
        failures=of_parts("<results>/aligned/{dataset}.failures.csv"),
        defects="<results>/manifests/{composite}.defects.csv",
    output:
        manifest="<results>/manifests/{composite}.csv",
        cache="<results>/aligned/{composite}.h5",
        failures="<results>/aligned/{composite}.failures.csv",
    log:
        "<logs>/join_datasets/{composite}.log",
    benchmark:
        "<benchmarks>/join_datasets/{composite}.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem="2GB",
        runtime="10m",
    params:
        composite=composite_settings,
        code=code_digest("workflow_scripts/join_datasets.py"),
    script:
        "../workflow_scripts/join_datasets.py"
