"""From a `ClusterView` to the arrays that the codec reads: the same meaning, to the bit, as the simulator's.

Times are compared in whole milliseconds and GPUs in thousandths, as there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrails.movable import Movable
from autoscaler.live.guardrails.suspendable import Suspendable, flexibility
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.objects import NodeState, SuspendedBy
from autoscaler.live.policy.pool_signals import UnknownSignals
from autoscaler.live.policy.setpoints import Setpoints
from autoscaler.live.view.nodes import free_gpus, is_returning, shared_free_milli
from autoscaler.live.view.submissions import Submissions, milliseconds
from envs.gpu_cluster.codec import (
    IDLE_AGE_EDGES_SECONDS,
    NO_SETPOINT,
    SUBMIT_WINDOWS_SECONDS,
    ClusterSnapshot,
    Pool,
    Signal,
    Slot,
    backlog_pools,
    consolidation_plan,
    emptiable,
    empty_plan,
    empty_snapshot,
    write_price,
    write_setpoint,
)

DAY_MILLISECONDS = 86_400_000


def window(view: ClusterView, config: LiveConfig) -> tuple[GangView, ...]:
    """The gangs that the policy places one by one, slot by slot."""
    return view.queue[: config.codec.window_slots]


def fill_snapshot(
    view: ClusterView,
    submissions: Submissions,
    config: LiveConfig,
    unseen_orders: Mapping[str, int] | None = None,
    full_pools: Collection[str] = (),
    consolidated: Mapping[str, float] | None = None,
    setpoints: Setpoints | None = None,
    pool_signals: NDArray[np.float64] | None = None,
    suspended: Collection[str] = (),
) -> ClusterSnapshot:
    """The snapshot of a view, but for the jobs behind the window: see `plan_backlog`.

    Args:
        view: the cluster.
        submissions: what was submitted.
        config: pools and prices.
        unseen_orders: nodes by pool that were ordered and that the view does not show yet; they boot.
        full_pools: pools that cannot grow now, because their provider failed; they show no capacity to grow.
        consolidated: when jobs of a pool were last moved, by pool; where it is missing, now.
        setpoints: which are in force, by pool; where it is missing, none is.
        pool_signals: [P, POOL_SIGNALS] float64, see `PoolSignals.signals_now`; None: no signal is known.
        suspended: uids of jobs that were suspended and that the view does not show as such yet.
    """
    snapshot = empty_snapshot(config.codec)
    for pool in view.pools:
        _fill_pool(pool, config.pools[pool.index], view.now_seconds, snapshot)
        hidden = (unseen_orders or {}).get(pool.name, 0) + sum(is_returning(node) for node in pool.nodes)
        row = snapshot.pools[pool.index]
        row[Pool.BOOTING_NODES] += hidden
        row[Pool.UNAVAILABLE_NODES] = _unavailable(pool, config.pools[pool.index], hidden)
        if pool.name in full_pools:
            row[Pool.MAX_NODES] = max(config.pools[pool.index].min_nodes, pool.decided_nodes + hidden)
            row[Pool.UNAVAILABLE_NODES] = 0.0  # they have no place in it
    _fill_setpoints(view, config, setpoints or {}, snapshot)
    if config.codec.consolidation:
        _fill_consolidation(view, config, consolidated or {}, snapshot)
    if config.codec.suspension:
        _fill_suspension(view, config, suspended, snapshot)
    _fill_queue(view, config, snapshot)
    _add_pods_to_come(view, snapshot)
    _fill_signals(view, submissions, config, snapshot.signals)
    _fill_prices(config, snapshot)
    if config.codec.signals:
        rows = UnknownSignals(config).signals_now(view.now_seconds) if pool_signals is None else pool_signals
        snapshot.pool_signals[: len(config.pools)] = rows
    return snapshot


def _fill_pool(pool: PoolView, settings: LivePool, now_seconds: float, snapshot: ClusterSnapshot) -> None:
    row = snapshot.pools[pool.index]
    row[Pool.PRESENT] = 1.0
    row[Pool.GPUS_PER_NODE] = settings.gpus_per_node
    row[Pool.MIN_NODES], row[Pool.MAX_NODES] = settings.min_nodes, settings.max_nodes
    row[Pool.BOOT_SECONDS] = settings.boot_seconds
    watts, pue = settings.power.watts(settings.gpus_per_node), settings.power.pue
    row[Pool.IDLE_NODE_WATTS] = pue * watts.idle_node
    row[Pool.BUSY_GPU_WATTS] = pue * (watts.busy_gpu - watts.unused_gpu)
    row[Pool.USD_PER_KWH] = settings.usd_per_kwh
    row[Pool.USD_PER_NODE_HOUR] = settings.usd_per_node_hour + settings.placement_usd_per_node_hour
    row[Pool.TRANSFER_SECONDS_PER_GB : Pool.TRANSFER_USD_PER_GB + 1] = astuple(settings.transfer)
    idle, busy = pool.in_state(NodeState.IDLE), pool.in_state(NodeState.BUSY)
    row[Pool.IDLE_NODES] = len(idle)
    row[Pool.BUSY_NODES] = len(busy)
    row[Pool.BOOTING_NODES] = len(pool.in_state(NodeState.BOOTING)) + len(pool.orders)
    row[Pool.USED_GPUS] = sum(node.used_gpu_milli for node in busy) / 1000.0
    row[Pool.SHARED_FREE_GPUS] = sum(shared_free_milli(node, settings) for node in busy) / 1000.0
    now = milliseconds(now_seconds)
    for node in idle:
        since = now if node.idle_since_seconds is None else milliseconds(node.idle_since_seconds)
        for edge, age in enumerate(IDLE_AGE_EDGES_SECONDS):
            snapshot.idle_age_nodes[pool.index, edge] += now - since >= milliseconds(age)
    for node in busy:
        snapshot.free_nodes[pool.index, free_gpus(node, settings)] += 1.0


def _unavailable(pool: PoolView, settings: LivePool, hidden: int) -> int:
    """Places that nodes hold which do not work for us: broken, closed by others, or leaving.

    At most those that are left, so that a pool that has more than its most nodes gives up no good one for a broken one.
    """
    lost = pool.in_state(NodeState.UNREADY, NodeState.CORDONED, NodeState.DRAINING)
    held = sum(not is_returning(node) for node in lost)
    return min(held, max(0, settings.max_nodes - pool.decided_nodes - hidden))


def _fill_setpoints(view: ClusterView, config: LiveConfig, setpoints: Setpoints, snapshot: ClusterSnapshot) -> None:
    for pool in view.pools:
        setpoint, reserve, since = setpoints.get(pool.name, (NO_SETPOINT, 0, view.now_seconds))
        elapsed = max(0, milliseconds(view.now_seconds) - milliseconds(since)) / 1000.0
        write_setpoint(snapshot.pools[pool.index], setpoint, reserve, elapsed, config.decision_interval_seconds)


def _fill_consolidation(
    view: ClusterView, config: LiveConfig, consolidated: Mapping[str, float], snapshot: ClusterSnapshot
) -> None:
    movable = Movable(view, config.guardrails.protection)
    interval = milliseconds(config.codec.consolidation_interval_seconds)
    for pool in view.pools:
        row = snapshot.pools[pool.index]
        last = consolidated.get(pool.name, view.now_seconds)
        since = max(0, milliseconds(view.now_seconds) - milliseconds(last))
        row[Pool.SINCE_CONSOLIDATION_SECONDS] = since / 1000.0
        if since >= interval:
            busy = movable.busy(pool, config.pools[pool.index])
            known = [each.known for each in busy]
            row[Pool.EMPTIABLE_NODES] = len(emptiable(known))
            row[Pool.CONSOLIDATABLE] = len(consolidation_plan(known, only_one=True))


def _fill_suspension(view: ClusterView, config: LiveConfig, unseen: Collection[str], snapshot: ClusterSnapshot) -> None:
    """What the lever may suspend, and what it did: a job that a grid event suspended is not the policy's."""
    held = Suspendable(view, config, unseen).policy_gpu_milli()
    for pool in view.pools:
        row = snapshot.pools[pool.index]
        row[Pool.SUSPENDABLE_GPUS] = held[pool.name] / 1000.0
        waiting = [
            job for job in view.suspended if job.suspended and job.by is SuspendedBy.POLICY and job.pool == pool.name
        ]
        if waiting:
            row[Pool.SUSPENDED_GPUS] = sum(job.gpu_milli for job in waiting) / 1000.0
            until = min(milliseconds(job.until_seconds) for job in waiting)
            row[Pool.NEXT_RESUME_SECONDS] = max(0, until - milliseconds(view.now_seconds)) / 1000.0


