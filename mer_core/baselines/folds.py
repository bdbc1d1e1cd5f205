"""All folds of one comparison method, in one process."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mer_core import container, job, provenance
from mer_core.baselines.classify import Training, classify
from mer_core.baselines.features import read_features
from mer_core.config.baselines import Baseline
from mer_core.datasets import manifest
from mer_core.datasets.folds import held_out, record
from mer_core.errors import UserError

_LOG = logging.getLogger(__name__)


def classify_folds(
    described: Path,
    samples: Path,
    folds: Sequence[str],
    folder: Path,
    *,
    baseline: Baseline,
    classes: Sequence[str],
    seed: int,
    groups: int | str | None = None,
    code: str = "",
    identity: str = "",
) -> None:
    """Answer for each subject by a classifier that was trained on the others.

    Writes `{folder}/{subject}/predictions.csv` and `fold.json`, as `training.fold.train_fold` does. A
    subject without features gets a predictions.csv without rows.

    Args:
        described: the file of features of the target's samples.
        samples: the target's manifest.
        folds: what is left out in turn: subjects, groups of them or datasets.
        folder: of the folds.
        baseline: the method.
        classes: the target's classes in order.
        seed: of the classifier.
        groups: who is left out together, as for `datasets.folds.held_out`.
        code: digest of the code, for the record.
        identity: digest of all that the fold is made with, by which it is told from a stale one.

    Raises:
        UserError: a file is damaged, a label is no class, or the training clips do not suit the classifier.
    """
    started = time.monotonic()
    features = read_features(described)
    known = manifest.read_manifest(samples)
    everything = manifest.included(known)
    at = pd.Index(features.sample_id).get_indexer(everything["sample_id"])
    table, values = everything[at >= 0].reset_index(drop=True), features.values[at[at >= 0]]
    labels = manifest.class_indices(table, classes, samples)
    owners = table["subject"]
    _LOG.info("%s: %d clips, %d features, read in %.1f s", baseline.name, *values.shape, _since(started))
    digests = {
        "configuration": provenance.value_digest(
            [baseline.model_dump(mode="json"), list(classes), seed, groups]
        ),
        "features": container.seal(described),
        "manifest": manifest.digest(table),
        "code": code,
        "identity": identity,
    }
    for fold in folds:
        started, subjects = time.monotonic(), held_out(known, fold, groups)
        test = owners.isin(subjects).to_numpy()
        training = Training(values[~test], labels[~test], owners[~test].to_numpy())
        scores, details = np.empty((0, len(classes))), {}
        if test.any():
            try:
                scores, details = classify(training, values[test], baseline.classifier, len(classes), seed)
            except UserError as error:
                raise UserError(f"{baseline.name} without {fold}: {error}") from None
        else:
            _LOG.warning("no sample of %s can be used: predictions.csv has no rows", fold)
        predictions = table.loc[test, ["sample_id", "subject", "label"]]
        predictions["predicted"] = [classes[k] for k in scores.argmax(axis=1)]
        predictions[[f"p_{name}" for name in classes]] = scores
        counts = np.bincount(training.labels, minlength=len(classes)).tolist()
        told = {
            **record(
                baseline.name,
                seed,
                fold,
                subjects,
                dict(zip(classes, counts, strict=True)),
                test=int(test.sum()),
                absent=int((at < 0).sum()),
            ),
            "classifier": details,
            **provenance.circumstances(),
            "digests": digests,
            "seconds": {"classify": _since(started)},
        }
        _LOG.info("%s: %d of %d right, %s", fold, _hits(predictions), len(predictions), details)
        job.write_json(folder / fold / "fold.json", told)
        job.write_text(folder / fold / "predictions.csv", predictions.to_csv(index=False))


def _hits(predictions: pd.DataFrame) -> int:
    return int((predictions["label"] == predictions["predicted"]).sum())


def _since(started: float) -> float:
    return time.monotonic() - started
