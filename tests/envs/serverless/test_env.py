"""Serverless-v0 as an environment, beside what holds for every one."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.errors import InvalidActionError
from envs.registry import register_envs

register_envs()

ENV_ID = "autoscaler/Serverless-v0"
SMALL = {
    "workload": "synthetic-functions:mixed?functions=6&hours=6&seed=1",
    "config": {"episode_seconds": 5400.0, "warm_up_seconds": 600.0},
}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_batch_is_what_single_environments_are(mode):
    own = gymnasium.make_vec(ENV_ID, 3, "vector_entry_point", autoreset_mode=mode, **SMALL)
    single = gymnasium.make_vec(ENV_ID, 3, "sync", vector_kwargs={"autoreset_mode": mode}, **SMALL)
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


def test_an_action_outside_the_space_is_refused_in_one_line():
    env = gymnasium.make(ENV_ID, **SMALL).unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="must be"):
        env.step(np.full(env.action_space.shape, 10_000))
