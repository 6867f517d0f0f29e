"""From actions to decisions, on snapshots whose answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.gpu_cluster.codec import (
    ALWAYS_ON,
    HOLD,
    IDLE_AGE_EDGES_SECONDS,
    ClusterSnapshot,
    CodecLayout,
    Decision,
    Pool,
    Slot,
    decode,
    default_action,
    empty_decision,
    empty_plan,
    empty_snapshot,
    write_mask,
)
from tests.envs.gpu_cluster.codec.snapshots import FULL, LAYOUT, add_job, add_pool, random_snapshot

KEEP = LAYOUT.setpoint(3600.0, 0.0)
AT_ONCE = LAYOUT.setpoint(0.0, 0.0)


def decide(snapshot: ClusterSnapshot, *setpoints: int, placement: tuple[int, ...] = (1, 1)) -> Decision:
    """The decision of setpoints per pool and placements per slot."""
    decision = Decision(*(np.full(2, -9) for _ in Decision._fields))
    action = np.array([*setpoints, *[KEEP] * (2 - len(setpoints)), *placement])
    decode(action, snapshot, LAYOUT.tables(), empty_plan(LAYOUT), decision)
    return decision


def one_pool(**columns: float) -> ClusterSnapshot:
    snapshot = empty_snapshot(LAYOUT)
    add_pool(snapshot, 0, **columns)
    return snapshot


def target(snapshot: ClusterSnapshot, setpoint: int = KEEP, placement: tuple[int, ...] = (1, 1)) -> int:
    return int(decide(snapshot, setpoint, placement=placement).target_nodes[0])


def mask_of(snapshot: ClusterSnapshot, codec: CodecLayout = LAYOUT) -> list[list[bool]]:
    """The mask, component by component; also shows that every entry is written."""
    mask = np.full(codec.mask_size, 7, np.uint8)
    write_mask(snapshot, codec.tables(), mask.view(np.bool_))
    assert mask.max() <= 1
    return [part.astype(np.bool_).tolist() for part in np.split(mask, np.cumsum(codec.action_sizes)[:-1])]


# Nodes for the queue


@pytest.mark.parametrize(
    ("gpus", "nodes"),
    [((1.0,), 1), ((8.0,), 1), ((9.0,), 2), ((40.0,), 5), ((4.0, 4.0), 1), ((5.0, 4.0), 2), ((20.0, 12.0), 4)]
)  # fmt: skip
def test_an_empty_cluster_orders_the_nodes_of_the_queue(gpus: tuple[float, ...], nodes: int) -> None:
    """The rests of 20 and 12 GPUs share a node."""
    snapshot = one_pool()
    for slot, count in enumerate(gpus):
        add_job(snapshot, slot, count)
    assert target(snapshot) == nodes


@pytest.mark.parametrize(("idle", "booting"), [(2, 0), (0, 2), (1, 1)])
def test_a_gang_counts_on_idle_and_booting_nodes_so_that_nothing_is_ordered_twice(idle: int, booting: int) -> None:
    snapshot = one_pool(idle_nodes=idle, booting_nodes=booting)
    add_job(snapshot, 0, 16.0)
    assert target(snapshot) == 2
    add_job(snapshot, 1, 8.0)
    assert target(snapshot) == 3


def test_an_idle_node_that_a_gang_waits_for_is_kept_whatever_its_age() -> None:
    snapshot = one_pool(idle_nodes=1, busy_nodes=1)
    snapshot.idle_age_nodes[0] = 1.0
    snapshot.free_nodes[0, 4] = 1.0
    assert target(snapshot, AT_ONCE) == 1
    add_job(snapshot, 0, 16.0)
    assert target(snapshot, AT_ONCE) == 3


def test_a_job_that_fits_on_a_busy_node_needs_no_node() -> None:
    snapshot = one_pool(busy_nodes=1)
    snapshot.free_nodes[0, 3] = 1.0
    add_job(snapshot, 0, 3.0)
    assert target(snapshot) == 1
    add_job(snapshot, 1, 1.0)
    assert target(snapshot) == 2


def test_shares_fill_a_gpu_before_they_take_another() -> None:
    snapshot = one_pool(gpus_per_node=1)
    add_job(snapshot, 0, 0.5)
    add_job(snapshot, 1, 0.5)
    assert target(snapshot) == 1
    add_job(snapshot, 1, 0.75)
    assert target(snapshot) == 2


def test_shares_use_the_shares_that_are_free_now() -> None:
    snapshot = one_pool(busy_nodes=1, gpus_per_node=1, shared_free_gpus=0.5)
    snapshot.free_nodes[0, 0] = 1.0
    add_job(snapshot, 0, 0.5)
    assert target(snapshot) == 1
    add_job(snapshot, 1, 0.25)
    assert target(snapshot) == 2


@pytest.mark.parametrize(("backlog", "nodes"), [(0.0, 0), (0.5, 1), (8.0, 1), (8.5, 2), (100.0, 13)])
def test_jobs_behind_the_window_count_as_if_they_packed_perfectly(backlog: float, nodes: int) -> None:
    assert target(one_pool(backlog_gpus=backlog)) == nodes


def test_the_backlog_uses_what_is_idle_and_booting() -> None:
    assert target(one_pool(backlog_gpus=24.0, idle_nodes=1, booting_nodes=1)) == 3
    assert target(one_pool(backlog_gpus=16.0, idle_nodes=1, booting_nodes=1), AT_ONCE) == 2


# Time-outs and headroom


@pytest.mark.parametrize(("edge", "timeout"), list(enumerate(IDLE_AGE_EDGES_SECONDS)))
def test_idle_nodes_go_at_the_time_out_of_the_setpoint(edge: int, timeout: float) -> None:
    snapshot = one_pool(idle_nodes=9, busy_nodes=2)
    snapshot.idle_age_nodes[0] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    expected = 11 - snapshot.idle_age_nodes[0, edge]
    assert target(snapshot, LAYOUT.setpoint(timeout, 0.0)) == expected


@pytest.mark.parametrize(
    ("busy", "idle", "headroom", "nodes"),
    [
        (0, 0, 0.15, 0),
        (1, 0, 0.05, 2),
        (10, 0, 0.05, 11),
        (10, 0, 0.15, 12),
        (10, 3, 0.15, 12),
        (10, 1, 0.15, 12),
        (10, 2, 0.05, 11),
    ],
)
def test_headroom_is_a_share_of_the_nodes_in_demand_rounded_up(
    busy: int, idle: int, headroom: float, nodes: int
) -> None:
    """All idle nodes are older than the time-out of 0 s: those beyond the reserve go."""
    snapshot = one_pool(busy_nodes=busy, idle_nodes=idle)
    snapshot.free_nodes[0, 0] = busy
    assert target(snapshot, LAYOUT.setpoint(0.0, headroom)) == nodes


def test_booting_nodes_are_part_of_the_reserve_and_are_never_cancelled() -> None:
    snapshot = one_pool(busy_nodes=10, booting_nodes=2)
    assert target(snapshot, LAYOUT.setpoint(0.0, 0.15)) == 12
    assert target(snapshot, AT_ONCE) == 12


def test_an_old_idle_node_that_a_gang_waits_for_stays_beside_spare_booting_ones() -> None:
    """The gang takes the idle node and one of three that boot; the other two cannot be cancelled."""
    snapshot = one_pool(idle_nodes=1, booting_nodes=3)
    add_job(snapshot, 0, 16.0)
    assert target(snapshot, AT_ONCE) == 4


def test_headroom_counts_the_nodes_that_the_queue_will_need() -> None:
    snapshot = one_pool(busy_nodes=6)
    add_job(snapshot, 0, 32.0)
    assert target(snapshot, LAYOUT.setpoint(0.0, 0.15)) == 12


def test_always_on_means_all_nodes() -> None:
    assert target(one_pool(), LAYOUT.setpoint(IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON)) == 20


def test_the_target_stays_between_minimum_and_maximum() -> None:
    snapshot = one_pool(min_nodes=3, max_nodes=5, idle_nodes=5)
    snapshot.idle_age_nodes[0] = 5.0
    assert target(snapshot, AT_ONCE) == 3
    snapshot = one_pool(min_nodes=3, max_nodes=5)
    add_job(snapshot, 0, 100.0)
    assert target(snapshot) == 5


def test_each_pool_obeys_its_own_setpoint() -> None:
    snapshot = one_pool(idle_nodes=2)
    add_pool(snapshot, 1, idle_nodes=2)
    snapshot.idle_age_nodes[:] = 2.0
    assert decide(snapshot, AT_ONCE, LAYOUT.setpoint(IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON)).target_nodes.tolist() == [
        0,
        20,
    ]


def test_an_absent_pool_has_no_nodes() -> None:
    assert decide(one_pool(), AT_ONCE, KEEP).target_nodes[1] == 0


# Placement


def two_pools(waited: float = 0.0) -> ClusterSnapshot:
    """One job of four GPUs; it fits in the second pool now, the first has none."""
    snapshot = one_pool()
    add_pool(snapshot, 1, idle_nodes=1)
    add_job(snapshot, 0, 4.0, waited, (0, 1))
    return snapshot


@pytest.mark.parametrize(
    ("choice", "waited", "pool", "targets"),
    [
        (HOLD, 0.0, -1, [0, 1]),
        (HOLD, 599.9, -1, [0, 1]),
        (HOLD, 600.0, 1, [0, 1]),  # held too long: the default
        (1, 0.0, 0, [1, 1]),
        (2, 0.0, 1, [0, 1]),
        (3, 0.0, 1, [0, 1]),  # no such pool: the default
        (-1, 0.0, 1, [0, 1]),
    ],
)
def test_a_placement_is_a_pool_or_hold(choice: int, waited: float, pool: int, targets: list[int]) -> None:
    decision = decide(two_pools(waited), placement=(choice, HOLD))
    assert decision.placement.tolist() == [pool, -1]
    assert decision.target_nodes.tolist() == targets


def test_a_pool_that_may_not_run_the_job_means_the_default() -> None:
    snapshot = two_pools()
    snapshot.allowed[0] = [1, 0]
    assert decide(snapshot, placement=(2, HOLD)).placement[0] == 0


def test_the_default_is_the_first_pool_where_it_fits_now_else_the_first_that_may_run_it() -> None:
    snapshot = two_pools(1e6)
    assert decide(snapshot, placement=(HOLD, HOLD)).placement[0] == 1
    snapshot.pools[1, Pool.IDLE_NODES] = 0.0
    assert decide(snapshot, placement=(HOLD, HOLD)).placement[0] == 0


def test_a_job_that_no_pool_may_run_stays_in_the_queue() -> None:
    snapshot = two_pools(1e6)
    snapshot.allowed[0] = 0.0
    decision = decide(snapshot, placement=(1, HOLD))
    assert decision.placement[0] == -1
    assert decision.target_nodes.tolist() == [0, 1]


def test_earlier_slots_take_the_free_capacity_of_later_ones() -> None:
    snapshot = two_pools(1e6)
    add_job(snapshot, 1, 8.0, 1e6, (0, 1))
    assert decide(snapshot, placement=(HOLD, HOLD)).placement.tolist() == [1, 0]
    assert decide(snapshot, placement=(1, HOLD)).placement.tolist() == [0, 1]


def test_the_default_action_is_a_setpoint_and_the_default_pools() -> None:
    snapshot = two_pools()
    add_job(snapshot, 1, 8.0, 0.0, (0, 1))
    action = np.full(4, -9)
    rule = np.array([6, 0, 0, 0, 0, 0])
    default_action(snapshot, LAYOUT.tables(), empty_plan(LAYOUT), rule, action)
    assert action.tolist() == [6, 6, 2, 1]
    default_action(one_pool(), LAYOUT.tables(), empty_plan(LAYOUT), rule, action)
    assert action.tolist() == [6, 0, HOLD, HOLD]


# The mask


def test_the_mask_is_exact() -> None:
    everything, first_only = [True] * len(LAYOUT.setpoints), [True] + [False] * (len(LAYOUT.setpoints) - 1)
    assert mask_of(empty_snapshot(LAYOUT)) == [first_only, first_only, [True, False, False], [True, False, False]]
    snapshot = two_pools()
    assert mask_of(snapshot) == [everything, everything, [True, True, True], [True, False, False]]
    snapshot.allowed[0] = [0, 1]
    assert mask_of(snapshot)[2] == [True, False, True]
    assert mask_of(two_pools(599.9))[2] == [True, True, True]
    assert mask_of(two_pools(600.0))[2] == [False, True, True]
    nowhere = two_pools(600.0)
    nowhere.allowed[0] = 0.0
    assert mask_of(nowhere)[2] == [True, False, False]
    assert mask_of(one_pool())[:2] == [everything, first_only]


def _follows_its_choices(snapshot: ClusterSnapshot, codec: CodecLayout, action: np.ndarray) -> bool:
    """Whether setpoints and placements are carried out as they say."""
    decision = empty_decision(codec)
    decode(action, snapshot, codec.tables(), empty_plan(codec), decision)
    return [*decision.setpoint, *decision.placement + 1] == action.tolist()


def test_every_valid_choice_is_carried_out_and_no_other() -> None:
    """On random snapshots whose pools can grow for any job: the mask allows what is obeyed, and nothing else."""
    generator = np.random.default_rng(0)
    codec = CodecLayout(max_pools=3, window_slots=3, max_hold_seconds=600.0)
    mask = np.zeros(codec.mask_size, np.bool_)
    refused = np.zeros(len(codec.action_sizes), np.int64)
    for _ in range(300):
        snapshot = random_snapshot(codec, generator)
        snapshot.pools[:, Pool.MAX_NODES] += 1000.0
        write_mask(snapshot, codec.tables(), mask)
        parts = np.split(mask, np.cumsum(codec.action_sizes)[:-1])
        action = np.array([generator.choice(np.flatnonzero(part)) for part in parts])
        assert _follows_its_choices(snapshot, codec, action)
        for component in generator.permutation(len(parts)):
            invalid = np.flatnonzero(~parts[component])
            slot = component - codec.max_pools
            if invalid.size and (slot < 0 or snapshot.queue[slot, Slot.PRESENT]):
                action[component] = generator.choice(invalid)
                refused[component] += 1
                assert not _follows_its_choices(snapshot, codec, action)
                break
    assert refused.min() > 10


@pytest.mark.parametrize("setpoint", range(len(LAYOUT.setpoints)))
def test_any_target_keeps_busy_and_booting_nodes_and_the_limits(setpoint: int) -> None:
    generator = np.random.default_rng(setpoint)
    for _ in range(100):
        snapshot = random_snapshot(LAYOUT, generator)
        decision = decide(snapshot, setpoint, setpoint)
        for row, nodes in zip(snapshot.pools, decision.target_nodes, strict=True):
            working = row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES]
            assert max(row[Pool.MIN_NODES], working) <= nodes <= row[Pool.MAX_NODES]


# Levers


LEVERS = ("consolidation", "power_cap", "width", "suspension", "reserve_nodes")
SWITCHES = ["consolidation", "power_caps", "elastic_width", "suspension", "reserve_nodes"]


def levers_of(snapshot: ClusterSnapshot, levers: list[int]) -> dict[str, list[int]]:
    """The levers' part of the decision for choices of each lever, two pools each."""
    decision = Decision(*(np.full(2, -9) for _ in Decision._fields))
    decode(np.array([KEEP, KEEP, 1, 1, *levers]), snapshot, FULL.tables(), empty_plan(FULL), decision)
    return {name: getattr(decision, name).tolist() for name in LEVERS}


