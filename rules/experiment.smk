"""One experiment, from its configuration to its report."""


include: "common.smk"
include: "inputs.smk"
include: "data.smk"
include: "faces.smk"
include: "baselines.smk"
include: "pretrain.smk"
include: "folds.smk"
include: "models.smk"
include: "evaluation.smk"
