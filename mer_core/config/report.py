"""What the report may show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mer_core.config.names import NAME
from mer_core.config.section import Section


class Report(Section):
    """What the report may show."""

    show_faces: bool | Literal["simulated"]
    never_show: list[Annotated[str, Field(pattern=rf"^{NAME}/{NAME}$")]]