def all_levers(**columns: float) -> ClusterSnapshot:
    """A first pool in which every choice of every lever is valid, and a second that is absent."""
    gpus = ("shrinkable_gpus", "growable_gpus", "suspendable_gpus", "suspended_gpus")
    valid = {"consolidatable": 1.0, **dict.fromkeys(gpus, 2.0)}
    return one_pool(**{**valid, **columns})


def test_the_levers_follow_the_placements_in_the_action() -> None:
    """Two components each: consolidation, power caps, width, suspension, reserves in nodes."""
    assert FULL.action_sizes == (*LAYOUT.action_sizes, 3, 3, 4, 4, 3, 3, 3, 3, 6, 6)
    chosen = levers_of(all_levers(), [2, 0, 3, 0, 1, 0, 2, 0, 5, 4])
    assert list(chosen.values()) == [[2, 0], [3, 0], [1, 0], [2, 0], [5, 0]]
    snapshot = all_levers()
    add_pool(snapshot, 1, consolidatable=1.0, growable_gpus=1.0, suspendable_gpus=1.0)
    chosen = levers_of(snapshot, [0, 1, 1, 2, 0, 2, 0, 1, 3, 4])
    assert list(chosen.values()) == [[0, 1], [1, 2], [0, 2], [0, 1], [3, 4]]


