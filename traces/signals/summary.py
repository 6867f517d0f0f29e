"""What a signal holds, for humans and as JSON."""

from dataclasses import dataclass

import numpy as np

from traces.signals.forecasts import DAY_SECONDS, HOUR_SECONDS, forecast_errors, make_forecaster
from traces.signals.signal import Signal, utc_text

SHOWN_FORECASTS = ("persistence", "last-week", "ridge")
SHOWN_HORIZONS_SECONDS = (HOUR_SECONDS, 6 * HOUR_SECONDS, DAY_SECONDS)
FORECAST_STEP_HOURS = 31
"""Forecasts are compared every so many hours: all hours of a day, and no more than a year can be done in a second."""


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """What a signal holds.

    Attributes:
        uri: where it came from.
        source: the data set.
        licence: licence of the data.
        quantity: what it measures.
        zone: where.
        basis: average or marginal.
        unit: of the values.
        start: first moment, UTC.
        end: moment after the last value, UTC.
        values: how many.
        mean: weighted by time.
        percentiles: 5th, 50th and 95th of the values.
        daily_swing: mean over days of the range between the 5th and 95th percentile of a day, over the mean.
        remarks: what is odd about the rows.
        forecast_errors: forecast -> relative mean absolute error at `SHOWN_HORIZONS_SECONDS`; empty for short signals.
    """

    uri: str
    source: str
    licence: str
    quantity: str
    zone: str
    basis: str
    unit: str
    start: str
    end: str
    values: int
    mean: float
    percentiles: tuple[float, float, float]
    daily_swing: float
    remarks: tuple[str, ...]
    forecast_errors: dict[str, tuple[float, ...]]

    def rows(self) -> list[tuple[str, str]]:
        """Names and values of a table for humans."""
        low, middle, high = self.percentiles
        rows = [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("signal", f"{self.quantity} of {self.zone}, {self.unit}" + _basis_text(self.basis)),
            ("from, until", f"{self.start}, {self.end} ({self.values:,} values)"),
            ("mean", f"{self.mean:,.4g} (5 % {low:,.4g}, median {middle:,.4g}, 95 % {high:,.4g})"),
            ("daily swing", f"{self.daily_swing:.0%} of the mean"),
            ("odd", "\n".join(self.remarks) or "nothing"),
        ]
        hours = ", ".join(f"{seconds / HOUR_SECONDS:g} h" for seconds in SHOWN_HORIZONS_SECONDS)
        for name, errors in self.forecast_errors.items():
            rows.append((f"{name} forecast", f"{', '.join(f'{error:.1%}' for error in errors)} off, {hours} ahead"))
        return rows


def _basis_text(basis: str) -> str:
    return "" if basis == "none" else f", {basis}, location-based"


def summarize_signal(signal: Signal) -> SignalSummary:
    """Measure a signal, and the forecasts that could be made of it."""
    low, middle, high = np.percentile(signal.values, (5.0, 50.0, 95.0)).tolist()
    return SignalSummary(
        uri=signal.uri,
        source=signal.source,
        licence=signal.licence,
        quantity=signal.quantity,
        zone=signal.zone,
        basis=signal.basis,
        unit=signal.unit,
        start=utc_text(signal.first_seconds),
        end=utc_text(signal.end_seconds),
        values=len(signal.values),
        mean=signal.mean(signal.first_seconds, signal.end_seconds),
        percentiles=(low, middle, high),
        daily_swing=_daily_swing(signal),
        remarks=tuple(signal.quality.remarks()),
        forecast_errors=_errors(signal),
    )


def _daily_swing(signal: Signal) -> float:
    days = int((signal.end_seconds - signal.first_seconds) // DAY_SECONDS)
    if days < 1:
        return 0.0
    hours = signal.first_seconds + HOUR_SECONDS * np.arange(24.0 * days)
    table = signal.sample(hours).reshape(days, 24)
    swing = np.percentile(table, 95.0, axis=1) - np.percentile(table, 5.0, axis=1)
    return float(swing.mean() / (np.abs(table).mean() or 1.0))


def _errors(signal: Signal) -> dict[str, tuple[float, ...]]:
    first = signal.first_seconds + 35 * DAY_SECONDS  # every forecast has its history then
    times = np.arange(first, signal.end_seconds - 2 * DAY_SECONDS, FORECAST_STEP_HOURS * HOUR_SECONDS)
    if len(times) < 10:
        return {}
    horizons = np.array(SHOWN_HORIZONS_SECONDS)
    return {
        name: tuple(error.relative for error in forecast_errors(make_forecaster(name, signal), times, horizons))
        for name in SHOWN_FORECASTS
    }
