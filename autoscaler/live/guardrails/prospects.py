"""What pools can still take, now and with the nodes that come or may be ordered."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.live.config import LiveConfig
from autoscaler.live.fit.shapes import pool_shape
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.need import need
from autoscaler.live.guardrails.orders import existing_nodes, nodes_to_come
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, GangView, PoolView


class Prospects:
    """Packs gangs on what pools have, what comes, and what may be ordered. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: orders that the view does not show yet, and backoffs; refreshed with this view.
        config: pools and guardrails.
        capacity: what is free on ready nodes; it is as before afterwards.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, config: LiveConfig, capacity: Capacity) -> None:
        self._view, self._state, self._config, self._capacity = view, state, config, capacity
        total = config.guardrails.totals.max_nodes
        self._left = None if total is None else total - sum(existing_nodes(pool, state) for pool in view.pools)

    def growth(self, pool: PoolView) -> int:
        """Nodes that may be ordered of a pool."""
        name = pool.name
        if self._state.in_backoff(name, self._view.now_seconds) or name in self._view.paused_pools:
            return 0
        growth = self._config.pool(name).max_nodes - existing_nodes(pool, self._state)
        return max(0, growth if self._left is None else min(growth, self._left))

    def unmet(self, pool: str, gangs: Sequence[GangView]) -> frozenset[str]:
        """Keys of the gangs, in the order of the queue, that a pool cannot take together with those before them."""
        view = self._view.pool(pool)
        coming = nodes_to_come(view, self._state, self._view.now_seconds, self._config.guardrails.backoff)
        shape = pool_shape(view, self._config.pool(pool))
        return frozenset(need(gangs, pool, self._capacity, shape, coming, self.growth(view)).unmet)
