"""The city for PettingZoo."""

from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from envs.edge.env import EdgeCityEnv
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


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(6, 9), "agent site-0: component 0 of the action is 9; it must be 0 to 4"),
        (np.zeros(4, np.int64), r"agent site-0: the action has shape \(4,\)"),
        (["a"] * 6, "agent site-0: the action is of dtype <U1"),
    ],
)
def test_an_action_outside_the_space_is_refused_with_the_name_of_its_agent(action: Any, message: str) -> None:
    env = EdgeCityParallelEnv(scenario())
    env.reset(seed=0)
    actions = {name: env.action_space(name).sample() for name in env.agents}
    with pytest.raises(InvalidActionError, match=message):
        env.step({**actions, "site-0": action})


def test_what_agents_are_paid_sums_to_the_reward_of_the_city() -> None:
    env, city = EdgeCityParallelEnv(scenario()), EdgeCityEnv(scenario())
    _, infos = env.reset(seed=0)
    city.reset(seed=0)
    paid = []
    while infos["site-0"]["warms_up"] or len(paid) < 20:
        _, rewards, _, _, infos = env.step({name: np.array([2, 2, 3, 2, 0, 2]) for name in env.agents})
        assert set(rewards) == set(env.possible_agents)
        paid.append(sum(rewards.values()))
        assert paid[-1] == pytest.approx(city.step(np.tile([2, 2, 3, 2, 0, 2], 6))[1], abs=1e-12)
    assert paid[:15] == [0.0] * 15
    assert max(paid[15:]) < 0.0
