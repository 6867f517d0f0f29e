"""Where the search of a policy of sites begins."""

import numpy as np
import pytest
from gymnasium import spaces

from agents.linear.policy import ActionMap, LinearPolicy
from envs.edge.baselines import threshold_sleep
from envs.edge.codec import ACTION_SIZES, NUM_FEATURES, feature_names
from envs.edge.tables import CLOUD, HUB
from envs.edge.training import SEARCHED, EdgeTraining
from tests.envs.edge.scenes import scenario


@pytest.mark.parametrize("loose", [threshold_sleep.AS_TIGHT, CLOUD, HUB])
@pytest.mark.parametrize("per_minute", [1.0, 2.5, 5.0, 10.0])
def test_the_line_of_the_threshold_rule_acts_as_the_rule(per_minute: float, loose: int) -> None:
    start, weights = threshold_sleep.as_line(per_minute, 2, loose, CLOUD)
    line = LinearPolicy("line", weights, ActionMap(spaces.MultiDiscrete(list(ACTION_SIZES)), start), {})
    seen = np.random.default_rng(0).random((500, NUM_FEATURES)).astype(np.float32)
    seen[0], seen[1] = 0.0, 1.0
    assert np.array_equal(line.act(seen), threshold_sleep.make(per_minute, 2, loose, CLOUD).act(seen))


def test_a_searched_policy_reads_features_that_there_are() -> None:
    task = EdgeTraining("autoscaler/EdgeCity-v0", {"scenario": scenario()}, 1)
    assert [feature_names()[index] for index in task.searched_inputs()] == list(SEARCHED)


def test_a_search_begins_at_the_rule_that_costs_less() -> None:
    task = EdgeTraining("autoscaler/EdgeCity-v0", {"scenario": scenario(episode_seconds=1200.0)}, 2)
    space = ActionMap(spaces.MultiDiscrete(list(ACTION_SIZES)), task.start_action())
    begins = task.score(LinearPolicy("start", task.start_weights(), space, {}))
    for name in ("best-constant", "threshold-sleep"):
        assert begins <= task.score(task.tuned_rule(name)[1]) * (1 + 1e-9)
