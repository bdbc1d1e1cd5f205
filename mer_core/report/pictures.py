"""Pictures with people in them, and the rule that says whose face may be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mer_core.config.report import Report
from mer_core.report.figures import SOFT, WIDTH, styled

# The subjects whose images the CK+ user agreement lets a publication reproduce, and its notice.
CKPLUS_PUBLISHABLE = frozenset(
    {"S052", "S055", "S074", "S106", "S111", "S113", "S121", "S124", "S125", "S130", "S132"}
)
# Those of CASME II whose publication is restricted.
CASME2_RESTRICTED = frozenset({"sub12", "sub22"})
CKPLUS_NOTICE = "© Jeffrey Cohn"
COLUMNS = 8  # faces in a row of a contact sheet
LETTERS = 13  # that fit in a line above a face of a contact sheet


@dataclass(frozen=True, eq=False)
class Look:
    """What a fold's network looked at in one clip of who was left out.

    Attributes:
        sample_id: of the clip.
        label, predicted: the class, and the answer.
        probability: of the answer.
        face: uint8 (H, W, C), the aligned apex.
        evidence: float (h, w), Grad-CAM of the answer, from 0 to 1, its largest; all 0 where nothing speaks
            for the answer.
        gate: float (h, w) in (0, 1), S of the same stage; None of a network without one.
    """

    sample_id: str
    label: str
    predicted: str
    probability: float
    face: np.ndarray
    evidence: np.ndarray
    gate: np.ndarray | None


def may_show(dataset: str, subject: str, *, simulated: bool, layout: str, settings: Report) -> bool:
    """Whether a subject's face may appear in a figure or in the report.

    Args:
        dataset: the dataset's name in the configuration.
        subject: the subject's name in the manifest.
        simulated: the dataset was drawn by this workflow and shows nobody's expression.
        layout: of the dataset; those of CK+ and CASME II have rules of their own, whatever it is called.
        settings: the configuration's `report` block.

    Returns:
        False for everybody under `never_show`; simulated faces unless `show_faces` is false; licensed
        ones only where it is true, of CK+ only those that its user agreement names, and of CASME II none of
        those whose publication is restricted.
    """
    if f"{dataset}/{subject}" in settings.never_show:
        return False
    if simulated:
        return settings.show_faces is not False
    barred = (layout == "ckplus" and subject not in CKPLUS_PUBLISHABLE) or (
        layout == "casme2" and subject in CASME2_RESTRICTED
    )
    return settings.show_faces is True and not barred


def notice(layout: str, *, simulated: bool) -> str:
    """The credit line that must stand beside a dataset's faces; '' where none is asked for."""
    return CKPLUS_NOTICE if layout == "ckplus" and not simulated else ""


