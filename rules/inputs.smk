"""What depends on wildcards: input files, settings, resources."""

from functools import cache


def is_simulated(name):
    """Whether the simulation writes a dataset."""
    return CONFIG.datasets[name].root == SIMULATED


def root_of(name):
    """Where a dataset lies."""
    return f"{RESULTS}/simulated/{name}" if is_simulated(name) else CONFIG.datasets[name].root


def dataset_root(wildcards):
    """Where the dataset lies; the target, where the rule has no wildcard for it. Of a composite, its parts."""
    name = wildcards.get("dataset", CONFIG.target)
    if name in CONFIG.composites:
        return {part: root_of(part) for part in CONFIG.parts_of(name)}
    return root_of(name)


def link_roots_of(wildcards):
    """The folders that links in the dataset's may lead to."""
    return list(CONFIG.datasets[wildcards.dataset].link_roots)


def simulated_root(wildcards):
    """The folder that the simulation writes; a user's own copy is not an input that is tracked."""
    return [f"<results>/simulated/{wildcards.dataset}"] if is_simulated(wildcards.dataset) else []


def of_parts(pattern):
    """An input function: a file of each part of a composite."""
    return lambda wildcards: collect(pattern, dataset=CONFIG.parts_of(wildcards.composite))


def dataset_settings(wildcards):
    """A dataset's section of the configuration, but for how its faces are aligned and whose they are."""
    section = dump(CONFIG.datasets[wildcards.dataset])
    return {key: value for key, value in section.items() if key not in {"alignment", "people_of"}}


def composite_settings(wildcards):
    """A composite's section of the configuration."""
    return dump(CONFIG.datasets[wildcards.composite])


def layouts_of_parts(wildcards):
    """The layouts of a composite's parts, by name."""
    return {part: CONFIG.datasets[part].layout for part in CONFIG.parts_of(wildcards.composite)}


def layouts_of_target(wildcards):
    """The layouts of the target's parts, by name; none where it is one dataset."""
    parts = CONFIG.parts_of(CONFIG.target) if CONFIG.target in CONFIG.composites else []
    return {part: CONFIG.datasets[part].layout for part in parts}


def faces_of(name):
    """What decides on showing the faces of a dataset."""
    return {"layout": CONFIG.datasets[name].layout, "simulated": name in CONFIG.simulated}


def about_faces(wildcards):
    """The same of the dataset; of the target, where the rule has no wildcard for it."""
    return faces_of(wildcards.get("dataset", CONFIG.target))


def parts_of_target(wildcards):
    """The same of each part of the target, by its name."""
    return {part: faces_of(part) for part in CONFIG.parts_of(CONFIG.target)}


def landmark_table(wildcards):
    """The table of landmarks that takes the detector's place, if there is one."""
    choice = CONFIG.alignment_of(wildcards.dataset).landmarks
    return [] if choice in {"dlib", "dataset"} else local(choice)


def alignment_of(wildcards):
    """How the faces of a dataset are aligned."""
    return dump(CONFIG.alignment_of(wildcards.dataset))


def alignment_of_target(wildcards):
    """How a model of the target crops faces."""
    try:
        return dump(CONFIG.alignment_of(CONFIG.target))
    except UserError as error:
        raise WorkflowError(str(error))


def has_own_landmarks(wildcards):
    """Whether landmarks are read from files among a dataset's pictures."""
    return CONFIG.alignment_of(wildcards.dataset).landmarks == "dataset"


def spotting_alignment(wildcards):
    """How faces are aligned to spot an apex: at a size of its own."""
    return {key: value for key, value in alignment_of(wildcards).items() if key != "size"}


def layout_of(wildcards):
    """The on-disk layout of a dataset."""
    return CONFIG.datasets[wildcards.dataset].layout


@cache
def inventory_of(name):
    """What lies in a user's own copy, and where its reader looks besides, by names, sizes and dates."""
    dataset = CONFIG.datasets[name]
    return inventory(dataset.root, *list_beside(name, dataset, Path(dataset.root)))


def outside_data(wildcards):
    """The same, so that a mended copy is read again by the same command.

    Among the params, since the files are too many to be inputs: only a run that may read the dataset takes the
    inventory, once, when it plans; neither a parse of the Snakefile nor a job on a cluster does.
    """
    return None if is_simulated(wildcards.dataset) else inventory_of(wildcards.dataset)


