"""Time in a cluster: what happens next, and running to the next decision. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.events import enqueue, finish_job, integrate, next_age, next_ready
from envs.gpu_cluster.simulator.kernels.invariants import check
from envs.gpu_cluster.simulator.kernels.nodes import end_boot, node_events
from envs.gpu_cluster.simulator.queues import count_deferred
from envs.gpu_cluster.simulator.state import Cluster, Settings, Table


@helper
def next_event(c: Cluster, jobs: Table, pools: Table, settings: Settings) -> int:
    """When the next job ends, node boots, fails, goes or comes back, job is submitted or latest start comes."""
    time = c.clock[st.NEXT_NODE_EVENT] if settings.is_stochastic else st.NEVER
    if c.clock[st.RUNNING] > 0:
        time = min(time, c.heap[0, st.HEAP_FINISH])
    if c.clock[st.NEXT_JOB] < c.clock[st.LAST_JOB]:
        time = min(time, jobs[c.clock[st.NEXT_JOB], st.SUBMIT_MS])
    for pool in range(c.pool.shape[0]):
        time = min(time, next_ready(c, pools, pool))
    if settings.queue.defers:
        time = min(time, c.clock[st.NEXT_LATEST])
    return time


@helper
def process(c: Cluster, jobs: Table, pools: Table, settings: Settings, time: int) -> None:
    """Let everything of one moment happen: jobs end; nodes fail, go or come back; boots end; jobs are submitted."""
    integrate(c, settings, time)
    while c.clock[st.RUNNING] > 0 and c.heap[0, st.HEAP_FINISH] <= time:
        finish_job(c, jobs, pools, settings)
    if settings.is_stochastic and c.clock[st.NEXT_NODE_EVENT] <= time:
        node_events(c, jobs, pools, settings)
    for pool in range(c.pool.shape[0]):
        while next_ready(c, pools, pool) <= time:
            end_boot(c, pools, settings, pool)
    while c.clock[st.NEXT_JOB] < c.clock[st.LAST_JOB] and jobs[c.clock[st.NEXT_JOB], st.SUBMIT_MS] <= time:
        enqueue(c, jobs, settings, c.clock[st.NEXT_JOB], jobs[c.clock[st.NEXT_JOB], st.DURATION_MS] * st.PPM)
        c.clock[st.NEXT_JOB] += 1
    if settings.queue.defers and c.clock[st.NEXT_LATEST] <= time:
        count_deferred(c, jobs, settings)


@helper
def is_finished(c: Cluster) -> bool:
    """Whether every job of the episode has ended."""
    return c.clock[st.NEXT_JOB] == c.clock[st.LAST_JOB] and c.clock[st.PENDING_MILLI] == 0 and c.clock[st.RUNNING] == 0


@helper
def advance(c: Cluster, jobs: Table, pools: Table, settings: Settings) -> None:
    """Run to the next decision, or to the end of the episode.

    The next decision follows the first event after the last one: a job ends or is submitted, something happens to a
    node, an idle node passes an age. But at least `decision_ms` and at most `resync_ms` after the last decision.
    """
    start = c.clock[st.NOW]
    earliest = start + settings.decision_ms
    event = next_event(c, jobs, pools, settings)
    decision = earliest
    if event > earliest:
        decision = min(max(earliest, min(event, next_age(c, pools))), start + settings.resync_ms)
    if decision >= c.clock[st.EPISODE_END]:
        decision = c.clock[st.EPISODE_END]
        c.clock[st.TRUNCATED] = 1
    while event <= decision:
        process(c, jobs, pools, settings, event)
        if settings.debug:
            check(c, jobs, pools, settings)
        if is_finished(c):
            c.clock[st.DONE] = 1
            c.clock[st.TRUNCATED] = 0
            return
        event = next_event(c, jobs, pools, settings)
    integrate(c, settings, decision)
    c.clock[st.DONE] = c.clock[st.TRUNCATED]
