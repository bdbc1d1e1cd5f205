from itertools import chain

# Variants and comparison methods make the same files, one folder per fold.
METHODS = [*CONFIG.variant, *CONFIG.baseline]
FOLDS = {
    method: collect(
        "<results>/folds/{method}/seed{seed}/{subject}",
        method=method,
        seed=CONFIG.seeds_of(method),
        subject=CONFIG.fold_names,
    )
    for method in METHODS
}
# Only networks have learning curves.
HISTORIES = [f"{fold}/history.csv" for variant in CONFIG.variant for fold in FOLDS[variant]]
# Every file of every fold: Snakemake makes a lost file anew only where it is asked for.
EVERY_FOLD = [
    *collect("{fold}/{file}", fold=[*chain(*FOLDS.values())], file=["predictions.csv", "fold.json"]),
    *HISTORIES,
]


rule train_fold:
    """Train on every subject but one, or one group of them; predict what is left out."""
    input:
        cache=seen_by(CONFIG.target),
        manifest=f"<results>/manifests/{CONFIG.target}.csv",
        weights=initial_weights,
        # Of checkpoints those are planned again after that ask for them: an input may not be drawn anew.
        failures=f"<results>/aligned/{CONFIG.target}.failures.csv",
    output:
        predictions="<results>/folds/{variant}/seed{seed}/{subject}/predictions.csv",
        history="<results>/folds/{variant}/seed{seed}/{subject}/history.csv",
        fold="<results>/folds/{variant}/seed{seed}/{subject}/fold.json",
    log:
        "<logs>/train_fold/{variant}/seed{seed}/{subject}.log",
    benchmark:
        "<benchmarks>/train_fold/{variant}/seed{seed}/{subject}.tsv"
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
        classes=CONFIG.datasets[CONFIG.target].class_names,
        training=training_settings,
        keep_weights=keeps_weights,
        transfer=transfer_settings,
        reduction=reduction,
        groups=CONFIG.groups,
        identity=fold_identity,
        code=network_code("workflow_scripts/train_fold.py"),
    script:
        "../workflow_scripts/train_fold.py"


# Without its records Snakemake looks at dates alone, and would keep what other settings have made in silence.
if workflow.is_main_process and not any(Path(".snakemake/metadata").glob("*")):
    try:
        refuse_other_settings(f"{RESULTS}/config.json", dump(CONFIG))
        for method in METHODS:
            folds = Path(f"{RESULTS}/folds/{method}").glob("seed*/*")
            refuse_stale_folds(folds, {"identity": identity_of(method)})
    except UserError as error:
        raise WorkflowError(str(error))
