"""Starting jobs: which of those that wait, in which pool, on which nodes. Compiled; `reference/` defines it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import free_slot, push_running
from envs.gpu_cluster.simulator.kernels.power import may_draw
from envs.gpu_cluster.simulator.kernels.preemption import make_way
from envs.gpu_cluster.simulator.kernels.rates import pace
from envs.gpu_cluster.simulator.kernels.reservations import may_pass, reserve
from envs.gpu_cluster.simulator.kernels.work import bring_data, fetch_everywhere, finish_time, hold, set_pace
from envs.gpu_cluster.simulator.log import JOB_START, record_parts
from envs.gpu_cluster.simulator.packing.counted import busy_node, link_part, take_gpus, take_idle, take_share
from envs.gpu_cluster.simulator.packing.detailed import (
    NO_PLACE,
    find_place,
    has_no_place,
    may_have_place,
    note_blocked,
    note_stuck,
    occupy,
    predicted_end,
)
from envs.gpu_cluster.simulator.queues import BACKFILL, NONE, add_in_use, count_deferred, move_waiting
from envs.gpu_cluster.simulator.settings import DetailSettings, Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def restart_delay(cluster: Cluster, settings: Settings, job: int) -> int:
    """How long a job that starts now makes no progress, because it was preempted or suspended before."""
    row = job - cluster.clock[st.FIRST_JOB]
    if row < 0 or cluster.queue[row, st.JOB_START] == st.NEVER:
        return 0
    if settings.suspends and cluster.queue[row, st.JOB_IS_SUSPENDED] > 0:
        return settings.move_ms  # the checkpoint that it wrote, and the restart
    return settings.restart_ms


@helper
def start_work(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, slot: int, left: int
) -> None:
    """Let the job of a slot begin or go on with its work; one that was preempted restarts first."""
    job = cluster.run[slot, st.RUN_JOB]
    pause_ms = restart_delay(cluster, settings, job)
    if settings.pulls_images:
        pause_ms += fetch_everywhere(cluster, jobs, pools, slot)
    if settings.transfers:
        pause_ms += bring_data(cluster, jobs, pools, job, cluster.run[slot, st.RUN_POOL])
    cluster.run[slot, st.RUN_LEFT], cluster.run[slot, st.RUN_SINCE] = left, cluster.clock[st.NOW]
    cluster.run[slot, st.RUN_MILLI], cluster.run[slot, st.RUN_SLOW], cluster.run[slot, st.RUN_SAVED] = (
        jobs[job, st.MILLI],
        0,
        0,
    )
    if settings.has_curves:
        pace(cluster, jobs, curves, slot)
    else:
        set_pace(cluster, slot, st.PPM, 0, 0)
    hold(cluster, slot, pause_ms)
    cluster.run[slot, st.RUN_FINISH] = finish_time(cluster, slot)


@helper
def take_full_nodes(cluster: Cluster, pools: Table, pool: int, nodes: int) -> int:
    """Take so many idle nodes, the newest first; return the first of the chain, -1 if it is none."""
    chain, last = -1, -1
    for _ in range(nodes):
        taken = take_idle(cluster, pools, pool, pools[pool, st.GPUS])
        cluster.node[taken, st.NEXT_NODE] = -1
        if last < 0:
            chain = taken
        else:
            cluster.node[last, st.NEXT_NODE] = taken
        last = taken
    return chain


@helper
def begin(
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    curves: Table,
    settings: Settings,
    slot: int,
    job: int,
    pool: int,
    left: int,
) -> None:
    """Let the job of the first free slot run on what it has been given."""
    cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL] = job, pool
    if settings.tracks_work:
        start_work(cluster, jobs, pools, curves, settings, slot, left)
    else:
        cluster.run[slot, st.RUN_FINISH] = cluster.clock[st.NOW] + left // st.PPM
    push_running(cluster, slot)
    if settings.moves_jobs and cluster.run[slot, st.RUN_GPUS] > 0:
        link_part(cluster, jobs, slot, cluster.run[slot, st.RUN_NODE])
    record_parts(cluster, jobs, pools, JOB_START, slot)
    cluster.pool[pool, st.USED_MILLI] += jobs[job, st.MILLI]
    if settings.queue.tracks_owners:
        add_in_use(cluster, jobs, settings, job, jobs[job, st.MILLI])


@helper
def start_on_detailed(
    detail: DetailSettings,
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    curves: Table,
    settings: Settings,
    job: int,
    pool: int,
    left: int,
) -> bool:
    """`start_job` where nodes are detailed."""
    end = predicted_end(cluster, jobs, job, left)
    place = find_place(detail, cluster, jobs, pools, job, pool, end)
    if place == NO_PLACE:
        return False
    slot = free_slot(cluster)
    occupy(detail, cluster, jobs, pools, slot, job, pool, end, place)
    begin(cluster, jobs, pools, curves, settings, slot, job, pool, left)
    return True


@helper
def start_job(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, job: int, pool: int, left: int
) -> bool:
    """Start a job with `left` of its work in a pool, if all of it fits now."""
    if settings.is_detailed:
        return start_on_detailed(settings.detail, cluster, jobs, pools, curves, settings, job, pool, left)
    milli, gpus, now = jobs[job, st.MILLI], pools[pool, st.GPUS], cluster.clock[st.NOW]
    full_nodes, rest, share, node, chain = 0, 0, -1, -1, -1
    if milli < 1000:
        share = take_share(cluster, pools, settings.packer, pool, milli, now)
        if share < 0:
            return False
    else:
        full_nodes = milli // (1000 * gpus)
        rest = milli // 1000 - full_nodes * gpus
        idle = cluster.pool[pool, st.IDLE_TAIL] - cluster.pool[pool, st.IDLE_HEAD]
        if idle < full_nodes:
            return False
        if rest > 0 and idle == full_nodes and busy_node(settings.packer, cluster, pools, pool, rest) < 0:
            return False
        chain = take_full_nodes(cluster, pools, pool, full_nodes)
        if rest > 0:
            node = take_gpus(cluster, pools, settings.packer, pool, rest, now)
    slot = free_slot(cluster)
    run = cluster.run[slot]
    run[st.RUN_CHAIN], run[st.RUN_NODE], run[st.RUN_GPUS], run[st.RUN_SHARE] = chain, node, rest, share
    begin(cluster, jobs, pools, curves, settings, slot, job, pool, left)
    return True


@helper
def leave_queue(cluster: Cluster, jobs: Table, settings: Settings, job: int) -> None:
    """Take a job out of the queue's sums and record its start."""
    cluster.clock[st.PENDING_MILLI] -= jobs[job, st.MILLI]
    if jobs[job, st.MILLI] < 1000:
        cluster.clock[st.PENDING_SHARES] -= 1
    cluster.pool[jobs[job, st.DEFAULT_POOL], st.PENDING_DEFAULT_MILLI] -= jobs[job, st.MILLI]
    row = job - cluster.clock[st.FIRST_JOB]
    if row >= 0 and cluster.queue[row, st.JOB_START] == st.NEVER:
        cluster.queue[row, st.JOB_START] = cluster.clock[st.NOW]
    if settings.suspends and row >= 0:
        cluster.queue[row, st.JOB_IS_SUSPENDED] = 0


