"""Reservations and trials: what fits in a pool at a moment, if jobs end when they are expected to. Compiled.

A trial (`trials.py`) is a copy of what a pool has free; `reference/` says the same in plain words, on a copy of
everything.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.trials import (
    change_detailed_job,
    change_detailed_job_to_be,
    change_free,
    fits_detailed_trial,
    open_detailed_trial,
)
from envs.gpu_cluster.simulator.packing.counted import busy_node, fitting_share, takes_idle_first, wrap
from envs.gpu_cluster.simulator.packing.detailed import NO_PLACE, find_place, predicted_end
from envs.gpu_cluster.simulator.settings import DetailSettings, Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def expected_end(cluster: Cluster, jobs: Table, slot: int) -> int:
    """When a running job is expected to end: as far from its true end as the estimate is from its true run time."""
    job = cluster.run[slot, st.RUN_JOB]
    if jobs[job, st.PREDICTED_MS] == 0:
        return st.NEVER
    error = jobs[job, st.PREDICTED_MS] - jobs[job, st.DURATION_MS]
    return max(cluster.clock[st.NOW], cluster.run[slot, st.RUN_FINISH] + error)


@helper
def expected_ready(cluster: Cluster, settings: Settings, at: int) -> int:
    """When the node at a position of the ring of boots is expected to be ready.

    Where boots are drawn, the moment at which this one ends is known to nobody: it takes as long as boots take on
    average, and once that has passed it may end at any moment, as a running job that should have ended.
    """
    if not settings.is_stochastic:
        return cluster.node[at, st.BOOT_READY]
    return max(cluster.clock[st.NOW], cluster.node[cluster.node[at, st.BOOT_NODE], st.NODE_EXPECTED])


@helper
def change_share(cluster: Cluster, pool: int, share: int, milli: int) -> None:
    """Give a shared GPU more free thousandths in the trial, or fewer; while nobody has any it is one of its node's."""
    before = cluster.share[share, st.SHARE_TRIAL]
    cluster.share[share, st.SHARE_TRIAL] = before + milli
    if before == 1000:
        change_free(cluster, pool, cluster.share[share, st.SHARE_NODE], -1)
    if before + milli == 1000:
        change_free(cluster, pool, cluster.share[share, st.SHARE_NODE], 1)


@helper
def change_job(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, sign: int) -> None:
    """Take a running job out of the trial (sign 1: what it has is free) or put it back (sign -1)."""
    if settings.is_detailed:
        change_detailed_job(cluster, jobs, pools, slot, sign)
        return
    pool, node = cluster.run[slot, st.RUN_POOL], cluster.run[slot, st.RUN_CHAIN]
    while node >= 0:
        change_free(cluster, pool, node, sign * pools[pool, st.GPUS])
        node = cluster.node[node, st.NEXT_NODE]
    if cluster.run[slot, st.RUN_SHARE] >= 0:
        change_share(
            cluster, pool, cluster.run[slot, st.RUN_SHARE], sign * jobs[cluster.run[slot, st.RUN_JOB], st.MILLI]
        )
    elif cluster.run[slot, st.RUN_GPUS] > 0:
        change_free(cluster, pool, cluster.run[slot, st.RUN_NODE], sign * cluster.run[slot, st.RUN_GPUS])


@helper
def open_counted_trial(cluster: Cluster, pools: Table, pool: int) -> None:
    """Fill the trial of a pool's nodes and shared GPUs, where GPUs are counted, with what is free now."""
    row, offset, nodes = cluster.pool[pool], pools[pool, st.NODE_OFFSET], pools[pool, st.MAX_NODES]
    for node in range(offset, offset + nodes):
        cluster.node[node, st.NODE_TRIAL] = cluster.node[node, st.FREE_GPUS]
    for position in range(row[st.IDLE_HEAD], row[st.IDLE_TAIL]):
        cluster.node[cluster.node[offset + wrap(position, nodes), st.IDLE_NODE], st.NODE_TRIAL] = pools[pool, st.GPUS]
    if cluster.share.shape[0] == 0:
        return
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        if cluster.run[slot, st.RUN_POOL] == pool and cluster.run[slot, st.RUN_SHARE] >= 0:
            share = cluster.run[slot, st.RUN_SHARE]
            cluster.share[share, st.SHARE_TRIAL] = cluster.share[share, st.SHARE_FREE]


@rare
def open_trial(cluster: Cluster, pools: Table, settings: Settings, pool: int) -> None:
    """Fill the trial with what is free in a pool now."""
    row, gpus = cluster.pool[pool], pools[pool, st.GPUS]
    for free in range(gpus):
        row[st.TRIAL + free] = row[st.FREE_COUNT + free]
    row[st.TRIAL + gpus] = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
    if settings.is_detailed:
        open_detailed_trial(cluster, pools, pool)
    else:
        open_counted_trial(cluster, pools, pool)


