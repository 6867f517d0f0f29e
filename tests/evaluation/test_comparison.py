"""Comparisons: the numbers of each policy are those of its own rollouts, differences are against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import traces
from agents.registry import make_baseline
from autoscaler.evaluation.comparison import EXCEEDANCE, PAIRED, Comparison, Contender, compare, result_document
from autoscaler.evaluation.errors import PolicyFitError
from autoscaler.evaluation.metrics import measure, waits_seconds
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import equal_windows
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    trace = traces.load("synthetic:quickstart?days=6&seed=2")
    # Where waiting is cheap, nodes that are always on certainly cost more.
    return Scenario(trace, auto_cluster(trace), EnvironmentConfig(objective=ObjectiveConfig(usd_per_gpu_hour=0.1)))


def rules(layout: CodecLayout) -> list[Contender]:
    stochastic = tuple(make_baseline("random", layout, seed) for seed in (1, 2))
    return [
        Contender("reactive", (make_baseline("reactive", layout),), "rule"),
        Contender("always-on", (make_baseline("always-on", layout),), "rule"),
        Contender("random", stochastic, "rule", seeds=(1, 2)),
    ]


@pytest.fixture(scope="module")
def comparison(scenario: Scenario) -> Comparison:
    windows = equal_windows(scenario.trace, 0.5, 1.0, 5)
    return compare(scenario, rules(scenario.config.codec), windows, np.random.default_rng(0), reference="reactive")


def test_values_are_those_of_the_rollouts(scenario: Scenario, comparison: Comparison) -> None:
    rollouts = run(make_baseline("reactive", scenario.config.codec), scenario, comparison.windows)
    result = comparison.results["reactive"]
    for index, rollout in enumerate(rollouts):
        for name, value in measure(rollout, scenario.problem()).items():
            np.testing.assert_equal(result.values[name][0, index], value)  # NaN where nothing is known
    waits = np.concatenate([waits_seconds(rollout) for rollout in rollouts])
    assert result.wait_quantiles_seconds[0] == waits.min()
    assert (np.diff(result.wait_quantiles_seconds) >= 0).all()
    middle = np.interp(-0.5, -EXCEEDANCE, result.wait_quantiles_seconds)
    assert middle == pytest.approx(np.median(waits), abs=2.0)


def test_means_are_over_seeds_and_windows(comparison: Comparison) -> None:
    result = comparison.results["random"]
    assert result.values["objective_usd"].shape == (2, 5)
    estimate = result.estimates["objective_usd"]
    assert estimate.mean == pytest.approx(result.values["objective_usd"].mean())
    assert estimate.low is not None
    assert estimate.low < estimate.mean


def test_differences_are_to_the_reference(comparison: Comparison) -> None:
    assert comparison.results["reactive"].versus is None
    versus = comparison.results["always-on"].versus
    assert versus is not None
    assert set(versus.difference) == set(PAIRED)
    ours, base = (comparison.results[name].estimates["energy_kwh.total"].mean for name in ("always-on", "reactive"))
    difference = versus.difference["energy_kwh"]
    assert difference.mean == pytest.approx(ours - base)
    assert not difference.includes_zero
    assert versus.objective_share.mean > 0.1


def test_the_cheapest_is_first(comparison: Comparison) -> None:
    means = [result.estimates["objective_usd"].mean for result in comparison.ranking]
    assert means == sorted(means)
    assert comparison.ranking[-1].contender.name in ("always-on", "random")


def test_the_same_seed_gives_the_same_comparison(scenario: Scenario, comparison: Comparison) -> None:
    again = compare(
        scenario, rules(scenario.config.codec), comparison.windows, np.random.default_rng(0), reference="reactive"
    )
    for name, result in again.results.items():
        np.testing.assert_equal(result_document(result), result_document(comparison.results[name]))


@pytest.mark.slow
def test_policies_of_different_codecs_stand_in_one_comparison(scenario: Scenario, comparison: Comparison) -> None:
    layouts = {"narrow": CodecLayout(max_pools=1), "wide": CodecLayout(consolidation=True)}
    contenders = [Contender(name, (make_baseline("reactive", each),), "rule") for name, each in layouts.items()]
    both = compare(scenario, contenders, comparison.windows, np.random.default_rng(0), reference="narrow")
    for result in both.results.values():
        np.testing.assert_array_equal(
            result.values["objective_usd"], comparison.results["reactive"].values["objective_usd"]
        )


def test_a_policy_that_does_not_fit_is_refused_before_anything_runs(scenario: Scenario) -> None:
    pools = tuple(replace(scenario.cluster.pools[0], name=name) for name in ("a", "b"))
    two = replace(scenario, cluster=ClusterConfig(pools))
    other = Contender("other", (make_baseline("reactive", CodecLayout(max_pools=1)),), "rule")
    counted: list[int] = []
    with pytest.raises(PolicyFitError, match=r"codec\.max_pools 1"):
        compare(
            two,
            [*rules(scenario.config.codec), other],
            equal_windows(scenario.trace, 0.5, 1.0, 1),
            np.random.default_rng(0),
            on_jobs=counted.append,
        )
    assert counted == []
