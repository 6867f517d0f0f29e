"""The life of nodes: ordered, ready or failed to boot, on until they fail or are taken back, and back again. Compiled.

`reference/` says the same in plain words. Random draws are made only where `Settings.is_stochastic`.
"""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.draws import boot_fails, drawn_ms
from envs.gpu_cluster.simulator.kernels.work import preempt
from envs.gpu_cluster.simulator.log import (
    NODE_BOOT_FAIL,
    NODE_FAIL,
    NODE_GONE,
    NODE_OFF,
    NODE_ORDER,
    NODE_READY,
    NODE_RECLAIM,
    NODE_RETURN,
    record,
)
from envs.gpu_cluster.simulator.packing.bits import clear_bit, next_node, set_bit
from envs.gpu_cluster.simulator.packing.counted import drop_oldest, push_idle, remove_idle, wrap
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def mark_off(cluster: Cluster, pool: int, node: int) -> None:
    """A node is off."""
    set_bit(cluster, 0, node)
    cluster.pool[pool, st.LOWEST_OFF] = min(cluster.pool[pool, st.LOWEST_OFF], node)


@helper
def switch_on(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> int:
    """Take the lowest node that is off, a new life of it begins; there must be one."""
    node = next_node(cluster, pools, pool, 0, cluster.pool[pool, st.LOWEST_OFF] - 1)
    clear_bit(cluster, 0, node)
    cluster.pool[pool, st.LOWEST_OFF] = node + 1
    if settings.is_stochastic:
        cluster.node[node, st.NODE_LIFE] += 1
    if settings.pulls_images:
        cluster.node[node, st.NODE_IMAGES :] = st.NEVER
    return node


@helper
def begin_service(cluster: Cluster, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """A node is on: it is idle, on top of the stack, and it is drawn when it fails or is taken back."""
    push_idle(cluster, pools, pool, node, cluster.clock[st.NOW])
    record(cluster, NODE_READY, pool, -1, node, 0)
    if settings.is_stochastic:
        fails = drawn_ms(cluster, pools, st.DRAW_FAILURE, pool, node)
        reclaimed = drawn_ms(cluster, pools, st.DRAW_RECLAIM, pool, node)
        if fails >= 0 and (reclaimed < 0 or fails <= reclaimed):
            expect(cluster, node, st.FAILS, cluster.clock[st.NOW] + fails)
        elif reclaimed >= 0:
            expect(cluster, node, st.IS_RECLAIMED, cluster.clock[st.NOW] + reclaimed)


@helper
def expect(cluster: Cluster, node: int, what: int, time: int) -> None:
    """Note what happens to a node next."""
    cluster.node[node, st.NODE_NEXT], cluster.node[node, st.NODE_EVENT] = what, time
    cluster.clock[st.NEXT_NODE_EVENT] = min(cluster.clock[st.NEXT_NODE_EVENT], time)


@helper
def find_next(cluster: Cluster, pools: Table) -> None:
    """Look at every node for when something happens to one of them next."""
    # No heap: what happens to nodes is rare beside what happens to jobs, and each order would have to keep it right.
    time = st.NEVER
    for pool in range(pools.shape[0]):
        offset = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            time = min(time, cluster.node[node, st.NODE_EVENT])
    cluster.clock[st.NEXT_NODE_EVENT] = time


@helper
def switch_off_oldest(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Switch off the node that has been idle longest."""
    row = cluster.pool[pool]
    node = cluster.node[pools[pool, st.NODE_OFFSET] + row[st.IDLE_HEAD], st.IDLE_NODE]
    mark_off(cluster, pool, node)
    record(cluster, NODE_OFF, pool, -1, node, 0)
    drop_oldest(row, st.IDLE_HEAD, pools[pool, st.MAX_NODES])
    if settings.is_stochastic:
        time = cluster.node[node, st.NODE_EVENT]
        cluster.node[node, st.NODE_EVENT] = st.NEVER
        if time == cluster.clock[st.NEXT_NODE_EVENT]:  # of others the moment stays right
            find_next(cluster, pools)


@helper
def order_node(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Order a node; the ring of those that boot is in order of the time when their boot ends, then of their order."""
    row, offset, maximum = cluster.pool[pool], pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    node, ready, place = switch_on(cluster, pools, settings, pool), cluster.clock[st.NOW], row[st.BOOT_TAIL]
    record(cluster, NODE_ORDER, pool, -1, node, 0)
    if not settings.is_stochastic:
        ready += pools[pool, st.BOOT_MS]
    else:
        cluster.node[node, st.NODE_EXPECTED] = ready + pools[pool, st.BOOT_MS]
        # That the boot will fail is known now, and looked up again with the same draw when it ends.
        if boot_fails(cluster, pools, pool, node):
            ready += pools[pool, st.BOOT_TIMEOUT_MS]
        else:
            ready += drawn_ms(cluster, pools, st.DRAW_BOOT, pool, node)
        while place > row[st.BOOT_HEAD] and cluster.node[offset + wrap(place - 1, maximum), st.BOOT_READY] > ready:
            at, before = offset + wrap(place, maximum), offset + wrap(place - 1, maximum)
            cluster.node[at, st.BOOT_NODE] = cluster.node[before, st.BOOT_NODE]
            cluster.node[at, st.BOOT_READY] = cluster.node[before, st.BOOT_READY]
            place -= 1
    at = offset + wrap(place, maximum)
    cluster.node[at, st.BOOT_NODE], cluster.node[at, st.BOOT_READY] = node, ready
    row[st.BOOT_TAIL] += 1


@helper
def in_backoff(cluster: Cluster, pool: int) -> bool:
    """Whether nothing is ordered in a pool because boots failed."""
    return cluster.clock[st.NOW] < cluster.pool[pool, st.BACKOFF_UNTIL_MS]


@helper
def begin_backoff(cluster: Cluster, pools: Table, pool: int) -> None:
    """A boot failed: leave the pool alone; several failures during one backoff count once."""
    row, now, length = cluster.pool[pool], cluster.clock[st.NOW], pools[pool, st.FIRST_BACKOFF_MS]
    if row[st.BACKOFF_MS] > 0 and now - row[st.BOOT_FAILED_MS] < pools[pool, st.BACKOFF_RESET_MS]:
        if in_backoff(cluster, pool):
            return
        length = min(2 * row[st.BACKOFF_MS], pools[pool, st.MOST_BACKOFF_MS])
    row[st.BACKOFF_UNTIL_MS], row[st.BACKOFF_MS], row[st.BOOT_FAILED_MS] = now + length, length, now


@helper
def end_boot(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """The first boot of the ring ends: the node is idle, or off again if its boot failed."""
    node = cluster.node[pools[pool, st.NODE_OFFSET] + cluster.pool[pool, st.BOOT_HEAD], st.BOOT_NODE]
    drop_oldest(cluster.pool[pool], st.BOOT_HEAD, pools[pool, st.MAX_NODES])
    if settings.is_stochastic and boot_fails(cluster, pools, pool, node):
        mark_off(cluster, pool, node)
        cluster.pool[pool, st.BOOT_FAILURES] += 1
        record(cluster, NODE_BOOT_FAIL, pool, -1, node, 0)
        if pools[pool, st.FIRST_BACKOFF_MS] > 0:
            begin_backoff(cluster, pools, pool)
    else:
        begin_service(cluster, pools, settings, pool, node)


@helper
def has_part_of(cluster: Cluster, slot: int, node: int) -> bool:
    """Whether a running job uses a node."""
    run = cluster.run[slot]
    if run[st.RUN_SHARE] >= 0:
        return cluster.share[run[st.RUN_SHARE], st.SHARE_NODE] == node
    if run[st.RUN_GPUS] > 0 and run[st.RUN_NODE] == node:
        return True
    other = run[st.RUN_CHAIN]
    while other >= 0 and other != node:
        other = cluster.node[other, st.NEXT_NODE]
    return other == node


@helper
def first_on(cluster: Cluster, pool: int, node: int) -> int:
    """The running slot of the lowest job that uses a node, -1 if none does."""
    # By job and not by slot or position, which depend on the history of the heap and mean nothing to the reference.
    first = -1
    for at in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[at, st.HEAP_SLOT]
        is_lower = first < 0 or cluster.run[slot, st.RUN_JOB] < cluster.run[first, st.RUN_JOB]
        if cluster.run[slot, st.RUN_POOL] == pool and is_lower and has_part_of(cluster, slot, node):
            first = slot
    return first


@helper
def evict(
    cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int, has_notice: bool
) -> None:
    """Preempt every job of a node and take the node out of service."""
    slot = first_on(cluster, pool, node)
    while slot >= 0:
        preempt(cluster, jobs, pools, settings, slot, has_notice)
        slot = first_on(cluster, pool, node)
    remove_idle(cluster, pools, pool, node)  # without jobs it has become idle


@helper
def happen(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """Let happen to a node what was expected."""
    row, now, what = cluster.pool[pool], cluster.clock[st.NOW], cluster.node[node, st.NODE_NEXT]
    notice = pools[pool, st.NOTICE_MS]
    cluster.node[node, st.NODE_EVENT] = st.NEVER
    if what == st.FAILS:
        evict(cluster, jobs, pools, settings, pool, node, False)
        record(cluster, NODE_FAIL, pool, -1, node, 0)
        row[st.FAILURES] += 1
        row[st.DOWN] += 1
        expect(cluster, node, st.RETURNS, now + drawn_ms(cluster, pools, st.DRAW_REPAIR, pool, node))
    elif what == st.IS_RECLAIMED:
        evict(cluster, jobs, pools, settings, pool, node, notice > 0)
        record(cluster, NODE_RECLAIM, pool, -1, node, 0)
        row[st.RECLAIMS] += 1
        row[st.DRAINING] += 1
        expect(cluster, node, st.IS_GONE, now + notice)
    elif what == st.IS_GONE:
        record(cluster, NODE_GONE, pool, -1, node, 0)
        row[st.DRAINING] -= 1
        row[st.DOWN] += 1
        expect(cluster, node, st.RETURNS, now + drawn_ms(cluster, pools, st.DRAW_OUTAGE, pool, node))
    else:
        record(cluster, NODE_RETURN, pool, -1, node, 0)
        row[st.DOWN] -= 1
        mark_off(cluster, pool, node)


@helper
def node_events(cluster: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """Let everything of this moment happen to nodes, in order of pools and nodes."""
    while cluster.clock[st.NEXT_NODE_EVENT] <= cluster.clock[st.NOW]:
        for pool in range(pools.shape[0]):
            offset = pools[pool, st.NODE_OFFSET]
            for node in range(offset, offset + pools[pool, st.MAX_NODES]):
                if cluster.node[node, st.NODE_EVENT] <= cluster.clock[st.NOW]:
                    happen(cluster, jobs, pools, settings, pool, node)
        find_next(cluster, pools)