@pytest.mark.parametrize("flag", SWITCHES)
def test_a_lever_alone_stands_right_after_the_placements(flag: str) -> None:
    codec = replace(LAYOUT, **{flag: True})
    decision = empty_decision(codec)
    decode(np.array([KEEP, KEEP, 1, 1, 2, 0]), all_levers(), codec.tables(), empty_plan(codec), decision)
    chosen = {name: getattr(decision, name).tolist() for name in LEVERS}
    moved = LEVERS[SWITCHES.index(flag)]
    assert chosen == {name: [2 if name == moved else 0, 0] for name in LEVERS}


def test_a_lever_that_is_off_does_nothing() -> None:
    chosen = decide(all_levers(), KEEP, KEEP)
    assert all(getattr(chosen, name).tolist() == [0, 0] for name in LEVERS)


@pytest.mark.parametrize("choice", [-1, 9])
def test_a_choice_of_a_lever_outside_its_range_does_nothing(choice: int) -> None:
    assert levers_of(all_levers(), [choice] * 10) == {name: [0, 0] for name in LEVERS}


@pytest.mark.parametrize(
    ("columns", "consolidation", "width", "suspension"),
    [
        ({}, [True] * 3, [True] * 3, [True] * 3),
        ({"consolidatable": 0.0, "emptiable_nodes": 3.0}, [True, False, False], [True] * 3, [True] * 3),
        ({"shrinkable_gpus": 0.0}, [True] * 3, [True, False, True], [True] * 3),
        ({"growable_gpus": 0.0}, [True] * 3, [True, True, False], [True] * 3),
        ({"suspendable_gpus": 0.0}, [True] * 3, [True] * 3, [True, False, True]),
        ({"suspended_gpus": 0.0}, [True] * 3, [True] * 3, [True, True, False]),
    ],
)
def test_the_mask_of_the_levers_is_exact(
    columns: dict[str, float], consolidation: list[bool], width: list[bool], suspension: list[bool]
) -> None:
    """A cap and a reserve can always be chosen where there is a pool; an absent pool has choice 0 only."""
    first = [True, False, False]
    mask = mask_of(all_levers(**columns), FULL)
    caps = [True] * 4, [True, False, False, False]
    reserves = [True] * 6, [True, *[False] * 5]
    assert mask[4:] == [consolidation, first, *caps, width, first, suspension, first, *reserves]
    assert mask[:4] == mask_of(all_levers(**columns))


