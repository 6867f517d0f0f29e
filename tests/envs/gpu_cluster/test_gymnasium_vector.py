"""`gymnasium.make_vec` gives what Gymnasium's loop over single environments gives, in every autoreset mode."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import DictInfoToList, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

from configs.errors import ConfigError, UserError
from envs.errors import EnvironmentConfigError, InvalidActionError
from envs.gpu_cluster.gymnasium_vector import GpuClusterVectorEnv
from envs.registry import ENVIRONMENTS, register_envs
from tests.envs.same import assert_same

SETTINGS: dict[str, Any] = {
    "trace": "synthetic:quickstart?days=3&seed=0",
    "config": {"episode_seconds": 4_000.0, "codec": {"max_hold_seconds": 600.0}},
}
ENV_IDS = sorted(name for name in ENVIRONMENTS if "GpuCluster" in name)


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


def make_vec(num_envs: int = 3, env_id: str = ENV_IDS[0], **kwargs: Any) -> Any:
    return gymnasium.make_vec(env_id, num_envs, **{**SETTINGS, **kwargs})


def test_masks_are_those_of_the_single_environments() -> None:
    env, single = make_vec(), gymnasium.make(ENV_IDS[0], **SETTINGS)
    env.reset(seed=3)
    single.reset(seed=4)
    masks = env.action_masks()
    assert masks.shape == (3, sum(env.config.codec.action_sizes))
    np.testing.assert_array_equal(masks[1], single.get_wrapper_attr("action_masks")())
    masks[:] = False
    assert env.action_masks().any()


def test_seeds_and_options_are_given_for_each_or_for_all() -> None:
    env = make_vec()
    first, _ = env.reset(seed=[7, None, 8])
    other, infos = env.reset(seed=[7, 9, 8], options={"start_seconds": 43_200.0})
    assert infos["time_seconds"].tolist() == [43_200.0] * 3
    np.testing.assert_array_equal(env.reset(seed=7)[0][[0, 1]], [first[0], first[2]])
    assert not np.array_equal(other, first)
    assert env.np_random_seed == (7, 8, 9)
    assert len(env.np_random) == 3
    with pytest.raises(EnvironmentConfigError, match="2 seeds for 3 environments"):
        env.reset(seed=[1, 2])


def test_a_window_longer_than_an_episode_needs_a_reset_of_all() -> None:
    env = make_vec()
    env.reset(seed=0)
    with pytest.raises(EnvironmentConfigError, match="reset all environments at once"):
        env.reset(options={"start_seconds": 0.0, "reset_mask": np.array([True, False, False])})
    env.reset(options={"start_seconds": 0.0})


def test_a_spec_written_as_json_makes_the_same_environment() -> None:
    env = make_vec(autoreset_mode="SameStep")
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make_vec(spec)
        assert (again.num_envs, again.autoreset_mode) == (3, AutoresetMode.SAME_STEP)
        assert_same(again.reset(seed=5), env.reset(seed=5))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_gymnasiums_wrappers_of_vectors_work(mode: str) -> None:
    env: Any = RecordEpisodeStatistics(make_vec(autoreset_mode=mode))
    env = NormalizeReward(env)
    if mode == "NextStep":
        env = NormalizeObservation(env)
    env = DictInfoToList(env)
    env.reset(seed=0)
    seen = []
    for _ in range(100):
        *_, infos = env.step(env.action_space.sample())
        seen += [info["episode"] for info in infos if "episode" in info]
    assert len(seen) >= 3
    assert all(episode["l"] > 10 and episode["r"] < 0.0 for episode in seen)


def test_lines_of_text_show_the_clusters() -> None:
    env = make_vec(num_envs=2, render_mode="ansi")
    env.reset(options={"start_seconds": 43_200.0})
    assert [line[:9] for line in env.render()] == ["43200 s: "] * 2
    assert make_vec(num_envs=2).render() is None
    env.close()
    assert env.closed


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        (
            {"autoreset_mode": "next-step"},
            EnvironmentConfigError,
            "autoreset_mode 'next-step'; did you mean 'NextStep'",
        ),
        ({"num_envs": 0}, UserError, "num_envs is 0"),
        ({"config": {"packr": "best-fit"}}, ConfigError, "did you mean 'packer'"),
        ({"trace": 5}, EnvironmentConfigError, "trace is 5"),
    ],
)
def test_mistakes_in_arguments_are_typed_errors(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GpuClusterVectorEnv(**{**SETTINGS, **kwargs})


def test_actions_of_another_shape_are_refused() -> None:
    env = make_vec()
    env.reset(seed=0)
    for actions in (env.single_action_space.sample(), env.action_space.sample().T, np.zeros(env.action_space.shape)):
        with pytest.raises(InvalidActionError):
            env.step(actions)


def test_the_id_with_one_component_takes_one_integer_for_each_cluster() -> None:
    env = make_vec(env_id="autoscaler/GpuClusterScaling-v0")
    assert env.action_space == batch_space(gymnasium.spaces.Discrete(61), 3)
    env.reset(seed=0)
    rewards = env.step(np.array([0, 1, 2]))[1]
    assert rewards.shape == (3,)
    with pytest.raises(InvalidActionError, match=r"it must be \(3,\): one choice an environment"):
        env.step(np.array([[0, 1, 2]]))
