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
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table


@helper
def finish_time(cluster: Cluster, slot: int) -> int:
    """When a running job ends at its present rate: its work, rounded up to a whole ms."""
    left, rate = cluster.run[slot, st.RUN_LEFT], cluster.run[slot, st.RUN_RATE]
    return cluster.run[slot, st.RUN_SINCE] + (left + rate - 1) // rate


@helper
def set_pace(cluster: Cluster, slot: int, rate: int, slow: int, saved: int) -> None:
    """Write the rate of a running job and how many thousandths of its GPUs it loses and saves, with the pool's sums."""
    pool = cluster.run[slot, st.RUN_POOL]
    cluster.pool[pool, st.SLOW_MILLI] += slow - cluster.run[slot, st.RUN_SLOW]
    cluster.pool[pool, st.SAVED_MILLI] += saved - cluster.run[slot, st.RUN_SAVED]
    cluster.run[slot, st.RUN_RATE], cluster.run[slot, st.RUN_SLOW], cluster.run[slot, st.RUN_SAVED] = rate, slow, saved


@helper
def hold(cluster: Cluster, slot: int, milliseconds: int) -> None:
    """Let a job hold its GPUs for a while longer without progress: what it would have got done is overhead."""
    useful = cluster.run[slot, st.RUN_MILLI] - cluster.run[slot, st.RUN_SLOW]
    cluster.pool[cluster.run[slot, st.RUN_POOL], st.OVERHEAD_MILLI_MS] += useful * milliseconds
    cluster.run[slot, st.RUN_SINCE] += milliseconds


@helper
def settle(cluster: Cluster, slot: int) -> None:
    """Count the work that a running job has done until now."""
    elapsed = cluster.clock[st.NOW] - cluster.run[slot, st.RUN_SINCE]
    if elapsed > 0:  # else a delay is not over yet, and RUN_SINCE lies ahead
        cluster.run[slot, st.RUN_LEFT] = max(
            0, cluster.run[slot, st.RUN_LEFT] - elapsed * cluster.run[slot, st.RUN_RATE]
        )
        cluster.run[slot, st.RUN_SINCE] = cluster.clock[st.NOW]


@helper
def delay(cluster: Cluster, jobs: Table, settings: Settings, slot: int, milliseconds: int) -> None:
    """Let a running job hold its GPUs for a while without progress."""
    if settings.tracks_work:
        settle(cluster, slot)
        hold(cluster, slot, milliseconds)
        change_finish(cluster, slot, finish_time(cluster, slot))
    else:
        job, pool = cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL]
        cluster.pool[pool, st.OVERHEAD_MILLI_MS] += jobs[job, st.MILLI] * milliseconds
        change_finish(cluster, slot, cluster.run[slot, st.RUN_FINISH] + milliseconds)


@helper
def fetch(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int, node: int) -> int:
    """Let a node pull the image of a job if it lacks it; return for how long the job must wait for it.

    A job that ran before the episode began has its image, wherever it is.
    """
    now, at = cluster.clock[st.NOW], st.NODE_IMAGES + jobs[job, st.IMAGE] - 1
    is_ours = job >= cluster.clock[st.FIRST_JOB]
    if jobs[job, st.IMAGE] == 0:
        return 0
    if cluster.node[node, at] == st.NEVER:  # it lacks the image; else a pull is under way, or over
        cluster.node[node, at] = now + (pools[pool, st.PULL_MS] if is_ours else 0)
    return max(0, cluster.node[node, at] - now) if is_ours else 0


@helper
def fetch_everywhere(cluster: Cluster, jobs: Table, pools: Table, slot: int) -> int:
    """Let all nodes of a running job pull its image; return for how long it must wait for the last of them."""
    run, wait_ms = cluster.run[slot], 0
    job, pool, node = run[st.RUN_JOB], run[st.RUN_POOL], run[st.RUN_CHAIN]
    while node >= 0:
        wait_ms = max(wait_ms, fetch(cluster, jobs, pools, job, pool, node))
        node = cluster.node[node, st.NEXT_NODE]
    if run[st.RUN_SHARE] >= 0:
        wait_ms = max(wait_ms, fetch(cluster, jobs, pools, job, pool, cluster.share[run[st.RUN_SHARE], st.SHARE_NODE]))
    elif run[st.RUN_GPUS] > 0:
        wait_ms = max(wait_ms, fetch(cluster, jobs, pools, job, pool, run[st.RUN_NODE]))
    return wait_ms


