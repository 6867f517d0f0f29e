"""From a snapshot to the vector that a policy sees. CPython and numba both run this file and give the same bits.

Only + - * / and comparisons, in float64, cast to float32 when stored. A quantity x >= 0 without a bound is squashed to
[0, 1) by x / (x + scale), so nothing is ever clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import (
    IDLE_AGE_EDGES_SECONDS,
    MAX_GPUS_PER_NODE,
    POWER_CAP_FRACTIONS,
    SUBMIT_WINDOWS_SECONDS,
    CodecLayout,
    CodecTables,
    Pool,
    Signal,
    Slot,
)
from envs.gpu_cluster.codec.packing import (
    POOL_BACKLOG_GPUS,
    POOL_BOOTING_NODES,
    POOL_GPUS_PER_NODE,
    POOL_IDLE_NODES,
    POOL_PRESENT,
    POOL_SHARED_FREE_GPUS,
    SLOT_GPUS,
    SLOT_PRESENT,
    default_pool,
    fits_now,
    place,
    place_backlog,
    start_plan,
)
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot, PackingPlan

POOL_MAX_NODES = int(Pool.MAX_NODES)
POOL_BOOT_SECONDS = int(Pool.BOOT_SECONDS)
POOL_IDLE_NODE_WATTS = int(Pool.IDLE_NODE_WATTS)
POOL_USD_PER_KWH = int(Pool.USD_PER_KWH)
POOL_BUSY_NODES = int(Pool.BUSY_NODES)
POOL_USED_GPUS = int(Pool.USED_GPUS)
POOL_EMPTIABLE_NODES = int(Pool.EMPTIABLE_NODES)
POOL_CONSOLIDATABLE = int(Pool.CONSOLIDATABLE)
POOL_SINCE_CONSOLIDATION_SECONDS = int(Pool.SINCE_CONSOLIDATION_SECONDS)
POOL_POWER_CAP = int(Pool.POWER_CAP)
POOL_BUSY_GPU_WATTS = int(Pool.BUSY_GPU_WATTS)
POOL_SHRINKABLE_GPUS = int(Pool.SHRINKABLE_GPUS)
POOL_GROWABLE_GPUS = int(Pool.GROWABLE_GPUS)
SLOT_WAITED_SECONDS = int(Slot.WAITED_SECONDS)
SLOT_PREDICTED_SECONDS = int(Slot.PREDICTED_SECONDS)
SLOT_SLACK_SECONDS = int(Slot.SLACK_SECONDS)
SLOT_PRIORITY = int(Slot.PRIORITY)
SLOT_MIN_GPUS = int(Slot.MIN_GPUS)
SLOT_MAX_GPUS = int(Slot.MAX_GPUS)
WEEK_SECONDS = int(Signal.WEEK_SECONDS)
SUBMITTED_GPUS_10MIN = int(Signal.SUBMITTED_GPUS_10MIN)
SUBMITTED_GPUS_1H = int(Signal.SUBMITTED_GPUS_1H)
SUBMITTED_GPUS_24H = int(Signal.SUBMITTED_GPUS_24H)
SUBMITTED_JOBS_1H = int(Signal.SUBMITTED_JOBS_1H)
SINCE_SUBMIT_SECONDS = int(Signal.SINCE_SUBMIT_SECONDS)
QUEUE_JOBS = int(Signal.QUEUE_JOBS)
QUEUE_GPUS = int(Signal.QUEUE_GPUS)
RUNNING_JOBS = int(Signal.RUNNING_JOBS)
USD_PER_GPU_HOUR = int(Signal.USD_PER_GPU_HOUR)

AGE_EDGES = len(IDLE_AGE_EDGES_SECONDS)
SUBMIT_WINDOWS = len(SUBMIT_WINDOWS_SECONDS)
POWER_CAPS = len(POWER_CAP_FRACTIONS)
HOUR_CENTRES = 6  # a hat function every 4 hours; two overlap at any time and sum to 1
HAT_HOURS = 24.0 / HOUR_CENTRES

SUBMITTED_SCALES_GPUS = (8.0, 32.0, 128.0, 512.0)

GLOBAL_FEATURES = HOUR_CENTRES + 1 + SUBMIT_WINDOWS + 2 + 6
POOL_FEATURES = 11 + AGE_EDGES + 3 + 3 + 3
SLOT_FEATURES = 4
SLOT_POOL_FEATURES = 3

# What each lever adds to a pool's features, and the hints to those of a slot and of a slot and pool.
CONSOLIDATION_FEATURES = 3
POWER_CAP_FEATURES = 2
WIDTH_FEATURES = 2
HINT_FEATURES = 6
HINT_POOL_FEATURES = 1


def pool_features(tables: CodecTables) -> int:
    """Features of a pool."""
    size = POOL_FEATURES
    if tables.has_consolidation:
        size += CONSOLIDATION_FEATURES
    if tables.has_power_caps:
        size += POWER_CAP_FEATURES
    if tables.has_width:
        size += WIDTH_FEATURES
    return size


def slot_features(tables: CodecTables) -> int:
    """Features of a slot, without its pools."""
    return SLOT_FEATURES + HINT_FEATURES if tables.has_job_hints else SLOT_FEATURES


def slot_pool_features(tables: CodecTables) -> int:
    """Features of a slot and a pool together."""
    return SLOT_POOL_FEATURES + HINT_POOL_FEATURES if tables.has_job_hints else SLOT_POOL_FEATURES


def squash(value: float, scale: float) -> float:
    """Map [0, inf) to [0, 1), `scale` to one half."""
    return value / (value + scale)


def share(part: float, rest: float) -> float:
    """Return part / (part + rest), 0 when both are 0."""
    total = part + rest
    return part / total if total > 0.0 else 0.0


def write_global(snapshot: ClusterSnapshot, tables: CodecTables, observation: NDArray[np.float32]) -> int:
    """Write the features of the cluster as a whole; return how many."""
    signals = snapshot.signals
    day_hours = signals[WEEK_SECONDS] % 86400.0 / 3600.0
    for centre in range(HOUR_CENTRES):
        distance = abs(day_hours - centre * HAT_HOURS)
        distance = min(distance, 24.0 - distance)
        observation[centre] = max(0.0, 1.0 - distance / HAT_HOURS)
    at = HOUR_CENTRES
    observation[at] = 1.0 if signals[WEEK_SECONDS] >= 5.0 * 86400.0 else 0.0
    at += 1
    for window in range(SUBMIT_WINDOWS):
        observation[at + window] = squash(signals[SUBMITTED_GPUS_10MIN + window], SUBMITTED_SCALES_GPUS[window])
    at += SUBMIT_WINDOWS
    observation[at] = share(6.0 * signals[SUBMITTED_GPUS_10MIN], signals[SUBMITTED_GPUS_1H])
    observation[at + 1] = share(24.0 * signals[SUBMITTED_GPUS_1H], signals[SUBMITTED_GPUS_24H])
    at += 2
    used_gpus = 0.0
    for pool in range(tables.max_pools):
        used_gpus += snapshot.pools[pool, POOL_USED_GPUS]
    observation[at] = squash(signals[SUBMITTED_JOBS_1H], 8.0)
    observation[at + 1] = squash(signals[SINCE_SUBMIT_SECONDS], 600.0)
    observation[at + 2] = squash(signals[QUEUE_JOBS], 8.0)
    observation[at + 3] = squash(signals[QUEUE_GPUS], 16.0)
    observation[at + 4] = squash(signals[RUNNING_JOBS], 32.0)
    observation[at + 5] = squash(used_gpus, 64.0)
    return at + 6


def write_pool(
    snapshot: ClusterSnapshot, plan: PackingPlan, pool: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write the features of one pool from index `at` on."""
    row = snapshot.pools[pool]
    gpus_per_node = row[POOL_GPUS_PER_NODE]
    busy, idle, booting = row[POOL_BUSY_NODES], row[POOL_IDLE_NODES], row[POOL_BOOTING_NODES]
    nodes = busy + idle + booting
    largest_free = 0
    for free in range(1, MAX_GPUS_PER_NODE + 1):
        if snapshot.free_nodes[pool, free] > 0.0:
            largest_free = free
    observation[at] = 1.0
    observation[at + 1] = squash(busy, 8.0)
    observation[at + 2] = squash(idle, 4.0)
    observation[at + 3] = squash(booting, 4.0)
    observation[at + 4] = idle / (nodes + 1.0)
    observation[at + 5] = row[POOL_USED_GPUS] / (gpus_per_node * (busy + idle + 1.0))
    observation[at + 6] = share(nodes, row[POOL_MAX_NODES] - nodes)
    observation[at + 7] = squash(busy * gpus_per_node - row[POOL_USED_GPUS], 16.0)
    observation[at + 8] = largest_free / gpus_per_node
    observation[at + 9] = squash(row[POOL_SHARED_FREE_GPUS], 4.0)
    observation[at + 10] = squash(row[POOL_MAX_NODES], 64.0)
    at += 11
    for edge in range(AGE_EDGES):
        observation[at + edge] = squash(snapshot.idle_age_nodes[pool, edge], 2.0)
    at += AGE_EDGES
    least = 1
    for feature in range(3):
        room = 0.0
        for free in range(least, MAX_GPUS_PER_NODE + 1):
            room += snapshot.free_nodes[pool, free]
        observation[at + feature] = squash(room, 4.0)
        least *= 2
    observation[at + 3] = squash(plan.new_nodes[pool], 4.0)
    observation[at + 4] = squash(idle - plan.idle_nodes[pool], 4.0)
    observation[at + 5] = squash(row[POOL_BACKLOG_GPUS], 16.0)
    usd_per_idle_hour = row[POOL_IDLE_NODE_WATTS] / 1000.0 * row[POOL_USD_PER_KWH]
    observation[at + 6] = gpus_per_node / MAX_GPUS_PER_NODE
    observation[at + 7] = squash(row[POOL_BOOT_SECONDS], 300.0)
    observation[at + 8] = share(usd_per_idle_hour, snapshot.signals[USD_PER_GPU_HOUR] * gpus_per_node)


