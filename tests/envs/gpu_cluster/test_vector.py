"""The batch of clusters is N single environments, to the bit, and a saved one goes on as if nothing had happened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

import traces
from envs.errors import InvalidActionError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import draw_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv

LAYOUT = CodecLayout(max_pools=2, window_slots=3)
CONFIG = EnvironmentConfig(episode_seconds=20_000.0, codec=LAYOUT)


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Six days of jobs on two pools; episodes of five and a half hours."""
    trace = traces.load("synthetic:quickstart?days=6&seed=0")
    nodes = auto_cluster(trace).pools[0].max_nodes
    cluster = ClusterConfig((PoolConfig("a", max_nodes=nodes), PoolConfig("b", max_nodes=4, gpus_per_node=4)))
    return make_problem(trace, cluster, CONFIG)


def valid_actions(masks: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.int64]:
    lots = generator.random(masks.shape) * masks
    parts = np.split(lots, np.cumsum(LAYOUT.action_sizes)[:-1], axis=1)
    return np.stack([part.argmax(axis=1) for part in parts], axis=1)


def run(env: GpuClusterVecEnv, steps: int, seed: int) -> list[tuple[Any, ...]]:
    """Valid actions by lot; everything that each step gives back, without the wall clock."""
    generator = np.random.default_rng(seed)
    result = []
    for _ in range(steps):
        observations, rewards, dones, infos = env.step(valid_actions(env.action_masks(), generator))
        plain = [
            {**info, "episode": {**info["episode"], "t": 0.0}} if "episode" in info else dict(info) for info in infos
        ]
        result.append((observations, rewards, dones, plain, env.step_seconds, env.action_masks().copy()))
    return result


