"""A prediction as a picture: the aligned face, where the attention looked, a bar per class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mer_core import job
from mer_core.inference.model import Prediction
from mer_core.report.figures import Figure, styled


@styled
def draw_prediction(prediction: Prediction, path: Path) -> None:
    """Publish the picture of a prediction as PNG, readable by its owner alone: it shows a face."""
    buffer = io.BytesIO()
    figure_of(prediction).savefig(buffer, format="png", dpi=120)
    with job.publish(path, mode=0o600) as temporary:
        temporary.write_bytes(buffer.getvalue())


@styled
def figure_of(prediction: Prediction) -> Figure:
    """The face, with a spatial gate laid over it where the network has one, and the probabilities."""
    shown = [None] if prediction.attention is None else [None, prediction.attention]
    figure = Figure(figsize=(2.2 * len(shown) + 3.2, 2.6))
    panels = figure.subplots(1, len(shown) + 1, width_ratios=[1] * len(shown) + [1.2])
    height, width = prediction.face.crop.shape[:2]
    for panel, gate in zip(panels, shown, strict=False):
        panel.imshow(prediction.face.crop)
        title = "aligned face" if gate is None else f"gate S: {gate.min():.2f} dark, {gate.max():.2f} bright"
        panel.set_title(title, fontsize=8, loc="center")
        panel.axis("off")
        if gate is not None:
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            panel.imshow(gate, extent=extent, cmap="viridis", alpha=0.55, interpolation="bilinear")
    names, values = list(prediction.probabilities), list(prediction.probabilities.values())
    bars = panels[-1].barh(np.arange(len(names)), values)
    panels[-1].bar_label(bars, [f"{value:.2f}" for value in values], fontsize=7.5, padding=2)
    panels[-1].set(yticks=np.arange(len(names)), yticklabels=names, xlim=(0, 1.15), xticks=[0, 0.5, 1])
    panels[-1].set_xlabel("probability", fontsize=8)
    panels[-1].invert_yaxis()
    if prediction.notes:
        figure.supxlabel("; ".join(prediction.notes), fontsize=7, wrap=True)
    return figure
