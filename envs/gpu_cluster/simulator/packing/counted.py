"""In-pool packers: which nodes of a pool a job gets. Compiled; `reference/` says the same in plain words.

Idle nodes are a stack: the node that became idle last is used first, so the others age and can be switched off. Among
busy nodes the packer chooses; ties go to the lowest node number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.bits import clear_bit, lowest_bit, set_bit
from envs.gpu_cluster.simulator.packing.chain import chain
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

COUNTED = {name: PACKERS[name] for name in PACKERS.listed if PACKERS[name].counted is not None}
"""The packers that need to know the number of free GPUs of each node only; kernels know them by their position."""

COUNTED_NUMBERS = {name: number for number, name in enumerate(COUNTED)}
IDLE_FIRST = sum(1 << number for number, packer in enumerate(COUNTED.values()) if packer.idle_first)

busy_node = chain([helper(packer.counted.busy_node) for packer in COUNTED.values()])
"""(packer, cluster, pools, pool, GPUs) to the busy node that a packer chooses for part of a node; -1: there is none."""


@helper
def takes_idle_first(packer: int) -> bool:
    """Whether a packer takes an idle node rather than a part of a busy one."""
    return (IDLE_FIRST >> packer) & 1 == 1


@helper
def wrap(position: int, nodes: int) -> int:
    """The index of a ring's position: positions run from 0 to less than twice the ring."""
    return position - nodes if position >= nodes else position  # a modulo would be a division


@helper
def drop_oldest(row: NDArray[np.int64], head: int, nodes: int) -> None:
    """Remove the oldest entry of a ring whose head is in column `head` and its tail in the next one."""
    row[head] += 1
    if row[head] == nodes:  # head and tail go back by a round together, for `wrap` takes less than two rounds
        row[head] = 0
        row[head + 1] -= nodes


@helper
def push_idle(cluster: Cluster, pools: Table, pool: int, node: int, now: int) -> None:
    """A node becomes idle, on top of the stack."""
    at = pools[pool, st.NODE_OFFSET] + wrap(cluster.pool[pool, st.IDLE_TAIL], pools[pool, st.MAX_NODES])
    cluster.node[at, st.IDLE_NODE] = node
    cluster.node[at, st.IDLE_SINCE] = now
    cluster.pool[pool, st.IDLE_TAIL] += 1


@helper
def remove_idle(cluster: Cluster, pools: Table, pool: int, node: int) -> None:
    """Take an idle node out of the stack, wherever it is; the others keep their order."""
    offset, nodes = pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    position = cluster.pool[pool, st.IDLE_HEAD]
    while cluster.node[offset + wrap(position, nodes), st.IDLE_NODE] != node:
        position += 1
    cluster.pool[pool, st.IDLE_TAIL] -= 1
    while position < cluster.pool[pool, st.IDLE_TAIL]:
        at, after = offset + wrap(position, nodes), offset + wrap(position + 1, nodes)
        cluster.node[at, st.IDLE_NODE] = cluster.node[after, st.IDLE_NODE]
        cluster.node[at, st.IDLE_SINCE] = cluster.node[after, st.IDLE_SINCE]
        position += 1


@helper
def move_node(cluster: Cluster, pools: Table, pool: int, node: int, free: int, now: int) -> None:
    """Change the free GPUs of a busy node; one that is wholly free becomes idle, on top of the stack."""
    before = cluster.node[node, st.FREE_GPUS]
    gpus = pools[pool, st.GPUS]
    cluster.pool[pool, st.FREE_COUNT + before] -= 1
    if before > 0:  # nobody looks for full nodes, so they are in no bit set; set 0 is for those that are off
        clear_bit(cluster, before, node)
    cluster.node[node, st.FREE_GPUS] = free
    if free == gpus:
        cluster.pool[pool, st.BUSY] -= 1
        push_idle(cluster, pools, pool, node, now)
    else:
        cluster.pool[pool, st.FREE_COUNT + free] += 1
        if free > 0:
            set_bit(cluster, free, node)


