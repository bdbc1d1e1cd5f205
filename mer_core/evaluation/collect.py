"""The folds' predictions, read back, checked against the manifest and put together."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mer_core.csvs import parse_csv, read_csv
from mer_core.errors import UserError
from mer_core.job import cannot_read
from mer_core.provenance import mixture, occurring

MAX_BYTES = 8 << 20  # a fold's file is some kilobytes, and takes a hundredfold in memory
BEST_ON_TEST = "predicted_best_on_test"
Digests = Mapping[str, str | None]
# What of a fold's digests is held against the present files, in words.
PRESENT = {
    "identity": "settings or code",
    "cache": "faces or inputs",
    "features": "features",
    "initial_weights": "initial weights",
}
REMEDY = "delete this fold's folder and run the same command again"


@dataclass(frozen=True)
class Folds:
    """All folds of one variant.

    Args:
        predictions: sample_id, subject, label, predicted, p_{class}..., seed, fold, and
            predicted_best_on_test where the folds recorded it; sorted by seed, then by subject.
        expected: how many folds a complete experiment has, subjects (or groups of them) x seeds; of
            groups that are not there, each subject counts as one.
        circumstances: what the folds' numbers depend on besides their settings, `provenance.occurring`.
        cost: parameters and multiply_adds of a network, None of other methods; seconds, the median of a fold.
    """

    predictions: pd.DataFrame
    expected: int
    circumstances: dict[str, list[str]]
    cost: dict[str, float | None]


def expected_samples(
    manifest: pd.DataFrame, absent: Collection[str], groups: int | str | None = None
) -> pd.DataFrame:
    """The samples that must be predicted: the manifest's included ones without those in `absent`.

    Args:
        manifest: as `datasets.manifest.read_manifest` gives it.
        absent: sample_id of samples that are not in the cache, since no face was found.
        groups: who is left out together, as for `datasets.folds.held_out`; by an official split only the
            test parts are predicted, and told in a column `part`.
    """
    keep = manifest["included"] & ~manifest["sample_id"].isin(set(absent))
    if groups == "split":
        keep &= manifest["split"].str.startswith("test")
        manifest = manifest.assign(part=manifest["split"])
    columns = ["sample_id", "subject", "label", *(["part"] if groups == "split" else [])]
    return manifest.loc[keep, columns].reset_index(drop=True)


def read_folds(
    paths: Iterable[Path],
    samples: pd.DataFrame,
    classes: Sequence[str],
    variant: str,
    seeds: Sequence[int],
    partial: bool,
    present: Mapping[Path, Digests] | None = None,
) -> Folds:
    """Read and check the predictions.csv of a variant's folds, each with the fold.json beside it.

    `predicted` is what counts; the probabilities must be some, but need not have their maximum there.

    Args:
        paths: the predictions.csv, in any order.
        samples: `expected_samples`.
        classes: the class names in order.
        variant: whose folds these must be.
        seeds: the seeds that must be there.
        partial: accept that folds are missing.
        present: what each fold must have recorded among its digests, such as the weights that it starts
            from, by its path in `paths`; None takes any, the same in all.

    Returns:
        The folds, in an order that does not depend on that of `paths`.

    Raises:
        UserError: a file that cannot be read or is not what a fold writes, with its line; a sample that
            is unknown, twice or missing; a label other than the manifest's; folds made with different
            settings, data or code; a fold twice; a fold missing, unless `partial`.
    """
    truth = samples.set_index("sample_id")
    frames: dict[tuple[int, str], pd.DataFrame] = {}
    first: tuple[Path, dict[str, Any]] | None = None
    records = []
    for path in sorted(Path(path) for path in paths):
        fold = _read_fold_json(path.with_name("fold.json"), variant, seeds)
        known = {} if present is None else present[path]
        refuse_stale(path.with_name("fold.json"), fold, known)
        records.append(fold)
        digests = {name: digest for name, digest in fold["digests"].items() if name not in known}
        first = first or (path, digests)
        _refuse_mixture(path, digests, *first)
        expected = truth[truth["subject"].isin(fold["held_out"])]
        rows = _read_predictions(path, expected, fold["subject"], classes)
        for subject in fold["held_out"]:
            key = (fold["seed"], subject)
            if key in frames:
                where = f"subject {subject} with seed {fold['seed']} stands in another folder, too"
                raise UserError(f"{path}: {where}; {REMEDY}")
            of_subject = rows[rows["subject"] == subject]
            frames[key] = of_subject.assign(seed=fold["seed"], fold=fold["subject"])
    wanted = [(seed, subject) for seed in seeds for subject in sorted(truth["subject"].unique())]
    found = [key for key in wanted if key in frames]
    if not found or (len(found) < len(wanted) and not partial):
        lost = ", ".join(
            f"{subject} (seed {seed})" for seed, subject in wanted if (seed, subject) not in frames
        )
        raise UserError(
            f"{variant}: only {len(found)} of {len(wanted)} people (by seed) are answered, without {lost}; "
            "run the same command again, or set evaluation.partial: true"
        )
    predictions = pd.concat([frames[key] for key in found], ignore_index=True)
    if predictions.isna().any(axis=None):
        raise UserError(
            f"{variant}: only some folds have the column {BEST_ON_TEST}; delete its folds and run again"
        )
    folds = len(predictions[["seed", "fold"]].drop_duplicates())
    return Folds(predictions, folds + len(wanted) - len(found), occurring(records), _cost(records))


def read_pooled(path: Path) -> pd.DataFrame:
    """The predictions of `Folds` as `score_variant` published them, names as text."""
    frame = read_csv(path, ["seed"])
    probabilities = [name for name in frame if name.startswith("p_")]
    return frame.astype(dict.fromkeys(probabilities, float))


def _read_fold_json(path: Path, variant: str, seeds: Sequence[int]) -> dict[str, Any]:
    try:
        fold = json.loads(_read_text(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is not JSON; {REMEDY}") from None
    kinds = {"variant": str, "seed": int, "subject": str, "held_out": list, "digests": dict}
    if not isinstance(fold, dict) or not all(type(fold.get(key)) is kind for key, kind in kinds.items()):
        raise UserError(f"{path}: lacks one of {', '.join(kinds)}; {REMEDY}")
    if not all(isinstance(subject, str) for subject in fold["held_out"]):
        raise UserError(f"{path}: names in held_out what is no subject; {REMEDY}")
    if fold["variant"] != variant or fold["seed"] not in seeds:
        raise UserError(f"{path}: is not of variant {variant} and one of the seeds {list(seeds)}; {REMEDY}")
    return fold


def refuse_stale(path: Path, fold: Mapping[str, Any], present: Digests) -> None:
    """Refuse a fold that was made with other settings or code, or of other files, than the present ones.

    Snakemake reruns such a fold by its own record; here its record is lost, or the file came from elsewhere.

    Raises:
        UserError: one of its digests is another.
    """
    other = [PRESENT[name] for name, digest in present.items() if fold["digests"].get(name) != digest]
    if other:
        raise UserError(
            f"{path}: was made with other {' and other '.join(other)} than the present ones, and Snakemake "
            f"has no record of it; delete the folder {path.parents[2]} and run the same command again"
        )


def refuse_mixed(folds: Folds, variant: str, folder: Path) -> None:
    """Refuse folds that were made under different circumstances.

    Raises:
        UserError: names them.
    """
    if mixed := mixture(folds.circumstances):
        raise UserError(
            f"{variant}: its folds were made under different circumstances ({mixed}); delete the folder "
            f"{folder} and run the same command again on one kind of machine, or set evaluation.mixed: note"
        )


def refuse_stale_folds(folders: Iterable[Path], present: Digests) -> None:
    """The same of the folds that are there already; what is no record of a fold is left to `read_folds`."""
    for path in (Path(folder) / "fold.json" for folder in folders):
        try:
            fold = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(fold, dict) and isinstance(fold.get("digests"), dict):
            refuse_stale(path, fold, present)


def has_kept_weights(folder: str | os.PathLike[str]) -> bool:
    """Whether a fold that is there kept its network."""
    try:
        fold = json.loads(Path(folder, "fold.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(fold, dict) and fold.get("keep_weights") is True


def _cost(records: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    # A fold whose subject has no sample that can be used has trained nothing.
    trained = [record for record in records if record.get("n_test", 1)]
    seconds = [sum(record.get("seconds", {}).values()) for record in trained]
    sizes = {name: [record.get(name) for record in trained] for name in ("parameters", "multiply_adds")}
    return {name: found[0] if found else None for name, found in sizes.items()} | {
        "seconds": statistics.median(seconds) if seconds else None
    }


def _refuse_mixture(path: Path, ours: dict[str, Any], first_path: Path, theirs: dict[str, Any]) -> None:
    """Folds are averages of one experiment only if settings, data, initial weights and code are the same."""
    differing = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differing:
        raise UserError(
            f"{path}: differs from {first_path} in {', '.join(map(repr, differing))}; run the same "
            "command again, or delete the older of the two folders first"
        )


def _read_predictions(path: Path, expected: pd.DataFrame, fold: str, classes: Sequence[str]) -> pd.DataFrame:
    """One fold's file, its rows in the order of `expected` (sample_id -> subject, label)."""
    probabilities = [f"p_{name}" for name in classes]
    frame = _read_csv(path, ["sample_id", "subject", "label", "predicted", *probabilities])

    def refuse(bad: pd.Series, problem: str) -> None:
        if bad.any():
            row = frame[bad].iloc[0]
            raise UserError(f"{path}: line {row.name}: sample {row['sample_id'][:80]!r} {problem}; {REMEDY}")

    refuse(~frame["sample_id"].isin(expected.index), f"is no sample of fold {fold} to be predicted")
    refuse(frame["sample_id"].duplicated(), "stands here for the second time")
    for column in ("subject", "label"):
        other = frame[column] != frame["sample_id"].map(expected[column])
        refuse(other, f"has another {column} than in the manifest")
    for column in {"predicted", BEST_ON_TEST} & {*frame.columns}:
        refuse(~frame[column].isin(classes), f"has in column {column} none of {', '.join(classes)}")
    numbers = frame[probabilities].apply(pd.to_numeric, errors="coerce").astype(float)
    fractions = numbers.ge(0).all(axis=1) & numbers.le(1).all(axis=1)
    refuse(~fractions, "has probabilities that are not numbers from 0 to 1")
    refuse((numbers.sum(axis=1) - 1).abs() > 1e-3, "has probabilities that do not add up to 1")
    lost = expected.index.difference(frame["sample_id"], sort=False)
    if len(lost):
        raise UserError(
            f"{path}: lacks {len(lost)} of {len(expected)} samples, such as {lost[0]!r}; {REMEDY}"
        )
    frame[probabilities] = numbers
    return frame.set_index("sample_id").loc[expected.index].reset_index()


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """All cells as text, the index being the line in the file."""
    text = _read_text(path)
    if not text.endswith("\n"):
        raise UserError(f"{path}: is empty or cut off; {REMEDY}")
    frame = parse_csv(text, path, REMEDY)
    if list(frame.columns) not in (columns, [*columns, BEST_ON_TEST]):
        raise UserError(f"{path}: line 1: the columns are not {', '.join(columns)}; {REMEDY}")
    return frame


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: is larger than any fold's file; {REMEDY}")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise cannot_read(path, error) from None
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); {REMEDY}") from None