def write_levers(
    snapshot: ClusterSnapshot, tables: CodecTables, pool: int, at: int, observation: NDArray[np.float32]
) -> None:
    """Write what the levers that are on need to know of a pool, from index `at` on."""
    row = snapshot.pools[pool]
    if tables.has_consolidation:
        observation[at] = squash(row[POOL_EMPTIABLE_NODES], 4.0)
        observation[at + 1] = row[POOL_CONSOLIDATABLE]
        observation[at + 2] = squash(row[POOL_SINCE_CONSOLIDATION_SECONDS], 1800.0)
        at += CONSOLIDATION_FEATURES
    if tables.has_power_caps:
        observation[at] = row[POOL_POWER_CAP] / POWER_CAPS
        observation[at + 1] = squash(row[POOL_BUSY_GPU_WATTS], 300.0)
        at += POWER_CAP_FEATURES
    if tables.has_width:
        observation[at] = squash(row[POOL_SHRINKABLE_GPUS], 8.0)
        observation[at + 1] = squash(row[POOL_GROWABLE_GPUS], 8.0)


def write_hints(snapshot: ClusterSnapshot, slot: int, at: int, observation: NDArray[np.float32]) -> None:
    """Write what is known of the job of a slot beyond its size, from index `at` on."""
    row = snapshot.queue[slot]
    observation[at] = 1.0 if row[SLOT_PREDICTED_SECONDS] > 0.0 else 0.0
    observation[at + 1] = squash(row[SLOT_PREDICTED_SECONDS], 3600.0)
    observation[at + 2] = squash(max(row[SLOT_SLACK_SECONDS], 0.0), 3600.0)
    observation[at + 3] = squash(max(row[SLOT_PRIORITY], 0.0), 1.0)
    observation[at + 4] = squash(row[SLOT_GPUS] - row[SLOT_MIN_GPUS], 4.0)
    observation[at + 5] = squash(row[SLOT_MAX_GPUS] - row[SLOT_GPUS], 4.0)


