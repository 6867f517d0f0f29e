"""Batches joined into one: each plays as it does alone, and state, masks and infos find their places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import traces
from agents.cluster_task import ClusterTask
from agents.errors import AgentConfigError
from envs.gpu_cluster.codec import CodecLayout, observation_names
from envs.gpu_cluster.config import ObjectiveConfig
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from envs.joined_vec_env import JoinedInfos, JoinedVecEnv
from tests.agents.builders import small_problem, small_task

LAYOUT = CodecLayout(max_pools=1, window_slots=2)


def priced(usd: float) -> Problem:
    problem = small_problem(LAYOUT)
    config = replace(problem.config, objective=ObjectiveConfig(usd_per_gpu_hour=usd))
    return make_problem(traces.load("synthetic:quickstart?days=2&seed=0"), problem.cluster, config)


def parts() -> list[GpuClusterVecEnv]:
    return [GpuClusterVecEnv(priced(0.1), 2, seed=5), GpuClusterVecEnv(priced(5.0), 3, seed=7)]


def task_of(**train: object) -> ClusterTask:
    task = small_task("maskable-ppo", problem=priced(1.0), train=train)
    return replace(task, others=(priced(0.1), priced(5.0)))


def test_each_batch_plays_as_it_does_alone() -> None:
    joined, alone = JoinedVecEnv(parts()), parts()
    np.testing.assert_array_equal(joined.reset(), np.concatenate([part.reset() for part in alone]))
    generator = np.random.default_rng(0)
    for _ in range(100):
        actions = generator.integers(0, [61, 2, 2], (5, 3))
        observations, rewards, dones, infos = joined.step(actions)
        theirs = [part.step(mine) for part, mine in zip(alone, (actions[:2], actions[2:]), strict=True)]
        for at, ours in enumerate((observations, rewards, dones)):
            np.testing.assert_array_equal(ours, np.concatenate([each[at] for each in theirs]))
        assert infos[4]["step_seconds"] == joined.step_seconds[4] == alone[1].step_seconds[2]
        assert len(list(infos)) == len(infos) == 5
        masks = np.stack(joined.env_method("action_masks"))
        np.testing.assert_array_equal(masks, np.concatenate([part.action_masks() for part in alone]))
        np.testing.assert_array_equal(np.stack(joined.env_method("action_masks", indices=[1, 4])), masks[[1, 4]])


def test_a_saved_state_goes_on_with_the_same_episodes() -> None:
    first, second = JoinedVecEnv(parts()), JoinedVecEnv(parts())
    first.reset()
    second.reset()
    actions = np.zeros((5, 3), np.int64)
    for _ in range(20):
        first.step(actions)
    second.load_state_dict(first.state_dict())
    for _ in range(20):
        np.testing.assert_array_equal(first.step(actions)[0], second.step(actions)[0])


def test_infos_are_found_from_both_ends_and_by_slices() -> None:
    infos = JoinedInfos([[{"at": 0}, {"at": 1}], [{"at": 2}]])
    assert [infos[at]["at"] for at in (0, 1, 2, -1)] == [0, 1, 2, 2]
    assert [each["at"] for each in infos[1:]] == [1, 2]
    with pytest.raises(IndexError):
        infos[3]


def test_traces_and_versions_share_the_clusters_of_a_training() -> None:
    env = task_of(num_envs=8).make_vec()
    assert env.num_envs == 8
    at = list(observation_names(LAYOUT)).index("pool0.idle_cost_against_wait_cost")
    prices = env.reset()[:, at]
    assert len(np.unique(prices)) == 3
    with pytest.raises(AgentConfigError, match=r"fewer than the 3 traces and versions"):
        task_of(num_envs=2).make_vec()


def test_a_score_on_several_counts_each_by_what_the_heuristic_costs_there() -> None:
    task = task_of(num_envs=8)
    alone = replace(task, others=())
    tuned = task.tuned.policy(task.problem.config)
    assert task.score(tuned) == pytest.approx(alone.score(tuned))
