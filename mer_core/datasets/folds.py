"""Who is left out together: one subject, one group, or a whole dataset; and what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mer_core.errors import UserError

TEST = "test"
"""The one fold of an official split, and how the names of its test parts begin."""


def held_out(manifest: pd.DataFrame, fold: str, groups: int | str | None) -> list[str]:
    """The subjects that a fold leaves out.

    Args:
        manifest: as `manifest.read_manifest` gives it.
        fold: a subject, or one of group1, group2, ... where there are groups, or a dataset, or test.
        groups: how many groups there are; `dataset` leaves out all people of one at a time, `split` those of
            the official test parts, None one subject.

    Raises:
        UserError: the manifest does not know the fold, or has no official split that keeps people apart.
    """
    if groups == "split":
        folds = {TEST: _official(manifest)}
    elif groups == "dataset":
        people = manifest.drop_duplicates("subject").sort_values("subject").groupby("dataset")["subject"]
        folds = people.agg(list).to_dict()
    elif groups:
        folds = deal(manifest, groups)
    else:
        folds = {name: [name] for name in sorted(set(manifest["subject"]))}
    if fold not in folds:
        raise UserError(f"subject '{fold}' is not in the manifest; it has {', '.join(folds)}")
    return folds[fold]


def _official(manifest: pd.DataFrame) -> list[str]:
    """The people of the official test parts."""
    used = manifest[manifest["included"]]
    parts = used.groupby("subject")["split"].agg(lambda of: {part.partition("_")[0] for part in of})
    for subject, of in parts.items():
        if len(of) > 1 or of == {""}:
            where = "no official part" if of == {""} else " and ".join(sorted(of))
            raise UserError(
                f"folds_by: split: {subject} is in {where} by column split of the manifest; put the clips "
                "into the folders of their parts, or set folds_by: subject"
            )
    test = [subject for subject, of in parts.items() if of == {TEST}]
    if not test or len(test) == len(parts):
        raise UserError(
            f"folds_by: split: {len(test)} of {len(parts)} people are in the official test parts; complete "
            "the copy, or set folds_by: subject"
        )
    return test


def deal(manifest: pd.DataFrame, groups: int) -> dict[str, list[str]]:
    """Deal all subjects to groups of nearly the same number of samples, the same ones each time.

    Those with most samples come first, of equals in the order of their names; each goes to the group
    that has the fewest samples by then, of equals the one with the fewest people, then the first.

    Returns:
        Subjects by group: group1, group2, ...
    """
    sizes = manifest.groupby("subject")["included"].sum()
    dealt: dict[str, list[str]] = {f"group{number}": [] for number in range(1, groups + 1)}
    for subject in sorted(sizes.index, key=lambda name: (-sizes[name], name)):
        least = min(dealt, key=lambda group: (sizes[dealt[group]].sum(), len(dealt[group])))
        dealt[least].append(subject)
    return {group: sorted(subjects) for group, subjects in dealt.items()}


def record(
    name: str,
    seed: int,
    fold: str,
    subjects: Sequence[str],
    train: Mapping[str, int],
    *,
    test: int,
    absent: int,
) -> dict[str, Any]:
    """What fold.json begins with, be it of a network or of a comparison method.

    Args:
        name: of the variant or comparison method.
        seed: of the experiment.
        fold: the subject, or the group, that is left out.
        subjects: who that is.
        train: training samples by class.
        test: how many samples are predicted.
        absent: how many included samples cannot be used.
    """
    return {
        "variant": name,
        "seed": seed,
        "subject": fold,
        "held_out": list(subjects),
        "n_train": sum(train.values()),
        "n_test": test,
        "n_absent": absent,
        "n_train_per_class": dict(train),
    }