def write_slot(snapshot: ClusterSnapshot, slot: int, at: int, observation: NDArray[np.float32]) -> None:
    """Write the features of one slot of the queue window, without its pools, from index `at` on."""
    largest_node = 1.0
    for pool in range(snapshot.pools.shape[0]):
        largest_node = max(largest_node, snapshot.pools[pool, POOL_GPUS_PER_NODE])
    gpus = snapshot.queue[slot, SLOT_GPUS]
    observation[at] = 1.0
    observation[at + 1] = squash(gpus, 8.0)
    observation[at + 2] = 1.0 if gpus > largest_node else 0.0
    observation[at + 3] = squash(snapshot.queue[slot, SLOT_WAITED_SECONDS], 300.0)


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
    per_pool, per_pair = pool_features(tables), slot_pool_features(tables)
    slots_at = at + tables.max_pools * per_pool
    per_slot = slot_features(tables) + per_pair * tables.max_pools
    for slot in range(tables.window_slots):
        if snapshot.queue[slot, SLOT_PRESENT] > 0.0:
            slot_at = slots_at + slot * per_slot
            write_slot(snapshot, slot, slot_at, observation)
            if tables.has_job_hints:
                write_hints(snapshot, slot, slot_at + SLOT_FEATURES, observation)
            gpus = snapshot.queue[slot, SLOT_GPUS]
            slot_at += slot_features(tables)
            default = default_pool(snapshot, tables, plan, slot)
            for pool in range(tables.max_pools):
                if snapshot.allowed[slot, pool] > 0.0:
                    gpus_per_node = int(snapshot.pools[pool, POOL_GPUS_PER_NODE])
                    observation[slot_at] = 1.0
                    observation[slot_at + 1] = 1.0 if fits_now(plan, pool, gpus, gpus_per_node) else 0.0
                    observation[slot_at + 2] = 1.0 if pool == default else 0.0
                    if tables.has_job_hints:
                        observation[slot_at + 3] = squash(snapshot.allowed[slot, pool], 1.0)
                slot_at += per_pair
            if default >= 0:
                place(plan, default, gpus, int(snapshot.pools[default, POOL_GPUS_PER_NODE]))
    place_backlog(snapshot, tables, plan)
    for pool in range(tables.max_pools):
        if snapshot.pools[pool, POOL_PRESENT] > 0.0:
            write_pool(snapshot, plan, pool, at, observation)
            write_levers(snapshot, tables, pool, at + POOL_FEATURES, observation)
        at += per_pool