@helper
def take_idle(cluster: Cluster, pools: Table, pool: int, gpus: int) -> int:
    """Make the newest idle node busy with `gpus` of its GPUs; return it. There must be one."""
    cluster.pool[pool, st.IDLE_TAIL] -= 1
    node = cluster.node[
        pools[pool, st.NODE_OFFSET] + wrap(cluster.pool[pool, st.IDLE_TAIL], pools[pool, st.MAX_NODES]), st.IDLE_NODE
    ]
    free = pools[pool, st.GPUS] - gpus
    cluster.node[node, st.FREE_GPUS] = free
    cluster.pool[pool, st.BUSY] += 1
    cluster.pool[pool, st.FREE_COUNT + free] += 1
    if free > 0:
        set_bit(cluster, free, node)
    return node


@helper
def take_gpus(cluster: Cluster, pools: Table, packer: int, pool: int, gpus: int, now: int) -> int:
    """Take `gpus` whole GPUs of one node, fewer than the node has; return the node, -1 if they fit on none."""
    has_idle = cluster.pool[pool, st.IDLE_TAIL] > cluster.pool[pool, st.IDLE_HEAD]
    if takes_idle_first(packer) and has_idle:
        return take_idle(cluster, pools, pool, gpus)
    node = busy_node(packer, cluster, pools, pool, gpus)
    if node >= 0:
        move_node(cluster, pools, pool, node, cluster.node[node, st.FREE_GPUS] - gpus, now)
        return node
    return take_idle(cluster, pools, pool, gpus) if has_idle else -1


@helper
def unlink_share(cluster: Cluster, pool: int, share: int) -> None:
    """Take a shared GPU out of the list of its level."""
    level = cluster.share[share, st.SHARE_FREE]
    after, before = cluster.share[share, st.SHARE_NEXT], cluster.share[share, st.SHARE_PREVIOUS]
    if before >= 0:
        cluster.share[before, st.SHARE_NEXT] = after
    else:
        cluster.level[pool, level] = after
        if after < 0:
            cluster.level[pool, st.LEVELS + (level >> 6)] &= ~(1 << (level & 63))
    if after >= 0:
        cluster.share[after, st.SHARE_PREVIOUS] = before


@helper
def link_share(cluster: Cluster, pool: int, share: int, level: int) -> None:
    """Put a shared GPU on top of the list of a level."""
    head = cluster.level[pool, level]
    cluster.share[share, st.SHARE_FREE] = level
    cluster.share[share, st.SHARE_NEXT] = head
    cluster.share[share, st.SHARE_PREVIOUS] = -1
    if head >= 0:
        cluster.share[head, st.SHARE_PREVIOUS] = share
    cluster.level[pool, level] = share
    cluster.level[pool, st.LEVELS + (level >> 6)] |= 1 << (level & 63)


@helper
def fitting_share(cluster: Cluster, pool: int, milli: int) -> int:
    """The shared GPU with the least free for `milli`, the most recently touched of equals; -1 if none."""
    if milli >= st.LEVELS:
        return -1
    word = milli >> 6
    bits = cluster.level[pool, st.LEVELS + word] & (-1 << (milli & 63))  # without the levels below `milli`
    while bits == 0:
        word += 1
        if word == st.LEVEL_WORDS:
            return -1
        bits = cluster.level[pool, st.LEVELS + word]
    return cluster.level[pool, (word << 6) + lowest_bit(np.uint64(bits))]


@helper
def take_share(cluster: Cluster, pools: Table, packer: int, pool: int, milli: int, now: int) -> int:
    """Take `milli` thousandths of one GPU, best fit among shared GPUs, else of a whole one; return the share or -1."""
    share = fitting_share(cluster, pool, milli)
    if share >= 0:
        left = cluster.share[share, st.SHARE_FREE] - milli
        unlink_share(cluster, pool, share)
        link_share(cluster, pool, share, left)
        cluster.pool[pool, st.SHARED_FREE_MILLI] -= milli
        return share
    # `take_gpus` is for fewer GPUs than a node has, so where nodes have one GPU an idle node is taken whole.
    node = take_gpus(cluster, pools, packer, pool, 1, now) if pools[pool, st.GPUS] > 1 else -1
    if node < 0:
        if pools[pool, st.GPUS] > 1 or cluster.pool[pool, st.IDLE_TAIL] == cluster.pool[pool, st.IDLE_HEAD]:
            return -1
        node = take_idle(cluster, pools, pool, 1)
    cluster.clock[st.UNUSED_SHARES] -= 1
    share = cluster.share[cluster.clock[st.UNUSED_SHARES], st.SHARE_STACK]
    cluster.share[share, st.SHARE_NODE] = node
    cluster.node[node, st.NODE_FIXED] += 1  # a shared GPU is not moved
    link_share(cluster, pool, share, 1000 - milli)
    cluster.pool[pool, st.SHARED_FREE_MILLI] += 1000 - milli
    return share


