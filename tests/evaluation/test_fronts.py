"""The front of fixed rules, and the figures about what can be had and when."""

from __future__ import annotations

import re

import numpy as np
import pytest

import traces
from agents.baselines import ConstantSetpoint
from agents.registry import make_baseline
from autoscaler.evaluation.comparison import Comparison, Contender, compare
from autoscaler.evaluation.fronts import MOST_JOBS, WEIGHTS, rule_front
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.report import render
from autoscaler.evaluation.report.front_figures import gap_rows
from autoscaler.evaluation.report.signal_figures import signals_of
from autoscaler.evaluation.rollouts import Scenario, replay_rules, run
from autoscaler.evaluation.timeline import course, pool_watts
from autoscaler.evaluation.windows import equal_windows
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import RULE_SETPOINT, RULE_SIZE
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig

START = "2024-03-04T00:00:00Z"


def region(name: str, preset: str) -> RegionConfig:
    return RegionConfig(name, carbon=SignalConfig(f"synthetic:{preset}?days=200", alignment="offset", start=START))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Two rules on two pools in two regions."""
    trace = traces.load("synthetic:quickstart?days=4&seed=2&jobs_per_day=100")
    cluster = ClusterConfig((PoolConfig("a", 8, region="west"), PoolConfig("b", 8, region="east")))
    config = EnvironmentConfig(regions=(region("west", "solar"), region("east", "wind")))
    scenario = Scenario(trace, cluster, config)
    rules = [Contender(name, (make_baseline(name, config.codec),), "rule") for name in ("reactive", "always-on")]
    windows = equal_windows(trace, 0.25, 1.0, 5)
    return compare(scenario, rules, windows, np.random.default_rng(0), reference="reactive")


def test_rules_side_by_side_do_what_each_does_alone(comparison: Comparison) -> None:
    layout, scenario, windows = comparison.scenario.config.codec, comparison.scenario, comparison.windows
    policies = [ConstantSetpoint(layout, *layout.setpoints[index]) for index in (0, 7, 30)]
    found = replay_rules(np.array([policy.rule for policy in policies]), scenario, windows, batch=2)
    problem = scenario.problem()
    for policy, rollouts in zip(policies, found, strict=True):
        alone = run(policy, scenario, windows)
        assert [measure(each, problem) for each in rollouts] == [measure(each, problem) for each in alone]


def test_each_point_of_the_front_is_the_cheapest_rule_for_its_price_of_waiting(comparison: Comparison) -> None:
    front = rule_front(comparison)
    assert front is not None
    layout, scenario, windows = comparison.scenario.config.codec, comparison.scenario, comparison.windows
    rules = np.zeros((len(layout.setpoints), RULE_SIZE), np.int64)
    rules[:, RULE_SETPOINT] = np.arange(len(layout.setpoints))
    problem = scenario.problem()
    rows = [[measure(each, problem) for each in rollouts] for rollouts in replay_rules(rules, scenario, windows)]

    def mean(name: str) -> np.ndarray:
        return np.array([np.mean([row[name] for row in each]) for each in rows])

    money = mean("objective_usd") - mean("cost_usd.delay")
    delay = mean("metrics.waited_gpu_hours") + mean("metrics.overhead_gpu_hours")
    for index, weight in enumerate(front.weights_usd):
        best = int((money + weight * delay).argmin())
        assert front.usd[index] == pytest.approx(money[best])
        assert front.kwh[index] == pytest.approx(mean("energy_kwh.total")[best])
        assert front.kg[index] == pytest.approx(mean("carbon_kg.total")[best])
        assert front.p95_seconds[index] == pytest.approx(mean("metrics.wait_seconds.p95")[best])
    assert front.weights_usd[0] == WEIGHTS[0]
    assert (np.diff(front.usd) > 0.0).all()


def test_no_front_is_worked_out_where_that_would_take_minutes(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscaler.evaluation.fronts.jobs_of", lambda *_: MOST_JOBS)
    assert rule_front(comparison) is None


def test_the_powers_of_the_pools_sum_to_that_of_the_cluster(comparison: Comparison) -> None:
    timeline, window = comparison.results["reactive"].timelines[2], comparison.windows[2]
    edges = np.linspace(window.start_ms, window.end_ms, 50)
    watts = pool_watts(timeline, comparison.scenario.cluster, edges)
    assert watts.shape == (49, 2)
    np.testing.assert_allclose(watts.sum(axis=1), course(timeline, comparison.scenario.cluster, edges).watts)


def test_the_signal_that_is_drawn_is_the_one_that_was_paid(comparison: Comparison) -> None:
    problem = comparison.scenario.problem()
    found = signals_of(problem, "carbon_g")
    assert list(found) == ["west", "east"]
    signal = traces.load_signal("synthetic:solar?days=200")
    first = np.datetime64(START.removesuffix("Z")).astype("datetime64[s]").astype(np.int64)
    for hour in (0, 5, 50):
        piece = int(np.searchsorted(problem.prices.tariff.edges_ms, hour * 3_600_000, side="right")) - 1
        at = int(np.searchsorted(signal.start_seconds, first + 3600.0 * hour, side="right")) - 1
        assert found["west"][piece] == pytest.approx(signal.values[at])
    assert signals_of(problem, "energy_usd") == {}  # the price is the same at every hour


def test_the_report_has_the_day_the_carbon_and_the_gap(comparison: Comparison) -> None:
    page = render(comparison, comparison.document())
    for name in ("gap", "front", "carbon-parts", "decisions"):
        assert f'<section id="{name}">' in page
    assert "carbon intensity average" in page
    assert [result.contender.name for result in gap_rows(comparison)] == ["always-on"]
    figures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", figures)) == set()  # every colour follows the page into dark mode
