"""What the codec reads of a cluster: pools, queue and signals of a snapshot. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS, SUBMIT_WINDOWS_SECONDS, ClusterSnapshot, Pool, Signal, Slot
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.kernels.events import EDGES_MS, idle_for
from envs.gpu_cluster.simulator.kernels.moves import count_emptiable, first_to_empty, is_due
from envs.gpu_cluster.simulator.kernels.nodes import in_backoff
from envs.gpu_cluster.simulator.kernels.power import drawn_uw
from envs.gpu_cluster.simulator.kernels.rates import growable, shrinkable
from envs.gpu_cluster.simulator.kernels.suspension import fill_suspension
from envs.gpu_cluster.simulator.kernels.work import transfer_mb
from envs.gpu_cluster.simulator.outlook import Outlook
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

write_setpoint, write_price = codec["write_setpoint"], codec["write_price"]

EDGES = len(IDLE_AGE_EDGES_SECONDS)
SUBMIT_WINDOWS = len(SUBMIT_WINDOWS_SECONDS)
SUBMIT_WINDOWS_MS = tuple(round(seconds * 1000) for seconds in SUBMIT_WINDOWS_SECONDS)
WEEK_MS = 7 * 86_400_000


@helper
def fill_consolidation(
    cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, out: NDArray[np.float64]
) -> None:
    """Write what the consolidation lever needs to know of a pool."""
    out[Pool.SINCE_CONSOLIDATION_SECONDS] = (cluster.clock[st.NOW] - cluster.pool[pool, st.CONSOLIDATED_MS]) / 1000.0
    out[Pool.EMPTIABLE_NODES], out[Pool.CONSOLIDATABLE] = 0.0, 0.0
    if is_due(cluster, settings, pool):
        out[Pool.EMPTIABLE_NODES] = count_emptiable(cluster, pools, pool)
        out[Pool.CONSOLIDATABLE] = 1.0 if first_to_empty(cluster, jobs, pools, settings, pool) >= 0 else 0.0


@helper
def fill_setpoint(cluster: Cluster, settings: Settings, pool: int, out: NDArray[np.float64]) -> None:
    """Write the setpoint and the reserve in force in a pool, and whether they are held."""
    row = cluster.pool[pool]
    since_ms = cluster.clock[st.NOW] - row[st.SETPOINT_MS]
    write_setpoint(out, row[st.SETPOINT], row[st.RESERVE], since_ms / 1000.0, settings.interval_ms / 1000.0)


@helper
def fill_width(
    cluster: Cluster, jobs: Table, pools: Table, settings: Settings, pool: int, out: NDArray[np.float64]
) -> None:
    """Write what the width lever needs to know of a pool; what each job could take is counted alone."""
    out[Pool.SHRINKABLE_GPUS], out[Pool.GROWABLE_GPUS] = 0.0, 0.0
    for index in range(cluster.clock[st.RUNNING]):
        slot = cluster.heap[index, st.HEAP_SLOT]
        if cluster.run[slot, st.RUN_POOL] == pool:
            out[Pool.SHRINKABLE_GPUS] += shrinkable(cluster, jobs, pools, slot)
            out[Pool.GROWABLE_GPUS] += growable(cluster, jobs, pools, settings, slot)


@helper
def fill_limits(cluster: Cluster, pools: Table, settings: Settings, pool: int, out: NDArray[np.float64]) -> None:
    """Write what a pool can have on now; in backoff it shows no capacity to grow. The counts of nodes are written."""
    row = cluster.pool[pool]
    out[Pool.MAX_NODES], out[Pool.UNAVAILABLE_NODES] = pools[pool, st.MAX_NODES], row[st.DRAINING] + row[st.DOWN]
    if settings.is_stochastic and in_backoff(cluster, pool):
        nodes = out[Pool.IDLE_NODES] + out[Pool.BUSY_NODES] + out[Pool.BOOTING_NODES]
        out[Pool.MAX_NODES], out[Pool.UNAVAILABLE_NODES] = max(out[Pool.MIN_NODES], nodes), 0.0


@helper
def fill_pools(
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    settings: Settings,
    template: NDArray[np.float64],
    snapshot: ClusterSnapshot,
) -> None:
    """Write the pools of the snapshot."""
    for pool in range(pools.shape[0]):
        row, out = cluster.pool[pool], snapshot.pools[pool]
        for column in range(out.shape[0]):
            out[column] = template[pool, column]
        idle = row[st.IDLE_TAIL] - row[st.IDLE_HEAD]
        out[Pool.IDLE_NODES] = idle
        out[Pool.BUSY_NODES] = row[st.BUSY]
        out[Pool.BOOTING_NODES] = row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
        fill_limits(cluster, pools, settings, pool, out)
        out[Pool.USED_GPUS] = row[st.USED_MILLI] / 1000.0
        out[Pool.SHARED_FREE_GPUS] = row[st.SHARED_FREE_MILLI] / 1000.0
        fill_setpoint(cluster, settings, pool, out)
        if settings.moves_jobs:
            fill_consolidation(cluster, jobs, pools, settings, pool, out)
        if settings.has_curves:
            out[Pool.POWER_CAP] = row[st.POWER_CAP]
        if settings.resizes_jobs:
            fill_width(cluster, jobs, pools, settings, pool, out)
        if settings.suspends:
            fill_suspension(cluster, jobs, settings, pool, out)
        for edge in range(EDGES):
            if idle > 0:
                idle = idle_for(cluster, pools, pool, EDGES_MS[edge], idle)
            snapshot.idle_age_nodes[pool, edge] = idle
        for free in range(pools[pool, st.GPUS] + 1):
            snapshot.free_nodes[pool, free] = row[st.FREE_COUNT + free]


@helper
def fill_hints(cluster: Cluster, jobs: Table, settings: Settings, job: int, out: NDArray[np.float64]) -> None:
    """Write what is known of a waiting job beyond its size."""
    out[Slot.SLACK_SECONDS] = 0.0
    if settings.queue.defers and jobs[job, st.LATEST_MS] > 0:
        slack_ms = jobs[job, st.LATEST_MS] - cluster.clock[st.NOW]
        # 0 says that the job may not be deferred, so one whose latest start is now is a millisecond late.
        out[Slot.SLACK_SECONDS] = (slack_ms if slack_ms > 0 else slack_ms - 1) / 1000.0
    out[Slot.PREDICTED_SECONDS] = jobs[job, st.PREDICTED_MS] / 1000.0
    out[Slot.PRIORITY] = jobs[job, st.PRIORITY]


@helper
def fill_allowed(
    jobs: Table, curves: Table, settings: Settings, job: int, pools: int, out: NDArray[np.float64]
) -> None:
    """Write the relative speed of a job in each pool, 0 where it may not run."""
    for pool in range(pools):
        out[pool] = (jobs[job, st.ALLOWED_BITS] >> pool) & 1
        if settings.has_curves:
            out[pool] *= curves[jobs[job, st.WORKLOAD], pool] / 1e6


@helper
def fill_transfer(cluster: Cluster, jobs: Table, job: int, pools: int, out: NDArray[np.float64]) -> None:
    """Write the data that a job would have to bring to each pool, in GB."""
    for pool in range(pools):
        out[pool] = transfer_mb(cluster, jobs, job, pool) / 1000.0


@helper
def clear_slot(snapshot: ClusterSnapshot, slot: int, pools: int) -> None:
    """Write that no job waits in a slot."""
    snapshot.queue[slot] = 0.0
    for pool in range(pools):
        snapshot.allowed[slot, pool] = 0.0
        snapshot.transfer_gb[slot, pool] = 0.0


@helper
def fill_queue(
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    curves: Table,
    settings: Settings,
    snapshot: ClusterSnapshot,
    slots: int,
) -> None:
    """Write the first `slots` slots of the queue window, and the backlog behind it, in thousandths of a GPU."""
    head, tail = cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]
    for pool in range(pools.shape[0]):
        snapshot.pools[pool, Pool.BACKLOG_GPUS] = cluster.pool[pool, st.PENDING_DEFAULT_MILLI]
    for slot in range(slots):
        out = snapshot.queue[slot]
        if head + slot >= tail:
            clear_slot(snapshot, slot, pools.shape[0])
            continue
        job = cluster.queue[head + slot, st.QUEUE_JOB]
        submitted = max(jobs[job, st.SUBMIT_MS], cluster.clock[st.EPISODE_START])
        out[Slot.PRESENT] = 1.0
        out[Slot.GPUS] = out[Slot.MIN_GPUS] = out[Slot.MAX_GPUS] = jobs[job, st.MILLI] / 1000.0
        out[Slot.WAITED_SECONDS] = (cluster.clock[st.NOW] - submitted) / 1000.0
        if settings.suspends:
            out[Slot.FLEXIBILITY] = jobs[job, st.FLAGS] >> st.TIER_SHIFT
        if settings.queue.has_facts:
            fill_hints(cluster, jobs, settings, job, out)
        is_over_quota = settings.queue.has_quotas and cluster.queue[head + slot, st.QUEUE_POOL] < 0
        fill_allowed(jobs, curves, settings, job, pools.shape[0], snapshot.allowed[slot])
        if is_over_quota:
            snapshot.allowed[slot] = 0.0
        if settings.transfers:
            fill_transfer(cluster, jobs, job, pools.shape[0], snapshot.transfer_gb[slot])
        if settings.has_curves:
            out[Slot.MIN_GPUS], out[Slot.MAX_GPUS] = jobs[job, st.MIN_MILLI] / 1000.0, jobs[job, st.MAX_MILLI] / 1000.0
        snapshot.pools[jobs[job, st.DEFAULT_POOL], Pool.BACKLOG_GPUS] -= jobs[job, st.MILLI]
    if settings.queue.has_quotas:
        for at in range(head + snapshot.queue.shape[0], tail):
            if cluster.queue[at, st.QUEUE_POOL] < 0:
                job = cluster.queue[at, st.QUEUE_JOB]
                snapshot.pools[jobs[job, st.DEFAULT_POOL], Pool.BACKLOG_GPUS] -= jobs[job, st.MILLI]


@helper
def fill_grid(cluster: Cluster, pools: Table, signals: NDArray[np.float64]) -> None:
    """Write the power that is drawn, and the budget once it is known."""
    now, is_known = cluster.clock[st.NOW], cluster.clock[st.GRID_PHASE] >= st.KNOWN
    signals[Signal.POWER_WATTS] = drawn_uw(cluster, pools) / 1e6
    signals[Signal.BUDGET_KNOWN] = 1.0 if is_known else 0.0
    signals[Signal.BUDGET_WATTS] = cluster.clock[st.BUDGET_UW] / 1e6 if is_known else 0.0
    signals[Signal.BUDGET_STARTS_SECONDS] = max(0, cluster.clock[st.GRID_START] - now) / 1000.0 if is_known else 0.0
    signals[Signal.BUDGET_ENDS_SECONDS] = (cluster.clock[st.GRID_END] - now) / 1000.0 if is_known else 0.0


@helper
def fill_signals(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, signals: NDArray[np.float64]) -> None:
    """Write the signals of the snapshot."""
    now, submitted = cluster.clock[st.NOW], cluster.clock[st.NEXT_JOB]
    signals[Signal.WEEK_SECONDS] = (now + settings.week_offset_ms) % WEEK_MS / 1000.0
    for window in range(SUBMIT_WINDOWS):
        # The window only moves forward, so its oldest job is kept, and what was submitted in it is one difference.
        oldest = cluster.clock[st.SUBMIT_WINDOW + window]
        while oldest < submitted and jobs[oldest, st.SUBMIT_MS] <= now - SUBMIT_WINDOWS_MS[window]:
            oldest += 1
        cluster.clock[st.SUBMIT_WINDOW + window] = oldest
        milli = jobs[submitted, st.MILLI_BEFORE] - jobs[oldest, st.MILLI_BEFORE]
        signals[Signal.SUBMITTED_GPUS_10MIN + window] = milli / 1000.0
    signals[Signal.SUBMITTED_JOBS_1H] = submitted - cluster.clock[st.SUBMIT_WINDOW + 1]
    newest = jobs[submitted - 1, st.SUBMIT_MS] if submitted > 0 else cluster.clock[st.EPISODE_START]
    signals[Signal.SINCE_SUBMIT_SECONDS] = (now - newest) / 1000.0
    signals[Signal.QUEUE_JOBS] = cluster.clock[st.QUEUE_TAIL] - cluster.clock[st.QUEUE_HEAD]
    signals[Signal.QUEUE_GPUS] = cluster.clock[st.PENDING_MILLI] / 1000.0
    signals[Signal.RUNNING_JOBS] = cluster.clock[st.RUNNING]
    signals[Signal.USD_PER_GPU_HOUR] = settings.usd_per_gpu_hour
    if settings.has_grid:
        fill_grid(cluster, pools, signals)


@helper
def fill_prices(template: NDArray[np.float64], slopes: NDArray[np.float64], snapshot: ClusterSnapshot) -> None:
    """Write the prices by which jobs are placed now; nodes and signals are written."""
    for pool in range(slopes.shape[0]):
        write_price(snapshot, pool, template[pool, Pool.USD_PER_NODE_HOUR], slopes[pool])


@helper
def fill_pool_signals(cluster: Cluster, outlook: Outlook, out: NDArray[np.float64]) -> None:
    """Write what energy costs and emits in each pool, now and as it is expected."""
    if outlook.edges_ms.shape[0] > 0:
        at = max(np.searchsorted(outlook.edges_ms, cluster.clock[st.NOW], side="right") - 1, 0)
        for pool in range(outlook.rows.shape[1]):
            for column in range(outlook.rows.shape[2]):
                out[pool, column] = outlook.rows[at, pool, column]
