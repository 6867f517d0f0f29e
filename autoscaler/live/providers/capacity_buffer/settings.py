"""Settings of the provider `capacity-buffer`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CapacityBufferSettings:
    """How CapacityBuffers are written.

    Attributes:
        provisioning_strategy: what the other autoscaler does for it; `buffer.x-k8s.io/active-capacity`: it keeps
            nodes on.
        image: image of the placeholder pods, which never run.
    """

    provisioning_strategy: str = "buffer.x-k8s.io/active-capacity"
    image: str = "placeholder"
