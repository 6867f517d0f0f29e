"""The last good value counts until it is too old; when a source is tried again; what is known of the past."""

from pathlib import Path

import numpy as np
import pytest

from autoscaler.live.signal_config import SignalSource
from autoscaler.live.signals.base import Problem, Reading, SourceError
from autoscaler.live.signals.feed import Feed, State
from autoscaler.live.signals.series import LiveSeries
from traces.errors import TraceValueError
from traces.signals import Signal, make_forecaster

START = 1_772_409_600.0  # 2026-03-02 00:00 UTC
HOUR, DAY = 3600.0, 86400.0


class Scripted:
    """A source that does what a test says next."""

    def __init__(self) -> None:
        self.next: Reading | Exception = SourceError(Problem.MISSING, "nothing yet")
        self.since: list[float | None] = []

    def read(self, since_seconds: float | None) -> Reading:
        self.since.append(since_seconds)
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


class Rig:
    def __init__(self, **settings: object) -> None:
        self.now, self.source, self.results = START, Scripted(), []
        made = SignalSource("file", {"path": "x"}, poll_seconds=100.0, max_age_seconds=HOUR, **settings)  # type: ignore[arg-type]
        self.feed = Feed(
            "west", "carbon", made, self.source, lambda: self.now, lambda _, result: self.results.append(result)
        )

    def tell(self, value: float, seconds: float = HOUR) -> float:
        self.source.next = Reading(np.array([self.now]), np.array([value]), self.now + seconds)
        return self.feed.read_once()

    def fail(self, problem: Problem, retry_after: float | None = None) -> float:
        self.source.next = SourceError(problem, "no luck", retry_after)
        return self.feed.read_once()


@pytest.mark.parametrize("problem", list(Problem))
def test_the_last_good_value_counts_until_it_is_too_old_and_a_new_one_at_once(problem: Problem) -> None:
    rig = Rig()
    rig.tell(300.0)
    assert rig.feed.status()[3:6] == (State.KNOWN, 300.0, 0.0)
    rig.now += HOUR + 1800.0
    rig.fail(problem)
    held = rig.feed.status()
    assert held[3:6] == (State.HELD, 300.0, 1800.0)
    assert held.problem == "no luck"
    rig.now += 1800.0
    assert rig.feed.status().state is State.HELD
    rig.now += 1.0
    assert rig.feed.status()[3:5] == (State.UNKNOWN, None)
    rig.tell(200.0)
    assert rig.feed.status()[3:] == (State.KNOWN, 200.0, 0.0, "")


def test_a_source_that_answers_with_old_values_is_unknown_too() -> None:
    rig = Rig()
    rig.tell(300.0)
    rig.now += 2 * HOUR + 1.0
    rig.feed.read_once()
    status = rig.feed.status()
    assert (status.state, status.value) == (State.UNKNOWN, None)
    assert "too old" in status.problem


def test_nothing_is_known_before_the_first_good_read() -> None:
    rig = Rig()
    assert rig.feed.status().state is State.UNKNOWN
    rig.fail(Problem.TIMEOUT)
    status = rig.feed.status()
    assert (status.value, status.age_seconds) == (None, float("inf"))


def test_what_may_pass_is_tried_again_soon_and_then_less_often() -> None:
    rig = Rig()
    assert [rig.fail(Problem.SERVER_ERROR) for _ in range(6)] == [5.0, 10.0, 20.0, 40.0, 80.0, 100.0]
    assert rig.tell(1.0) == 100.0
    assert rig.fail(Problem.TIMEOUT) == 5.0, "it counts anew"


def test_a_source_that_is_asked_too_often_is_left_alone_for_as_long_as_it_says() -> None:
    rig = Rig()
    assert rig.fail(Problem.RATE_LIMITED, 700.0) == 700.0
    assert rig.fail(Problem.RATE_LIMITED, 1.0) == 100.0
    assert rig.fail(Problem.RATE_LIMITED) == 100.0
    assert rig.fail(Problem.RATE_LIMITED, 1e9) == 3600.0


