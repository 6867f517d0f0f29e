"""Policies that are not trained do what their names say, through nothing but observation and mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint, RandomPolicy
from agents.errors import PolicyNeedsLeverError
from agents.registry import make_baseline
from envs.gpu_cluster.codec import (
    ALWAYS_ON,
    HEADROOM_FRACTIONS,
    IDLE_AGE_EDGES_SECONDS,
    CodecLayout,
    Pool,
    default_action,
    empty_plan,
    empty_snapshot,
    encode,
    fingerprint,
    observation_size,
    write_mask,
    write_setpoint,
)
from tests.envs.gpu_cluster.builders import Play, small_problem
from tests.envs.gpu_cluster.codec import snapshots as examples
from tests.envs.gpu_cluster.codec.snapshots import random_snapshot

FULL = replace(examples.FULL, max_pools=3, window_slots=4)
LAYOUTS = [CodecLayout(max_pools=3, window_slots=4), CodecLayout(max_pools=1, window_slots=0), CodecLayout(), FULL]


def seen(layout: CodecLayout, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list]:
    generator = np.random.default_rng(seed)
    snapshots = [random_snapshot(layout, generator) for _ in range(count)]
    observations = np.zeros((count, observation_size(layout)), np.float32)
    masks = np.zeros((count, layout.mask_size), np.bool_)
    for snapshot, observation, mask in zip(snapshots, observations, masks, strict=True):
        encode(snapshot, layout.tables(), empty_plan(layout), observation)
        write_mask(snapshot, layout.tables(), mask)
    return observations, masks, snapshots


def all_valid(actions: np.ndarray, masks: np.ndarray, layout: CodecLayout) -> bool:
    starts = np.cumsum([0, *layout.action_sizes[:-1]])
    return bool(masks[np.arange(len(masks))[:, None], starts + actions].all())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_constant_setpoint_is_the_codecs_default_action(layout: CodecLayout) -> None:
    """From the observation alone it says what `default_action` says from the snapshot."""
    observations, masks, snapshots = seen(layout, 200)
    policy = ConstantSetpoint(layout, 300.0, 0.05, consolidation=2, power_cap=1, width=2, suspension=1)
    actions = policy.act(observations, masks)
    assert actions.dtype == np.int64
    expected = np.zeros_like(actions)
    for snapshot, action in zip(snapshots, expected, strict=True):
        default_action(snapshot, layout.tables(), empty_plan(layout), policy.rule, action)
    np.testing.assert_array_equal(actions, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["always-on", "reactive", "random"])
def test_baselines_choose_only_what_is_valid(layout: CodecLayout, name: str) -> None:
    observations, masks, _ = seen(layout, 200)
    policy = make_baseline(name, layout, seed=1)
    policy.reset(200)
    actions = policy.act(observations, masks)
    assert actions.shape == (200, len(layout.action_sizes))
    assert all_valid(actions, masks, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_random_policy_draws_every_valid_choice_equally(layout: CodecLayout) -> None:
    generator = np.random.default_rng(0)
    mask = generator.random(layout.mask_size) < 0.5
    starts = np.cumsum([0, *layout.action_sizes[:-1]])
    mask[starts] = True
    draws = 20_000
    policy = RandomPolicy(layout, np.random.default_rng(0))
    actions = policy.act(np.zeros((draws, 1), np.float32), np.tile(mask, (draws, 1)))
    for component, (start, size) in enumerate(zip(starts, layout.action_sizes, strict=True)):
        valid = mask[start : start + size]
        counts = np.bincount(actions[:, component], minlength=size)
        assert (counts[~valid] == 0).all()
        np.testing.assert_allclose(counts[valid] / draws, 1 / valid.sum(), atol=5 * np.sqrt(0.25 / draws))


def test_a_seed_fixes_the_random_policy() -> None:
    layout = LAYOUTS[0]
    observations, masks, _ = seen(layout, 50)
    one, same, other = (make_baseline("random", layout, seed) for seed in (1, 1, 2))
    first = one.act(observations, masks)
    np.testing.assert_array_equal(first, same.act(observations, masks))
    assert not np.array_equal(first, other.act(observations, masks))
    assert not np.array_equal(first, one.act(observations, masks))


def test_reactive_is_cluster_autoscaler_and_always_on_is_the_last_setpoint() -> None:
    layout = LAYOUTS[0]
    reactive, always_on = make_baseline("reactive", layout), make_baseline("always-on", layout)
    assert isinstance(reactive, ConstantSetpoint)
    assert isinstance(always_on, ConstantSetpoint)
    assert layout.setpoints[reactive.setpoint] == (600.0, 0.0)
    assert layout.setpoints[always_on.setpoint][1] == ALWAYS_ON
    assert (reactive.name, always_on.name) == ("reactive", "always-on")
    assert reactive.codec_fingerprint == always_on.codec_fingerprint == fingerprint(layout)
    assert reactive.packer is None


def test_consolidating_is_reactive_that_empties_all_it_can() -> None:
    policy = make_baseline("consolidating", FULL)
    assert isinstance(policy, ConstantSetpoint)
    assert policy.rule.tolist() == [make_baseline("reactive", FULL).rule[0], 2, 0, 0, 0, 0]  # type: ignore[attr-defined]
    assert policy.name == "consolidating"
    observations, masks, _ = seen(FULL, 200)
    actions = policy.act(observations, masks)
    assert all_valid(actions, masks, FULL)
    levers = actions[:, FULL.max_pools + FULL.window_slots :]
    assert set(np.unique(levers[:, : FULL.max_pools])) == {0, 2}
    assert not levers[:, FULL.max_pools : -FULL.max_pools].any()  # the last ones, reserves in nodes, may be held


def test_consolidating_without_its_lever_says_how_to_switch_it_on() -> None:
    with pytest.raises(PolicyNeedsLeverError, match=r"--set codec\.consolidation=true"):
        make_baseline("consolidating", LAYOUTS[0])


@pytest.mark.parametrize("timeout", IDLE_AGE_EDGES_SECONDS)
@pytest.mark.parametrize("headroom", HEADROOM_FRACTIONS)
def test_every_setpoint_can_be_a_rule(timeout: float, headroom: float) -> None:
    policy = ConstantSetpoint(LAYOUTS[0], timeout, headroom)
    assert LAYOUTS[0].setpoints[policy.setpoint] == (timeout, headroom)


def test_a_setpoint_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no setpoint has idle time-out 61"):
        ConstantSetpoint(LAYOUTS[0], 61.0)


def test_a_rule_of_an_absent_pool_and_slot_is_zero() -> None:
    policy = ConstantSetpoint(LAYOUTS[0])
    empty = np.zeros((1, observation_size(LAYOUTS[0])), np.float32)
    mask = np.zeros(LAYOUTS[0].mask_size, np.bool_)
    write_mask(empty_snapshot(LAYOUTS[0]), LAYOUTS[0].tables(), mask)
    assert policy.act(empty, mask[None]).tolist() == [[0] * 7]


def test_a_rule_obeys_a_setpoint_of_another_policy_that_is_held() -> None:
    policy, snapshot = ConstantSetpoint(LAYOUTS[0]), empty_snapshot(LAYOUTS[0])
    snapshot.pools[:2, Pool.PRESENT] = 1.0
    write_setpoint(snapshot.pools[1], 17, 0, 5.0, 10.0)
    mask = np.zeros(LAYOUTS[0].mask_size, np.bool_)
    write_mask(snapshot, LAYOUTS[0].tables(), mask)
    observation = np.zeros((1, observation_size(LAYOUTS[0])), np.float32)
    assert policy.act(observation, mask[None])[0, :3].tolist() == [policy.setpoint, 17, 0]


def test_longer_time_outs_cost_more_idle_and_less_waiting() -> None:
    jobs = [(index * 1000.0, 200.0, 8.0) for index in range(20)]
    runs = {timeout: Play(small_problem(jobs), timeout).run() for timeout in (0.0, 600.0, 1800.0)}
    idle = [run.simulator.energy().idle for run in runs.values()]
    waits = [sum(start - job[0] for start, job in zip(run.starts(), jobs, strict=True)) for run in runs.values()]
    assert idle[0] < idle[1] < idle[2]
    # With 600 s every other gap is too long: 500 s after a job that waited, 800 s after one that did not.
    assert waits == [20 * 300.0, 10 * 300.0, 300.0]