def pictures_of(wildcards):
    """What the pictures of a dataset are known by: the folders of a simulation, of a user's copy a digest."""
    return [
        f"<results>/simulated/{part}" if is_simulated(part) else f"<results>/manifests/{part}.pictures.sha256"
        for part in CONFIG.parts_of(wildcards.get("dataset", CONFIG.target))
    ]


def portraits(wildcards):
    """What lies in the folder of portraits of the simulation."""
    faces = CONFIG.simulation.faces
    return None if faces == "packaged" else inventory(faces)


def reader_code(wildcards):
    """What reading a dataset means: the code of its layout alone, of all layouts."""
    layout = CONFIG.datasets[wildcards.dataset].layout
    return code_digest("workflow_scripts/read_dataset.py", f"mer_core/datasets/{layout}.py")


def writer_code(wildcards):
    """What writing a stand-in means: of the layouts that have a module of their own, the code of its alone."""
    own = module_of(layout_of(wildcards)).replace(".", "/")
    return code_digest("workflow_scripts/simulate_dataset.py", f"{own}.py")


def memory(wildcards, attempt):
    """Twice as much on the second try."""
    return f"{CONFIG.compute.memory_mb * attempt}MB"


def pretraining_runs(wildcards):
    """Metrics of every run under every split protocol."""
    return collect(
        "<results>/pretrain/{variant}/{without}{split}/run{run}/metrics.json",
        variant=wildcards.variant,
        without=wildcards.without,
        split=CONFIG.pretraining_splits,
        run=CONFIG.pretraining_runs,
    )


def candidate_weights(wildcards):
    """Weights of every run under the split protocol that feeds the transfer."""
    return collect(
        "<results>/pretrain/{variant}/{without}{split}/run{run}/weights.safetensors",
        variant=wildcards.variant,
        without=wildcards.without,
        split=CONFIG.pretraining.split,
        run=CONFIG.pretraining_runs,
    )


def seen_by(dataset):
    """What the variant of a job sees of a dataset."""

    def path(wildcards):
        return seen_of(wildcards.variant, dataset)

    return path


def seen_of(variant, dataset):
    """What a variant sees of a dataset: aligned faces, or the maps of its input."""
    name = CONFIG.variant[variant].input
    return f"<results>/aligned/{dataset}.h5" if name == "apex" else f"<results>/inputs/{name}/{dataset}.h5"


def seen_in_words(name):
    """What a variant or a comparison method sees of a clip."""
    if name in CONFIG.baseline:
        features = CONFIG.baseline[name].features
        return f"apex, {CONFIG.alignment.size}" if isinstance(features, Embedding) else features.kind
    seen = CONFIG.input_of(CONFIG.variant[name])
    return f"apex, {CONFIG.alignment.size}" if seen is None else f"{seen.kind}, {seen.size}"


def left_out(name, datasets):
    """The tables of samples without a face and, of a variant with an input, without what it needs."""
    variant = CONFIG.variant.get(name)
    apex = variant is None or variant.input == "apex"
    kinds = ["aligned"] if apex else ["aligned", f"inputs/{variant.input}"]
    return collect("<results>/{kind}/{dataset}.failures.csv", kind=kinds, dataset=datasets)


def not_seen(wildcards):
    """The samples of the target that a variant or a comparison method cannot see."""
    return left_out(wildcards.variant, [CONFIG.target])


def never_seen(wildcards):
    """The samples that a variant cannot see, of each dataset that it learns from."""
    return left_out(wildcards.variant, learnt_from(wildcards.variant))


def input_settings(wildcards):
    """An input's section of the configuration."""
    return dump(CONFIG.inputs[wildcards.input])


def fold_training(row):
    """How a variant's folds are trained, but for whether they keep their networks, which changes no answer."""
    return dump(CONFIG.training_of(row)) | {"keep_weights": False}


def training_settings(wildcards):
    """The same of a job's variant."""
    return fold_training(CONFIG.variant[wildcards.variant])


def keeps_weights(wildcards):
    """Whether a fold keeps its network: where it is asked for, and where it has done so, which needs no other."""
    folder = f"{RESULTS}/folds/{wildcards.variant}/seed{wildcards.seed}/{wildcards.subject}"
    return CONFIG.training_of(CONFIG.variant[wildcards.variant]).keep_weights or has_kept_weights(folder)


