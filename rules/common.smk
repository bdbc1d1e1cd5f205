"""The checked configuration and what every rule needs of it."""

from pathlib import Path

from mer_core.config import dump, load_config
from mer_core.config.datasets import SIMULATED
from mer_core.config.descriptors import Embedding
from mer_core.datasets.reading import list_beside, list_subjects, located
from mer_core.errors import UserError
from mer_core.evaluation.collect import has_kept_weights, refuse_stale_folds
from mer_core.provenance import code_digest, inventory, refuse_other_settings, value_digest
from mer_core.simulation.plan import module_of, people_used


def subjects_of(name):
    """The subjects of a dataset: as configured, else those that are simulated or found on disk."""
    dataset = CONFIG.datasets[name]
    if name in CONFIG.composites:
        every = [f"{part}-{subject}" for part in CONFIG.parts_of(name) for subject in subjects_of(part)]
        return every if dataset.subjects is None else dataset.subjects
    if dataset.subjects is None and dataset.root == SIMULATED:
        return people_used(dataset, CONFIG.simulation.size, CONFIG.simulation.seed)
    return list_subjects(name, dataset, Path(dataset.root))


try:
    # Snakemake's own key is not ours.
    settings = {key: value for key, value in config.items() if key != "pathvars"}
    CONFIG = load_config(settings, files=workflow.configfiles)
    CONFIG.check_files()
    for name in (name for name in CONFIG.used if name not in (*CONFIG.composites, *CONFIG.simulated)):
        located(name, CONFIG.datasets[name], Path(CONFIG.datasets[name].root))
    CONFIG = CONFIG.with_subjects(subjects_of(CONFIG.target))
    if workflow.is_main_process:  # once, since the people of a source may have to be looked up on disk
        CONFIG.check_never_shown(subjects_of)
except UserError as error:
    raise WorkflowError(str(error))

logger.info(f"Configuration: {', then '.join(map(str, ['config.yaml', *workflow.overwrite_configfiles]))}")

ON_DISK = [name for name in CONFIG.datasets if name not in CONFIG.composites]

# A job on a cluster runs a Snakemake of its own, which would try again within the memory that was too little.
RETRIES = 1 if workflow.is_main_process else 0


pathvars:
    results=f"results/{CONFIG.experiment}",
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


def place_of(pathvar):
    """The folder that Snakemake makes of a pathvar in rules' files; params and Python need it spelled out."""
    return workflow.modifier.path_modifier.replace_prefix(workflow.pathvars.apply(pathvar))


RESULTS, BENCHMARKS = place_of("<results>"), place_of("<benchmarks>")


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
