"""What holds for every environment of the registry."""

import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.registry import ENVIRONMENTS, register_envs

STEPS = 5


@pytest.fixture(params=sorted(ENVIRONMENTS))
def env_id(request: pytest.FixtureRequest) -> str:
    register_envs()
    name: str = request.param
    return name


def make(env_id: str) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(env_id, disable_env_checker=True).unwrapped


def played(env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    env.action_space.seed(seed)
    found: list[Any] = [env.reset(seed=seed)[0]]
    for _ in range(STEPS):
        observation, reward, *_ = env.step(env.action_space.sample())
        found += [observation, reward]
    return found


def test_gymnasiums_checker_passes_without_a_warning(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(env_id), skip_render_check=True)


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(env_id: str) -> None:
    env = make(env_id)
    first, again, other = (played(env, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_copy_by_pickle_goes_on_like_its_original(env_id: str) -> None:
    env = make(env_id)
    played(env, 0)
    copy = pickle.loads(pickle.dumps(env))
    action = env.action_space.sample()
    ours, theirs = env.step(action), copy.step(action)
    assert np.array_equal(ours[0], theirs[0])
    assert ours[1:4] == theirs[1:4]


def test_the_class_is_its_page(env_id: str) -> None:
    page = type(make(env_id)).__doc__ or ""
    for heading in ("Description", "Action Space", "Observation Space", "Rewards", "Starting State", "Episode End"):
        assert f"## {heading}" in page
    assert "## Version History" in page
