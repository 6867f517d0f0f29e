"""What a look-ahead believes of the future: other arrivals, other run times, written into a trace of its own. Compiled.

The trace is that of a simulator beside the true one, which holds the copies. Rows of jobs that were submitted are the
same in both but for the run times; what comes from now on is what is believed.
"""

from __future__ import annotations

import numpy as np

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.world import World
from envs.gpu_cluster.simulator.state import Cluster


@helper
def copy_jobs(origin: World, first: int, world: World, target: int, count: int, shift: int) -> None:
    """Copy jobs of one trace into another one, `shift` ms later, and what was requested before each."""
    columns = world.jobs.shape[1]
    for row in range(count):
        job = target + row
        before = world.jobs[job, st.MILLI_BEFORE]
        for column in range(columns):
            world.jobs[job, column] = origin.jobs[first + row, column]
        world.jobs[job, st.SUBMIT_MS] += shift
        if columns > st.DEADLINE_MS:
            for column in (st.LATEST_MS, st.DEADLINE_MS):
                if world.jobs[job, column] > 0:
                    world.jobs[job, column] += shift
        world.jobs[job, st.MILLI_BEFORE] = before
        world.jobs[job + 1, st.MILLI_BEFORE] = before + world.jobs[job, st.MILLI]


@rare
def imagine_arrivals(origin: World, cluster: Cluster, world: World, shift: int, horizon: int) -> int:
    """Let the jobs that came `shift` ms ago come again from now on, and then one that never comes.

    Args:
        origin: the true world.
        cluster: one of it.
        world: where they are written.
        shift: ms.
        horizon: how many ms of them.

    Returns:
        How many came.
    """
    now, following = cluster.clock[st.NOW], cluster.clock[st.NEXT_JOB]
    submit = origin.jobs[:following, st.SUBMIT_MS]  # only what was seen by now
    first = np.searchsorted(submit, now - shift, side="right")
    count = np.searchsorted(submit, now - shift + horizon, side="right") - first
    count = min(count, world.jobs.shape[0] - 2 - following)
    world.jobs[following, st.MILLI_BEFORE] = origin.jobs[following, st.MILLI_BEFORE]
    copy_jobs(origin, first, world, following, count, shift)
    world.jobs[following + count, st.SUBMIT_MS] = st.NEVER
    return count


@rare
def forget_arrivals(origin: World, cluster: Cluster, world: World, count: int) -> None:
    """Put the true jobs back where `count` others, and the one that never comes, were imagined."""
    following = cluster.clock[st.NEXT_JOB]
    for job in range(following, min(following + count + 1, origin.jobs.shape[0])):
        for column in range(world.jobs.shape[1]):
            world.jobs[job, column] = origin.jobs[job, column]


@rare
def extend_run_times(origin: World, cluster: Cluster, world: World) -> None:
    """Believe of a job that has run for longer than it was believed to that it runs for twice as long as believed."""
    now = cluster.clock[st.NOW]
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        row = cluster.run[slot]
        job, left_ms = row[st.RUN_JOB], row[st.RUN_FINISH] - now
        if world.settings.tracks_work:
            left = row[st.RUN_LEFT] - max(0, now - row[st.RUN_SINCE]) * row[st.RUN_RATE]
            left_ms = max(0, left) // st.PPM
        done_ms = origin.jobs[job, st.DURATION_MS] - left_ms
        while world.jobs[job, st.DURATION_MS] <= done_ms:
            world.jobs[job, st.DURATION_MS] = max(1, 2 * world.jobs[job, st.DURATION_MS])
