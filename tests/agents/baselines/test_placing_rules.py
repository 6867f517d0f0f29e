"""Rules that choose pools by the class of a job: shares, costs and choices are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.baselines.allocation import fair_shares
from agents.baselines.class_aware import ENERGY, PRICE, PRICE_FACTOR, TYPICAL, ClassAware, miss_name, shadow_name
from agents.baselines.gavel import LOADS, Gavel
from agents.baselines.lets_wait_awhile import MARGIN
from agents.baselines.placing import SPEEDS
from agents.baselines.rule import Facts
from agents.baselines.tuned_combination import IS_CLASS_AWARE, TunedCombination
from envs.gpu_cluster.codec import ClusterSnapshot, Pool, Slot
from tests.agents.baselines.worlds import LAYOUT, decide, moment, setpoint


def two_pools(*speeds: tuple[float, float], hours: float = 0.0, is_full: bool = False) -> ClusterSnapshot:
    """Jobs of 4 GPUs with speeds in two pools of one idle node each; `is_full`: none in the first."""
    snapshot = moment(queue=[4.0] * len(speeds), pools=2, idle_nodes=3)
    if is_full:
        snapshot.pools[0, Pool.IDLE_NODES] = 0.0
        snapshot.idle_age_nodes[0] = 0.0
    for slot, pair in enumerate(speeds):
        snapshot.allowed[slot] = pair
        snapshot.queue[slot, Slot.PREDICTED_SECONDS] = 3600.0 * hours
    return snapshot


def test_fair_shares_give_each_class_the_pool_where_it_loses_least() -> None:
    """Class 0 is half as fast in pool 1, class 1 is not; each wants 8 GPUs and each pool has 8."""
    shares = fair_shares(np.array([[1.0, 0.5], [1.0, 1.0]]), np.array([8.0, 8.0]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(shares, [[1.0, 0.0], [0.0, 1.0]], atol=1e-6)


def test_fair_shares_split_what_is_scarce_equally() -> None:
    """Two equal classes on one pool of 8 that want 8 each: half of it is for each."""
    shares = fair_shares(np.array([[1.0], [1.0]]), np.array([8.0, 8.0]), np.array([8.0]))
    np.testing.assert_allclose(shares, [[0.5], [0.5]], atol=1e-6)


def gavel(classes: list[list[float]], shares: list[list[float]]) -> Gavel:
    return Gavel(LAYOUT, None, Facts({SPEEDS: classes, **{f"shares_load{load:g}": shares for load in LOADS}}))


def test_gavel_sends_each_class_to_the_pool_of_its_share() -> None:
    rule = gavel([[1.0, 0.5], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    assert decide(rule, two_pools((1.0, 0.5), (1.0, 1.0), (1.0, 0.5))).placement.tolist() == [0, 1, 0]


def test_gavel_goes_where_least_of_the_share_was_received() -> None:
    """Equal shares: the first job goes to pool 0, the second to pool 1. At 3 to 1 three of four go to pool 0."""
    rule = gavel([[1.0, 1.0]], [[0.5, 0.5]])
    assert decide(rule, two_pools((1.0, 1.0), (1.0, 1.0))).placement.tolist()[:2] == [0, 1]
    rule = gavel([[1.0, 1.0]], [[0.75, 0.25]])
    assert decide(rule, two_pools((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))).placement.tolist() == [0, 1, 0]


FACTS = Facts({ENERGY: [0.05, 0.03], TYPICAL: 1.0, PRICE: 1.0})


def class_aware(**constants: float) -> ClassAware:
    return ClassAware(LAYOUT, {PRICE_FACTOR: 1.0, **constants}, FACTS)


@pytest.mark.parametrize(
    ("constants", "speeds", "pool"),
    [
        ({}, (1.0, 1.0), 1),  # 0.05 against 0.03
        ({}, (1.0, 0.5), 0),  # 0.05 against 0.06 + 1.00
        ({PRICE_FACTOR: 0.0}, (1.0, 0.5), 0),  # 0.05 against 0.06
        ({PRICE_FACTOR: 0.0}, (1.0, 0.7), 1),  # 0.05 against 0.0429
        ({shadow_name(1): 0.03}, (1.0, 1.0), 0),  # 0.05 against 0.06
        ({shadow_name(1): 0.01}, (1.0, 1.0), 1),  # 0.05 against 0.04
    ],
)
def test_class_aware_takes_the_pool_of_least_cost(
    constants: dict[str, float], speeds: tuple[float, float], pool: int
) -> None:
    assert decide(class_aware(**constants), two_pools(speeds, hours=1.0)).placement[0] == pool


def test_class_aware_waits_for_the_better_pool_if_the_run_is_long() -> None:
    """Pool 0 is full and a miss costs 2: an hour's run costs 2.05 there and 1.06 in pool 1; ten hours 2.5 and 10.6."""
    rule = class_aware(**{miss_name(0): 2.0})
    assert decide(rule, two_pools((1.0, 0.5), hours=1.0, is_full=True)).placement[0] == 1
    assert decide(rule, two_pools((1.0, 0.5), hours=10.0, is_full=True)).placement[0] == 0
    # Nothing is known of the run time: the typical hour counts.
    assert decide(rule, two_pools((1.0, 0.5), is_full=True)).placement[0] == 1


def test_class_aware_keeps_to_the_pools_that_a_job_may_run_in() -> None:
    assert decide(class_aware(), two_pools((1.0, 0.0), hours=1.0)).placement[0] == 0


def test_the_combination_without_its_parts_is_a_constant_set_point() -> None:
    rule = TunedCombination(LAYOUT, {"idle_timeout_seconds": 300.0, "headroom": 0.3}, FACTS)
    decision = decide(rule, two_pools((1.0, 1.0), hours=1.0))
    assert decision.placement[0] == 0
    assert setpoint(rule, decision) == (300.0, 0.3)
    assert not decision.consolidation.any()
    assert not decision.power_cap.any()


def test_the_combination_plays_all_that_it_was_given() -> None:
    constants = {
        "headroom": -1.0,
        "consolidation": 2.0,
        "power_cap": 1.0,
        "width": 1.0,
        IS_CLASS_AWARE: 1.0,
        MARGIN: 1.0,
    }
    rule = TunedCombination(LAYOUT, {PRICE_FACTOR: 1.0, **constants}, FACTS)
    snapshot = two_pools((1.0, 1.0), hours=1.0)
    snapshot.pools[:, [Pool.CONSOLIDATABLE, Pool.SHRINKABLE_GPUS]] = 1.0
    decision = decide(rule, snapshot)
    assert decision.placement[0] == 1
    assert setpoint(rule, decision)[1] == -1.0
    assert decision.consolidation.tolist() == [2, 2]
    assert decision.power_cap.tolist() == [1, 1]
    assert decision.width.tolist() == [1, 1]
