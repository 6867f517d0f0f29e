"""Where jobs go when their first pool cannot take them, on snapshots whose answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.codec import (
    HOLD,
    ClusterSnapshot,
    CodecLayout,
    Pool,
    backlog_pools,
    decode,
    default_action,
    empty_decision,
    empty_plan,
    empty_snapshot,
    encode,
    observation_names,
    observation_size,
)
from envs.gpu_cluster.codec.packing import default_pool, is_exhausted, plan_window
from tests.envs.gpu_cluster.codec.snapshots import add_job, add_pool, random_snapshot

LAYOUT = CodecLayout(max_pools=3, window_slots=3)
BALANCED = replace(LAYOUT, balance_similar_pools=True)
RULE = ConstantSetpoint(LAYOUT).rule
A, B, C = range(3)
FULL = {"max_nodes": 1, "busy_nodes": 1, "used_gpus": 8}


def pools(*columns: dict[str, float]) -> ClusterSnapshot:
    """Pools of 8-GPU nodes; a busy node is full unless `free_nodes` is set afterwards."""
    snapshot = empty_snapshot(LAYOUT)
    for pool, each in enumerate(columns):
        add_pool(snapshot, pool, **each)
        snapshot.free_nodes[pool, 0] = snapshot.pools[pool, Pool.BUSY_NODES]
    return snapshot


def places(snapshot: ClusterSnapshot, *gpus: float, layout: CodecLayout = LAYOUT) -> list[int]:
    """The default pools of jobs that may run everywhere; the observation and a fixed rule name the same ones."""
    present = tuple(np.flatnonzero(snapshot.pools[:, Pool.PRESENT]))
    for slot, count in enumerate(gpus):
        add_job(snapshot, slot, count, pools=present)
    action = np.zeros(len(layout.action_sizes), np.int64)
    default_action(snapshot, layout.tables(), empty_plan(layout), RULE, action)
    chosen = (action[layout.max_pools :][: len(gpus)] - 1).tolist()
    observation = np.zeros(observation_size(layout), np.float32)
    encode(snapshot, layout.tables(), empty_plan(layout), observation)
    seen = dict(zip(observation_names(layout), observation, strict=True))
    flags = [[seen[f"slot{slot}.pool{pool}.default"] for pool in range(3)] for slot in range(len(gpus))]
    assert flags == [[float(pool == choice) for pool in range(3)] for choice in chosen]
    return chosen


def targets(snapshot: ClusterSnapshot, *placement: int, layout: CodecLayout = LAYOUT) -> list[int]:
    """Target nodes where the jobs of the window are placed so, `HOLD` or pool + 1."""
    decision = empty_decision(layout)
    slots = [*placement, *[HOLD] * (layout.window_slots - len(placement))]
    action = np.array([*RULE[[0] * layout.max_pools], *slots])
    decode(action, snapshot, layout.tables(), empty_plan(layout), decision)
    return decision.target_nodes.tolist()


@pytest.mark.parametrize(
    "first",
    [
        FULL,
        {"max_nodes": 2, "unavailable_nodes": 2},
        {"max_nodes": 2, "busy_nodes": 1, "unavailable_nodes": 1},
        {"max_nodes": 0},
        {"max_nodes": 3, "busy_nodes": 4},
    ],
    ids=["full", "all lost", "full but for a lost node", "in backoff", "more nodes than it may have"],
)
def test_a_job_goes_to_the_next_pool_when_the_first_cannot_take_it(first: dict[str, float]) -> None:
    """In backoff, a pool shows that it can have no more nodes than it has."""
    snapshot = pools(first, {"max_nodes": 4})
    assert places(snapshot, 8.0) == [B]
    assert targets(snapshot, B + 1)[1:] == [1, 0]
    assert targets(snapshot, B + 1)[A] == targets(snapshot, HOLD)[A]


@pytest.mark.parametrize(
    "first",
    [{}, {"booting_nodes": 1, "max_nodes": 1}, {"idle_nodes": 1, "max_nodes": 1}, {"busy_nodes": 19}],
    ids=["can grow", "has a node that boots", "has an idle node", "has one place left"],
)
def test_a_job_stays_in_its_first_pool_while_that_can_take_it(first: dict[str, float]) -> None:
    assert places(pools(first, {"max_nodes": 4}), 8.0) == [A]


def test_a_job_starts_at_once_in_a_later_pool_rather_than_wait_for_a_node() -> None:
    assert places(pools({}, {"idle_nodes": 1}), 8.0) == [B]


def test_nothing_is_ordered_while_a_node_is_coming_that_will_do() -> None:
    """Also where an earlier pool can grow: else the same job would raise a second pool when its first one recovers."""
    assert places(pools({}, {"booting_nodes": 1}), 8.0) == [B]
    assert places(pools({}, {"booting_nodes": 1}), 4.0, 4.0, 8.0) == [B, B, A]


def test_each_job_takes_from_what_its_pool_can_still_grow_by() -> None:
    """Pool A grows to two nodes, B to one, and what then is left stays with the first pool."""
    snapshot = pools({"max_nodes": 2}, {"max_nodes": 1})
    assert places(snapshot, 16.0, 8.0, 8.0) == [A, B, A]
    assert targets(snapshot, A + 1, B + 1, A + 1) == [2, 1, 0]


def test_a_node_that_is_ordered_for_one_job_takes_the_next_one_too() -> None:
    assert places(pools({"max_nodes": 1}, {"max_nodes": 4}), 5.0, 3.0, 1.0) == [A, A, B]


def test_a_gang_goes_where_all_its_nodes_can_be() -> None:
    """It needs three: A has place for two, B for two beside the one that boots."""
    snapshot = pools({"max_nodes": 2}, {"max_nodes": 3, "booting_nodes": 1})
    assert places(snapshot, 24.0) == [B]
    assert targets(snapshot, B + 1)[:2] == [0, 3]
    assert places(pools({"max_nodes": 2}, {"max_nodes": 3, "unavailable_nodes": 1}), 24.0) == [A]


def test_the_rest_of_a_gang_counts_on_a_gap_of_a_busy_node() -> None:
    """12 GPUs are a node and 4 GPUs, which a busy node of A has free, so one place to grow is enough."""
    snapshot = pools({"max_nodes": 2, "busy_nodes": 1, "used_gpus": 4}, {"max_nodes": 4})
    assert places(snapshot, 12.0) == [B]
    snapshot.free_nodes[A, [0, 4]] = [0.0, 1.0]
    assert places(snapshot, 12.0) == [A]


def test_a_job_that_no_pool_can_take_counts_on_no_node_that_never_comes() -> None:
    """36 GPUs fit nowhere and go to A; the 4 GPUs beside them exist on paper only, so 2 GPUs go to B."""
    assert places(pools({"max_nodes": 1}, {"max_nodes": 4}), 36.0, 2.0) == [A, B]


def test_shares_overflow_too_and_share_a_gpu() -> None:
    assert places(pools(FULL, {"max_nodes": 1}), 0.5, 0.5, 8.0) == [B, B, A]


# What a policy wants


def test_a_pool_that_cannot_take_a_job_means_the_default_pool() -> None:
    snapshot = pools(FULL, {"max_nodes": 4}, {"max_nodes": 4})
    add_job(snapshot, 0, 8.0, pools=(A, B, C))
    assert targets(snapshot, A + 1) == [1, 1, 0]
    assert targets(snapshot, C + 1) == [1, 0, 1]
    assert targets(snapshot, HOLD) == [1, 0, 0]


def test_where_no_pool_can_take_it_the_job_waits_where_the_policy_sends_it() -> None:
    snapshot = pools(FULL, {**FULL, "busy_nodes": 0, "unavailable_nodes": 1})
    add_job(snapshot, 0, 8.0, pools=(A, B))
    decision = empty_decision(LAYOUT)
    for choice in (A, B):
        action = np.array([*RULE[[0] * 3], choice + 1, HOLD, HOLD])
        decode(action, snapshot, LAYOUT.tables(), empty_plan(LAYOUT), decision)
        assert decision.placement[0] == choice


def test_a_job_that_may_run_in_one_pool_only_stays_there() -> None:
    snapshot = pools(FULL, {"max_nodes": 4})
    add_job(snapshot, 0, 8.0, pools=(A,))
    assert targets(snapshot, A + 1) == [1, 0, 0]


# Similar pools


@pytest.mark.parametrize(
    ("nodes", "pool"), [((2, 1, 1), B), ((1, 1, 0), C), ((0, 0, 0), A), ((0, 1, 1), A)]
)  # fmt: skip
def test_balanced_pools_grow_where_there_are_fewest_nodes(nodes: tuple[int, ...], pool: int) -> None:
    snapshot = pools(*({"busy_nodes": count} for count in nodes))
    assert places(snapshot, 8.0, layout=BALANCED) == [pool]
    assert places(snapshot, 8.0) == [A]


def test_balanced_pools_share_the_jobs_of_one_decision() -> None:
    assert places(pools({}, {}), 8.0, 8.0, 8.0, layout=BALANCED) == [A, B, A]


@pytest.mark.parametrize(
    "column", ["gpus_per_node", "boot_seconds", "idle_node_watts", "busy_gpu_watts", "usd_per_kwh", "usd_per_node_hour"]
)
def test_pools_that_differ_are_not_balanced(column: str) -> None:
    layout = replace(BALANCED, cost_aware_placement=False)  # else the cheaper one is taken
    assert places(pools({"busy_nodes": 2}, {column: 16.0}), 8.0, layout=layout) == [A]


def test_pools_in_which_a_job_differs_in_speed_are_not_balanced() -> None:
    snapshot = pools({"busy_nodes": 2}, {})
    add_job(snapshot, 0, 8.0, pools=(A, B))
    snapshot.allowed[0, B] = 0.9
    action = np.zeros(len(BALANCED.action_sizes), np.int64)
    default_action(snapshot, BALANCED.tables(), empty_plan(BALANCED), RULE, action)
    assert action[3] == A + 1


def test_a_balanced_pool_that_is_full_gets_nothing() -> None:
    assert places(pools({"busy_nodes": 3}, FULL), 8.0, layout=BALANCED) == [A]


# Behind the window


def behind(snapshot: ClusterSnapshot, gpus: list[float], allowed: list[tuple[int, ...]] | None = None) -> list[int]:
    rows = np.zeros((len(gpus), 3))
    for row, pool in zip(rows, allowed or [(A, B)] * len(gpus), strict=True):
        row[list(pool)] = 1.0
    return backlog_pools(snapshot, LAYOUT.tables(), empty_plan(LAYOUT), gpus, rows, 0.0 * rows, [0.0] * len(gpus))


def test_jobs_behind_the_window_overflow_after_those_before_them() -> None:
    """The window takes one of the two nodes of A."""
    snapshot = pools({"max_nodes": 2}, {"max_nodes": 1})
    add_job(snapshot, 0, 8.0, pools=(A, B))
    assert behind(snapshot, [8.0, 8.0, 8.0]) == [A, B, A]


def test_a_large_job_behind_the_window_does_not_keep_small_ones_from_their_pool() -> None:
    assert behind(pools({"max_nodes": 1}, {"max_nodes": 2}), [64.0, 8.0, 8.0, 8.0]) == [A, B, B, A]


def test_jobs_behind_the_window_keep_to_the_pools_that_may_run_them() -> None:
    snapshot = pools(FULL, {"max_nodes": 2})
    assert behind(snapshot, [8.0, 8.0, 8.0], [(A,), (B,), (A, B)]) == [A, B, B]
    assert behind(snapshot, [8.0, 8.0], [(A,), (B,)]) == [A, B]
    assert behind(snapshot, []) == []


def test_when_nothing_is_left_no_pool_can_take_any_job() -> None:
    """The plan stops there, which must not change where a job goes: not for the smallest one either."""
    generator = np.random.default_rng(5)
    tables, plan = LAYOUT.tables(), empty_plan(LAYOUT)
    exhausted = 0
    for _ in range(300):
        snapshot = random_snapshot(LAYOUT, generator)
        snapshot.pools[:, Pool.IDLE_NODES] = snapshot.pools[:, Pool.BOOTING_NODES] = 0.0
        snapshot.pools[:, Pool.SHARED_FREE_GPUS] *= generator.integers(0, 2)
        snapshot.free_nodes[:, 1:] *= generator.integers(0, 2)
        snapshot.pools[:, Pool.MAX_NODES] = snapshot.pools[:, Pool.BUSY_NODES] + generator.integers(0, 2)
        plan_window(snapshot, tables, plan)
        if is_exhausted(snapshot, tables, plan):
            exhausted += 1
            present = snapshot.pools[:, Pool.PRESENT]
            data, sizes = 0.0 * present, (0.001, 1.0, 8.0, 40.0)
            found = [default_pool(snapshot, tables, plan, gpus, present, data, 0.0) for gpus in sizes]
            assert found == [0] * 4
    assert exhausted > 20
