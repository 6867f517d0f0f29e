"""How many more pods the ResourceQuotas of a namespace let a controller create.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from autoscaler.live.cluster_objects import QuotaView
from autoscaler.live.fit.rules import ONE_POD_MILLI, quantity
from autoscaler.live.model import GangView
from autoscaler.live.objects import PodView

REQUESTS = "requests."
POD_COUNTS = ("pods", "count/pods")
PRIORITY_CLASS = "PriorityClass"
COUNTED_SCOPES = ("NotBestEffort", "NotTerminating")
"""Scopes that count pods which request resources and have no deadline."""


class Quotas:
    """What quotas still allow; pods that are admitted use it up. It belongs to one view.

    Limits of CPU and memory (`limits.cpu`) are not looked at: only what pods request.

    Args:
        quotas: all of the cluster.
    """

    def __init__(self, quotas: Iterable[QuotaView]) -> None:
        self._quotas: defaultdict[str, list[tuple[QuotaView, dict[str, int]]]] = defaultdict(list)
        for quota in sorted(quotas, key=lambda each: each.name):
            self._quotas[quota.namespace].append((quota, dict(quota.free)))

    def admit(self, pod: PodView, count: int) -> tuple[int, str]:
        """Let a controller create pods.

        Args:
            pod: one of them.
            count: how many.

        Returns:
            How many of them may be created, and which quota forbids the next.
        """
        admitted, reason = count, ""
        concerned = [(quota, free) for quota, free in self._quotas[pod.namespace] if _counts(quota, pod)]
        for quota, free in concerned:
            for resource, amount in _charged(quota, pod).items():
                most = max(0, free[resource]) // amount
                if most < admitted:
                    left = quantity(max(0, free[resource]))
                    admitted, reason = most, f"ResourceQuota {quota.name} leaves {left} of {resource}"
        for quota, free in concerned:
            for resource, amount in _charged(quota, pod).items():
                free[resource] -= admitted * amount
        return admitted, reason


def within_quotas(gang: GangView, quotas: Quotas) -> GangView:
    """A gang that waits, without the pods that quotas keep from being created.

    A gang of which a part waits at our gate, or for its admission, never goes without them: it is withheld.
    """
    coming, left, reason = [], 0, ""
    for each in gang.to_come:
        admitted, why = quotas.admit(each.pod, each.count)
        coming.append(replace(each, count=admitted))
        left += each.count - admitted
        reason = reason or why
    if not left:
        return gang
    if gang.gated or gang.admission is not None:
        return replace(gang, withheld=f"{left} of its pods cannot be created: {reason}")
    forbidden = sum(each.pod.gpu_milli * each.count for each in gang.to_come)
    allowed = sum(each.pod.gpu_milli * each.count for each in coming)
    return replace(
        gang,
        to_come=tuple(each for each in coming if each.count),
        missing_pods=gang.missing_pods - left,
        pending_gpu_milli=gang.pending_gpu_milli - forbidden + allowed,
    )


def _charged(quota: QuotaView, pod: PodView) -> dict[str, int]:
    """What one pod costs of each resource that a quota limits, in thousandths."""
    charged = {}
    for resource in quota.free:
        if resource in POD_COUNTS:
            charged[resource] = ONE_POD_MILLI
        else:
            charged[resource] = pod.requests.get(resource.removeprefix(REQUESTS), 0)
    return {resource: amount for resource, amount in charged.items() if amount > 0}


def _counts(quota: QuotaView, pod: PodView) -> bool:
    """Whether a pod is in all scopes of a quota."""
    for scope, operator, values in quota.scopes:
        if scope == PRIORITY_CLASS:
            found = {
                "In": pod.priority_class in values,
                "NotIn": pod.priority_class not in values,
                "Exists": bool(pod.priority_class),
                "DoesNotExist": not pod.priority_class,
            }.get(operator, False)
        else:
            found = scope in COUNTED_SCOPES
        if not found:
            return False
    return True
