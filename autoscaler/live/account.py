"""What the live loop believes was spent since it began: kWh, gCO2e and USD, by the formulas of the simulator.

Between two looks at the cluster, nodes and jobs count as they were at the first of them; prices and carbon intensities
change within at their own moments. Node time and GPU time are whole milliseconds, as in the simulator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState
from autoscaler.live.signal_config import QUANTITIES, Quantity
from autoscaler.live.view.submissions import milliseconds
from envs.gpu_cluster.accounting import (
    AMOUNTS,
    SPENDINGS,
    Account,
    Amounts,
    Waterfall,
    account,
    add_spendings,
    delayed_gpu_hours,
    energy_amounts,
    kwh_rates,
    node_hour_rates,
)
from envs.gpu_cluster.cooling import pue_at

SCHEMA = 2
SLACK_SECONDS = 60.0
"""A look that comes later than `resync_interval_seconds` and this after the last one leaves a time that nobody saw."""


class Pieces(Protocol):
    """Signals over a span; see `autoscaler.live.signals.live.LiveSignals.pieces`."""

    def pieces(
        self, region: str, quantity: Quantity, start_seconds: float, end_seconds: float
    ) -> list[tuple[float, float | None]]:
        """When each piece begins, and its value; None: it is unknown."""
        ...


class Prices(NamedTuple):
    """What carbon and delay cost; see `envs.gpu_cluster.accounting.ObjectivePrices`."""

    usd_per_tonne: float
    usd_per_gpu_hour: float


class Piece(NamedTuple):
    """A span in which a kWh of a pool costs and emits the same.

    Attributes:
        begin_ms: its begin.
        end_ms: its end.
        usd: USD/kWh.
        grams: gCO2e/kWh; None: unknown.
        cooling: PUE by the temperature relative to `power.pue`; 1 where no temperature is known.
    """

    begin_ms: int
    end_ms: int
    usd: float
    grams: float | None
    cooling: float


class Counts(NamedTuple):
    """What is on in a pool.

    Attributes:
        idle: nodes that are on without a job that uses GPUs.
        busy: nodes with one.
        booting: nodes that boot or are ordered.
        used_milli: thousandths of a GPU that jobs hold.
    """

    idle: int
    busy: int
    booting: int
    used_milli: int


@dataclass(slots=True)
class PoolAccount:
    """What a pool spent.

    Attributes:
        amounts: by `AMOUNTS`, of the node time and GPU time.
        spendings: [len(AMOUNTS), len(SPENDINGS)] float64, their energy, and what it cost and emitted.
        carbon_unknown_kwh: energy whose carbon intensity was not known.
        gpu_kwh: energy of the GPUs alone, without PUE, while it was measured.
    """

    amounts: list[int] = field(default_factory=lambda: [0] * len(AMOUNTS))
    spendings: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(AMOUNTS), len(SPENDINGS))))
    carbon_unknown_kwh: float = 0.0
    gpu_kwh: float = 0.0

    @property
    def energy(self) -> Waterfall:
        """Its energy by state, kWh."""
        return Waterfall.of_amounts(self.spendings[:, SPENDINGS.index("kwh")].tolist())

    @property
    def carbon(self) -> Waterfall:
        """Its carbon by state, gCO2e, where the intensity was known."""
        return Waterfall.of_amounts(self.spendings[:, SPENDINGS.index("carbon_g")].tolist())


def gpus_alone(pool: LivePool) -> LivePool:
    """The pool with the power of its GPUs and nothing else, as DCGM measures it."""
    return replace(pool, power=replace(pool.power, host_watts=0.0, boot_watts=0.0, off_watts=0.0, pue=1.0))


def counts_of(pool: PoolView) -> Counts:
    """What is on in a pool: a node that is closed, leaves or does not answer draws power all the same."""
    idle = busy = booting = used = 0
    for node in pool.nodes:
        if node.state is NodeState.BOOTING:
            booting += 1
        elif node.state is NodeState.BUSY or node.used_gpu_milli > 0:
            busy, used = busy + 1, used + node.used_gpu_milli
        else:
            idle += 1
    return Counts(idle, busy, booting + len(pool.orders), used)


class LiveAccount:
    """Adds up what was spent.

    Args:
        config: pools, their power and prices.
        signals: prices and carbon intensities; None: there are none.

    Attributes:
        since_wall_seconds: when it began, unix seconds; None: it did not yet.
        observed_ms: time that it covers.
        unobserved_ms: time since it began that nobody saw, such as between two processes.
        measured_kwh: measured energy of GPUs.
    """

    def __init__(self, config: LiveConfig, signals: Pieces | None = None) -> None:
        self.since_wall_seconds: float | None = None
        self.until_wall_seconds = 0.0
        self.observed_ms = self.unobserved_ms = self.waited_milli_ms = 0
        self.measured_kwh = 0.0
        self._pools: dict[str, PoolAccount] = {}
        self._known: dict[str, LivePool] = {}
        self._last_ms: int | None = None
        self._counts: dict[str, Counts] = {}
        self._waiting_milli = 0
        self.use(config, signals)

    def use(self, config: LiveConfig, signals: Pieces | None) -> None:
        """Let another config count from the next look on; pools that it does not have keep what they spent."""
        self._config, self._signals = config, signals
        self._known = {**self._known, **{pool.name: pool for pool in config.pools}}
        # A new mapping: threads that show the account may be going through the old one.
        self._pools = {**{pool.name: PoolAccount() for pool in config.pools}, **self._pools}

    def observe(self, view: ClusterView, wall_seconds: float, is_measured: bool = False) -> None:
        """Count the time since the last look, and remember what is on now.

        Args:
            view: the cluster.
            wall_seconds: unix seconds.
            is_measured: whether the energy of GPUs is measured now, so that what is believed of it can be compared.
        """
        now = milliseconds(view.now_seconds)
        if self.since_wall_seconds is None:
            self.since_wall_seconds = wall_seconds
        elif self._last_ms is None:
            self.unobserved_ms += max(0, milliseconds(wall_seconds - self.until_wall_seconds))
        if self._last_ms is not None and now > self._last_ms:
            if now - self._last_ms > milliseconds(self._config.resync_interval_seconds + SLACK_SECONDS):
                self.unobserved_ms += now - self._last_ms
            else:
                self._add(self._last_ms, now, is_measured)
        self._last_ms = now if self._last_ms is None else max(now, self._last_ms)
        self.until_wall_seconds = wall_seconds
        self._counts = {pool.name: counts_of(pool) for pool in view.pools}
        waiting = sum(gang.pending_gpu_milli for gang in view.queue)
        self._waiting_milli = waiting + sum(job.gpu_milli for job in view.suspended if job.suspended)

    def _add(self, start_ms: int, end_ms: int, is_measured: bool) -> None:
        elapsed = end_ms - start_ms
        self.observed_ms += elapsed
        self.waited_milli_ms += self._waiting_milli * elapsed
        for pool in self._config.pools:
            counts = self._counts.get(pool.name)
            if counts is None:
                continue
            entry = self._pools[pool.name]
            rates = kwh_rates(pool)
            for begin, end, usd, grams, cooling in self._tariff(pool, start_ms, end_ms):
                amounts = _amounts(pool, counts, end - begin)
                per_kwh = np.array([usd, grams or 0.0, 1.0]) * cooling
                add_spendings(entry.spendings, amounts, rates[:, None] * per_kwh[None, :])
                if grams is None:
                    entry.carbon_unknown_kwh += float(np.dot(amounts, rates)) * cooling
                entry.amounts = [before + more for before, more in zip(entry.amounts, amounts, strict=True)]
            if is_measured:
                gpu_rates = kwh_rates(gpus_alone(pool))
                entry.gpu_kwh += float((np.array(_amounts(pool, counts, elapsed)) * gpu_rates).sum())

    def _tariff(self, pool: LivePool, start_ms: int, end_ms: int) -> list[Piece]:
        """The pieces of a span in which all of the tariff is constant."""
        series = {quantity: self._series(pool, quantity, start_ms, end_ms) for quantity in QUANTITIES}
        edges = sorted({edge for each in series.values() for edge in each})
        constants = {"price": pool.usd_per_kwh, "carbon": self._config.signals.carbon_g_per_kwh}
        region, now = self._config.region_of(pool), dict[str, float | None]()
        found = []
        for begin, end in zip(edges, [*edges[1:], end_ms], strict=True):
            now |= {quantity: each[begin] for quantity, each in series.items() if begin in each}
            usd, grams = (constants[name] if now[name] is None else now[name] for name in ("price", "carbon"))
            degc = now["temperature"]
            cooling = 1.0 if degc is None or region is None else float(pue_at(region.pue, degc)) / pool.power.pue
            found.append(Piece(begin, end, usd or 0.0, grams, cooling))
        return found

    def _series(self, pool: LivePool, quantity: Quantity, start_ms: int, end_ms: int) -> dict[int, float | None]:
        region = self._config.region_of(pool)
        if region is None or self._signals is None:
            return {start_ms: None}
        pieces = self._signals.pieces(region.name, quantity, start_ms / 1000.0, end_ms / 1000.0)
        return {min(max(milliseconds(edge), start_ms), end_ms): value for edge, value in pieces}

    def pool(self, name: str) -> PoolAccount:
        """What a pool spent.

        Raises:
            KeyError: it never had a pool of that name.
        """
        return self._pools[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The pools that it has or had."""
        return tuple(self._pools)

    @property
    def total(self) -> Account:
        """All of it, as the simulator reports a run."""
        pools = [self._known[name] for name in self._pools]
        hours = [
            float(np.dot(entry.amounts, node_hour_rates(pool)))
            for pool, entry in zip(pools, self._pools.values(), strict=True)
        ]
        spendings = np.stack([entry.spendings for entry in self._pools.values()])
        prices = Prices(self._config.signals.usd_per_tonne, self._config.usd_per_gpu_hour)
        return account(pools, spendings, hours, [0] * len(pools), delayed_gpu_hours(0, self.waited_milli_ms), prices)

    @property
    def energy(self) -> Waterfall:
        """Energy of all pools by state, kWh."""
        return Waterfall.sum(entry.energy for entry in self._pools.values())

    @property
    def carbon_unknown_kwh(self) -> float:
        """Energy whose carbon intensity was not known."""
        return sum(entry.carbon_unknown_kwh for entry in self._pools.values())

    @property
    def gpu_kwh(self) -> float:
        """Believed energy of the GPUs alone while it was measured."""
        return sum(entry.gpu_kwh for entry in self._pools.values())

    @property
    def ratio(self) -> float | None:
        """Measured over believed energy of GPUs; None: nothing can be compared."""
        believed = self.gpu_kwh
        return self.measured_kwh / believed if believed > 0.0 and self.measured_kwh > 0.0 else None

    def report(self) -> dict[str, Any]:
        """All of it by names, as the status and the audit have it."""
        total, ratio = self.total, self.ratio
        measured = {"gpuKwh": self.measured_kwh, "believedGpuKwh": self.gpu_kwh, "ratio": ratio}
        return {
            "sinceUnixSeconds": self.since_wall_seconds,
            "observedSeconds": self.observed_ms / 1000.0,
            "unobservedSeconds": self.unobserved_ms / 1000.0,
            "energyKwh": self.energy.to_dict(),
            "carbonGrams": {**total.carbon_g.to_dict(), "embodied": total.embodied_g},
            "carbonUnknownKwh": self.carbon_unknown_kwh,
            "costUsd": cost_parts(total),
            "pools": {
                name: {"energyKwh": entry.energy.to_dict(), "carbonGrams": entry.carbon.to_dict()}
                for name, entry in self._pools.items()
            },
            **({} if ratio is None else {"measured": measured}),
        }

    def to_text(self) -> str:
        """What a restart must know, as JSON."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "since": self.since_wall_seconds,
                "until": self.until_wall_seconds,
                "observed_ms": self.observed_ms,
                "unobserved_ms": self.unobserved_ms,
                "waited_milli_ms": self.waited_milli_ms,
                "measured_kwh": self.measured_kwh,
                "pools": {
                    name: {
                        "amounts": entry.amounts,
                        "spendings": entry.spendings.tolist(),
                        "carbon_unknown_kwh": entry.carbon_unknown_kwh,
                        "gpu_kwh": entry.gpu_kwh,
                    }
                    for name, entry in self._pools.items()
                },
            }
        )

    def restore(self, text: str) -> None:
        """Go on from what the process before left; pools that the config no longer has are left out.

        Raises:
            ValueError: the text is damaged; nothing is changed.
        """
        record = json.loads(text)
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise ValueError("it is of another schema")
        since, until, measured = (_finite(record.get(key)) for key in ("since", "until", "measured_kwh"))
        times = [_whole(record.get(key)) for key in ("observed_ms", "unobserved_ms", "waited_milli_ms")]
        stored = record.get("pools")
        if not isinstance(stored, dict):
            raise ValueError("pools is no mapping")
        pools = {name: _pool_account(each) for name, each in stored.items() if name in self._known}
        self.since_wall_seconds, self.until_wall_seconds, self.measured_kwh = since, until, measured
        self.observed_ms, self.unobserved_ms, self.waited_milli_ms = times
        self._pools = {**self._pools, **pools}
        self._last_ms = None


def cost_parts(total: Account) -> dict[str, float]:
    """USD by what for."""
    return {
        "energy": total.energy_usd.total,
        "nodes": total.node_usd,
        "carbon": total.carbon_usd,
        "delay": total.delay_usd,
        "total": total.total_usd,
    }


def _amounts(pool: LivePool, counts: Counts, elapsed_ms: int) -> Amounts:
    idle, busy, booting, used = (each * elapsed_ms for each in counts)
    # A pool may have more nodes than its most, for a while or made by others: none of them is off.
    most = max(pool.max_nodes, counts.idle + counts.busy + counts.booting)
    # Nobody says what networks transferred.
    found: Amounts = energy_amounts(idle, busy, booting, used, 0, 0, pool.gpus_per_node, most, elapsed_ms)
    return found


def _pool_account(record: Any) -> PoolAccount:
    if not isinstance(record, Mapping):
        raise ValueError("a pool is no mapping")
    amounts = record.get("amounts")
    spendings = np.array(record.get("spendings"), np.float64)
    if not isinstance(amounts, list) or len(amounts) != len(AMOUNTS):
        raise ValueError("a pool has not the amounts of this version")
    if spendings.shape != (len(AMOUNTS), len(SPENDINGS)) or not np.isfinite(spendings).all():
        raise ValueError("a pool has not the spendings of this version")
    return PoolAccount(
        [_whole(each) for each in amounts],
        spendings,
        _finite(record.get("carbon_unknown_kwh")),
        _finite(record.get("gpu_kwh")),
    )


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value
