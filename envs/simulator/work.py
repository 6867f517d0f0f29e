"""The work of running jobs: what is left of it, how fast it goes, delays, and what a preemption loses.

Compiled; `reference.py` says the same in plain words. Work is counted in millionths: a job of `d` ms has `d * PPM` of
it and does `rate` of it per ms, `PPM` at its reference speed. So a rate may change at any time and all stays an exact
integer. Kept only where `Settings.tracks_work`; else a job ends its duration after its start.
"""

from __future__ import annotations

from envs.simulator import state as st
from envs.simulator.compiler import helper
from envs.simulator.events import change_finish, enqueue, remove_running
from envs.simulator.packers import release
from envs.simulator.state import Cluster, Settings, Table


@helper
def finish_time(c: Cluster, slot: int) -> int:
    """When a running job ends at its present rate: its work, rounded up to a whole ms."""
    left, rate = c.run[slot, st.RUN_LEFT], c.run[slot, st.RUN_RATE]
    return c.run[slot, st.RUN_SINCE] + (left + rate - 1) // rate


@helper
def begin_work(c: Cluster, slot: int, left: int, rate: int, delay_ms: int) -> None:
    """Let the job of a slot begin with `left` of its work after a delay; its finish is set, the heap not touched."""
    c.run[slot, st.RUN_SINCE] = c.clock[st.NOW] + delay_ms
    c.run[slot, st.RUN_LEFT] = left
    c.run[slot, st.RUN_RATE] = rate
    c.run[slot, st.RUN_FINISH] = finish_time(c, slot)


@helper
def settle(c: Cluster, slot: int) -> None:
    """Count the work that a running job has done until now."""
    elapsed = c.clock[st.NOW] - c.run[slot, st.RUN_SINCE]
    if elapsed > 0:
        c.run[slot, st.RUN_LEFT] = max(0, c.run[slot, st.RUN_LEFT] - elapsed * c.run[slot, st.RUN_RATE])
        c.run[slot, st.RUN_SINCE] = c.clock[st.NOW]


@helper
def change_rate(c: Cluster, slot: int, rate: int) -> None:
    """Let a running job go on at another rate."""
    if rate != c.run[slot, st.RUN_RATE]:
        settle(c, slot)
        c.run[slot, st.RUN_RATE] = rate
        change_finish(c, slot, finish_time(c, slot))


@helper
def delay(c: Cluster, jobs: Table, settings: Settings, slot: int, milliseconds: int) -> None:
    """Let a running job hold its GPUs for a while without progress."""
    job, pool = c.run[slot, st.RUN_JOB], c.run[slot, st.RUN_POOL]
    c.pool[pool, st.OVERHEAD_MILLI_MS] += jobs[job, st.MILLI] * milliseconds
    if settings.tracks_work:
        settle(c, slot)
        c.run[slot, st.RUN_SINCE] += milliseconds
        change_finish(c, slot, finish_time(c, slot))
    else:
        change_finish(c, slot, c.run[slot, st.RUN_FINISH] + milliseconds)


@helper
def work_lost(jobs: Table, job: int, done: int) -> int:
    """The work since the last checkpoint, all of it where there is none; checkpoints come at equal steps of work."""
    step = jobs[job, st.CHECKPOINT_MS] * st.PPM
    return done % step if step > 0 else done


@helper
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
    job, pool = c.run[slot, st.RUN_JOB], c.run[slot, st.RUN_POOL]
    left = c.run[slot, st.RUN_LEFT]
    if not (has_notice and jobs[job, st.CHECKPOINT_MS] > 0):
        lost = work_lost(jobs, job, jobs[job, st.DURATION_MS] * st.PPM - left)
        c.pool[pool, st.OVERHEAD_MILLI_MS] += lost // st.PPM * jobs[job, st.MILLI]
        left += lost
    c.pool[pool, st.PREEMPTIONS] += 1
    remove_running(c, slot)
    release(c, jobs, pools, settings, slot)
    enqueue(c, jobs, settings, job, left)
