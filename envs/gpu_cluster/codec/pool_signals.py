"""What energy costs and emits in a pool, now and as it is expected: the one function for simulator and live loop.

A forecast is issued at the beginning of each whole hour, for the beginnings of the next ones, so that what a policy
sees changes when an hour begins or a signal takes another value, and at no other time. `next_change_seconds` says
when.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import HORIZON_HOURS, POOL_SIGNALS, PoolSignal

HOUR_SECONDS = 3600.0
HORIZONS_SECONDS: NDArray[np.float64] = HOUR_SECONDS * np.arange(1, HORIZON_HOURS + 1, dtype=np.float64)
GRAMS_PER_TONNE = 1e6


class EnergySignal(Protocol):
    """A price (USD/kWh) or a carbon intensity (gCO2e/kWh); times are seconds since the Unix epoch."""

    def at(self, time_seconds: float) -> float:
        """The value in force at a moment."""
        ...

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is expected at a moment for `time_seconds + horizons_seconds`: [H] float64."""
        ...


SignalOrConstant: TypeAlias = EnergySignal | float
"""A signal, or the constant that holds where there is none, or none that is fresh enough to be believed."""


def signal_row(
    now_seconds: float, price: SignalOrConstant, carbon: SignalOrConstant, usd_per_tonne: float
) -> NDArray[np.float64]:
    """What a policy is told of the energy of a pool.

    Args:
        now_seconds: seconds since the Unix epoch.
        price: USD/kWh.
        carbon: gCO2e/kWh.
        usd_per_tonne: price of a tonne of CO2e.

    Returns:
        [POOL_SIGNALS] float64, a row of `ClusterSnapshot.pool_signals`. Two constants are an unknown signal.
    """
    hour = hour_of(now_seconds)
    row = np.zeros(POOL_SIGNALS)
    row[PoolSignal.KNOWN] = 0.0 if isinstance(price, float) and isinstance(carbon, float) else 1.0
    grams = carbon if isinstance(carbon, float) else carbon.at(now_seconds)
    usd = price if isinstance(price, float) else price.at(now_seconds)
    row[PoolSignal.CARBON_G_PER_KWH] = grams
    row[PoolSignal.USD_PER_KWH] = usd + grams * (usd_per_tonne / GRAMS_PER_TONNE)
    expected = row[PoolSignal.USD_PER_KWH + 1 :]
    expected[:] = price if isinstance(price, float) else price.forecast(hour, HORIZONS_SECONDS)
    later = carbon if isinstance(carbon, float) else carbon.forecast(hour, HORIZONS_SECONDS)
    expected += later * (usd_per_tonne / GRAMS_PER_TONNE)
    return row


def hour_of(now_seconds: float) -> float:
    """When the whole hour began that a moment is in."""
    return float(now_seconds // HOUR_SECONDS * HOUR_SECONDS)


def next_change_seconds(now_seconds: float) -> float:
    """When the next forecast is issued: the beginning of the next whole hour."""
    return hour_of(now_seconds) + HOUR_SECONDS
