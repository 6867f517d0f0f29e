"""Writes the taints of a node without losing those of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autoscaler.live.kube.client import ConflictError, Json, KubeClient, KubeError, NotFoundError
from autoscaler.live.model import ClusterView
from autoscaler.live.names import TAINT_CANDIDATE
from autoscaler.live.objects import NodeState, NodeView

ATTEMPTS = 5
"""Writes of a node are repeated so often when somebody else changed it in between."""


def write_taint(
    client: KubeClient, node: Json, taint: Mapping[str, str], present: bool, annotations: Mapping[str, str | None]
) -> Json:
    """Set a taint or take it back, and write annotations, in one write.

    A merge patch replaces the whole list of taints, so the resourceVersion guards those of others.

    Args:
        client: fenced, see `KubeClient.fenced`.
        node: the Node as it was read.
        taint: its key, and what of it is to be set; the rest keeps the value that it has.
        present: whether the node has it afterwards.
        annotations: to be written; None takes one away.

    Returns:
        The Node as it is now.

    Raises:
        KubeError: it could not be written.
    """
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    uid = node["metadata"]["uid"]
    for attempt in range(ATTEMPTS):
        metadata: Json = {"uid": uid, "resourceVersion": node["metadata"]["resourceVersion"]}
        if annotations:
            metadata["annotations"] = dict(annotations)
        try:
            return client.patch(path, {"metadata": metadata, "spec": {"taints": _taints(node, taint, present)}})
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
            node = client.get(path)
            if node["metadata"]["uid"] != uid:
                raise
    raise AssertionError("unreachable")


def _taints(node: Json, ours: Mapping[str, str], present: bool) -> list[Json]:
    taints = list(node.get("spec", {}).get("taints") or [])
    others = [taint for taint in taints if taint.get("key") != ours["key"]]
    if not present:
        return others
    before: Json = next((taint for taint in taints if taint.get("key") == ours["key"]), {})
    return [*others, {**before, **ours}]


def soft_taint_changes(view: ClusterView, candidates: Iterable[str], limit: int) -> list[tuple[NodeView, bool]]:
    """Nodes whose soft taint is not as it should be, and whether they should have it.

    Args:
        view: the cluster.
        candidates: names of the nodes that may be removed soon.
        limit: most changes; those that take a taint back come first.
    """
    wanted = frozenset(candidates)
    changes = [
        (node, node.name in wanted)
        for pool in view.pools
        for node in pool.nodes
        if pool.name not in view.paused_pools
        and node.state is not NodeState.DRAINING
        and (node.taint(TAINT_CANDIDATE) is not None) is not (node.name in wanted)
    ]
    return sorted(changes, key=lambda change: (change[1], change[0].name))[:limit]


def write_soft_taint(client: KubeClient, node: NodeView, present: bool, wall_seconds: float) -> None:
    """Tell the scheduler to prefer other nodes to this one, or no longer; a node that is gone or another one is left.

    Raises:
        KubeError: it could not be written.
    """
    taint = {"key": TAINT_CANDIDATE, "effect": "PreferNoSchedule"}
    try:
        raw = client.get(f"/api/v1/nodes/{node.name}")
        if raw["metadata"]["uid"] == node.uid:
            value = {"value": str(int(wall_seconds))} if present else {}
            write_taint(client, raw, {**taint, **value}, present, {})
    except (NotFoundError, ConflictError):
        return  # the next reconcile sees what it is by then


def write_soft_taints(
    client: KubeClient, changes: Iterable[tuple[NodeView, bool]], wall_seconds: float
) -> list[KubeError]:
    """Make changes as `soft_taint_changes` names them; return what failed, which the next reconcile tries again."""
    failures = []
    for node, present in changes:
        try:
            write_soft_taint(client, node, present, wall_seconds)
        except KubeError as error:
            failures.append(error)
    return failures
