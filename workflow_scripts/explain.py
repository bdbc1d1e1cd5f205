"""Draw what the networks of the folds look at, in clips of each class that they judged right and wrong."""

from pathlib import Path

from mer_core import job

with job.importing():
    import torch

    from mer_core.config.models import Variant
    from mer_core.config.report import Report
    from mer_core.datasets.manifest import included, read_manifest
    from mer_core.errors import UserError
    from mer_core.evaluation.collect import read_pooled
    from mer_core.faces.cache import read_cache
    from mer_core.inference.explain import OTHERS, allowed, look
    from mer_core.report.figures import save_figure
    from mer_core.report.pictures import looks
    from mer_core.training import data


def main(snakemake):
    given, params = snakemake.input, snakemake.params
    if not params.rows:
        raise UserError(
            "training.keep_weights: false: no network of a fold is kept; set true, for all variants or in "
            "one's own training block, and run the same command again, which trains its folds anew"
        )
    samples, aligned = included(read_manifest(given.manifest)), read_cache(given.faces)
    names, credit = allowed(samples, params.parts, Report.model_validate(params.report))
    faces = {
        name: face for name, face in zip(aligned.sample_id, aligned.images, strict=True) if name in names
    }
    shown = " and ".join(
        f"{name} (simulated)" if about["simulated"] else name for name, about in params.parts.items()
    )
    files = given.seen, given.predictions, snakemake.output
    for row, seen, pooled, png in zip(params.rows.values(), *files, strict=True):
        variant = Variant.model_validate(row["variant"])
        found, instead = {}, OTHERS.get(variant.network_kind, "")
        if not instead:
            predictions = read_pooled(Path(pooled))
            found = look(
                Path(row["folds"]),
                predictions[predictions["seed"] == params.seed],
                data.load(Path(seen), Path(given.manifest), params.classes, torch.device("cpu")),
                faces,
                variant,
                row["normalization"],
                row["reduction"],
            )
        title = f"{variant.name} ({variant.network_kind}) on {shown}, seed {params.seed}, people left out"
        figure = looks(found, params.classes, title=title, credit=credit, instead=instead)
        save_figure(figure, Path(png).with_suffix(""), kinds=("png",))
        print(f"{png}: {instead or f'{len(found)} clips'}")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
