"""Reservations and trials: what a pool has room for at a moment, if jobs end when they are expected to. Compiled.

The room (`room.py`) is a copy of what a pool has free; `reference/` says the same in plain words, on a copy of
everything.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.trials import (
    change_detailed_job,
    change_detailed_job_to_be,
    change_room,
    has_detailed_room,
    open_detailed_room,
)
from envs.gpu_cluster.simulator.packing.counted import busy_node, fitting_share, takes_idle_first, wrap
from envs.gpu_cluster.simulator.packing.detailed import NO_ROOM, find_room, predicted_end
from envs.gpu_cluster.simulator.state import Cluster, DetailSettings, Settings, Table


@helper
def expected_end(c: Cluster, jobs: Table, slot: int) -> int:
    """When a running job is expected to end: as far from its true end as the estimate is from its true run time."""
    job = c.run[slot, st.RUN_JOB]
    if jobs[job, st.PREDICTED_MS] == 0:
        return st.NEVER
    error = jobs[job, st.PREDICTED_MS] - jobs[job, st.DURATION_MS]
    return max(c.clock[st.NOW], c.run[slot, st.RUN_FINISH] + error)


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
def change_job(c: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, sign: int) -> None:
    """Take a running job out of the room (sign 1: what it has is free) or put it back (sign -1)."""
    if settings.is_detailed:
        change_detailed_job(c, jobs, pools, slot, sign)
        return
    pool, node = c.run[slot, st.RUN_POOL], c.run[slot, st.RUN_CHAIN]
    while node >= 0:
        change_room(c, pool, node, sign * pools[pool, st.GPUS])
        node = c.node[node, st.NEXT_NODE]
    if c.run[slot, st.RUN_SHARE] >= 0:
        change_share(c, pool, c.run[slot, st.RUN_SHARE], sign * jobs[c.run[slot, st.RUN_JOB], st.MILLI])
    elif c.run[slot, st.RUN_GPUS] > 0:
        change_room(c, pool, c.run[slot, st.RUN_NODE], sign * c.run[slot, st.RUN_GPUS])


@helper
def open_counted_room(c: Cluster, pools: Table, pool: int) -> None:
    """Fill the room of a pool's nodes and shared GPUs, where GPUs are counted, with what is free now."""
    row, offset, nodes = c.pool[pool], pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    for node in range(offset, offset + nodes):
        c.node[node, st.NODE_ROOM] = c.node[node, st.FREE_GPUS]
    for position in range(row[st.IDLE_HEAD], row[st.IDLE_TAIL]):
        c.node[c.node[offset + wrap(position, nodes), st.IDLE_NODE], st.NODE_ROOM] = pools[pool, st.GPUS]
    if c.share.shape[0] == 0:
        return
    for index in range(c.clock[st.RUNNING]):
        slot = c.heap[index, st.HEAP_SLOT]
        if c.run[slot, st.RUN_POOL] == pool and c.run[slot, st.RUN_SHARE] >= 0:
            share = c.run[slot, st.RUN_SHARE]
            c.share[share, st.SHARE_ROOM] = c.share[share, st.SHARE_FREE]


