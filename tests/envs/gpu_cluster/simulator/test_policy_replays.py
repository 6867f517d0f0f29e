"""Learned setpoints inside the kernels: the decisions of the same policy step by step, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import traces
from agents.baselines.constant import ConstantSetpoint
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.codec import (
    INTENSITY_INPUTS,
    LEVERS,
    RESERVE_NODES,
    CodecLayout,
    feature_choices,
    learned_choices,
    lever_columns,
    number_of_outputs,
    number_of_weights,
    observation_size,
    scratch_for,
)
from envs.gpu_cluster.codec.setpoint_policy import LEVER_ORDERS, nearest_choice
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

pytestmark = pytest.mark.kernels

ONE_POOL = CodecLayout(max_pools=1, window_slots=4)
RESERVES = replace(ONE_POOL, reserve_nodes=True)
TWO_POOLS = CodecLayout(max_pools=3, window_slots=2, consolidation=True, consolidation_interval_seconds=600.0)


def one_pool(layout: CodecLayout = ONE_POOL) -> Problem:
    trace = traces.load("synthetic:quickstart?days=4&seed=0")
    return make_problem(trace, auto_cluster(trace), EnvironmentConfig(codec=layout))


def with_reserves() -> Problem:
    return one_pool(RESERVES)


def with_all_levers() -> Problem:
    """Two pools, jobs that can be moved, narrowed and suspended, and every lever."""
    uri = "synthetic:quickstart?days=2&seed=1&checkpointable=0.8&elastic=0.6"
    trace = traces.load(uri)
    half = max(2, auto_cluster(trace).pools[0].max_nodes // 2 + 1)
    pools = (PoolConfig("near", max_nodes=half), PoolConfig("far", max_nodes=half, boot_seconds=60.0))
    layout = replace(TWO_POOLS, **dict.fromkeys((lever.switch for lever in LEVERS), True))
    return make_problem(trace, ClusterConfig(pools), EnvironmentConfig(codec=layout))


def remembered() -> Problem:
    """One pool, with the memory of submissions of three users, and their intensity."""
    trace = traces.load("synthetic:quickstart?days=4&seed=0")
    table = {name: trace.table.column(name) for name in ("submit_time_seconds", "duration_seconds", "gpu_milli")}
    users = np.random.default_rng(0).choice(["a", "b", "c"], trace.num_jobs).tolist()
    config = EnvironmentConfig(codec=replace(ONE_POOL, arrival_features=True))
    return make_problem(Trace.from_columns({**table, "user": users}), auto_cluster(trace), config)


def two_pools() -> Problem:
    trace = traces.load("synthetic:quickstart?days=2&seed=1&checkpointable=0.8")
    half = max(2, auto_cluster(trace).pools[0].max_nodes // 2 + 1)
    pools = (PoolConfig("near", max_nodes=half), PoolConfig("far", max_nodes=half, boot_seconds=60.0))
    return make_problem(trace, ClusterConfig(pools), EnvironmentConfig(codec=TWO_POOLS))


def windows(problem: Problem, count: int) -> NDArray[np.int64]:
    start, end = (float(problem.submit_ms[at]) / 1000.0 for at in (0, -1))
    return equal_episodes(problem, start, end, count)


def policies(
    layout: CodecLayout, hidden: Sequence[int], count: int, levers: Sequence[str] = (), **constants: int
) -> list[LearnedSetpoints]:
    """Policies of all features, which change their setpoints often, and their levers."""
    features, generator = feature_choices(layout), np.random.default_rng(3)
    size = number_of_weights(len(features), hidden, number_of_outputs(levers))
    start = ConstantSetpoint(layout, 900.0, 0.15, **constants)
    weights = generator.normal(0.0, 0.5, (count, size))
    intensity = np.linspace(0.0, 0.3, 1 + len(INTENSITY_INPUTS)) if layout.arrival_features else None
    return [
        LearnedSetpoints("p", start, features, hidden, each, None, "ignored", levers, intensity) for each in weights
    ]


def step_by_step(policy: LearnedSetpoints, problem: Problem, episodes: NDArray[np.int64]) -> Simulator:
    simulator = Simulator.from_problem(problem, len(episodes))
    simulator.reset(np.arange(len(episodes)), episodes)
    while not simulator.done.all():
        simulator.step(policy.act(simulator.observations, simulator.action_masks))
    return simulator


def replayed(several: list[LearnedSetpoints], problem: Problem, episodes: NDArray[np.int64], stride: int) -> Simulator:
    """All policies on all episodes in one batch, the episodes of the first policy first."""
    simulator = Simulator.from_problem(problem, len(several) * len(episodes))
    simulator.reset(np.arange(simulator.num_clusters), np.tile(episodes, (len(several), 1)))
    together = several[0].policies._replace(weights=np.concatenate([each.policies.weights for each in several]))
    numbers = np.repeat(np.arange(len(several)), len(episodes))
    while not simulator.replay_policy_decisions(together, numbers, several[0].rule, stride):
        pass
    return simulator


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(), (32, 32)], ids=["linear", "network"])
@pytest.mark.parametrize("world", [one_pool, remembered, with_reserves, two_pools, with_all_levers])
def test_a_replay_decides_as_the_policy_does_step_by_step(world: object, hidden: tuple[int, ...]) -> None:
    problem: Problem = world()
    episodes = windows(problem, 2)
    several = policies(problem.config.codec, hidden, 3, tuple(lever_columns(problem.config.codec)))
    batch = replayed(several, problem, episodes, 200)
    for number, policy in enumerate(several):
        alone = step_by_step(policy, problem, episodes)
        rows = slice(number * len(episodes), (number + 1) * len(episodes))
        np.testing.assert_array_equal(batch.decisions[rows], alone.decisions)
        np.testing.assert_array_equal(batch.waited_milli_ms[rows], alone.waited_milli_ms)
        np.testing.assert_array_equal(batch.energy_integrals[rows], alone.energy_integrals)
        np.testing.assert_array_equal(batch.observations[rows], alone.observations)
    assert len({row.tobytes() for row in batch.energy_integrals}) == len(several) * len(episodes)


@pytest.mark.slow
def test_the_levers_of_the_start_are_pulled_in_a_replay_too() -> None:
    problem = two_pools()
    episodes = windows(problem, 1)
    policy = policies(TWO_POOLS, (), 1, consolidation=2)[0]
    batch, alone = replayed([policy], problem, episodes, 10**6), step_by_step(policy, problem, episodes)
    moves = sum(pool.moves for pool in alone.pool_totals())
    assert moves > 0
    assert sum(pool.moves for pool in batch.pool_totals()) == moves
    np.testing.assert_array_equal(batch.energy_integrals, alone.energy_integrals)


def test_without_weights_it_is_the_constants_that_it_starts_from() -> None:
    problem = one_pool()
    episodes = windows(problem, 2)
    start = ConstantSetpoint(ONE_POOL, 3600.0, 0.6)
    features = feature_choices(ONE_POOL)
    policy = LearnedSetpoints("p", start, features, (), np.zeros(number_of_weights(len(features), ())))
    constant = Simulator.from_problem(problem, len(episodes))
    constant.reset(np.arange(len(episodes)), episodes)
    constant.replay(np.full(len(episodes), start.setpoint))
    learned = replayed([policy], problem, episodes, 10**6)
    np.testing.assert_array_equal(learned.energy_integrals, constant.energy_integrals)


def priced(price: str, weights: NDArray[np.float64]) -> LearnedSetpoints:
    """A policy of two features that reads the price of waiting."""
    features = ("since_submit", "pool.busy_nodes")
    return LearnedSetpoints("p", ConstantSetpoint(ONE_POOL, 900.0, 0.15), features, (), weights, None, price)


def test_a_policy_that_reads_the_price_is_replayed_as_it_decides_step_by_step() -> None:
    problem = one_pool()
    episodes = windows(problem, 2)
    policy = priced("crossed", np.random.default_rng(5).normal(0.0, 3.0, number_of_weights(5, ())))
    batch, alone = replayed([policy], problem, episodes, 10**6), step_by_step(policy, problem, episodes)
    np.testing.assert_array_equal(batch.decisions, alone.decisions)
    np.testing.assert_array_equal(batch.energy_integrals, alone.energy_integrals)


def test_one_policy_keeps_more_where_waiting_costs_more() -> None:
    """The price in the settings is all that differs."""
    policy = priced("added", np.array([-4.0, -2.0, 0.0, 0.0, 0.0, 0.0, 8.0, 4.0]))
    found = []
    for usd in (0.0, 0.1, 1.0, 10.0):
        objective = ObjectiveConfig(usd_per_gpu_hour=usd)
        problem = replace(one_pool().config, objective=objective)
        trace = traces.load("synthetic:quickstart?days=4&seed=0")
        simulator = Simulator.from_problem(make_problem(trace, auto_cluster(trace), problem), 1)
        simulator.reset_all()
        found.append(ONE_POOL.setpoints[policy.act(simulator.observations, simulator.action_masks)[0, 0]])
    assert found[0] == (60.0, 0.0)
    assert sorted(found) == found
    assert len(set(found)) == 4


def test_costs_of_a_replay_are_what_decisions_changed_and_are_counted_once() -> None:
    problem = one_pool()
    episodes = windows(problem, 3)
    batch = replayed(policies(ONE_POOL, (), 2), problem, episodes, 10**6)
    np.testing.assert_allclose(batch.take_costs().sum(axis=1), batch.decided_usd(), rtol=1e-12)
    np.testing.assert_array_equal(batch.take_costs(), 0.0)


def test_a_number_that_names_no_policy_is_refused() -> None:
    problem = one_pool()
    simulator = Simulator.from_problem(problem, 2)
    simulator.reset_all()
    only = policies(ONE_POOL, (), 1)[0].policies
    with pytest.raises(ValueError, match="0 to 0"):
        simulator.replay_policies(only, np.array([0, 1]))


def test_outputs_beyond_the_grid_mean_its_edge_and_a_large_reserve_means_always_on() -> None:
    layout = ONE_POOL
    features = feature_choices(layout)[:1]
    start = ConstantSetpoint(layout, 0.0, 0.0)
    for bias, setpoint in (((-5.0, -5.0), (0.0, 0.0)), ((50.0, 2.4), (14400.0, 0.15)), ((3.0, 50.0), None)):
        policy = LearnedSetpoints("p", start, features, (), np.array([*bias, 0.0, 0.0]))
        values = scratch_for(policy.policies)
        learned_choices(policy.policies, 0, np.zeros(400, np.float32), 0, values)
        assert int(values[2, 0]) == (len(layout.setpoints) - 1 if setpoint is None else layout.setpoint(*setpoint))


@pytest.mark.parametrize("lever", range(len(LEVERS)), ids=[lever.name for lever in LEVERS])
def test_every_lever_has_its_choices_in_an_order_and_outputs_beyond_it_mean_its_ends(lever: int) -> None:
    order = list(LEVERS[lever].order)
    assert sorted(order) == list(range(len(LEVERS[lever].choices)))
    assert LEVER_ORDERS[lever, : len(order)].tolist() == order
    places = np.arange(len(order), dtype=np.float64)
    assert nearest_choice(lever, places).tolist() == order
    assert nearest_choice(lever, places + 0.49).tolist() == order
    assert nearest_choice(lever, np.array([-9.0, 99.0])).tolist() == [order[0], order[-1]]


def test_a_policy_without_weights_has_the_levers_of_its_start_whether_it_chooses_them_or_not() -> None:
    layout = replace(TWO_POOLS, **dict.fromkeys((lever.switch for lever in LEVERS), True))
    chosen = {"consolidation": 2, "power_cap": 1, "width": 2, "suspension": 0, "reserve_nodes": 3}
    start = ConstantSetpoint(layout, 300.0, 0.05, **chosen)
    names = tuple(lever_columns(layout))
    assert names == tuple(chosen)
    masks = np.ones((2, layout.mask_size), np.bool_)
    observations = np.zeros((2, observation_size(layout)), np.float32)
    for levers in ((), ("width",), names):
        size = number_of_weights(1, (), number_of_outputs(levers))
        policy = LearnedSetpoints("p", start, ("weekend",), (), np.zeros(size), levers=levers)
        np.testing.assert_array_equal(policy.act(observations, masks), start.act(observations, masks))


@pytest.mark.parametrize("levers", [(), ("reserve_nodes",)], ids=["constant", "learned"])
def test_a_reserve_in_nodes_is_kept_in_a_replay_as_step_by_step(levers: tuple[str, ...]) -> None:
    problem = with_reserves()
    episodes = windows(problem, 2)
    policy = policies(RESERVES, (), 1, levers, reserve_nodes=RESERVE_NODES.index(2))[0]
    batch, alone = replayed([policy], problem, episodes, 10**6), step_by_step(policy, problem, episodes)
    np.testing.assert_array_equal(batch.energy_integrals, alone.energy_integrals)
    none = policies(RESERVES, (), 1)[0]
    assert (replayed([none], problem, episodes, 10**6).energy_integrals != batch.energy_integrals).any()


def test_a_lever_that_is_off_is_refused() -> None:
    start = ConstantSetpoint(ONE_POOL)
    with pytest.raises(ValueError, match="reserve_nodes"):
        LearnedSetpoints("p", start, ("weekend",), (), np.zeros(6), levers=("reserve_nodes",))


def test_features_and_weights_that_do_not_fit_are_refused() -> None:
    start = ConstantSetpoint(ONE_POOL)
    with pytest.raises(ValueError, match="no feature"):
        LearnedSetpoints("p", start, ("moon",), (), np.zeros(4))
    with pytest.raises(ValueError, match="need 4 each"):
        LearnedSetpoints("p", start, ("weekend",), (), np.zeros(5))
    with pytest.raises(ValueError, match="no feature"):
        LearnedSetpoints("p", replace_layout(start), ("pool.consolidatable",), (), np.zeros(4))


def replace_layout(start: ConstantSetpoint) -> ConstantSetpoint:
    return ConstantSetpoint(replace(start.layout, consolidation=False))


def explored(noise: NDArray[np.float64], hold_seconds: float, world: Problem | None = None) -> tuple[Simulator, object]:
    """A policy of all features, disturbed, on two windows; and what was written down."""
    problem = world or one_pool()
    policy = policies(problem.config.codec, (), 1)[0]
    simulator = Simulator.from_problem(problem, 2)
    simulator.reset(np.arange(2), windows(problem, 2))
    found = simulator.explore_policies(policy.policies, np.zeros(2, np.int64), noise, hold_seconds, policy.rule)
    return simulator, found


def test_noise_of_zero_changes_nothing_and_what_is_written_down_is_what_the_policy_saw_and_did() -> None:
    problem = one_pool()
    policy = policies(ONE_POOL, (), 1)[0]
    plain = replayed([policy], problem, windows(problem, 2), 10**6)
    simulator, found = explored(np.zeros((2, 1, 400, 2)), 600.0)
    np.testing.assert_array_equal(simulator.energy_integrals, plain.energy_integrals)
    np.testing.assert_array_equal(simulator.decisions, plain.decisions)
    np.testing.assert_allclose(found.spent_usd + simulator.take_costs().sum(axis=1), plain.decided_usd(), rtol=1e-9)
    weights = policy.policies.weights[0]
    bias, rest = weights[:2], weights[2:].reshape(-1, 2)
    for cluster in range(2):
        rows = int(found.drawn[cluster, 0])
        assert 10 < rows < 400
        inputs, outputs = found.inputs[cluster, 0, :rows], found.outputs[cluster, 0, :rows]
        np.testing.assert_allclose(outputs, policy.policies.start + bias + inputs @ rest, atol=1e-9)
        assert (np.diff(found.time_ms[cluster, 0, :rows]) >= 600_000).all()
        assert (np.diff(found.usd[cluster, 0, :rows]) >= 0.0).all()
        assert found.usd[cluster, 0, 0] == 0.0


@pytest.mark.parametrize("world", [one_pool, two_pools])
def test_a_row_of_noise_is_added_until_the_next_one(world: object) -> None:
    """With the same row throughout it is a policy of other biases; one that pulls levers likewise."""
    problem: Problem = world()
    layout, pools = problem.config.codec, len(problem.pools)
    noise = np.zeros((2, pools, 500, 2)) + np.array([2.0, -1.0])
    simulator, found = explored(noise, 300.0, problem)
    policy = policies(layout, (), 1)[0]
    moved = policy.policies._replace(start=policy.policies.start + np.array([2.0, -1.0]))
    other = Simulator.from_problem(problem, 2)
    other.reset(np.arange(2), windows(problem, 2))
    other.replay_policies(moved, np.zeros(2, np.int64), policy.rule)
    np.testing.assert_array_equal(simulator.decisions, other.decisions)
    np.testing.assert_array_equal(simulator.energy_integrals, other.energy_integrals)
    assert (found.drawn > 1).all()


def test_noise_that_does_not_fit_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"need \(2, 1, rows, 2\)"):
        explored(np.zeros((2, 2, 5, 2)), 60.0)
