"""The section of a dataset in the layouts of FER2013."""

from __future__ import annotations

from typing import Literal

from mer_core.config.layouts.stills import Stills


class Fer2013(Stills):
    """FER2013: one image of 48 x 48 pixels per face (Goodfellow et al. 2013)."""

    layout: Literal["fer2013"]
