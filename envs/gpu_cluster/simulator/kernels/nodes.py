"""The life of nodes: ordered, ready or failed to boot, on until they fail or are taken back, and back again. Compiled.

`reference/` says the same in plain words. Lots are drawn only where `Settings.is_stochastic`.
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
from envs.gpu_cluster.simulator.state import Cluster, Settings, Table


@helper
def mark_off(c: Cluster, pool: int, node: int) -> None:
    """A node is off."""
    set_bit(c, 0, node)
    c.pool[pool, st.LOWEST_OFF] = min(c.pool[pool, st.LOWEST_OFF], node)


@helper
def switch_on(c: Cluster, pools: Table, settings: Settings, pool: int) -> int:
    """Take the lowest node that is off, a new life of it begins; there must be one."""
    node = next_node(c, pools, pool, 0, c.pool[pool, st.LOWEST_OFF] - 1)
    clear_bit(c, 0, node)
    c.pool[pool, st.LOWEST_OFF] = node + 1
    if settings.is_stochastic:
        c.node[node, st.NODE_LIFE] += 1
    if settings.pulls_images:
        c.node[node, st.NODE_IMAGES :] = st.NEVER
    return node


@helper
def begin_service(c: Cluster, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """A node is on: it is idle, on top of the stack, and it is drawn when it fails or is taken back."""
    push_idle(c, pools, pool, node, c.clock[st.NOW])
    record(c, NODE_READY, pool, -1, node, 0)
    if settings.is_stochastic:
        fails = drawn_ms(c, pools, st.LOT_FAILURE, pool, node)
        reclaimed = drawn_ms(c, pools, st.LOT_RECLAIM, pool, node)
        if fails >= 0 and (reclaimed < 0 or fails <= reclaimed):
            expect(c, node, st.FAILS, c.clock[st.NOW] + fails)
        elif reclaimed >= 0:
            expect(c, node, st.IS_RECLAIMED, c.clock[st.NOW] + reclaimed)


@helper
def expect(c: Cluster, node: int, what: int, time: int) -> None:
    """Note what happens to a node next."""
    c.node[node, st.NODE_NEXT], c.node[node, st.NODE_EVENT] = what, time
    c.clock[st.NEXT_NODE_EVENT] = min(c.clock[st.NEXT_NODE_EVENT], time)


@helper
def find_next(c: Cluster, pools: Table) -> None:
    """Look at every node for when something happens to one of them next."""
    time = st.NEVER
    for pool in range(pools.shape[0]):
        offset = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            time = min(time, c.node[node, st.NODE_EVENT])
    c.clock[st.NEXT_NODE_EVENT] = time


@helper
def switch_off_oldest(c: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Switch off the node that has been idle longest."""
    row = c.pool[pool]
    node = c.node[pools[pool, st.NODE_OFFSET] + row[st.IDLE_HEAD], st.IDLE_NODE]
    mark_off(c, pool, node)
    record(c, NODE_OFF, pool, -1, node, 0)
    drop_oldest(row, st.IDLE_HEAD, pools[pool, st.MAX_NODES])
    if settings.is_stochastic:
        time = c.node[node, st.NODE_EVENT]
        c.node[node, st.NODE_EVENT] = st.NEVER
        if time == c.clock[st.NEXT_NODE_EVENT]:
            find_next(c, pools)


