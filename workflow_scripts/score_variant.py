"""Pool the predictions of a variant's folds over subjects and seeds, and score them."""

from pathlib import Path

from mer_core import job
from mer_core.config.evaluation import Scoring
from mer_core.container import seal
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import read_manifest
from mer_core.evaluation.collect import expected_samples, read_folds, refuse_mixed
from mer_core.evaluation.statistics import score_variant
from mer_core.provenance import file_digest


def main(snakemake):
    params = snakemake.params
    settings = Scoring.model_validate(params.evaluation)
    # First the samples without a face, then those without what the row's input needs.
    absent = [{*read_csv(path).sample_id} for path in snakemake.input.failures]
    manifest = read_manifest(snakemake.input.manifest)
    samples = expected_samples(manifest, set().union(*absent), params.groups)
    paths = [Path(path) for path in snakemake.input.predictions]
    variant = snakemake.wildcards.variant
    folds = read_folds(
        paths,
        samples,
        params.classes,
        variant,
        params.seeds,
        settings.partial,
        present(snakemake.input, paths, params.identity),
    )
    if settings.mixed == "refuse":
        refuse_mixed(folds, variant, paths[0].parents[2])
    told = folds.predictions
    if "part" in samples:
        told = told.merge(samples[["sample_id", "part"]], on="sample_id", validate="many_to_one")
    scores = score_variant(variant, told, params.classes, settings, folds.expected)
    left_out = len(expected_samples(manifest, absent[0], params.groups)) - len(samples)
    beside = {"circumstances": folds.circumstances, "cost": folds.cost, "left_out": left_out}
    job.write_json(snakemake.output.metrics, scores | beside)
    job.write_text(snakemake.output.predictions, folds.predictions.to_csv(index=False))
    accuracy, macro_f1 = scores["accuracy"]["mean"], scores["macro_f1"]["mean"]
    print(f"{variant}: accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f}, n = {scores['n']}")


def present(files, paths, identity):
    """What each fold must have been made with."""
    digests = {"identity": identity}
    digests |= {name: seal(files[name]) for name in ("cache", "features") if files.get(name)}
    weights = files.get("weights") or [None] * len(paths)
    started = {path: path and file_digest(path) for path in {*weights}}
    starts = [{} if files.get("features") else {"initial_weights": started[path]} for path in weights]
    return {path: digests | start for path, start in zip(paths, starts, strict=True)}


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