@styled
def contact_sheet(
    images: np.ndarray, labels: Sequence[str], steps: Sequence[str], *, credit: str = ""
) -> Figure:
    """Aligned faces side by side, each with its label and the detector step that found it.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, only faces that `may_show` allows.
        labels: N class names.
        steps: N names of the detector's step.
        credit: the notice of `notice`.

    Returns:
        A grid of N faces; with none, a sentence that says so.
    """
    rows = max(1, -(-len(images) // COLUMNS))
    edge = WIDTH / COLUMNS
    titles = ["\n".join(fill(words, LETTERS) for words in above) for above in zip(labels, steps, strict=True)]
    lines = max((title.count("\n") + 1 for title in titles), default=1)
    height = rows * (edge + 0.1 + 0.13 * lines)
    figure = Figure(figsize=(WIDTH, height + 0.22 * bool(credit)))
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for panel in grid.flat:
        panel.axis("off")
    for panel, image, title in zip(grid.flat, images, titles, strict=False):
        panel.imshow(_color(image))
        panel.set_title(title, fontsize=6.5, loc="center", pad=3, linespacing=1.25)
    if not len(images):
        grid[0, 0].text(0, 0.5, "No face of this dataset may be shown.")
    if credit:
        figure.supxlabel(credit, fontsize=7.5)
    return figure


@styled
def attention_maps(
    images: np.ndarray, maps: Mapping[str, np.ndarray], labels: Sequence[str], *, credit: str = ""
) -> Figure:
    """Where the spatial gate S (equation 3) looks, laid over aligned faces.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, only faces that `may_show` allows.
        maps: the residual unit's name -> (N, h, w) gates in (0, 1), in the order to draw.
        labels: N captions, one per row.
        credit: the notice of `notice`.

    Returns:
        A row per face: the face, then each unit's gates over it; without faces, a sentence that says
        so. One scale for the whole figure, so that units can be compared; its ends are the smallest and
        the largest gate shown.
    """
    if not len(images):
        return contact_sheet(images, [], [])
    everything = np.concatenate([gates.ravel() for gates in maps.values()])
    scale = Normalize(everything.min(), everything.max())
    columns = len(maps) + 1
    edge = (WIDTH - 0.6) / columns
    figure = Figure(figsize=(WIDTH, len(images) * edge + 0.3 + 0.22 * bool(credit)))
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(len(images), columns, squeeze=False)
    height, width = images.shape[1:3]
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        for panel in grid[row]:
            panel.imshow(_color(image))
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        grid[row, 0].set_ylabel(label, fontsize=7.5)
        for panel, gates in zip(grid[row, 1:], maps.values(), strict=True):
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            overlay = {"cmap": "viridis", "norm": scale, "alpha": 0.55, "interpolation": "bilinear"}
            panel.imshow(gates[row], extent=extent, **overlay)
    for panel, name in zip(grid[0], ("aligned face", *maps), strict=True):
        panel.set_title(name, fontsize=8, loc="center", pad=4)
    bar = figure.colorbar(ScalarMappable(scale, "viridis"), ax=grid, fraction=0.02, pad=0.01, shrink=0.6)
    bar.outline.set_visible(False)
    bar.set_label("gate S", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if credit:
        figure.supxlabel(credit, fontsize=7.5)
    return figure


@styled
def looks(
    found: Mapping[tuple[str, bool], Look],
    classes: Sequence[str],
    *,
    title: str = "",
    credit: str = "",
    instead: str = "",
) -> Figure:
    """What networks look at in clips that they judged right, and beside them in clips judged wrong.

    Args:
        found: by class and by whether the answer is right; only faces that `may_show` allows. A place
            without a look stays empty.
        classes: in the order to draw.
        title: what stands above.
        credit: the notice of `notice`.
        instead: a sentence in place of the pictures.

    Returns:
        A row per class and two halves: the face, Grad-CAM of the answer over it, and the gate S, where the
        network has one. Each Grad-CAM is stretched to its own largest value; gates share one scale.
    """
    if instead or not found:
        figure = Figure(figsize=(WIDTH, 0.5))
        figure.text(0.01, 0.5, instead or "No face of this dataset may be shown.", va="center")
        return figure
    gates = [one.gate for one in found.values() if one.gate is not None]
    scale = Normalize(min(gate.min() for gate in gates), max(gate.max() for gate in gates)) if gates else None
    titles = ["Grad-CAM", *(["gate S"] if gates else [])]
    columns = len(titles) + 1
    edge = min(1.2, WIDTH / (2 * columns + 0.7))
    figure = Figure(figsize=(edge * (2 * columns + 0.7), len(classes) * (edge + 0.2) + 1.1))
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    # A narrow column keeps the halves apart.
    grid = figure.subplots(
        len(classes), 2 * columns + 1, squeeze=False, width_ratios=[*[1] * columns, 0.25, *[1] * columns]
    )
    for panel in grid.flat:
        panel.set(xticks=[], yticks=[], box_aspect=1)
        panel.spines[:].set_visible(False)
    for panel in grid[:, columns]:
        panel.set_box_aspect(None)
    over = {"cmap": "viridis", "alpha": 0.55, "interpolation": "bilinear"}
    for is_right, half in ((True, grid[:, :columns]), (False, grid[:, columns + 1 :])):
        kind = "answered right" if is_right else "answered wrong"
        for panel, heading in zip(half[0], [kind, *titles], strict=True):
            panel.set_title(heading, fontsize=8, loc="center", pad=4)
        for row, name in zip(half, classes, strict=True):
            if (name, is_right) not in found:
                row[0].text(0.5, 0.5, "none", ha="center", va="center", fontsize=7.5, color=SOFT)
                continue
            one = found[name, is_right]
            height, width = one.face.shape[:2]
            over["extent"] = (-0.5, width - 0.5, height - 0.5, -0.5)
            for panel in row:
                panel.imshow(_color(one.face))
            row[0].set_xlabel(f"{one.predicted} {one.probability:.2f}", fontsize=7, labelpad=2)
            row[1].set_xlabel(one.sample_id, fontsize=5.5, labelpad=2, color=SOFT)
            row[1].imshow(one.evidence, vmin=0, vmax=1, **over)
            if one.gate is not None:
                row[2].imshow(one.gate, norm=scale, **over)
    for panel, name in zip(grid[:, 0], classes, strict=True):
        panel.set_ylabel(name, fontsize=7.5)
    said = [
        "Rows: the true class. Below a face: the answer and its probability.",
        "Grad-CAM: bright where most speaks for the answer, dark where nothing does"
        + (f"; gate S: {scale.vmin:.2f} dark, {scale.vmax:.2f} bright." if scale else "."),
    ]
    figure.suptitle(title, fontsize=9)
    figure.supxlabel("\n".join([*said, credit]).rstrip(), fontsize=7)
    return figure


def _color(image: np.ndarray) -> np.ndarray:
    """Three channels for one, so that a gray crop is drawn gray."""
    return np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
