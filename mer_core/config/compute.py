"""What one training job may take."""

from __future__ import annotations

from pydantic import Field

from mer_core.config.section import Count, Section


class Compute(Section):
    """What one training job may take."""

    threads: Count
    slots_per_device: Count
    memory: str = Field(pattern=r"^\d{1,6}(MB|GB)$")
    """Asked of a cluster; twice as much on the second try."""
    runtime: str = Field(pattern=r"^\d{1,6}[smhd]$")
    """Asked of a cluster."""

    @property
    def memory_mb(self) -> int:
        """Memory in units of 10^6 bytes."""
        return int(self.memory[:-2]) * {"MB": 1, "GB": 1000}[self.memory[-2:]]
