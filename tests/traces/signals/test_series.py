"""Rows of a file become a signal; what is odd is counted, and nothing is changed in silence."""

from datetime import UTC, datetime

import numpy as np
import pytest

from traces.errors import TraceValueError
from traces.signals.series import Rows, epoch_seconds, hourly, to_signal
from traces.signals.signal import Signal

START = datetime(2022, 1, 1, tzinfo=UTC)


def made(rows: Rows, quantity: str = "carbon", unit: str = "gCO2/kWh") -> Signal:
    words = {"zone": "X", "basis": "average", "where": "f.csv", "source": "s", "licence": "l"}
    return to_signal(rows, quantity=quantity, unit=unit, **words)  # type: ignore[arg-type]


def picked(rows: Rows, index: list[int]) -> Rows:
    return Rows(rows.time_seconds[index], rows.values[index], rows.estimated[index])


def test_rows_in_any_order_give_the_same_signal_and_are_counted() -> None:
    rows = hourly(START, np.arange(5.0) + 1)
    shuffled = made(picked(rows, [0, 2, 1, 4, 3]))
    assert np.array_equal(shuffled.values, made(rows).values)
    assert shuffled.quality.unsorted == 2
    assert made(rows).quality.remarks() == []


def test_duplicates_are_left_out_and_of_conflicts_the_last_counts() -> None:
    rows = Rows(np.array([0.0, 0.0, 3600.0, 3600.0]) + 1e9, np.array([1.0, 1.0, 2.0, 9.0]), np.zeros(4, np.bool_))
    series = made(rows)
    assert series.values.tolist() == [1.0, 9.0]
    assert (series.quality.duplicates, series.quality.conflicts) == (1, 1)


def test_a_gap_takes_the_value_of_the_day_before_and_counts_as_estimated() -> None:
    rows = hourly(START, np.arange(48.0) + 1)
    keep = [hour for hour in range(48) if hour not in (30, 31)]
    series = made(picked(rows, keep))
    assert series.values[[30, 31]].tolist() == [7.0, 8.0]
    assert series.estimated[[30, 31]].all()
    assert not series.estimated[29]
    assert (series.quality.gaps_filled, series.quality.estimated) == (2, 2)


def test_a_gap_on_the_first_day_holds_the_last_value() -> None:
    series = made(picked(hourly(START, np.arange(6.0) + 1), [0, 1, 4, 5]))
    assert series.values.tolist() == [1.0, 2.0, 2.0, 2.0, 5.0, 6.0]


def test_zeros_and_outliers_are_flagged_and_kept() -> None:
    values = np.linspace(100.0, 200.0, 100)
    values[10], values[20] = 0.0, 90_000.0
    series = made(hourly(START, values))
    assert (series.quality.zeros, series.quality.outliers) == (1, 1)
    assert series.values[20] == 90_000.0
    assert series.quality.remarks() == ["1 value of 0", "1 outlier"]


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "expected"),
    [
        ("carbon", "lb/MWh", 1000.0, 453.59237),
        ("carbon", "kg/MWh", 400.0, 400.0),
        ("carbon", "t/MWh", 0.4, 400.0),
        ("price", "USD/MWh", -30.0, -0.03),
    ],
)
def test_units_are_converted(quantity: str, unit: str, value: float, expected: float) -> None:
    assert made(hourly(START, np.array([value])), quantity, unit).values[0] == pytest.approx(expected, rel=1e-12)


def test_a_wrong_unit_names_the_units_there_are() -> None:
    with pytest.raises(TraceValueError, match=r"is no unit of carbon.*lb/MWh"):
        made(hourly(START, np.ones(2)), unit="USD/MWh")


def test_a_local_day_of_25_hours_has_an_hour_twice_and_one_of_23_hours_lacks_one() -> None:
    autumn = [f"2022-10-30T{hour:02d}:00" for hour in (0, 1, 2, 2, 3)]
    seconds = epoch_seconds(autumn, "f.csv", "Europe/Berlin")
    assert np.diff(seconds).tolist() == [3600.0] * 4
    spring = [f"2022-03-27T{hour:02d}:00" for hour in (0, 1, 3, 4)]
    assert np.diff(epoch_seconds(spring, "f.csv", "Europe/Berlin")).tolist() == [3600.0] * 3


def test_numbers_are_seconds_or_milliseconds_but_not_both() -> None:
    assert epoch_seconds(["1640995200", "1640998800"], "f").tolist() == [1640995200.0, 1640998800.0]
    assert epoch_seconds(["1640995200000"], "f").tolist() == [1640995200.0]
    with pytest.raises(TraceValueError, match="row 2: times are mixed, seconds and milliseconds"):
        epoch_seconds(["1640995200", "1640998800000"], "f")
    with pytest.raises(TraceValueError, match="row 1: '2022-01-01' is no number"):
        epoch_seconds(["2022-01-01", "1640998800"], "f")


@pytest.mark.parametrize("stamp", ["yesterday", "", "2022-13-01", "12"])
def test_a_stamp_that_is_no_time_names_its_row(stamp: str) -> None:
    with pytest.raises(TraceValueError, match=r"f\.csv: row"):
        epoch_seconds([stamp], "f.csv")


def test_an_unknown_time_zone_and_a_zone_without_rows_are_refused() -> None:
    with pytest.raises(TraceValueError, match="no time zone 'Mars/Base'"):
        epoch_seconds(["2022-01-01T00:00"], "f.csv", "Mars/Base")
    with pytest.raises(TraceValueError, match="there is no value"):
        made(Rows(np.zeros(0), np.zeros(0), np.zeros(0, np.bool_)))


def test_times_with_and_without_an_offset_are_refused_with_the_row() -> None:
    stamps = ["2022-01-01T00:00:00Z", "2022-01-01T01:00:00+00:00", "2022-01-01T02:00:00"]
    with pytest.raises(
        TraceValueError, match=r"f\.csv: row 3: '2022-01-01T02:00:00' has no offset, those before it have"
    ):
        epoch_seconds(stamps, "f.csv")
    with pytest.raises(TraceValueError, match=r"row 2: .* has an offset, those before it have none"):
        epoch_seconds(stamps[::-1], "f.csv", "Europe/Berlin")
    assert len(epoch_seconds(stamps, "f.csv", some_offsets=True)) == 3
