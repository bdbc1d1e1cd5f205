"""The section of the macro-expressions of MMEW."""

from __future__ import annotations

from typing import Literal

from mer_core.config.datasets import Copy


class MmewMacro(Copy):
    """The macro-expressions of MMEW: one image each, of the same people (Ben et al. 2022)."""

    layout: Literal["mmew_macro"]

    @property
    def people(self) -> str | None:
        """Those of MMEW."""
        return "mmew"
