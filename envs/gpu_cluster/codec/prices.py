"""What the energy of a run is expected to cost. CPython and numba both run this file and give the same bits."""

from __future__ import annotations

import numpy as np

from envs.gpu_cluster.codec.layout import HORIZON_HOURS, CodecTables, Pool, PoolSignal, Slot
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot


def run_hours(seconds: float) -> int:
    """How many hours a run of `seconds` touches, from 1 to `HORIZON_HOURS`; 1 where nothing is known (0 s)."""
    hours = int(min(seconds / 3600.0, HORIZON_HOURS))
    if hours < HORIZON_HOURS and hours * 3600.0 < seconds:
        hours += 1
    return max(hours, 1)


def price_of_run(snapshot: ClusterSnapshot, pool: int, hours: int) -> float:
    """The mean price of a kWh that is expected over so many hours from this one on."""
    total = 0.0
    for hour in range(hours):
        total += snapshot.pool_signals[pool, PoolSignal.USD_PER_KWH + hour]
    return total / hours


def energy_price(snapshot: ClusterSnapshot, tables: CodecTables, pool: int, seconds: float) -> float:
    """USD per kWh of a run that begins now: by the signals that the layout shows, else the constant of the pool."""
    if tables.has_signals:
        return price_of_run(snapshot, pool, run_hours(seconds))
    return float(snapshot.pools[pool, Pool.USD_PER_KWH])


def best_start_price(snapshot: ClusterSnapshot, tables: CodecTables, slot: int, hours: int) -> float:
    """The lowest such price of all pools of a job and all hours until it has to start."""
    slack = snapshot.queue[slot, Slot.SLACK_SECONDS]
    if slack == 0.0:  # no job that may be deferred, but it may be held
        slack = tables.max_hold_seconds - snapshot.queue[slot, Slot.WAITED_SECONDS]
    starts = int(min(max(slack, 0.0) / 3600.0, HORIZON_HOURS))
    best = np.inf
    for pool in range(tables.max_pools):
        if snapshot.allowed[slot, pool] > 0.0:
            row = snapshot.pool_signals[pool]
            price = price_of_run(snapshot, pool, hours)
            best = min(best, price)
            for start in range(starts):  # a run that begins an hour later has one other hour
                ends = min(start + hours, HORIZON_HOURS)
                price += (row[PoolSignal.USD_PER_KWH + ends] - row[PoolSignal.USD_PER_KWH + start]) / hours
                best = min(best, price)
    return best
