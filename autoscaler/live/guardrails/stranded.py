"""Gangs that were sent to a pool which cannot run them any more: a selector cannot be taken back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.prospects import Prospects
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import Stranded
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.names import ANNOTATION_PLACED_AT, LABEL_POOL
from autoscaler.live.objects import NodeState

ALIVE = (NodeState.IDLE, NodeState.BUSY, NodeState.BOOTING, NodeState.CORDONED)


def stranded(view: ClusterView, state: GuardrailState, config: LiveConfig, capacity: Capacity) -> tuple[Stranded, ...]:
    """All of them.

    A pool cannot run a gang when it is dead: it has no node, none to come, and cannot order one, for it is in backoff
    or not in the config any more. Or when the scheduler found no node for pods of the gang, and the pool can take them
    neither now nor with the nodes that are coming or may be ordered: it is full, in backoff, or its nodes are broken.
    In the second case a gang is stranded only if another pool can take it; else it waits, as jobs do.

    Args:
        view: the cluster.
        state: refreshed with this view.
        config: pools and guardrails.
        capacity: what is free after the gangs that are released took theirs; it is as before afterwards.
    """
    alive = {pool.name for pool in view.pools if pool.orders or state.unseen(pool) or pool.in_state(*ALIVE)}
    able = {pool.name for pool in config.pools if not state.in_backoff(pool.name, view.now_seconds)}
    prospects = Prospects(view, state, config, capacity)
    sent: defaultdict[str, list[GangView]] = defaultdict(list)
    for gang in (*view.queue, *view.unplaceable):
        pool = _sent_to(gang)
        if pool is not None and (pool not in alive | able or _has_no_node(gang, capacity)):
            sent[pool].append(gang)
    found: list[Stranded] = []
    moved: defaultdict[str, list[GangView]] = defaultdict(list)
    for pool, gangs in sent.items():
        is_dead = pool not in alive | able
        unmet = {gang.key for gang in gangs} if is_dead else prospects.unmet(pool, gangs)
        what = f"pool {pool} died before it could run it" if is_dead else f"pool {pool} is full, in backoff or broken"
        for gang in gangs:
            if gang.key in unmet:
                other = _other(gang, pool, view, prospects, moved)
                if other or is_dead:
                    found.append(_judged(gang, what, other))
    return tuple(found)


def _sent_to(gang: GangView) -> str | None:
    """The pool to which we sent all pods of a gang; None: we did not, or one of them has a node."""
    pools = {pod.node_selector.get(LABEL_POOL) for pod in gang.pods}
    ours = all(ANNOTATION_PLACED_AT in pod.annotations and not pod.gates and not pod.node_name for pod in gang.pods)
    return next(iter(pools)) if ours and len(pools) == 1 else None


def _has_no_node(gang: GangView, capacity: Capacity) -> bool:
    """Whether pods of a gang fit on no ready node, and the scheduler has said so of all of these."""
    pods = [pod for pod in gang.pods if pod.uid not in capacity.placed]
    return bool(pods) and all(pod.unschedulable for pod in pods)


def _other(
    gang: GangView, pool: str, view: ClusterView, prospects: Prospects, moved: defaultdict[str, list[GangView]]
) -> str:
    """The first other pool that can take a gang, which is then one of those `moved` there; empty: none can."""
    for other in view.pools:
        # Other uids: some of its pods may fit on the nodes of its own pool.
        pods = tuple(
            replace(pod, uid=f"{pod.uid}/{other.name}", node_selector={**pod.node_selector, LABEL_POOL: other.name})
            for pod in gang.pods
        )
        there = replace(gang, pods=pods)
        if other.name != pool and gang.key not in prospects.unmet(other.name, [*moved[other.name], there]):
            moved[other.name].append(there)
            return other.name
    return ""


def _judged(gang: GangView, what: str, other: str) -> Stranded:
    if not other:
        return Stranded(gang, False, f"{what}, and no other pool can take it now; it waits until one may grow again")
    if not gang.replaceable:
        why = "its Job would count that as a failure, or has no gate in its template; delete its pods yourself"
        return Stranded(gang, False, f"{what}, and its pods are not made again: {why}")
    return Stranded(gang, True, f"{what}; its pods are made again for another pool")
