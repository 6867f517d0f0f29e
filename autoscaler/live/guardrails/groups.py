"""Capacity for pods of groups that began, or may begin, before all of their pods exist."""

from __future__ import annotations

from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.placement import fixed_pool
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView


def keep_for_pods_to_come(view: ClusterView, state: GuardrailState, capacity: Capacity) -> None:
    """Reserve capacity for the pods to come of each group that was sent to a pool, as far as it goes."""
    for gang in (*view.running, *view.queue):
        pool = fixed_pool(gang, state) if gang.late and gang.to_come else None
        if pool is not None:
            for pod in gang.expected:
                capacity.place(pool, [pod])
