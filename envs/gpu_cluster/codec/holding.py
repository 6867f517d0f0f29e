"""When the next decision comes, and how long a setpoint holds. CPython and numba both run this file.

Decisions follow events, so that jobs start and nodes are ordered at once. Only setpoints have an interval, and reserves
in nodes with them: a policy that changed them at every event would order nodes and give them back again.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import NO_SETPOINT, RESERVE_NODES, Pool
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot

Time = TypeVar("Time", int, float)

RESERVES = len(RESERVE_NODES)


def decision_time(last: Time, event: Time, settle: Time, resync: Time) -> Time:
    """When the next decision comes, all in one unit of time.

    An event is decided on at once, unless the last decision is less than `settle` ago: then whatever comes until that
    has passed is decided on together, and a storm of events has no more than one decision per `settle`.

    Args:
        last: time of the last decision.
        event: time of the first event after it.
        settle: least time between two decisions.
        resync: most time between them.
    """
    return max(last + settle, min(event, last + resync))


def write_setpoint(
    row: NDArray[np.float64], setpoint: int, reserve: int, since_seconds: float, interval_seconds: float
) -> None:
    """Write which setpoint and which reserve in nodes are in force in a pool, and whether they are held.

    Args:
        row: [len(Pool)] float64 of the pool in a snapshot, written.
        setpoint: the one in force, or `NO_SETPOINT`.
        reserve: likewise, an index into `RESERVE_NODES`.
        since_seconds: since the later of the two came into force.
        interval_seconds: they are held for so long.
    """
    row[Pool.SETPOINT], row[Pool.RESERVE_NODES] = setpoint, reserve
    row[Pool.SINCE_SETPOINT_SECONDS] = since_seconds
    row[Pool.SETPOINT_HELD] = 1.0 if setpoint != NO_SETPOINT and since_seconds < interval_seconds else 0.0


def chosen_setpoint(snapshot: ClusterSnapshot, pool: int, setpoint: int) -> int:
    """The setpoint that a choice means: the one in force while that is held, 0 for an absent pool."""
    row = snapshot.pools[pool]
    if row[Pool.PRESENT] == 0.0:
        return 0
    return int(row[Pool.SETPOINT]) if row[Pool.SETPOINT_HELD] > 0.0 else int(setpoint)


def chosen_reserve(snapshot: ClusterSnapshot, pool: int, reserve: int) -> int:
    """The reserve in nodes that a choice means, an index into `RESERVE_NODES`, by the same rule.

    What is no choice means none.
    """
    row = snapshot.pools[pool]
    if row[Pool.PRESENT] == 0.0:
        return 0
    if row[Pool.SETPOINT_HELD] > 0.0:
        return int(row[Pool.RESERVE_NODES])
    return int(reserve) if 0 <= reserve < RESERVES else 0