@helper
def move_trial(
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    settings: Settings,
    pool: int,
    since: int,
    until: int,
    first: int,
    end: int,
) -> None:
    """Bring the trial from one moment to another, forth or back.

    Args:
        cluster: its state.
        jobs: the trace.
        pools: the pools.
        settings: the settings.
        pool: the pool.
        since: the moment of the trial, in ms.
        until: that to which it is brought.
        first: the first listed job that is expected to end between them.
        end: the one after the last of those.
    """
    sign = 1 if since < until else -1
    for position in range(cluster.pool[pool, st.BOOT_HEAD], cluster.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        if min(since, until) < expected_ready(cluster, settings, at) <= max(since, until):
            cluster.pool[pool, st.TRIAL + pools[pool, st.GPUS]] += sign
    for index in range(first, end):
        change_job(cluster, jobs, pools, settings, cluster.run[index, st.RUN_LISTED], sign)


@helper
def fits_trial(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Whether a job fits in the trial."""
    if settings.is_detailed:
        return fits_detailed_trial(cluster, jobs, pools, job, pool)
    row, gpus, milli = cluster.pool[pool], pools[pool, st.GPUS], jobs[job, st.MILLI]
    full_nodes, least = milli // (1000 * gpus), 1
    if milli >= 1000:
        least = milli // 1000 - full_nodes * gpus
    if row[st.TRIAL + gpus] > full_nodes or (row[st.TRIAL + gpus] == full_nodes and least == 0):
        return True
    if row[st.TRIAL + gpus] < full_nodes:
        return False
    for free in range(least, gpus):
        if row[st.TRIAL + free] > 0:
            return True
    if milli < 1000:
        for index in range(cluster.clock[st.RUNNING]):
            slot = cluster.heap[index, st.HEAP_SLOT]
            share = cluster.run[slot, st.RUN_SHARE]
            if cluster.run[slot, st.RUN_POOL] == pool and share >= 0 and cluster.share[share, st.SHARE_TRIAL] >= milli:
                return True
    return False


@helper
def list_ends(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int) -> tuple[int, int]:
    """List the slots of a pool's jobs of which an end is expected, with their ends.

    Returns:
        How many, and when the last of them is expected to end or the last booting node of the pool to be ready.
    """
    count, last = 0, cluster.clock[st.NOW]
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        end = expected_end(cluster, jobs, slot) if cluster.run[slot, st.RUN_POOL] == pool else st.NEVER
        if end != st.NEVER:
            cluster.run[count, st.RUN_LISTED], cluster.run[count, st.RUN_LISTED_END] = slot, end
            count, last = count + 1, max(last, end)
    for position in range(cluster.pool[pool, st.BOOT_HEAD], cluster.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        last = max(last, expected_ready(cluster, settings, at))
    return count, last


@helper
def partition(cluster: Cluster, first: int, end: int, time: int) -> int:
    """Bring the listed jobs of [first, end) that are expected to end until a time to the front; return their end."""
    middle = first
    for index in range(first, end):
        slot, at = cluster.run[index, st.RUN_LISTED], cluster.run[index, st.RUN_LISTED_END]
        if at <= time:
            cluster.run[index, st.RUN_LISTED] = cluster.run[middle, st.RUN_LISTED]
            cluster.run[index, st.RUN_LISTED_END] = cluster.run[middle, st.RUN_LISTED_END]
            cluster.run[middle, st.RUN_LISTED], cluster.run[middle, st.RUN_LISTED_END] = slot, at
            middle += 1
    return middle


@helper
def time_between(
    cluster: Cluster, pools: Table, settings: Settings, pool: int, low: int, high: int, first: int, end: int
) -> int:
    """A time after `low` and before `high` at which a job of the list's [first, end) or a boot ends; -1 if none.

    The next boot comes first, for most jobs fit on a new node.
    """
    for position in range(cluster.pool[pool, st.BOOT_HEAD], cluster.pool[pool, st.BOOT_TAIL]):
        at = pools[pool, st.NODE_OFFSET] + wrap(position, pools[pool, st.MAX_NODES])
        ready = expected_ready(cluster, settings, at)
        if low < ready < high:
            return ready
    return cluster.run[(first + end) // 2, st.RUN_LISTED_END] if first < end else -1


@rare
def reserve(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> None:
    """Reserve the moment when a job is expected to fit, `NEVER` if none; the trial is then that of the moment.

    Free capacity only grows with time, so each trial leaves about half of the times at which something ends.
    """
    count, high = list_ends(cluster, jobs, pools, settings, pool)
    low, found = cluster.clock[st.NOW] - 1, False
    first, last = 0, partition(cluster, 0, count, high - 1)  # those that end between `low` and `high`
    end = count  # of those behind them, which end at `high`
    open_trial(cluster, pools, settings, pool)
    at, middle = low, time_between(cluster, pools, settings, pool, low, high, first, last)
    while middle >= 0:
        until_then = partition(cluster, first, last, middle - 1)
        after = partition(cluster, until_then, last, middle)
        # The trial stands at one end of the interval: at `low` forward to the middle, or at `high` back to it.
        if at == low:
            move_trial(cluster, jobs, pools, settings, pool, at, middle, first, after)
        else:
            move_trial(cluster, jobs, pools, settings, pool, at, middle, after, end)
        at = middle
        if fits_trial(cluster, jobs, pools, settings, job, pool):
            high, last, end, found = middle, until_then, after, True
        else:
            low, first = middle, after
        middle = time_between(cluster, pools, settings, pool, low, high, first, last)
    if at != high:
        move_trial(cluster, jobs, pools, settings, pool, at, high, first, end)
    found = found or fits_trial(cluster, jobs, pools, settings, job, pool)
    cluster.pool[pool, st.HEAD_JOB], cluster.pool[pool, st.HEAD_MS] = job, high if found else st.NEVER


@helper
def target_node(cluster: Cluster, pools: Table, settings: Settings, pool: int, gpus: int, skipped: int) -> int:
    """The node that the packer would take for part of a node, after so many idle ones; -1: none."""
    idle, node = cluster.pool[pool, st.IDLE_TAIL] - skipped - 1, -1
    has_idle = idle >= cluster.pool[pool, st.IDLE_HEAD]
    if not (takes_idle_first(settings.packer) and has_idle):
        node = busy_node(settings.packer, cluster, pools, pool, gpus)
    if node < 0 and has_idle:
        node = cluster.node[pools[pool, st.NODE_OFFSET] + wrap(idle, pools[pool, st.MAX_NODES]), st.IDLE_NODE]
    return node


@helper
def change_share_to_be(cluster: Cluster, pools: Table, settings: Settings, pool: int, milli: int, sign: int) -> bool:
    """Take from the trial (sign -1), or put back, the share that the packer would take; False: there is none."""
    share = fitting_share(cluster, pool, milli)
    if share < 0:
        node = target_node(cluster, pools, settings, pool, 1, 0)
        if node < 0:
            return False
        # The row that `take_share` would use next; its columns of a trial are free to use, for nobody shares that GPU.
        share = cluster.share[cluster.clock[st.UNUSED_SHARES] - 1, st.SHARE_STACK]
        if sign < 0:
            cluster.share[share, st.SHARE_NODE], cluster.share[share, st.SHARE_TRIAL] = node, 1000
    change_share(cluster, pool, share, sign * milli)
    return True


@helper
def change_job_to_be(cluster: Cluster, pools: Table, settings: Settings, pool: int, milli: int, sign: int) -> bool:
    """Take from the trial (sign -1), or put back, what a job would get that started now; False: it does not fit."""
    if milli < 1000:
        return change_share_to_be(cluster, pools, settings, pool, milli, sign)
    gpus, offset = pools[pool, st.GPUS], pools[pool, st.NODE_OFFSET]
    full_nodes = milli // (1000 * gpus)
    rest, node = milli // 1000 - full_nodes * gpus, -1
    if cluster.pool[pool, st.IDLE_TAIL] - cluster.pool[pool, st.IDLE_HEAD] < full_nodes:
        return False
    if rest > 0:
        node = target_node(cluster, pools, settings, pool, rest, full_nodes)
        if node < 0:
            return False
        change_free(cluster, pool, node, sign * rest)
    for index in range(full_nodes):
        at = offset + wrap(cluster.pool[pool, st.IDLE_TAIL] - 1 - index, pools[pool, st.MAX_NODES])
        change_free(cluster, pool, cluster.node[at, st.IDLE_NODE], sign * gpus)
    return True


@rare
def may_pass_on_detailed(
    detail: DetailSettings,
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    settings: Settings,
    job: int,
    pool: int,
    end: int,
    left: int,
) -> bool:
    """`may_pass` where nodes are detailed; a job that ends before leaves the trial as it is."""
    if end <= cluster.pool[pool, st.HEAD_MS]:
        return True
    predicted = predicted_end(cluster, jobs, job, left)
    place = find_place(detail, cluster, jobs, pools, job, pool, predicted)
    if place == NO_PLACE:
        return False
    change_detailed_job_to_be(detail, cluster, jobs, pools, job, pool, predicted, place, -1)
    if fits_trial(cluster, jobs, pools, settings, cluster.pool[pool, st.HEAD_JOB], pool):
        return True
    change_detailed_job_to_be(detail, cluster, jobs, pools, job, pool, predicted, place, 1)
    return False


@rare
def may_pass(
    cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int, end: int, left: int
) -> bool:
    """Whether a job that is expected to end at `end` leaves the reservation of its pool as it is, if it starts now.

    It ends before, or it leaves enough free; the trial then is without what it gets.
    """
    if settings.is_detailed:
        return may_pass_on_detailed(settings.detail, cluster, jobs, pools, settings, job, pool, end, left)
    milli = jobs[job, st.MILLI]
    if end <= cluster.pool[pool, st.HEAD_MS]:
        # It leaves the trial as it is, but the trial must know a GPU that is shared from now on: others may share it.
        if milli < 1000 and change_job_to_be(cluster, pools, settings, pool, milli, -1):
            change_job_to_be(cluster, pools, settings, pool, milli, 1)
        return True
    if not change_job_to_be(cluster, pools, settings, pool, milli, -1):
        return False
    if fits_trial(cluster, jobs, pools, settings, cluster.pool[pool, st.HEAD_JOB], pool):
        return True
    change_job_to_be(cluster, pools, settings, pool, milli, 1)
    return False
