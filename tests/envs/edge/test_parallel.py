"""The city for PettingZoo."""

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from envs.edge.parallel import EdgeCityParallelEnv
from envs.errors import InvalidActionError
from tests.envs.edge.scenes import scenario


def test_pettingzoos_own_tests_pass() -> None:
    parallel_api_test(EdgeCityParallelEnv(scenario()), num_cycles=100)
    parallel_seed_test(lambda: EdgeCityParallelEnv(scenario()), num_cycles=10)


def test_an_agent_without_an_action_is_named() -> None:
    env = EdgeCityParallelEnv(scenario())
    env.reset(seed=0)
    actions = {name: env.action_space(name).sample() for name in env.agents[1:]}
    with pytest.raises(InvalidActionError, match="agent site-0 has no action"):
        env.step(actions)
    with pytest.raises(InvalidActionError, match="is not in MultiDiscrete"):
        env.step({**actions, "site-0": np.full(5, 9)})


def test_what_agents_are_paid_sums_to_the_reward_of_the_city() -> None:
    env = EdgeCityParallelEnv(scenario())
    env.reset(seed=0)
    _, rewards, *_ = env.step({name: np.array([0, 3, 2, 0, 2]) for name in env.agents})
    assert set(rewards) == set(env.possible_agents)
    assert sum(rewards.values()) < 0.0
