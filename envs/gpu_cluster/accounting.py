"""From what was on for how long to kWh, gCO2e and USD: one place for the simulator and for the live loop.

Source of the split: the energy waterfall of busy GPUs, idle GPUs on busy nodes (fragmentation), idle nodes, boot and
off. The power of each state is `PowerConfig.watts`: by default the GPUs of a node share the host's equally, so that the
busy part is proportional to the work and no decision changes it.

Nothing here needs numba: kernels compile `energy_amounts` and `add_spendings`, and Python calls them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.transfer import TransferConfig

WATT_MS_PER_KWH = 3.6e9
MILLI_MS_PER_GPU_HOUR = 3.6e9
MS_PER_HOUR = 3.6e6
GRAMS_PER_TONNE = 1e6

MB_PER_GB = 1e3

ENERGY_INTEGRALS = (
    *("idle_node_ms", "busy_node_ms", "boot_node_ms", "used_milli_ms", "saved_milli_ms"),
    "transferred_mb",
)
"""What the energy of a pool is made of, beside the time: fields of `envs.gpu_cluster.simulator.results.PoolTotals`."""

AMOUNTS = (
    *("idle_node_ms", "unused_milli_ms", "boot_node_ms", "off_node_ms", "used_milli_ms", "saved_milli_ms"),
    "transferred_mb",
)
"""What energy is counted in: node time by state in ms, GPU time in thousandths of a GPU times ms, and MB of data."""
Amounts = tuple[int, int, int, int, int, int, int]

SPENDINGS = ("energy_usd", "carbon_g", "kwh")
"""What is kept of energy as time passes, for its price (USD), its carbon intensity (gCO2e) and the PUE (kWh) change."""


class PoolRates(Protocol):
    """What of a pool decides its energy and its costs; see `envs.gpu_cluster.cluster.PoolConfig`."""

    @property
    def power(self) -> PowerConfig: ...  # noqa: D102 (there)

    @property
    def transfer(self) -> TransferConfig: ...  # noqa: D102

    @property
    def gpus_per_node(self) -> int: ...  # noqa: D102

    @property
    def max_nodes(self) -> int: ...  # noqa: D102

    @property
    def usd_per_node_hour(self) -> float: ...  # noqa: D102

    @property
    def embodied_g_per_node_hour(self) -> float: ...  # noqa: D102


class ObjectivePrices(Protocol):
    """What carbon and delay cost; see `envs.gpu_cluster.config.ObjectiveConfig`."""

    @property
    def usd_per_tonne(self) -> float: ...  # noqa: D102 (there)

    @property
    def usd_per_gpu_hour(self) -> float: ...  # noqa: D102


class Waterfall(NamedTuple):
    """Energy of a run (kWh, PUE included), or its cost or its carbon; `total` is the sum of the parts in this order.

    `transfer` is the network that brings data from other regions; the others are the nodes.
    """

    busy: float
    fragmentation: float
    idle: float
    boot: float
    off: float
    transfer: float

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.busy + self.fragmentation + self.idle + self.boot + self.off + self.transfer

    def to_dict(self) -> dict[str, float]:
        """The parts and the total by name."""
        return {**self._asdict(), "total": self.total}

    @classmethod
    def of_amounts(cls, values: Sequence[float]) -> Waterfall:
        """The parts from a value for each of `AMOUNTS`."""
        idle, unused, boot, off, used, saved, transfer = values
        return cls(busy=used + saved, fragmentation=unused, idle=idle, boot=boot, off=off, transfer=transfer)

    @classmethod
    def sum(cls, parts: Iterable[Waterfall]) -> Waterfall:
        """Part by part."""
        return cls(*(float(sum(column)) for column in zip(*parts, strict=True)))


def kwh_rates(pool: PoolRates) -> NDArray[np.float64]:
    """[len(AMOUNTS)] float64, kWh per unit of an amount.

    Idle node, unused milli on busy nodes, boot, off, used milli, used milli whose power (without the host's share) a
    cap saves, and transferred MB, to which no PUE is added.
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
    return np.append(np.array(per_unit) * pool.power.pue / WATT_MS_PER_KWH, pool.transfer.kwh_per_gb / MB_PER_GB)


def node_hour_rates(pool: PoolRates) -> NDArray[np.float64]:
    """[len(AMOUNTS)] float64, node-hours (on or booting) per unit of an amount; GPUs share their node equally."""
    gpu = 1.0 / (1000.0 * pool.gpus_per_node)
    return np.array([1.0, gpu, 1.0, 0.0, gpu, 0.0, 0.0]) / MS_PER_HOUR


def energy_amounts(
    idle: Any,
    busy: Any,
    boot: Any,
    used: Any,
    saved: Any,
    transferred: Any,
    gpus_per_node: int,
    max_nodes: int,
    elapsed_ms: Any,
) -> tuple[Any, Any, Any, Any, Any, Any, Any]:
    """The amounts that `kwh_rates` prices, in its order, of one pool; what caps save is negative.

    Kernels use it with integers, and reports with arrays.

    Args:
        idle: idle node ms.
        busy: busy node ms.
        boot: booting node ms.
        used: GPU time that jobs hold, in thousandths of a GPU times ms.
        saved: GPU time that the power saved by caps is worth, likewise.
        transferred: data that came from other regions, MB.
        gpus_per_node: of the pool.
        max_nodes: of the pool.
        elapsed_ms: time over which the others were summed.
    """
    unused = busy * gpus_per_node * 1000 - used
    off = elapsed_ms * max_nodes - idle - busy - boot  # with those that are down
    return idle, unused, boot, off, used, -saved, transferred


def add_spendings(spendings: NDArray[np.float64], amounts: Amounts, rates: NDArray[np.float64]) -> None:
    """Add what amounts of energy cost and emitted.

    Args:
        spendings: [len(AMOUNTS), len(SPENDINGS)] float64, changed.
        amounts: of `energy_amounts`.
        rates: [len(AMOUNTS), len(SPENDINGS)] float64, per unit.
    """
    for kind in range(3):  # no len() of a tuple of names: compiled code knows numbers only
        spendings[0, kind] += amounts[0] * rates[0, kind]
        spendings[1, kind] += amounts[1] * rates[1, kind]
        spendings[2, kind] += amounts[2] * rates[2, kind]
        spendings[3, kind] += amounts[3] * rates[3, kind]
        spendings[4, kind] += amounts[4] * rates[4, kind]
        spendings[5, kind] += amounts[5] * rates[5, kind]
        spendings[6, kind] += amounts[6] * rates[6, kind]


def energy_units(
    pool: PoolRates, integrals: NDArray[np.number], elapsed_ms: int | NDArray[np.number]
) -> NDArray[np.number]:
    """The amounts that `kwh_rates` prices, of many stretches of time at once.

    Args:
        pool: its description.
        integrals: [..., len(ENERGY_INTEGRALS)], of the pool over each stretch.
        elapsed_ms: [...], its length.

    Returns:
        [..., len(AMOUNTS)], in the order of `kwh_rates`.
    """
    idle, busy, boot, used, saved, transferred = np.moveaxis(integrals, -1, 0)
    amounts = energy_amounts(idle, busy, boot, used, saved, transferred, pool.gpus_per_node, pool.max_nodes, elapsed_ms)
    return np.stack(amounts, axis=-1)


def pool_energy(pool: PoolRates, integrals: NDArray[np.int64], elapsed_ms: int) -> Waterfall:
    """The energy of one pool.

    Args:
        pool: its description.
        integrals: [len(ENERGY_INTEGRALS)] int64, since the episode began.
        elapsed_ms: time since the episode began.
    """
    return Waterfall.of_amounts((energy_units(pool, integrals, elapsed_ms) * kwh_rates(pool)).tolist())


def spending_parts(spendings: NDArray[np.float64], kind: str) -> Waterfall:
    """One of `SPENDINGS` by its parts.

    Args:
        spendings: [P, len(AMOUNTS), len(SPENDINGS)] float64, of the pools.
        kind: which.
    """
    column = SPENDINGS.index(kind)
    return Waterfall.sum(Waterfall.of_amounts(row[:, column].tolist()) for row in spendings)


def delayed_gpu_hours(overhead_milli_ms: int, waited_milli_ms: int) -> float:
    """GPU-hours by which jobs end later: waiting before they start, and overhead while they hold their GPUs.

    Args:
        overhead_milli_ms: of all pools, see `envs.gpu_cluster.simulator.results.PoolTotals`.
        waited_milli_ms: integral of the GPUs that waiting jobs request.
    """
    return (waited_milli_ms + overhead_milli_ms) / MILLI_MS_PER_GPU_HOUR


class Account(NamedTuple):
    """What a run spent, by what it was spent on.

    Attributes:
        energy_usd: USD of its energy at the price of each hour.
        carbon_g: gCO2e of its energy at the carbon intensity of each hour, location-based.
        node_hours: node time on or booting, h.
        node_usd: USD of the nodes themselves.
        embodied_g: gCO2e of making the nodes, for the hours that they were on.
        carbon_usd: USD of all carbon, of energy and embodied.
        transfer_usd: USD that networks charged for data.
        delay_usd: USD of waiting and overhead.
    """

    energy_usd: Waterfall
    carbon_g: Waterfall
    node_hours: float
    node_usd: float
    embodied_g: float
    carbon_usd: float
    transfer_usd: float
    delay_usd: float

    @property
    def total_usd(self) -> float:
        """The objective: all of it."""
        return self.energy_usd.total + self.node_usd + self.carbon_usd + self.transfer_usd + self.delay_usd


def account(
    pools: Sequence[PoolRates],
    spendings: NDArray[np.float64],
    node_hours: Sequence[float],
    transferred_mb: Sequence[int],
    delayed: float,
    objective: ObjectivePrices,
) -> Account:
    """What a run spent.

    Args:
        pools: of the cluster.
        spendings: [P, len(AMOUNTS), len(SPENDINGS)] float64, of its energy.
        node_hours: [P], of each pool.
        transferred_mb: [P], data that came to each pool.
        delayed: GPU-hours by which jobs were delayed, see `delayed_gpu_hours`.
        objective: prices.
    """
    energy_usd, carbon_g, _ = (spending_parts(spendings, kind) for kind in SPENDINGS)
    embodied = sum(pool.embodied_g_per_node_hour * hours for pool, hours in zip(pools, node_hours, strict=True))
    return Account(
        energy_usd=energy_usd,
        carbon_g=carbon_g,
        node_hours=float(sum(node_hours)),
        node_usd=sum(pool.usd_per_node_hour * hours for pool, hours in zip(pools, node_hours, strict=True)),
        embodied_g=embodied,
        carbon_usd=(carbon_g.total + embodied) * objective.usd_per_tonne / GRAMS_PER_TONNE,
        transfer_usd=sum(
            pool.transfer.usd_per_gb / MB_PER_GB * mb for pool, mb in zip(pools, transferred_mb, strict=True)
        ),
        delay_usd=delayed * objective.usd_per_gpu_hour,
    )
