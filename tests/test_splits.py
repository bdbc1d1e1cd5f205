"""Who is trained on and who is tested."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_samples import CLASSES, CPU, write_dataset

from mer_core.errors import UserError
from mer_core.training import data, splits


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return data.load(*write_dataset(tmp_path_factory.mktemp("data"), subjects=5, frames=2), CLASSES, CPU)


def test_a_fold_leaves_one_subject_out(samples):
    train, test = splits.split_fold(samples, ["s2"])
    assert sorted(torch.cat([train, test]).tolist()) == list(range(30))
    assert set(samples.table["subject"].iloc[test.numpy()]) == {"s2"}
    assert "s2" not in set(samples.table["subject"].iloc[train.numpy()])


def test_a_leak_is_noticed(samples):
    everyone = np.ones(30, dtype=bool)
    with pytest.raises(RuntimeError, match="leak"):
        splits._indices(samples, everyone, everyone, apart="subject")


@pytest.mark.parametrize("seed", range(5))
def test_the_split_by_frame_is_random_of_the_wanted_size(samples, seed):
    train, test = splits.split_by_frame(samples, 0.2, seed)
    assert len(test) == 6 and sorted(torch.cat([train, test]).tolist()) == list(range(30))
    assert torch.equal(test, splits.split_by_frame(samples, 0.2, seed)[1])
    assert not torch.equal(test, splits.split_by_frame(samples, 0.2, seed + 1)[1])


def by_hand(labels):
    """Samples of given labels, as (subject, label) pairs; no images."""
    table = pd.DataFrame(labels, columns=["subject", "label"])
    table["clip"], table["sample_id"] = "c", [f"d/{i}" for i in range(len(table))]
    n, nothing = len(table), torch.zeros(3, 1, 1)
    codes = torch.tensor([CLASSES.index(name) for name in table["label"]])
    images = torch.zeros(n, 1, 1, 1, dtype=torch.uint8)
    return data.Samples(images, codes, table, CLASSES, [], set(table["subject"]), {}, nothing, nothing)


@pytest.mark.parametrize("seed", range(10))
def test_the_split_by_subject_keeps_people_apart_covers_classes_and_is_near_to_the_share(seed):
    rng = np.random.default_rng(seed)
    people = [(f"s{s:02d}", CLASSES[rng.integers(2)]) for s in range(30) for _ in range(rng.integers(3, 20))]
    # The rare class has two people, who must not stand on the same side.
    samples = by_hand(people + [("s07", "others"), ("s21", "others")])
    train, test = splits.split_by_subject(samples, 0.2, seed)
    table = samples.table
    assert not set(table["subject"].iloc[train.numpy()]) & set(table["subject"].iloc[test.numpy()])
    assert len(train) + len(test) == len(table)
    assert abs(len(test) / len(table) - 0.2) < 0.02
    assert set(table["label"].iloc[train.numpy()]) == set(table["label"].iloc[test.numpy()]) == set(CLASSES)
    assert torch.equal(test, splits.split_by_subject(samples, 0.2, seed)[1])


def test_the_split_by_subject_among_some_stays_among_them():
    samples = by_hand([(f"s{i % 6}", CLASSES[i % 3]) for i in range(60)])
    among, _ = splits.split_fold(samples, ["s3"])
    part, held_out = splits.split_by_subject(samples, 0.2, 0, among=among)
    assert sorted(torch.cat([part, held_out]).tolist()) == among.tolist()
    assert len(held_out) == 10


def test_two_subjects_can_be_split_and_one_cannot():
    train, test = splits.split_by_subject(by_hand([("a", "others"), ("b", "others")]), 0.2, 0)
    assert len(train) == len(test) == 1
    with pytest.raises(UserError, match="at least two subjects"):
        splits.split_by_subject(by_hand([("a", "others"), ("a", "disgust")]), 0.2, 0)


def test_shares_that_training_has_nearly_seen(samples):
    table = samples.table
    train = torch.tensor(table.index[table["sample_id"].str.endswith("f0")])
    test = torch.tensor(table.index[table["sample_id"].str.endswith("f1")])
    assert splits.shared_with_training(samples, train, test) == {"siblings": 1, "same_person": 1}
    train = torch.tensor(table.index[(table["subject"] == "s0") & (table["clip"] == "c0")])
    test = torch.tensor(table.index[(table["subject"].isin(["s0", "s1"])) & (table["clip"] != "c0")])
    assert splits.shared_with_training(samples, train, test) == {"siblings": 0, "same_person": 0.5}
