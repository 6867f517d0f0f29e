"""All signals of a config: what a policy is told, what people are shown, and that nobody waits for a source."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.names import (
    EVENT_SIGNAL_KNOWN,
    EVENT_SIGNAL_UNKNOWN,
    METRIC_SIGNAL_AGE,
    METRIC_SIGNAL_READS,
    METRIC_SIGNAL_STATE,
    METRIC_SIGNAL_VALUE,
)
from autoscaler.live.policy.pool_signals import UnknownSignals
from autoscaler.live.signal_config import LiveRegion, SignalSettings, SignalSource
from autoscaler.live.signals.base import Around, SourceError
from autoscaler.live.signals.live import LiveSignals, check_sources
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.metrics import Metrics
from envs.gpu_cluster.codec import PoolSignal, signal_row
from tests.live.signals.web import Answer, serving, vector
from traces.signals import Signal, make_forecaster

START = 1_772_409_600.0  # 2026-03-02 00:00 UTC
HOUR = 3600.0


def write(path: Path, hours: int, base: float) -> np.ndarray:
    values = base + 10.0 * np.arange(hours)
    lines = [f"{START + at * HOUR:.0f},{value}" for at, value in enumerate(values)]
    path.write_text("time,value\n" + "\n".join(lines) + "\n")
    return values


def from_file(path: Path) -> SignalSource:
    return SignalSource("file", {"path": str(path)}, max_age_seconds=HOUR)


@pytest.fixture
def config(tmp_path: Path) -> LiveConfig:
    write(tmp_path / "carbon.csv", 48, 100.0)
    write(tmp_path / "price.csv", 48, 1.0)
    regions = (
        LiveRegion("west", from_file(tmp_path / "carbon.csv"), from_file(tmp_path / "price.csv")),
        LiveRegion("east", from_file(tmp_path / "none.csv")),
    )
    pools = (LivePool("a", 2), LivePool("b", 2, region="east", usd_per_kwh=0.3))
    return LiveConfig(pools, signals=SignalSettings(regions, carbon_g_per_kwh=400.0, usd_per_tonne=50.0))


class Rig:
    def __init__(self, config: LiveConfig) -> None:
        self.clock, self.metrics = ManualClock(START + 30 * HOUR + 600.0), Metrics()
        self.events: list[tuple[str, str]] = []
        self.books = Bookkeeper(
            config, self.clock, self.metrics, None, lambda _, reason, message: self.events.append((reason, message))
        )
        assert self.books.signals is not None
        self.signals: LiveSignals = self.books.signals

    def read(self) -> None:
        for feed in self.signals._feeds.values():
            feed.read_once()

    def state(self, region: str, quantity: str) -> str:
        names = ("known", "held", "unknown")
        (found,) = [name for name in names if self.metrics.value(METRIC_SIGNAL_STATE, region, quantity, name)]
        return found


def test_a_policy_is_told_what_the_simulator_tells_it_of_the_same_signals(config: LiveConfig, tmp_path: Path) -> None:
    rig = Rig(config)
    rig.read()
    now = rig.clock.now()
    rows = rig.signals.signals_now(now)
    times = START + HOUR * np.arange(48)
    recorded = [
        make_forecaster("persistence", Signal(quantity, "west", times, values, times[-1] + HOUR))
        for quantity, values in (("price", 1.0 + 10.0 * np.arange(48)), ("carbon", 100.0 + 10.0 * np.arange(48)))
    ]

    class Told:
        def __init__(self, forecaster):
            self.at, self.forecast = forecaster.signal.at, forecaster.forecast

    assert rows[0].tobytes() == signal_row(now, Told(recorded[0]), Told(recorded[1]), 50.0).tobytes()
    assert rows[0][PoolSignal.KNOWN] == 1.0


def test_a_pool_whose_signals_are_unknown_is_told_the_constants(config: LiveConfig) -> None:
    rig = Rig(config)
    rig.read()
    now = rig.clock.now()
    assert rig.signals.signals_now(now)[1].tobytes() == UnknownSignals(config).signals_now(now)[1].tobytes()
    rig.clock.seconds = START + 49 * HOUR + 1.0
    assert rig.signals.signals_now(rig.clock.now()).tobytes() == UnknownSignals(config).signals_now(now).tobytes()


def test_what_is_known_is_told_by_region(config: LiveConfig) -> None:
    rig = Rig(config)
    rig.read()
    found = rig.signals.signal_values(rig.clock.now())
    assert found["west"][:3] == (301.0, 400.0, True)
    assert sorted(found["west"].forecasters) == ["carbon", "price"]
    assert found["east"] == (None, None, False, {})


def test_metrics_log_events_and_status_say_how_a_signal_is(
    config: LiveConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(config)
    rig.read()
    assert rig.state("west", "carbon") == "known"
    assert rig.state("east", "carbon") == "unknown"
    assert rig.metrics.value(METRIC_SIGNAL_VALUE, "west", "carbon") == 400.0
    assert rig.metrics.value(METRIC_SIGNAL_READS, "west", "carbon", "ok") == 1.0
    assert rig.metrics.value(METRIC_SIGNAL_READS, "east", "carbon", "missing") == 1.0
    (tmp_path / "carbon.csv").write_text("broken")
    caplog.clear()
    rig.read()
    rig.read()
    assert rig.state("west", "carbon") == "held"
    assert rig.events == []
    assert [record.message for record in caplog.records] == ["a signal is held"], "one line for a change of state"
    rig.clock.seconds = START + 49 * HOUR + 60.0
    rig.books.show_signals()
    assert rig.state("west", "carbon") == "unknown"
    assert np.isnan(rig.metrics.value(METRIC_SIGNAL_VALUE, "west", "carbon"))
    assert rig.metrics.value(METRIC_SIGNAL_AGE, "west", "carbon") == HOUR + 60.0
    lost = [message for reason, message in rig.events if reason == EVENT_SIGNAL_UNKNOWN]
    assert lost[0].startswith("carbon of region west from file: ")
    (report, *_) = rig.books.signal_report()
    assert (report["region"], report["state"], report["value"]) == ("west", "unknown", None)
    write(tmp_path / "carbon.csv", 60, 7.0)
    rig.read()
    assert rig.state("west", "carbon") == "known"
    assert (EVENT_SIGNAL_KNOWN, "carbon of region west from file: 497") in rig.events


def test_a_slow_source_holds_up_nobody() -> None:
    with serving() as web:
        asked, release = threading.Event(), threading.Event()

        def slowly(_: object) -> object:
            asked.set()
            release.wait(30.0)
            return vector((START, "5"))

        web.answers["/api/v1/query"] = slowly
        settings = {"url": web.url, "query": "q", "history_days": 0}
        source = SignalSource("prometheus", settings, timeout_seconds=30.0)
        read = threading.Event()
        made = LiveConfig((LivePool("a", 2),), signals=SignalSettings((LiveRegion("west", carbon=source),)))
        clock = ManualClock(START)
        books = Bookkeeper(made, clock, Metrics(), on_value=read.set)
        books.start()
        assert asked.wait(30.0)
        assert books.signals is not None
        assert not books.signals.signal_values(START)["west"].known, "it answers while the source does not"
        release.set()
        assert read.wait(30.0), "a new value wakes the loop"
        assert books.signals.signal_values(START)["west"].carbon == 5.0
        books.stop()


def test_a_config_with_other_signals_begins_anew_and_the_same_ones_go_on(config: LiveConfig) -> None:
    rig = Rig(config)
    rig.read()
    rig.books.use(LiveConfig((LivePool("z", 3),), signals=config.signals))
    assert rig.books.signals is rig.signals
    assert len(rig.signals.signals_now(rig.clock.now())) == 1
    rig.books.use(LiveConfig((LivePool("z", 3),)))
    assert rig.books.signals is None


@pytest.mark.parametrize(("status", "passes"), [(401, False), (403, False), (503, True), (429, True)])
def test_before_the_start_only_what_does_not_pass_by_itself_is_refused(status: int, passes: bool) -> None:
    with serving() as web:
        web.answers["/api/v1/query"] = Answer({}, status)
        source = SignalSource("prometheus", {"url": web.url, "query": "q"})
        made = LiveConfig((LivePool("a", 2),), signals=SignalSettings((LiveRegion("west", carbon=source),)))
        around = Around(lambda: START)
        if passes:
            (problem,) = check_sources(made, around)
            assert str(problem).startswith("region west: carbon: ")
        else:
            with pytest.raises(SourceError, match=f"region west: carbon: .*status {status}"):
                check_sources(made, around)
