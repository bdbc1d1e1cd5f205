"""The genetic selection of features: its closed form, and that it stays inside the training subjects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.baselines.classify import Training, classify
from mer_core.baselines.selection import held_out_values, inner_macro_f1, select_features
from mer_core.config.baselines import GeneticSelection, RandomSelection, SupportVectorMachine

SEARCH = GeneticSelection(kind="genetic", population=12, generations=8)


def clips(seed, informative=2, noise=30, people=6, each=5):
    """Standardised features of which a few tell the class; labels; subjects."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(people * each) % 3, 1)
    subjects = np.repeat([f"s{n}" for n in range(people)], each)
    features = rng.normal(size=(len(labels), informative + noise))
    features[:, :informative] += 3 * np.stack([labels == 0, labels == 1], 1)[:, :informative]
    return (features - features.mean(0)) / features.std(0), labels, subjects


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100))
def test_leaving_a_group_out_in_closed_form_is_refitting_without_it(seed, ridge):
    rng = np.random.default_rng(seed)
    features, targets = rng.normal(size=(12, 5)), rng.normal(size=(12, 2))
    groups = np.repeat([0, 1, 2, 3], [2, 5, 1, 4])
    kernel = features @ features.T
    values = held_out_values(kernel, targets, groups, ridge)
    for group in range(4):
        out = groups == group
        inner = kernel[np.ix_(~out, ~out)]
        dual = np.linalg.solve(inner + ridge * np.eye((~out).sum()), targets[~out])
        assert values[out] == pytest.approx(kernel[np.ix_(out, ~out)] @ dual, abs=1e-9)


def test_the_search_prefers_what_tells_the_class():
    features, labels, subjects = clips(0)
    found = select_features(features, labels, subjects, SEARCH, seed=0)
    assert found.mask[:2].all(), "the features that tell the class are kept"
    assert found.inner_macro_f1 == inner_macro_f1(features[:, found.mask], labels, subjects, SEARCH.ridge)
    assert found.inner_macro_f1 > inner_macro_f1(features[:, 2:], labels, subjects, SEARCH.ridge)
    again = select_features(features, labels, subjects, SEARCH, seed=0)
    assert (again.mask == found.mask).all()


def test_nothing_is_learnt_of_the_subject_left_out():
    """Exchanging the held-out clips changes no choice, only their own answers."""
    features, labels, subjects = clips(1)
    training = Training(features[subjects != "s0"], labels[subjects != "s0"], subjects[subjects != "s0"])
    machine = SupportVectorMachine(kind="svm", normalization="standard", selection=SEARCH)
    held_out = features[subjects == "s0"]
    scores, details = classify(training, held_out, machine, 3, seed=0)
    others, same = classify(training, -5 * held_out[:1], machine, 3, seed=0)
    assert same == details and details["selected_features"] < features.shape[1]
    assert others.shape == (1, 3) and scores.shape == (5, 3)


def test_noise_is_no_better_for_having_been_searched():
    """On labels without any relation to features the searched score deceives; the held-out one does not."""
    rng = np.random.default_rng(3)
    features, _, subjects = clips(2, people=8)
    labels = rng.integers(0, 2, len(subjects))
    machine = SupportVectorMachine(kind="svm", normalization="standard", selection=SEARCH)
    hits, searched = 0, []
    for subject in np.unique(subjects):
        out = subjects == subject
        training = Training(features[~out], labels[~out], subjects[~out])
        scores, details = classify(training, features[out], machine, 2, seed=0)
        hits += (scores.argmax(1) == labels[out]).sum()
        searched.append(details["inner_macro_f1"])
    assert hits / len(labels) < 0.7 < np.mean(searched)


def test_a_random_share_is_the_control():
    features, labels, subjects = clips(1)
    training = Training(features, labels, subjects)
    machine = SupportVectorMachine(kind="svm", selection=RandomSelection(kind="random", share=0.25))
    _, details = classify(training, features[:2], machine, 3, seed=0)
    assert details["selected_features"] == 8
