"""The price by which jobs are placed: linear in the state, in the units of the observation, and never below 0."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from envs.errors import ClusterError
from envs.gpu_cluster.codec import (
    SLOPES,
    ClusterSnapshot,
    Pool,
    Signal,
    empty_snapshot,
    observation_names,
    write_price,
)
from envs.gpu_cluster.placement import PriceSlopes
from tests.envs.gpu_cluster.codec.snapshots import LAYOUT, add_pool
from tests.envs.gpu_cluster.codec.test_codec import observe


def moment() -> ClusterSnapshot:
    snapshot = empty_snapshot(LAYOUT)
    add_pool(snapshot, 0, busy_nodes=5.0, idle_nodes=2.0, booting_nodes=1.0)
    signals = {"QUEUE_GPUS": 48.0, "SUBMITTED_GPUS_10MIN": 8.0, "SUBMITTED_GPUS_1H": 96.0}
    for name, value in signals.items():
        snapshot.signals[Signal[name]] = value
    return snapshot


def price(slopes: PriceSlopes, base: float = 1.0) -> float:
    snapshot = moment()
    write_price(snapshot, 0, base, slopes.row)
    return float(snapshot.pools[0, Pool.USD_PER_NODE_HOUR])


def test_each_slope_counts_times_its_share_of_a_pool_of_twenty_nodes_or_its_feature() -> None:
    expected = dict(zip(SLOPES, (5 / 20, 2 / 20, 1 / 20, 48 / 64, 8 / 16, 96 / 128), strict=True))
    for name, share in expected.items():
        assert price(replace(PriceSlopes(), **{name: 4.0})) == pytest.approx(1.0 + 4.0 * share)
    assert price(PriceSlopes(*[1.0] * len(SLOPES))) == pytest.approx(1.0 + sum(expected.values()))


def test_what_the_whole_cluster_adds_is_what_the_observation_shows() -> None:
    names, observation = observation_names(LAYOUT), observe(moment())
    for name in SLOPES[3:]:
        seen = observation[names.index(name)]
        assert price(replace(PriceSlopes(), **{name: 1.0}), 0.0) == pytest.approx(float(seen))


def test_a_price_does_not_fall_below_0() -> None:
    assert price(PriceSlopes(busy=-100.0)) == 0.0


def test_slopes_that_are_all_0_are_none() -> None:
    assert len(PriceSlopes().row) == 0
    np.testing.assert_array_equal(PriceSlopes(idle=2.0).row, [0.0, 2.0, 0.0, 0.0, 0.0, 0.0])


def test_a_slope_that_is_no_number_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"placement_slopes\.busy"):
        PriceSlopes(busy=float("nan"))


def test_slopes_have_the_order_of_the_codec() -> None:
    assert tuple(entry.name for entry in fields(PriceSlopes)) == SLOPES
