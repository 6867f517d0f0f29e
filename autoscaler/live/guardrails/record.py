"""What the guardrails judge by, as plain values that are small and read back as the same: for the audit.

Kept is what a rule reads: nodes of pools, pods on them, what is free on other nodes where pods might move there, pods
and gangs that wait, gangs that may be moved, disruption budgets that select a pod on a node, machines, and the memory.
Labels are kept where something selects by them, annotations where a rule knows them. Nodes of a pool and pods of a job
are alike in all but a few fields, so what they share is written once:

    {"shared": [{...}, ...], "rows": [[index into shared, {own fields}], ...]}
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from autoscaler.live.constraints import selects
from autoscaler.live.fit.hosts import host_of
from autoscaler.live.fit.rules import ONE_POD_MILLI, PODS_RESOURCE
from autoscaler.live.guardrails.movable import is_checkpointable
from autoscaler.live.guardrails.protection import evictable_pods
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.names import (
    ANNOTATION_CHECKPOINTABLE,
    ANNOTATION_FLEXIBILITY,
    ANNOTATION_MIRROR_POD,
    ANNOTATION_PLACED_AT,
    ANNOTATION_REMOVAL_STEP,
    ANNOTATION_SAFE_LOCAL_VOLUMES,
    ANNOTATION_SAFE_TO_EVICT,
    ANNOTATION_SCALE_DOWN_DISABLED,
    LABEL_POOL,
)
from autoscaler.live.objects import MachineView, NodeState, NodeView, PdbView, PodView, SuspendedJob
from autoscaler.live.providers import protecting_annotations

ANNOTATIONS = frozenset(
    {
        ANNOTATION_CHECKPOINTABLE,
        ANNOTATION_FLEXIBILITY,
        ANNOTATION_MIRROR_POD,
        ANNOTATION_PLACED_AT,
        ANNOTATION_REMOVAL_STEP,
        ANNOTATION_SAFE_LOCAL_VOLUMES,
        ANNOTATION_SAFE_TO_EVICT,
        ANNOTATION_SCALE_DOWN_DISABLED,
    }
)
"""Annotations of nodes and pods that a rule reads, besides those of providers."""

UNREAD = frozenset({"resource_version", "finalizers", "provider_id", "ready_reason", "scheduler_name", "grace_seconds"})
UNREAD |= {
    "unschedulable_message",
    "started_seconds",
    "finished_seconds",
    "ready_since_seconds",
    "gang",
    "group",
    "problem",
}
UNREAD |= {"priority_class", "refusals", "withheld"}
"""Fields that no rule reads."""

OWN = frozenset({"name", "uid", "created_seconds", "deleted_seconds", "node_name", "used_gpu_milli"})
OWN |= {"measured_gpu_watts"}
OWN |= {"running_since_seconds", "ran_seconds", "suspended_seconds"}
OWN |= {"idle_since_seconds", "pods", "key", "ref", "submitted_seconds", "missing_pods", "pending_gpu_milli"}
"""Fields in which objects that are alike differ."""

Plain = dict[str, Any]

NO_ROWS: Plain = {"shared": [], "rows": []}


def pack(view: ClusterView, state: GuardrailState) -> Plain:
    """A view and a memory as plain values; `unpack` returns what `evaluate` judges as it judges these."""
    nodes = [node for pool in view.pools for node in pool.nodes]
    movable = [gang for gang in view.running if gang.key in state.wanted or _is_judged(gang)]
    gangs = [*view.queue, *movable, *view.unplaceable]
    pods = _pods(view, nodes, gangs, state)
    others = _others(view, pods.values())
    pods.update((pod.uid, pod) for _, near in others for pod in near)
    budgets = [pdb for pdb in view.pdbs if any(pdb.selects(pod) for pod in pods.values() if pod.node_name)]
    index = {uid: place for place, uid in enumerate(pods)}
    known = [*pods.values(), *(each.pod for gang in gangs for each in gang.to_come)]
    node_labels, pod_labels = _node_labels(known), _pod_labels(budgets, known)
    return {
        "now_seconds": view.now_seconds,
        "pools": [
            {
                "name": pool.name,
                "index": pool.index,
                "nodes": _table([_node(node, node_labels, index) for node in pool.nodes]),
                "orders": _plain(pool.orders),
                "shape": None if pool.shape is None else _brief(pool.shape, node_labels),
            }
            for pool in view.pools
        ],
        "others": _table(
            [_node(replace(node, pods=tuple(pod.uid for pod in near)), node_labels, index) for node, near in others]
        ),
        "queue": _table([_gang(gang, index, pod_labels) for gang in view.queue]),
        "running": _table([_gang(gang, index, pod_labels) for gang in movable]),
        "unplaceable": _table([_gang(gang, index, pod_labels) for gang in view.unplaceable]),
        "pods": _table([_pod(pod, pod_labels) for pod in pods.values()]),
        "pdbs": [_brief(pdb) for pdb in budgets],
        "gone": {name: launched for name, launched in view.gone.items() if name in {*state.orders, *state.awaited}},
        "machines": [_brief(machine) for machine in view.machines],
        "stale_resources": list(view.stale_resources),
        **({"suspended": _plain(view.suspended)} if view.suspended else {}),
        **({"paused": view.paused} if view.paused else {}),
        **({"paused_pools": dict(view.paused_pools)} if view.paused_pools else {}),
        "state": _brief(state),
    }


def unpack(record: Mapping[str, Any]) -> tuple[ClusterView, GuardrailState]:
    """The view and the memory of `pack`.

    Raises:
        ValueError: the record is damaged.
    """
    try:
        pods: list[PodView] = [_read(PodView, each) for each in _rows(record["pods"])]
        uids = [pod.uid for pod in pods]
        view = ClusterView(
            now_seconds=record["now_seconds"],
            pools=tuple(_pool(each, uids) for each in record["pools"]),
            unmanaged_nodes=_read_nodes(record["others"], uids),
            queue=tuple(_read_gang(each, pods) for each in _rows(record["queue"])),
            running=tuple(_read_gang(each, pods) for each in _rows(record.get("running", NO_ROWS))),
            unplaceable=tuple(_read_gang(each, pods) for each in _rows(record["unplaceable"])),
            pods={pod.uid: pod for pod in pods},
            pdbs=tuple(_read(PdbView, each) for each in record["pdbs"]),
            gone=record["gone"],
            machines=tuple(_read(MachineView, each) for each in record["machines"]),
            stale_resources=tuple(record["stale_resources"]),
            suspended=tuple(_read(SuspendedJob, each) for each in record.get("suspended", ())),
            paused=record.get("paused", ""),
            paused_pools=record.get("paused_pools", {}),
        )
        return view, _read(GuardrailState, record["state"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"the guardrails' view cannot be read: {error!r}") from error


def _pods(
    view: ClusterView, nodes: Iterable[NodeView], gangs: Iterable[GangView], state: GuardrailState
) -> dict[str, PodView]:
    """The pods that a rule looks at, by uid."""
    on_nodes = {uid for node in nodes for uid in node.pods}
    chosen = {
        uid: pod for uid, pod in view.pods.items() if not pod.node_name or uid in on_nodes or uid in state.released
    }
    members = (pod for gang in gangs for pod in (*gang.pods, *gang.companions))
    return {**chosen, **{pod.uid: pod for pod in members if pod.uid not in chosen}}


def _is_judged(gang: GangView) -> bool:
    """Whether a rule looks at a gang that runs: its jobs may be moved, or pods of it are held back or to come."""
    held = any(pod.gates for pod in gang.companions)
    return held or bool(gang.to_come) or any(is_checkpointable(pod) for pod in gang.pods)


def _node_labels(pods: Iterable[PodView]) -> set[str]:
    """Labels of nodes by which a pod selects, or that tell which nodes are near each other."""
    keys = {LABEL_POOL}
    for pod in pods:
        keys.update(pod.node_selector)
        keys.update(requirement.key for term in pod.affinity_terms for requirement in term)
        keys.update(term.topology_key for term in (*pod.pod_affinity, *pod.pod_anti_affinity))
        keys.update(spread.topology_key for spread in pod.spreads)
    return keys


def _pod_labels(budgets: Iterable[PdbView], pods: Iterable[PodView]) -> set[str]:
    """Labels of pods by which a budget or a pod selects."""
    keys: set[str] = set()
    for pdb in budgets:
        keys.update(pdb.match_labels)
        keys.update(requirement.key for requirement in pdb.match_expressions)
    for pod in pods:
        terms = (term.selector for term in (*pod.pod_affinity, *pod.pod_anti_affinity))
        for selector in (*terms, *(spread.selector for spread in pod.spreads)):
            keys.update(requirement.key for requirement in selector or ())
    return keys


def _node(node: NodeView, labels: Collection[str], index: Mapping[str, int]) -> Plain:
    pods = [index[uid] for uid in node.pods if uid in index]
    return {**_brief(node, labels), "pods": pods}


def _others(view: ClusterView, asking: Iterable[PodView]) -> list[tuple[NodeView, list[PodView]]]:
    """Nodes of no pool that matter: where a pod might be moved to them, or where pods are that others heed.

    Of the pods there, those that others heed are kept, without what they request. What the others take is taken off the
    node.
    """
    asks = [pod for pod in asking if pod.depends_on_pods]
    terms = {term for pod in asks for term in (*pod.pod_affinity, *pod.pod_anti_affinity)}
    spreads = {(pod.namespace, spread.selector) for pod in asks for spread in pod.spreads}

    def heeded(pod: PodView) -> bool:
        return bool(
            pod.pod_anti_affinity
            or any(term.matches(pod.namespace, pod.labels) for term in terms)
            or any(pod.namespace == space and selects(selector, pod.labels) for space, selector in spreads)
        )

    going = (
        node for pool in view.pools for node in pool.nodes if node.state not in (NodeState.BUSY, NodeState.DRAINING)
    )
    moves = any(evictable_pods(node, view) for node in going)
    found = []
    for node in view.unmanaged_nodes:
        near = [replace(pod, requests={}) for pod in view.pods_on(node) if heeded(pod)]
        if near or asks or (moves and node.ready):
            free = host_of(node, view).free
            free[PODS_RESOURCE] = free.get(PODS_RESOURCE, 0) + len(near) * ONE_POD_MILLI
            found.append((replace(node, allocatable=free, annotations={}), near))
    return found


def _other(node: NodeView, near: Iterable[PodView], labels: Collection[str], index: Mapping[str, int]) -> Plain:
    return _node(replace(node, pods=tuple(pod.uid for pod in near)), labels, index)


def _pod(pod: PodView, labels: Collection[str]) -> Plain:
    # When a pod was created matters for the order in which those without a node are served.
    return {key: value for key, value in _brief(pod, labels).items() if key != "created_seconds" or not pod.node_name}


def _gang(gang: GangView, index: Mapping[str, int], labels: Collection[str]) -> Plain:
    admission = gang.admission and replace(gang.admission, resource_version="", checks=(), pod_sets=())
    places = {name: [index[pod.uid] for pod in getattr(gang, name)] for name in ("pods", "companions")}
    coming = [{**_brief(each), "pod": _brief(each.pod, labels)} for each in gang.to_come]
    brief = _brief(replace(gang, companions=(), admission=admission, to_come=()))
    return {**brief, **({"to_come": coming} if coming else {}), **places}


def _brief(item: Any, labels: Collection[str] | None = None) -> Plain:
    """The fields of a dataclass that are read and are not at their default."""
    brief: Plain = {}
    for each in _kept(item):
        value = getattr(item, each.name)
        if each.name == "annotations":
            value = {key: text for key, text in value.items() if key in ANNOTATIONS or key in protecting_annotations()}
        elif each.name == "labels":
            value = {key: text for key, text in value.items() if key in (labels or ())}
        if value != _default(each):
            brief[each.name] = _plain(value)
    return brief


def _kept(item: Any) -> Iterator[Field[Any]]:
    # Pods of nodes and gangs are written as places in the table of pods.
    return (each for each in fields(item) if each.name not in UNREAD and each.name != "pods")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum) or value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if is_dataclass(value):
        return _brief(value)
    return [_plain(each) for each in (sorted(value) if isinstance(value, frozenset) else value)]


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def _table(items: Sequence[Plain]) -> Plain:
    """Rows with what they share written once."""
    shared: dict[str, int] = {}
    rows = []
    for item in items:
        common = {key: value for key, value in item.items() if key not in OWN}
        place = shared.setdefault(json.dumps(common), len(shared))
        rows.append([place, {key: value for key, value in item.items() if key in OWN}])
    return {"shared": [json.loads(text) for text in shared], "rows": rows}


def _rows(table: Mapping[str, Any]) -> list[Plain]:
    return [{**table["shared"][place], **own} for place, own in table["rows"]]


def _pool(record: Mapping[str, Any], uids: Sequence[str]) -> PoolView:
    pool: PoolView = _read(PoolView, {**record, "nodes": ()})
    return replace(pool, nodes=_read_nodes(record["nodes"], uids))


def _read_nodes(table: Mapping[str, Any], uids: Sequence[str]) -> tuple[NodeView, ...]:
    rows = ({**each, "pods": [uids[place] for place in each["pods"]]} for each in _rows(table))
    return tuple(_read(NodeView, each) for each in rows)


def _read_gang(record: Plain, pods: Sequence[PodView]) -> GangView:
    gang: GangView = _read(GangView, {**record, "pods": (), "companions": ()})
    members, companions = (tuple(pods[place] for place in record[name]) for name in ("pods", "companions"))
    return replace(gang, pods=members, companions=companions)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _read(kind: type, record: Mapping[str, Any]) -> Any:
    return _adapter(kind).validate_python(record)
