"""Describe the clips of one subject for every baseline; features whose sources are unchanged are kept."""

from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter

from mer_core import job
from mer_core.baselines.features import Features, describe, read_subject, write_features
from mer_core.config.baselines import Description
from mer_core.datasets.manifest import included, read_manifest
from mer_core.errors import UserError
from mer_core.faces.cache import read_cache
from mer_core.motion.clip import open_clip, scaled
from mer_core.provenance import file_digest, value_digest


def main(snakemake):
    cv2.setNumThreads(snakemake.threads)
    output, settings, code = snakemake.output[0], snakemake.params.features, snakemake.params.code
    sources = [
        [clip.sample_id, clip.images.transform.tolist(), [*map(file_digest, clip.images.files.values())]]
        for clip in open_clips(snakemake)
    ]
    size = snakemake.params.size
    digests = {name: value_digest([sources, own, size, code]) for name, own in settings.items()}
    features = {name: own for name, own in earlier(output).items() if own.digest == digests.get(name)}
    print(f"{len(features)} of {len(settings)} baselines are unchanged: kept")
    # Baselines that differ in their classifier alone share what is computed.
    wanted = {digests[name]: name for name in settings if name not in features}
    computed = compute(open_clips(snakemake), {name: settings[name] for name in wanted.values()})
    samples = [sample_id for sample_id, *_ in sources]
    for name in settings.keys() - features.keys():
        features[name] = Features(samples, computed[wanted[digests[name]]], digests[name])
    write_features(output, {name: features[name] for name in settings})
    print(f"{len(samples)} clips described")


def earlier(output):
    """The features of an earlier run, if there are any and they are whole."""
    try:
        return read_subject(output)
    except UserError:
        return {}


def open_clips(snakemake):
    """The subject's samples of which a face was found, one after the other."""
    samples = included(read_manifest(snakemake.input.manifest)).set_index("sample_id", drop=False)
    faces = read_cache(snakemake.input.shard)
    root, size = Path(snakemake.params.root), snakemake.params.size
    for sample_id, transform in zip(faces.sample_id, faces.transform, strict=True):
        transform = scaled(transform, faces.attributes["size"], size)
        yield open_clip(root, samples.loc[sample_id], transform, size)


def compute(clips, settings):
    """Values (N, D) by baseline; one clip at a time lies in memory, its flow shared by the baselines."""
    parsed = {name: TypeAdapter(Description).validate_python(own) for name, own in settings.items()}
    rows = {name: [] for name in settings}
    for clip in clips if settings else ():
        for name, own in parsed.items():
            try:
                rows[name].append(describe(clip, own))
            except UserError as error:
                raise UserError(f"baselines.{name}: {error}") from None
    return {name: np.stack(own) if own else np.zeros((0, 0), np.float32) for name, own in rows.items()}


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
