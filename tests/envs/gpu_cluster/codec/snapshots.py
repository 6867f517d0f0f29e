"""Snapshots for tests of the codec: a plain one to change field by field, and random ones that are consistent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from envs.gpu_cluster.codec import (
    HORIZON_HOURS,
    IDLE_AGE_EDGES_SECONDS,
    NO_SETPOINT,
    POWER_CAP_FRACTIONS,
    RESERVE_NODES,
    ClusterSnapshot,
    CodecLayout,
    Pool,
    PoolSignal,
    Signal,
    Slot,
    empty_snapshot,
)

LAYOUT = CodecLayout(max_pools=2, window_slots=2, max_hold_seconds=600.0)
LEVERS_ON = {
    "consolidation": True,
    "power_caps": True,
    "elastic_width": True,
    "suspension": True,
    "reserve_nodes": True,
}
FULL = replace(LAYOUT, **LEVERS_ON, grid_events=True, job_hints=True, arrival_features=True)
"""The same with every lever and the hints: its snapshots have the same shapes."""
WITH_DATA = replace(FULL, data_transfer=True)


def add_pool(snapshot: ClusterSnapshot, pool: int, **columns: float) -> None:
    """A pool of 8-GPU nodes of which none is on; `columns` are names of `Pool` in lower case."""
    row = snapshot.pools[pool]
    row[Pool.PRESENT], row[Pool.GPUS_PER_NODE], row[Pool.MAX_NODES] = 1.0, 8.0, 20.0
    row[Pool.BOOT_SECONDS], row[Pool.IDLE_NODE_WATTS], row[Pool.USD_PER_KWH] = 300.0, 600.0, 0.2
    for name, value in columns.items():
        row[Pool[name.upper()]] = value
    snapshot.idle_age_nodes[pool, 0] = row[Pool.IDLE_NODES]


def add_job(
    snapshot: ClusterSnapshot, slot: int, gpus: float, waited: float = 0.0, pools: tuple[int, ...] = (0,)
) -> None:
    """A waiting job that may run in `pools`."""
    row = snapshot.queue[slot]
    row[Slot.PRESENT], row[Slot.WAITED_SECONDS] = 1.0, waited
    row[[Slot.GPUS, Slot.MIN_GPUS, Slot.MAX_GPUS]] = gpus
    snapshot.allowed[slot, list(pools)] = 1.0


def plain_snapshot() -> ClusterSnapshot:
    """Two pools with nodes of every kind and two jobs that may run in both."""
    snapshot = empty_snapshot(LAYOUT)
    add_pool(snapshot, 0, idle_nodes=3, busy_nodes=4, booting_nodes=2, used_gpus=20, min_nodes=1)
    add_pool(snapshot, 1, idle_nodes=1, busy_nodes=2, booting_nodes=1, used_gpus=9, gpus_per_node=4)
    snapshot.idle_age_nodes[0] = [3, 3, 2, 2, 1, 1, 0, 0, 0, 0]
    snapshot.free_nodes[0, [0, 4, 8 - 2]] = [1, 2, 1]
    snapshot.free_nodes[1, [1, 3]] = [1, 1]
    for pool in (0, 1):
        snapshot.pools[pool, Pool.SHARED_FREE_GPUS] = 0.5
        snapshot.pools[pool, Pool.BACKLOG_GPUS] = 3.0
    add_job(snapshot, 0, 2.0, 100.0, (0, 1))
    add_job(snapshot, 1, 12.0, 50.0, (0, 1))
    signals = snapshot.signals
    signals[Signal.WEEK_SECONDS] = 2 * 86400.0 + 5 * 3600.0
    signals[Signal.SUBMITTED_GPUS_10MIN : Signal.SUBMITTED_GPUS_24H + 1] = [4.0, 30.0, 100.0, 300.0]
    signals[Signal.SUBMITTED_JOBS_1H], signals[Signal.SINCE_SUBMIT_SECONDS] = 10.0, 40.0
    signals[Signal.QUEUE_JOBS], signals[Signal.QUEUE_GPUS] = 4.0, 20.0
    signals[Signal.RUNNING_JOBS], signals[Signal.USD_PER_GPU_HOUR] = 9.0, 0.1
    return snapshot


def copy_of(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """An independent copy."""
    return ClusterSnapshot(*(field.copy() for field in snapshot))


def _add_levers(row: Any, busy: int, generator: Any) -> None:
    """What a pool shows of its levers and its setpoint, at random."""
    row[Pool.EMPTIABLE_NODES] = generator.integers(0, busy + 1)
    row[Pool.CONSOLIDATABLE] = float(row[Pool.EMPTIABLE_NODES] > 0 and generator.random() < 0.7)
    row[Pool.SINCE_CONSOLIDATION_SECONDS] = generator.choice([0.0, 59.9, 1800.0, 1e6])
    row[Pool.POWER_CAP] = generator.integers(0, len(POWER_CAP_FRACTIONS))
    row[Pool.BUSY_GPU_WATTS] = generator.random() * 400.0
    row[Pool.SHRINKABLE_GPUS] = generator.choice([0.0, 1.0, 12.0])
    row[Pool.GROWABLE_GPUS] = generator.choice([0.0, 3.0, 40.0])
    row[Pool.SUSPENDABLE_GPUS] = generator.choice([0.0, 0.5, 24.0])
    row[Pool.SUSPENDED_GPUS] = generator.choice([0.0, 2.0])
    row[Pool.NEXT_RESUME_SECONDS] = generator.choice([0.0, 0.001, 3600.0])
    row[Pool.SETPOINT] = generator.choice([NO_SETPOINT, 0, 12, 24])
    row[Pool.RESERVE_NODES] = generator.integers(0, len(RESERVE_NODES))
    row[Pool.SINCE_SETPOINT_SECONDS] = generator.choice([0.0, 9.999, 10.0, 1e6])
    row[Pool.SETPOINT_HELD] = float(row[Pool.SETPOINT] != NO_SETPOINT and generator.random() < 0.5)


def _add_signals(row: Any, generator: Any) -> None:
    """What energy costs and emits, at random; a price may be negative."""
    row[PoolSignal.KNOWN] = generator.integers(0, 2)
    row[PoolSignal.CARBON_G_PER_KWH] = generator.choice([0.0, 77.7, 900.0])
    row[PoolSignal.USD_PER_KWH :] = generator.random(HORIZON_HOURS + 1) - generator.choice([0.0, 0.5])


def _add_hints(snapshot: ClusterSnapshot, slot: int, generator: Any) -> None:
    """What is known of a waiting job, at random."""
    row = snapshot.queue[slot]
    row[Slot.PREDICTED_SECONDS] = generator.choice([0.0, 61.7, 86400.0])
    row[Slot.SLACK_SECONDS] = generator.choice([0.0, 0.001, 7200.0])
    row[Slot.PRIORITY] = generator.choice([-1.0, 0.0, 1.0, 3.0])
    row[Slot.FLEXIBILITY] = generator.integers(0, 4)
    row[Slot.MIN_GPUS] = generator.choice([0.5, 1.0]) * row[Slot.GPUS]
    row[Slot.MAX_GPUS] = generator.choice([1.0, 2.0]) * row[Slot.GPUS]
    snapshot.allowed[slot] *= generator.choice([0.4, 1.0, 1.7])


def random_snapshot(layout: CodecLayout, generator: Any) -> ClusterSnapshot:
    """Any consistent snapshot: counts fit each other, some pools and slots are absent."""
    snapshot = empty_snapshot(layout)
    present = int(generator.integers(1, layout.max_pools + 1))
    for pool in range(present):
        gpus = int(generator.choice([1, 2, 4, 8, 16]))
        busy = int(generator.integers(0, 12))
        idle, booting = generator.integers(0, 6, 2)
        maximum = busy + idle + booting + generator.integers(0, 9)
        free = generator.integers(0, gpus, busy)
        add_pool(snapshot, pool, gpus_per_node=gpus, busy_nodes=busy, idle_nodes=idle, booting_nodes=booting,
                 max_nodes=maximum, min_nodes=generator.integers(0, maximum + 1),
                 used_gpus=busy * gpus - free.sum(), shared_free_gpus=generator.choice([0.0, 0.25, 0.999, 2.3]),
                 boot_seconds=generator.choice([0.0, 61.7, 300.0]), backlog_gpus=generator.choice([0.0, 0.3, 40.0]),
                 idle_node_watts=generator.random() * 900.0, usd_per_kwh=generator.choice([0.0, 0.15]))  # fmt: skip
        np.add.at(snapshot.free_nodes[pool], free, 1.0)
        ages = np.sort(generator.integers(0, idle + 1, len(IDLE_AGE_EDGES_SECONDS) - 1))[::-1]
        snapshot.idle_age_nodes[pool] = [idle, *ages]
        _add_levers(snapshot.pools[pool], busy, generator)
        if layout.signals:
            _add_signals(snapshot.pool_signals[pool], generator)
        if layout.data_transfer:
            columns = snapshot.pools[pool, Pool.TRANSFER_SECONDS_PER_GB : Pool.TRANSFER_USD_PER_GB + 1]
            columns[:] = generator.random(3) * (3.0, 0.1, 0.1)
    for slot in range(int(generator.integers(0, layout.window_slots + 1))):
        gpus = generator.choice([0.125, 0.999, 1.0, 2.0, 7.0, 8.0, 40.0])
        pools = tuple(np.flatnonzero(np.atleast_1d(generator.random(present)) < 0.7)) or (0,)
        add_job(snapshot, slot, float(gpus), float(generator.choice([0.0, 59.9, 600.0, 1e6])), pools)
        _add_hints(snapshot, slot, generator)
        if layout.data_transfer:
            snapshot.transfer_gb[slot] = generator.choice([0.0, 0.5, 300.0], layout.max_pools)
    first = Signal.FADING_GPUS_60S  # of what is remembered of submissions
    snapshot.signals[:first] = generator.exponential(50.0, first) * generator.integers(0, 2, first)
    snapshot.signals[Signal.BUDGET_KNOWN] = float(snapshot.signals[Signal.BUDGET_KNOWN] > 0.0)
    snapshot.signals[Signal.WEEK_SECONDS] = generator.random() * 7 * 86400.0
    if layout.arrival_features:
        snapshot.signals[first:] = generator.exponential(9.0, len(Signal) - first)
        shares = [Signal.BUSIEST_USER_SHARE, Signal.USER_AGAIN]
        snapshot.signals[shares] = generator.random(2)
    return snapshot
