"""What a policy is told of energy: the row of a pool, and its features, against numbers that are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.gpu_cluster.codec import (
    POOL_SIGNALS,
    ClusterSnapshot,
    PoolSignal,
    Slot,
    empty_plan,
    empty_snapshot,
    encode,
    next_change_seconds,
    observation_names,
    observation_size,
    signal_row,
)
from tests.envs.gpu_cluster.codec.snapshots import LAYOUT, add_job, add_pool, plain_snapshot

SIGNALS = replace(LAYOUT, signals=True)
HOUR = 3600.0


class Ramp:
    """A signal that rises by 0.01 each hour from 0.10 in hour 0 on; a forecast remembers when it was issued."""

    def __init__(self) -> None:
        self.issued: list[float] = []

    def at(self, time_seconds: float) -> float:
        return 0.10 + 0.01 * (time_seconds // HOUR)

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        self.issued.append(time_seconds)
        return 0.10 + 0.01 * ((time_seconds + horizons_seconds) // HOUR)


def priced(*rows: list[float], known: float = 1.0, carbon: float = 300.0) -> ClusterSnapshot:
    """Two pools with so much a kWh now and in the next hours; the last value stays."""
    snapshot = empty_snapshot(SIGNALS)
    for pool, prices in enumerate(rows):
        add_pool(snapshot, pool)
        row = snapshot.pool_signals[pool]
        row[PoolSignal.KNOWN], row[PoolSignal.CARBON_G_PER_KWH] = known, carbon
        row[PoolSignal.USD_PER_KWH :] = [*prices, *[prices[-1]] * (25 - len(prices))]
    return snapshot


def features(snapshot: ClusterSnapshot) -> dict[str, float]:
    values = np.full(observation_size(SIGNALS), np.nan, np.float32)
    encode(snapshot, SIGNALS.tables(), empty_plan(SIGNALS), values)
    return dict(zip(observation_names(SIGNALS), values.tolist(), strict=True))


def test_a_row_adds_carbon_at_its_price_to_the_energy() -> None:
    row = signal_row(2 * HOUR + 1800.0, Ramp(), 500.0, usd_per_tonne=80.0)
    assert len(row) == POOL_SIGNALS
    assert row[PoolSignal.KNOWN] == 1.0
    assert row[PoolSignal.CARBON_G_PER_KWH] == 500.0
    assert row[PoolSignal.USD_PER_KWH] == pytest.approx(0.12 + 0.04)
    assert row[PoolSignal.USD_PER_KWH + 1] == pytest.approx(0.13 + 0.04)
    assert row[PoolSignal.USD_PER_KWH + 24] == pytest.approx(0.36 + 0.04)


def test_a_forecast_is_issued_when_an_hour_begins() -> None:
    price = Ramp()
    rows = [signal_row(now, price, 0.0, 0.0) for now in (2 * HOUR, 2 * HOUR + 0.001, 3 * HOUR - 0.001)]
    assert price.issued == [2 * HOUR] * 3
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert [next_change_seconds(now) for now in (2 * HOUR, 3 * HOUR - 0.001)] == [3 * HOUR] * 2


def test_constants_are_an_unknown_signal_whose_price_never_changes() -> None:
    row = signal_row(5 * HOUR, 0.15, 100.0, usd_per_tonne=1000.0)
    assert row[PoolSignal.KNOWN] == 0.0
    assert row[PoolSignal.USD_PER_KWH :] == pytest.approx([0.25] * 25)
    values = features(priced([0.25], known=0.0))
    assert values["pool0.signal_known"] == 0.0
    later = [name for name in values if name.startswith("pool0.price_in") or name == "pool0.lowest_price_24h"]
    assert len(later) == 6
    assert {values[name] for name in later} == {0.5}


def test_features_of_a_pool() -> None:
    # Now 0.15, the next hours 0.15, 0.05, 0.45, 0.45, 0.45, 0.30, then 0.15 for ever; 300 g.
    values = features(priced([0.15, 0.15, 0.05, 0.45, 0.45, 0.45, 0.30, 0.15]))
    expected = {
        "signal_known": 1.0,
        "usd_per_kwh": 0.75,
        "carbon": 0.5,
        "price_in_1h": 0.5,
        "price_in_3h": 0.75,
        "price_in_6h": 0.30 / 0.45,
        "price_in_12h": 0.5,
        "price_in_24h": 0.5,
        "lowest_price_24h": 0.05 / 0.20,
        "lowest_price_in": 2 / 24,
    }
    assert {name: values[f"pool0.{name}"] for name in expected} == pytest.approx(expected)


def test_the_first_of_equally_low_hours_counts() -> None:
    values = features(priced([0.2, 0.1, 0.3, 0.1]))
    assert values["pool0.lowest_price_in"] == pytest.approx(1 / 24)
    assert features(priced([0.1, 0.2, 0.1]))["pool0.lowest_price_in"] == 0.0


def test_negative_prices_are_below_one_half() -> None:
    values = features(priced([-0.05, -0.15, 0.05]))
    assert values["pool0.usd_per_kwh"] == pytest.approx(0.5 - 0.5 * 0.05 / 0.20)
    assert values["pool0.price_in_1h"] == pytest.approx(0.25)
    assert values["pool0.price_in_3h"] == 1.0


def with_job(snapshot: ClusterSnapshot, slack: float, predicted: float = 0.0) -> ClusterSnapshot:
    """The same with a job that may run in both pools."""
    add_job(snapshot, 0, 2.0, 0.0, (0, 1))
    snapshot.queue[0, Slot.SLACK_SECONDS], snapshot.queue[0, Slot.PREDICTED_SECONDS] = slack, predicted
    return snapshot


@pytest.mark.parametrize(
    ("slack", "predicted", "best", "here", "there"),
    [
        (600.0, 0.0, 0.2, 0.3, 0.2),  # no whole hour to wait: the other pool now
        (3600.0, 0.0, 0.1, 0.3, 0.2),  # an hour: here at 0.1
        (2 * 3600.0, 7200.0, (0.1 + 0.2) / 2, (0.3 + 0.1) / 2, 0.2),  # two hours of work, from hour 1 on
        (-1.0, 0.0, 0.2, 0.3, 0.2),  # too late to wait
        (86400.0 * 9, 86400.0 * 9, (0.1 + 23 * 0.2) / 24, (0.3 + 0.1 + 22 * 0.2) / 24, 0.2),  # longer than the horizon
    ],
)
def test_a_slot_shows_how_the_best_start_compares_with_here_and_now(
    slack: float, predicted: float, best: float, here: float, there: float
) -> None:
    values = features(with_job(priced([0.3, 0.1, 0.2], [0.2]), slack, predicted))
    assert values["slot0.pool0.best_start_price"] == pytest.approx(best / (best + here))
    assert values["slot0.pool1.best_start_price"] == pytest.approx(best / (best + there))
    assert values["slot1.pool0.best_start_price"] == 0.0


def test_a_job_that_may_not_be_deferred_may_be_held_as_long_as_any() -> None:
    layout = replace(SIGNALS, max_hold_seconds=7200.0)
    snapshot = with_job(priced([0.3, 0.3, 0.1], [0.3]), 0.0)
    values = np.zeros(observation_size(layout), np.float32)
    encode(snapshot, layout.tables(), empty_plan(layout), values)
    assert values[observation_names(layout).index("slot0.pool0.best_start_price")] == pytest.approx(0.25)


def test_without_the_switch_nothing_is_added() -> None:
    assert empty_snapshot(LAYOUT).pool_signals.size == 0
    assert not [name for name in observation_names(LAYOUT) if "price" in name or "signal" in name]
    plain = plain_snapshot()
    shown = plain._replace(pool_signals=np.ones((2, POOL_SIGNALS)))
    both = {}
    for layout, snapshot in ((LAYOUT, plain), (SIGNALS, shown)):
        values = np.zeros(observation_size(layout), np.float32)
        encode(snapshot, layout.tables(), empty_plan(layout), values)
        both[layout] = dict(zip(observation_names(layout), values.tolist(), strict=True))
    assert both[LAYOUT].items() <= both[SIGNALS].items()
