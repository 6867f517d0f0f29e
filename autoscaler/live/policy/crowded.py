"""Pools with GPUs that a job cannot use: they are not offered to it where another pool may take it.

The codec counts GPUs. Where a pool has the GPUs for a job but not the CPUs, and may have no more nodes, the job would
be sent there for ever. A pool that may grow stays: it gets a node, see `autoscaler.live.guardrails.need`.
"""

from __future__ import annotations

from autoscaler.live.config import LiveConfig
from autoscaler.live.fit.rules import as_placed
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.placement import fixed_pool
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.policy.snapshot import window
from envs.gpu_cluster.codec import ClusterSnapshot, Pool


def leave_crowded(view: ClusterView, state: GuardrailState, config: LiveConfig, snapshot: ClusterSnapshot) -> None:
    """Take pools off the allowed ones of jobs in the window; no job loses its last pool.

    Args:
        view: the cluster.
        state: what was released and does not show yet.
        config: the pools.
        snapshot: of this view; `allowed` is changed.
    """
    rows = {pool.name: pool.index for pool in view.pools}
    bounded = {pool.name for pool in view.pools if not _may_grow(snapshot, pool.index)}
    capacity: Capacity | None = None
    for slot, gang in enumerate(window(view, config)):
        if len(gang.allowed_pools) < 2 or bounded.isdisjoint(gang.allowed_pools) or fixed_pool(gang, state):
            continue
        capacity = capacity or Capacity(view, state, config.counted_resources)
        useless = [pool for pool in gang.allowed_pools if pool in bounded and not _fits(gang, pool, capacity)]
        if len(useless) < len(gang.allowed_pools):
            for pool in useless:
                snapshot.allowed[slot, rows[pool]] = 0.0


def _may_grow(snapshot: ClusterSnapshot, pool: int) -> bool:
    row = snapshot.pools[pool]
    nodes = row[Pool.IDLE_NODES] + row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES]
    # Nodes that come are as good as more to order.
    return bool(row[Pool.BOOTING_NODES] > 0.0 or nodes + row[Pool.UNAVAILABLE_NODES] < row[Pool.MAX_NODES])


def _fits(gang: GangView, pool: str, capacity: Capacity) -> bool:
    with capacity.trial():
        return capacity.place(pool, as_placed(gang, (*gang.pending, *gang.expected), pool))
