"""Train on the source dataset under one random split."""

from pathlib import Path

from mer_core import job

with job.importing():
    import torch

    from mer_core.config.models import Loss, Variant
    from mer_core.config.training import PretrainingRun
    from mer_core.training.device import lease
    from mer_core.training.pretrain import pretrain


def main(snakemake):
    params = snakemake.params
    torch.set_num_threads(snakemake.threads)
    with lease(snakemake.resources.slots) as device:
        pretrain(
            Path(snakemake.input.cache),
            Path(snakemake.input.manifest),
            Path(snakemake.output.metrics).parent,
            variant=Variant.model_validate(params.variant),
            loss=Loss.model_validate(params.loss),
            classes=params.classes,
            settings=PretrainingRun.model_validate(params.pretraining),
            reduction=params.reduction,
            split=snakemake.wildcards.split,
            run=int(snakemake.wildcards.run),
            on=device,
            code=params.code,
        )


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
