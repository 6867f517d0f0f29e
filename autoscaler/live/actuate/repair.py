"""Reboots broken nodes, and gives those back that are well again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress

from autoscaler.live.actuate.taints import write_taint
from autoscaler.live.clock import Clock
from autoscaler.live.guardrails import RepairAction, RepairKind
from autoscaler.live.kube.client import ConflictError, Json, KubeClient, NotFoundError
from autoscaler.live.names import ANNOTATION_REBOOTED_AT, ANNOTATION_UNWELL_SINCE, LABEL_POOL, TAINT_REPAIR
from autoscaler.live.providers import InstanceNotFoundError, Provider, Reboots
from autoscaler.live.repair_config import RebootRequest


def carry_out(
    client: KubeClient,
    clock: Clock,
    providers: Mapping[str, Provider],
    request: RebootRequest | None,
    action: RepairAction,
) -> bool:
    """Reboot a node, or give it back.

    The taint and the annotations are written first: whoever comes after a process that died in between knows that the
    node was rebooted, or waits for its time as if it was.

    Args:
        client: fenced, see `KubeClient.fenced`.
        clock: the annotations are in unix seconds.
        providers: by pool.
        request: what has nodes of the pool rebooted; None: its provider.
        action: what to do.

    Returns:
        Whether the node is still the one that it was decided for.

    Raises:
        KubeError: it could not be written.
        ProviderError: nobody can reboot it.
    """
    reboots = action.kind is RepairKind.REBOOT
    try:
        raw = client.get(f"/api/v1/nodes/{action.node.name}")
    except NotFoundError:
        return False
    if raw["metadata"]["uid"] != action.node.uid:
        return False
    annotations: dict[str, str | None] = {ANNOTATION_UNWELL_SINCE: None, ANNOTATION_REBOOTED_AT: None}
    if reboots:
        annotations[ANNOTATION_UNWELL_SINCE] = f"{clock.to_wall(action.since_seconds):.3f}"
        annotations[ANNOTATION_REBOOTED_AT] = f"{clock.wall():.3f}"
    write_taint(client, raw, {"key": TAINT_REPAIR, "effect": "NoSchedule"}, reboots, annotations)
    if reboots and request is not None:
        _request(client, request, action)
    elif reboots:
        _reboot(providers[action.pool], action)
    return True


def _request(client: KubeClient, request: RebootRequest, action: RepairAction) -> None:
    """Create the object that asks for it; its name follows from the node and its clock, so a retry makes no two."""
    which = hashlib.sha256(f"{action.node.uid}/{action.since_seconds:.3f}".encode()).hexdigest()[:10]
    metadata: Json = {"name": f"{action.node.name[:200]}-{which}", "labels": {LABEL_POOL: action.pool}}
    if request.namespace:
        metadata["namespace"] = request.namespace
    body = {
        "apiVersion": request.api_version,
        "kind": request.kind,
        "metadata": metadata,
        "spec": {request.node_field: action.node.name, **request.spec},
    }
    with suppress(ConflictError):
        client.create(request.path, body)


def _reboot(provider: Provider, action: RepairAction) -> None:
    instance = next((each for each in provider.instances() if each.node_name == action.node.name), None)
    if instance is None or not isinstance(provider, Reboots):
        raise InstanceNotFoundError(f"there is no machine of node {action.node.name} to reboot", action.pool)
    provider.reboot(instance)
