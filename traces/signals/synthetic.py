"""Synthetic signals: a daily and a weekly rhythm, a slow season and weather that lasts some days, from a seed.

The presets have about the level, the daily swing and the day-to-day variation of three grids in 2022. They are for
examples and tests without a download; results about carbon need recorded data.

Source of the levels: US EIA hourly average carbon intensity 2022 of CISO, ERCO and PJM; prices and temperatures are
    assumptions of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.signals.series import hourly, to_signal
from traces.signals.signal import Quantity, Signal

LICENCE = "Apache-2.0 (generated)"
MAX_DAYS = 36_600


@dataclass(frozen=True, slots=True)
class SignalPreset:
    """What a synthetic signal looks like.

    Attributes:
        quantity: what it measures.
        unit: of `mean`, one that `traces.signals.series.FACTORS` knows.
        mean: mean value.
        solar_dip: how far the value falls at solar noon, as a fraction of the mean.
        evening_peak: how far it rises in the evening, likewise.
        weekend_factor: values of a Saturday or Sunday relative to a working day.
        season: half the difference between winter and summer, as a fraction of the mean; > 0: winter is higher.
        weather_sigma: standard deviation of the logarithm of a factor that lasts `weather_hours`.
        weather_hours: correlation time of that factor.
        utc_offset_hours: of the zone's solar time.
        spike_share: share of the hours with a spike, for prices.
        spike_factor: how high it is, relative to the mean.
    """

    quantity: Quantity
    unit: str
    mean: float
    solar_dip: float
    evening_peak: float
    weekend_factor: float
    season: float
    weather_sigma: float
    weather_hours: float
    utc_offset_hours: float
    spike_share: float = 0.0
    spike_factor: float = 1.0


PRESETS: Mapping[str, SignalPreset] = {
    "solar": SignalPreset("carbon", "gCO2e/kWh", 256.0, 0.46, 0.16, 0.95, 0.20, 0.16, 36.0, -8.0),
    "wind": SignalPreset("carbon", "gCO2e/kWh", 347.0, 0.12, 0.08, 0.96, -0.05, 0.19, 36.0, -6.0),
    "fossil": SignalPreset("carbon", "gCO2e/kWh", 363.0, 0.04, 0.05, 0.97, 0.02, 0.08, 48.0, -5.0),
    "flat": SignalPreset("carbon", "gCO2e/kWh", 400.0, 0.0, 0.0, 1.0, 0.0, 0.0, 24.0, 0.0),
    "temperate": SignalPreset("temperature", "degC", 13.0, -0.25, 0.05, 1.0, -0.65, 0.22, 72.0, -6.0),
    "hot": SignalPreset("temperature", "degC", 27.0, -0.18, 0.03, 1.0, -0.22, 0.08, 72.0, 3.0),
    "price": SignalPreset("price", "USD/kWh", 0.15, 0.25, 0.45, 0.90, 0.05, 0.25, 18.0, -6.0, 0.004, 8.0),
}
"""Presets by name."""


def generate_signal(
    name: str, *, start: datetime, days: float, seed: int, zone: str | None = None, uri: str = ""
) -> Signal:
    """Generate a signal with one value an hour.

    Args:
        name: one of `PRESETS`.
        start: first hour, UTC.
        days: length.
        seed: of the weather and the spikes; the same seed and start give the same values, whatever the length.
        zone: name of the zone; None: `synthetic-NAME`.
        uri: where it came from.

    Raises:
        TraceValueError: there is no such preset, or the length or the seed is out of range.
    """
    if name not in PRESETS:
        raise TraceValueError(f"there is no synthetic signal {name!r}{did_you_mean(name, PRESETS)}")
    if not 1.0 / 24.0 <= days <= MAX_DAYS:
        raise TraceValueError(f"days is {days}; it must be at least one hour (0.0417) and at most {MAX_DAYS}")
    if seed < 0:
        raise TraceValueError(f"seed is {seed}; it must be >= 0")
    preset = PRESETS[name]
    begin = (start if start.tzinfo else start.replace(tzinfo=UTC)).replace(minute=0, second=0, microsecond=0)
    hours = int(np.ceil(days * 24.0))
    values = preset.mean * _rhythm(preset, begin, hours) * _weather(preset, hours, np.random.default_rng(seed))
    basis = "average" if preset.quantity == "carbon" else "none"
    return to_signal(
        hourly(begin, values),
        quantity=preset.quantity,
        zone=zone or f"synthetic-{name}",
        unit=preset.unit,
        basis=basis,  # type: ignore[arg-type]  # a str of two words of the Literal
        where=f"synthetic signal {name}",
        source=f"synthetic ({name}, seed {seed})",
        licence=LICENCE,
        uri=uri,
    )


def _rhythm(preset: SignalPreset, begin: datetime, hours: int) -> NDArray[np.float64]:
    """[hours] float64, mean about 1: day, week and season."""
    since = begin.timestamp() / 3600.0 + np.arange(hours, dtype=np.float64) + preset.utc_offset_hours
    hour = since % 24.0
    weekday = (since // 24.0 + 3.0) % 7.0  # 1970-01-01 was a Thursday
    noon, evening = _bump(hour, 12.5, 2.6), _bump(hour, 19.5, 1.9)
    day = 1.0 - preset.solar_dip * noon + preset.evening_peak * evening
    week = np.where(weekday >= 5.0, preset.weekend_factor, 1.0 + (1.0 - preset.weekend_factor) * 0.4)
    season = 1.0 + preset.season * np.cos(2.0 * np.pi * (since / 24.0 - 15.0) / 365.25)
    return np.asarray(day * week * season, np.float64)


def _bump(hour: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """A bell around an hour of the day, mean 0 over a whole day."""

    def bell(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(-0.5 * ((at - centre) / width) ** 2), np.float64)

    return bell(hour) - float(bell(np.arange(24.0)).mean())


def _weather(preset: SignalPreset, hours: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[hours] float64, mean about 1: a factor that lasts some days, and spikes."""
    # Two draws an hour in one order, so that a longer signal begins like a shorter one.
    draws = rng.random((hours, 2))
    normal = np.sqrt(-2.0 * np.log1p(-draws[:, 0])) * np.cos(2.0 * np.pi * draws[:, 1])
    keep = np.exp(-1.0 / preset.weather_hours)
    level, state = np.empty(hours), 0.0
    for index in range(hours):
        state = keep * state + np.sqrt(1.0 - keep**2) * normal[index]
        level[index] = state
    factor = np.exp(preset.weather_sigma * level - 0.5 * preset.weather_sigma**2)
    return np.where(draws[:, 1] < preset.spike_share, factor * preset.spike_factor, factor)
