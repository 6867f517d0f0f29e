"""The compiled simulator and the reference simulator agree on every number, for any world and any action."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.codec import RULE_SETPOINT, RULE_SIZE
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.kernels import steps as kernels
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.players import STYLES, Player
from tests.envs.gpu_cluster.side_by_side import assert_equal, assert_same_times, both_simulators, step_both, whole
from tests.envs.gpu_cluster.worlds import kernel_property, problems

MAX_STEPS = 400

SCRATCH = {"pool": columns.TRIAL, "run": columns.RUN_TARGET, "pod": 0}
"""The first column that is scratch: snapshots that the shortcut leaves out write there too."""


@pytest.mark.slow
@kernel_property(examples=150)
@given(
    problem=problems(is_stochastic=True, has_grid=True), seed=st.integers(0, 2**32 - 1), style=st.sampled_from(STYLES)
)
def test_any_actions_give_the_same_numbers(problem: Problem, seed: int, style: str) -> None:
    """Also actions outside the mask, which `decode` maps to the default; and levers wherever they may be used."""
    player = Player(problem.config.codec, style, np.random.default_rng(seed))
    fast, slow = both_simulators(problem, whole(problem))
    assert_equal(fast, slow)
    for _ in range(MAX_STEPS):
        if slow.done:
            break
        action = player.act(slow.mask)
        step_both(fast, slow, action)
    assert_same_times(fast, slow)


@pytest.mark.slow
@kernel_property(examples=60)
@given(problem=problems(is_stochastic=True, has_grid=True), data=st.data())
def test_episodes_that_begin_and_end_in_the_middle_agree(problem: Problem, data: st.DataObject) -> None:
    """Jobs that ran before are running, the rest of the trace counts or not, time runs out."""
    last_ms = int(problem.jobs[-2, columns.SUBMIT_MS])
    start = data.draw(st.integers(0, last_ms + 1000), label="start_ms")
    length = data.draw(st.sampled_from([1000, 600_000, 86_400_000]), label="length_ms")
    first = int(np.searchsorted(problem.submit_ms, start))
    last_job = data.draw(st.integers(first, problem.num_jobs), label="last_job")
    setpoint = data.draw(st.integers(0, problem.tables.setpoints - 1), label="setpoint")
    fast, slow = both_simulators(problem, (start, start + length, last_job))
    assert_equal(fast, slow)
    action = np.full(len(problem.config.codec.action_sizes), 1)
    action[: problem.tables.max_pools] = setpoint
    for _ in range(100):
        if slow.done:
            break
        step_both(fast, slow, action)


@pytest.mark.slow
@kernel_property(examples=60)
@given(problem=problems(is_stochastic=True), setpoint=st.integers(0, 10**6))
def test_a_replay_is_the_same_as_steps_of_the_constant_policy(problem: Problem, setpoint: int) -> None:
    """`replay` and stepping with the baseline's actions end in the same state."""
    from agents.baselines import ConstantSetpoint

    layout = problem.config.codec
    timeout, headroom = layout.setpoints[setpoint % len(layout.setpoints)]
    policy = ConstantSetpoint(layout, timeout, headroom)
    replayed, stepped = Simulator.from_problem(problem), Simulator.from_problem(problem)
    replayed.reset_all()
    replayed.replay(np.array([policy.setpoint]))
    stepped.reset_all()
    while not stepped.is_done():
        stepped.step(policy.act(stepped.observations, stepped.action_masks))
    np.testing.assert_array_equal(replayed._world.clusters.clock, stepped._world.clusters.clock)
    scratch = columns.TRIAL
    np.testing.assert_array_equal(
        replayed._world.clusters.pool[..., :scratch], stepped._world.clusters.pool[..., :scratch]
    )
    np.testing.assert_array_equal(replayed.job_times().start_ms, stepped.job_times().start_ms)


@pytest.mark.parametrize("clusters", [1, 3])
@kernel_property(examples=20)
@given(problem=problems(max_jobs=12, is_stochastic=True))
def test_clusters_of_a_batch_do_not_touch_each_other(problem: Problem, clusters: int) -> None:
    """Each cluster of a batch does what a batch of one does under the same setpoint."""
    batch = Simulator.from_problem(problem, num_clusters=clusters)
    batch.reset_all()
    setpoints = np.arange(clusters) * 5
    batch.replay(setpoints)
    for index in range(clusters):
        alone = Simulator.from_problem(problem)
        alone.reset_all()
        alone.replay(setpoints[index : index + 1])
        np.testing.assert_array_equal(batch._world.clusters.pool[index], alone._world.clusters.pool[0])
        np.testing.assert_array_equal(batch._world.clusters.clock[index], alone._world.clusters.clock[0])


@pytest.mark.slow
@kernel_property(examples=60)
@given(st.booleans().flatmap(lambda any_lot: problems(is_stochastic=any_lot)), st.integers(0, 10**6), st.integers(1, 3))
def test_the_shortcut_of_a_replay_decides_as_the_codec(problem: Problem, setpoint: int, stride: int) -> None:
    """After every few decisions all memory and the snapshot are the same, whichever way they were taken."""
    rules = np.zeros((1, RULE_SIZE), np.int64)
    rules[0, RULE_SETPOINT] = setpoint % len(problem.config.codec.setpoints)
    shortcut, codec = Simulator.from_problem(problem), Simulator.from_problem(problem)
    for simulator in (shortcut, codec):
        simulator.reset_all()
    done = False
    for _ in range(MAX_STEPS):
        if done:
            break
        done = bool(kernels.replay_clusters(codec._world, 0, 1, rules, stride))
        assert shortcut.replay_decisions(rules, stride) == done
        both = shortcut._world.clusters, codec._world.clusters
        for ours, theirs in (both, (both[0].detail, both[1].detail), (shortcut.snapshot(), codec.snapshot())):
            for name, left, right in zip(ours._fields, ours, theirs, strict=True):
                if name != "detail" and left is not None:
                    end = SCRATCH.get(name)
                    np.testing.assert_array_equal(left[..., :end], right[..., :end], err_msg=name)


@kernel_property(examples=20)
@given(problem=problems(max_jobs=12), seed=st.integers(0, 2**32 - 1), clusters=st.integers(2, 5))
def test_threads_give_the_same_bits(problem: Problem, seed: int, clusters: int) -> None:
    """Steps and replays of one, two and three threads leave the same memory."""
    batches = [Simulator.from_problem(problem, clusters, threads=threads) for threads in (1, 2, 3)]
    generator = np.random.default_rng(seed)
    sizes = np.array(problem.config.codec.action_sizes)
    steps = [generator.integers(sizes, size=(clusters, sizes.size)) for _ in range(10)]
    for batch in batches:
        batch.reset_all()
        for actions in steps:
            batch.step(actions)
        batch.replay(np.arange(clusters))
    for batch in batches[1:]:
        for (name, ours), theirs in zip(batch.state_arrays().items(), batches[0].state_arrays().values(), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
