"""Time in a cluster: what happens next, and running to the next decision. Compiled."""

from __future__ import annotations

import numpy as np

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.charges import book_piece, charge_energy, set_piece_end
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.events import enqueue, finish_job, integrate, next_age, next_ready
from envs.gpu_cluster.simulator.kernels.grid import find_event
from envs.gpu_cluster.simulator.kernels.invariants import check
from envs.gpu_cluster.simulator.kernels.nodes import end_boot, in_backoff, node_events
from envs.gpu_cluster.simulator.kernels.suspension import end_suspensions
from envs.gpu_cluster.simulator.kernels.world import World
from envs.gpu_cluster.simulator.outlook import Outlook
from envs.gpu_cluster.simulator.queues import count_deferred
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

decision_time = codec["decision_time"]


@helper
def next_event(cluster: Cluster, jobs: Table, pools: Table, settings: Settings) -> int:
    """When a job ends, comes, has to start or go on; a node boots, fails, goes or comes; backoff or event changes."""
    time = cluster.clock[st.NEXT_NODE_EVENT] if settings.is_stochastic else st.NEVER
    if cluster.clock[st.RUNNING] > 0:
        time = min(time, cluster.heap[0, st.HEAP_FINISH])
    if cluster.clock[st.NEXT_JOB] < cluster.clock[st.LAST_JOB]:
        time = min(time, jobs[cluster.clock[st.NEXT_JOB], st.SUBMIT_MS])
    for pool in range(cluster.pool.shape[0]):
        time = min(time, next_ready(cluster, pools, pool))
        if settings.is_stochastic and in_backoff(cluster, pool):
            time = min(time, cluster.pool[pool, st.BACKOFF_UNTIL_MS])
    if settings.queue.defers:
        time = min(time, cluster.clock[st.NEXT_LATEST])
    if settings.suspends:
        time = min(time, cluster.clock[st.NEXT_RESUME])
    if settings.has_grid:
        time = min(time, cluster.clock[st.NEXT_GRID])
    return time


@helper
def next_change(cluster: Cluster, outlook: Outlook) -> int:
    """When a policy is told something else of the energy than now."""
    at = np.searchsorted(outlook.edges_ms, cluster.clock[st.NOW], side="right")
    return outlook.edges_ms[at] if at < outlook.edges_ms.shape[0] else st.NEVER


@helper
def process(cluster: Cluster, jobs: Table, pools: Table, events: Table, settings: Settings, time: int) -> None:
    """Let all of this moment happen: jobs end; nodes fail, go or come back; boots end; jobs go on or are submitted."""
    # This order is part of what the simulator means: a job that ends when its node fails has ended, and one that is
    # submitted when GPUs become free finds them free.
    while cluster.clock[st.RUNNING] > 0 and cluster.heap[0, st.HEAP_FINISH] <= time:
        finish_job(cluster, jobs, pools, settings)
    if settings.is_stochastic and cluster.clock[st.NEXT_NODE_EVENT] <= time:
        node_events(cluster, jobs, pools, settings)
    for pool in range(cluster.pool.shape[0]):
        while next_ready(cluster, pools, pool) <= time:
            end_boot(cluster, pools, settings, pool)
    if settings.suspends and cluster.clock[st.NEXT_RESUME] <= time:
        end_suspensions(cluster, jobs, settings)
    while (
        cluster.clock[st.NEXT_JOB] < cluster.clock[st.LAST_JOB]
        and jobs[cluster.clock[st.NEXT_JOB], st.SUBMIT_MS] <= time
    ):
        enqueue(
            cluster,
            jobs,
            settings,
            cluster.clock[st.NEXT_JOB],
            jobs[cluster.clock[st.NEXT_JOB], st.DURATION_MS] * st.PPM,
        )
        cluster.clock[st.NEXT_JOB] += 1
    if settings.queue.defers and cluster.clock[st.NEXT_LATEST] <= time:
        count_deferred(cluster, jobs, settings)
    if settings.has_grid and cluster.clock[st.NEXT_GRID] <= time:
        find_event(cluster, events)


@helper
def pass_time(world: World, index: int, cluster: Cluster, until: int) -> None:
    """Let time pass in which nothing happens but that a new piece of the tariff may begin."""
    while cluster.clock[st.PIECE_END] <= until:
        integrate(cluster, world.pools, world.settings, cluster.clock[st.PIECE_END])
        charge_energy(world, index, cluster)
        book_piece(world, index, cluster)
        cluster.clock[st.PIECE] += 1
        set_piece_end(world, cluster)
    integrate(cluster, world.pools, world.settings, until)


@helper
def is_finished(cluster: Cluster, settings: Settings) -> bool:
    """Whether every job of the episode has ended."""
    if settings.suspends and cluster.clock[st.SUSPENDED] > 0:
        return False
    return (
        cluster.clock[st.NEXT_JOB] == cluster.clock[st.LAST_JOB]
        and cluster.clock[st.PENDING_MILLI] == 0
        and cluster.clock[st.RUNNING] == 0
    )


@helper
def advance(world: World, index: int, cluster: Cluster) -> None:
    """Run to the next decision, or to the end of the episode.

    The next decision follows the first event after the last one: a job ends or is submitted, something happens to a
    node, an idle node passes an age, a policy is told something else of the energy. But at least `settle_ms` and at
    most `resync_ms` after the last decision.
    """
    jobs, pools, settings = world.jobs, world.pools, world.settings
    start = cluster.clock[st.NOW]
    earliest = start + settings.settle_ms
    event = next_event(cluster, jobs, pools, settings)
    decision = earliest
    if event > earliest:  # ages are looked up only then, for that takes a bisection of each pool
        event_or_age = min(event, next_age(cluster, pools))
        if world.outlook.edges_ms.shape[0] > 0:
            event_or_age = min(event_or_age, next_change(cluster, world.outlook))
        decision = decision_time(start, event_or_age, settings.settle_ms, settings.resync_ms)
    if decision >= cluster.clock[st.EPISODE_END]:
        decision = cluster.clock[st.EPISODE_END]
        cluster.clock[st.TRUNCATED] = 1
    while event <= decision:
        pass_time(world, index, cluster, event)
        process(cluster, jobs, pools, world.events, settings, event)
        if settings.debug:
            check(cluster, jobs, pools, settings)
        if is_finished(cluster, settings):
            cluster.clock[st.DONE] = 1
            cluster.clock[st.TRUNCATED] = 0
            return
        event = next_event(cluster, jobs, pools, settings)
    pass_time(world, index, cluster, decision)
    cluster.clock[st.DONE] = cluster.clock[st.TRUNCATED]