def observation_names(layout: CodecLayout) -> tuple[str, ...]:
    """The name of every entry of the observation, in order."""
    names = [f"hour_{int(centre * HAT_HOURS):02d}" for centre in range(HOUR_CENTRES)] + ["weekend"]
    names += [f"submitted_gpus_{int(seconds)}s" for seconds in SUBMIT_WINDOWS_SECONDS]
    names += ["submitted_10min_against_1h", "submitted_1h_against_24h", "submitted_jobs_1h", "since_submit"]
    names += ["queue_jobs", "queue_gpus", "running_jobs", "used_gpus"]
    pool_names = ["present", "busy_nodes", "idle_nodes", "booting_nodes", "idle_share", "used_share", "nodes_share"]
    pool_names += ["fragmented_gpus", "largest_free", "shared_free_gpus", "max_nodes"]
    pool_names += [f"idle_nodes_{int(edge)}s" for edge in IDLE_AGE_EDGES_SECONDS]
    pool_names += ["nodes_with_1_free", "nodes_with_2_free", "nodes_with_4_free"]
    pool_names += ["planned_new_nodes", "planned_idle_nodes", "backlog_gpus"]
    pool_names += ["gpus_per_node", "boot_seconds", "idle_cost_against_wait_cost"]
    if layout.consolidation:
        pool_names += ["emptiable_nodes", "consolidatable", "since_consolidation"]
    if layout.power_caps:
        pool_names += ["power_cap", "busy_gpu_watts"]
    if layout.elastic_width:
        pool_names += ["shrinkable_gpus", "growable_gpus"]
    slot_names, pair_names = ["present", "gpus", "gang", "waited"], ["allowed", "fits_now", "default"]
    if layout.job_hints:
        slot_names += ["is_predicted", "predicted", "slack", "priority", "narrower_gpus", "wider_gpus"]
        pair_names += ["speed"]
    for pool in range(layout.max_pools):
        names += [f"pool{pool}.{name}" for name in pool_names]
    for slot in range(layout.window_slots):
        names += [f"slot{slot}.{name}" for name in slot_names]
        for pool in range(layout.max_pools):
            names += [f"slot{slot}.pool{pool}.{name}" for name in pair_names]
    return tuple(names)


def observation_size(layout: CodecLayout) -> int:
    """Length of the observation of a layout."""
    tables = layout.tables()
    per_slot = slot_features(tables) + slot_pool_features(tables) * layout.max_pools
    return GLOBAL_FEATURES + layout.max_pools * pool_features(tables) + layout.window_slots * per_slot
