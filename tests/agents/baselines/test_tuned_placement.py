"""Shadow prices of pools: they move jobs and cost nothing themselves, and the search keeps none that is worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import traces
from agents.baselines.learned_placement import learn
from agents.baselines.training_window import TrainingWindow
from agents.baselines.tuned import Tuned
from agents.baselines.tuned_placement import search_prices
from autoscaler.evaluation.errors import PolicyFitError
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout, Pool
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.hardware import PowerConfig
from envs.gpu_cluster.placement import PriceSlopes
from envs.gpu_cluster.simulator.problem import make_problem

LAYOUT = CodecLayout(max_pools=2, window_slots=0)
TUNED = Tuned(600.0, 0.0, "best-fit", 1.0, 1.0, (1.0, 1.0), ("", ""))
THRIFTY = PoolConfig("thrifty", max_nodes=4, power=PowerConfig(gpu_busy_watts=100.0))
HUNGRY = PoolConfig("hungry", max_nodes=4, power=PowerConfig(gpu_busy_watts=400.0))


def scenario() -> Scenario:
    trace = traces.load("synthetic:quickstart?days=2&seed=0")
    return Scenario(trace, ClusterConfig((THRIFTY, HUNGRY)), EnvironmentConfig(codec=LAYOUT))


def test_a_price_is_added_for_placement_alone() -> None:
    where = scenario()
    priced = replace(THRIFTY, usd_per_node_hour=1.0, placement_usd_per_node_hour=2.5)
    problem = make_problem(where.trace, ClusterConfig((priced, HUNGRY)), where.config)
    assert problem.template[:, Pool.USD_PER_NODE_HOUR].tolist() == [3.5, 0.0]
    with pytest.raises(ClusterError, match="placement_usd_per_node_hour"):
        replace(THRIFTY, placement_usd_per_node_hour=-1.0)


def test_prices_of_a_policy_move_its_jobs_and_only_its() -> None:
    where = scenario()
    rule = TUNED.policy(where.config)
    plain = run(rule, where, [whole_trace(where.trace)])[0]
    rule.placement_prices = (50.0, 0.0)
    moved = run(rule, where, [whole_trace(where.trace)])[0]
    # The dear pool still takes what the other one, which is as large, cannot.
    assert moved.pools[0].used_milli_ms < 0.8 * plain.pools[0].used_milli_ms
    assert moved.pools[1].used_milli_ms > plain.pools[1].used_milli_ms
    again = run(TUNED.policy(where.config), where, [whole_trace(where.trace)])[0]
    assert again.pools == plain.pools
    rule.placement_prices = (1.0,)
    with pytest.raises(PolicyFitError, match="tuned on 1 pools, the cluster has 2"):
        run(rule, where, [whole_trace(where.trace)])


def test_prices_that_change_with_the_state_move_jobs_step_by_step_as_in_a_replay() -> None:
    where = scenario()
    rule = TUNED.policy(where.config)
    plain = run(rule, where, [whole_trace(where.trace)])[0]
    rule.placement_prices, rule.placement_slopes = (0.0, 0.0), (PriceSlopes(busy=50.0, queue_gpus=5.0), PriceSlopes())
    replayed, stepped = (run(rule, where, [whole_trace(where.trace)], always_step=step)[0] for step in (False, True))
    assert replayed.pools == stepped.pools
    np.testing.assert_array_equal(replayed.start_ms, stepped.start_ms)
    assert replayed.pools[0].used_milli_ms < 0.9 * plain.pools[0].used_milli_ms


@pytest.mark.slow
def test_the_search_of_slopes_is_never_worse_than_the_constants_and_a_seed_gives_the_same() -> None:
    where = scenario()
    start = where.trace.first_submit_seconds
    window = TrainingWindow(where.trace, where.cluster, where.config, start, start + 86_400.0, 1)
    constants = search_prices(window, TUNED, [0])
    found, again = (learn(window, constants, [1]) for _ in range(2))
    assert found == again
    assert found.usd_per_window <= constants.usd_per_window
    assert found.policy(where.config).placement_slopes == found.slopes
    assert found.to_dict()["prices"] == list(found.prices)
    assert learn(window, constants, []).slopes == ()


@pytest.mark.slow
def test_the_search_is_never_worse_than_no_prices_and_a_seed_gives_the_same() -> None:
    where = scenario()
    start = where.trace.first_submit_seconds
    window = TrainingWindow(where.trace, where.cluster, where.config, start, start + 86_400.0, 2)
    found, again = (search_prices(window, TUNED, [3]) for _ in range(2))
    assert found == again
    none = search_prices(window, TUNED, [])
    assert none.prices == (0.0, 0.0)
    assert found.usd_per_window <= none.usd_per_window
    assert found.policy(where.config).placement_prices == found.prices
    assert np.isfinite(found.prices).all()
    assert found.to_dict()["prices"] == list(found.prices)


def test_one_pool_has_no_prices() -> None:
    where = scenario()
    start = where.trace.first_submit_seconds
    window = TrainingWindow(where.trace, ClusterConfig((THRIFTY,)), where.config, start, start + 86_400.0, 2)
    found = search_prices(window, TUNED)
    assert found.prices == ()
    assert found.policy(where.config).name == "tuned-placement"
    assert learn(window, found).policy(where.config).placement_slopes == ()