@rare
def open_room(c: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Fill the room with what is free in a pool now."""
    row, gpus = c.pool[pool], pools[pool, st.GPUS]
    for free in range(gpus):
        row[st.ROOM + free] = row[st.FREE_COUNT + free]
    row[st.ROOM + gpus] = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
    if settings.is_detailed:
        open_detailed_room(c, pools, pool)
    else:
        open_counted_room(c, pools, pool)


@helper
def move_room(
    c: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, since: int, until: int, first: int, end: int
) -> None:
    """Bring the room from one moment to another, forth or back.

    Args:
        c: the cluster.
        jobs: the trace.
        pools: the pools.
        settings: the settings.
        pool: the pool.
        since: the moment of the room, in ms.
        until: that to which it is brought.
        first: the first listed job that is expected to end between them.
        end: the one behind the last of those.
    """
    sign = 1 if since < until else -1
    for position in range(c.pool[pool, st.BOOT_HEAD], c.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        if min(since, until) < c.node[at, st.BOOT_READY] <= max(since, until):
            c.pool[pool, st.ROOM + pools[pool, st.GPUS]] += sign
    for index in range(first, end):
        change_job(c, jobs, pools, settings, c.run[index, st.RUN_LISTED], sign)


@helper
def has_room(c: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Whether the room holds a job."""
    if settings.is_detailed:
        return has_detailed_room(c, jobs, pools, job, pool)
    row, gpus, milli = c.pool[pool], pools[pool, st.GPUS], jobs[job, st.MILLI]
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
            slot = c.heap[index, st.HEAP_SLOT]
            share = c.run[slot, st.RUN_SHARE]
            if c.run[slot, st.RUN_POOL] == pool and share >= 0 and c.share[share, st.SHARE_ROOM] >= milli:
                return True
    return False


@helper
def list_ends(c: Cluster, jobs: Table, pools: Table, pool: int) -> tuple[int, int]:
    """List the slots of a pool's jobs of which an end is expected, with their ends.

    Returns:
        How many, and when the last of them is expected to end or the last booting node of the pool to be ready.
    """
    count, last = 0, c.clock[st.NOW]
    for index in range(c.clock[st.RUNNING]):
        slot = c.heap[index, st.HEAP_SLOT]
        end = expected_end(c, jobs, slot) if c.run[slot, st.RUN_POOL] == pool else st.NEVER
        if end != st.NEVER:
            c.run[count, st.RUN_LISTED], c.run[count, st.RUN_LISTED_END] = slot, end
            count, last = count + 1, max(last, end)
    for position in range(c.pool[pool, st.BOOT_HEAD], c.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        last = max(last, c.node[at, st.BOOT_READY])
    return count, last


@helper
def partition(c: Cluster, first: int, end: int, time: int) -> int:
    """Bring the listed jobs of [first, end) that are expected to end until a time to the front; return their end."""
    middle = first
    for index in range(first, end):
        slot, at = c.run[index, st.RUN_LISTED], c.run[index, st.RUN_LISTED_END]
        if at <= time:
            c.run[index, st.RUN_LISTED] = c.run[middle, st.RUN_LISTED]
            c.run[index, st.RUN_LISTED_END] = c.run[middle, st.RUN_LISTED_END]
            c.run[middle, st.RUN_LISTED], c.run[middle, st.RUN_LISTED_END] = slot, at
            middle += 1
    return middle


@helper
def time_between(c: Cluster, pools: Table, pool: int, low: int, high: int, first: int, end: int) -> int:
    """A time after `low` and before `high` at which a job of the list's [first, end) or a boot ends; -1 if none.

    The next boot comes first, for a new node has room for most jobs.
    """
    for position in range(c.pool[pool, st.BOOT_HEAD], c.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        if low < c.node[at, st.BOOT_READY] < high:
            return c.node[at, st.BOOT_READY]
    return c.run[(first + end) // 2, st.RUN_LISTED_END] if first < end else -1


@rare
def reserve(c: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> None:
    """Reserve the moment when a job is expected to find room, `NEVER` if none; the room is then that of the moment.

    Room only grows with time, so half of the times at which something ends are left after each trial, or nearly so.
    """
    count, high = list_ends(c, jobs, pools, pool)
    low, found = c.clock[st.NOW] - 1, False
    first, last = 0, partition(c, 0, count, high - 1)  # those that end between `low` and `high`
    end = count  # of those behind them, which end at `high`
    open_room(c, pools, settings, pool)
    at, middle = low, time_between(c, pools, pool, low, high, first, last)
    while middle >= 0:
        until_then = partition(c, first, last, middle - 1)
        after = partition(c, until_then, last, middle)
        if at == low:
            move_room(c, jobs, pools, settings, pool, at, middle, first, after)
        else:
            move_room(c, jobs, pools, settings, pool, at, middle, after, end)
        at = middle
        if has_room(c, jobs, pools, settings, job, pool):
            high, last, end, found = middle, until_then, after, True
        else:
            low, first = middle, after
        middle = time_between(c, pools, pool, low, high, first, last)
    if at != high:
        move_room(c, jobs, pools, settings, pool, at, high, first, end)
    found = found or has_room(c, jobs, pools, settings, job, pool)
    c.pool[pool, st.HEAD_JOB], c.pool[pool, st.HEAD_MS] = job, high if found else st.NEVER


@helper
def target_node(c: Cluster, pools: Table, settings: Settings, pool: int, gpus: int, skipped: int) -> int:
    """The node that the packer would take for part of a node, after so many idle ones; -1: none."""
    idle, node = c.pool[pool, st.IDLE_TAIL] - skipped - 1, -1
    has_idle = idle >= c.pool[pool, st.IDLE_HEAD]
    if not (takes_idle_first(settings.packer) and has_idle):
        node = busy_node(settings.packer, c, pools, pool, gpus)
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
def may_pass_on_detailed(
    detail: DetailSettings,
    c: Cluster,
    jobs: Table,
    pools: Table,
    settings: Settings,
    job: int,
    pool: int,
    end: int,
    left: int,
) -> bool:
    """`may_pass` where nodes are detailed; a job that ends before leaves the room as it is."""
    if end <= c.pool[pool, st.HEAD_MS]:
        return True
    predicted = predicted_end(c, jobs, job, left)
    room = find_room(detail, c, jobs, pools, job, pool, predicted)
    if room == NO_ROOM:
        return False
    change_detailed_job_to_be(detail, c, jobs, pools, job, pool, predicted, room, -1)
    if has_room(c, jobs, pools, settings, c.pool[pool, st.HEAD_JOB], pool):
        return True
    change_detailed_job_to_be(detail, c, jobs, pools, job, pool, predicted, room, 1)
    return False


@rare
def may_pass(
    c: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int, end: int, left: int
) -> bool:
    """Whether a job that is expected to end at `end` leaves the reservation of its pool as it is, if it starts now.

    It ends before, or it leaves enough room; the room then is without what it gets.
    """
    if settings.is_detailed:
        return may_pass_on_detailed(settings.detail, c, jobs, pools, settings, job, pool, end, left)
    milli = jobs[job, st.MILLI]
    if end <= c.pool[pool, st.HEAD_MS]:
        # It leaves the room as it is, but the room must know a GPU that is shared from now on: others may share it.
        if milli < 1000 and change_job_to_be(c, pools, settings, pool, milli, -1):
            change_job_to_be(c, pools, settings, pool, milli, 1)
        return True
    if not change_job_to_be(c, pools, settings, pool, milli, -1):
        return False
    if has_room(c, jobs, pools, settings, c.pool[pool, st.HEAD_JOB], pool):
        return True
    change_job_to_be(c, pools, settings, pool, milli, 1)
    return False
