"""What every environment of the registry keeps: Gymnasium's checks, seeds, pickling, and batches that are the same."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.errors import InvalidActionError
from envs.registry import register_envs

register_envs()

SMALL = {
    "autoscaler/Serverless-v0": {
        "workload": "synthetic-functions:mixed?functions=6&hours=6&seed=1",
        "config": {"episode_seconds": 5400.0, "warm_up_seconds": 600.0},
    },
}
"""Arguments that make an environment small; those of GPU clusters have a suite of their own."""


@pytest.fixture(params=sorted(SMALL))
def env_id(request):
    return request.param


def play(env, seed: int, steps: int = 60) -> list[tuple]:
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen = [(observation.tobytes(), 0.0)]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append((observation.tobytes(), reward))
        if terminated or truncated:
            break
    return seen


def test_gymnasium_finds_nothing_wrong(env_id):
    check_env(gymnasium.make(env_id, **SMALL[env_id]).unwrapped)


def test_the_same_seed_gives_the_same_episode_also_after_pickling(env_id):
    env = gymnasium.make(env_id, **SMALL[env_id]).unwrapped
    first = play(env, 3)
    assert play(env, 3) == first
    assert play(pickle.loads(pickle.dumps(env)), 3) == first
    assert play(env, 4) != first


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_batch_is_what_single_environments_are(env_id, mode):
    own = gymnasium.make_vec(env_id, 3, "vector_entry_point", autoreset_mode=mode, **SMALL[env_id])
    single = gymnasium.make_vec(env_id, 3, "sync", vector_kwargs={"autoreset_mode": mode}, **SMALL[env_id])
    assert own.single_observation_space == single.single_observation_space
    assert own.single_action_space == single.single_action_space
    for ours, theirs in zip(own.reset(seed=5), single.reset(seed=5), strict=True):
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
    own.action_space.seed(1)
    ended = 0
    for _ in range(150):
        actions = own.action_space.sample()
        ours, theirs = own.step(actions), single.step(actions)
        for one, other in zip(ours[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        ended += int((ours[2] | ours[3]).sum())
    assert ended > 0


def test_an_action_outside_the_space_is_refused_in_one_line(env_id):
    env = gymnasium.make(env_id, **SMALL[env_id]).unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="must be"):
        env.step(np.full(env.action_space.shape, 10_000))
