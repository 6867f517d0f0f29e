"""Consolidation: moving the jobs of nearly empty nodes to other busy nodes, so that the nodes can be switched off.

Compiled; `envs.codec.consolidation` says the same in plain words. Where jobs may be moved, every busy node keeps a list
of the running jobs that have a part of it (a whole node has no list: its job leaves no room to gain).
"""

from __future__ import annotations

from envs.simulator import state as st
from envs.simulator.compiler import helper, rare
from envs.simulator.log import JOB_MOVE, record
from envs.simulator.packers import clear_bit, link_part, lowest_node, move_node, next_node, set_bit, unlink_part
from envs.simulator.state import Cluster, Settings, Table
from envs.simulator.work import delay, fetch


@helper
def fits_elsewhere(c: Cluster, pools: Table, pool: int, node: int) -> bool:
    """Whether all parts on a node find room on other busy nodes, the largest first, each where least room suffices."""
    row, gpus = c.pool[pool], pools[pool, st.GPUS]
    for free in range(gpus + 1):
        row[st.ROOM + free] = row[st.FREE_COUNT + free]
        row[st.PARTS + free] = 0
    row[st.ROOM + c.node[node, st.FREE_GPUS]] -= 1
    slot = c.node[node, st.NODE_SLOTS] - 1
    while slot >= 0:
        row[st.PARTS + c.run[slot, st.RUN_GPUS]] += 1
        slot = c.run[slot, st.RUN_NEXT]
    for part in range(gpus - 1, 0, -1):
        for _ in range(row[st.PARTS + part]):
            free = part
            while free < gpus and row[st.ROOM + free] == 0:
                free += 1
            if free >= gpus:
                return False
            row[st.ROOM + free] -= 1
            row[st.ROOM + free - part] += 1
    return True


@helper
def largest_part(c: Cluster, node: int) -> int:
    """The running slot with the largest part of a node, the lowest job of equals; -1 if there is none."""
    best = c.node[node, st.NODE_SLOTS] - 1
    slot = best
    while slot >= 0:
        larger = c.run[slot, st.RUN_GPUS] - c.run[best, st.RUN_GPUS]
        if larger > 0 or (larger == 0 and c.run[slot, st.RUN_JOB] < c.run[best, st.RUN_JOB]):
            best = slot
        slot = c.run[slot, st.RUN_NEXT]
    return best


@helper
def empty_node(c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """Move all parts of a node to other busy nodes, which must have room; it becomes idle."""
    now, gpus, free = c.clock[st.NOW], pools[pool, st.GPUS], c.node[node, st.FREE_GPUS]
    clear_bit(c, free, node)  # so that it is not found as its own target
    slot = largest_part(c, node)
    while slot >= 0:
        part = c.run[slot, st.RUN_GPUS]
        target, room = -1, part
        while target < 0:
            target = lowest_node(c, pools, pool, room)
            room += 1
        unlink_part(c, jobs, slot, node)
        c.run[slot, st.RUN_NODE] = target
        link_part(c, jobs, slot, target)
        move_node(c, pools, pool, target, c.node[target, st.FREE_GPUS] - part, now)
        c.node[target, st.NODE_ROUND] = c.pool[pool, st.ROUND]
        pull_ms = fetch(c, jobs, pools, c.run[slot, st.RUN_JOB], pool, target) if settings.pulls_images else 0
        delay(c, jobs, settings, slot, settings.move_ms + pull_ms)
        c.pool[pool, st.MOVES] += 1
        record(c, JOB_MOVE, pool, c.run[slot, st.RUN_JOB], target, part * 1000)
        slot = largest_part(c, node)
    set_bit(c, free, node)
    move_node(c, pools, pool, node, gpus, now)


@helper
def is_due(c: Cluster, settings: Settings, pool: int) -> bool:
    """Whether it is time for a consolidation of a pool."""
    return c.clock[st.NOW] - c.pool[pool, st.CONSOLIDATED_MS] >= settings.consolidation_ms


@rare
def count_emptiable(c: Cluster, pools: Table, pool: int) -> int:
    """How many busy nodes are partly free and run only jobs that may be moved."""
    nodes = 0
    for free in range(1, pools[pool, st.GPUS]):
        if c.pool[pool, st.FREE_COUNT + free] > 0:
            node = lowest_node(c, pools, pool, free)
            while node >= 0:
                if c.node[node, st.NODE_FIXED] == 0:
                    nodes += 1
                node = next_node(c, pools, pool, free, node)
    return nodes


@rare
def first_to_empty(c: Cluster, pools: Table, pool: int) -> int:
    """The emptiest node whose jobs may be moved and fit on other busy nodes, the lowest of equals; -1 if none."""
    for free in range(pools[pool, st.GPUS] - 1, 0, -1):
        if c.pool[pool, st.FREE_COUNT + free] > 0:
            node = lowest_node(c, pools, pool, free)
            while node >= 0:
                if c.node[node, st.NODE_FIXED] == 0 and fits_elsewhere(c, pools, pool, node):
                    return node
                node = next_node(c, pools, pool, free, node)
    return -1


@rare
def consolidate(c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, choice: int) -> None:
    """Carry out a choice of the consolidation lever: empty one node, or all that can be emptied, the emptiest first."""
    c.pool[pool, st.ROUND] += 1
    this_round, emptied = c.pool[pool, st.ROUND], 0
    for free in range(pools[pool, st.GPUS] - 1, 0, -1):
        node = lowest_node(c, pools, pool, free)
        while node >= 0 and not (choice == 1 and emptied > 0):
            after = next_node(c, pools, pool, free, node)
            stays = c.node[node, st.NODE_FIXED] > 0 or c.node[node, st.NODE_ROUND] == this_round
            if not stays and fits_elsewhere(c, pools, pool, node):
                empty_node(c, jobs, pools, settings, pool, node)
                emptied += 1
            node = after
    if emptied > 0:
        c.pool[pool, st.CONSOLIDATED_MS] = c.clock[st.NOW]