@helper
def may_start_more(cluster: Cluster, settings: Settings) -> bool:
    """Whether a job that waits may still fit somewhere: the smallest that failed in each pool says so."""
    if cluster.clock[st.PENDING_SHARES] > 0 or settings.is_detailed:
        return True
    for pool in range(cluster.pool.shape[0]):  # noqa: SIM110 (numba compiles no generator)
        if cluster.pool[pool, st.BLOCKED_MILLI] > 1000:
            return True
    return False


@helper
def work_left(cluster: Cluster, jobs: Table, settings: Settings, at: int) -> int:
    """The work that is left of the job at a position of the queue."""
    if settings.tracks_work:
        return cluster.queue[at, st.QUEUE_LEFT]
    job = cluster.queue[at, st.QUEUE_JOB]
    left = jobs[job, st.DURATION_MS]
    if job < cluster.clock[st.FIRST_JOB]:  # it ran before the episode began: only its remainder is left
        left += jobs[job, st.SUBMIT_MS] - cluster.clock[st.EPISODE_START]
    return left * st.PPM


@helper
def may_fit(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> bool:
    """Whether a job may fit in a pool where others did not: it is smaller."""
    if settings.is_detailed:
        return may_have_place(cluster, jobs, pools, job, pool)
    return jobs[job, st.MILLI] < cluster.pool[pool, st.BLOCKED_MILLI]


@helper
def block(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int) -> None:
    """Remember that a job did not fit in a pool."""
    if settings.is_detailed:
        note_blocked(cluster, jobs, pools, job, pool)
    else:
        cluster.pool[pool, st.BLOCKED_MILLI] = jobs[job, st.MILLI]


@helper
def offered_pool(cluster: Cluster, jobs: Table, placement: NDArray[np.int64], index: int) -> int:
    """The pool of the job at a place of the queue: that of its slot, or behind the window its default pool."""
    at = cluster.clock[st.QUEUE_HEAD] + index
    if index < placement.shape[0]:
        return placement[index]
    if index < cluster.clock[st.OFFERED]:
        return cluster.queue[at, st.QUEUE_POOL]
    return jobs[cluster.queue[at, st.QUEUE_JOB], st.DEFAULT_POOL]


@helper
def start_jobs(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, placement: NDArray[np.int64]
) -> None:
    """Go through the queue once, in order; start each job that has a pool and fits, the others stay in order."""
    head, tail = cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]
    if head == tail:
        return
    for pool in range(pools.shape[0]):
        cluster.pool[pool, st.BLOCKED_MILLI] = st.NEVER
    at, stay = head, head
    while at < tail and may_start_more(cluster, settings):
        job = cluster.queue[at, st.QUEUE_JOB]
        index = at - head
        pool = offered_pool(cluster, jobs, placement, index)
        started = False
        if settings.has_grid and pool >= 0 and not may_draw(cluster, jobs, pools, settings, job, pool):
            pool = -1
        if pool >= 0 and may_fit(cluster, jobs, pools, settings, job, pool):
            started = start_job(
                cluster, jobs, pools, curves, settings, job, pool, work_left(cluster, jobs, settings, at)
            )
            if not started:
                block(cluster, jobs, pools, settings, job, pool)
        if settings.is_detailed and pool >= 0 and not started and index < placement.shape[0]:
            note_stuck(cluster, jobs, pools, job, pool)
        at += 1
        if started:
            leave_queue(cluster, jobs, settings, job)
        else:
            move_waiting(cluster, settings, at - 1, stay)
            stay += 1
    removed = at - stay
    if removed > 0:
        for index in range(stay - 1, head - 1, -1):
            move_waiting(cluster, settings, index, index + removed)
        cluster.clock[st.QUEUE_HEAD] = head + removed


