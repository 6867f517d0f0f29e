"""The work of running jobs: what is left of it, how fast it goes, delays, and what a preemption loses.

Compiled; `reference/` says the same in plain words. Work is counted in millionths: a job of `d` ms has `d * PPM` of
it and does `rate` of it per ms, `PPM` at its reference speed. So a rate may change at any time and all stays an exact
integer. Kept only where `Settings.tracks_work`; else a job ends its duration after its start.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import change_finish, enqueue, remove_running
from envs.gpu_cluster.simulator.log import JOB_PREEMPT, record_parts
from envs.gpu_cluster.simulator.packing.detailed import release
from envs.gpu_cluster.simulator.state import Cluster, Settings, Table


@helper
def finish_time(c: Cluster, slot: int) -> int:
    """When a running job ends at its present rate: its work, rounded up to a whole ms."""
    left, rate = c.run[slot, st.RUN_LEFT], c.run[slot, st.RUN_RATE]
    return c.run[slot, st.RUN_SINCE] + (left + rate - 1) // rate


@helper
def set_pace(c: Cluster, slot: int, rate: int, slow: int, saved: int) -> None:
    """Write the rate of a running job and how many thousandths of its GPUs it loses and saves, with the pool's sums."""
    pool = c.run[slot, st.RUN_POOL]
    c.pool[pool, st.SLOW_MILLI] += slow - c.run[slot, st.RUN_SLOW]
    c.pool[pool, st.SAVED_MILLI] += saved - c.run[slot, st.RUN_SAVED]
    c.run[slot, st.RUN_RATE], c.run[slot, st.RUN_SLOW], c.run[slot, st.RUN_SAVED] = rate, slow, saved


@helper
def hold(c: Cluster, slot: int, milliseconds: int) -> None:
    """Let a job hold its GPUs for a while longer without progress: what it would have got done is overhead."""
    useful = c.run[slot, st.RUN_MILLI] - c.run[slot, st.RUN_SLOW]
    c.pool[c.run[slot, st.RUN_POOL], st.OVERHEAD_MILLI_MS] += useful * milliseconds
    c.run[slot, st.RUN_SINCE] += milliseconds


@helper
def settle(c: Cluster, slot: int) -> None:
    """Count the work that a running job has done until now."""
    elapsed = c.clock[st.NOW] - c.run[slot, st.RUN_SINCE]
    if elapsed > 0:
        c.run[slot, st.RUN_LEFT] = max(0, c.run[slot, st.RUN_LEFT] - elapsed * c.run[slot, st.RUN_RATE])
        c.run[slot, st.RUN_SINCE] = c.clock[st.NOW]


@helper
def delay(c: Cluster, jobs: Table, settings: Settings, slot: int, milliseconds: int) -> None:
    """Let a running job hold its GPUs for a while without progress."""
    if settings.tracks_work:
        settle(c, slot)
        hold(c, slot, milliseconds)
        change_finish(c, slot, finish_time(c, slot))
    else:
        job, pool = c.run[slot, st.RUN_JOB], c.run[slot, st.RUN_POOL]
        c.pool[pool, st.OVERHEAD_MILLI_MS] += jobs[job, st.MILLI] * milliseconds
        change_finish(c, slot, c.run[slot, st.RUN_FINISH] + milliseconds)


@helper
def fetch(c: Cluster, jobs: Table, pools: Table, job: int, pool: int, node: int) -> int:
    """Let a node pull the image of a job if it lacks it; return for how long the job must wait for it.

    A job that ran before the episode began has its image, wherever it is.
    """
    now, at = c.clock[st.NOW], st.NODE_IMAGES + jobs[job, st.IMAGE] - 1
    is_ours = job >= c.clock[st.FIRST_JOB]
    if jobs[job, st.IMAGE] == 0:
        return 0
    if c.node[node, at] == st.NEVER:
        c.node[node, at] = now + (pools[pool, st.PULL_MS] if is_ours else 0)
    return max(0, c.node[node, at] - now) if is_ours else 0


@helper
def fetch_everywhere(c: Cluster, jobs: Table, pools: Table, slot: int) -> int:
    """Let all nodes of a running job pull its image; return for how long it must wait for the last of them."""
    run, wait_ms = c.run[slot], 0
    job, pool, node = run[st.RUN_JOB], run[st.RUN_POOL], run[st.RUN_CHAIN]
    while node >= 0:
        wait_ms = max(wait_ms, fetch(c, jobs, pools, job, pool, node))
        node = c.node[node, st.NEXT_NODE]
    if run[st.RUN_SHARE] >= 0:
        wait_ms = max(wait_ms, fetch(c, jobs, pools, job, pool, c.share[run[st.RUN_SHARE], st.SHARE_NODE]))
    elif run[st.RUN_GPUS] > 0:
        wait_ms = max(wait_ms, fetch(c, jobs, pools, job, pool, run[st.RUN_NODE]))
    return wait_ms


@helper
def work_lost(jobs: Table, job: int, done: int) -> int:
    """The work since the last checkpoint, all of it where there is none; checkpoints come at equal steps of work."""
    step = jobs[job, st.CHECKPOINT_MS] * st.PPM
    return done % step if step > 0 else done


@helper
def count_loss(c: Cluster, settings: Settings, job: int) -> None:
    """Count that a job lost all its work, and note it if that is too often for a replay that shall end."""
    row = (job - c.clock[st.FIRST_JOB]) % c.queue.shape[0]
    c.queue[row, st.JOB_LOSSES] += 1
    is_endless = c.clock[st.EPISODE_END] == st.NEVER and c.queue[row, st.JOB_LOSSES] > settings.max_fresh_restarts
    if is_endless and c.clock[st.ENDLESS] == 0:
        c.clock[st.ENDLESS] = job + 1


@rare
def preempt(c: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, has_notice: bool) -> None:
    """Stop a running job and put it back in the queue with the work since its last checkpoint to be done again.

    Args:
        c: the cluster.
        jobs: the trace.
        pools: the pools.
        settings: numbers of the environment, `tracks_work` on.
        slot: of the job.
        has_notice: the job could write a checkpoint just before, if it writes any: then nothing is lost.
    """
    settle(c, slot)
    hold(c, slot, min(0, c.clock[st.NOW] - c.run[slot, st.RUN_SINCE]))  # a delay that it does not live to see
    job, pool = c.run[slot, st.RUN_JOB], c.run[slot, st.RUN_POOL]
    left = c.run[slot, st.RUN_LEFT]
    if not (has_notice and jobs[job, st.CHECKPOINT_MS] > 0):
        lost = work_lost(jobs, job, jobs[job, st.DURATION_MS] * st.PPM - left)
        c.pool[pool, st.OVERHEAD_MILLI_MS] += lost // st.PPM * jobs[job, st.MILLI]
        c.pool[pool, st.LOST_MILLI_MS] += lost // st.PPM * jobs[job, st.MILLI]
        left += lost
        if settings.is_stochastic and left == jobs[job, st.DURATION_MS] * st.PPM:
            count_loss(c, settings, job)
    c.pool[pool, st.PREEMPTIONS] += 1
    record_parts(c, jobs, pools, JOB_PREEMPT, slot)
    remove_running(c, slot)
    release(c, jobs, pools, settings, slot)
    enqueue(c, jobs, settings, job, left)
