"""What a node is to the policy: booting, idle, busy, or out of its reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.live.config import LivePool
from autoscaler.live.constraints import Taint
from autoscaler.live.names import (
    ANNOTATION_REMOVAL_STEP,
    TAINT_NOT_READY,
    TAINT_REPAIR,
    TAINT_TO_BE_DELETED,
    TAINT_UNINITIALIZED,
    TAINT_UNREACHABLE,
)
from autoscaler.live.objects import NodeState, NodeView, PodView
from autoscaler.live.providers import removal_taints, startup_taints

STARTUP_TAINTS = frozenset({TAINT_NOT_READY, TAINT_UNREACHABLE, TAINT_UNINITIALIZED})
BLOCKING_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
REGISTRATION_SECONDS = 60.0
"""After a node has told of its first GPUs, it may tell of others for so long; then it works with what it has."""
MODE_MOVE = "move"
"""Second word of the annotation `removal-step` of a node that consolidation empties."""


def is_startup_taint(taint: Taint) -> bool:
    """Whether a taint goes by itself once its node has started."""
    return taint.key in STARTUP_TAINTS or taint.key in startup_taints()


def is_leaving(node: NodeView) -> bool:
    """Whether somebody is removing it, or it is being deleted."""
    return node.deleted_seconds is not None or any(
        taint.key == TAINT_TO_BE_DELETED or taint.key in removal_taints() for taint in node.taints
    )


def is_usable(node: NodeView) -> bool:
    """Whether the scheduler can put a GPU pod on it: ready, its GPUs reported, its start-up taints gone."""
    return (
        node.ready
        and node.allocatable_gpu_milli > 0
        and not any(taint.effect in BLOCKING_EFFECTS and is_startup_taint(taint) for taint in node.taints)
    )


def is_registering(node: NodeView, pool: LivePool, pods: Sequence[PodView], now_seconds: float) -> bool:
    """Whether a node that became ready still lacks a resource of its pool: each device plugin tells of its own one.

    Args:
        node: the node.
        pool: its pool.
        pods: those that are bound to it; one that uses GPUs shows that it works.
        now_seconds: clock time.
    """
    since = node.ready_since_seconds
    if since is None or now_seconds - since >= REGISTRATION_SECONDS or any(pod.gpu_milli for pod in pods):
        return False
    return any(count and not node.allocatable.get(name) for name, count in pool.gpu_counts.items())


def _is_closed(node: NodeView, pool: LivePool | None) -> bool:
    """Whether somebody else keeps pods off it: a cordon, or a taint that the pool's nodes do not have by themselves."""
    expected = set() if pool is None else {(taint.key, taint.effect) for taint in pool.template.taints}
    return node.unschedulable or any(
        taint.effect in BLOCKING_EFFECTS and (taint.key, taint.effect) not in expected and not is_startup_taint(taint)
        for taint in node.taints
    )


def node_state(
    node: NodeView, pool: LivePool | None, holds_gpu_pods: bool, starting_seconds: float, timeout_seconds: float
) -> NodeState:
    """The state of a node.

    Args:
        node: the node.
        pool: its pool.
        holds_gpu_pods: whether a pod that uses GPUs or other accelerators, and is not finished, is bound to it.
        starting_seconds: how long it has been without its GPUs.
        timeout_seconds: how long that is a start; after it, the node counts as broken.
    """
    if is_leaving(node):
        return NodeState.DRAINING
    if node.ready and holds_gpu_pods:
        return NodeState.BUSY
    if node.taint(TAINT_REPAIR) is not None:
        return NodeState.CORDONED  # also while it boots again: nobody may count on it
    if not is_usable(node):
        was_ready = not node.ready and node.allocatable_gpu_milli > 0
        late = starting_seconds > timeout_seconds
        return NodeState.UNREADY if was_ready or holds_gpu_pods or late else NodeState.BOOTING
    return NodeState.CORDONED if _is_closed(node, pool) else NodeState.IDLE


def fill_node(
    node: NodeView,
    pods: Sequence[PodView],
    pool: LivePool | None,
    vacated_seconds: float | None,
    starting_seconds: float,
    timeout_seconds: float,
) -> NodeView:
    """Fill in what depends on pods; see `node_state` for the arguments.

    Args:
        node: the node as it was parsed.
        pods: the pods that are bound to it and not finished.
        pool: its pool.
        vacated_seconds: when the last GPU pod left, None: not known.
        starting_seconds: how long it has been without its GPUs.
        timeout_seconds: how long that is a start.
    """
    used = sum(pod.gpu_milli for pod in pods)
    opaque = any(not pod.readable for pod in pods)
    if opaque:
        used = max(used, node.allocatable_gpu_milli)
    others = any(pod.accelerators and not (pod.is_daemon_set or pod.is_mirror) for pod in pods)
    holds = opaque or used > 0 or others
    state = node_state(node, pool, holds, starting_seconds, timeout_seconds)
    idle_since = None
    if is_usable(node) and not holds:
        moments = (node.ready_since_seconds, vacated_seconds, node.created_seconds)
        idle_since = max(moment for moment in moments if moment is not None)
    return replace(
        node,
        state=state,
        used_gpu_milli=used,
        holds_accelerators=others,
        idle_since_seconds=idle_since,
        pods=tuple(sorted(pod.uid for pod in pods)),
    )


def is_returning(node: NodeView) -> bool:
    """Whether consolidation empties it: it will be idle soon, so nothing need be ordered in its place."""
    words = node.annotations.get(ANNOTATION_REMOVAL_STEP, "").split()
    return node.state is NodeState.DRAINING and node.deleted_seconds is None and words[1:2] == [MODE_MOVE]


def free_gpus(node: NodeView, pool: LivePool) -> int:
    """Whole GPUs that the scheduler can still give out on a node."""
    return _free_milli(node, pool) // 1000


def shared_free_milli(node: NodeView, pool: LivePool) -> int:
    """What else it can give out there: the unused thousandths of a GPU of which others use a part."""
    return _free_milli(node, pool) % 1000


def _free_milli(node: NodeView, pool: LivePool) -> int:
    if node.unschedulable or _is_closed(node, pool) or not is_usable(node):
        return 0
    return max(0, min(node.allocatable_gpu_milli, pool.gpus_per_node * 1000) - node.used_gpu_milli)
