"""Speaks with Kueue: which admission checks are served, and which Workloads have their nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from autoscaler.live.gangs import kueue
from autoscaler.live.guardrails import Release
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.model import ClusterView
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.objects import CheckView, ObjectRef

READY = "Ready"
SERVES = "Nodes are ordered for Workloads with this check, and it is Ready once all of them are there."


def admit(client: KubeClient, release: Release, wall_seconds: float) -> None:
    """Say that the nodes of a Workload are there, and that its pods go to their pool.

    The list of checks is replaced as a whole, so the version guards those of others: a Workload that somebody changed
    meanwhile is looked at again in the next reconcile.

    Args:
        client: fenced, see `KubeClient.fenced`.
        release: of a gang with an admission.
        wall_seconds: unix time.

    Raises:
        KubeError: it could not be written.
    """
    admission = release.gang.admission
    assert admission is not None
    updates = [{"name": name, "nodeSelector": {LABEL_POOL: release.pool}} for name in admission.pod_sets]
    ready: dict[str, Any] = {
        "name": admission.check,
        "state": READY,
        "lastTransitionTime": _stamp(wall_seconds),
        "message": f"all of its nodes are there, in pool {release.pool}",
        "podSetUpdates": updates,
    }
    checks = [{**each, **ready} if each.get("name") == admission.check else dict(each) for each in admission.checks]
    body = {
        "metadata": {"uid": admission.workload.uid, "resourceVersion": admission.resource_version},
        "status": {"admissionChecks": checks},
    }
    client.patch(f"{_path(admission.workload, kueue.WORKLOADS.plural)}/status", body)


def serve_checks(client: KubeClient, view: ClusterView, wall_seconds: float) -> None:
    """Say of each of our admission checks that it is served; Kueue admits nothing before.

    Raises:
        KubeError: one could not be written.
    """
    for check in view.checks:
        if not check.active and check.deleted_seconds is None:
            client.patch(f"{_path(check.ref, kueue.CHECKS.plural)}/status", _served(check, wall_seconds))


def _served(check: CheckView, wall_seconds: float) -> dict[str, Any]:
    others = [dict(each) for each in check.conditions if each.get("type") != "Active"]
    active = {
        "type": "Active",
        "status": "True",
        "reason": "Served",
        "message": SERVES,
        "lastTransitionTime": _stamp(wall_seconds),
    }
    return {
        "metadata": {"uid": check.uid, "resourceVersion": check.resource_version},
        "status": {"conditions": [*others, active]},
    }


def _path(ref: ObjectRef, plural: str) -> str:
    where = f"/namespaces/{ref.namespace}" if ref.namespace else ""
    return f"/apis/{ref.api_version}{where}/{plural}/{ref.name}"


def _stamp(wall_seconds: float) -> str:
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
