rule train_final:
    """Train a variant on all subjects by the recipe of its folds; what it needs to be used lies beside it."""
    input:
        cache=seen_by(CONFIG.target),
        manifests=manifests_of,
        failures=never_seen,
        weights=first_weights,
        predictions="<results>/metrics/{variant}.predictions.csv",
        metrics="<results>/metrics/{variant}.json",
    output:
        weights="<results>/models/{variant}/weights.safetensors",
        digest="<results>/models/{variant}/weights.safetensors.sha256",
        card="<results>/models/{variant}/README.md",
        description="<results>/models/{variant}/model.json",
    log:
        "<logs>/train_final/{variant}.log",
    benchmark:
        "<benchmarks>/train_final/{variant}.tsv"
    retries: RETRIES
    conda:
        "../envs/inference.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=1,
        slots=CONFIG.compute.slots_per_device,
        mem=memory,
        runtime=CONFIG.compute.runtime,
    params:
        variant=variant_settings,
        loss=loss_settings,
        classes=CONFIG.datasets[CONFIG.target].class_names,
        training=training_settings,
        transfer=transfer_settings,
        reduction=reduction,
        seed=CONFIG.seeds[0],
        alignment=alignment_of_target,
        input=own_input,
        parts=parts_of,
        shared=CONFIG.shared_parts(CONFIG.target),
        code=network_code("workflow_scripts/train_final.py"),
    script:
        "../workflow_scripts/train_final.py"


# The variants of whose folds the networks are kept: others are gone once they have answered.
EXPLAINED = {
    name: {
        "variant": row_settings(row),
        "reduction": reduction_of(row),
        "normalization": CONFIG.training_of(row).normalization,
        "folds": f"{RESULTS}/folds/{name}/seed{CONFIG.seeds[0]}",
    }
    for name, row in CONFIG.variant.items()
    if CONFIG.training_of(row).keep_weights
}


localrules:
    explain,


rule explain:
    """Draw what the networks of the folds look at, in clips of each class that they judged right and wrong."""
    input:
        faces=f"<results>/aligned/{CONFIG.target}.h5" if EXPLAINED else [],
        manifest=f"<results>/manifests/{CONFIG.target}.csv" if EXPLAINED else [],
        seen=[seen_of(name, CONFIG.target) for name in EXPLAINED],
        predictions=collect("<results>/metrics/{variant}.predictions.csv", variant=EXPLAINED),
        folds=[f"{fold}/fold.json" for name in EXPLAINED for fold in FOLDS[name]],
    output:
        collect("<results>/figures/explained_{variant}.png", variant=EXPLAINED),
    log:
        "<logs>/explain.log",
    benchmark:
        "<benchmarks>/explain.tsv"
    conda:
        "../envs/inference.yaml"
    resources:
        mem="4GB",
        runtime="30m",
    params:
        rows=EXPLAINED,
        parts=parts_of_target,
        classes=CONFIG.datasets[CONFIG.target].class_names,
        seed=CONFIG.seeds[0],
        report=dump(CONFIG.report),
        code=code_digest("workflow_scripts/explain.py"),
    script:
        "../workflow_scripts/explain.py"
