"""When the next decision comes, and what a setpoint that is held leaves to choose."""

from dataclasses import replace

import numpy as np
import pytest

from envs.gpu_cluster.codec import (
    NO_SETPOINT,
    RESERVE_NODES,
    ClusterSnapshot,
    Decision,
    Pool,
    decision_time,
    decode,
    default_action,
    empty_decision,
    empty_plan,
    empty_snapshot,
    write_mask,
    write_setpoint,
)
from tests.envs.gpu_cluster.codec.snapshots import LAYOUT, add_job, add_pool

KEEP = LAYOUT.setpoint(3600.0, 0.0)
AT_ONCE = LAYOUT.setpoint(0.0, 0.0)


def one_pool(**columns: float) -> ClusterSnapshot:
    snapshot = empty_snapshot(LAYOUT)
    add_pool(snapshot, 0, **columns)
    return snapshot


def decide(snapshot: ClusterSnapshot, setpoint: int) -> Decision:
    """The decision of a setpoint, with every job in the first pool."""
    decision = empty_decision(LAYOUT)
    decode(np.array([setpoint, 7, 1, 1]), snapshot, LAYOUT.tables(), empty_plan(LAYOUT), decision)
    return decision


def valid_setpoints(snapshot: ClusterSnapshot) -> list[int]:
    mask = np.zeros(LAYOUT.mask_size, np.bool_)
    write_mask(snapshot, LAYOUT.tables(), mask)
    return np.flatnonzero(mask[: len(LAYOUT.setpoints)]).tolist()


def held(setpoint: int, **columns: float) -> ClusterSnapshot:
    """A pool whose setpoint came into force a moment ago."""
    snapshot = one_pool(setpoint=setpoint, **columns)
    snapshot.pools[0, Pool.SETPOINT_HELD] = 1.0
    return snapshot


def test_while_a_setpoint_is_held_no_other_is_valid() -> None:
    assert valid_setpoints(held(KEEP)) == [KEEP]
    assert valid_setpoints(one_pool(setpoint=KEEP)) == list(range(len(LAYOUT.setpoints)))


def test_a_choice_against_a_held_setpoint_means_that_setpoint() -> None:
    for setpoint, nodes in ((KEEP, 3), (AT_ONCE, 0)):
        snapshot = held(setpoint, idle_nodes=3)
        snapshot.idle_age_nodes[0, 0] = 3.0
        for choice in (KEEP, AT_ONCE):
            decision = decide(snapshot, choice)
            assert (decision.target_nodes[0], decision.setpoint[0]) == (nodes, setpoint)


def test_a_free_setpoint_is_the_one_that_was_chosen() -> None:
    decision = decide(one_pool(setpoint=KEEP), AT_ONCE)
    assert decision.setpoint.tolist() == [AT_ONCE, 0]


def test_a_held_setpoint_still_orders_nodes_and_places_jobs() -> None:
    snapshot = held(AT_ONCE)
    add_job(snapshot, 0, 16.0)
    decision = decide(snapshot, AT_ONCE)
    assert (decision.target_nodes[0], decision.placement[0]) == (2, 0)


def test_a_fixed_rule_keeps_to_a_held_setpoint() -> None:
    snapshot, action = held(KEEP), np.zeros(len(LAYOUT.action_sizes), np.int64)
    default_action(snapshot, LAYOUT.tables(), empty_plan(LAYOUT), np.array([AT_ONCE, 0, 0, 0, 0, 0]), action)
    assert action[0] == KEEP


@pytest.mark.parametrize(
    ("setpoint", "since", "is_held"), [(KEEP, 0.0, 1.0), (KEEP, 9.999, 1.0), (KEEP, 10.0, 0.0), (NO_SETPOINT, 0.0, 0.0)]
)
def test_a_setpoint_is_held_for_its_interval_and_the_first_one_is_free(
    setpoint: int, since: float, is_held: float
) -> None:
    row = np.zeros(len(Pool))
    write_setpoint(row, setpoint, 3, since, 10.0)
    columns = [Pool.SETPOINT, Pool.RESERVE_NODES, Pool.SINCE_SETPOINT_SECONDS, Pool.SETPOINT_HELD]
    assert row[columns].tolist() == [setpoint, 3, since, is_held]


