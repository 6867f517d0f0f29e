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
    backlog_pools,
    consolidation_plan,
    emptiable,
    empty_habits,
    empty_memory,
    empty_snapshot,
    note_submission,
    write_arrivals,
    write_price,
    write_setpoint,
)
from envs.gpu_cluster.simulator.reference.consolidation import busy_nodes
from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.power import drawn_uw, event_now
from envs.gpu_cluster.simulator.reference.queue import jobs_over_quota
from envs.gpu_cluster.simulator.reference.state import EDGES_MS, State
from envs.gpu_cluster.simulator.reference.suspension import suspendable, suspended_in
from envs.gpu_cluster.simulator.reference.width import growable, shrinkable
from envs.gpu_cluster.simulator.reference.work import transfer_mb
from envs.gpu_cluster.simulator.state import EVENT_ENDS, EVENT_STARTS, EVENT_UW

WEEK_MS = 7 * 24 * 3600 * 1000


def fill_consolidation(state: State, row: NDArray[np.float64], pool: int) -> None:
    """What could be moved in a pool, and whether it is time."""
    since_ms = state.now - state.consolidated[pool]
    row[Pool.SINCE_CONSOLIDATION_SECONDS] = since_ms / 1000
    if since_ms >= state.problem.settings.consolidation_ms:
        _, known = busy_nodes(state, pool)
        row[Pool.EMPTIABLE_NODES] = len(emptiable(known))
        row[Pool.CONSOLIDATABLE] = len(consolidation_plan(known, only_one=True))


def fill_pool(state: State, snapshot: ClusterSnapshot, pool: int) -> None:
    """Nodes, jobs and levers of a pool."""
    row, nodes = snapshot.pools[pool], state.of_pool(pool)
    row[:] = state.problem.template[pool]
    row[Pool.IDLE_NODES] = sum(node.is_idle for node in nodes)
    row[Pool.BUSY_NODES] = sum(node.is_busy for node in nodes)
    row[Pool.BOOTING_NODES] = sum(node.state == "booting" for node in nodes)
    row[Pool.UNAVAILABLE_NODES] = state.unavailable_nodes(pool)
    if state.in_backoff(pool):  # it shows no capacity to grow
        on = row[[Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.BOOTING_NODES]].sum()
        row[Pool.MAX_NODES], row[Pool.UNAVAILABLE_NODES] = max(row[Pool.MIN_NODES], on), 0.0
    row[Pool.USED_GPUS] = state.used_milli(pool) / 1000
    since_seconds = (state.now - state.setpoints_ms[pool]) / 1000
    interval_seconds = state.problem.settings.interval_ms / 1000
    write_setpoint(row, state.setpoints[pool], state.reserves[pool], since_seconds, interval_seconds)
    shared = sum(share.free_milli for share in state.shares if share.node.pool == pool)
    row[Pool.SHARED_FREE_GPUS] = shared / 1000
    if state.problem.config.codec.consolidation:
        fill_consolidation(state, row, pool)
    if state.problem.settings.has_curves:
        row[Pool.POWER_CAP] = state.power_cap[pool]
    if state.problem.config.codec.elastic_width:
        running = [run for run in state.running if run.pool == pool]
        row[Pool.SHRINKABLE_GPUS] = sum(shrinkable(run) for run in running)
        row[Pool.GROWABLE_GPUS] = sum(growable(state, run) for run in running)
    if state.problem.settings.suspends:
        waiting = suspended_in(state, pool)
        row[Pool.SUSPENDABLE_GPUS] = sum(run.milli for run in suspendable(state, pool)) / 1000
        row[Pool.SUSPENDED_GPUS] = sum(suspended.job.milli for suspended in waiting) / 1000
        next_ms = min((suspended.until_ms for suspended in waiting), default=state.now)
        row[Pool.NEXT_RESUME_SECONDS] = (next_ms - state.now) / 1000
    for index, edge in enumerate(EDGES_MS):
        snapshot.idle_age_nodes[pool, index] = sum(node.is_idle and state.now - node.since_ms >= edge for node in nodes)
    for node in nodes:
        if node.is_busy:
            snapshot.free_nodes[pool, node.free] += 1.0


def fill_backlog(state: State, snapshot: ClusterSnapshot) -> None:
    """Offer each job behind the window its default pool, and sum them up there."""
    tables = state.problem.tables
    behind = [job for job in state.queue[tables.window_slots :] if job.number not in state.over_quota]
    allowed = np.array([allowed_row(state, job) for job in behind]).reshape(-1, tables.max_pools)
    transfer_gb = np.array([transfer_row(state, job) for job in behind]).reshape(allowed.shape)
    gpus, predicted = [job.milli / 1000 for job in behind], [job.predicted_ms / 1000 for job in behind]
    pools = backlog_pools(snapshot, tables, state.plan, gpus, allowed, transfer_gb, predicted)
    state.offers = {job.number: pool for job, pool in zip(behind, pools, strict=True)}
    for pool in range(len(state.totals)):
        milli = sum(job.milli for job in behind if state.offers[job.number] == pool)
        snapshot.pools[pool, Pool.BACKLOG_GPUS] = milli / 1000


