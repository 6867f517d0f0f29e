"""The compiled simulator and its plain twin side by side, and what must be the same in both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import node_state as node_columns
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from envs.gpu_cluster.simulator.reference.detail import DetailedNodes

TOTALS = {
    "idle_node_ms": columns.IDLE_NODE_MS,
    "busy_node_ms": columns.BUSY_NODE_MS,
    "boot_node_ms": columns.BOOT_NODE_MS,
    "down_node_ms": columns.DOWN_NODE_MS,
    "used_milli_ms": columns.USED_MILLI_MS,
    "overhead_milli_ms": columns.OVERHEAD_MILLI_MS,
    "saved_milli_ms": columns.SAVED_MILLI_MS,
    "lost_milli_ms": columns.LOST_MILLI_MS,
    "moves": columns.MOVES,
    "resizes": columns.RESIZES,
    "preemptions": columns.PREEMPTIONS,
    "boot_failures": columns.BOOT_FAILURES,
    "failures": columns.FAILURES,
    "reclaims": columns.RECLAIMS,
    "nodes_added": columns.NODES_ADDED,
    "nodes_removed": columns.NODES_REMOVED,
    "scale_ups": columns.SCALE_UPS,
    "scale_downs": columns.SCALE_DOWNS,
}


def assert_equal(fast: Simulator, slow: ReferenceSimulator) -> None:
    """Time, queue, running jobs, integrals, snapshot, observation and mask are the same."""
    clock = fast.world.clusters.clock[0]
    assert clock[columns.NOW] == slow.now
    assert clock[columns.FINISHED] == slow.finished
    assert clock[columns.RUNNING] == len(slow.running)
    assert clock[columns.WAITED_MILLI_MS] == slow.waited_milli_ms
    assert clock[columns.DEADLINE_MISSES] == slow.deadline_misses
    assert bool(clock[columns.DONE]) == slow.done
    assert bool(clock[columns.TRUNCATED]) == slow.truncated
    for pool, totals in enumerate(slow.totals):
        row = fast.world.clusters.pool[0, pool]
        assert {name: row[column] for name, column in TOTALS.items()} == {
            name: getattr(totals, name) for name in TOTALS
        }
    for name, ours, theirs in zip(slow.snapshot._fields, fast.snapshot(0), slow.snapshot, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    np.testing.assert_array_equal(fast.world.outcome.observation[0], slow.observation)
    np.testing.assert_array_equal(fast.world.outcome.mask[0], slow.mask)
    if slow.detail is not None:
        assert_equal_nodes(fast, slow, slow.detail)


def assert_equal_nodes(fast: Simulator, slow: ReferenceSimulator, detail: DetailedNodes) -> None:
    """CPUs, memory and GPUs of every node are the same, none below 0; whole free GPUs are those that are counted."""
    free = fast.world.clusters.detail
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


def times(fast: Simulator, column: int) -> dict[int, int]:
    """Start or end in ms of each job of the episode that has one."""
    first = fast.world.clusters.clock[0, columns.FIRST_JOB]
    moments = fast.world.clusters.queue[0, :, column]
    return {int(first + row): int(moment) for row, moment in enumerate(moments) if moment != columns.NEVER}


def used(problem: Problem, log_rows: int | None = 0) -> Simulator:
    """A simulator whose memory is full of numbers that mean nothing, as an episode that was cut off leaves some."""
    fast, generator = Simulator.from_problem(problem, log_rows=log_rows), np.random.default_rng(0)
    for name, array in fast.state_arrays().items():
        if name.startswith("Cluster."):
            array[...] = generator.integers(0, 4, array.shape)
    return fast


def assert_same_times(fast: Simulator, slow: ReferenceSimulator) -> None:
    """Every job of the episode began and ended at the same moment."""
    assert times(fast, columns.JOB_START) == slow.job_starts
    assert times(fast, columns.JOB_END) == slow.job_ends


def step_both(fast: Simulator, slow: ReferenceSimulator, action: NDArray[np.int64]) -> None:
    """One decision, after which all numbers, the reward and its terms are the same."""
    fast.step(action[None])
    reward = slow.step(action)
    assert_equal(fast, slow)
    assert fast.world.outcome.reward[0] == reward
    assert tuple(fast.world.outcome.terms[0]) == slow.terms


def keep_nodes(problem: Problem) -> NDArray[np.int64]:
    """The action that leaves nodes on for an hour without work, and lets jobs go where they fit; of one pool."""
    action = np.ones(len(problem.config.codec.action_sizes), np.int64)
    action[0] = problem.config.codec.setpoint(3600.0, 0.0)
    return action


def twins(problem: Problem, episode: tuple[int, int, int]) -> tuple[Simulator, ReferenceSimulator]:
    """Both simulators at the beginning of an episode."""
    fast, slow = used(problem), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([episode]))
    slow.reset(*episode)
    return fast, slow


def whole(problem: Problem) -> tuple[int, int, int]:
    """The episode that is the whole trace."""
    return int(problem.jobs[0, columns.SUBMIT_MS]), columns.NEVER, problem.num_jobs