RESERVES = replace(LAYOUT, reserve_nodes=True)


def decide_reserve(snapshot: ClusterSnapshot, setpoint: int, reserve: int) -> Decision:
    decision = empty_decision(RESERVES)
    action = np.array([setpoint, 7, 1, 1, reserve, 0])
    decode(action, snapshot, RESERVES.tables(), empty_plan(RESERVES), decision)
    return decision


@pytest.mark.parametrize(("reserve", "nodes"), list(enumerate(RESERVE_NODES)))
def test_a_reserve_in_nodes_is_kept_where_nothing_is_in_demand(reserve: int, nodes: int) -> None:
    """A pool of at most 20 nodes; the time-out does not touch the reserve."""
    for idle in (0, 3):
        snapshot = one_pool(setpoint=AT_ONCE, idle_nodes=idle)
        snapshot.idle_age_nodes[0] = idle
        decision = decide_reserve(snapshot, AT_ONCE, reserve)
        assert (decision.target_nodes[0], decision.reserve_nodes.tolist()) == (nodes, [reserve, 0])


def test_the_larger_of_both_reserves_counts_and_the_limits_of_the_pool_hold() -> None:
    busy = one_pool(busy_nodes=10)
    for share, reserve, nodes in ((0.0, 2, 12), (0.15, 2, 12), (0.3, 2, 13), (0.3, 3, 14), (0.0, 5, 20)):
        setpoint = LAYOUT.setpoint(0.0, share)
        assert decide_reserve(busy, setpoint, reserve).target_nodes[0] == nodes
    assert decide_reserve(busy, len(LAYOUT.setpoints) - 1, 1).target_nodes[0] == 20
    small = one_pool(max_nodes=3, unavailable_nodes=1)
    assert decide_reserve(small, AT_ONCE, 4).target_nodes[0] == 2


def test_a_reserve_in_nodes_is_held_with_its_setpoint() -> None:
    snapshot = held(AT_ONCE, reserve_nodes=2)
    decision = decide_reserve(snapshot, KEEP, 5)
    assert (decision.target_nodes[0], decision.setpoint[0], decision.reserve_nodes[0]) == (2, AT_ONCE, 2)
    mask = np.zeros(RESERVES.mask_size, np.bool_)
    write_mask(snapshot, RESERVES.tables(), mask)
    of_pools = mask[-2 * len(RESERVE_NODES) :].reshape(2, -1)
    assert [np.flatnonzero(row).tolist() for row in of_pools] == [[2], [0]]
    rule, action = np.array([KEEP, 0, 0, 0, 0, 5]), np.zeros(len(RESERVES.action_sizes), np.int64)
    default_action(snapshot, RESERVES.tables(), empty_plan(RESERVES), rule, action)
    assert action[-2:].tolist() == [2, 0]
    snapshot.pools[0, Pool.SETPOINT_HELD] = 0.0
    default_action(snapshot, RESERVES.tables(), empty_plan(RESERVES), rule, action)
    assert action[-2:].tolist() == [5, 0]


def test_a_choice_that_is_no_reserve_means_none() -> None:
    for choice in (-1, len(RESERVE_NODES), 99):
        assert decide_reserve(one_pool(), AT_ONCE, choice).reserve_nodes[0] == 0


@pytest.mark.parametrize(
    ("event", "decision"), [(100.0, 101.0), (100.4, 101.0), (101.5, 101.5), (250.0, 250.0), (900.0, 700.0)]
)
def test_an_event_is_decided_on_at_once_or_when_the_settle_pause_is_over(event: float, decision: float) -> None:
    assert decision_time(100.0, event, 1.0, 600.0) == decision
