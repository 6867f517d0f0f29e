"""What a policy is told of the energy of each pool, computed ahead for all times of a trace.

The rows are those of `envs.gpu_cluster.codec.signal_row`, which the live loop calls at each decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import POOL_SIGNALS, next_change_seconds, signal_row
from envs.gpu_cluster.config import ObjectiveConfig
from traces.signals import Forecaster

HOUR_SECONDS, DAY_SECONDS = 3600.0, 86400.0


class Outlook(NamedTuple):
    """B pieces of time, in each of which a policy is told the same.

    Attributes:
        edges_ms: [B] int64, when each piece begins, in ms of the trace's time, ascending; without entries where nothing
            is told. Before the first edge the first piece holds.
        rows: [B, P, POOL_SIGNALS] float64, see `envs.gpu_cluster.codec.PoolSignal`.
    """

    edges_ms: NDArray[np.int64]
    rows: NDArray[np.float64]


NO_OUTLOOK = Outlook(np.zeros(0, np.int64), np.zeros((0, 0, POOL_SIGNALS)))
"""Where nothing is told."""


class RegionSignals(NamedTuple):
    """The signals of a region, each with second 0 of the trace on its clock; None: a constant of the objective."""

    price: tuple[Forecaster, float] | None
    carbon: tuple[Forecaster, float] | None


@dataclass(frozen=True, slots=True)
class _Shifted:
    """A signal on the clock of another, which is so many seconds behind."""

    forecaster: Forecaster
    seconds: float

    def at(self, time_seconds: float) -> float:
        return self.forecaster.signal.at(time_seconds + self.seconds)

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        # A signal may begin within the hour in which the trace does.
        issued = max(time_seconds + self.seconds, self.forecaster.signal.first_seconds)
        return self.forecaster.forecast(issued, horizons_seconds)


def make_outlook(
    pools: Sequence[RegionSignals], objective: ObjectiveConfig, span_seconds: tuple[float, float]
) -> Outlook:
    """What a policy is told from one moment to another; later it stays as it is.

    Args:
        pools: [P], the signals of each pool; they go on for at least a day after what they are used for.
        objective: prices.
        span_seconds: the moments, in seconds of the trace.
    """
    tables = {region: _rows(region, objective, span_seconds) for region in pools}
    edges = np.unique(np.concatenate([tables[region].edges_ms for region in pools]))
    rows = [
        table.rows[np.maximum(np.searchsorted(table.edges_ms, edges, side="right") - 1, 0), 0]
        for table in (tables[region] for region in pools)
    ]
    return Outlook(edges, np.ascontiguousarray(np.stack(rows, axis=1)))


def _rows(region: RegionSignals, objective: ObjectiveConfig, span_seconds: tuple[float, float]) -> Outlook:
    """What is told of one region: rows of one pool."""
    signals = [signal for signal in (region.price, region.carbon) if signal is not None]
    constants = (float(objective.usd_per_kwh), float(objective.carbon_g_per_kwh or 0.0))
    if not signals:
        row = signal_row(0.0, *constants, objective.usd_per_tonne)
        return Outlook(np.array([round(span_seconds[0] * 1000.0)]), row[None, None, :])
    zero = signals[-1][1]  # all on the clock of one of them, in whole hours of which forecasts are issued
    price, carbon = (
        constant if signal is None else _Shifted(signal[0], signal[1] - zero)
        for signal, constant in zip(region, constants, strict=True)
    )
    times = _change_times(signals, zero, span_seconds)
    rows = [signal_row(time, price, carbon, objective.usd_per_tonne) for time in times.tolist()]
    return Outlook(np.rint((times - zero) * 1000.0).astype(np.int64), np.stack(rows)[:, None, :])


def _change_times(
    signals: Sequence[tuple[Forecaster, float]], zero: float, span_seconds: tuple[float, float]
) -> NDArray[np.float64]:
    """[B] float64, on the clock whose second 0 of the trace is `zero`: every whole hour and every change of a signal.

    The first is the beginning of the span. A day before the end of a signal it is over, for forecasts look so far.
    """
    first = zero + span_seconds[0]
    ends = [forecaster.signal.end_seconds - own + zero - DAY_SECONDS for forecaster, own in signals]
    end = min(*ends, zero + span_seconds[1])
    changes = [forecaster.signal.start_seconds - own + zero for forecaster, own in signals]
    hours = np.arange(next_change_seconds(first), end, HOUR_SECONDS)
    times = np.unique(np.concatenate([[first], hours, *changes]))
    inside: NDArray[np.float64] = times[(times >= first) & (times < max(end, np.nextafter(first, np.inf)))]
    return inside
