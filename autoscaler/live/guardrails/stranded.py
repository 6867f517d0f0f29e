"""Gangs that were sent to a pool which died before it could run them: a selector cannot be taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.live.config import LiveConfig
from autoscaler.live.fit.pools import pod_problem
from autoscaler.live.fit.shapes import pool_shape
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, GangView, NodeState
from autoscaler.live.names import ANNOTATION_PLACED_AT, LABEL_POOL

ALIVE = (NodeState.IDLE, NodeState.BUSY, NodeState.BOOTING, NodeState.CORDONED)


@dataclass(frozen=True, slots=True)
class Stranded:
    """A gang whose pool died.

    Attributes:
        gang: the gang; none of its pods has a node.
        restart: its pods may be evicted, and its Job makes them again at our gate.
        reason: one sentence that people can act on.
    """

    gang: GangView
    restart: bool
    reason: str


def stranded(view: ClusterView, state: GuardrailState, config: LiveConfig) -> tuple[Stranded, ...]:
    """All of them.

    A pool is dead when it has no node, none to come, and cannot order one: it is in backoff, or not in the
    config any more.
    """
    alive = {pool.name for pool in view.pools if pool.orders or state.unseen(pool) or pool.in_state(*ALIVE)}
    able = {pool.name for pool in config.pools if not state.in_backoff(pool.name, view.now_seconds)}
    found = []
    for gang in (*view.queue, *view.unplaceable):
        pool = _sent_to(gang)
        if pool is not None and pool not in alive | able:
            found.append(_judged(gang, pool, able, view, config))
    return tuple(found)


def _sent_to(gang: GangView) -> str | None:
    """The pool to which we sent all pods of a gang; None: we did not, or one of them has a node."""
    pools = {pod.node_selector.get(LABEL_POOL) for pod in gang.pods}
    ours = all(ANNOTATION_PLACED_AT in pod.annotations and not pod.gates and not pod.node_name for pod in gang.pods)
    return next(iter(pools)) if ours and len(pools) == 1 else None


def _judged(gang: GangView, pool: str, able: set[str], view: ClusterView, config: LiveConfig) -> Stranded:
    what = f"pool {pool} died before it could run it"
    free = [{key: value for key, value in pod.node_selector.items() if key != LABEL_POOL} for pod in gang.pods]
    pods = [replace(pod, node_selector=selector) for pod, selector in zip(gang.pods, free, strict=True)]
    others = [(config.pool(other.name), other) for other in view.pools if other.name in able]
    shapes = [(settings, pool_shape(other, settings)) for settings, other in others]
    if not any(all(not pod_problem(pod, *each) for pod in pods) for each in shapes):
        return Stranded(gang, False, f"{what}, and no other pool can; it waits until the pool may grow again")
    if not gang.replaceable:
        why = "its Job would count that as a failure, or has no gate in its template; delete its pods yourself"
        return Stranded(gang, False, f"{what}, and its pods are not made again: {why}")
    return Stranded(gang, True, f"{what}; its pods are made again for another pool")
