"""The objective: energy and money from the simulator's exact integrals, and the part of them that decisions change.

Source of the split: the energy waterfall of busy GPUs, idle GPUs on busy nodes (fragmentation), idle nodes, boot and
off. The power of each state is `PowerConfig.watts`: by default the GPUs of a node share the host's equally, so that the
busy part is proportional to the work and no decision changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.config import ObjectiveConfig

WATT_MS_PER_KWH = 3.6e9
MILLI_MS_PER_GPU_HOUR = 3.6e9
MS_PER_HOUR = 3.6e6

ENERGY_INTEGRALS = ("idle_node_ms", "busy_node_ms", "boot_node_ms", "used_milli_ms", "saved_milli_ms")
"""What the energy of a pool is made of, beside the time: fields of `envs.gpu_cluster.simulator.results.PoolTotals`."""

COST_TERMS = (
    *("idle_usd", "fragmentation_usd", "boot_usd", "off_usd"),
    *("overhead_usd", "busy_usd", "waiting_usd"),
)
"""The parts of what a step cost; the reward is minus their sum."""
IDLE, FRAGMENTATION, BOOT, OFF, OVERHEAD, BUSY, WAITING = range(len(COST_TERMS))


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


@helper
def energy_amounts(
    idle: Any, busy: Any, boot: Any, used: Any, saved: Any, gpus_per_node: int, max_nodes: int, elapsed_ms: Any
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """The amounts that `kwh_rates` prices, in its order, of one pool; what caps save is negative.

    Kernels use it with integers, and reports with arrays.

    Args:
        idle: idle node ms.
        busy: busy node ms.
        boot: booting node ms.
        used: GPU time that jobs hold, in thousandths of a GPU times ms.
        saved: GPU time that the power saved by caps is worth, likewise.
        gpus_per_node: of the pool.
        max_nodes: of the pool.
        elapsed_ms: time over which the others were summed.
    """
    unused = busy * gpus_per_node * 1000 - used
    off = elapsed_ms * max_nodes - idle - busy - boot  # with those that are down
    return idle, unused, boot, off, used, -saved


@helper
def add_costs(
    terms: NDArray[np.float64],
    amounts: tuple[int, int, int, int, int, int],
    overhead: int,
    rates: NDArray[np.float64],
    usd_per_waited_milli_ms: float,
    usd_per_useful_milli_ms: float,
) -> None:
    """Add what one pool cost to the terms of the cost of a step; the reward is minus their sum.

    GPU time beyond the work is as expensive as waiting, and its energy on top. Useful GPU time costs what it costs more
    than in the pool where its energy is cheapest, for only that part depends on decisions.

    Args:
        terms: [at least len(COST_TERMS)] float64, USD, changed.
        amounts: of `energy_amounts`, since the last step.
        overhead: the part of the GPU time beyond the work of jobs, in thousandths of a GPU times ms.
        rates: [6] float64, USD for each unit of the amounts.
        usd_per_waited_milli_ms: price of waiting.
        usd_per_useful_milli_ms: price of the energy of work where it is cheapest.
    """
    idle, unused, boot, off, used, saved = amounts
    terms[IDLE] += idle * rates[0]
    terms[FRAGMENTATION] += unused * rates[1]
    terms[BOOT] += boot * rates[2]
    terms[OFF] += off * rates[3]
    terms[OVERHEAD] += overhead * (rates[4] + usd_per_waited_milli_ms)
    terms[BUSY] += (used - overhead) * (rates[4] - usd_per_useful_milli_ms) + saved * rates[5]


class Prices(NamedTuple):
    """What the reward pays for each unit.

    Attributes:
        pools: [P, 6] float64, USD for each unit of the `energy_amounts` of each pool.
        usd_per_waited_milli_ms: USD for a thousandth of a GPU that a waiting job requests, for a ms.
        usd_per_useful_milli_ms: USD for the energy of a thousandth of a GPU that works, for a ms, where it is cheapest.
    """

    pools: NDArray[np.float64]
    usd_per_waited_milli_ms: float
    usd_per_useful_milli_ms: float


def prices(pools: Sequence[PoolConfig], objective: ObjectiveConfig) -> Prices:
    """The prices of the reward on a cluster."""
    rates = np.array([kwh_rates(pool) * objective.usd_per_kwh for pool in pools])
    return Prices(rates, objective.usd_per_gpu_hour / MILLI_MS_PER_GPU_HOUR, float(rates[:, 4].min()))


def energy_units(
    pool: PoolConfig, integrals: NDArray[np.number], elapsed_ms: int | NDArray[np.number]
) -> NDArray[np.number]:
    """The amounts that `kwh_rates` prices, of many stretches of time at once.

    Args:
        pool: its description.
        integrals: [..., len(ENERGY_INTEGRALS)], of the pool over each stretch.
        elapsed_ms: [...], its length.

    Returns:
        [..., 6], in the order of `kwh_rates`.
    """
    parts = np.moveaxis(integrals, -1, 0)
    return np.stack(energy_amounts(*parts, pool.gpus_per_node, pool.max_nodes, elapsed_ms), axis=-1)


def pool_energy(pool: PoolConfig, integrals: NDArray[np.int64], elapsed_ms: int) -> Energy:
    """The energy of one pool.

    Args:
        pool: its description.
        integrals: [len(ENERGY_INTEGRALS)] int64, since the episode began.
        elapsed_ms: time since the episode began.
    """
    idle, unused, boot, off, used, saved = (energy_units(pool, integrals, elapsed_ms) * kwh_rates(pool)).tolist()
    return Energy(busy=used + saved, fragmentation=unused, idle=idle, boot=boot, off=off)


def sum_energy(parts: list[Energy]) -> Energy:
    """Part by part."""
    return Energy(*(float(sum(column)) for column in zip(*parts, strict=True)))


def delayed_gpu_hours(overhead_milli_ms: int, waited_milli_ms: int) -> float:
    """GPU-hours by which jobs end later: waiting before they start, and overhead while they hold their GPUs.

    Args:
        overhead_milli_ms: of all pools, see `envs.gpu_cluster.simulator.results.PoolTotals`.
        waited_milli_ms: integral of the GPUs that waiting jobs request.
    """
    return (waited_milli_ms + overhead_milli_ms) / MILLI_MS_PER_GPU_HOUR


def objective_usd(kwh: float, delayed: float, objective: ObjectiveConfig) -> float:
    """What a run cost: its energy, and the hours by which jobs were delayed, for each GPU that they request."""
    return kwh * objective.usd_per_kwh + delayed * objective.usd_per_gpu_hour
