"""Every registered environment keeps the promises of Gymnasium and of Stable-Baselines3."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from PIL import ImageColor
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.monitor import Monitor

from envs.autoreset import ResetNeededError
from envs.errors import ClusterError, EnvironmentConfigError, InvalidActionError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.render import describe_cluster
from envs.recording.pictures import BOOTING, BUSY, IDLE, LABEL, OFF, STATES, cell_size
from envs.registry import ENVIRONMENTS, register_envs
from tests.envs.gpu_cluster.builders import make_trace

TRACE = "synthetic:quickstart?days=10&seed=0"
TERMS = ("idle_usd", "fragmentation_usd", "boot_usd", "off_usd", "overhead_usd", "busy_usd", "waiting_usd")

Maker = Callable[..., gymnasium.Env[Any, Any]]
Steps = list[tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]]


@pytest.fixture(params=sorted(name for name in ENVIRONMENTS if "GpuCluster" in name))
def make(request: pytest.FixtureRequest) -> Maker:
    """Makes one registered environment, on a short trace unless told otherwise."""
    register_envs()

    def make_env(**kwargs: Any) -> gymnasium.Env[Any, Any]:
        return gymnasium.make(request.param, **{"trace": TRACE, **kwargs})

    return make_env


def masked_action(env: gymnasium.Env[Any, Any], generator: np.random.Generator) -> Any:
    """A random valid action."""
    mask = env.get_wrapper_attr("action_masks")()
    sizes = env.unwrapped.config.codec.action_sizes  # type: ignore[attr-defined]
    choices = [int(generator.choice(np.flatnonzero(part))) for part in np.split(mask, np.cumsum(sizes)[:-1])]
    return np.array(choices) if len(choices) > 1 else choices[0]


def play(env: gymnasium.Env[Any, Any], steps: int, actions: int = 0, **reset: Any) -> tuple[Any, Steps]:
    """Reset, then take valid actions drawn with the seed `actions`."""
    generator = np.random.default_rng(actions)
    first, _ = env.reset(**reset)
    taken: Steps = []
    while len(taken) < steps and not (taken and (taken[-1][2] or taken[-1][3])):
        taken.append(env.step(masked_action(env, generator)))
    return first, taken


def same(one: tuple[Any, Steps], other: tuple[Any, Steps]) -> bool:
    return (
        np.array_equal(one[0], other[0])
        and len(one[1]) == len(other[1])
        and all(np.array_equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(one[1], other[1], strict=True))
    )


def test_gymnasiums_checker_passes_without_a_warning(make: Maker) -> None:
    check_env(make().unwrapped)


def test_stable_baselines_checker_passes_without_a_warning(make: Maker) -> None:
    sb3_check_env(make())


def wrapped_in_a_time_limit(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(env, 20)


@pytest.mark.parametrize(
    "wrap",
    [
        wrapped_in_a_time_limit,
        gymnasium.wrappers.FlattenObservation,
        gymnasium.wrappers.TimeAwareObservation,
        gymnasium.wrappers.NormalizeObservation,
        gymnasium.wrappers.NormalizeReward,
        gymnasium.wrappers.RecordEpisodeStatistics,
        Monitor,
    ],
)
def test_wrappers_of_gymnasium_and_stable_baselines_work(make: Maker, wrap: Callable[[Any], Any]) -> None:
    """Under the passive checker, which `gymnasium.make` adds, and without a warning."""
    env = wrap(make(config={"episode_seconds": 10_800.0}, max_episode_steps=100))
    for seed in (0, None):
        first, steps = play(env, 500, seed=seed)
        assert first in env.observation_space
        assert all(step[0] in env.observation_space for step in steps)
        assert [step[2] or step[3] for step in steps] == [False] * (len(steps) - 1) + [True]
    if wrap is wrapped_in_a_time_limit:
        assert len(steps) == 20
    if wrap in (gymnasium.wrappers.RecordEpisodeStatistics, Monitor):
        assert steps[-1][4]["episode"]["r"] == pytest.approx(sum(step[1] for step in steps), abs=1e-5)


def test_the_default_arguments_work(make: Maker) -> None:
    env = gymnasium.make(make().spec.id)  # type: ignore[union-attr]
    env.reset(seed=0)
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])


def test_the_same_seed_gives_the_same_episode(make: Maker) -> None:
    assert same(play(make(), 60, seed=3), play(make(), 60, seed=3))


def test_another_seed_gives_another_episode(make: Maker) -> None:
    env = make()
    starts = {play(env, 1, seed=seed)[1][0][4]["time_seconds"] for seed in range(5)}
    assert len(starts) == 5


def test_a_reset_without_a_seed_goes_on_drawing_episodes(make: Maker) -> None:
    env = make()
    env.reset(seed=0)
    assert not same(play(env, 20), play(env, 20))


def test_another_action_gives_another_course(make: Maker) -> None:
    assert not same(play(make(), 60, actions=0, seed=3), play(make(), 60, actions=1, seed=3))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_like_its_original_and_apart_from_it(make: Maker, duplicate: Callable[[Any], Any]) -> None:
    env = make().unwrapped
    play(env, 30, seed=1)
    copied, other = duplicate(env), duplicate(env)
    generators = [np.random.default_rng(5) for _ in range(3)]
    for _ in range(20):
        ours = env.step(masked_action(env, generators[0]))
        theirs = copied.step(masked_action(copied, generators[1]))
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
    assert same(
        (None, [env.step(masked_action(env, generators[0]))]),
        (None, [copied.step(masked_action(copied, generators[1]))]),
    )
    assert other.render() == copied.render()
    for _ in range(20):
        other.step(masked_action(other, generators[2]))


def test_every_component_always_has_a_valid_choice_and_masked_actions_are_accepted(make: Maker) -> None:
    env = make()
    sizes = env.unwrapped.config.codec.action_sizes  # type: ignore[attr-defined]
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(300):
        mask = env.get_wrapper_attr("action_masks")()
        assert mask.dtype == np.bool_
        assert mask.shape == (sum(sizes),)
        assert all(part.any() for part in np.split(mask, np.cumsum(sizes)[:-1]))
        observation, reward, terminated, truncated, _ = env.step(masked_action(env, generator))
        assert env.observation_space.contains(observation)
        assert isinstance(reward, float)
        assert reward <= 0.0
        if terminated or truncated:
            env.reset()


def test_masks_and_observations_are_the_callers_own(make: Maker) -> None:
    env = make()
    observation, _ = env.reset(seed=0)
    mask = env.get_wrapper_attr("action_masks")()
    kept = observation.copy(), mask.copy()
    mask[:] = ~mask
    env.step(masked_action(env, np.random.default_rng(0)))
    np.testing.assert_array_equal(observation, kept[0])
    np.testing.assert_array_equal(mask, ~kept[1])


def test_the_terms_of_the_info_sum_to_minus_the_reward(make: Maker) -> None:
    _, steps = play(make(), 200, seed=0)
    assert any(step[1] < 0.0 for step in steps)
    for _, reward, _, _, info in steps:
        assert sum(info[term] for term in TERMS) == pytest.approx(-reward, rel=1e-12, abs=1e-15)
        assert set(info) == {*TERMS, "step_seconds", "time_seconds"}


def test_the_info_tells_the_time(make: Maker) -> None:
    env = make()
    _, info = env.reset(options={"start_seconds": 43_200.0})
    assert info["time_seconds"] == 43_200.0
    for _ in range(50):
        before, info = info, env.step(masked_action(env, np.random.default_rng(1)))[4]
        assert info["time_seconds"] == pytest.approx(before["time_seconds"] + info["step_seconds"])
        assert 1.0 <= info["step_seconds"] <= 600.0


def test_a_window_ends_when_its_jobs_are_done(make: Maker) -> None:
    env = make()
    window = {"start_seconds": 43_200.0, "end_seconds": 50_000.0}
    _, steps = play(env, 5000, options=window)
    assert [step[2:4] for step in steps[-2:]] == [(False, False), (True, False)]
    assert steps[-1][4]["time_seconds"] > window["end_seconds"]
    env.reset(options=window)
    assert env.get_wrapper_attr("render_mode") is None


def test_time_runs_out_by_truncation(make: Maker) -> None:
    env = make(config=EnvironmentConfig(episode_seconds=7200.0))
    _, info = env.reset(seed=0)
    _, steps = play(env, 500, seed=0)
    assert [step[2:4] for step in steps[-2:]] == [(False, False), (False, True)]
    assert steps[-1][4]["time_seconds"] == pytest.approx(info["time_seconds"] + 7200.0)


@pytest.mark.parametrize(
    "options",
    [
        {"start_seconds": 1e9},
        {"start_seconds": 1e300},
        {"start_seconds": 500.0, "end_seconds": 500.0},
        {"start_seconds": 500.0, "end_seconds": -1e300},
    ],
)
def test_a_window_without_a_job_is_refused(make: Maker, options: dict[str, float]) -> None:
    """Its episode would never end."""
    with pytest.raises(EnvironmentConfigError, match="no job is submitted"):
        make().reset(options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0.0}, "reset has no option 'start'"),
        ({"start_second": 0.0}, "did you mean 'start_seconds'"),
        ({"end_seconds": 500.0}, "needs start_seconds"),
        ({"start_seconds": None}, "start_seconds of reset is None; it must be a finite number"),
        ({"start_seconds": float("nan")}, "is nan; it must be a finite number"),
        ({"start_seconds": 0.0, "end_seconds": float("inf")}, "end_seconds of reset is inf; it must be"),
        ({"start_seconds": 0.0, "end_seconds": None}, "end_seconds of reset is None"),
        ({"start_seconds": "0"}, "is '0'; it must be"),
        ({"start_seconds": True}, "is True; it must be"),
        ({"start_seconds": -1.0}, "trace time begins at 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(make: Maker, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        make().reset(options=options)


def test_an_end_beyond_the_trace_is_its_end(make: Maker) -> None:
    env = make()
    late = {"start_seconds": 800_000.0}
    assert same(play(env, 50, options={**late, "end_seconds": 1e300}), play(env, 50, options=late))


def test_one_line_of_text_shows_the_cluster(make: Maker) -> None:
    env = make(render_mode="ansi")
    env.reset(options={"start_seconds": 43_200.0})
    text = env.render()
    assert isinstance(text, str)
    assert text.startswith("43200 s: ")
    for word in ("jobs wait", "run; gpu: ", "busy", "idle", "booting of "):
        assert word in text


def test_a_picture_shows_each_node_in_its_state(make: Maker) -> None:
    env = make(render_mode="rgb_array")
    env.reset(options={"start_seconds": 43_200.0})
    line = describe_cluster(env.unwrapped._simulator)  # type: ignore[attr-defined]
    busy, idle, booting, whole = (int(number) for number in re.findall(r"gpu: (\d+).*?(\d+).*?(\d+).*?(\d+)", line)[0])
    image: Any = env.render()
    assert image.dtype == np.uint8
    cell = cell_size([whole], 320, 400)
    across = 320 // cell
    assert image.shape == (LABEL + -(-whole // across) * cell + LABEL + 4, 320, 3)
    assert busy > 0
    for node in range(whole):
        x, y = node % across * cell, LABEL + 2 + node // across * cell
        # The upper edge says the state, unless GPUs in use fill the cell up to it.
        state = (
            BUSY if node < busy else IDLE if node < busy + idle else BOOTING if node < busy + idle + booting else OFF
        )
        shown = tuple(image[y, x + 2].tolist())
        wanted = {ImageColor.getrgb(STATES[state]), *([ImageColor.getrgb(STATES[IDLE])] if state == BUSY else [])}
        assert shown in wanted, node


@pytest.mark.parametrize("value", [-1, 10**6, np.uint64(2**64 - 1)])
def test_an_action_outside_the_space_raises(make: Maker, value: Any) -> None:
    env = make().unwrapped
    env.reset(seed=0)
    components = len(env.config.codec.action_sizes)  # type: ignore[attr-defined]
    for component in range(components):
        action = np.zeros(components, np.asarray(value).dtype)
        action[component] = value
        with pytest.raises(InvalidActionError, match=f"component {component} of the action is {value}"):
            env.step(action)


@pytest.mark.parametrize("value", [0.7, 1.0, float("nan"), True, None, "1", 1j])
def test_an_action_that_is_no_integer_is_refused_and_never_rounded(make: Maker, value: Any) -> None:
    env = make().unwrapped
    env.reset(seed=0)
    before = env.render(), env.action_masks()  # type: ignore[attr-defined]
    action = np.full(env.action_space.shape or (), value)
    with pytest.raises(InvalidActionError, match="the action is of dtype"):
        env.step(action)
    np.testing.assert_array_equal(env.action_masks(), before[1])  # type: ignore[attr-defined]


def test_an_action_of_another_length_is_refused(make: Maker) -> None:
    env = make().unwrapped
    env.reset(seed=0)
    size = len(env.config.codec.action_sizes)  # type: ignore[attr-defined]
    for shape in ((size + 1,), (2, size), (size, 1, 1), (0,)):
        with pytest.raises(InvalidActionError, match="the action has shape"):
            env.step(np.zeros(shape, np.int64))
    with pytest.raises(InvalidActionError, match="the action is no array"):
        env.step([[0], [0, 1]])


def test_integers_of_every_kind_are_actions(make: Maker) -> None:
    env = make().unwrapped
    zeros = np.zeros(len(env.config.codec.action_sizes), np.int64)  # type: ignore[attr-defined]
    kinds = [zeros, zeros.astype(np.uint8), zeros.astype(np.int32)[::-1], zeros.tolist()]
    kinds += [0, np.int64(0), np.array(0)] if zeros.size == 1 else []
    results = []
    for action in kinds:
        env.reset(seed=0)
        results.append(env.step(action))
    assert all(same((zeros, [result]), (zeros, [results[0]])) for result in results)


def test_a_step_before_the_first_reset_or_after_the_end_is_refused(make: Maker) -> None:
    env = make(config={"episode_seconds": 7200.0}).unwrapped
    action = np.zeros(len(env.config.codec.action_sizes), np.int64)  # type: ignore[attr-defined]
    with pytest.raises(ResetNeededError, match="no episode is running"):
        env.step(action)
    _, steps = play(env, 500, seed=0)
    assert steps[-1][3]
    for _ in range(2):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
            env.step(action)
    env.reset()
    env.step(action)


def test_the_spaces_are_those_of_the_codec(make: Maker) -> None:
    env = make()
    layout: CodecLayout = env.unwrapped.config.codec  # type: ignore[attr-defined]
    if len(layout.action_sizes) == 1:
        assert env.action_space == gymnasium.spaces.Discrete(layout.action_sizes[0])
    else:
        assert env.action_space == gymnasium.spaces.MultiDiscrete(layout.action_sizes)
    assert env.observation_space.dtype == np.float32


def test_a_cluster_can_be_a_file(tmp_path: Any) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("pools:\n  - {name: small, max_nodes: 64, gpus_per_node: 4}\n")
    env = GpuClusterEnv(TRACE, cluster=str(path), render_mode="ansi")
    env.reset(seed=0)
    assert "small: " in str(env.render())


def test_a_job_larger_than_the_cluster_is_named() -> None:
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=1),))
    with pytest.raises(ClusterError, match="requests 9 GPUs"):
        GpuClusterEnv(make_trace([(0.0, 1.0, 9.0)]), cluster)


def test_registering_twice_changes_nothing() -> None:
    register_envs()
    before = {env_id: gymnasium.registry[env_id] for env_id in ENVIRONMENTS}
    register_envs()
    assert all(gymnasium.registry[env_id] is spec for env_id, spec in before.items())


def test_environments_have_their_documentation() -> None:
    """The class docstring is the page of the environment."""
    text = GpuClusterEnv.__doc__ or ""
    headings = ["Description", "Action Space", "Observation Space", "Rewards", "Starting State", "Episode End"]
    positions = [text.find(f"## {heading}") for heading in headings]
    assert all(low < high for low, high in itertools.pairwise([0, *positions]))
