"""What a place in a pool is worth now: a price by which the default placement compares pools, linear in the state.

A job takes a place that a later one may need more. How likely that is hangs on how full the pool is and on what was
submitted lately, so the price of a node may change with both. It is no cost: nobody pays it. CPython and numba both run
this file and give the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.features import ClusterFeature
from envs.gpu_cluster.codec.layout import Pool, Signal
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot

SLOPES = ("busy", "idle", "booting", "queue_gpus", "submitted_gpus_600s", "submitted_gpus_3600s")
"""What the price is linear in: shares of the pool's nodes, and features of the cluster as in the observation."""

QUEUE_SCALE = float(ClusterFeature.QUEUE_GPUS.scale or 0.0)
TEN_MINUTES_SCALE = float(ClusterFeature.SUBMITTED_GPUS_600S.scale or 0.0)
HOUR_SCALE = float(ClusterFeature.SUBMITTED_GPUS_3600S.scale or 0.0)


def write_price(snapshot: ClusterSnapshot, pool: int, base: float, slopes: NDArray[np.float64]) -> None:
    """Write the price by which jobs are placed in a pool; its nodes and the signals are written.

    Args:
        snapshot: the cluster now.
        pool: which pool.
        base: USD per node-hour where every quantity is 0.
        slopes: [len(SLOPES)] float64, in the order of `SLOPES`. The price does not fall below 0.
    """
    row, signals = snapshot.pools[pool], snapshot.signals
    most = max(row[Pool.MAX_NODES], 1.0)
    queue, short, long = (
        signals[Signal.QUEUE_GPUS],
        signals[Signal.SUBMITTED_GPUS_10MIN],
        signals[Signal.SUBMITTED_GPUS_1H],
    )
    price = base + slopes[0] * (row[Pool.BUSY_NODES] / most)
    price += slopes[1] * (row[Pool.IDLE_NODES] / most)
    price += slopes[2] * (row[Pool.BOOTING_NODES] / most)
    price += slopes[3] * (queue / (queue + QUEUE_SCALE))
    price += slopes[4] * (short / (short + TEN_MINUTES_SCALE))
    price += slopes[5] * (long / (long + HOUR_SCALE))
    row[Pool.USD_PER_NODE_HOUR] = max(price, 0.0)
