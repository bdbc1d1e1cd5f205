# Without a source no target asks for these rules, but they are parsed.
SOURCE_CLASSES = CONFIG.datasets[CONFIG.source].class_names if CONFIG.source else []

if CONFIG.shared_with_source:
    logger.info(
        f"Pretraining: {CONFIG.source} shows people of {CONFIG.target}; each of the {len(CONFIG.fold_names)} "
        "folds starts from a pretraining of its own, without whom it leaves out"
    )


wildcard_constraints:
    # Whom a pretraining has not seen, as a folder: nothing where the source shows nobody whom folds leave out.
    without="(?:without/(?:{})/)?".format("|".join(CONFIG.fold_names if CONFIG.shared_with_source else [])),


localrules:
    hold_people_out,
    select_pretrained,


rule hold_people_out:
    """The source's manifest without those whom a fold leaves out, where both show the same people."""
    input:
        source=f"<results>/manifests/{CONFIG.source}.csv",
        target=f"<results>/manifests/{CONFIG.target}.csv",
    output:
        f"<results>/manifests/without/{{subject}}/{CONFIG.source}.csv",
    log:
        "<logs>/hold_people_out/{subject}.log",
    benchmark:
        "<benchmarks>/hold_people_out/{subject}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem="1GB",
        runtime="10m",
    params:
        source=CONFIG.source,
        target=CONFIG.target,
        shared=CONFIG.shared_with_source,
        groups=CONFIG.groups,
        code=code_digest("workflow_scripts/hold_people_out.py"),
    script:
        "../workflow_scripts/hold_people_out.py"


rule pretrain_model:
    """Train on the source dataset with one random split into training and test."""
    input:
        cache=seen_by(CONFIG.source),
        failures=f"<results>/aligned/{CONFIG.source}.failures.csv",  # as of train_fold
        manifest=f"<results>/manifests/{{without}}{CONFIG.source}.csv",
        weights=[] if CONFIG.pretraining.init == "random" else local(CONFIG.pretraining.init),
    output:
        weights="<results>/pretrain/{variant}/{without}{split}/run{run}/weights.safetensors",
        digest="<results>/pretrain/{variant}/{without}{split}/run{run}/weights.safetensors.sha256",
        history="<results>/pretrain/{variant}/{without}{split}/run{run}/history.csv",
        metrics="<results>/pretrain/{variant}/{without}{split}/run{run}/metrics.json",
    log:
        "<logs>/pretrain_model/{variant}/{without}{split}/run{run}.log",
    benchmark:
        "<benchmarks>/pretrain_model/{variant}/{without}{split}/run{run}.tsv"
    retries: RETRIES
    conda:
        "../envs/training.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=1,
        slots=CONFIG.compute.slots_per_device,
        mem=memory,
        runtime=CONFIG.compute.runtime,
    params:
        variant=variant_settings,
        loss=loss_settings,
        classes=SOURCE_CLASSES,
        pretraining=pretraining_settings,
        reduction=reduction,
        code=network_code("workflow_scripts/pretrain_model.py"),
    script:
        "../workflow_scripts/pretrain_model.py"


rule select_pretrained:
    """Take the run with the best test accuracy, as the paper does; tell both protocols' figures."""
    input:
        metrics=pretraining_runs,
        weights=candidate_weights,
        # Where it has come out as it was, nothing is selected again.
        manifest=f"<results>/manifests/{CONFIG.source}.csv",
    output:
        weights="<results>/pretrain/{variant}/{without}selected.safetensors",
        digest="<results>/pretrain/{variant}/{without}selected.safetensors.sha256",
        selected="<results>/pretrain/{variant}/{without}selected.json",
    log:
        "<logs>/select_pretrained/{without}{variant}.log",
    benchmark:
        "<benchmarks>/select_pretrained/{without}{variant}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem="1GB",
        runtime="10m",
    params:
        split=CONFIG.pretraining.split,
        code=code_digest("workflow_scripts/select_pretrained.py"),
    script:
        "../workflow_scripts/select_pretrained.py"
