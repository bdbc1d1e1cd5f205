"""From features to answers: leave one subject out, with classifiers of scikit-learn.

What is learnt of the clips - normalisation, hyper-parameters, classifier - is learnt of the training
subjects. The labels of the subject left out are seen by nothing; its features only by the classifier whose
settings say `transductive`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import AdaBoostClassifier
from sklearn.metrics import f1_score
from sklearn.metrics.pairwise import linear_kernel
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mer_core.baselines.selection import select_features
from mer_core.baselines.selective_transfer import Match, kernel_mean_matching, selective_transfer
from mer_core.config.baselines import AdaBoost, RandomSelection, SupportVectorMachine
from mer_core.errors import UserError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Training:
    """The clips that a classifier learns from.

    Args:
        features: float32 (n, D).
        labels: int (n,), indices into the classes.
        subjects: (n,) whose clip each is.
    """

    features: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray


def classify(
    training: Training,
    features: np.ndarray,
    settings: SupportVectorMachine | AdaBoost,
    classes: int,
    seed: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train on some subjects' clips and answer for another's.

    Args:
        training: the clips of the training subjects.
        features: float32 (m, D), the clips of the subject left out, m > 0.
        settings: of the classifier.
        classes: how many classes K there are; those that training lacks get the score 0.
        seed: of AdaBoost's choice among equally good stumps, and of the selection of features.

    Returns:
        Scores (m, K), each row summing to 1, the answer having the largest; and what was chosen or found in
        training. They are no calibrated probabilities: of support vector machines the softmax of the
        decision values, of AdaBoost the shares of the stumps' weighted votes.

    Raises:
        UserError: the training clips are of one class, or normalisation or hyper-parameters do not suit them.
    """
    if len(np.unique(training.labels)) < 2:
        raise UserError("the training clips are of one class only; use more subjects")
    if isinstance(settings, AdaBoost):
        return _boost(training, features, settings, classes, seed)
    training, features, selected = _select(training, features, settings, seed)
    cost, details = choose_cost(training, settings)
    details |= selected
    machine = _machine(settings, cost).fit(training.features, training.labels)
    values = machine.decision_function(features)
    if values.ndim == 1:  # of two classes scikit-learn gives the second one's
        values = np.column_stack([-values, values])
    scores = np.zeros((len(features), classes))
    scores[:, machine.classes_] = softmax(values, axis=1)
    return scores, details


def _select(
    training: Training, features: np.ndarray, settings: SupportVectorMachine, seed: int
) -> tuple[Training, np.ndarray, dict[str, Any]]:
    """The features that a search among the training clips has chosen, or all."""
    if settings.selection is None:
        return training, features, {}
    if isinstance(settings.selection, RandomSelection):
        width = training.features.shape[1]
        kept = max(1, round(settings.selection.share * width))
        mask = np.isin(np.arange(width), np.random.default_rng(seed).permutation(width)[:kept])
        details = {}
    else:
        standard = StandardScaler().fit_transform(training.features.astype(np.float64))
        found = select_features(standard, training.labels, training.subjects, settings.selection, seed)
        mask, details = found.mask, {"inner_macro_f1": found.inner_macro_f1}
    chosen = Training(training.features[:, mask], training.labels, training.subjects)
    return chosen, features[:, mask], {"selected_features": int(mask.sum()), **details}


def choose_cost(training: Training, settings: SupportVectorMachine) -> tuple[float, dict[str, Any]]:
    """The cost with the best macro-F1 when each training subject is left out in turn, of equals the first.

    Returns:
        The cost, and a record of it and of the macro-F1 of each candidate; with a single candidate nothing
        is tried.

    Raises:
        UserError: the training clips without one of their subjects are of one class.
    """
    if len(settings.cost) == 1:
        return settings.cost[0], {"cost": settings.cost[0]}
    for subject in np.unique(training.subjects):
        if len(np.unique(training.labels[training.subjects != subject])) < 2:
            raise UserError(
                f"the cost cannot be chosen: without {subject}, the training clips are of one class; set a "
                "single cost, or use more subjects"
            )
    found = []
    for cost in settings.cost:
        answers = cross_val_predict(
            _machine(settings, cost),
            training.features,
            training.labels,
            groups=training.subjects,
            cv=LeaveOneGroupOut(),
        )
        found.append(float(f1_score(training.labels, answers, average="macro", zero_division=0)))
    cost = settings.cost[int(np.argmax(found))]
    return cost, {"cost": cost, "macro_f1_by_cost": dict(zip(map(str, settings.cost), found, strict=True))}


def _machine(settings: SupportVectorMachine, cost: float) -> Pipeline:
    # A callable kernel is computed by one matrix product, ten times faster than in libsvm's own loops.
    kernel = {"linear": linear_kernel, "rbf": "rbf"}[settings.kernel]
    machine = SVC(C=cost, kernel=kernel, class_weight=settings.class_weight, break_ties=True)
    return make_pipeline(*_normalizers(settings.normalization), machine)


def _normalizers(kind: str) -> list[Any]:
    return {
        "none": [],
        "l2": [Normalizer()],
        "hellinger": [FunctionTransformer(_square_root)],
        "standard": [StandardScaler()],
    }[kind]


def _square_root(features: np.ndarray) -> np.ndarray:
    """Makes a linear kernel of histograms their Hellinger (Bhattacharyya) kernel."""
    if (features < 0).any():
        raise UserError("normalization: hellinger is for histograms, but some features are negative")
    return np.sqrt(features)


def _boost(
    training: Training, features: np.ndarray, settings: AdaBoost, classes: int, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    weights, details = _first_weights(training, features, settings)
    used = weights > 0
    boosting = AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=1),
        n_estimators=settings.rounds,
        learning_rate=settings.learning_rate,
        random_state=seed,
    ).fit(training.features[used], training.labels[used], sample_weight=weights[used])
    votes = np.zeros((len(features), classes))
    for stump, weight in zip(boosting.estimators_, boosting.estimator_weights_, strict=False):
        votes[np.arange(len(features)), stump.predict(features)] += weight
    return votes / votes.sum(axis=1, keepdims=True), details | {"stumps": len(boosting.estimators_)}


def _first_weights(
    training: Training, features: np.ndarray, settings: AdaBoost
) -> tuple[np.ndarray, dict[str, Any]]:
    """The weights (n,) that boosting starts with."""
    if settings.weights == "uniform":
        return np.ones(len(training.labels)), {}
    match = Match.of(training.features, features)
    if settings.weights == "kmm":
        weights, details = kernel_mean_matching(match), {}
    else:
        selection = selective_transfer(match, training.labels)
        weights, details = selection.weights, {"objective": selection.objective}
    # (Σ s)² / Σ s² of equal weights is their number.
    return weights, details | {"effective_clips": float(weights.sum() ** 2 / (weights @ weights))}
