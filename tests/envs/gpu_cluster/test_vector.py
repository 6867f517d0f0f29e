"""The batch of clusters is N single environments, to the bit, and a saved one goes on as if nothing had happened."""

from __future__ import annotations

import copy
import json
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecCheckNan, VecNormalize

import traces
from envs.autoreset import ResetNeededError
from envs.errors import EnvironmentConfigError, InvalidActionError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.simulator import COST_TERMS, Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from tests.envs.gpu_cluster.builders import drawn_episodes
from traces.trace import Trace

LAYOUT = CodecLayout(max_pools=2, window_slots=3)
CONFIG = EnvironmentConfig(episode_seconds=20_000.0, codec=LAYOUT)


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Six days of jobs."""
    return traces.load("synthetic:quickstart?days=6&seed=0")


@pytest.fixture(scope="module")
def problem(trace: Trace) -> Problem:
    """On two pools; episodes of five and a half hours."""
    nodes = auto_cluster(trace).pools[0].max_nodes
    cluster = ClusterConfig((PoolConfig("a", max_nodes=nodes), PoolConfig("b", max_nodes=4, gpus_per_node=4)))
    return make_problem(trace, cluster, CONFIG)


def begun(problem: Problem, num_envs: int, seed: int) -> GpuClusterVecEnv:
    env = GpuClusterVecEnv(problem, num_envs, seed)
    env.reset()
    return env


def valid_actions(masks: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.int64]:
    scores = generator.random(masks.shape) * masks
    parts = np.split(scores, np.cumsum(LAYOUT.action_sizes)[:-1], axis=1)
    return np.stack([part.argmax(axis=1) for part in parts], axis=1)


def run(env: GpuClusterVecEnv, steps: int, seed: int) -> list[tuple[Any, ...]]:
    """Valid random actions; everything that each step gives back, without the wall clock."""
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


def test_the_batch_does_what_single_environments_do_with_the_same_seeds(problem: Problem, trace: Trace) -> None:
    """Through several episodes each, with the ends and the beginnings of all of them."""
    count, scale = 3, 7.0
    batch = GpuClusterVecEnv(problem, count, seed=4, reward_scale=scale)
    singles = [GpuClusterEnv(trace, problem.cluster, CONFIG) for _ in range(count)]
    firsts = [single.reset(seed=4 + index) for index, single in enumerate(singles)]
    np.testing.assert_array_equal(batch.reset(), [observation for observation, _ in firsts])
    assert batch.reset_infos == [info for _, info in firsts]
    returns, lengths, ends = np.zeros(count), np.zeros(count, int), 0
    generator = np.random.default_rng(0)
    for _ in range(1500):
        actions = valid_actions(batch.action_masks(), generator)
        observations, rewards, dones, infos = batch.step(actions)
        masks = batch.action_masks()
        for index, single in enumerate(singles):
            observation, reward, terminated, truncated, info = single.step(actions[index])
            returns[index] += reward
            lengths[index] += 1
            assert rewards[index] == np.float32(reward * scale)
            assert batch.step_seconds[index] == info["step_seconds"]
            assert dones[index] == (terminated or truncated)
            if dones[index]:
                ends += 1
                np.testing.assert_array_equal(infos[index].pop("terminal_observation"), observation)
                assert infos[index].pop("TimeLimit.truncated") == truncated
                episode = infos[index].pop("episode")
                assert (episode["r"], episode["l"]) == (returns[index], lengths[index])
                returns[index], lengths[index] = 0.0, 0
                observation, batch_info = single.reset()
                assert batch.reset_infos[index] == batch_info
            assert infos[index] == info
            np.testing.assert_array_equal(observations[index], observation)
            np.testing.assert_array_equal(masks[index], single.action_masks())
    assert ends >= 2 * count


@pytest.mark.parametrize("has_window", [False, True])
def test_an_episode_ends_by_truncation_or_when_all_jobs_are_done(has_window: bool) -> None:
    trace = traces.load("synthetic:quickstart?days=1&seed=0").head(20)
    env = GpuClusterVecEnv(make_problem(trace, auto_cluster(trace), CONFIG), 2, seed=0)
    if has_window:
        env.set_options({"start_seconds": 0.0})
    env.reset()
    generator = np.random.default_rng(0)
    for _ in range(20_000):
        _, _, dones, infos = env.step(valid_actions(env.action_masks(), generator))
        if dones.any():
            assert [info["TimeLimit.truncated"] for info in infos if "episode" in info] == [
                not has_window
            ] * dones.sum()
            return
    pytest.fail("no episode ended")


def test_the_terminal_observation_is_not_the_first_of_the_next_episode(problem: Problem) -> None:
    env = begun(problem, 1, seed=0)
    for observations, _, dones, infos, _, _ in run(env, 2000, 0):
        if dones[0]:
            assert not np.array_equal(infos[0]["terminal_observation"], observations[0])
            return
    pytest.fail("no episode ended")


def test_the_same_seed_gives_the_same_run_and_another_one_another(problem: Problem) -> None:
    runs = [run(begun(problem, 3, seed), 300, 0) for seed in (1, 1, 2)]
    assert_same(runs[0], runs[1])
    assert not np.array_equal(runs[0][0][0], runs[2][0][0])


def test_seeding_is_what_the_constructor_does_with_its_seed(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=9)
    first = env.reset()
    one = run(env, 50, 0)
    assert not np.array_equal(env.reset(), first)
    other = GpuClusterVecEnv(problem, 2, seed=1)
    other.reset()
    for seeded in (env, other):
        seeded.seed(9)
        np.testing.assert_array_equal(seeded.reset(), first)
        assert_same(run(seeded, 50, 0), one)


def test_the_episodes_of_a_cluster_do_not_depend_on_the_others(problem: Problem) -> None:
    """The fourth cluster of a batch is the first of one with a seed that is three higher."""
    many, alone = begun(problem, 4, seed=2), begun(problem, 1, seed=5)
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(1200):
        actions = valid_actions(many.action_masks(), generator)
        actions[:3] = 0
        ours, theirs = many.step(actions), alone.step(actions[3:])
        np.testing.assert_array_equal(ours[0][3], theirs[0][0])
        ends += int(theirs[2][0])
    assert ends >= 2


def test_without_a_seed_every_object_draws_other_episodes(problem: Problem) -> None:
    one, other = (GpuClusterVecEnv(problem, 4).reset() for _ in range(2))
    assert not np.array_equal(one, other)


def test_a_step_before_the_first_reset_is_refused(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=0)
    with pytest.raises(ResetNeededError, match="call reset"):
        env.step(np.zeros((2, len(LAYOUT.action_sizes)), np.int64))


def test_options_choose_the_window_of_the_next_reset_only(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 3, seed=0)
    env.set_options([{"start_seconds": 43_200.0}, {}, {"start_seconds": 50_000.0, "end_seconds": 60_000.0}])
    env.reset()
    starts = [info["time_seconds"] for info in env.reset_infos]
    assert (starts[0], starts[2]) == (43_200.0, 50_000.0)
    assert starts[1] not in (43_200.0, 50_000.0)
    env.set_options({"start_seconds": 43_200.0})
    env.reset()
    assert [info["time_seconds"] for info in env.reset_infos] == [43_200.0] * 3
    env.reset()
    assert 43_200.0 not in [info["time_seconds"] for info in env.reset_infos]


def test_options_that_mean_nothing_are_refused(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 2, seed=0)
    env.set_options({"start": 0.0})
    with pytest.raises(EnvironmentConfigError, match="reset has no option 'start'"):
        env.reset()


def test_a_window_may_be_longer_than_an_episode(trace: Trace) -> None:
    problem = make_problem(trace, auto_cluster(trace), EnvironmentConfig(episode_seconds=600.0, codec=LAYOUT))
    env, single = begun(problem, 2, seed=0), GpuClusterEnv(trace, config=problem.config)
    env.set_options({"start_seconds": 43_200.0})
    env.reset()
    single.reset(options={"start_seconds": 43_200.0})
    for _ in range(100):
        action = valid_actions(env.action_masks(), np.random.default_rng(0))[0]
        observations, _, dones, _ = env.step(np.array([action, action]))
        observation = single.step(action)[0]
        np.testing.assert_array_equal(observations, [observation, observation])
        assert not dones.any()


def test_a_saved_state_goes_on_to_the_bit(problem: Problem) -> None:
    """Into another object, through arrays that are copied, over the end of episodes."""
    env = begun(problem, 3, seed=5)
    run(env, 200, 0)
    state = env.state_dict()
    saved = {
        "arrays": {name: array.copy() for name, array in state["arrays"].items()},
        "generator": json.loads(json.dumps(state["generator"])),
    }
    expected = run(env, 600, 1)
    assert any(step[2].any() for step in expected)
    other = begun(problem, 3, seed=0)
    run(other, 50, 2)
    other.load_state_dict(saved)
    assert_same(run(other, 600, 1), expected)


def test_a_state_of_another_size_is_refused(problem: Problem) -> None:
    state = begun(problem, 3, seed=5).state_dict()
    with pytest.raises(ValueError, match="does not fit"):
        begun(problem, 2, seed=5).load_state_dict(state)


def test_a_cluster_does_not_depend_on_the_size_of_its_batch(problem: Problem) -> None:
    """One episode, alone and beside seven others."""
    episodes = drawn_episodes(problem, 8)
    batch, alone = Simulator.from_problem(problem, 8), Simulator.from_problem(problem, 1)
    batch.reset(np.arange(8), episodes)
    alone.reset(np.array([0]), episodes[5:6])
    generator = np.random.default_rng(0)
    for _ in range(300):
        actions = valid_actions(batch.action_masks, generator)
        batch.step(actions)
        alone.step(actions[5:6])
        for ours, theirs in zip(batch._world.outcome, alone._world.outcome, strict=True):
            np.testing.assert_array_equal(ours[5], theirs[0])


def test_sb3_contrib_finds_the_masks(problem: Problem) -> None:
    env = begun(problem, 3, seed=0)
    assert is_masking_supported(env)
    masks = get_action_masks(env)
    assert masks.shape == (3, LAYOUT.mask_size)
    np.testing.assert_array_equal(masks, env.action_masks())
    kept = masks.copy()
    run(env, 40, 0)
    np.testing.assert_array_equal(masks, kept)
    rows = env.env_method("action_masks", indices=[2, 0])
    np.testing.assert_array_equal(rows, env.action_masks()[[2, 0]])


def test_wrappers_of_stable_baselines_work(problem: Problem) -> None:
    env = VecCheckNan(VecNormalize(begun(problem, 2, seed=0), norm_obs=True, norm_reward=True), raise_exception=True)
    env.reset()
    ends = []
    generator = np.random.default_rng(0)
    while len(ends) < 4:
        _, _, _, infos = env.step(valid_actions(get_action_masks(env), generator))
        ends += [info for info in infos if "terminal_observation" in info]
    assert all(info["TimeLimit.truncated"] and info["episode"]["l"] > 10 for info in ends)


def test_an_evaluation_reads_the_returns_in_usd_from_the_infos(problem: Problem) -> None:
    """Without a warning that a Monitor is missing."""
    model = MaskablePPO("MlpPolicy", GpuClusterVecEnv(problem, 2, seed=0), n_steps=8, batch_size=16, device="cpu")
    results = [
        evaluate_policy(model, GpuClusterVecEnv(problem, 2, seed=1, reward_scale=scale), n_eval_episodes=2)
        for scale in (1.0, 100.0)
    ]
    assert results[0] == results[1]
    assert results[0][0] < 0.0


def test_the_arguments_of_an_environment_make_a_batch() -> None:
    env = GpuClusterVecEnv.make(2, "synthetic:quickstart?days=1&seed=0", codec={"max_pools": 1}, seed=0)
    single = GpuClusterEnv("synthetic:quickstart?days=1&seed=0", codec={"max_pools": 1})
    assert env.problem.config == single.config
    np.testing.assert_array_equal(env.reset()[1], single.reset(seed=1)[0])


def test_every_component_of_every_cluster_has_a_valid_choice(problem: Problem) -> None:
    env = begun(problem, 4, seed=0)
    for *_, masks in run(env, 300, 0):
        for part in np.split(masks, np.cumsum(LAYOUT.action_sizes)[:-1], axis=1):
            assert part.any(axis=1).all()


def test_what_a_step_gave_back_stays_as_it_was(problem: Problem) -> None:
    env = begun(problem, 2, seed=0)
    masks = env.action_masks()
    observations, rewards, dones, infos = env.step(valid_actions(masks, np.random.default_rng(0)))
    arrays = (masks, observations, rewards, dones, env.step_seconds)
    kept = copy.deepcopy((arrays, list(infos)))
    later = run(env, 30, 0)
    assert_same((arrays, list(infos)), kept)
    later[0][3][0]["mine"] = True
    assert all("mine" not in info for step in later[1:] for info in step[3])


def test_infos_are_read_like_a_list_of_dicts(problem: Problem) -> None:
    env = begun(problem, 3, seed=0)
    infos = env.step(valid_actions(env.action_masks(), np.random.default_rng(0)))[3]
    assert len(infos) == 3
    assert infos[:2] == [infos[0], infos[1]]
    assert [type(info) for info in infos] == [dict] * 3
    assert infos[-1] is infos[2]
    assert "'idle_usd'" in repr(infos)
    assert copy.deepcopy(infos)[1] == infos[1]


def test_the_terms_in_the_infos_sum_to_minus_the_reward(problem: Problem) -> None:
    env = GpuClusterVecEnv(problem, 3, seed=0, reward_scale=1.0)
    env.reset()
    for _, rewards, _, infos, _, _ in run(env, 100, 0):
        for reward, info in zip(rewards, infos, strict=True):
            assert sum(info[term] for term in COST_TERMS) == pytest.approx(-reward, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("shape", ["transposed", "one row", "flat", "one more"])
def test_actions_of_another_shape_are_refused(problem: Problem, shape: str) -> None:
    components = len(LAYOUT.action_sizes)
    env = begun(problem, components, seed=0)
    right = np.zeros((components, components), np.int64)
    shapes = {"transposed": right[:2].T, "one row": right[0], "flat": right.ravel(), "one more": right[:, :-1]}
    with pytest.raises(InvalidActionError, match="the action has shape"):
        env.step(shapes[shape])
    with pytest.raises(InvalidActionError, match="dtype float64"):
        env.step(right.astype(np.float64))


@pytest.mark.parametrize("days", [1, 3, 10])
def test_the_clusters_of_a_batch_begin_at_different_moments_of_a_short_trace(days: int) -> None:
    """All had one start where the trace was no longer than `episode_seconds`."""
    trace = traces.load(f"synthetic:quickstart?days={days}&seed=0")
    trace = trace.window(None, 0.6 * trace.span_seconds)
    problem = make_problem(trace, auto_cluster(trace), EnvironmentConfig(codec=LAYOUT))
    env = GpuClusterVecEnv(problem, 32, seed=0)
    observations = env.reset()
    assert len({info["time_seconds"] for info in env.reset_infos}) == 32
    assert len(np.unique(observations, axis=0)) == 32
    assert env.episode_seconds == pytest.approx(0.5 * trace.span_seconds, abs=0.001)


def test_an_action_outside_the_space_raises(problem: Problem) -> None:
    env = begun(problem, 2, seed=0)
    actions = np.zeros((2, len(LAYOUT.action_sizes)), np.int64)
    actions[1, 3] = LAYOUT.max_pools + 1
    with pytest.raises(InvalidActionError, match="component 3 of the action of environment 1 is 3; it must be 0 to 2"):
        env.step(actions)


def test_attributes_belong_to_the_batch(problem: Problem) -> None:
    env = begun(problem, 3, seed=0)
    assert env.get_attr("reward_scale", [0, 2]) == [1.0, 1.0]
    assert env.has_attr("problem")
    assert not env.has_attr("nothing_like_this")
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    assert env.env_is_wrapped(Monitor) == [True] * 3
    with pytest.raises(AttributeError, match="share their attributes"):
        env.set_attr("reward_scale", 2.0)


def test_no_step_yet_took_no_time(problem: Problem) -> None:
    np.testing.assert_array_equal(begun(problem, 3, seed=0).step_seconds, np.zeros(3))
