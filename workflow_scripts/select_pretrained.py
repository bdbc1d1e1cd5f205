"""Select the pretraining run that is transferred, and publish its weights."""

import json
from pathlib import Path

from mer_core import job

with job.importing():
    from mer_core.models.weights import copy_weights
    from mer_core.training.pretrain import select


def main(snakemake):
    metrics = [json.loads(Path(path).read_text()) for path in snakemake.input.metrics]
    run, selected = select(metrics, snakemake.params.split)
    weights = next(path for path in snakemake.input.weights if Path(path).parent.name == f"run{run}")
    copy_weights(weights, snakemake.output.weights)
    job.write_json(snakemake.output.selected, selected)
    print(f"run {run}: {selected['rule']}, accuracy {selected['accuracy']:.4f}")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
