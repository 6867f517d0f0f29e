"""The compiled simulator and the reference simulator side by side, and what must be the same in both."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator import NEVER, Simulator
from envs.gpu_cluster.simulator import node_state as node_columns
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from envs.gpu_cluster.simulator.reference.costs import spendings
from envs.gpu_cluster.simulator.reference.detail import DetailedNodes


def assert_equal(fast: Simulator, slow: ReferenceSimulator) -> None:
    """Time, queue, running jobs, integrals, snapshot, observation and mask are the same."""
    assert fast.time_ms[0] == slow.now
    assert fast.finished_jobs[0] == slow.finished
    assert fast.running_jobs[0] == len(slow.running)
    assert fast.waiting_jobs[0] == len(slow.queue)
    assert fast.suspended_jobs[0] == len(slow.suspended)
    assert fast.waited_milli_ms[0] == slow.waited_milli_ms
    assert fast.deadline_misses[0] == slow.deadline_misses
    assert fast.excess_kw_seconds[0] == slow.excess_mw_ms / 1e9
    assert fast.is_done() == slow.done
    assert fast.is_truncated() == slow.truncated
    np.testing.assert_array_equal(fast.spendings(), spendings(slow))
    assert [asdict(totals) for totals in fast.pool_totals()] == [asdict(totals) for totals in slow.totals]
    for name, ours, theirs in zip(slow.snapshot._fields, fast.snapshot(0), slow.snapshot, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    np.testing.assert_array_equal(fast.observations[0], slow.observation)
    np.testing.assert_array_equal(fast.action_masks[0], slow.mask)
    if slow.detail is not None:
        assert_equal_nodes(fast, slow, slow.detail)


def assert_equal_nodes(fast: Simulator, slow: ReferenceSimulator, detail: DetailedNodes) -> None:
    """CPUs, memory and GPUs of every node are the same, none below 0; whole free GPUs are those that are counted."""
    free = fast._world.clusters.detail
    for node in slow.nodes:
        number = detail.number(node.pool, node.number)
        plain = detail.cluster.nodes[number]
        assert free.node[0, number, node_columns.FREE_CPU] == plain.cpu >= 0
        assert free.node[0, number, node_columns.FREE_MEMORY] == plain.memory >= 0
        assert free.node[0, number, node_columns.LATEST_END] == plain.latest_end
        assert free.gpu[0, number, : node.gpus].tolist() == plain.gpus
        assert min(plain.gpus) >= 0
        assert free.node[0, number, node_columns.OPEN] == node.is_busy
        if node.is_busy:
            assert node.free == plain.gpus.count(1000)


def used(problem: Problem, log_rows: int | None = 0) -> Simulator:
    """A simulator whose memory is full of numbers that mean nothing, as an episode that was cut off leaves some."""
    fast, generator = Simulator.from_problem(problem, log_rows=log_rows), np.random.default_rng(0)
    for name, array in fast.state_arrays().items():
        if name.startswith("Cluster."):
            array[...] = generator.integers(0, 4, array.shape)
    return fast


def assert_same_times(fast: Simulator, slow: ReferenceSimulator) -> None:
    """Every job of the episode began and ended at the same moment."""
    times = fast.job_times()
    for ours, theirs in ((times.start_ms, slow.job_starts), (times.end_ms, slow.job_ends)):
        numbers = np.flatnonzero(ours != NEVER)
        assert dict(zip((times.first_job + numbers).tolist(), ours[numbers].tolist(), strict=True)) == theirs


def step_both(fast: Simulator, slow: ReferenceSimulator, action: NDArray[np.int64]) -> None:
    """One decision, after which all numbers, the reward and its terms are the same."""
    fast.step(action[None])
    reward = slow.step(action)
    assert_equal(fast, slow)
    assert fast.rewards[0] == reward
    assert (*fast.cost_terms[0], fast.step_seconds[0]) == slow.terms


def keep_nodes(problem: Problem) -> NDArray[np.int64]:
    """The action that leaves nodes on for an hour without work, and lets jobs go where they fit; of one pool."""
    action = np.ones(len(problem.config.codec.action_sizes), np.int64)
    action[0] = problem.config.codec.setpoint(3600.0, 0.0)
    return action


def both_simulators(problem: Problem, episode: tuple[int, int, int]) -> tuple[Simulator, ReferenceSimulator]:
    """Both simulators at the beginning of an episode."""
    fast, slow = used(problem), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([episode]))
    slow.reset(*episode)
    return fast, slow


def whole(problem: Problem) -> tuple[int, int, int]:
    """The episode that is the whole trace."""
    return int(problem.submit_ms[0]), NEVER, problem.num_jobs
