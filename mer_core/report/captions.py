"""The words beside each figure of the report: what it shows, on how much, and what its spread is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mer_core.config.experiment import Config
from mer_core.report import printed
from mer_core.report.page import Picture


def basis(score: Mapping[str, Any]) -> str:
    """On what a score rests, such as '246 clips, 26 subjects, 26 folds, 1 seed'."""
    folds, expected, seeds = score["folds"], score["folds_expected"], len(score["seeds"])
    of = f"only {folds} of {expected} folds" if folds < expected else f"{folds} fold{'s' * (folds > 1)}"
    return f"{score['n']} clips, {score['subjects']} subjects, {of}, {seeds} seed{'s' * (seeds > 1)}"


def fullest(metrics: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The score that rests on most, of equals the first: a row may lack folds, seeds or clips of others."""
    return max(metrics.values(), key=lambda one: (one["folds"], one["n"]))


def describe(
    kind: str, about: str, path: Path, settings: Config, metrics: Mapping[str, Mapping[str, Any]]
) -> Picture:
    """Title, caption and text alternative of a figure.

    Args:
        kind: which of the report's figures.
        about: the variant or dataset that it is about; '' where it is about all.
        path: its file.
        settings: the configuration.
        metrics: `statistics.score_variant` by name.

    Returns:
        The figure with its words.
    """
    score = metrics.get(about) or fullest(metrics)
    rests_on = everything = basis(score)
    if len({len(one["seeds"]) for one in metrics.values()}) > 1:
        everything += "; comparison methods: the first seed"
    paper = printed.has_the_papers_classes(score["classes"])
    hollow = f" Hollow bars, on real clips: the paper's own counts (figure 5, {printed.CLIPS} clips)."
    gate = "The gate S of equation 3"
    if about in settings.variant and settings.variant[about].attention == "cbam":
        gate = "The spatial gate of CBAM"
    first = f" (the one without {settings.fold_names[0]})" if settings.shared_with_source else ""
    words = {
        "class_distribution": (
            "Classes",
            f"Samples per class that take part.{hollow if paper else ''}",
            "Bars of the number of samples per class of each dataset.",
        ),
        "variants": (
            "Variants beside the paper" if paper else "All rows",
            f"Points: mean over seeds. Bars: {100 * settings.evaluation.confidence:g} % interval, bootstrap "
            f"over subjects ({everything}).{' Diamonds, on real clips: printed there.' if paper else ''} "
            "Dashed: always answering the commonest class.",
            "Points with intervals per variant and comparison method; the numbers stand in the tables.",
        ),
        "subject_accuracy": (
            "Accuracy per subject",
            f"Percent of each subject's clips that are right, mean over seeds ({everything}). With "
            "one seed, a subject of two clips can only be at 0, 50 or 100.",
            "Bars of the number of clips per subject above a matrix of accuracies, variants by subjects.",
        ),
        "learning_curves": (
            "Learning curves",
            "Loss and accuracy on the training samples. Line: median over folds and seeds, band: the middle "
            f"80 % of them ({rests_on}). Whoever is left out has no part in them.",
            "Training loss and training accuracy over the epochs, a pair of panels per variant.",
        ),
        "confusion": (
            f"Confusion matrix of {about}",
            f"Upper number: clips, mean over seeds; lower number, shade: share of the row ({rests_on}).",
            f"True against predicted classes; share right per class: {_recalls(score)}.",
        ),
        "agreement": (
            "Same answers",
            f"Percent of the clips that two rows answer alike, by the first seed ({everything}). The row "
            "(truth) holds the right answers, hence accuracies. Rows that lean on the commonest class agree "
            "without having seen the same.",
            "A matrix of the share of the same answers, every row of the tables against every other.",
        ),
        "reliability": (
            "Do the probabilities hold?",
            f"The answers of all seeds by their probability, in tenths ({everything}). Points: how many of "
            "them are right, their area by how many they are; on the dashed line probabilities hold, below "
            "it they promise too much. Above: the expected calibration error, and in brackets what it would "
            "be on average if every probability held."
            + " Comparison methods give scores that add up to 1, never meant as probabilities."
            * bool(settings.baselines),
            "Probability against share of right answers, a panel per row; the errors stand above each.",
        ),
        "attention": (
            f"Spatial attention of {about}",
            f"{gate} over one face of each class, as pretraining on {settings.source} has learnt it, before "
            f"any fold{first}; the last unit of each stage, one scale for all.",
            "Aligned faces with the spatial gate laid over them as colour.",
        ),
        "faces": (
            f"Aligned faces of {about}",
            f"Crops, {settings.alignment.size} pixels wide, as rows get them that see the apex (of many a "
            "selection), each with its class and the step of the detector that found the face; only people "
            "who may be shown.",
            f"A sheet of aligned faces of {about}.",
        ),
        "workflow": (
            "Stages of the workflow",
            "Every stage with its Snakemake rules; each builds on what stands left of it, and join_datasets, "
            "where datasets are put together, on faces as well.",
            "A diagram of the stages from data to models, in each the names of its rules.",
        ),
        "times": (
            "Time per job",
            "Wall-clock seconds of every job so far, from Snakemake's benchmarks.",
            "Seconds per job for each rule, on a logarithmic axis.",
        ),
    }
    title, caption, alt = words[kind]
    return Picture(path, title, caption, alt, about if about in metrics else "")


def _recalls(score: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values['recall']:.2f}" for name, values in score["per_class"].items())
