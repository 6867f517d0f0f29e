"""What a policy is told of the cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import (
    SUBMIT_WINDOWS_SECONDS,
    ClusterSnapshot,
    Pool,
    Signal,
    Slot,
    consolidation_plan,
    emptiable,
    empty_snapshot,
)
from envs.gpu_cluster.simulator.reference.consolidation import busy_nodes
from envs.gpu_cluster.simulator.reference.queue import jobs_over_quota
from envs.gpu_cluster.simulator.reference.state import EDGES_MS, State
from envs.gpu_cluster.simulator.reference.width import growable, shrinkable

WEEK_MS = 7 * 24 * 3600 * 1000


def fill_consolidation(c: State, row: NDArray[np.float64], pool: int) -> None:
    """What could be moved in a pool, and whether it is time."""
    since_ms = c.now - c.consolidated[pool]
    row[Pool.SINCE_CONSOLIDATION_SECONDS] = since_ms / 1000
    if since_ms >= c.problem.settings.consolidation_ms:
        _, known = busy_nodes(c, pool)
        row[Pool.EMPTIABLE_NODES] = len(emptiable(known))
        row[Pool.CONSOLIDATABLE] = len(consolidation_plan(known, only_one=True))


def fill_pool(c: State, snapshot: ClusterSnapshot, pool: int) -> None:
    """Nodes, jobs and levers of a pool."""
    row, nodes = snapshot.pools[pool], c.of_pool(pool)
    row[:] = c.problem.template[pool]
    row[Pool.IDLE_NODES] = sum(node.is_idle for node in nodes)
    row[Pool.BUSY_NODES] = sum(node.is_busy for node in nodes)
    row[Pool.BOOTING_NODES] = sum(node.state == "booting" for node in nodes)
    row[Pool.UNAVAILABLE_NODES] = c.unavailable_nodes(pool)
    row[Pool.USED_GPUS] = c.used_milli(pool) / 1000
    shared = sum(share.free_milli for share in c.shares if share.node.pool == pool)
    row[Pool.SHARED_FREE_GPUS] = shared / 1000
    if c.problem.config.codec.consolidation:
        fill_consolidation(c, row, pool)
    if c.problem.settings.has_curves:
        row[Pool.POWER_CAP] = c.power_cap[pool]
    if c.problem.config.codec.elastic_width:
        running = [run for run in c.running if run.pool == pool]
        row[Pool.SHRINKABLE_GPUS] = sum(shrinkable(run) for run in running)
        row[Pool.GROWABLE_GPUS] = sum(growable(c, run) for run in running)
    over_quota = jobs_over_quota(c)
    behind = [job for job in c.queue[c.problem.tables.window_slots :] if job.number not in over_quota]
    row[Pool.BACKLOG_GPUS] = sum(job.milli for job in behind if job.pools[0] == pool) / 1000
    for index, edge in enumerate(EDGES_MS):
        snapshot.idle_age_nodes[pool, index] = sum(node.is_idle and c.now - node.since_ms >= edge for node in nodes)
    for node in nodes:
        if node.is_busy:
            snapshot.free_nodes[pool, node.free] += 1.0


def fill_signals(c: State, signals: NDArray[np.float64]) -> None:
    """Time, submissions and sums of the whole cluster."""
    submitted = c.trace[: c.next_job]
    signals[Signal.WEEK_SECONDS] = (c.now + c.problem.settings.week_offset_ms) % WEEK_MS / 1000
    for index, seconds in enumerate(SUBMIT_WINDOWS_SECONDS):
        recent = [job for job in submitted if job.submit_ms > c.now - round(seconds * 1000)]
        signals[Signal.SUBMITTED_GPUS_10MIN + index] = sum(job.milli for job in recent) / 1000
        if seconds == 3600:
            signals[Signal.SUBMITTED_JOBS_1H] = len(recent)
    newest = submitted[-1].submit_ms if submitted else c.start
    signals[Signal.SINCE_SUBMIT_SECONDS] = (c.now - newest) / 1000
    signals[Signal.QUEUE_JOBS] = len(c.queue)
    signals[Signal.QUEUE_GPUS] = sum(job.milli for job in c.queue) / 1000
    signals[Signal.RUNNING_JOBS] = len(c.running)
    signals[Signal.USD_PER_GPU_HOUR] = c.problem.settings.usd_per_gpu_hour


def make_snapshot(c: State) -> ClusterSnapshot:
    """All that a policy is told now."""
    snapshot = empty_snapshot(c.problem.config.codec)
    over_quota = jobs_over_quota(c)
    for pool in range(len(c.totals)):
        fill_pool(c, snapshot, pool)
    for slot, job in enumerate(c.queue[: c.problem.tables.window_slots]):
        snapshot.queue[slot, Slot.PRESENT] = 1.0
        snapshot.queue[slot, [Slot.GPUS, Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.milli / 1000
        snapshot.queue[slot, Slot.WAITED_SECONDS] = (c.now - max(job.submit_ms, c.start)) / 1000
        snapshot.queue[slot, Slot.PREDICTED_SECONDS] = job.predicted_ms / 1000
        snapshot.queue[slot, Slot.PRIORITY] = job.priority
        if c.problem.settings.queue.defers and job.latest_ms > 0:
            slack_ms = job.latest_ms - c.now
            snapshot.queue[slot, Slot.SLACK_SECONDS] = (slack_ms if slack_ms > 0 else slack_ms - 1) / 1000
        snapshot.allowed[slot, job.pools] = 0.0 if job.number in over_quota else 1.0
        if c.problem.settings.has_curves:
            snapshot.allowed[slot, : len(c.totals)] *= c.problem.curves.speed[job.workload] / 1e6
            snapshot.queue[slot, [Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.min_milli / 1000, job.max_milli / 1000
    fill_signals(c, snapshot.signals)
    return snapshot
