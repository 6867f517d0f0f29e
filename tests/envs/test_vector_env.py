"""`gymnasium.make_vec` gives what Gymnasium's loop over single environments gives, in every autoreset mode."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from envs.autoreset import ResetNeededError
from envs.errors import EnvironmentConfigError, InvalidActionError
from envs.registry import ENVIRONMENTS, register_envs
from envs.vector_env import CompiledVectorEnv
from tests.envs.same import assert_same

CLUSTER: dict[str, Any] = {
    "trace": "synthetic:quickstart?days=3&seed=0",
    "config": {"episode_seconds": 4_000.0, "codec": {"max_hold_seconds": 600.0}},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "autoscaler/GpuCluster-v0": CLUSTER,
    "autoscaler/GpuClusterScaling-v0": CLUSTER,
    "autoscaler/Serverless-v0": {
        "workload": "synthetic-functions:mixed?functions=6&hours=6&seed=1",
        "config": {"episode_seconds": 2400.0, "warm_up_seconds": 600.0},
    },
    "autoscaler/EdgeCity-v0": {
        "scenario": {"sites": 4, "users": "trips:*?users=30&days=1", "episode_seconds": 900.0},
    },
}
MODES = [mode.value for mode in AutoresetMode]
ENV_IDS = sorted(ENVIRONMENTS)


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


def make_vec(env_id: str, num_envs: int = 3, **kwargs: Any) -> Any:
    return gymnasium.make_vec(env_id, num_envs, **{**SETTINGS[env_id], **kwargs})


def make_sync(env_id: str, num_envs: int, mode: str) -> VectorEnv[Any, Any, Any]:
    return SyncVectorEnv(
        [lambda: gymnasium.make(env_id, disable_env_checker=True, **SETTINGS[env_id]) for _ in range(num_envs)],
        autoreset_mode=AutoresetMode(mode),
    )


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize("mode", MODES)
def test_it_does_what_the_loop_over_single_environments_does(env_id: str, mode: str) -> None:
    ours, theirs = make_vec(env_id, autoreset_mode=mode), make_sync(env_id, 3, mode)
    assert isinstance(ours, CompiledVectorEnv)
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(ours, space) == getattr(theirs, space)
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    ours.action_space.seed(0)
    ends = 0
    for _ in range(250):
        actions = ours.action_space.sample()
        step = ours.step(actions)
        assert_same(step, theirs.step(actions))
        over = step[2] | step[3]
        ends += int(over.sum())
        if mode == "Disabled" and over.any():
            both = [env.reset(options={"reset_mask": over.copy()}) for env in (ours, theirs)]
            assert_same(*both)
    assert ends >= 6


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize("mode", MODES)
def test_what_a_step_gave_back_stays_as_it_was(env_id: str, mode: str) -> None:
    env = make_vec(env_id, autoreset_mode=mode)
    env.reset(seed=0)
    step = env.step(env.action_space.sample())
    kept = pickle.loads(pickle.dumps(step))
    for _ in range(5):
        env.step(env.action_space.sample())
    assert_same(step, kept)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_seeds_are_given_for_each_or_for_all(env_id: str) -> None:
    env = make_vec(env_id)
    first, _ = env.reset(seed=[7, None, 8])
    np.testing.assert_array_equal(env.reset(seed=7)[0][[0, 1]], [first[0], first[2]])
    assert env.np_random_seed == (7, 8, 9)
    assert len(env.np_random) == 3
    with pytest.raises(EnvironmentConfigError, match="2 seeds for 3 environments"):
        env.reset(seed=[1, 2])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_reset_of_some_leaves_the_others_as_they_are(env_id: str) -> None:
    env = make_vec(env_id)
    env.reset(seed=0)
    before = env.step(env.action_space.sample())[0]
    after, infos = env.reset(seed=5, options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.array_equal(after[1], before[1])
    assert infos["_time_seconds"].tolist() == [False, True, False]


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize("mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(3), [True] * 3])
def test_a_reset_mask_that_means_nothing_is_refused(env_id: str, mask: Any) -> None:
    with pytest.raises(EnvironmentConfigError, match="reset_mask must be an array of 3 bool"):
        make_vec(env_id).reset(options={"reset_mask": mask})


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_a_step_without_an_episode_is_refused(env_id: str) -> None:
    env = make_vec(env_id, autoreset_mode="Disabled")
    actions = env.action_space.sample()
    with pytest.raises(ResetNeededError, match="before the first step"):
        env.step(actions)
    env.reset(seed=0)
    over = np.zeros(3, bool)
    while not over.any():
        _, _, terminations, truncations, _ = env.step(actions)
        over = terminations | truncations
    with pytest.raises(ResetNeededError, match=f"the episode of environment {np.argmax(over)} is over"):
        env.step(actions)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_actions_that_are_none_are_refused(env_id: str) -> None:
    env = make_vec(env_id)
    env.reset(seed=0)
    actions = env.action_space.sample()
    wrong = [actions.astype(np.float64), actions.astype(bool), np.full_like(actions, -1), np.full_like(actions, 10_000)]
    if actions.ndim > 1:
        wrong += [actions.T, actions.ravel(), env.single_action_space.sample()]
    for each in wrong:
        with pytest.raises(InvalidActionError):
            env.step(each)


@pytest.mark.parametrize("env_id", ENV_IDS)
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"autoreset_mode": "next-step"}, "did you mean 'NextStep'"), ({"num_envs": 0}, "num_envs is 0")],
)
def test_mistakes_in_arguments_are_one_line(env_id: str, kwargs: dict[str, Any], message: str) -> None:
    creator = load_env_creator(str(gymnasium.spec(env_id).vector_entry_point))
    with pytest.raises(EnvironmentConfigError, match=message):
        creator(**{**SETTINGS[env_id], **kwargs})