def _fill_queue(view: ClusterView, config: LiveConfig, snapshot: ClusterSnapshot) -> None:
    rows = {pool.name: pool.index for pool in view.pools}
    now = milliseconds(view.now_seconds)
    slots = window(view, config)
    for slot, gang in enumerate(slots):
        row = snapshot.queue[slot]
        row[Slot.PRESENT] = 1.0
        row[[Slot.GPUS, Slot.MIN_GPUS, Slot.MAX_GPUS]] = gang.pending_gpu_milli / 1000.0
        row[Slot.WAITED_SECONDS] = max(0, now - milliseconds(gang.submitted_seconds)) / 1000.0
        row[Slot.PREDICTED_SECONDS] = milliseconds(gang.predicted_seconds) / 1000.0
        row[Slot.PRIORITY] = gang.priority
        if config.codec.suspension:
            row[Slot.FLEXIBILITY] = flexibility(gang)
        if gang.latest_start_seconds is not None:
            slack = milliseconds(gang.latest_start_seconds) - now
            row[Slot.SLACK_SECONDS] = (slack if slack > 0 else slack - 1) / 1000.0
        for pool in gang.allowed_pools:
            snapshot.allowed[slot, rows[pool]] = 1.0
        snapshot.transfer_gb[slot] = _transfer_gb(gang, config)