def allowed_row(state: State, job: Job) -> NDArray[np.float64]:
    """The relative speed of a job in each pool, 0 where it may not run."""
    row = np.zeros(state.problem.tables.max_pools)
    row[job.pools] = 1.0
    if state.problem.settings.has_curves:
        row[: len(state.totals)] *= state.problem.curves.speed[job.workload] / 1e6
    return row


def transfer_row(state: State, job: Job) -> NDArray[np.float64]:
    """The data that a job would have to bring to each pool, GB."""
    row = np.zeros(state.problem.tables.max_pools)
    row[: len(state.totals)] = [transfer_mb(state, job, pool) / 1000 for pool in range(len(state.totals))]
    return row


def fill_signals(state: State, signals: NDArray[np.float64]) -> None:
    """Time, submissions and sums of the whole cluster."""
    submitted = state.trace[: state.next_job]
    signals[Signal.WEEK_SECONDS] = (state.now + state.problem.settings.week_offset_ms) % WEEK_MS / 1000
    for index, seconds in enumerate(SUBMIT_WINDOWS_SECONDS):
        recent = [job for job in submitted if job.submit_ms > state.now - round(seconds * 1000)]
        signals[Signal.SUBMITTED_GPUS_10MIN + index] = sum(job.milli for job in recent) / 1000
        if seconds == 3600:
            signals[Signal.SUBMITTED_JOBS_1H] = len(recent)
    newest = submitted[-1].submit_ms if submitted else state.start
    signals[Signal.SINCE_SUBMIT_SECONDS] = (state.now - newest) / 1000
    signals[Signal.QUEUE_JOBS] = len(state.queue)
    signals[Signal.QUEUE_GPUS] = sum(job.milli for job in state.queue) / 1000
    signals[Signal.RUNNING_JOBS] = len(state.running)
    signals[Signal.USD_PER_GPU_HOUR] = state.problem.settings.usd_per_gpu_hour
    if state.problem.tables.has_arrivals:
        memory, users = empty_memory(), state.problem.users
        habits = empty_habits(int(users.max()) + 1)
        for job in submitted:
            note_submission(memory, habits[users[job.number]], float(job.submit_ms), job.milli / 1000)
        write_arrivals(memory, float(state.now), signals)


def fill_pool_signals(state: State, pool_signals: NDArray[np.float64]) -> None:
    """What energy costs and emits in each pool, now and as it is expected."""
    outlook = state.problem.prices.outlook
    if len(outlook.edges_ms):
        latest = max(sum(edge <= state.now for edge in outlook.edges_ms.tolist()) - 1, 0)
        pool_signals[: len(state.totals)] = outlook.rows[latest]


def fill_grid(state: State, signals: NDArray[np.float64]) -> None:
    """The power that is drawn, and the budget once it is known."""
    signals[Signal.POWER_WATTS] = drawn_uw(state) / 1e6
    event = event_now(state)
    if event is not None:
        signals[Signal.BUDGET_KNOWN] = 1.0
        signals[Signal.BUDGET_WATTS] = event[EVENT_UW] / 1e6
        signals[Signal.BUDGET_STARTS_SECONDS] = max(0, event[EVENT_STARTS] - state.now) / 1000
        signals[Signal.BUDGET_ENDS_SECONDS] = (event[EVENT_ENDS] - state.now) / 1000


def make_snapshot(state: State) -> ClusterSnapshot:
    """All that a policy is told now."""
    snapshot = empty_snapshot(state.problem.config.codec)
    state.over_quota = jobs_over_quota(state)
    for pool in range(len(state.totals)):
        fill_pool(state, snapshot, pool)
    for slot, job in enumerate(state.queue[: state.problem.tables.window_slots]):
        snapshot.queue[slot, Slot.PRESENT] = 1.0
        snapshot.queue[slot, [Slot.GPUS, Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.milli / 1000
        snapshot.queue[slot, Slot.WAITED_SECONDS] = (state.now - max(job.submit_ms, state.start)) / 1000
        snapshot.queue[slot, Slot.PREDICTED_SECONDS] = job.predicted_ms / 1000
        snapshot.queue[slot, Slot.PRIORITY] = job.priority
        if state.problem.settings.suspends:
            snapshot.queue[slot, Slot.FLEXIBILITY] = job.flexibility
        if state.problem.settings.queue.defers and job.latest_ms > 0:
            slack_ms = job.latest_ms - state.now
            snapshot.queue[slot, Slot.SLACK_SECONDS] = (slack_ms if slack_ms > 0 else slack_ms - 1) / 1000
        if job.number not in state.over_quota:
            snapshot.allowed[slot] = allowed_row(state, job)
        snapshot.transfer_gb[slot] = transfer_row(state, job)
        if state.problem.settings.has_curves:
            snapshot.queue[slot, [Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.min_milli / 1000, job.max_milli / 1000
    fill_signals(state, snapshot.signals)
    fill_pool_signals(state, snapshot.pool_signals)
    if state.problem.settings.has_grid:
        fill_grid(state, snapshot.signals)
    if state.problem.settings.moves_prices:
        for pool, slopes in enumerate(state.problem.slopes):
            write_price(snapshot, pool, state.problem.template[pool, Pool.USD_PER_NODE_HOUR], slopes)
    fill_backlog(state, snapshot)
    return snapshot
