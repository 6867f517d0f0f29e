"""Settings of the provider `kwok`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KwokSettings:
    """How Node objects are made.

    Attributes:
        gpu_delay_seconds: clock seconds from Ready until the GPUs are allocatable; None: never.
    """

    gpu_delay_seconds: float | None = 0.0
