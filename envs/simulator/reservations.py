"""Reservations and trials: what a pool has room for at a moment, if jobs end when they are expected to. Compiled.

The room is a copy of the free GPUs of a pool, by node and counted by size, in scratch columns: jobs are taken out of it
and put into it without touching the cluster. `reference/` says the same in plain words, on a copy of everything.
"""

from __future__ import annotations

from envs.simulator import state as st
from envs.simulator.compiler import helper, rare
from envs.simulator.packers import WORST_FIT, busy_node, fitting_share, wrap
from envs.simulator.state import Cluster, Settings, Table


@helper
def expected_end(c: Cluster, jobs: Table, slot: int) -> int:
    """When a running job is expected to end: as far from its true end as the estimate is from its true run time."""
    job = c.run[slot, st.RUN_JOB]
    if jobs[job, st.PREDICTED_MS] == 0:
        return st.NEVER
    error = jobs[job, st.PREDICTED_MS] - jobs[job, st.DURATION_MS]
    return max(c.clock[st.NOW], c.run[slot, st.RUN_FINISH] + error)


@helper
def change_room(c: Cluster, pool: int, node: int, gpus: int) -> None:
    """Give a node more free GPUs in the room, or fewer."""
    room = c.node[node, st.NODE_ROOM]
    c.pool[pool, st.ROOM + room] -= 1
    c.pool[pool, st.ROOM + room + gpus] += 1
    c.node[node, st.NODE_ROOM] = room + gpus


@helper
def change_share(c: Cluster, pool: int, share: int, milli: int) -> None:
    """Give a shared GPU more free thousandths in the room, or fewer; while nobody has any it is one of its node's."""
    before = c.share[share, st.SHARE_ROOM]
    c.share[share, st.SHARE_ROOM] = before + milli
    if before == 1000:
        change_room(c, pool, c.share[share, st.SHARE_NODE], -1)
    if before + milli == 1000:
        change_room(c, pool, c.share[share, st.SHARE_NODE], 1)


@helper
def change_job(c: Cluster, jobs: Table, pools: Table, slot: int, sign: int) -> None:
    """Take a running job out of the room (sign 1: its GPUs are free) or put it back (sign -1)."""
    pool, node = c.run[slot, st.RUN_POOL], c.run[slot, st.RUN_CHAIN]
    while node >= 0:
        change_room(c, pool, node, sign * pools[pool, st.GPUS])
        node = c.node[node, st.NEXT_NODE]
    if c.run[slot, st.RUN_SHARE] >= 0:
        change_share(c, pool, c.run[slot, st.RUN_SHARE], sign * jobs[c.run[slot, st.RUN_JOB], st.MILLI])
    elif c.run[slot, st.RUN_GPUS] > 0:
        change_room(c, pool, c.run[slot, st.RUN_NODE], sign * c.run[slot, st.RUN_GPUS])


@rare
def open_room(c: Cluster, jobs: Table, pools: Table, pool: int, time: int) -> None:
    """Fill the room with what is free in a pool at a moment; one that is over: now, and every job stays."""
    row, gpus, offset = c.pool[pool], pools[pool, st.GPUS], pools[pool, st.NODE_OFFSET]
    nodes = pools[pool, st.MAX_NODES]
    for free in range(gpus):
        row[st.ROOM + free] = row[st.FREE_COUNT + free]
    row[st.ROOM + gpus] = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
    for node in range(offset, offset + nodes):
        c.node[node, st.NODE_ROOM] = c.node[node, st.FREE_GPUS]
    for position in range(row[st.IDLE_HEAD], row[st.IDLE_TAIL]):
        c.node[c.node[offset + wrap(position, nodes), st.IDLE_NODE], st.NODE_ROOM] = gpus
    for position in range(row[st.BOOT_HEAD], row[st.BOOT_TAIL]):
        if c.node[offset + wrap(position, nodes), st.BOOT_READY] <= time:
            row[st.ROOM + gpus] += 1
    for index in range(c.clock[st.RUNNING]):
        slot = c.run[index, st.HEAP]
        if c.run[slot, st.RUN_POOL] == pool and c.run[slot, st.RUN_SHARE] >= 0:
            share = c.run[slot, st.RUN_SHARE]
            c.share[share, st.SHARE_ROOM] = c.share[share, st.SHARE_FREE]
    for index in range(c.clock[st.RUNNING]):
        slot = c.run[index, st.HEAP]
        if c.run[slot, st.RUN_POOL] == pool and expected_end(c, jobs, slot) <= time:
            change_job(c, jobs, pools, slot, 1)


@helper
def has_room(c: Cluster, pools: Table, pool: int, milli: int) -> bool:
    """Whether the room holds a job of so many thousandths of a GPU."""
    row, gpus = c.pool[pool], pools[pool, st.GPUS]
    full_nodes, least = milli // (1000 * gpus), 1
    if milli >= 1000:
        least = milli // 1000 - full_nodes * gpus
    if row[st.ROOM + gpus] > full_nodes or (row[st.ROOM + gpus] == full_nodes and least == 0):
        return True
    if row[st.ROOM + gpus] < full_nodes:
        return False
    for free in range(least, gpus):
        if row[st.ROOM + free] > 0:
            return True
    if milli < 1000:
        for index in range(c.clock[st.RUNNING]):
            slot = c.run[index, st.HEAP]
            share = c.run[slot, st.RUN_SHARE]
            if c.run[slot, st.RUN_POOL] == pool and share >= 0 and c.share[share, st.SHARE_ROOM] >= milli:
                return True
    return False