@helper
def transfer_mb(cluster: Cluster, jobs: Table, job: int, pool: int) -> int:
    """MB of data that a job would have to bring to a pool now; jobs from before the episode have them everywhere."""
    row = job - cluster.clock[st.FIRST_JOB]
    if row < 0 or ((jobs[job, st.DATA_BITS] | cluster.queue[row, st.JOB_DATA_BITS]) >> pool) & 1 == 1:
        return 0
    return jobs[job, st.DATA_MB]


@helper
def bring_data(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> int:
    """Count the data that a job brings to a pool where it starts, and return for how long it must wait for them."""
    megabytes = transfer_mb(cluster, jobs, job, pool)
    cluster.pool[pool, st.TRANSFERRED_MB] += megabytes
    return (megabytes * pools[pool, st.TRANSFER_US_PER_MB] + 999) // 1000


@helper
def keep_data(cluster: Cluster, pools: Table, slot: int) -> None:
    """Let the data of a job that is stopped stay in its region for as long as it lives, if they have all come."""
    # Not at its start: a policy could stop a job while it waits for its data, and be rid of the wait.
    row = cluster.run[slot, st.RUN_JOB] - cluster.clock[st.FIRST_JOB]
    if row >= 0 and cluster.run[slot, st.RUN_SINCE] <= cluster.clock[st.NOW]:
        cluster.queue[row, st.JOB_DATA_BITS] |= pools[cluster.run[slot, st.RUN_POOL], st.REGION_BITS]


@helper
def work_lost(jobs: Table, job: int, done: int) -> int:
    """The work since the last checkpoint, all of it where there is none; checkpoints come at equal steps of work."""
    step = jobs[job, st.CHECKPOINT_MS] * st.PPM
    return done % step if step > 0 else done


@helper
def count_loss(cluster: Cluster, settings: Settings, job: int) -> None:
    """Count that a job lost all its work, and note it if that is too often for a replay that must end."""
    row = (job - cluster.clock[st.FIRST_JOB]) % cluster.queue.shape[0]
    cluster.queue[row, st.JOB_LOSSES] += 1
    is_endless = (
        cluster.clock[st.EPISODE_END] == st.NEVER and cluster.queue[row, st.JOB_LOSSES] > settings.max_fresh_restarts
    )
    if is_endless and cluster.clock[st.ENDLESS] == 0:
        cluster.clock[st.ENDLESS] = job + 1


@helper
def stop_work(cluster: Cluster, pools: Table, settings: Settings, slot: int) -> int:
    """Let a running job make no more progress; return the work that is left of it."""
    settle(cluster, slot)
    if settings.transfers:
        keep_data(cluster, pools, slot)
    hold(
        cluster, slot, min(0, cluster.clock[st.NOW] - cluster.run[slot, st.RUN_SINCE])
    )  # a delay that it does not live to see
    return cluster.run[slot, st.RUN_LEFT]


@helper
def give_up(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, kind: int) -> None:
    """Take from a job that was stopped what it holds; `kind` says in the log why."""
    record_parts(cluster, jobs, pools, kind, slot)
    remove_running(cluster, slot)
    release(cluster, jobs, pools, settings, slot)


@rare
def preempt(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int, has_notice: bool) -> None:
    """Stop a running job and put it back in the queue with the work since its last checkpoint to be done again.

    Args:
        cluster: its state.
        jobs: the trace.
        pools: the pools.
        settings: numbers of the environment, `tracks_work` on.
        slot: of the job.
        has_notice: the job could write a checkpoint just before, if it writes any: then nothing is lost.
    """
    left = stop_work(cluster, pools, settings, slot)
    job, pool = cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL]
    if not (has_notice and jobs[job, st.CHECKPOINT_MS] > 0):
        lost = work_lost(jobs, job, jobs[job, st.DURATION_MS] * st.PPM - left)
        cluster.pool[pool, st.OVERHEAD_MILLI_MS] += lost // st.PPM * jobs[job, st.MILLI]
        cluster.pool[pool, st.LOST_MILLI_MS] += lost // st.PPM * jobs[job, st.MILLI]
        left += lost
        if settings.is_stochastic and left == jobs[job, st.DURATION_MS] * st.PPM:
            count_loss(cluster, settings, job)
    cluster.pool[pool, st.PREEMPTIONS] += 1
    give_up(cluster, jobs, pools, settings, slot, JOB_PREEMPT)
    enqueue(cluster, jobs, settings, job, left)
