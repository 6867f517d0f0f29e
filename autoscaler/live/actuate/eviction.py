"""Evicts one pod, and no other of its name."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.live.kube.client import (
    ConflictError,
    Json,
    KubeClient,
    NotFoundError,
    TooManyRequestsError,
    UnreachableError,
)
from autoscaler.live.objects import PodView


class UndoError(Exception):
    """What is done with a node must not go on."""


def evict(client: KubeClient, pod: PodView, grace_seconds: int | None = None, only_unchanged: bool = False) -> None:
    """Request the eviction of a pod; the API server enforces budgets, while a pending pod has none.

    Args:
        client: fenced, see `KubeClient.fenced`.
        pod: which.
        grace_seconds: wall seconds that it may take to end; None: its own.
        only_unchanged: refuse where the pod has changed since it was seen, such as by its binding.

    Raises:
        KubeError: it was refused.
    """
    options: Json = {"preconditions": {"uid": pod.uid}}
    if only_unchanged:
        options["preconditions"]["resourceVersion"] = pod.resource_version
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
    metadata = {"name": pod.name, "namespace": pod.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    client.create(path, body)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of an eviction; neither evicted nor refused: the pod is gone.

    Attributes:
        evicted: the pod is on its way out.
        refusal: why it may be tried again; empty: it was not refused.
    """

    evicted: bool
    refusal: str = ""


def try_evict(client: KubeClient, pod: PodView, most_grace_seconds: float) -> Attempt:
    """Evict a pod if that is possible now.

    Args:
        client: fenced, see `KubeClient.fenced`.
        pod: which.
        most_grace_seconds: wall seconds that it may take to end at most.

    Raises:
        UndoError: it will always be refused.
        KubeError: the API server cannot be reached.
    """
    try:
        evict(client, pod, int(most_grace_seconds) if pod.grace_seconds > most_grace_seconds else None)
    except (NotFoundError, ConflictError):
        return Attempt(False)  # or another pod of the same name, which the next look shows
    except (TooManyRequestsError, UnreachableError) as error:
        if isinstance(error, UnreachableError) and "PodDisruptionBudget" in error.message:
            raise UndoError(error.message) from error  # two budgets select it: that never succeeds
        return Attempt(False, error.message)
    return Attempt(True)