def test_a_choice_of_a_lever_is_carried_out_exactly_if_the_mask_allows_it() -> None:
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        snapshot = random_snapshot(FULL, generator)
        action = generator.integers(FULL.action_sizes)
        valid = [mask_of(snapshot, FULL)[at][action[at]] for at in range(4, 14)]
        chosen = levers_of(snapshot, action[4:].tolist())
        held = snapshot.pools[:, Pool.SETPOINT_HELD] * snapshot.pools[:, Pool.RESERVE_NODES]
        instead = [0] * 8 + held.astype(int).tolist()  # what is in force while that is held
        expected = [int(choice) if ok else rest for choice, ok, rest in zip(action[4:], valid, instead, strict=True)]
        assert [choice for name in LEVERS for choice in chosen[name]] == expected
        refused += valid.count(False)
    assert refused > 200


def test_a_rule_uses_each_lever_wherever_that_is_valid() -> None:
    action = np.full(14, -9)
    rule = np.array([6, 2, 1, 2, 1, 3])
    default_action(all_levers(), FULL.tables(), empty_plan(FULL), rule, action)
    assert action.tolist() == [6, 0, HOLD, HOLD, 2, 0, 1, 0, 2, 0, 1, 0, 3, 0]
    default_action(one_pool(), FULL.tables(), empty_plan(FULL), rule, action)
    assert action.tolist() == [6, 0, HOLD, HOLD, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0]


def test_a_job_with_slack_may_be_held_for_longer() -> None:
    snapshot = two_pools(600.0)
    snapshot.queue[0, Slot.SLACK_SECONDS] = 0.001
    assert mask_of(snapshot)[2] == [True, True, True]
    assert decide(snapshot, placement=(HOLD, HOLD)).placement[0] == -1