@rare
def start_at(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, job: int, pool: int, left: int
) -> bool:
    """Start a job whose turn it is if the rules of the queue let it; else note whom those behind it must not delay."""
    row, queue = cluster.pool[pool], settings.queue
    is_behind, started = row[st.HEAD_JOB] >= 0, False
    if is_behind and queue.backfill_policy == NONE:
        return False
    ends = st.NEVER
    if jobs[job, st.PREDICTED_MS] > 0:
        ahead = restart_delay(cluster, settings, job) + (left + st.PPM - 1) // st.PPM
        ends = cluster.clock[st.NOW] + max(0, ahead + jobs[job, st.PREDICTED_MS] - jobs[job, st.DURATION_MS])
    is_small = may_fit(cluster, jobs, pools, settings, job, pool)
    if is_small and (not is_behind or may_pass(cluster, jobs, pools, settings, job, pool, ends, left)):
        started = start_job(cluster, jobs, pools, curves, settings, job, pool, left)
        if not started:
            block(cluster, jobs, pools, settings, job, pool)
    if not started and not is_behind and queue.preempts and make_way(cluster, jobs, pools, settings, job, pool):
        started = start_job(cluster, jobs, pools, curves, settings, job, pool, left)
        row[st.BLOCKED_MILLI] = st.NEVER
    if not started and not is_behind and queue.backfill_policy == NONE:
        row[st.HEAD_JOB] = job
    elif not started and not is_behind and queue.backfill_policy == BACKFILL:
        reserve(cluster, jobs, pools, settings, job, pool)
    return started


