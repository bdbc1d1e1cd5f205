"""Train a variant on all subjects, and make a model of it that can be used."""

import json
from pathlib import Path

from mer_core import job

with job.importing():
    import pandas as pd
    import torch

    from mer_core.config.alignment import Alignment
    from mer_core.config.models import Loss, Variant
    from mer_core.config.training import FoldTraining, Transfer
    from mer_core.csvs import read_csv
    from mer_core.datasets.manifest import included, read_manifest
    from mer_core.evaluation.collect import read_pooled
    from mer_core.inference.card import Part
    from mer_core.inference.final import train_final
    from mer_core.training.device import lease
    from mer_core.training.fold import Recipe


def main(snakemake):
    given, params = snakemake.input, snakemake.params
    torch.set_num_threads(snakemake.threads)
    weights = given.get("weights")
    parts, unseen = [], pd.concat([*map(read_csv, given.failures)])["sample_id"]
    for of_dataset, path in zip(params.parts, given.manifests, strict=True):
        samples = included(read_manifest(path))
        samples = samples[~samples["sample_id"].isin(unseen)]
        for about in of_dataset:
            own = samples[samples["dataset"] == about["name"]]
            counts = own["label"].value_counts().to_dict()
            parts.append(Part(**about, counts=counts, subjects=own["subject"].nunique()))
    with lease(snakemake.resources.slots) as device:
        train_final(
            Path(given.cache),
            Path(given.manifests[0]),
            Path(snakemake.output.description).parent,
            recipe=Recipe(
                variant=Variant.model_validate(params.variant),
                loss=Loss.model_validate(params.loss),
                settings=FoldTraining.model_validate(params.training),
                transfer=params.transfer and Transfer.model_validate(params.transfer),
                reduction=params.reduction,
                initial_weights=Path(weights) if weights else None,
            ),
            classes=params.classes,
            seed=params.seed,
            on=device,
            alignment=Alignment.model_validate(params.alignment),
            input_settings=params.input,
            predictions=read_pooled(Path(given.predictions)),
            scores=json.loads(Path(given.metrics).read_text(encoding="utf-8")),
            parts=parts,
            shared=params.shared,
        )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
