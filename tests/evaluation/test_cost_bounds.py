"""The bound on the cost against brute force, and against what policies cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint, RandomPolicy
from autoscaler.evaluation.cost_bounds import cost_bound
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from tests.evaluation.worlds import Job, job_lists, make_trace, one_pool

START = "2024-01-01T00:00:00Z"
BUSY_KWH_PER_GPU_HOUR = (305.6 + 300.0 / 8) / 1000.0


def region(folder: Path, prices: list[float], minutes: int) -> RegionConfig:
    rows = [f"{1704067200 + 60 * minutes * index},{value}" for index, value in enumerate(prices)]
    path = folder / "prices.csv"
    path.write_text("\n".join(["time,value", *rows]) + "\n")
    return RegionConfig("here", price=SignalConfig(f"csv:{path}?quantity=price", "offset", START))


def world(
    jobs: list[Job], config: EnvironmentConfig, cluster: ClusterConfig | None = None, **columns: object
) -> Scenario:
    return Scenario(make_trace(jobs, **columns), cluster or one_pool(max_nodes=8), config)


def by_brute_force(jobs: list[Job], prices: list[float], minutes: int, waiting: float, step: float) -> float:
    """The least cost of each job alone over starts at every `step` seconds."""
    total = 0.0
    for submit, run_seconds, gpus in jobs:
        best = np.inf
        for start in np.arange(submit, submit + 6 * 3600, step):
            times = start + (np.arange(int(run_seconds / step)) + 0.5) * step
            price = np.array(prices)[np.minimum(times // (60 * minutes), len(prices) - 1).astype(int)]
            energy = float(price.mean()) * run_seconds / 3600 * BUSY_KWH_PER_GPU_HOUR
            best = min(best, energy + waiting * (start - submit) / 3600)
        total += gpus * best
    return total


@pytest.mark.parametrize("waiting", [0.01, 0.05, 1.0])
def test_the_work_costs_what_brute_force_finds(tmp_path: Path, waiting: float) -> None:
    prices = [0.30, 0.10, 0.50, 0.05, 0.40, 0.45] * 4
    jobs = [(0.0, 1800.0, 8.0), (600.0, 5400.0, 4.0), (2400.0, 600.0, 1.0)]
    objective = ObjectiveConfig(usd_per_gpu_hour=waiting)
    config = EnvironmentConfig(objective=objective, regions=(region(tmp_path, prices, 30),))
    scenario = world(jobs, config)
    bound = cost_bound(scenario.problem(), whole_trace(scenario.trace))
    assert bound.work_usd == pytest.approx(by_brute_force(jobs, prices, 30, waiting, 60.0), rel=1e-9)


def test_at_a_constant_price_the_work_is_its_energy() -> None:
    scenario = world([(0.0, 3600.0, 4.0), (7200.0, 1800.0, 12.0)], EnvironmentConfig())
    bound = cost_bound(scenario.problem(), whole_trace(scenario.trace))
    assert bound.work_usd == pytest.approx(0.15 * (4.0 + 6.0) * BUSY_KWH_PER_GPU_HOUR, rel=1e-12)
    unused = (34.8 + 300.0 / 8) / 1000.0
    assert bound.fragmentation_usd == pytest.approx(0.15 * (4.0 + 2.0) * unused, rel=1e-12)


def test_free_deferral_takes_the_cheapest_hour_before_the_latest_start(tmp_path: Path) -> None:
    prices = [0.5, 0.4, 0.1, 0.05, 0.3]
    queue = QueueConfig(deferral=True)
    config = EnvironmentConfig(physics=PhysicsConfig(queue=queue), regions=(region(tmp_path, prices, 60),))
    trace = make_trace([(0.0, 3600.0, 1.0)], latest_start_seconds=[7200.0])
    scenario = Scenario(trace, one_pool(), replace(config, objective=ObjectiveConfig(usd_per_gpu_hour=10.0)))
    bound = cost_bound(scenario.problem(), whole_trace(trace))
    assert bound.work_usd == pytest.approx(0.1 * BUSY_KWH_PER_GPU_HOUR, rel=1e-12)


def test_each_job_takes_its_cheapest_pool() -> None:
    cheap = PoolConfig("cheap", 4, power=replace(PoolConfig("x", 1).power, gpu_busy_watts=100.0))
    cluster = ClusterConfig((PoolConfig("dear", 4, gpu_model="A"), replace(cheap, gpu_model="B")))
    trace = make_trace([(0.0, 3600.0, 1.0), (0.0, 3600.0, 1.0)], models=[["A"], ["A", "B"]])
    scenario = Scenario(trace, cluster, EnvironmentConfig())
    bound = cost_bound(scenario.problem(), whole_trace(trace))
    assert bound.work_usd == pytest.approx(0.15 * (0.3056 + 0.0375 + 0.1 + 0.0375), rel=1e-12)


def test_with_power_caps_no_bound_is_known() -> None:
    scenario = world([(0.0, 60.0, 1.0)], EnvironmentConfig(codec=CodecLayout(power_caps=True)))
    assert np.isnan(cost_bound(scenario.problem(), whole_trace(scenario.trace)).total_usd)


@given(jobs=job_lists(), seed=st.integers(0, 1000), waiting=st.sampled_from([0.0, 0.1, 1.0]))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_no_policy_is_below_the_cost_of_the_work(jobs: list[Job], seed: int, waiting: float) -> None:
    here = RegionConfig("here", carbon=SignalConfig(f"synthetic:solar?days=9&seed={seed % 5}", "offset", START))
    objective = ObjectiveConfig(usd_per_gpu_hour=waiting, usd_per_tonne=300.0)
    config = EnvironmentConfig(objective=objective, regions=(here,), codec=CodecLayout(max_hold_seconds=1800.0))
    scenario = world(jobs, config, one_pool(max_nodes=30))
    problem, window = scenario.problem(), whole_trace(scenario.trace)
    bound = cost_bound(problem, window)
    for policy in (RandomPolicy(config.codec, np.random.default_rng(seed)), ConstantSetpoint(config.codec, 0.0, 0.0)):
        (rollout,) = run(policy, scenario, [window])
        measures = measure(rollout, problem)
        assert measures["objective_usd"] >= bound.work_usd * (1 - 1e-9)
        assert measures["decidable_usd"] == pytest.approx(measures["objective_usd"] - measures["bound_usd"], abs=1e-12)
