"""From a snapshot to the vector that a policy sees. CPython and numba both run this file and give the same bits.

What is written where is the table in `features.py`. Only + - * / and comparisons, in float64, cast to float32 when
stored. A quantity x >= 0 without a bound is squashed to [0, 1) by x / (x + scale), so nothing is ever clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.features import (
    ArrivalFeature,
    ClusterFeature,
    ConsolidationFeature,
    FlexibilityFeature,
    GridFeature,
    HintFeature,
    HintPairFeature,
    PairFeature,
    PoolFeature,
    PowerCapFeature,
    ReserveFeature,
    SignalFeature,
    SignalPairFeature,
    SlotFeature,
    SuspensionFeature,
    TransferPairFeature,
    WidthFeature,
    scales,
)
from envs.gpu_cluster.codec.layout import (
    FORECAST_HOURS,
    HORIZON_HOURS,
    IDLE_AGE_EDGES_SECONDS,
    MAX_GPUS_PER_NODE,
    NO_SETPOINT,
    POWER_CAP_FRACTIONS,
    RESERVE_NODES,
    SUBMIT_WINDOWS_SECONDS,
    CodecTables,
    Pool,
    PoolSignal,
    Signal,
    Slot,
)
from envs.gpu_cluster.codec.observation_sizes import (
    ARRIVAL_FEATURES,
    CLUSTER_FEATURES,
    CONSOLIDATION_FEATURES,
    FLEXIBILITY_FEATURES,
    HINT_PAIR_FEATURES,
    PAIR_FEATURES,
    POOL_FEATURES,
    POWER_CAP_FEATURES,
    SIGNAL_FEATURES,
    SIGNAL_PAIR_FEATURES,
    SLOT_FEATURES,
    SUSPENSION_FEATURES,
    WIDTH_FEATURES,
    cluster_features,
    pool_features,
    slot_features,
    slot_pool_features,
)
from envs.gpu_cluster.codec.packing import default_pool, fits_now, place, place_backlog, start_plan
from envs.gpu_cluster.codec.prices import best_start_price, price_of_run, run_hours
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot, PackingPlan

AGE_EDGES = len(IDLE_AGE_EDGES_SECONDS)
SUBMIT_WINDOWS = len(SUBMIT_WINDOWS_SECONDS)
POWER_CAPS = len(POWER_CAP_FRACTIONS)
HOUR_CENTRES = 6  # a hat function every 4 hours; two overlap at any time and sum to 1
HAT_HOURS = 24.0 / HOUR_CENTRES
HIGHEST_TIER = 3.0
FORECASTS = len(FORECAST_HOURS)

# Scales as constants, for numba.
CLUSTER_SCALES = scales(ClusterFeature)
GRID_SCALES = scales(GridFeature)
ARRIVAL_SCALES = scales(ArrivalFeature)
POOL_SCALES = scales(PoolFeature)
CONSOLIDATION_SCALES = scales(ConsolidationFeature)
POWER_CAP_SCALES = scales(PowerCapFeature)
WIDTH_SCALES = scales(WidthFeature)
SUSPENSION_SCALES = scales(SuspensionFeature)
RESERVE_SCALES = scales(ReserveFeature)
SIGNAL_SCALES = scales(SignalFeature)
SLOT_SCALES = scales(SlotFeature)
HINT_SCALES = scales(HintFeature)
HINT_PAIR_SCALES = scales(HintPairFeature)
TRANSFER_PAIR_SCALES = scales(TransferPairFeature)


def squash(value: float, scale: float) -> float:
    """Map [0, inf) to [0, 1), `scale` to one half."""
    return value / (value + scale)


def share(part: float, rest: float) -> float:
    """Return part / (part + rest), 0 when both are 0."""
    total = part + rest
    return part / total if total > 0.0 else 0.0


def write_grid(snapshot: ClusterSnapshot, at: int, observation: NDArray[np.float32]) -> None:
    """Write what is known of a power budget, from index `at` on."""
    signals = snapshot.signals
    observation[at + GridFeature.BUDGET_KNOWN] = signals[Signal.BUDGET_KNOWN]
    observation[at + GridFeature.BUDGET_AGAINST_POWER] = share(
        signals[Signal.BUDGET_WATTS], signals[Signal.POWER_WATTS]
    )
    observation[at + GridFeature.BUDGET_STARTS] = squash(
        signals[Signal.BUDGET_STARTS_SECONDS], GRID_SCALES[GridFeature.BUDGET_STARTS]
    )
    observation[at + GridFeature.BUDGET_ENDS] = squash(
        signals[Signal.BUDGET_ENDS_SECONDS], GRID_SCALES[GridFeature.BUDGET_ENDS]
    )


def write_memory(snapshot: ClusterSnapshot, at: int, observation: NDArray[np.float32]) -> None:
    """Write the memory of submissions, from index `at` on; shares have no scale."""
    for feature in range(ARRIVAL_FEATURES):
        value, scale = snapshot.signals[Signal.FADING_GPUS_60S + feature], ARRIVAL_SCALES[feature]
        observation[at + feature] = squash(value, scale) if scale > 0.0 else value


def signed_squash(value: float, scale: float) -> float:
    """Map all numbers to (0, 1): 0 to one half, `scale` to three quarters, minus `scale` to one quarter."""
    return 0.5 + 0.5 * value / (abs(value) + scale)


def against(value: float, base: float) -> float:
    """Map how a value compares with a base to [0, 1]: one half where they are equal, less where the value is less.

    That is value / (value + base) where neither is negative.
    """
    total = abs(value) + abs(base)
    return 0.5 + 0.5 * (value - base) / total if total > 0.0 else 0.5


def write_global(snapshot: ClusterSnapshot, tables: CodecTables, observation: NDArray[np.float32]) -> int:
    """Write the features of the cluster as a whole; return how many."""
    signals = snapshot.signals
    day_hours = signals[Signal.WEEK_SECONDS] % 86400.0 / 3600.0
    for centre in range(HOUR_CENTRES):
        distance = abs(day_hours - centre * HAT_HOURS)
        distance = min(distance, 24.0 - distance)
        observation[ClusterFeature.HOUR_00 + centre] = max(0.0, 1.0 - distance / HAT_HOURS)
    observation[ClusterFeature.WEEKEND] = 1.0 if signals[Signal.WEEK_SECONDS] >= 5.0 * 86400.0 else 0.0
    for window in range(SUBMIT_WINDOWS):
        at = ClusterFeature.SUBMITTED_GPUS_600S + window
        observation[at] = squash(signals[Signal.SUBMITTED_GPUS_10MIN + window], CLUSTER_SCALES[at])
    observation[ClusterFeature.SUBMITTED_10MIN_AGAINST_1H] = share(
        6.0 * signals[Signal.SUBMITTED_GPUS_10MIN], signals[Signal.SUBMITTED_GPUS_1H]
    )
    observation[ClusterFeature.SUBMITTED_1H_AGAINST_24H] = share(
        24.0 * signals[Signal.SUBMITTED_GPUS_1H], signals[Signal.SUBMITTED_GPUS_24H]
    )
    used_gpus = 0.0
    for pool in range(tables.max_pools):
        used_gpus += snapshot.pools[pool, Pool.USED_GPUS]
    observation[ClusterFeature.SUBMITTED_JOBS_1H] = squash(
        signals[Signal.SUBMITTED_JOBS_1H], CLUSTER_SCALES[ClusterFeature.SUBMITTED_JOBS_1H]
    )
    observation[ClusterFeature.SINCE_SUBMIT] = squash(
        signals[Signal.SINCE_SUBMIT_SECONDS], CLUSTER_SCALES[ClusterFeature.SINCE_SUBMIT]
    )
    observation[ClusterFeature.QUEUE_JOBS] = squash(
        signals[Signal.QUEUE_JOBS], CLUSTER_SCALES[ClusterFeature.QUEUE_JOBS]
    )
    observation[ClusterFeature.QUEUE_GPUS] = squash(
        signals[Signal.QUEUE_GPUS], CLUSTER_SCALES[ClusterFeature.QUEUE_GPUS]
    )
    observation[ClusterFeature.RUNNING_JOBS] = squash(
        signals[Signal.RUNNING_JOBS], CLUSTER_SCALES[ClusterFeature.RUNNING_JOBS]
    )
    observation[ClusterFeature.USED_GPUS] = squash(used_gpus, CLUSTER_SCALES[ClusterFeature.USED_GPUS])
    if tables.has_grid:
        write_grid(snapshot, CLUSTER_FEATURES, observation)
    if tables.has_arrivals:
        write_memory(snapshot, cluster_features(tables) - ARRIVAL_FEATURES, observation)
    return cluster_features(tables)


def write_pool(
    snapshot: ClusterSnapshot, plan: PackingPlan, pool: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write the features of one pool from index `at` on."""
    row = snapshot.pools[pool]
    gpus_per_node = row[Pool.GPUS_PER_NODE]
    busy, idle, booting = row[Pool.BUSY_NODES], row[Pool.IDLE_NODES], row[Pool.BOOTING_NODES]
    nodes = busy + idle + booting
    largest_free = 0
    for free in range(1, MAX_GPUS_PER_NODE + 1):
        if snapshot.free_nodes[pool, free] > 0.0:
            largest_free = free
    observation[at + PoolFeature.PRESENT] = 1.0
    observation[at + PoolFeature.BUSY_NODES] = squash(busy, POOL_SCALES[PoolFeature.BUSY_NODES])
    observation[at + PoolFeature.IDLE_NODES] = squash(idle, POOL_SCALES[PoolFeature.IDLE_NODES])
    observation[at + PoolFeature.BOOTING_NODES] = squash(booting, POOL_SCALES[PoolFeature.BOOTING_NODES])
    observation[at + PoolFeature.IDLE_SHARE] = idle / (nodes + 1.0)
    observation[at + PoolFeature.USED_SHARE] = row[Pool.USED_GPUS] / (gpus_per_node * (busy + idle + 1.0))
    observation[at + PoolFeature.NODES_SHARE] = share(nodes, row[Pool.MAX_NODES] - nodes)
    observation[at + PoolFeature.FRAGMENTED_GPUS] = squash(
        busy * gpus_per_node - row[Pool.USED_GPUS], POOL_SCALES[PoolFeature.FRAGMENTED_GPUS]
    )
    observation[at + PoolFeature.LARGEST_FREE] = largest_free / gpus_per_node
    observation[at + PoolFeature.SHARED_FREE_GPUS] = squash(
        row[Pool.SHARED_FREE_GPUS], POOL_SCALES[PoolFeature.SHARED_FREE_GPUS]
    )
    observation[at + PoolFeature.MAX_NODES] = squash(row[Pool.MAX_NODES], POOL_SCALES[PoolFeature.MAX_NODES])
    for edge in range(AGE_EDGES):
        feature = PoolFeature.IDLE_NODES_0S + edge
        observation[at + feature] = squash(snapshot.idle_age_nodes[pool, edge], POOL_SCALES[feature])
    least = 1
    for step in range(3):  # nodes with at least 1, 2 and 4 GPUs free
        fitting = 0.0
        for free in range(least, MAX_GPUS_PER_NODE + 1):
            fitting += snapshot.free_nodes[pool, free]
        feature = PoolFeature.NODES_WITH_1_FREE + step
        observation[at + feature] = squash(fitting, POOL_SCALES[feature])
        least *= 2
    observation[at + PoolFeature.PLANNED_NEW_NODES] = squash(
        plan.new_nodes[pool], POOL_SCALES[PoolFeature.PLANNED_NEW_NODES]
    )
    observation[at + PoolFeature.PLANNED_IDLE_NODES] = squash(
        idle - plan.idle_nodes[pool], POOL_SCALES[PoolFeature.PLANNED_IDLE_NODES]
    )
    observation[at + PoolFeature.BACKLOG_GPUS] = squash(row[Pool.BACKLOG_GPUS], POOL_SCALES[PoolFeature.BACKLOG_GPUS])
    observation[at + PoolFeature.GPUS_PER_NODE] = gpus_per_node / MAX_GPUS_PER_NODE
    observation[at + PoolFeature.BOOT_SECONDS] = squash(row[Pool.BOOT_SECONDS], POOL_SCALES[PoolFeature.BOOT_SECONDS])
    usd_per_idle_hour = row[Pool.IDLE_NODE_WATTS] / 1000.0 * row[Pool.USD_PER_KWH]
    usd_per_waiting_hour = snapshot.signals[Signal.USD_PER_GPU_HOUR] * gpus_per_node
    observation[at + PoolFeature.IDLE_COST_AGAINST_WAIT_COST] = share(usd_per_idle_hour, usd_per_waiting_hour)


