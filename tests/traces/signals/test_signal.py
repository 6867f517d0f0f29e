"""A signal is piecewise constant and exact, and says what it does not cover."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.errors import TraceValueError
from traces.signals import Signal


def signal(values: list[float], quantity: str = "carbon", step: float = 3600.0, first: float = 1.6e9) -> Signal:
    starts = first + step * np.arange(len(values))
    return Signal(quantity, "X", starts, np.array(values), float(starts[-1] + step), "average")  # type: ignore[arg-type]


def test_a_value_holds_from_its_start_until_the_next() -> None:
    series = signal([100.0, 200.0])
    assert series.at(1.6e9) == 100.0
    assert series.at(1.6e9 + 3599.999) == 100.0
    assert series.at(1.6e9 + 3600.0) == 200.0


def test_an_integral_that_begins_and_ends_inside_hours_is_exact() -> None:
    series = signal([100.0, 200.0, 50.0])
    assert series.integral(1.6e9 + 1800.0, 1.6e9 + 7200.0 + 36.0) == 100.0 * 1800 + 200.0 * 3600 + 50.0 * 36
    assert series.integral(1.6e9 + 5.0, 1.6e9 + 5.0) == 0.0
    assert series.mean(1.6e9, 1.6e9 + 7200.0) == 150.0


@given(
    st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=20),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6),
)
def test_integrals_of_parts_add_up_to_the_whole(values: list[float], cuts: list[float]) -> None:
    series = signal(values)
    span = series.end_seconds - series.first_seconds
    edges = series.first_seconds + span * np.sort(cuts)
    parts = sum(series.integral(float(a), float(b)) for a, b in itertools.pairwise(edges))
    assert parts == pytest.approx(series.integral(float(edges[0]), float(edges[-1])), rel=1e-9, abs=1e-6)


def test_a_span_that_is_not_covered_names_the_missing_part() -> None:
    series = signal([1.0] * 24, first=1640995200.0)
    with pytest.raises(TraceValueError, match=r"no values from 2022-01-02 00:00 UTC to 2022-01-02 01:00 UTC"):
        series.integral(1640995200.0, 1640995200.0 + 25 * 3600)
    with pytest.raises(TraceValueError, match="carbon of X"):
        series.at(1640995199.0)
    with pytest.raises(TraceValueError, match="2022-01-02"):
        series.at(series.end_seconds)


def test_negative_carbon_is_refused_and_a_negative_price_is_not() -> None:
    with pytest.raises(TraceValueError, match=r"-5 gCO2e/kWh at .* is negative"):
        signal([1.0, -5.0])
    assert signal([1.0, -5.0], "price").at(1.6e9 + 3600.0) == -5.0


def test_times_that_do_not_ascend_and_unknown_words_are_refused() -> None:
    with pytest.raises(TraceValueError, match="ascend"):
        Signal("carbon", "X", np.array([2.0, 1.0]), np.array([1.0, 1.0]), 3.0)
    with pytest.raises(TraceValueError, match="did you mean 'carbon'"):
        signal([1.0], "carbn")
    with pytest.raises(TraceValueError, match="finite"):
        signal([np.nan])


def test_a_recorded_signal_forecasts_the_truth() -> None:
    series = signal([1.0, 2.0, 3.0])
    assert series.forecast(1.6e9 + 10.0, np.array([0.0, 3600.0, 7200.0])).tolist() == [1.0, 2.0, 3.0]
