"""How many nodes may be ordered, pool by pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrail_config import BackoffTimes
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.placement import chosen_pools
from autoscaler.live.guardrails.state import GuardrailState, overdue
from autoscaler.live.guardrails.verdicts import Release, Rule, Verdict
from autoscaler.live.model import ClusterView, GangView, NodeState, PoolView
from autoscaler.live.view.nodes import is_returning
from envs.gpu_cluster.codec import Decision

GPU_MILLI = 1000


def coming_nodes(pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes) -> int:
    """Nodes that boot, were ordered or are being emptied, those not in the view yet included, overdue ones not."""
    late = {name for name, _ in overdue(pool, state, now_seconds, times)}
    booting = sum(node.name not in late for node in pool.in_state(NodeState.BOOTING))
    ordered = sum(order.name not in late for order in pool.orders)
    returning = sum(is_returning(node) for node in pool.nodes)
    return booting + ordered + returning + state.unseen(pool)


def counted_nodes(pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes) -> int:
    """What `Decision.target_nodes` is compared with: nodes that serve or will serve."""
    serving = len(pool.in_state(NodeState.IDLE, NodeState.BUSY))
    return serving + coming_nodes(pool, state, now_seconds, times)


def existing_nodes(pool: PoolView, state: GuardrailState) -> int:
    """What the maxima limit: every node there is, whatever its state, and every order."""
    return pool.powered_nodes + state.unseen(pool)


class Orders:
    """Decides how many nodes are ordered. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: orders that the view does not show yet, and backoffs; refreshed with this view.
        config: pools and guardrails.
        capacity: what is free after the gangs of `released` took theirs.

    Attributes:
        nodes: nodes to order by pool, only pools with at least one.
        verdicts: what the rules changed.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, config: LiveConfig, capacity: Capacity) -> None:
        self.nodes: dict[str, int] = {}
        self.verdicts: list[Verdict] = []
        self._view = view
        self._state = state
        self._config = config
        self._capacity = capacity
        self._waiting: dict[str, list[GangView]] = {pool.name: [] for pool in view.pools}
        existing = {pool.name: existing_nodes(pool, state) for pool in view.pools}
        gpus = sum(count * config.pool(name).gpus_per_node for name, count in existing.items())
        totals = config.guardrails.totals
        self._nodes_left = None if totals.max_nodes is None else max(0, totals.max_nodes - sum(existing.values()))
        self._gpus_left = None if totals.max_gpus is None else max(0, totals.max_gpus - gpus)

    def choose(self, decision: Decision, released: Sequence[Release]) -> None:
        """Order for all pools; earlier pools take from the common bounds first."""
        gone = {release.gang.key for release in released}
        for gang, wanted in chosen_pools(self._view, decision):
            if wanted is not None and gang.key not in gone:
                self._waiting[wanted].append(gang)
        for pool in self._view.pools:
            settings = self._config.pool(pool.name)
            nodes = self._order(pool, settings, int(decision.target_nodes[pool.index]))
            if nodes > 0:
                self.nodes[pool.name] = nodes
                if self._nodes_left is not None:
                    self._nodes_left -= nodes
                if self._gpus_left is not None:
                    self._gpus_left -= nodes * settings.gpus_per_node

    def _order(self, pool: PoolView, settings: LivePool, target: int) -> int:
        """One pool's order after all rules; each sees what the one before it left."""
        now, guardrails = self._view.now_seconds, self._config.guardrails
        if target < settings.min_nodes:
            reason = f"the pool has min_nodes {settings.min_nodes}"
            self.verdicts.append(Verdict(Rule.POOL_MIN, "pool", pool.name, target, settings.min_nodes, reason))
            target = settings.min_nodes
        counted = counted_nodes(pool, self._state, now, guardrails.backoff)
        unseen = self._state.unseen(pool)
        nodes = max(0, target - counted + unseen)
        reason = f"{unseen} nodes were ordered that do not show yet"
        nodes = self._limit(Rule.IN_FLIGHT, pool, nodes, max(0, target - counted), reason)
        if pool.name in self._view.paused_pools:
            return self._limit(Rule.PAUSED, pool, nodes, 0, self._view.paused_pools[pool.name])
        if self._state.in_backoff(pool.name, now):
            seconds = self._state.backoffs[pool.name].until_seconds - now
            reason = f"the pool failed to deliver and is left alone for {seconds:.0f} s more"
            nodes = self._limit(Rule.BACKOFF, pool, nodes, 0, reason)
        nodes = self._bounded(pool, settings, nodes)
        most = guardrails.steps.max_new_nodes
        reason = f"steps.max_new_nodes is {most}; the rest follows in the next reconcile"
        return self._limit(Rule.STEP_ORDERS, pool, nodes, most, reason)

    def _bounded(self, pool: PoolView, settings: LivePool, wanted: int) -> int:
        """The order within the bounds that stay, for whole gangs only."""
        exists = existing_nodes(pool, self._state)
        left = max(0, settings.max_nodes - exists)
        reason = f"the pool has max_nodes {settings.max_nodes}, {exists} exist or are ordered"
        nodes = self._limit(Rule.POOL_MAX, pool, wanted, left, reason)
        if self._nodes_left is not None:
            reason = f"totals.max_nodes leaves {self._nodes_left} nodes"
            nodes = self._limit(Rule.TOTAL_MAX_NODES, pool, nodes, self._nodes_left, reason)
        if self._gpus_left is not None:
            reason = f"totals.max_gpus leaves {self._gpus_left} GPUs"
            nodes = self._limit(Rule.TOTAL_MAX_GPUS, pool, nodes, self._gpus_left // settings.gpus_per_node, reason)
        if not 0 < nodes < wanted:
            return nodes
        # Nodes for a part of a gang would idle until they are taken away again.
        waiting, times = self._waiting[pool.name], self._config.guardrails.backoff
        coming = coming_nodes(pool, self._state, self._view.now_seconds, times)
        ready, size = self._capacity.free_gpus_milli(pool.name), settings.gpus_per_node
        free = ready + Counter({size * GPU_MILLI: coming})
        # Nodes to come that no gang fills are the reserve that was ordered before.
        ordered_reserve = coming - nodes_for_whole_gangs(waiting, ready, size, coming)
        reserve = wanted + coming - nodes_for_whole_gangs(waiting, ready, size, wanted + coming) - ordered_reserve
        whole = nodes_for_whole_gangs(waiting, free, size, nodes)
        reason = "the bound leaves too few nodes for a whole gang, and a part of one is of no use"
        return self._limit(Rule.WHOLE_GANGS, pool, nodes, whole + max(0, reserve), reason)

    def _limit(self, rule: Rule, pool: PoolView, nodes: int, most: int, reason: str) -> int:
        if nodes <= most:
            return nodes
        self.verdicts.append(Verdict(rule, "pool", pool.name, nodes, most, reason))
        return most


def nodes_for_whole_gangs(gangs: Sequence[GangView], free_milli: Counter[int], gpus_per_node: int, most: int) -> int:
    """New nodes that waiting gangs use, when a gang gets all that it needs or nothing.

    Args:
        gangs: in the order of the queue.
        free_milli: how many of the nodes that are there or coming have so many thousandths of GPUs free.
        gpus_per_node: of a new node.
        most: new nodes that may be ordered.
    """
    used = 0
    for gang in gangs:
        placed = _pack(gang, free_milli, gpus_per_node * GPU_MILLI, most - used)
        if placed is not None:
            used += placed.total() - free_milli.total()
            free_milli = placed
    return used


def _pack(gang: GangView, free_milli: Counter[int], node_milli: int, most: int) -> Counter[int] | None:
    """Free GPUs of the nodes after a gang was put there and on at most `most` new ones; None when it does not fit."""
    result, new = Counter(free_milli), 0
    for _ in range(len(gang.pending) + gang.missing_pods):
        fitting = [free for free, nodes in result.items() if nodes > 0 and free >= gang.gpu_milli_per_pod]
        if fitting:
            free = min(fitting)
            result[free] -= 1
        elif new < most and gang.gpu_milli_per_pod <= node_milli:
            free, new = node_milli, new + 1
        else:
            return None
        result[free - gang.gpu_milli_per_pod] += 1
    return result
