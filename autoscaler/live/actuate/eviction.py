"""Evicts one pod, and no other of its name."""

from __future__ import annotations

from autoscaler.live.client import Json, KubeClient
from autoscaler.live.model import PodView


def evict(client: KubeClient, pod: PodView, grace_seconds: int | None = None) -> None:
    """Ask for the eviction of a pod; budgets are the API server's to enforce, while a pending pod has none.

    Args:
        client: fenced, see `KubeClient.fenced`.
        pod: which.
        grace_seconds: wall seconds that it may take to end; None: what it asks for.

    Raises:
        KubeError: it was refused.
    """
    options: Json = {"preconditions": {"uid": pod.uid}}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
    metadata = {"name": pod.name, "namespace": pod.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    client.create(path, body)
