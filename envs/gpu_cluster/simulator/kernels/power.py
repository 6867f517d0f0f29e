"""The power that a cluster draws, in integer microwatts, so that both simulators agree on it. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def drawn_uw(cluster: Cluster, pools: Table) -> int:
    """The power that the cluster draws now."""
    total = 0
    for pool in range(pools.shape[0]):
        row, rates = cluster.pool[pool], pools[pool]
        idle = row[st.IDLE_TAIL] - row[st.IDLE_HEAD] + row[st.DRAINING]
        boot = row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
        off = rates[st.MAX_NODES] - idle - boot - row[st.BUSY]
        unused = row[st.BUSY] * rates[st.GPUS] * 1000 - row[st.USED_MILLI]
        total += idle * rates[st.IDLE_UW] + boot * rates[st.BOOT_UW] + off * rates[st.OFF_UW]
        total += unused * rates[st.UNUSED_UW] + row[st.USED_MILLI] * rates[st.USED_UW]
        total -= row[st.SAVED_MILLI] * rates[st.SAVED_UW]
    return total


@helper
def headroom_uw(cluster: Cluster, pools: Table) -> int:
    """The power that is left of the budget, below 0 where it is broken; nodes that boot count as if they were ready."""
    left = cluster.clock[st.BUDGET_UW] - drawn_uw(cluster, pools)
    for pool in range(pools.shape[0]):
        boot = cluster.pool[pool, st.BOOT_TAIL] - cluster.pool[pool, st.BOOT_HEAD]
        left -= boot * max(0, pools[pool, st.IDLE_UW] - pools[pool, st.BOOT_UW])
    return left


@helper
def count_excess(cluster: Cluster, pools: Table, elapsed: int) -> None:
    """Count the power above the budget over a time in which nothing happens; it binds after the ramp."""
    if cluster.clock[st.GRID_PHASE] == st.BINDING:
        over = drawn_uw(cluster, pools) - cluster.clock[st.BUDGET_UW]
        cluster.clock[st.EXCESS_MW_MS] += max(0, (over + 999) // 1000) * elapsed


@helper
def may_draw(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Whether the budget, if one is in force, leaves the power for a job in a pool, on nodes that are idle."""
    if not settings.has_grid or cluster.clock[st.GRID_PHASE] < st.ACTIVE:
        return True
    milli, rates = jobs[job, st.MILLI], pools[pool]
    node_milli = 1000 * rates[st.GPUS]
    nodes = (milli + node_milli - 1) // node_milli
    more = milli * (rates[st.USED_UW] - rates[st.UNUSED_UW])
    more += nodes * max(0, node_milli * rates[st.UNUSED_UW] - rates[st.IDLE_UW])
    return more <= headroom_uw(cluster, pools)


@helper
def may_order(cluster: Cluster, pools: Table, settings: Settings, pool: int, add: int) -> int:
    """How many nodes of `add` may be ordered: as many as the budget leaves power for, once it is known."""
    if not settings.has_grid or cluster.clock[st.GRID_PHASE] < st.KNOWN:
        return add
    each = max(pools[pool, st.BOOT_UW], pools[pool, st.IDLE_UW]) - pools[pool, st.OFF_UW]
    return min(add, max(0, headroom_uw(cluster, pools)) // each) if each > 0 else add
