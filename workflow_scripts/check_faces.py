"""Draw contact sheets of all datasets' aligned faces, for the eyes of who runs this alone."""

from pathlib import Path

import numpy as np

from mer_core import job
from mer_core.datasets.manifest import read_manifest
from mer_core.faces.cache import read_cache
from mer_core.faces.margin import ENOUGH_INSIDE, advise, tell_inside
from mer_core.faces.points import UNLIKE
from mer_core.images import image_size
from mer_core.report.figures import save_figure
from mer_core.report.pictures import contact_sheet

MOST, FIRST = 96, 32  # faces on a sheet; of these, those that are the most worth a look
SURE = {"plain", "given", "precropped"}  # steps that err least


def main(snakemake):
    inputs = snakemake.input.caches, snakemake.input.manifests, snakemake.output
    roots = snakemake.params.roots.items()
    for (dataset, root), cache, manifest, sheet in zip(roots, *inputs, strict=True):
        aligned = read_cache(cache)
        samples = read_manifest(manifest).set_index("sample_id").loc[aligned.sample_id]
        unlike = np.array([UNLIKE in step for step in aligned.detector], bool)
        odd = np.array([step not in SURE for step in aligned.detector], bool)
        # Doubtful ones first, then some of all, spread evenly.
        order = np.lexsort([np.nan_to_num(aligned.inside, nan=1.0), ~odd, ~unlike])
        first = order[: min(FIRST, int((unlike | odd).sum()))]
        rest = np.setdiff1d(np.arange(len(samples)), first)
        rest = rest[np.linspace(0, len(rest) - 1, min(MOST - len(first), len(rest))).round().astype(int)]
        shown = [*first, *rest]
        figure = contact_sheet(
            aligned.images[shown],
            [f"{samples.subject.iloc[index]} {samples.label.iloc[index]}" for index in shown],
            [" | ".join(_remarks(aligned, index)) for index in shown],
            credit=f"{dataset}: {len(shown)} of {len(samples)} faces. Not to be shown to others.",
        )
        save_figure(figure, Path(sheet).with_suffix(""), kinds=("png",), mode=0o600)
        print(f"{sheet}: {len(shown)} of {len(samples)} faces, {int((unlike | odd).sum())} doubtful")
        if len(samples):
            print(f"{dataset}: {tell_inside(aligned.inside)}")
            if np.median(aligned.inside) < ENOUGH_INSIDE:
                print(f"{dataset}: the rest is smeared border: {_advice(dataset, root, samples, aligned)}")


def _advice(dataset, root, samples, aligned):
    shapes = np.array([image_size(Path(root) / path)[::-1] for path in samples.frame_path])
    place = aligned.attributes["eye_distance"], tuple(map(float, aligned.attributes["eye_center"].split()))
    return advise(dataset, aligned.landmarks, shapes, *place)


def _remarks(aligned, index):
    """What there is to say of a face."""
    yield aligned.detector[index].replace(UNLIKE, "unlike others")
    if aligned.inside[index] < 0.995:
        yield f"{aligned.inside[index]:.0%} inside"


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
