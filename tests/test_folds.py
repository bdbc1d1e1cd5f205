"""Who is left out together."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.datasets.folds import deal, held_out
from mer_core.errors import UserError


def manifest(sizes):
    """So many samples of each of some subjects."""
    subjects = [name for name, size in sizes.items() for _ in range(size)]
    return pd.DataFrame({"subject": subjects, "included": True})


def test_without_groups_a_fold_is_one_subject():
    assert held_out(manifest({"a": 2, "b": 1}), "b", None) == ["b"]
    with pytest.raises(UserError, match="subject 'c' is not in the manifest; it has a, b"):
        held_out(manifest({"a": 2, "b": 1}), "c", None)


def test_groups_are_dealt_by_size():
    people = manifest({"a": 3, "b": 10, "c": 3, "d": 4})
    assert deal(people, 2) == {"group1": ["b"], "group2": ["a", "c", "d"]}
    assert held_out(people, "group2", 2) == ["a", "c", "d"]
    with pytest.raises(UserError, match="subject 'b' is not in the manifest; it has group1, group2"):
        held_out(people, "b", 2)


def test_only_samples_that_take_part_count():
    people = manifest({"a": 9, "b": 3, "c": 3})
    people.loc[people.subject == "a", "included"] = False
    assert deal(people, 2) == {"group1": ["a", "b"], "group2": ["c"]}


@given(st.lists(st.integers(1, 40), min_size=6, max_size=40), st.integers(2, 6))
def test_everyone_is_in_one_group_and_groups_are_alike(sizes, groups):
    of = {f"s{number:02d}": size for number, size in enumerate(sizes)}
    dealt = deal(manifest(of), groups)
    assert len(dealt) == groups and all(dealt.values())
    assert sorted(subject for subjects in dealt.values() for subject in subjects) == sorted(of)
    sums = [sum(of[subject] for subject in subjects) for subjects in dealt.values()]
    assert max(sums) - min(sums) <= max(sizes)
    shuffled = manifest(dict(reversed(of.items())))
    assert deal(shuffled, groups) == dealt
