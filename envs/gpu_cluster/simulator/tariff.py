"""The tariff: what a unit of energy costs and emits in each pool, piecewise constant in time.

A piece ends where a signal of any region takes another value. Within a piece the amounts are exact integers, so that a
cost is the sum over pieces of an exact amount times a constant: nothing is lost where a run ends inside an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.accounting import (
    AMOUNTS,
    GRAMS_PER_TONNE,
    MB_PER_GB,
    MILLI_MS_PER_GPU_HOUR,
    SPENDINGS,
    kwh_rates,
    node_hour_rates,
)
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.cooling import pue_at
from envs.gpu_cluster.regions import RegionConfig, SignalConfig, find_region, load_aligned
from envs.gpu_cluster.simulator.outlook import NO_OUTLOOK, Outlook, RegionSignals, make_outlook
from traces.signals import Alignment, Forecaster, Signal, make_forecaster
from traces.trace import Trace

FIRST_MS = int(np.iinfo(np.int64).min)
"""Where the first piece begins: before every time."""

DAY_SECONDS, WEEK_SECONDS = 86400.0, 7 * 86400.0
TAIL_WEEKS = 8
"""How often the last week of a signal is repeated after its end, for runs that last longer than the trace."""

OUTLOOK_SECONDS = 2 * WEEK_SECONDS
"""How long after the trace the outlook still changes: forecasts take time to compute, and few runs last longer."""


class Tariff(NamedTuple):
    """B pieces of time, in each of which a unit of every amount costs and emits the same.

    Attributes:
        edges_ms: [B] int64, when each piece begins, in ms of the trace's time, ascending; the first is `FIRST_MS`.
        rates: [B, P, len(AMOUNTS)] float64, USD per unit of an amount of each pool, all that the objective counts.
        spending_rates: [B, P, len(AMOUNTS), len(SPENDINGS)] float64, USD of energy alone, gCO2e of energy and kWh, per
            unit.
    """

    edges_ms: NDArray[np.int64]
    rates: NDArray[np.float64]
    spending_rates: NDArray[np.float64]


class Prices(NamedTuple):
    """What the reward pays for each unit.

    Attributes:
        tariff: of energy, carbon and nodes.
        usd_per_waited_milli_ms: USD for a thousandth of a GPU that a waiting job requests, for a ms.
        usd_per_useful_milli_ms: USD for a thousandth of a GPU that works, for a ms, where it is cheapest on average; a
            constant that no decision changes, so that the reward is about what decisions change.
        alignments: which signals were laid over the trace, and how, by region and quantity.
        bases: whether the carbon signals are average or marginal.
        pue_changes: whether the PUE of a pool changes with the temperature, so that its kWh follow from the tariff.
        outlook: what a policy is told of the tariff; empty where `codec.signals` is off.
    """

    tariff: Tariff
    usd_per_waited_milli_ms: float
    usd_per_useful_milli_ms: float
    alignments: dict[str, Alignment]
    bases: tuple[str, ...] = ()
    pue_changes: bool = False
    outlook: Outlook = NO_OUTLOOK


class _Series(NamedTuple):
    """A signal in the trace's time."""

    edges_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def at(self, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        index = np.searchsorted(self.edges_ms, times_ms, side="right") - 1
        return np.asarray(self.values[np.maximum(index, 0)], np.float64)


def _extended(signal: Signal) -> Signal:
    """A signal that goes on after its end: its last week comes again, and then its last value stays."""
    starts, values = signal.start_seconds, signal.values
    last, end = starts >= signal.end_seconds - WEEK_SECONDS, signal.end_seconds
    if end - signal.first_seconds >= WEEK_SECONDS:
        weeks = np.arange(1, TAIL_WEEKS + 1)
        tail = (starts[last][None, :] + weeks[:, None] * WEEK_SECONDS).ravel()
        starts, values = np.append(starts, tail), np.append(values, np.tile(values[last], TAIL_WEEKS))
        end += TAIL_WEEKS * WEEK_SECONDS
    # Another day, for a forecast looks ahead from the last hour too.
    end += DAY_SECONDS
    return replace(signal, start_seconds=starts, values=values, end_seconds=end, estimated=np.zeros(0, np.bool_))


def _series(signal: Signal, zero_seconds: float) -> _Series:
    """A signal in ms of the trace's time."""
    values = signal.values
    edges = np.rint((signal.start_seconds - zero_seconds) * 1000.0).astype(np.int64)
    changes = np.append(True, values[1:] != values[:-1])
    return _Series(edges[changes], values[changes])


def _constant(value: float) -> _Series:
    return _Series(np.array([FIRST_MS]), np.array([value]))


class _Found(NamedTuple):
    """The signals of the regions that pools are in, by region and quantity."""

    series: dict[tuple[str, str], _Series]
    alignments: dict[str, Alignment]
    bases: tuple[str, ...]
    signals: dict[tuple[str, str], tuple[SignalConfig, Signal]]


def _find_signals(trace: Trace, regions: Iterable[RegionConfig]) -> _Found:
    series, alignments, bases, signals = {}, {}, set(), {}
    for region in regions:
        for quantity, config in region.signals().items():
            signal, alignment = load_aligned(region, config, quantity, trace)
            extended = _extended(signal)
            signals[region.name, str(quantity)] = config, extended
            series[region.name, str(quantity)] = _series(extended, alignment.zero_seconds)
            alignments[f"{region.name} {quantity}"] = alignment
            if quantity == "carbon":
                bases.add(signal.basis)
    return _Found(series, alignments, tuple(sorted(bases)), signals)


def make_prices(trace: Trace, cluster: ClusterConfig, config: EnvironmentConfig) -> Prices:
    """The prices of the reward on a cluster.

    Raises:
        ClusterError: a pool names a region that is not there.
        EnvironmentConfigError: a signal cannot be read, does not cover the trace, or there are too many pieces.
    """
    places = [find_region(config.regions, pool.region, pool.name) for pool in cluster.pools]
    found = _find_signals(trace, {place.name: place for place in places if place is not None}.values())

    def per_pool(quantity: str, constant: float) -> list[_Series]:
        names = ["" if place is None else place.name for place in places]
        return [found.series.get((name, quantity), _constant(constant)) for name in names]

    price = per_pool("price", config.objective.usd_per_kwh)
    carbon = per_pool("carbon", config.objective.carbon_g_per_kwh or 0.0)
    pue = [_pue(pool, place, found) for pool, place in zip(cluster.pools, places, strict=True)]
    tariff = _tariff(cluster, config.objective, price, carbon, pue)
    per_hour = config.objective.usd_per_gpu_hour / MILLI_MS_PER_GPU_HOUR
    outlook = _outlook(trace, places, found, config) if config.codec.signals else NO_OUTLOOK
    pue_changes = any(each is not None for each in pue)
    return Prices(tariff, per_hour, _useful(tariff, trace), found.alignments, found.bases, pue_changes, outlook)


def _pue(pool: PoolConfig, place: RegionConfig | None, found: _Found) -> _Series | None:
    """The PUE of a pool by the temperature, relative to its own `power.pue`; None: it is constant."""
    series = None if place is None else found.series.get((place.name, "temperature"))
    if place is None or series is None:
        return None
    return series._replace(values=pue_at(place.pue, series.values) / pool.power.pue)


def _outlook(trace: Trace, places: list[RegionConfig | None], found: _Found, config: EnvironmentConfig) -> Outlook:
    """What a policy is told of the tariff, pool by pool."""
    objective = config.objective

    def signals_of(place: RegionConfig) -> RegionSignals:
        parts: dict[str, tuple[Forecaster, float]] = {}
        for quantity in place.signals().keys() & {"carbon", "price"}:
            settings, signal = found.signals[place.name, quantity]
            zero = found.alignments[f"{place.name} {quantity}"].zero_seconds
            parts[quantity] = make_forecaster(settings.forecast, signal), zero
        return RegionSignals(parts.get("price"), parts.get("carbon"))

    regions = {place.name: signals_of(place) for place in places if place is not None}
    pools = [RegionSignals(None, None) if place is None else regions[place.name] for place in places]
    last = float((trace.submit_milliseconds + trace.duration_milliseconds).max()) / 1000.0
    return make_outlook(pools, objective, (trace.first_submit_seconds, last + OUTLOOK_SECONDS))


def _tariff(
    cluster: ClusterConfig,
    objective: ObjectiveConfig,
    price: list[_Series],
    carbon: list[_Series],
    pue: list[_Series | None],
) -> Tariff:
    changing = [series for series in (*price, *carbon, *pue) if series is not None]
    edges = np.unique(np.concatenate([[FIRST_MS], *(series.edges_ms for series in changing)]))
    if edges.size * len(cluster.pools) > 20_000_000:
        raise EnvironmentConfigError("regions: the signals change too often; give hourly signals or a part of them")
    rates, spending_rates = [], []
    for pool, usd, grams, cooling in zip(cluster.pools, price, carbon, pue, strict=True):
        per_kwh = np.stack([usd.at(edges), grams.at(edges), np.ones(len(edges))], axis=-1)  # [B, 3]
        spent = kwh_rates(pool)[None, :, None] * per_kwh[:, None, :]  # [B, amounts, 3]
        if cooling is not None:  # of the site, not of the network that brings data
            spent[:, : AMOUNTS.index("transferred_mb")] *= cooling.at(edges)[:, None, None]
        rates.append(
            spent[..., 0]
            + spent[..., 1] * (objective.usd_per_tonne / GRAMS_PER_TONNE)
            + _beside_energy(pool, objective)
        )
        spending_rates.append(spent)
    shape = (len(edges), len(cluster.pools), len(AMOUNTS))
    return Tariff(
        edges,
        np.ascontiguousarray(np.stack(rates, axis=1)).reshape(shape),
        np.ascontiguousarray(np.stack(spending_rates, axis=1)).reshape(*shape, len(SPENDINGS)),
    )


def _beside_energy(pool: PoolConfig, objective: ObjectiveConfig) -> NDArray[np.float64]:
    """[len(AMOUNTS)] float64, USD per unit beside energy: price and embodied carbon of the node, and of the network."""
    embodied = pool.embodied_g_per_node_hour * objective.usd_per_tonne / GRAMS_PER_TONNE
    rates = node_hour_rates(pool) * (pool.usd_per_node_hour + embodied)
    rates[AMOUNTS.index("transferred_mb")] = pool.transfer.usd_per_gb / MB_PER_GB
    return rates


def _useful(tariff: Tariff, trace: Trace) -> float:
    """The mean price of work over the trace, in the pool where it is least."""
    first, last = trace.submit_milliseconds[[0, -1]].tolist() if trace.num_jobs else (0, 0)
    edges = np.clip(np.append(tariff.edges_ms, last), first, max(last, first))
    lengths = np.diff(edges).astype(np.float64)
    used = tariff.rates[:, :, AMOUNTS.index("used_milli_ms")]
    if lengths.sum() == 0.0:
        index = int(np.searchsorted(tariff.edges_ms, first, side="right")) - 1
        return float(used[index].min())
    if len(used) == 1:  # exactly, for a mean may differ in the last digit
        return float(used[0].min())
    return float((lengths @ used / lengths.sum()).min())
