"""A rule reads back the quantities that the codec squashed, and writes what is valid."""

from __future__ import annotations

import numpy as np
import pytest

from agents.baselines.view import Reader
from envs.gpu_cluster.codec import HEADROOM_FRACTIONS, Pool, empty_plan, encode, observation_size, write_mask
from tests.agents.baselines.worlds import LAYOUT, moment
from tests.envs.gpu_cluster.codec.snapshots import random_snapshot


def view_of(snapshot):
    observation = np.zeros((1, observation_size(LAYOUT)), np.float32)
    mask = np.zeros((1, LAYOUT.mask_size), np.bool_)
    encode(snapshot, LAYOUT.tables(), empty_plan(LAYOUT), observation[0])
    write_mask(snapshot, LAYOUT.tables(), mask[0])
    return Reader(LAYOUT).read(observation, mask)


def test_counts_are_read_back_exactly() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        snapshot = random_snapshot(LAYOUT, generator)
        view, rows = view_of(snapshot), snapshot.pools
        there = rows[:, Pool.PRESENT] > 0.0
        for name in ("busy_nodes", "idle_nodes", "booting_nodes", "max_nodes"):
            np.testing.assert_array_equal(view.nodes(name)[0, there], rows[there, Pool[name.upper()]])
        np.testing.assert_array_equal(view.gpus_per_node[0, there], rows[there, Pool.GPUS_PER_NODE])
        np.testing.assert_allclose(view.used_gpus[0, there], rows[there, Pool.USED_GPUS], rtol=1e-5)


@pytest.mark.parametrize("hour", [0.0, 1.0, 3.999, 4.0, 11.5, 20.0, 22.5, 23.999])
def test_the_hour_of_the_day_is_read_back_to_a_millisecond(hour: float) -> None:
    assert view_of(moment(hour=24.0 + hour)).day_hours[0] == pytest.approx(hour, abs=1e-3 / 3600 * 2)


def test_the_smallest_reserve_that_is_enough_is_chosen() -> None:
    """Ten busy nodes: 11 need 5 % (rounded up to one node), 13 need 30 %, 20 need 100 %, 21 cannot be reached."""
    view = view_of(moment(free=[0] * 10, max_nodes=40))
    for wanted, headroom in ((10, 0.0), (11, 0.05), (12, 0.15), (13, 0.3), (16, 0.6), (20, 1.0), (21, 1.0)):
        chosen = view.reserve_for(np.full((1, 2), float(wanted)))[0, 0]
        assert HEADROOM_FRACTIONS[chosen] == headroom
    assert view.reserve_for(np.full((1, 2), 40.0))[0, 0] == len(HEADROOM_FRACTIONS)
