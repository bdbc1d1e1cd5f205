"""Refuse a dataset with errors; spot the apexes that are not annotated; settle the samples."""

from pathlib import Path

import cv2

from mer_core import job
from mer_core.config.alignment import Alignment
from mer_core.csvs import read_csv
from mer_core.datasets.clips import clip_frames
from mer_core.datasets.doctor import stop_on_errors
from mer_core.datasets.manifest import is_to_be_spotted, read_manifest, write_manifest
from mer_core.errors import Unreadable, UserError
from mer_core.faces.alignment import align_clip
from mer_core.faces.landmarks import FaceFinder
from mer_core.faces.spotting import SIZE, spot_apex
from mer_core.images import depth_of, read_image


def main(snakemake):
    cv2.setNumThreads(snakemake.threads)
    defects = snakemake.input.defects
    stop_on_errors(read_csv(defects), defects)
    root = Path(snakemake.params.root)
    settings = Alignment.model_validate(snakemake.params.alignment | {"size": SIZE})
    samples = read_manifest(snakemake.input.samples)
    unspotted = samples[is_to_be_spotted(samples)]
    finder = FaceFinder() if len(unspotted) else None
    for index, row in unspotted.iterrows():
        frames = clip_frames(root, row)
        try:
            pictures = (read_image(file, depth_of(row.bit_depth)) for file in frames.values())
            aligned, onset = align_clip(pictures, finder, settings)
            apex = spot_apex(aligned, onset.landmarks_aligned, list(frames), finder)
        except Unreadable:
            raise
        except UserError as error:
            samples.loc[index, ["included", "reason"]] = [False, f"apex not spotted: {error}"]
        else:
            path = frames[apex].relative_to(root).as_posix()
            samples.loc[index, ["apex", "apex_source", "frame_path"]] = [apex, "spotted", path]
            print(f"{row.sample_id}: apex spotted at frame {apex}")
    if not samples.included.any():
        raise UserError(
            f"{snakemake.input.samples}: all {len(samples)} samples are left out; its column reason says why"
        )
    write_manifest(samples, snakemake.output.manifest)
    print(f"{samples.included.sum()} samples, {(~samples.included).sum()} left out")


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