@helper
def is_behind_without_place(
    cluster: Cluster, jobs: Table, pools: Table, settings: Settings, job: int, pool: int
) -> bool:
    """Whether a job behind the head of a pool fits on no detailed nodes now and might pass if it did."""
    return settings.queue.backfill_policy == BACKFILL and has_no_place(settings.detail, cluster, jobs, pools, job, pool)


@rare
def start_in_turn(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, placement: NDArray[np.int64]
) -> None:
    """Go through the queue once, in order, by the rules of `Settings.queue`."""
    for pool in range(pools.shape[0]):
        cluster.pool[pool, st.BLOCKED_MILLI], cluster.pool[pool, st.HEAD_JOB] = st.NEVER, -1
    head = cluster.clock[st.QUEUE_HEAD]
    for slot in range(min(placement.shape[0], cluster.clock[st.QUEUE_TAIL] - head)):
        if cluster.queue[head + slot, st.QUEUE_POOL] >= 0:
            cluster.queue[head + slot, st.QUEUE_POOL] = placement[slot]
    passed, seen = 0, 0
    while cluster.clock[st.QUEUE_HEAD] + passed < cluster.clock[st.QUEUE_TAIL]:
        at = cluster.clock[st.QUEUE_HEAD] + passed
        job, pool = cluster.queue[at, st.QUEUE_JOB], cluster.queue[at, st.QUEUE_POOL]
        left = work_left(cluster, jobs, settings, at)
        is_behind = pool >= 0 and cluster.pool[pool, st.HEAD_JOB] >= 0
        is_shown = seen < placement.shape[0]  # jobs beyond the window are decided on later
        seen += 0 if pool == st.JUST_QUEUED else 1
        if settings.has_grid and pool >= 0 and not may_draw(cluster, jobs, pools, settings, job, pool):
            pool = -1
        if pool >= 0 and start_at(cluster, jobs, pools, curves, settings, job, pool, left):
            head = cluster.clock[st.QUEUE_HEAD]  # preempted jobs may have moved the queue; they are behind this one
            for waiting in range(head + passed - 1, head - 1, -1):
                move_waiting(cluster, settings, waiting, waiting + 1)
            cluster.clock[st.QUEUE_HEAD] = head + 1
            leave_queue(cluster, jobs, settings, job)
        else:
            passed += 1
            if (
                settings.is_detailed
                and pool >= 0
                and is_shown
                and (not is_behind or is_behind_without_place(cluster, jobs, pools, settings, job, pool))
            ):
                note_stuck(cluster, jobs, pools, job, pool)


@helper
def start_waiting(
    cluster: Cluster, jobs: Table, pools: Table, curves: Table, settings: Settings, placement: NDArray[np.int64]
) -> None:
    """Go through the queue once and start what may start; see `envs.gpu_cluster.config.QueueConfig`."""
    if settings.queue.goes_in_turn:
        start_in_turn(cluster, jobs, pools, curves, settings, placement)
    else:
        start_jobs(cluster, jobs, pools, curves, settings, placement)
    if settings.queue.defers:
        count_deferred(cluster, jobs, settings)