def assert_same(one: Any, other: Any) -> None:
    """Equal to the bit, through lists, tuples, dicts and arrays."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            assert_same(ours, theirs)
    else:
        assert one == other


def test_the_batch_does_what_single_clusters_do_on_the_same_episodes(problem: Problem) -> None:
    """Through several episodes each, with the ends and the beginnings of all of them."""
    count, scale = 3, 7.0
    batch = GpuClusterVecEnv(problem, count, seed=4, reward_scale=scale)
    episodes = np.random.default_rng(4)
    singles = [Simulator.from_problem(problem) for _ in range(count)]
    for single, episode in zip(singles, draw_episodes(problem, count, episodes), strict=True):
        single.reset(np.array([0]), episode[None])
    returns, lengths, ends = np.zeros(count), np.zeros(count, int), 0
    generator = np.random.default_rng(0)
    for _ in range(1500):
        actions = valid_actions(batch.action_masks(), generator)
        observations, rewards, dones, infos = batch.step(actions)
        ended = []
        for index, single in enumerate(singles):
            single.step(actions[index : index + 1])
            returns[index] += single.rewards[0]
            lengths[index] += 1
            assert rewards[index] == np.float32(single.rewards[0] * scale)
            assert batch.step_seconds[index] == single.step_seconds[0]
            assert dones[index] == single.is_done()
            if dones[index]:
                np.testing.assert_array_equal(infos[index]["terminal_observation"], single.observations[0])
                assert infos[index]["TimeLimit.truncated"] == single.is_truncated()
                assert infos[index]["episode"]["r"] == returns[index]
                assert infos[index]["episode"]["l"] == lengths[index]
                returns[index], lengths[index] = 0.0, 0
                ended.append(index)
            else:
                assert infos[index] == {}
        for index, episode in zip(ended, draw_episodes(problem, len(ended), episodes), strict=True):
            singles[index].reset(np.array([0]), episode[None])
        ends += len(ended)
        masks = batch.action_masks()
        for index, single in enumerate(singles):
            np.testing.assert_array_equal(observations[index], single.observations[0])
            np.testing.assert_array_equal(masks[index], single.action_masks[0])
    assert ends >= 2 * count


def test_an_episode_ends_by_truncation_or_when_all_jobs_are_done() -> None:
    trace = traces.load("synthetic:quickstart?days=1&seed=0").head(20)
    trace_end = float((trace.submit_time_seconds + trace.duration_seconds).max())
    seen = set()
    for seconds in (3600.0, 20 * trace_end):
        config = EnvironmentConfig(episode_seconds=seconds, codec=LAYOUT)
        env = GpuClusterVecEnv(make_problem(trace, auto_cluster(trace), config), 2, seed=0)
        generator = np.random.default_rng(0)
        for _ in range(20_000):
            _, _, dones, infos = env.step(valid_actions(env.action_masks(), generator))
            if dones.any():
                seen |= {(seconds == 3600.0, info["TimeLimit.truncated"]) for info in infos if info}
                break
    assert seen == {(True, True), (False, False)}


def test_the_terminal_observation_is_not_the_first_of_the_next_episode(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 1, seed=0)
    for observations, _, dones, infos, _, _ in run(env, 2000, 0):
        if dones[0]:
            assert not np.array_equal(infos[0]["terminal_observation"], observations[0])
            return
    pytest.fail("no episode ended")


def test_the_same_seed_gives_the_same_run_and_another_one_another(problem: Problem) -> None:
    runs = [run(GpuClusterVecEnv(problem, 3, seed), 300, 0) for seed in (1, 1, 2)]
    assert_same(runs[0], runs[1])
    assert not np.array_equal(runs[0][0][0], runs[2][0][0])


def test_seeding_before_a_reset_repeats_the_episodes(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=1)
    env.seed(9)
    first = env.reset()
    one = run(env, 50, 0)
    assert not np.array_equal(env.reset(), first)
    env.seed(9)
    np.testing.assert_array_equal(env.reset(), first)
    assert_same(run(env, 50, 0), one)


def test_without_a_seed_every_object_draws_other_episodes(problem: Problem) -> None:
    one, other = (GpuClusterVecEnv(problem, 4).observations() for _ in range(2))
    assert not np.array_equal(one, other)


def test_a_saved_state_goes_on_to_the_bit(problem: Problem) -> None:
    """Into another object, through arrays that are copied, over the end of episodes."""
    env = GpuClusterVecEnv(problem, 3, seed=5)
    run(env, 200, 0)
    state = env.state_dict()
    saved = {
        "arrays": {name: array.copy() for name, array in state["arrays"].items()},
        "generator": dict(state["generator"]),
    }
    expected = run(env, 600, 1)
    assert any(step[2].any() for step in expected)
    other = GpuClusterVecEnv(problem, 3, seed=0)
    run(other, 50, 2)
    other.load_state_dict(saved)
    assert_same(run(other, 600, 1), expected)


def test_a_state_of_another_size_is_refused(problem: Problem) -> None:
    state = GpuClusterVecEnv(problem, 3, seed=5).state_dict()
    with pytest.raises(ValueError, match="does not fit"):
        GpuClusterVecEnv(problem, 2, seed=5).load_state_dict(state)


def test_a_cluster_does_not_depend_on_the_size_of_its_batch(problem: Problem) -> None:
    """One episode, alone and beside seven others."""
    episodes = draw_episodes(problem, 8, np.random.default_rng(0))
    batch, alone = Simulator.from_problem(problem, 8), Simulator.from_problem(problem, 1)
    batch.reset(np.arange(8), episodes)
    alone.reset(np.array([0]), episodes[5:6])
    generator = np.random.default_rng(0)
    for _ in range(300):
        actions = valid_actions(batch.action_masks, generator)
        batch.step(actions)
        alone.step(actions[5:6])
        for ours, theirs in zip(batch.world.outcome, alone.world.outcome, strict=True):
            np.testing.assert_array_equal(ours[5], theirs[0])


def test_sb3_contrib_finds_the_masks(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 3, seed=0)
    assert is_masking_supported(env)
    masks = get_action_masks(env)
    assert masks.shape == (3, LAYOUT.mask_size)
    np.testing.assert_array_equal(masks, env.action_masks())
    kept = masks.copy()
    run(env, 40, 0)
    np.testing.assert_array_equal(masks, kept)
    rows = env.env_method("action_masks", indices=[2, 0])
    np.testing.assert_array_equal(rows, env.action_masks()[[2, 0]])


def test_every_component_of_every_cluster_has_a_valid_choice(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 4, seed=0)
    for *_, masks in run(env, 300, 0):
        for part in np.split(masks, np.cumsum(LAYOUT.action_sizes)[:-1], axis=1):
            assert part.any(axis=1).all()


def test_what_a_step_gave_back_stays_as_it_was(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=0)
    observations, rewards, dones, _ = env.step(valid_actions(env.action_masks(), np.random.default_rng(0)))
    kept = observations.copy(), rewards.copy(), dones.copy()
    run(env, 30, 0)
    for ours, theirs in zip((observations, rewards, dones), kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_action_outside_the_space_raises(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=0)
    actions = np.zeros((2, len(LAYOUT.action_sizes)), np.int64)
    actions[1, 3] = LAYOUT.max_pools + 1
    with pytest.raises(InvalidActionError, match="component 3 of the action of environment 1 is 3; it must be 0 to 2"):
        env.step(actions)


def test_attributes_belong_to_the_batch(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 3, seed=0)
    assert env.get_attr("reward_scale", [0, 2]) == [1.0, 1.0]
    assert env.has_attr("problem")
    assert not env.has_attr("nothing_like_this")
    assert env.env_is_wrapped(object) == [False] * 3  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="share their attributes"):
        env.set_attr("reward_scale", 2.0)


def test_no_step_yet_took_no_time(problem: Problem) -> None:
    np.testing.assert_array_equal(GpuClusterVecEnv(problem, 3, seed=0).step_seconds, np.zeros(3))
