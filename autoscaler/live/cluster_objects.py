"""Objects that decide which pods come at all, and what each new node has to carry besides jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.live.objects import ObjectView, PodView


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSetView(ObjectView):
    """A DaemonSet.

    Attributes:
        template: its pod, with the tolerations that its controller adds.
    """

    template: PodView


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView(ObjectView):
    """A ResourceQuota.

    Attributes:
        free: what it still allows by resource, in thousandths: `hard` less `used`.
        scopes: it counts only pods that satisfy all: name of the scope, operator, values.
    """

    free: Mapping[str, int] = field(default_factory=dict)
    scopes: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