def _transfer_gb(gang: GangView, config: LiveConfig) -> NDArray[np.float64]:
    """[P] float64, the data that would have to come to each pool; none of a gang that names no region of the config."""
    row = np.zeros(config.codec.max_pools)
    if any(region.name == gang.data_region for region in config.signals.regions):
        for index, pool in enumerate(config.pools):
            region = config.region_of(pool)
            if region is not None and region.name != gang.data_region:
                row[index] = round(gang.data_gb * 1000.0) / 1000.0  # MB, as the simulator counts
    return row


def plan_backlog(view: ClusterView, config: LiveConfig, snapshot: ClusterSnapshot) -> ClusterView:
    """Give each gang behind the window its default pool, and write what they request of each pool.

    Args:
        view: the cluster.
        config: the codec layout.
        snapshot: of this view, otherwise filled; they are added to its column BACKLOG_GPUS.

    Returns:
        The view with `GangView.default_pool` of these gangs.
    """
    rows = {pool.name: pool.index for pool in view.pools}
    first = len(window(view, config))
    behind = view.queue[first:]
    allowed = np.zeros((len(behind), config.codec.max_pools))
    for row, gang in zip(allowed, behind, strict=True):
        row[[rows[pool] for pool in gang.allowed_pools]] = 1.0
    transfer_gb = np.zeros_like(allowed)
    for row, gang in zip(transfer_gb, behind, strict=True):
        row[:] = _transfer_gb(gang, config)
    gpus = [gang.pending_gpu_milli / 1000.0 for gang in behind]
    predicted = [milliseconds(gang.predicted_seconds) / 1000.0 for gang in behind]
    tables, plan = config.codec.tables(), empty_plan(config.codec)
    pools = backlog_pools(snapshot, tables, plan, gpus, allowed, transfer_gb, predicted)
    backlog = np.zeros(len(view.pools), np.int64)
    for gang, pool in zip(behind, pools, strict=True):
        backlog[pool] += gang.pending_gpu_milli
    # What pods to come of gangs that have begun will use stands there already.
    snapshot.pools[: len(view.pools), Pool.BACKLOG_GPUS] += backlog / 1000.0
    offered = (replace(gang, default_pool=view.pools[pool].name) for gang, pool in zip(behind, pools, strict=True))
    return replace(view, queue=(*view.queue[:first], *offered))


def _add_pods_to_come(view: ClusterView, snapshot: ClusterSnapshot) -> None:
    """What pods to come of gangs that have begun will use is free now, and must not look so."""
    rows = {pool.name: pool.index for pool in view.pools}
    for gang in view.running:
        if gang.late and gang.begun_in in rows:
            coming = sum(each.pod.gpu_milli * each.count for each in gang.to_come) / 1000.0
            snapshot.pools[rows[gang.begun_in], Pool.BACKLOG_GPUS] += coming
            snapshot.signals[Signal.QUEUE_GPUS] += coming


def _fill_signals(
    view: ClusterView, submissions: Submissions, config: LiveConfig, signals: NDArray[np.float64]
) -> None:
    now = view.now_seconds
    signals[Signal.WEEK_SECONDS] = week_seconds(now, ZoneInfo(config.clock.time_zone))
    for index, seconds in enumerate(SUBMIT_WINDOWS_SECONDS):
        signals[Signal.SUBMITTED_GPUS_10MIN + index] = submissions.gpus(now, seconds)
    signals[Signal.SUBMITTED_JOBS_1H] = submissions.jobs(now, SUBMIT_WINDOWS_SECONDS[1])
    signals[Signal.SINCE_SUBMIT_SECONDS] = submissions.since_newest_seconds(now)
    signals[Signal.QUEUE_JOBS] = len(view.queue)
    signals[Signal.QUEUE_GPUS] += sum(gang.pending_gpu_milli for gang in view.queue) / 1000.0
    signals[Signal.RUNNING_JOBS] = len(view.running)
    signals[Signal.USD_PER_GPU_HOUR] = config.usd_per_gpu_hour
    if config.codec.arrival_features:
        submissions.write_memory(now, signals)


def _fill_prices(config: LiveConfig, snapshot: ClusterSnapshot) -> None:
    for index, pool in enumerate(config.pools):
        slopes = pool.placement_slopes.row
        if len(slopes):
            write_price(snapshot, index, pool.usd_per_node_hour + pool.placement_usd_per_node_hour, slopes)


def week_seconds(unix_seconds: float, zone: ZoneInfo) -> float:
    """Seconds since Monday 00:00 on the clocks of a zone."""
    whole, part = divmod(milliseconds(unix_seconds), 1000)
    local = datetime.fromtimestamp(whole, zone)
    days = local.weekday() * DAY_MILLISECONDS
    return (days + (local.hour * 3600 + local.minute * 60 + local.second) * 1000 + part) / 1000.0
