"""Consolidation: moving the jobs of nearly empty nodes to other busy nodes, so that the nodes can be switched off.

Compiled; `envs.gpu_cluster.codec.consolidation` says the same in plain words. Where jobs may be moved, every busy node
keeps a list of the running jobs that have a part of it (a whole node has no list: nothing is gained by moving its job).
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.work import delay, fetch
from envs.gpu_cluster.simulator.log import JOB_MOVE, record
from envs.gpu_cluster.simulator.packing.bits import clear_bit, lowest_node, next_node, set_bit
from envs.gpu_cluster.simulator.packing.choice import set_open
from envs.gpu_cluster.simulator.packing.counted import link_part, move_node, unlink_part
from envs.gpu_cluster.simulator.packing.detailed import retake_part, write_request
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def comes_first(cluster: Cluster, slot: int, other: int) -> bool:
    """Whether the part of a running slot is moved before that of another: it is larger, or its job the lower one."""
    larger = cluster.run[slot, st.RUN_GPUS] - cluster.run[other, st.RUN_GPUS]
    return larger > 0 or (larger == 0 and cluster.run[slot, st.RUN_JOB] < cluster.run[other, st.RUN_JOB])


@helper
def next_part(cluster: Cluster, node: int, last: int) -> int:
    """The running slot whose part of a node is moved next after that of `last` (-1: first); -1 if there is none."""
    found, slot = -1, cluster.node[node, st.NODE_SLOTS] - 1
    while slot >= 0:
        if (last < 0 or comes_first(cluster, last, slot)) and (found < 0 or comes_first(cluster, slot, found)):
            found = slot
        slot = cluster.run[slot, st.RUN_NEXT]
    return found


@helper
def tightest_node(cluster: Cluster, pools: Table, pool: int) -> int:
    """The busy node with the fewest free GPUs that `cluster.pod` fits on, the lowest of equals; -1 if there is none."""
    for free in range(cluster.pod[ns.NUM_GPUS], pools[pool, st.GPUS]):
        node = lowest_node(cluster, pools, pool, free)
        while node >= 0:
            row = cluster.detail.node[node]
            if row[ns.FREE_CPU] >= cluster.pod[ns.CPU] and row[ns.FREE_MEMORY] >= cluster.pod[ns.MEMORY]:
                return node
            node = next_node(cluster, pools, pool, free, node)
    return -1


@helper
def charge(cluster: Cluster, node: int, sign: int) -> None:
    """For a trial, take what `cluster.pod` requests from a busy node (-1) or put it back (1).

    It changes only what `tightest_node` reads, so that a trial costs little and is undone by the opposite sign.
    """
    free = cluster.node[node, st.FREE_GPUS]
    if free > 0:
        clear_bit(cluster, free, node)
    free += sign * cluster.pod[ns.NUM_GPUS]
    if free > 0:
        set_bit(cluster, free, node)
    cluster.node[node, st.FREE_GPUS] = free
    cluster.detail.node[node, ns.FREE_CPU] += sign * cluster.pod[ns.CPU]
    cluster.detail.node[node, ns.FREE_MEMORY] += sign * cluster.pod[ns.MEMORY]


@rare
def find_targets(cluster: Cluster, jobs: Table, pools: Table, pool: int, node: int) -> bool:
    """`fits_elsewhere` where nodes are detailed; RUN_TARGET of each part receives the node that it would move to.

    The parts are put there one by one and taken back in the end.
    """
    clear_bit(cluster, cluster.node[node, st.FREE_GPUS], node)  # so that it is not found as its own target
    slot, fits = next_part(cluster, node, -1), True
    while slot >= 0 and fits:
        write_request(
            cluster, jobs, pools, cluster.run[slot, st.RUN_JOB], pool, cluster.run[slot, st.RUN_GPUS], True, 1
        )
        target = tightest_node(cluster, pools, pool)
        cluster.run[slot, st.RUN_TARGET] = target
        fits = target >= 0
        if fits:
            charge(cluster, target, -1)
            slot = next_part(cluster, node, slot)
    slot = next_part(cluster, node, -1)
    while slot >= 0 and cluster.run[slot, st.RUN_TARGET] >= 0:
        write_request(
            cluster, jobs, pools, cluster.run[slot, st.RUN_JOB], pool, cluster.run[slot, st.RUN_GPUS], True, 1
        )
        charge(cluster, cluster.run[slot, st.RUN_TARGET], 1)
        slot = next_part(cluster, node, slot)
    set_bit(cluster, cluster.node[node, st.FREE_GPUS], node)
    return fits


@helper
def fits_elsewhere(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int) -> bool:
    """Whether all parts on a node fit on other busy nodes, the largest first, each where it fits tightest."""
    if settings.is_detailed:
        return find_targets(cluster, jobs, pools, pool, node)
    row, gpus = cluster.pool[pool], pools[pool, st.GPUS]
    for free in range(gpus + 1):
        row[st.TRIAL + free] = row[st.FREE_COUNT + free]
        row[st.PARTS + free] = 0
    row[st.TRIAL + cluster.node[node, st.FREE_GPUS]] -= 1
    slot = cluster.node[node, st.NODE_SLOTS] - 1
    while slot >= 0:
        row[st.PARTS + cluster.run[slot, st.RUN_GPUS]] += 1
        slot = cluster.run[slot, st.RUN_NEXT]
    for part in range(gpus - 1, 0, -1):
        for _ in range(row[st.PARTS + part]):
            free = part
            while free < gpus and row[st.TRIAL + free] == 0:
                free += 1
            if free >= gpus:
                return False
            row[st.TRIAL + free] -= 1
            row[st.TRIAL + free - part] += 1
    return True


@helper
def counted_target(cluster: Cluster, pools: Table, pool: int, part: int) -> int:
    """The busy node with the fewest free GPUs that suffice for a part, the lowest of equals; there must be one."""
    target, free = -1, part
    while target < 0:
        target = lowest_node(cluster, pools, pool, free)
        free += 1
    return target


@helper
def empty_node(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, node: int) -> None:
    """Move all parts of a node where `fits_elsewhere` just found that they fit; it becomes idle."""
    now, gpus, free = cluster.clock[st.NOW], pools[pool, st.GPUS], cluster.node[node, st.FREE_GPUS]
    clear_bit(cluster, free, node)  # so that it is not found as its own target
    slot = next_part(cluster, node, -1)
    while slot >= 0:
        part = cluster.run[slot, st.RUN_GPUS]
        target = (
            cluster.run[slot, st.RUN_TARGET] if settings.is_detailed else counted_target(cluster, pools, pool, part)
        )
        unlink_part(cluster, jobs, slot, node)
        cluster.run[slot, st.RUN_NODE] = target
        link_part(cluster, jobs, slot, target)
        if settings.is_detailed:
            retake_part(settings.detail, cluster, jobs, pools, slot, node, part)
        else:
            move_node(cluster, pools, pool, target, cluster.node[target, st.FREE_GPUS] - part, now)
        cluster.node[target, st.NODE_ROUND] = cluster.pool[pool, st.ROUND]
        pull_ms = (
            fetch(cluster, jobs, pools, cluster.run[slot, st.RUN_JOB], pool, target) if settings.pulls_images else 0
        )
        delay(cluster, jobs, settings, slot, settings.move_ms + pull_ms)
        cluster.pool[pool, st.MOVES] += 1
        record(cluster, JOB_MOVE, pool, cluster.run[slot, st.RUN_JOB], target, part * 1000)
        slot = next_part(cluster, node, -1)
    if settings.is_detailed:
        set_open(cluster.detail, node, 0)  # it takes no part before it is busy again
    set_bit(cluster, free, node)
    move_node(cluster, pools, pool, node, gpus, now)


@helper
def is_due(cluster: Cluster, settings: Settings, pool: int) -> bool:
    """Whether it is time for a consolidation of a pool."""
    return cluster.clock[st.NOW] - cluster.pool[pool, st.CONSOLIDATED_MS] >= settings.consolidation_ms


@rare
def count_emptiable(cluster: Cluster, pools: Table, pool: int) -> int:
    """How many busy nodes are partly free and run only jobs that may be moved."""
    nodes = 0
    for free in range(1, pools[pool, st.GPUS]):
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            node = lowest_node(cluster, pools, pool, free)
            while node >= 0:
                if cluster.node[node, st.NODE_FIXED] == 0:
                    nodes += 1
                node = next_node(cluster, pools, pool, free, node)
    return nodes


@rare
def first_to_empty(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int) -> int:
    """The emptiest node whose jobs may be moved and fit on other busy nodes, the lowest of equals; -1 if none."""
    for free in range(pools[pool, st.GPUS] - 1, 0, -1):
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            node = lowest_node(cluster, pools, pool, free)
            while node >= 0:
                if cluster.node[node, st.NODE_FIXED] == 0 and fits_elsewhere(
                    cluster, jobs, pools, settings, pool, node
                ):
                    return node
                node = next_node(cluster, pools, pool, free, node)
    return -1


@rare
def consolidate(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, choice: int) -> None:
    """Carry out a choice of the consolidation lever: empty one node, or all that can be emptied, the emptiest first."""
    cluster.pool[pool, st.ROUND] += 1
    this_round, emptied = cluster.pool[pool, st.ROUND], 0
    for free in range(pools[pool, st.GPUS] - 1, 0, -1):
        node = lowest_node(cluster, pools, pool, free)
        while node >= 0 and not (choice == 1 and emptied > 0):
            after = next_node(cluster, pools, pool, free, node)
            stays = cluster.node[node, st.NODE_FIXED] > 0 or cluster.node[node, st.NODE_ROUND] == this_round
            if not stays and fits_elsewhere(cluster, jobs, pools, settings, pool, node):
                empty_node(cluster, jobs, pools, settings, pool, node)
                emptied += 1
            node = after
    if emptied > 0:
        cluster.pool[pool, st.CONSOLIDATED_MS] = cluster.clock[st.NOW]
