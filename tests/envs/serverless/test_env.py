"""Serverless-v0 as an environment, beside what holds for every one."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from envs.errors import InvalidActionError
from envs.registry import register_envs

register_envs()

ENV_ID = "autoscaler/Serverless-v0"
SMALL = {
    "workload": "synthetic-functions:mixed?functions=6&hours=6&seed=1",
    "config": {"episode_seconds": 5400.0, "warm_up_seconds": 600.0},
}


def test_an_action_outside_the_space_is_refused_in_one_line():
    env = gymnasium.make(ENV_ID, **SMALL).unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="must be"):
        env.step(np.full(env.action_space.shape, 10_000))
