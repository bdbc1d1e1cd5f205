"""The checked configuration and what every rule needs of it."""

from pathlib import Path

from mer_core.config import dump, load_config
from mer_core.config.datasets import SIMULATED
from mer_core.datasets.reading import list_subjects
from mer_core.errors import UserError
from mer_core.evaluation.collect import refuse_stale_folds
from mer_core.provenance import code_digest, inventory, value_digest
from mer_core.simulation.plan import people_used


def subjects_of(name):
    """A dataset's subjects: as configured, else those that are simulated or found on disk."""
    dataset = CONFIG.datasets[name]
    if name in CONFIG.composites:
        every = [f"{part}-{subject}" for part in CONFIG.parts_of(name) for subject in subjects_of(part)]
        return every if dataset.subjects is None else dataset.subjects
    if dataset.subjects is None and dataset.root == SIMULATED:
        return people_used(dataset, CONFIG.simulation.size, CONFIG.simulation.seed)
    return list_subjects(name, dataset, Path(dataset.root))


try:
    CONFIG = load_config(config, files=workflow.configfiles)
    CONFIG.check_weights()
    CONFIG = CONFIG.with_subjects({name: subjects_of(name) for name in CONFIG.used})
except UserError as error:
    raise WorkflowError(str(error))

logger.info(f"Configuration: {', then '.join(map(str, ['config.yaml', *workflow.overwrite_configfiles]))}")

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
PRETRAINED = [variant.name for variant in CONFIG.variants if variant.init == "pretrained"]
SIMULATED_DATASETS = CONFIG.simulated
ON_DISK = [name for name in CONFIG.datasets if name not in CONFIG.composites]

# A job on a cluster runs a Snakemake of its own, which would try again within the memory that was too little.
RETRIES = 1 if workflow.is_main_process else 0


pathvars:
    results=f"results/{CONFIG.experiment}",
    logs=f"results/{CONFIG.experiment}/logs",
    benchmarks=f"results/{CONFIG.experiment}/benchmarks",


wildcard_constraints:
    dataset="|".join(ON_DISK),
    composite="|".join(CONFIG.composites) or "(?!)",  # which matches nothing
    subject="|".join(CONFIG.fold_names),
    variant="|".join(CONFIG.variant),
    baseline="|".join(CONFIG.baseline) or "(?!)",
    input="|".join(CONFIG.inputs) or "(?!)",
    seed="|".join(map(str, CONFIG.seeds)),
    split="frame|subject",
    run=r"\d+",