def write_in_force(
    snapshot: ClusterSnapshot, tables: CodecTables, pool: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write the features of the setpoint in force in a pool, which begins at index `at`; zeros where there is none."""
    row = snapshot.pools[pool]
    setpoint = int(row[Pool.SETPOINT])
    if setpoint != NO_SETPOINT:
        timeout = IDLE_AGE_EDGES_SECONDS[tables.setpoint_edge[setpoint]]
        headroom = tables.setpoint_headroom[setpoint]
        observation[at + PoolFeature.SETPOINT_TIMEOUT] = squash(timeout, POOL_SCALES[PoolFeature.SETPOINT_TIMEOUT])
        observation[at + PoolFeature.SETPOINT_RESERVE] = headroom if headroom >= 0.0 else 1.0
    observation[at + PoolFeature.SETPOINT_HELD] = row[Pool.SETPOINT_HELD]
    observation[at + PoolFeature.SINCE_SETPOINT] = squash(
        row[Pool.SINCE_SETPOINT_SECONDS], POOL_SCALES[PoolFeature.SINCE_SETPOINT]
    )


def write_levers(
    snapshot: ClusterSnapshot, tables: CodecTables, pool: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write what the levers that are on need to know of a pool, from index `at` on."""
    row = snapshot.pools[pool]
    if tables.has_consolidation:
        observation[at + ConsolidationFeature.EMPTIABLE_NODES] = squash(
            row[Pool.EMPTIABLE_NODES], CONSOLIDATION_SCALES[ConsolidationFeature.EMPTIABLE_NODES]
        )
        observation[at + ConsolidationFeature.CONSOLIDATABLE] = row[Pool.CONSOLIDATABLE]
        observation[at + ConsolidationFeature.SINCE_CONSOLIDATION] = squash(
            row[Pool.SINCE_CONSOLIDATION_SECONDS], CONSOLIDATION_SCALES[ConsolidationFeature.SINCE_CONSOLIDATION]
        )
        at += CONSOLIDATION_FEATURES
    if tables.has_power_caps:
        observation[at + PowerCapFeature.POWER_CAP] = row[Pool.POWER_CAP] / POWER_CAPS
        observation[at + PowerCapFeature.BUSY_GPU_WATTS] = squash(
            row[Pool.BUSY_GPU_WATTS], POWER_CAP_SCALES[PowerCapFeature.BUSY_GPU_WATTS]
        )
        at += POWER_CAP_FEATURES
    if tables.has_width:
        observation[at + WidthFeature.SHRINKABLE_GPUS] = squash(
            row[Pool.SHRINKABLE_GPUS], WIDTH_SCALES[WidthFeature.SHRINKABLE_GPUS]
        )
        observation[at + WidthFeature.GROWABLE_GPUS] = squash(
            row[Pool.GROWABLE_GPUS], WIDTH_SCALES[WidthFeature.GROWABLE_GPUS]
        )
        at += WIDTH_FEATURES
    if tables.has_suspension:
        observation[at + SuspensionFeature.SUSPENDABLE_GPUS] = squash(
            row[Pool.SUSPENDABLE_GPUS], SUSPENSION_SCALES[SuspensionFeature.SUSPENDABLE_GPUS]
        )
        observation[at + SuspensionFeature.SUSPENDED_GPUS] = squash(
            row[Pool.SUSPENDED_GPUS], SUSPENSION_SCALES[SuspensionFeature.SUSPENDED_GPUS]
        )
        observation[at + SuspensionFeature.NEXT_RESUME] = squash(
            row[Pool.NEXT_RESUME_SECONDS], SUSPENSION_SCALES[SuspensionFeature.NEXT_RESUME]
        )
        at += SUSPENSION_FEATURES
    if tables.has_reserve_nodes:
        nodes = float(RESERVE_NODES[int(row[Pool.RESERVE_NODES])])
        observation[at + ReserveFeature.RESERVE_NODES] = squash(nodes, RESERVE_SCALES[ReserveFeature.RESERVE_NODES])


def write_signals(snapshot: ClusterSnapshot, pool: int, at: int, observation: NDArray[np.float32]) -> None:
    """Write what energy costs and emits in a pool, now and as it is expected, from index `at` on."""
    row = snapshot.pool_signals[pool]
    now = row[PoolSignal.USD_PER_KWH]
    observation[at + SignalFeature.SIGNAL_KNOWN] = row[PoolSignal.KNOWN]
    observation[at + SignalFeature.USD_PER_KWH] = signed_squash(now, SIGNAL_SCALES[SignalFeature.USD_PER_KWH])
    observation[at + SignalFeature.CARBON] = squash(
        row[PoolSignal.CARBON_G_PER_KWH], SIGNAL_SCALES[SignalFeature.CARBON]
    )
    for index in range(FORECASTS):
        expected = row[PoolSignal.USD_PER_KWH + FORECAST_HOURS[index]]
        observation[at + SignalFeature.PRICE_IN_1H + index] = against(expected, now)
    lowest, hours = now, 0
    for hour in range(1, HORIZON_HOURS + 1):
        if row[PoolSignal.USD_PER_KWH + hour] < lowest:
            lowest, hours = row[PoolSignal.USD_PER_KWH + hour], hour
    observation[at + SignalFeature.LOWEST_PRICE_24H] = against(lowest, now)
    observation[at + SignalFeature.LOWEST_PRICE_IN] = hours / 24.0


def write_hints(snapshot: ClusterSnapshot, slot: int, at: int, observation: NDArray[np.float32]) -> None:
    """Write what is known of the job of a slot beyond its size, from index `at` on."""
    row = snapshot.queue[slot]
    observation[at + HintFeature.IS_PREDICTED] = 1.0 if row[Slot.PREDICTED_SECONDS] > 0.0 else 0.0
    observation[at + HintFeature.PREDICTED] = squash(row[Slot.PREDICTED_SECONDS], HINT_SCALES[HintFeature.PREDICTED])
    observation[at + HintFeature.SLACK] = squash(max(row[Slot.SLACK_SECONDS], 0.0), HINT_SCALES[HintFeature.SLACK])
    observation[at + HintFeature.PRIORITY] = squash(max(row[Slot.PRIORITY], 0.0), HINT_SCALES[HintFeature.PRIORITY])
    observation[at + HintFeature.NARROWER_GPUS] = squash(
        row[Slot.GPUS] - row[Slot.MIN_GPUS], HINT_SCALES[HintFeature.NARROWER_GPUS]
    )
    observation[at + HintFeature.WIDER_GPUS] = squash(
        row[Slot.MAX_GPUS] - row[Slot.GPUS], HINT_SCALES[HintFeature.WIDER_GPUS]
    )


def write_slot(snapshot: ClusterSnapshot, slot: int, at: int, observation: NDArray[np.float32]) -> None:
    """Write the features of one slot of the queue window, without its pools, from index `at` on."""
    largest_node = 1.0
    for pool in range(snapshot.pools.shape[0]):
        largest_node = max(largest_node, snapshot.pools[pool, Pool.GPUS_PER_NODE])
    gpus = snapshot.queue[slot, Slot.GPUS]
    observation[at + SlotFeature.PRESENT] = 1.0
    observation[at + SlotFeature.GPUS] = squash(gpus, SLOT_SCALES[SlotFeature.GPUS])
    observation[at + SlotFeature.GANG] = 1.0 if gpus > largest_node else 0.0
    observation[at + SlotFeature.WAITED] = squash(
        snapshot.queue[slot, Slot.WAITED_SECONDS], SLOT_SCALES[SlotFeature.WAITED]
    )


def write_pairs(
    snapshot: ClusterSnapshot,
    tables: CodecTables,
    plan: PackingPlan,
    slot: int,
    default: int,
    at: int,
    observation: NDArray[np.float32],
) -> None:
    """Write the features of a slot and each pool, but for prices, from index `at` on."""
    gpus = snapshot.queue[slot, Slot.GPUS]
    transfer_at = PAIR_FEATURES + (HINT_PAIR_FEATURES if tables.has_job_hints else 0)
    for pool in range(tables.max_pools):
        if snapshot.allowed[slot, pool] > 0.0:
            observation[at + PairFeature.ALLOWED] = 1.0
            fits = fits_now(plan, pool, gpus, int(snapshot.pools[pool, Pool.GPUS_PER_NODE]))
            observation[at + PairFeature.FITS_NOW] = 1.0 if fits else 0.0
            observation[at + PairFeature.DEFAULT] = 1.0 if pool == default else 0.0
            if tables.has_job_hints:
                observation[at + PAIR_FEATURES + HintPairFeature.SPEED] = squash(
                    snapshot.allowed[slot, pool], HINT_PAIR_SCALES[HintPairFeature.SPEED]
                )
            if tables.has_transfer:
                seconds = snapshot.transfer_gb[slot, pool] * snapshot.pools[pool, Pool.TRANSFER_SECONDS_PER_GB]
                observation[at + transfer_at + TransferPairFeature.TRANSFER] = squash(
                    seconds, TRANSFER_PAIR_SCALES[TransferPairFeature.TRANSFER]
                )
        at += slot_pool_features(tables)


def write_starts(
    snapshot: ClusterSnapshot, tables: CodecTables, slot: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write how the best start of a slot's job compares with each pool now; the pairs begin at index `at`."""
    hours = run_hours(snapshot.queue[slot, Slot.PREDICTED_SECONDS])
    best = best_start_price(snapshot, tables, slot, hours)
    for pool in range(tables.max_pools):
        at += slot_pool_features(tables)
        if snapshot.allowed[slot, pool] > 0.0:
            here = price_of_run(snapshot, pool, hours)
            observation[at - SIGNAL_PAIR_FEATURES + SignalPairFeature.BEST_START_PRICE] = against(best, here)


def encode(snapshot: ClusterSnapshot, tables: CodecTables, plan: PackingPlan, observation: NDArray[np.float32]) -> None:
    """Write the observation of a snapshot.

    The queue is planned with the default placement on the way: the plan's demand is part of a pool's features, and each
    slot carries one-hot which pool is its default.

    Args:
        snapshot: the cluster now.
        tables: the layout.
        plan: scratch memory.
        observation: [observation_size(layout)] float32, written; every entry is in [0, 1].
    """
    for index in range(observation.shape[0]):
        observation[index] = 0.0
    at = write_global(snapshot, tables, observation)
    start_plan(snapshot, tables, plan)
    per_pool = pool_features(tables)
    slots_at = at + tables.max_pools * per_pool
    per_slot = slot_features(tables) + slot_pool_features(tables) * tables.max_pools
    for slot in range(tables.window_slots):
        if snapshot.queue[slot, Slot.PRESENT] > 0.0:
            slot_at = slots_at + slot * per_slot
            write_slot(snapshot, slot, slot_at, observation)
            if tables.has_job_hints:
                write_hints(snapshot, slot, slot_at + SLOT_FEATURES, observation)
            if tables.has_suspension:
                at_end = slot_at + slot_features(tables) - FLEXIBILITY_FEATURES
                observation[at_end + FlexibilityFeature.FLEXIBILITY] = (
                    snapshot.queue[slot, Slot.FLEXIBILITY] / HIGHEST_TIER
                )
            gpus = snapshot.queue[slot, Slot.GPUS]
            slot_at += slot_features(tables)
            default = default_pool(
                snapshot,
                tables,
                plan,
                gpus,
                snapshot.allowed[slot],
                snapshot.transfer_gb[slot],
                snapshot.queue[slot, Slot.PREDICTED_SECONDS],
            )
            write_pairs(snapshot, tables, plan, slot, default, slot_at, observation)
            if tables.has_signals:
                write_starts(snapshot, tables, slot, slot_at, observation)
            if default >= 0:
                place(plan, default, gpus, int(snapshot.pools[default, Pool.GPUS_PER_NODE]))
    place_backlog(snapshot, tables, plan)
    for pool in range(tables.max_pools):
        if snapshot.pools[pool, Pool.PRESENT] > 0.0:
            write_pool(snapshot, plan, pool, at, observation)
            write_in_force(snapshot, tables, pool, at, observation)
            write_levers(snapshot, tables, pool, at + POOL_FEATURES, observation)
            if tables.has_signals:
                write_signals(snapshot, pool, at + per_pool - SIGNAL_FEATURES, observation)
        at += per_pool