@helper
def order_node(c: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Order a node; the ring of those that boot is in order of the time when their boot ends, then of their order."""
    row, offset, maximum = c.pool[pool], pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    node, ready, place = switch_on(c, pools, settings, pool), c.clock[st.NOW], row[st.BOOT_TAIL]
    record(c, NODE_ORDER, pool, -1, node, 0)
    if not settings.is_stochastic:
        ready += pools[pool, st.BOOT_MS]
    else:
        if boot_fails(c, pools, pool, node):
            ready += pools[pool, st.BOOT_TIMEOUT_MS]
        else:
            ready += drawn_ms(c, pools, st.LOT_BOOT, pool, node)
        while place > row[st.BOOT_HEAD] and c.node[offset + wrap(place - 1, maximum), st.BOOT_READY] > ready:
            at, before = offset + wrap(place, maximum), offset + wrap(place - 1, maximum)
            c.node[at, st.BOOT_NODE] = c.node[before, st.BOOT_NODE]
            c.node[at, st.BOOT_READY] = c.node[before, st.BOOT_READY]
            place -= 1
    at = offset + wrap(place, maximum)
    c.node[at, st.BOOT_NODE], c.node[at, st.BOOT_READY] = node, ready
    row[st.BOOT_TAIL] += 1


@helper
def end_boot(c: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """The first boot of the ring ends: the node is idle, or off again if its boot failed."""
    node = c.node[pools[pool, st.NODE_OFFSET] + c.pool[pool, st.BOOT_HEAD], st.BOOT_NODE]
    drop_oldest(c.pool[pool], st.BOOT_HEAD, pools[pool, st.MAX_NODES])
    if settings.is_stochastic and boot_fails(c, pools, pool, node):
        mark_off(c, pool, node)
        c.pool[pool, st.BOOT_FAILURES] += 1
        record(c, NODE_BOOT_FAIL, pool, -1, node, 0)
    else:
        begin_service(c, pools, settings, pool, node)


@helper
def has_part_of(c: Cluster, slot: int, node: int) -> bool:
    """Whether a running job uses a node."""
    run = c.run[slot]
    if run[st.RUN_SHARE] >= 0:
        return c.share[run[st.RUN_SHARE], st.SHARE_NODE] == node
    if run[st.RUN_GPUS] > 0 and run[st.RUN_NODE] == node:
        return True
    other = run[st.RUN_CHAIN]
    while other >= 0 and other != node:
        other = c.node[other, st.NEXT_NODE]
    return other == node


@helper
def first_on(c: Cluster, pool: int, node: int) -> int:
    """The running slot of the lowest job that uses a node, -1 if none does."""
    first = -1
    for at in range(c.clock[st.RUNNING]):
        slot = c.heap[at, st.HEAP_SLOT]
        is_lower = first < 0 or c.run[slot, st.RUN_JOB] < c.run[first, st.RUN_JOB]
        if c.run[slot, st.RUN_POOL] == pool and is_lower and has_part_of(c, slot, node):
            first = slot
    return first


@helper
def evict(c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int, has_notice: bool) -> None:
    """Preempt every job of a node and take the node out of service."""
    slot = first_on(c, pool, node)
    while slot >= 0:
        preempt(c, jobs, pools, settings, slot, has_notice)
        slot = first_on(c, pool, node)
    remove_idle(c, pools, pool, node)


@helper
def happen(c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """Let happen to a node what was expected."""
    row, now, what = c.pool[pool], c.clock[st.NOW], c.node[node, st.NODE_NEXT]
    notice = pools[pool, st.NOTICE_MS]
    c.node[node, st.NODE_EVENT] = st.NEVER
    if what == st.FAILS:
        evict(c, jobs, pools, settings, pool, node, False)
        record(c, NODE_FAIL, pool, -1, node, 0)
        row[st.FAILURES] += 1
        row[st.DOWN] += 1
        expect(c, node, st.RETURNS, now + drawn_ms(c, pools, st.LOT_REPAIR, pool, node))
    elif what == st.IS_RECLAIMED:
        evict(c, jobs, pools, settings, pool, node, notice > 0)
        record(c, NODE_RECLAIM, pool, -1, node, 0)
        row[st.RECLAIMS] += 1
        row[st.DRAINING] += 1
        expect(c, node, st.IS_GONE, now + notice)
    elif what == st.IS_GONE:
        record(c, NODE_GONE, pool, -1, node, 0)
        row[st.DRAINING] -= 1
        row[st.DOWN] += 1
        expect(c, node, st.RETURNS, now + drawn_ms(c, pools, st.LOT_OUTAGE, pool, node))
    else:
        record(c, NODE_RETURN, pool, -1, node, 0)
        row[st.DOWN] -= 1
        mark_off(c, pool, node)


@helper
def node_events(c: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """Let everything of this moment happen to nodes, in order of pools and nodes."""
    while c.clock[st.NEXT_NODE_EVENT] <= c.clock[st.NOW]:
        for pool in range(pools.shape[0]):
            offset = pools[pool, st.NODE_OFFSET]
            for node in range(offset, offset + pools[pool, st.MAX_NODES]):
                if c.node[node, st.NODE_EVENT] <= c.clock[st.NOW]:
                    happen(c, jobs, pools, settings, pool, node)
        find_next(c, pools)