def test_a_wrong_credential_is_tried_at_the_next_poll() -> None:
    rig = Rig()
    assert [rig.fail(problem) for problem in (Problem.UNAUTHORIZED, Problem.FORBIDDEN)] == [100.0, 100.0]


def test_the_past_is_asked_for_until_a_read_succeeds() -> None:
    rig = Rig()
    rig.fail(Problem.TIMEOUT)
    rig.tell(300.0)
    rig.tell(300.0)
    assert rig.source.since == [None, None, START + HOUR]


def test_a_bug_of_a_source_is_a_failed_read(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.source.next = ZeroDivisionError("oops")
    rig.feed.read_once()
    assert rig.results == ["error"]
    assert "could not be read" in caplog.text


def test_a_history_file_gives_a_forecast_its_past(tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    lines = [f"{START - (48 - at) * HOUR:.0f},{100 + at % 24}" for at in range(48)]
    path.write_text("time,value\n" + "\n".join(lines) + "\n")
    rig = Rig(history=str(path))
    rig.tell(100.0)
    expected = rig.feed.series.forecast(START, np.array([HOUR, 5 * HOUR, 23 * HOUR]))
    assert expected.tolist() == [101.0, 105.0, 123.0]


@pytest.mark.parametrize("name", ["persistence", "last-week", "ridge"])
def test_a_live_signal_says_what_a_recorded_one_says(name: str) -> None:
    """The same values, read hour by hour or in one file, and the same forecasts to the bit."""
    hours = 40 * 24
    values = 300.0 + 100.0 * np.sin(np.arange(hours) * 2 * np.pi / 24.0) + np.random.default_rng(0).normal(0, 9, hours)
    times = START + HOUR * np.arange(hours)
    live = LiveSeries("carbon", "west", HOUR, name)
    live.merge(Reading(times[: 30 * 24], values[: 30 * 24], times[30 * 24]), times[30 * 24 - 1])
    for at in range(30 * 24, hours):
        live.merge(Reading(times[at : at + 1], values[at : at + 1], times[at] + HOUR), times[at])
    recorded = Signal("carbon", "west", times, values, times[-1] + HOUR)
    now, ahead = float(times[-1]) + 600.0, HOUR * np.arange(1.0, 25.0)
    assert live.at(now) == recorded.at(now)
    assert live.forecast(now, ahead).tobytes() == make_forecaster(name, recorded).forecast(now, ahead).tobytes()


def test_pieces_end_where_a_value_changes_and_where_it_becomes_too_old() -> None:
    live = LiveSeries("price", "west", HOUR, "persistence")
    live.merge(Reading(np.array([START, START + 600.0]), np.array([1.0, 2.0]), START + 1200.0), START)
    assert live.pieces(START + 300.0, START + 10_000.0) == [
        (START + 300.0, 1.0),
        (START + 600.0, 2.0),
        (START + 1200.0 + HOUR, None),
    ]
    assert live.pieces(START - 10.0, START + 1.0) == [(START - 10.0, None), (START, 1.0)]


def test_what_is_older_than_sixty_days_is_forgotten_and_a_later_reading_replaces_an_earlier_one() -> None:
    live = LiveSeries("carbon", "west", HOUR, "persistence")
    times = START + DAY * np.arange(100.0)
    live.merge(Reading(times, np.arange(100.0), times[-1] + DAY), times[-1])
    with pytest.raises(TraceValueError):
        live.at(times[38])
    assert live.at(times[39]) == 39.0
    live.merge(Reading(times[-2:], np.array([7.0, 8.0]), times[-1] + DAY), times[-1])
    assert (live.at(times[-2]), live.at(times[-1])) == (7.0, 8.0)


def test_an_hour_that_began_before_the_first_value_is_looked_ahead_from_all_the_same() -> None:
    live = LiveSeries("carbon", "west", HOUR, "persistence")
    live.merge(Reading(np.array([START + 1800.0]), np.array([5.0]), START + 1800.0), START + 1800.0)
    assert live.forecast(START, np.array([HOUR])).tolist() == [5.0]
