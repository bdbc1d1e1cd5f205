"""The section of a dataset in the layout of CASME II."""

from __future__ import annotations

from typing import ClassVar, Literal

from mer_core.config.datasets import Dataset
from mer_core.config.section import PathText


class Casme2(Dataset):
    """CASME II: one apex frame per annotated clip (Yan et al. 2014)."""

    has_clips: ClassVar[bool] = True

    layout: Literal["casme2"]
    workbook: PathText | None = None
    frames: Literal["auto", "raw", "raw_selected", "cropped"] = "auto"
    missing_apex: Literal["spot", "midpoint", "drop"] = "spot"
