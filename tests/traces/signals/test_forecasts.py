"""Forecasts know the past alone, and their errors are measured."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from traces.errors import TraceValueError
from traces.signals import FORECASTERS, Signal, forecast_errors, make_forecaster
from traces.signals.forecasts import Noisy, Persistence, Ridge
from traces.signals.series import hourly, to_signal

HOUR = 3600.0
CAUSAL = sorted(set(FORECASTERS) - {"perfect", "noisy"})


def series(values: np.ndarray) -> Signal:
    words = {"zone": "X", "basis": "average", "where": "f", "source": "s", "licence": "l"}
    rows = hourly(datetime(2022, 1, 1, tzinfo=UTC), values)
    return to_signal(rows, quantity="carbon", unit="gCO2/kWh", **words)  # type: ignore[arg-type]


def wavy(days: int = 60, seed: int = 0) -> Signal:
    rng, hours = np.random.default_rng(seed), np.arange(24 * days)
    noise = np.zeros(len(hours))
    for hour in range(1, len(hours)):
        noise[hour] = 0.95 * noise[hour - 1] + rng.normal(0.0, 8.0)
    return series(np.maximum(300.0 + 80.0 * np.sin(2 * np.pi * hours / 24) + noise, 1.0))


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_forecast_does_not_change_with_the_future(name: str) -> None:
    whole = wavy()
    now = whole.first_seconds + 40 * 86400.0 + 17 * HOUR + 5.0
    known = whole.start_seconds <= now
    other = series(np.where(known, whole.values, 1.0 + np.arange(len(whole.values))))
    horizons = HOUR * np.arange(60.0)
    first, second = (make_forecaster(name, each).forecast(now, horizons) for each in (whole, other))
    assert np.array_equal(first, second)


def test_persistence_is_the_same_hour_of_yesterday_and_last_week_that_of_a_week_ago() -> None:
    whole = series(np.arange(24.0 * 20))
    now = whole.first_seconds + 10 * 86400.0
    horizons = np.array([0.0, HOUR, 24 * HOUR, 25 * HOUR])
    assert Persistence(whole).forecast(now, horizons).tolist() == [240.0, 217.0, 240.0, 217.0]
    week = make_forecaster("last-week", whole)
    assert week.forecast(now, horizons).tolist() == [240.0, 73.0, 96.0, 97.0]


def test_persistence_before_any_history_is_the_present_value() -> None:
    assert Persistence(wavy()).forecast(wavy().first_seconds, np.array([5 * HOUR])).tolist() == [wavy().values[0]]


def test_ridge_is_better_than_persistence_where_the_next_hours_depend_on_the_last() -> None:
    whole = wavy()
    times = whole.first_seconds + HOUR * np.arange(24 * 30, 24 * 55, 5)
    ridge, yesterday = (
        forecast_errors(make_forecaster(name, whole), times, np.array([HOUR, 6 * HOUR]))
        for name in ("ridge", "persistence")
    )
    assert ridge[0].mean_absolute < 0.7 * yesterday[0].mean_absolute
    assert ridge[1].mean_absolute < yesterday[1].mean_absolute


def test_a_noisy_forecast_has_the_error_that_it_states() -> None:
    whole = wavy()
    times = whole.first_seconds + HOUR * np.arange(24 * 58.0)
    found = forecast_errors(Noisy(whole, 0.1), times, np.array([24 * HOUR]))[0]
    assert found.root_mean_square / whole.values.mean() == pytest.approx(0.1, rel=0.1)
    assert Noisy(whole, 0.0).forecast(times[0], np.array([HOUR])).tolist() == [whole.values[1]]
    once = Noisy(whole, 0.1, seed=3).forecast(times[5], HOUR * np.arange(9.0))
    assert np.array_equal(once, Noisy(whole, 0.1, seed=3).forecast(times[5], HOUR * np.arange(9.0)))


def test_perfect_has_no_error_and_ends_with_the_data() -> None:
    whole = wavy()
    times = whole.first_seconds + HOUR * np.arange(100.0)
    assert forecast_errors(make_forecaster("perfect", whole), times, np.array([HOUR]))[0].mean_absolute == 0.0
    with pytest.raises(TraceValueError, match="no values from 2022-03-02"):
        make_forecaster("perfect", whole).forecast(whole.end_seconds - 10.0, np.array([HOUR]))


def test_what_has_no_meaning_is_refused() -> None:
    whole = wavy()
    with pytest.raises(TraceValueError, match="did you mean 'ridge'"):
        make_forecaster("rigde", whole)
    for name in ("noisy:x", "noisy:-1", "ridge:3"):
        with pytest.raises(TraceValueError):
            make_forecaster(name, whole)
    with pytest.raises(TraceValueError, match="horizons"):
        Persistence(whole).forecast(whole.first_seconds, np.array([-1.0]))
    with pytest.raises(TraceValueError, match="least_days"):
        Ridge(whole, least_days=3)


@pytest.mark.parametrize("zone", ["CISO", "ERCO", "PJM"])
def test_on_a_year_of_a_real_grid_ridge_beats_persistence_one_hour_ahead(data_dir: Path, zone: str) -> None:
    import pyarrow.csv as pacsv

    table = pacsv.read_csv(data_dir / "carbon" / f"eia2022_{zone}.csv.gz")
    values = np.array(table.column("avg_CI").to_numpy(), np.float64)
    whole = series(values[np.isfinite(values)])
    times = whole.first_seconds + HOUR * np.arange(24 * 60, 24 * 340, 31)
    ridge, yesterday = (
        forecast_errors(make_forecaster(name, whole), times, np.array([HOUR]))[0] for name in ("ridge", "persistence")
    )
    assert ridge.relative < 0.5 * yesterday.relative