@helper
def last_change(c: Cluster, jobs: Table, pools: Table, pool: int) -> int:
    """When the last job of a pool is expected to end, or its last booting node is ready."""
    time = c.clock[st.NOW]
    for index in range(c.clock[st.RUNNING]):
        slot = c.run[index, st.HEAP]
        if c.run[slot, st.RUN_POOL] == pool:
            end = expected_end(c, jobs, slot)
            if end != st.NEVER:
                time = max(time, end)
    for position in range(c.pool[pool, st.BOOT_HEAD], c.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        time = max(time, c.node[at, st.BOOT_READY])
    return time


@rare
def reserve(c: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> None:
    """Reserve the moment when a job is expected to find room, `NEVER` if none; the room is then that of the moment."""
    milli = jobs[job, st.MILLI]
    low, high = c.clock[st.NOW], last_change(c, jobs, pools, pool)
    open_room(c, jobs, pools, pool, high)
    found = has_room(c, pools, pool, milli)
    while found and low < high:  # room only grows with time
        middle = (low + high) >> 1
        open_room(c, jobs, pools, pool, middle)
        if has_room(c, pools, pool, milli):
            high = middle
        else:
            low = middle + 1
    if found:
        open_room(c, jobs, pools, pool, high)
    c.pool[pool, st.HEAD_JOB], c.pool[pool, st.HEAD_MS] = job, high if found else st.NEVER


@helper
def target_node(c: Cluster, pools: Table, settings: Settings, pool: int, gpus: int, skipped: int) -> int:
    """The node that the packer would take for part of a node, after so many idle ones; -1: none."""
    idle, node = c.pool[pool, st.IDLE_TAIL] - skipped - 1, -1
    has_idle = idle >= c.pool[pool, st.IDLE_HEAD]
    if not (settings.packer == WORST_FIT and has_idle):
        node = busy_node(c, pools, settings.packer, pool, gpus)
    if node < 0 and has_idle:
        node = c.node[pools[pool, st.NODE_OFFSET] + wrap(idle, pools[pool, st.MAX_NODES]), st.IDLE_NODE]
    return node


@helper
def change_share_to_be(c: Cluster, pools: Table, settings: Settings, pool: int, milli: int, sign: int) -> bool:
    """Take from the room (sign -1), or put back, the share of a GPU that the packer would take; False: none is free."""
    share = fitting_share(c, pool, milli)
    if share < 0:
        node = target_node(c, pools, settings, pool, 1, 0)
        if node < 0:
            return False
        share = c.share[c.clock[st.UNUSED_SHARES] - 1, st.SHARE_STACK]
        if sign < 0:
            c.share[share, st.SHARE_NODE], c.share[share, st.SHARE_ROOM] = node, 1000
    change_share(c, pool, share, sign * milli)
    return True


@helper
def change_job_to_be(c: Cluster, pools: Table, settings: Settings, pool: int, milli: int, sign: int) -> bool:
    """Take from the room (sign -1), or put back, what a job would get that started now; False: it does not fit."""
    if milli < 1000:
        return change_share_to_be(c, pools, settings, pool, milli, sign)
    gpus, offset = pools[pool, st.GPUS], pools[pool, st.NODE_OFFSET]
    full_nodes = milli // (1000 * gpus)
    rest, node = milli // 1000 - full_nodes * gpus, -1
    if c.pool[pool, st.IDLE_TAIL] - c.pool[pool, st.IDLE_HEAD] < full_nodes:
        return False
    if rest > 0:
        node = target_node(c, pools, settings, pool, rest, full_nodes)
        if node < 0:
            return False
        change_room(c, pool, node, sign * rest)
    for index in range(full_nodes):
        at = offset + wrap(c.pool[pool, st.IDLE_TAIL] - 1 - index, pools[pool, st.MAX_NODES])
        change_room(c, pool, c.node[at, st.IDLE_NODE], sign * gpus)
    return True


@rare
def may_pass(c: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int, end: int) -> bool:
    """Whether a job that is expected to end at `end` leaves the reservation of its pool as it is, if it starts now.

    It ends before, or it leaves enough room; the room then is without its GPUs.
    """
    milli = jobs[job, st.MILLI]
    if end <= c.pool[pool, st.HEAD_MS]:
        # It leaves the room as it is, but the room must know a GPU that is shared from now on: others may share it.
        if milli < 1000 and change_job_to_be(c, pools, settings, pool, milli, -1):
            change_job_to_be(c, pools, settings, pool, milli, 1)
        return True
    if not change_job_to_be(c, pools, settings, pool, milli, -1):
        return False
    if has_room(c, pools, pool, jobs[c.pool[pool, st.HEAD_JOB], st.MILLI]):
        return True
    change_job_to_be(c, pools, settings, pool, milli, 1)
    return False
