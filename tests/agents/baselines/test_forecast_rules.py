"""Rules that know what is usual: forecasts and decisions are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.baselines.helios_ces import FALL, USUAL, WEIGHTS, HeliosCes
from agents.baselines.rule import Facts
from agents.baselines.seasonal import QUANTILE, QUANTILES, Seasonal
from agents.baselines.training_window import TrainingWindow
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.agents.baselines.worlds import LAYOUT, decide, moment, setpoint
from tests.envs.gpu_cluster.builders import make_trace

TEN_NODES_AT_NINE = [[80.0 if hour == 9 else 0.0 for hour in range(48)], [0.0] * 48]
CLUSTER = ClusterConfig((PoolConfig("gpu", max_nodes=4),))
CONFIG = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=2))


def window(hours: float) -> TrainingWindow:
    """8 GPUs from 0 to 2 h and 4 from 1 to 2 h."""
    trace = make_trace([(0.0, 7200.0, 8.0), (3600.0, 3600.0, 4.0)])
    return TrainingWindow(trace, CLUSTER, CONFIG, 0.0, hours * 3600.0, 1)


def test_the_demand_is_what_jobs_would_hold_if_they_started_at_once() -> None:
    training = window(3)
    demand, hours = training.demand_gpus(1800.0)
    assert demand[:, 0].tolist() == [8.0, 8.0, 12.0, 12.0, 0.0, 0.0]
    first = int(training.trace.week_offset_seconds % 86_400.0 // 3600.0)
    assert (hours % 24 == (first + np.array([0, 0, 1, 1, 2, 2])) % 24).all()


def test_seasonal_learns_quantiles_of_each_hour() -> None:
    training = window(2)
    facts = Seasonal.learn(training)
    _, hours = training.demand_gpus(1800.0)
    for quantile in QUANTILES:
        profile = facts.array(f"gpus_by_hour_q{quantile:g}")[0]
        assert (profile[hours[0]], profile[hours[2]]) == (8.0, 12.0)
    # An hour that was never seen has the quantile of all.
    assert facts.array("gpus_by_hour_q0")[0, (hours[0] + 12) % 24] == 8.0


def test_seasonal_orders_for_the_hour_at_which_nodes_would_be_ready() -> None:
    """Eight full nodes; ten are usual from nine on: two more are 15 % of eight, rounded up. A boot takes 5 minutes."""
    facts = Facts({f"gpus_by_hour_q{quantile:g}": TEN_NODES_AT_NINE for quantile in QUANTILES})
    rule = Seasonal(LAYOUT, {QUANTILE: 0.5}, facts)
    for hour, headroom in ((8.8, 0.0), (8.95, 0.15), (9.8, 0.15), (9.95, 0.0), (5 * 24 + 9.2, 0.0)):
        assert setpoint(rule, decide(rule, moment(free=[0] * 8, hour=hour))) == (600.0, headroom)


def test_helios_lets_nodes_go_where_demand_fell_and_will_fall() -> None:
    """80 GPUs, an hour later 40: the mean is 80 / e + 40 (1 - 1 / e) = 54.7. Half of 40 is predicted: both fall."""
    before, after = moment(free=[0] * 10, hour=1.0), moment(free=[0] * 5, hour=2.0)
    usual = [[0.0] * 48] * 2
    falls = Facts({USUAL: usual, WEIGHTS: [[0.0, 0.5, 0.0, 0.0, 0.0]] * 2})
    stays = Facts({USUAL: usual, WEIGHTS: [[0.0, 1.0, 0.0, 0.0, 0.0]] * 2})
    for facts, nodes, timeout in ((falls, 1.0, 0.0), (falls, 1.8, 0.0), (falls, 1.9, 14_400.0), (stays, 1.0, 14_400.0)):
        rule = HeliosCes(LAYOUT, {FALL: nodes, "idle_timeout_seconds": 0.0}, facts)
        assert setpoint(rule, decide(rule, before, after)) == (timeout, 0.0)
    rule = HeliosCes(LAYOUT, {FALL: 1.0}, falls)
    assert setpoint(rule, decide(rule, after)) == (14_400.0, 0.0)  # nothing is known of the hour before


def test_helios_predicts_a_demand_that_halves_every_three_hours() -> None:
    """Jobs of one GPU end so that the demand at t is 64 * 2 ** (-t / 3 h): half of it is what comes."""
    ends = [3 * 3600.0 * np.log2(64.0 / (64 - index)) for index in range(60)]
    trace = make_trace([(0.0, max(end, 1.0), 1.0) for end in ends])
    training = TrainingWindow(trace, ClusterConfig((PoolConfig("gpu", max_nodes=8),)), CONFIG, 0.0, 40_000.0, 1)
    facts = HeliosCes.learn(training)
    demand, hours = training.demand_gpus(300.0)
    usual, weights = facts.array(USUAL)[0], facts.array(WEIGHTS)[0]
    now, then = 12, 48
    recent = demand[: now + 1, 0] @ np.exp(-(np.arange(now, -1, -1)) * 300.0 / 3600.0)  # only its size matters here
    assert recent > 0.0
    means = demand[0, 0]
    for value in demand[1 : now + 1, 0]:
        means = np.exp(-300.0 / 3600.0) * means + (1.0 - np.exp(-300.0 / 3600.0)) * value
    predicted = weights @ [1.0, demand[now, 0], means, usual[hours[now]], usual[hours[then]]]
    assert predicted == pytest.approx(demand[then, 0], abs=3.0)