@helper
def release_share(cluster: Cluster, pools: Table, pool: int, share: int, milli: int, now: int) -> None:
    """Give back thousandths of a shared GPU; when nobody shares it any more it is a whole free GPU again."""
    free = cluster.share[share, st.SHARE_FREE] + milli
    unlink_share(cluster, pool, share)
    cluster.pool[pool, st.SHARED_FREE_MILLI] += milli
    if free < 1000:
        link_share(cluster, pool, share, free)
        return
    cluster.pool[pool, st.SHARED_FREE_MILLI] -= 1000  # it counts shared GPUs only, and this one is none any more
    cluster.share[cluster.clock[st.UNUSED_SHARES], st.SHARE_STACK] = share
    cluster.clock[st.UNUSED_SHARES] += 1
    node = cluster.share[share, st.SHARE_NODE]
    cluster.node[node, st.NODE_FIXED] -= 1
    move_node(cluster, pools, pool, node, cluster.node[node, st.FREE_GPUS] + 1, now)


@helper
def link_part(cluster: Cluster, jobs: Table, slot: int, node: int) -> None:
    """Add a running slot to the list of the node that it has a part of."""
    head = cluster.node[node, st.NODE_SLOTS] - 1  # the column holds slot + 1, so that zeroed memory is an empty list
    cluster.run[slot, st.RUN_NEXT] = head
    cluster.run[slot, st.RUN_PREVIOUS] = -1
    if head >= 0:
        cluster.run[head, st.RUN_PREVIOUS] = slot
    cluster.node[node, st.NODE_SLOTS] = slot + 1
    if jobs[cluster.run[slot, st.RUN_JOB], st.FLAGS] & st.MOVABLE == 0:
        cluster.node[node, st.NODE_FIXED] += 1


@helper
def unlink_part(cluster: Cluster, jobs: Table, slot: int, node: int) -> None:
    """Take a running slot out of the list of its node."""
    after, before = cluster.run[slot, st.RUN_NEXT], cluster.run[slot, st.RUN_PREVIOUS]
    if before >= 0:
        cluster.run[before, st.RUN_NEXT] = after
    else:
        cluster.node[node, st.NODE_SLOTS] = after + 1
    if after >= 0:
        cluster.run[after, st.RUN_PREVIOUS] = before
    if jobs[cluster.run[slot, st.RUN_JOB], st.FLAGS] & st.MOVABLE == 0:
        cluster.node[node, st.NODE_FIXED] -= 1


@helper
def release_counted(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, milli: int) -> None:
    """Give back the `milli` that a job holds: whole nodes in the order they were taken, then the rest."""
    run = cluster.run[slot]
    pool, now = run[st.RUN_POOL], cluster.clock[st.NOW]
    node = run[st.RUN_CHAIN]
    while node >= 0:
        after = cluster.node[node, st.NEXT_NODE]
        move_node(cluster, pools, pool, node, pools[pool, st.GPUS], now)
        node = after
    if run[st.RUN_SHARE] >= 0:
        release_share(cluster, pools, pool, run[st.RUN_SHARE], milli, now)
    elif run[st.RUN_GPUS] > 0:
        node = run[st.RUN_NODE]
        if settings.moves_jobs:
            unlink_part(cluster, jobs, slot, node)
        move_node(cluster, pools, pool, node, cluster.node[node, st.FREE_GPUS] + run[st.RUN_GPUS], now)