def pretraining_settings(wildcards):
    """How a variant is pretrained."""
    return dump(CONFIG.pretraining_of(CONFIG.variant[wildcards.variant]).run)


def network_digest(script, variant):
    """Digest of what a script and the network of a variant mean, of no other network."""
    kind = variant.network.kind
    return code_digest(
        script, "mer_core/models/resnet.py" if kind == "resnet18" else f"mer_core/models/{kind}.py"
    )


def network_code(script):
    """The same as a rule's parameter."""

    def digest(wildcards):
        return network_digest(script, CONFIG.variant[wildcards.variant])

    return digest


def row_settings(row):
    """A variant's row, but for how it is trained: jobs are handed that with the common block beneath it."""
    return {key: value for key, value in dump(row).items() if key != "training"}


def variant_settings(wildcards):
    """The same of a job's variant."""
    return row_settings(CONFIG.variant[wildcards.variant])


def reduction_of(row):
    """That of a variant's channel attention; 1, which nothing reads, of a variant without."""
    return CONFIG.reduction if row.attention in {"channel", "dual", "cbam"} else 1


def reduction(wildcards):
    """The same of a job's variant."""
    return reduction_of(CONFIG.variant[wildcards.variant])


def baseline_settings(wildcards):
    """A comparison method's row of the configuration."""
    return dump(CONFIG.baseline[wildcards.baseline])


def describes(row):
    """What a comparison method describes clips by: kind and digest of the settings."""
    return f"{row.features.kind}-{value_digest(dump(row.features))[:8]}"


def described(wildcards):
    """The features that a comparison method classifies."""
    return f"<results>/features/{describes(CONFIG.baseline[wildcards.baseline])}.h5"


def description_settings(wildcards):
    """How clips are described."""
    return DESCRIPTIONS[wildcards.description]


def description_code(wildcards):
    """What describing clips means: the code of this kind alone, of all kinds."""
    kind = DESCRIPTIONS[wildcards.description]["kind"]
    return code_digest("workflow_scripts/extract_features.py", f"mer_core/baselines/descriptors/{kind}.py")


def embedding_source(wildcards):
    """The variant whose network describes the samples; None of the one with packaged weights."""
    return CONFIG.variant.get(getattr(EMBEDDINGS[wildcards.embedding], "variant", None))


def embedding_variant(wildcards):
    """Its row of the configuration."""
    row = embedding_source(wildcards)
    return row and row_settings(row)


def embedding_reduction(wildcards):
    """Its reduction."""
    row = embedding_source(wildcards)
    return row and reduction_of(row)


def embedding_weights(wildcards):
    """Its pretrained weights, those that the folds of the first seed start from."""
    row = embedding_source(wildcards)
    return first_weights_of(row) if row else []


def embedding_normalization(wildcards):
    """What its pretraining normalised images by."""
    row = embedding_source(wildcards)
    return row and CONFIG.pretraining_of(row).normalization


def embedding_code(wildcards):
    """What this description means: the code of this network alone, of all networks."""
    row = embedding_source(wildcards)
    own = code_digest("workflow_scripts/embed_samples.py")
    return network_digest("workflow_scripts/embed_samples.py", row) if row else own


def loss_settings(wildcards):
    """The loss that a variant names."""
    return dump(CONFIG.losses[CONFIG.variant[wildcards.variant].loss])


def unseen(fold):
    """The folder of a pretraining that has not seen whom a fold leaves out; none where all serve."""
    return f"without/{fold}/" if CONFIG.shared_with_source else ""


def weights_of(row, without=""):
    """What a variant's networks start from: pretrained weights, a user's file, or nothing.

    Where every seed has weights of its own, `{seed}` stands for it.
    """
    if row.init == "random":
        return []
    if row.init != "pretrained":
        return local(row.init)
    folder = f"<results>/pretrain/{row.name}/{without}"
    if CONFIG.pretraining.per_seed:
        return f"{folder}{CONFIG.pretraining.split}/run{{seed}}/weights.safetensors"
    return f"{folder}selected.safetensors"


def first_weights_of(row):
    """What a network of all subjects starts from, with the first seed."""
    weights = weights_of(row)
    return weights.replace("{seed}", str(CONFIG.seeds[0])) if weights else []


