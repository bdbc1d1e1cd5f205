"""Train one fold and predict whoever is left out."""

from pathlib import Path

from mer_core import job

with job.importing():
    import torch

    from mer_core.config.models import Loss, Variant
    from mer_core.config.training import FoldTraining, Transfer
    from mer_core.training.device import lease
    from mer_core.training.fold import train_fold


def main(snakemake):
    params = snakemake.params
    torch.set_num_threads(snakemake.threads)
    weights = snakemake.input.get("weights")
    with lease(snakemake.resources.slots) as device:
        train_fold(
            Path(snakemake.input.cache),
            Path(snakemake.input.manifest),
            snakemake.wildcards.subject,
            Path(snakemake.output.predictions).parent,
            variant=Variant.model_validate(params.variant),
            loss=Loss.model_validate(params.loss),
            classes=params.classes,
            settings=FoldTraining.model_validate(params.training | {"keep_weights": params.keep_weights}),
            transfer=params.transfer and Transfer.model_validate(params.transfer),
            reduction=params.reduction,
            seed=int(snakemake.wildcards.seed),
            initial_weights=Path(weights) if weights else None,
            on=device,
            groups=params.groups,
            code=params.code,
            identity=params.identity,
        )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
