"""Suspension: jobs that write a checkpoint, give up their GPUs and go on later. Compiled; `reference/` defines it.

A suspended job stands in no queue. Suspended jobs are a list without order in the first rows of `Cluster.queue`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.codec import Pool
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import enqueue
from envs.gpu_cluster.simulator.kernels.work import give_up, stop_work
from envs.gpu_cluster.simulator.log import JOB_RESUME, JOB_SUSPEND, record
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table
from traces.trace import NO_DEADLINE


@helper
def paying_milli(jobs: Table, settings: Settings, job: int) -> int:
    """The GPUs of a suspended job whose waiting costs something: none of one that may be deferred for free."""
    waits_free = settings.queue.waits_free and jobs[job, st.LATEST_MS] > 0
    return 0 if waits_free else jobs[job, st.MILLI]


@helper
def suspend_until(cluster: Cluster, jobs: Table, settings: Settings, slot: int) -> int:
    """Until when a running job may be suspended; no later than now: it may not be."""
    job, now = cluster.run[slot, st.RUN_JOB], cluster.clock[st.NOW]
    row = job - cluster.clock[st.FIRST_JOB]
    if row < 0 or jobs[job, st.FLAGS] & st.MOVABLE == 0:  # jobs from before the episode have no row
        return now
    until = now + settings.max_suspend_ms - cluster.queue[row, st.JOB_SUSPENDED_MS]
    end, predicted = jobs[job, st.DEADLINE_MS], jobs[job, st.PREDICTED_MS]
    if settings.queue.defers and jobs[job, st.LATEST_MS] > 0:
        end = min(end, jobs[job, st.LATEST_MS] + predicted)
    if end == NO_DEADLINE:
        return until
    if predicted == 0:
        return now
    done = max(0, now - cluster.run[slot, st.RUN_SINCE]) * cluster.run[slot, st.RUN_RATE]
    left = max(0, cluster.run[slot, st.RUN_LEFT] - done)
    ahead = max(0, (left + st.PPM - 1) // st.PPM + predicted - jobs[job, st.DURATION_MS])
    return min(until, end - settings.move_ms - ahead)


@rare
def next_to_suspend(cluster: Cluster, jobs: Table, settings: Settings, pool: int) -> int:
    """The running slot of a pool that is suspended next: the most GPUs, then the lowest job; -1 if there is none."""
    best = -1
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        is_here = cluster.run[slot, st.RUN_POOL] == pool
        if is_here and suspend_until(cluster, jobs, settings, slot) > cluster.clock[st.NOW]:
            more = 0 if best < 0 else cluster.run[slot, st.RUN_MILLI] - cluster.run[best, st.RUN_MILLI]
            is_lower = best >= 0 and cluster.run[slot, st.RUN_JOB] < cluster.run[best, st.RUN_JOB]
            if best < 0 or more > 0 or (more == 0 and is_lower):
                best = slot
    return best


@rare
def suspend(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, until: int) -> None:
    """Stop a job, which writes a checkpoint; it goes on at a time, or earlier."""
    job, pool, at = cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL], cluster.clock[st.SUSPENDED]
    row = cluster.queue[at]
    row[st.SUSPENDED_JOB], row[st.SUSPENDED_LEFT], row[st.SUSPENDED_POOL] = (
        job,
        stop_work(cluster, pools, settings, slot),
        pool,
    )
    row[st.SUSPENDED_SINCE], row[st.SUSPENDED_UNTIL] = cluster.clock[st.NOW], until
    cluster.queue[job - cluster.clock[st.FIRST_JOB], st.JOB_IS_SUSPENDED] = 1
    cluster.clock[st.SUSPENDED] += 1
    cluster.clock[st.SUSPENDED_MILLI] += paying_milli(jobs, settings, job)
    cluster.clock[st.NEXT_RESUME] = min(cluster.clock[st.NEXT_RESUME], until)
    cluster.pool[pool, st.SUSPENSIONS] += 1
    give_up(cluster, jobs, pools, settings, slot, JOB_SUSPEND)


@rare
def suspend_jobs(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int) -> None:
    """Suspend all jobs of a pool that may be."""
    slot = next_to_suspend(cluster, jobs, settings, pool)
    while slot >= 0:
        suspend(cluster, jobs, pools, settings, slot, suspend_until(cluster, jobs, settings, slot))
        slot = next_to_suspend(cluster, jobs, settings, pool)


@rare
def resume_jobs(cluster: Cluster, pool: int) -> None:
    """Let the jobs that were suspended in a pool go on at once."""
    # They are queued as time goes on, for the decision that is being carried out was made about the queue as it is.
    for at in range(cluster.clock[st.SUSPENDED]):
        if cluster.queue[at, st.SUSPENDED_POOL] == pool:
            cluster.queue[at, st.SUSPENDED_UNTIL] = cluster.clock[st.NEXT_RESUME] = cluster.clock[st.NOW]


@rare
def end_suspensions(cluster: Cluster, jobs: Table, settings: Settings) -> None:
    """Queue the jobs that are suspended no longer."""
    now, count, stay = cluster.clock[st.NOW], cluster.clock[st.SUSPENDED], 0
    cluster.clock[st.NEXT_RESUME] = st.NEVER
    for at in range(count):
        row = cluster.queue[at]
        job = row[st.SUSPENDED_JOB]
        if row[st.SUSPENDED_UNTIL] <= now:
            suspended_ms = now - row[st.SUSPENDED_SINCE]
            cluster.queue[job - cluster.clock[st.FIRST_JOB], st.JOB_SUSPENDED_MS] += suspended_ms
            cluster.clock[st.SUSPENDED_MILLI] -= paying_milli(jobs, settings, job)
            record(cluster, JOB_RESUME, row[st.SUSPENDED_POOL], job, -1, 0)
            enqueue(cluster, jobs, settings, job, row[st.SUSPENDED_LEFT])
        else:
            cluster.clock[st.NEXT_RESUME] = min(cluster.clock[st.NEXT_RESUME], row[st.SUSPENDED_UNTIL])
            for column in range(st.SUSPENDED_JOB, st.SUSPENDED_UNTIL + 1):
                cluster.queue[stay, column] = row[column]
            stay += 1
    cluster.clock[st.SUSPENDED] = stay


@helper
def fill_suspension(cluster: Cluster, jobs: Table, settings: Settings, pool: int, out: NDArray[np.float64]) -> None:
    """Write what the suspension lever needs to know of a pool."""
    milli, suspended, until = 0, 0, st.NEVER
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        is_here = cluster.run[slot, st.RUN_POOL] == pool
        if is_here and suspend_until(cluster, jobs, settings, slot) > cluster.clock[st.NOW]:
            milli += cluster.run[slot, st.RUN_MILLI]
    for at in range(cluster.clock[st.SUSPENDED]):
        if cluster.queue[at, st.SUSPENDED_POOL] == pool:
            suspended += jobs[cluster.queue[at, st.SUSPENDED_JOB], st.MILLI]
            until = min(until, cluster.queue[at, st.SUSPENDED_UNTIL])
    out[Pool.SUSPENDABLE_GPUS], out[Pool.SUSPENDED_GPUS] = milli / 1000.0, suspended / 1000.0
    out[Pool.NEXT_RESUME_SECONDS] = 0.0 if suspended == 0 else (until - cluster.clock[st.NOW]) / 1000.0