def initial_weights(wildcards):
    """What a fold starts from, as an input."""
    return weights_of(CONFIG.variant[wildcards.variant], unseen("{subject}"))


def first_weights(wildcards):
    """What a variant's network of all subjects starts from, as an input."""
    return first_weights_of(CONFIG.variant[wildcards.variant])


def learnt_from(variant):
    """The datasets that a variant learns from, the target first."""
    return [CONFIG.target, *([CONFIG.source] if CONFIG.variant[variant].init == "pretrained" else [])]


def manifests_of(wildcards):
    """The manifests of the datasets that a variant learns from."""
    return collect("<results>/manifests/{dataset}.csv", dataset=learnt_from(wildcards.variant))


def parts_of(wildcards):
    """What a model's card says of the parts of each dataset that it has learnt from."""
    roles = {CONFIG.target: "training, and the folds that it was tested by"}
    return [
        [
            {
                "name": part,
                "layout": CONFIG.datasets[part].layout,
                "role": roles.get(name, "pretraining"),
                "simulated": CONFIG.datasets[part].root == SIMULATED,
            }
            for part in CONFIG.parts_of(name)
        ]
        for name in learnt_from(wildcards.variant)
    ]


def own_input(wildcards):
    """The input of a variant; nothing where it sees the apex."""
    name = CONFIG.variant[wildcards.variant].input
    return dump(CONFIG.inputs[name]) if name in CONFIG.inputs else None


def transfer_settings(wildcards):
    """What a fold does with the weights it starts from; nothing where they are random."""
    transfer = CONFIG.transfer_of(CONFIG.variant[wildcards.variant])
    return transfer and dump(transfer)


def seeds_of(wildcards):
    """The seeds that a variant or a comparison method runs with."""
    return CONFIG.seeds_of(wildcards.variant)


def folds_of(wildcards):
    """What the folds of a variant or a comparison method have written, over its seeds."""
    folds = FOLDS[wildcards.variant]
    return {
        "predictions": collect("{fold}/predictions.csv", fold=folds),
        "folds": collect("{fold}/fold.json", fold=folds),
    }


def sources_of(wildcards):
    """What the folds of a method are made of besides the manifest; of weights one file for every fold."""
    name = wildcards.variant
    if name in CONFIG.baseline:
        return {"features": f"<results>/features/{describes(CONFIG.baseline[name])}.h5"}
    weights = initial_weights(wildcards)
    # A user's own file is flagged as one that lies here, which it would not be once it was formatted.
    starts = [
        weights.format(seed=seed, subject=fold) if "{" in weights else weights
        for seed in CONFIG.seeds
        for fold in CONFIG.fold_names
        if weights
    ]
    return {"cache": seen_by(CONFIG.target)(wildcards), "weights": starts}


def fold_identity(wildcards):
    """What the folds of a method are made with, as they record it."""
    return identity_of(wildcards.get("variant", wildcards.get("baseline")))


def identity_of(name):
    """What the folds of a variant or a comparison method are made with."""
    classes = CONFIG.datasets[CONFIG.target].class_names
    if name in CONFIG.baseline:
        row = CONFIG.baseline[name]
        described = None if isinstance(row.features, Embedding) else dump(CONFIG.features)
        settings = [dump(row), described, CONFIG.groups, CONFIG.seeds[0]]
        if source := CONFIG.variant.get(getattr(row.features, "variant", None)):
            settings += [row_settings(source), reduction_of(source), dump(CONFIG.pretraining_of(source))]
        return value_digest([classes, *settings, code_digest("workflow_scripts/classify_folds.py")])
    row = CONFIG.variant[name]
    transfer = CONFIG.transfer_of(row)
    settings = (
        row_settings(row),
        dump(CONFIG.losses[row.loss]),
        dump(CONFIG.inputs[row.input]) if row.input in CONFIG.inputs else None,
        fold_training(row),
        transfer and dump(transfer),
        reduction_of(row),
        CONFIG.groups,
    )
    return value_digest([classes, *settings, network_digest("workflow_scripts/train_fold.py", row)])


def rules_of(stage):
    """The names of the rules in a stage's file."""
    text = Path(workflow.source_path(f"{stage}.smk")).read_text(encoding="utf-8")
    return [line.split()[1][:-1] for line in text.splitlines() if line.startswith(("rule ", "checkpoint "))]
