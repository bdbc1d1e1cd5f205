"""The section of a dataset in the layouts of AffectNet."""

from __future__ import annotations

from typing import Literal

from mer_core.config.layouts.stills import Stills


class Affectnet(Stills):
    """AffectNet: one image per face that people have labelled (Mollahosseini et al. 2019)."""

    layout: Literal["affectnet"]
