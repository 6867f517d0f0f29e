"""Where the search of a policy of sites begins."""

import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from agents.linear.policy import ActionMap, LinearPolicy
from configs.errors import UserError
from envs.edge.baselines import SITE_BASELINES
from envs.edge.baselines.rule import SiteBaseline
from envs.edge.codec import ACTION_SIZES, NUM_FEATURES, feature_names
from envs.edge.training import SEARCHED, EdgeTraining
from tests.envs.edge.scenes import scenario

EDGE_CITY = "autoscaler/EdgeCity-v0"


def test_a_searched_policy_reads_features_that_there_are() -> None:
    task = EdgeTraining("autoscaler/EdgeCity-v0", {"scenario": scenario()}, 1)
    assert [feature_names()[index] for index in task.searched_inputs()] == list(SEARCHED)


def test_a_search_begins_at_the_tuned_constant() -> None:
    task = EdgeTraining(EDGE_CITY, {"scenario": scenario(episode_seconds=1200.0)}, 2)
    space = ActionMap(spaces.MultiDiscrete(list(ACTION_SIZES)), task.start_action())
    begins = LinearPolicy("start", np.zeros((len(ACTION_SIZES), 1 + NUM_FEATURES)), space, {})
    assert task.score(begins) == task.score(task.tuned_rule("best-constant")[1])
    assert task.score(begins) <= task.score(SITE_BASELINES["best-constant"].default())


def test_what_costs_more_than_another_need_not_be_played_to_the_end() -> None:
    task = EdgeTraining(EDGE_CITY, {"scenario": scenario(episode_seconds=1200.0)}, 2)
    rule = SITE_BASELINES["best-constant"].default()
    whole = task.score(rule)
    assert task.score(rule, whole) == whole
    assert 0.3 * whole < task.score(rule, 0.3 * whole) < 0.7 * whole


def test_tuning_goes_from_block_to_block_until_none_changes() -> None:
    tried: list[tuple[int, int, int]] = []

    class Task:
        def score(self, actor: tuple[int, int, int], at_most: float = math.inf) -> float:
            tried.append(actor)
            one, two, three = actor
            return abs(one - three) + abs(two - one) + 0.1 * (2 - one)

    grid = {"one": (0, 1, 2), "two": (0, 1, 2), "three": (0, 1, 2)}
    rule: Any = SiteBaseline(lambda one, two, three: (one, two, three), grid, (("one", "two"), ("three", "two")))
    assert rule.tuned(Task())[0] == {"one": 0, "two": 0, "three": 0}
    assert len(tried) == len(set(tried)) == 3 * 3 + 2 * 3
    whole: Any = SiteBaseline(rule.make, grid)
    tried.clear()
    assert whole.tuned(Task())[0] == {"one": 2, "two": 2, "three": 2}
    assert len(tried) == 27


def test_a_policy_is_trained_in_several_cities_at_once() -> None:
    one = {"scenario": scenario(episode_seconds=1200.0)}
    two = {"scenario": scenario(episode_seconds=1200.0, sites=4, seed=3)}
    both = EdgeTraining(EDGE_CITY, {**one, "variations": [{"sites": 4, "seed": 3}]}, 2)
    vec = both.make_vec(3, 0)
    assert vec.num_envs == 3 * (6 + 4)
    actions = np.tile([1, 1, 3, 1, 0, 0], (30, 1))
    seeds = [5, 6, 7]
    alone = EdgeTraining(EDGE_CITY, one, 2).make_vec(3, 0)
    observations, first = vec.begin(seeds), alone.begin(seeds)
    for _ in range(20):
        # The first city of a set begins its episodes as it does alone, and its rows come first.
        assert np.array_equal(observations.reshape(3, 10, -1)[:, :6], first.reshape(3, 6, -1))
        observations, rewards, _, _ = vec.step(actions)
        first, paid, _, _ = alone.step(actions[:18])
        assert np.array_equal(rewards.reshape(3, 10)[:, :6], paid.reshape(3, 6))
        assert (np.ptp(rewards.reshape(3, 10)[:, 6:], axis=1) == 0.0).all()
        assert vec.usd() * 2 == pytest.approx(-(rewards.reshape(3, 10).sum(axis=1)), rel=1e-5)
    assert rewards[0] != rewards[6]
    assert EdgeTraining(EDGE_CITY, two, 2).make_vec(1, 0).num_envs == 4


@pytest.mark.parametrize(
    ("variations", "message"),
    [
        ([{"site": 4}], "variations: unknown key 'site'"),
        ([{"episode_seconds": 600.0}], "variations: episodes have 25 to 35 steps; make them equal"),
    ],
)
def test_variations_without_meaning_are_one_line(variations: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EdgeTraining(EDGE_CITY, {"scenario": scenario(episode_seconds=1200.0), "variations": variations}, 2)
