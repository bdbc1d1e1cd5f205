"""What the folds' networks look at, in clips that they had not seen.

Grad-CAM (Selvaraju et al., ICCV 2017, by captum) of the class that was answered, and the spatial gate S
(equation 3) of a network that has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from mer_core.config.models import Variant
from mer_core.config.report import Report
from mer_core.errors import UserError
from mer_core.inference.model import LEAST_EDGE
from mer_core.models import attention_maps
from mer_core.models.weights import load_weights
from mer_core.report.pictures import Look, may_show, notice
from mer_core.training import data, splits
from mer_core.training.fold import network_of

# Where the last maps are that lie as the face does, and whether they go into the module or come out of it;
# of parallel streams the evidence is added.
_LAST_MAPS = {
    "off_apexnet": (("u", "v"), False),
    "ststnet": (("pool",), True),
    "rcn_a": (("after",), True),
    "learnet": (("merge",), True),
    "mmnet": (("blocks.3.body",), False),
}
# Networks of which it depends on the size of the input which maps are the last that still tell places.
_STAGES = {"resnet18": r"layer\d", "efficientnet_lite0": r"units\.\d+|head"}
# Networks whose maps do not lie as the face does.
OTHERS = {
    "htnet": "HTNet sees patches cut out of the face, each by itself: no map of it lies as the face does.",
    "dtscnn": "DTSCNN convolves over time, too: no map of it is of the apex.",
}


def allowed(
    samples: pd.DataFrame, parts: Mapping[str, Mapping[str, Any]], settings: Report
) -> tuple[set[str], str]:
    """Whose faces may be shown.

    Args:
        samples: the target's manifest. Of several parts a person's name begins with the part's, as in
            `datasets.composite`.
        parts: dataset -> layout and simulated, as `report.pictures.may_show` takes them.
        settings: the configuration's `report` block.

    Returns:
        Their sample_id, and the credit lines that must stand beside them.
    """
    names, credits = set(), set()
    for row in samples.itertuples():
        about = parts[row.dataset]
        person = row.subject.removeprefix(f"{row.dataset}-") if len(parts) > 1 else row.subject
        if may_show(row.dataset, person, **about, settings=settings):
            names.add(row.sample_id)
            credits.add(notice(**about))
    return names, " ".join(sorted(credits)).strip()


def choose(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[tuple[str, bool], int]:
    """The clips to look at: of each class the surest right answer and the surest wrong one.

    Args:
        predictions: of one variant and seed, one row per clip that may be shown.
        classes: in order.

    Returns:
        (class, whether the answer is right) -> place among the rows, of equals the first; without those
        that there are none of.
    """
    sure = predictions[[f"p_{name}" for name in classes]].max(axis=1).to_numpy()
    right = (predictions["predicted"] == predictions["label"]).to_numpy()
    chosen = {}
    for name in classes:
        for is_right in (True, False):
            places = np.flatnonzero((predictions["label"] == name).to_numpy() & (right == is_right))
            if len(places):
                chosen[name, is_right] = int(places[sure[places].argmax()])
    return chosen


def look(
    folds: Path,
    predictions: pd.DataFrame,
    samples: data.Samples,
    faces: Mapping[str, np.ndarray],
    variant: Variant,
    normalization: str,
    reduction: int,
) -> dict[tuple[str, bool], Look]:
    """What the networks of a variant's folds look at, in the clips that `choose` takes.

    Args:
        folds: folder of the folds of one seed, in which each has fold.json and weights.safetensors.
        predictions: theirs, pooled.
        samples: what the variant sees of the target.
        faces: the aligned apex of each clip that may be shown, by sample_id.
        variant: the row of the configuration; its network is none of `OTHERS`.
        normalization: as its folds were trained.
        reduction: of the channel attention.

    Returns:
        The looks, by class and by whether the answer is right.

    Raises:
        UserError: a fold's weights are missing or damaged.
    """
    shown = predictions[predictions["sample_id"].isin(faces.keys())].reset_index(drop=True)
    looks = {}
    for key, place in choose(shown, samples.classes).items():
        row = shown.loc[place]
        fold = folds / row["fold"]
        held_out = json.loads((fold / "fold.json").read_text(encoding="utf-8"))["held_out"]
        train, _ = splits.split_fold(samples, held_out)
        seen = data.with_normalization(samples, normalization, train)
        model = network_of(variant, seen, reduction, dropout=0.0)
        if not (fold / "weights.safetensors").exists():
            raise UserError(
                f"{fold}: its weights are lost; delete this folder and run the same command again"
            )
        load_weights(model, fold / "weights.safetensors")
        at = int(np.flatnonzero(samples.table["sample_id"] == row["sample_id"])[0])
        evidence, gate = look_into(
            model.eval(),
            seen.normalize(seen.pixels(torch.tensor([at]))),
            samples.classes.index(row["predicted"]),
            variant.network_kind,
        )
        looks[key] = Look(
            sample_id=row["sample_id"],
            label=row["label"],
            predicted=row["predicted"],
            probability=float(row[f"p_{row['predicted']}"]),
            face=faces[row["sample_id"]],
            evidence=evidence,
            gate=gate,
        )
    return looks


def look_into(
    model: nn.Module, image: Tensor, answer: int, kind: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """What speaks for an answer, and where the spatial attention is.

    Args:
        model: in evaluation mode.
        image: (1, C, H, W), normalised.
        answer: the class.
        kind: of the network.

    Returns:
        Grad-CAM (h, w), divided by its largest value, and the gate S (h, w) or None. Of ResNet18 both are
        of the last stage whose maps have `LEAST_EDGE` positions along an edge, else of the first: of crops of
        224 pixels the fourth, of 48 the second.
    """
    modules, goes_in, gate = *_LAST_MAPS.get(kind, ((), False)), None
    if kind in _STAGES:
        modules = (_last_wide(model, image, _STAGES[kind]),)
    if kind == "resnet18":
        with torch.no_grad():
            _, units = attention_maps(model, image)
        spatial = units[2 * int(modules[0].removeprefix("layer")) - 1].spatial
        gate = None if spatial is None else spatial[0, 0].numpy()
    evidence = sum(
        LayerGradCam(model, model.get_submodule(name)).attribute(
            image, target=answer, attribute_to_layer_input=goes_in
        )
        for name in modules
    )
    evidence = evidence.detach()[0, 0].relu()
    return (evidence / evidence.max().clamp(min=1e-12)).numpy(), gate


@torch.no_grad()
def _last_wide(model: nn.Module, image: Tensor, pattern: str) -> str:
    """The last of some modules whose maps have `LEAST_EDGE` positions along an edge, or the first of them."""
    names = [name for name, _ in model.named_modules() if re.fullmatch(pattern, name)]
    widths: dict[str, int] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: widths.__setitem__(name, output.shape[-1])

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return [names[0], *(name for name in names if widths[name] >= LEAST_EDGE)][-1]
