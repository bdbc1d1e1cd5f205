rule train_final:
    """Train a variant on all subjects by the recipe of its folds; what it needs to be used lies beside it."""
    input:
        cache=seen_by(CONFIG.target),
        manifests=manifests_of,
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
        reduction=CONFIG.reduction,
        seed=CONFIG.seeds[0],
        alignment=dump(CONFIG.alignment_of(CONFIG.target)),
        input=own_input,
        parts=parts_of,
        code=network_code("workflow_scripts/train_final.py"),
    script:
        "../workflow_scripts/train_final.py"
