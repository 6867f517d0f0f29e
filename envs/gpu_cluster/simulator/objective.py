"""The objective: energy and money from the simulator's exact integrals, and the part of them that decisions change.

Source of the split: the energy waterfall of busy GPUs, idle GPUs on busy nodes (fragmentation), idle nodes, boot and
off. The power of each state is `PowerConfig.watts`: by default the GPUs of a node share the host's equally, so that the
busy part is proportional to the work and no decision changes it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.config import ObjectiveConfig
from envs.gpu_cluster.simulator import state as st

WATT_MS_PER_KWH = 3.6e9
MILLI_MS_PER_GPU_HOUR = 3.6e9
MS_PER_HOUR = 3.6e6


class Energy(NamedTuple):
    """Energy of a run in kWh, PUE included; `total` is the sum of the parts in this order."""

    busy: float
    fragmentation: float
    idle: float
    boot: float
    off: float

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.busy + self.fragmentation + self.idle + self.boot + self.off

    def to_dict(self) -> dict[str, float]:
        """The parts and the total by name."""
        return {**self._asdict(), "total": self.total}


def kwh_rates(pool: PoolConfig) -> NDArray[np.float64]:
    """[6] float64, kWh per unit of an integral.

    Idle node, unused milli on busy nodes, boot, off, used milli, and used milli whose power (without the host's share)
    a cap saves.
    """
    watts = pool.power.watts(pool.gpus_per_node)
    per_unit = [
        watts.idle_node,
        watts.unused_gpu / 1000.0,
        watts.boot_node,
        watts.off_node,
        watts.busy_gpu / 1000.0,
        watts.cappable_gpu / 1000.0,
    ]
    return np.array(per_unit) * pool.power.pue / WATT_MS_PER_KWH


def pool_energy(pool: PoolConfig, counters: NDArray[np.int64], elapsed_ms: int) -> Energy:
    """The energy of one pool.

    Args:
        pool: its description.
        counters: [POOL_COLUMNS] int64, a row of `Batch.pool`.
        elapsed_ms: time since the episode began.
    """
    rates = kwh_rates(pool)
    idle, busy = int(counters[st.IDLE_NODE_MS]), int(counters[st.BUSY_NODE_MS])
    boot, used = int(counters[st.BOOT_NODE_MS]), int(counters[st.USED_MILLI_MS])
    unused = busy * pool.gpus_per_node * 1000 - used
    off = elapsed_ms * pool.max_nodes - idle - busy - boot
    return Energy(
        busy=float(used * rates[4] - int(counters[st.SAVED_MILLI_MS]) * rates[5]),
        fragmentation=float(unused * rates[1]),
        idle=float(idle * rates[0]),
        boot=float(boot * rates[2]),
        off=float(off * rates[3]),
    )


def sum_energy(parts: list[Energy]) -> Energy:
    """Part by part."""
    return Energy(*(float(sum(column)) for column in zip(*parts, strict=True)))


def delayed_gpu_hours(pools: NDArray[np.int64], waited_milli_ms: int) -> float:
    """GPU-hours by which jobs end later: waiting before they start, and overhead while they hold their GPUs.

    Args:
        pools: [P, POOL_COLUMNS] int64, rows of `Batch.pool`.
        waited_milli_ms: integral of the GPUs that waiting jobs ask.
    """
    return (waited_milli_ms + int(pools[:, st.OVERHEAD_MILLI_MS].sum())) / MILLI_MS_PER_GPU_HOUR


def objective_usd(kwh: float, delayed: float, objective: ObjectiveConfig) -> float:
    """What a run cost: its energy, and the hours by which jobs were delayed, for each GPU that they ask."""
    return kwh * objective.usd_per_kwh + delayed * objective.usd_per_gpu_hour
