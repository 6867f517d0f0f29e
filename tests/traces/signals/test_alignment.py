"""A trace is laid over a signal by a rule that is told."""

from datetime import UTC, datetime

import numpy as np
import pytest

from traces.errors import TraceValueError
from traces.signals import Signal, align
from traces.signals.series import hourly, to_signal

WEEK = (0.0, 7 * 86400.0)


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


def year(of: int = 2022, days: int = 365) -> Signal:
    rows = hourly(datetime(of, 1, 1, tzinfo=UTC), np.full(24 * days, 100.0))
    words = {"zone": "X", "basis": "average", "where": "f", "source": "s", "licence": "l"}
    return to_signal(rows, quantity="carbon", unit="gCO2/kWh", **words)  # type: ignore[arg-type]


def test_a_trace_of_the_signals_year_keeps_its_date() -> None:
    found = align(year(), trace_start=local(2022, 3, 4), span_seconds=WEEK)
    assert (found.rule, found.shift_days) == ("date", 0.0)
    assert found.zero_seconds == datetime(2022, 3, 4, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("start", [local(2017, 10, 9, 7, 1, 55), local(2021, 3, 4), local(2020, 12, 31)])
def test_a_trace_of_another_year_keeps_weekday_hour_and_season(start: datetime) -> None:
    found = align(year(), trace_start=start, span_seconds=WEEK)
    moved = datetime.fromtimestamp(found.zero_seconds, UTC)
    assert found.rule == "season"
    assert moved.weekday() == start.weekday()
    assert (moved.hour, moved.minute, moved.second) == (start.hour, start.minute, start.second)
    days = abs((moved.replace(tzinfo=None) - start.replace(year=2022)).days)
    assert min(days, 365 - days) <= 14
    assert "rule season, moved by" in found.describe()


def test_local_time_is_moved_to_utc() -> None:
    found = align(year(), trace_start=local(2022, 3, 4), span_seconds=WEEK, utc_offset_hours=-8.0)
    assert found.zero_seconds == datetime(2022, 3, 4, 8, tzinfo=UTC).timestamp()


def test_an_offset_is_taken_as_it_is() -> None:
    found = align(year(), trace_start=None, span_seconds=WEEK, start=local(2022, 7, 1))
    assert found.to_dict() == {"rule": "offset", "zero_seconds": 1656633600.0, "shift_days": None}


def test_what_cannot_be_laid_over_is_refused() -> None:
    with pytest.raises(TraceValueError, match="no dates"):
        align(year(), trace_start=None, span_seconds=WEEK)
    with pytest.raises(TraceValueError, match="no values from 2023-01-01"):
        align(year(), trace_start=local(2022, 12, 30), span_seconds=WEEK, rule="date")
    with pytest.raises(TraceValueError, match="no values from"):
        align(year(days=3), trace_start=local(2021, 3, 4), span_seconds=WEEK)
    with pytest.raises(TraceValueError, match="did you mean 'season'"):
        align(year(), trace_start=local(2022, 3, 4), span_seconds=WEEK, rule="seson")  # type: ignore[arg-type]
