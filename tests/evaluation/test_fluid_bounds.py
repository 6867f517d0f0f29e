"""Fluid bounds against programs that are solved by hand, and against what policies cost and emit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint, RandomPolicy
from agents.registry import make_baseline
from autoscaler.evaluation.fluid_bounds import fluid_carbon_g, fluid_jobs, fluid_usd, latest_ends_ms
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.references import has_enough_gpus, references
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import POWER_CAP_FRACTIONS, CodecLayout
from envs.gpu_cluster.config import CurvesConfig, EnvironmentConfig, ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator import NEVER
from tests.evaluation.worlds import Job, job_lists, make_trace, one_pool

START = "2024-01-01T00:00:00Z"
HOUR = 3600.0
BUSY_KWH = (305.6 + 300.0 / 8) / 1000.0  # per GPU-hour
DEFERS = PhysicsConfig(queue=QueueConfig(deferral=True))


def region(folder: Path, quantity: str, values: list[float]) -> RegionConfig:
    """A price or a carbon intensity for each hour."""
    rows = [f"{1704067200 + 3600 * index},{value}" for index, value in enumerate(values)]
    path = folder / f"{quantity}.csv"
    path.write_text("\n".join(["time,value", *rows]) + "\n")
    basis = "&basis=average" if quantity == "carbon" else ""
    signal = SignalConfig(f"csv:{path}?quantity={quantity}{basis}", "offset", START)
    return RegionConfig("here", **{quantity: signal})


def usd(scenario: Scenario) -> float:
    return fluid_usd(scenario.problem(), whole_trace(scenario.trace))


def test_work_that_finds_no_gpu_waits_for_whole_hours() -> None:
    """Three jobs of an hour fill the only node: one cannot run before hour 2, and waits for at least an hour."""
    config = EnvironmentConfig(objective=ObjectiveConfig(usd_per_gpu_hour=1.0))
    scenario = Scenario(make_trace([(0.0, HOUR, 8.0)] * 3), one_pool(max_nodes=1), config)
    assert usd(scenario) == pytest.approx(24.0 * BUSY_KWH * 0.15 + 8.0 * 1.0, rel=1e-9)
    roomy = replace(scenario, cluster=one_pool(max_nodes=3))
    assert usd(roomy) == pytest.approx(24.0 * BUSY_KWH * 0.15, rel=1e-9)


def test_a_cheap_hour_holds_no_more_than_the_pool(tmp_path: Path) -> None:
    """Two jobs of an hour may start until hour 3; hour 2 costs 0.1 and holds one of them, the other pays 0.4."""
    config = EnvironmentConfig(physics=DEFERS, regions=(region(tmp_path, "price", [0.5, 0.4, 0.1, 0.6] + [0.9] * 60),))
    trace = make_trace([(0.0, HOUR, 8.0)] * 2, latest_start_seconds=[2.5 * HOUR] * 2)
    scenario = Scenario(trace, one_pool(max_nodes=1), config)
    assert usd(scenario) == pytest.approx(8.0 * BUSY_KWH * (0.1 + 0.4), rel=1e-9)


def test_a_job_cannot_do_all_its_work_in_one_hour(tmp_path: Path) -> None:
    """Three hours of work on a pool with much free capacity: one in each hour, whatever they cost."""
    config = EnvironmentConfig(regions=(region(tmp_path, "price", [0.5, 0.1, 0.3] + [0.9] * 60),))
    config = replace(config, objective=ObjectiveConfig(usd_per_gpu_hour=10.0))
    scenario = Scenario(make_trace([(0.0, 3 * HOUR, 1.0)]), one_pool(max_nodes=9), config)
    assert usd(scenario) == pytest.approx(BUSY_KWH * 0.9, rel=1e-9)


def test_carbon_is_least_in_the_cleanest_hours_before_the_latest_end(tmp_path: Path) -> None:
    """It may start until hour 2: the cleanest of hours 0 to 2 emits 100 g/kWh, and hour 3 is too late."""
    config = EnvironmentConfig(physics=DEFERS, regions=(region(tmp_path, "carbon", [300, 200, 100, 5] + [9] * 40),))
    config = replace(config, codec=CodecLayout(max_hold_seconds=0.0))
    trace = make_trace([(0.0, HOUR, 4.0)], latest_start_seconds=[2 * HOUR])
    scenario = Scenario(trace, one_pool(), config)
    problem, window = scenario.problem(), whole_trace(trace)
    assert fluid_carbon_g(problem, window) == pytest.approx(4.0 * BUSY_KWH * 100.0, rel=1e-9)
    assert fluid_carbon_g(problem, window, patience_seconds=HOUR) == pytest.approx(4.0 * BUSY_KWH * 5.0, rel=1e-9)
    assert references(problem, window).carbon_kg == pytest.approx(0.4 * BUSY_KWH, rel=1e-9)


def test_carbon_of_jobs_that_cannot_all_be_in_time_has_no_bound(tmp_path: Path) -> None:
    config = EnvironmentConfig(regions=(region(tmp_path, "carbon", [300.0] * 60),))
    config = replace(config, codec=CodecLayout(max_hold_seconds=0.0))
    scenario = Scenario(make_trace([(0.0, HOUR, 8.0)] * 3), one_pool(max_nodes=1), config)
    assert np.isnan(fluid_carbon_g(scenario.problem(), whole_trace(scenario.trace)))


def test_work_goes_to_the_cheap_pool_until_it_is_full() -> None:
    """The cheap pool has one node: of two jobs of an hour at most 8 GPU-hours run there without delay."""
    cheap = PoolConfig("cheap", 1, power=replace(PoolConfig("x", 1).power, gpu_busy_watts=100.0))
    cluster = ClusterConfig((PoolConfig("dear", 4), cheap))
    objective = ObjectiveConfig(usd_per_gpu_hour=100.0)
    scenario = Scenario(make_trace([(1800.0, HOUR, 8.0)] * 3), cluster, EnvironmentConfig(objective=objective))
    # Pieces begin with the first submission; work in the second hour is not yet late.
    cheap_kwh = (100.0 + 300.0 / 8) / 1000.0
    assert usd(scenario) == pytest.approx(0.15 * (16.0 * cheap_kwh + 8.0 * BUSY_KWH), rel=1e-9)


def test_the_cheapest_power_cap_is_taken() -> None:
    curves = CurvesConfig(power_caps="preset:V100")
    config = EnvironmentConfig(
        codec=CodecLayout(power_caps=True),
        physics=PhysicsConfig(curves=curves),
        objective=ObjectiveConfig(usd_per_gpu_hour=0.01),
    )
    scenario = Scenario(make_trace([(0.0, HOUR, 8.0)]), one_pool(), config)
    problem = scenario.problem()
    speed, watts = (table[-1, 0] / 1e6 for table in (problem.curves.cap_speed, problem.curves.cap_watts))
    # The host's share is drawn all the time, and the GPU's part is what the cap says.
    costs = (0.15 * (0.3056 * watts + 0.0375)) / speed + 0.01 * (1.0 / speed - 1.0)
    assert len(costs) == len(POWER_CAP_FRACTIONS)
    assert costs.argmin() > 0
    assert usd(scenario) == pytest.approx(8.0 * costs.min(), rel=1e-6)
    assert references(problem, whole_trace(scenario.trace)).bound_usd == pytest.approx(usd(scenario))


def test_equal_jobs_in_a_group_lose_nothing() -> None:
    """A hundred jobs of 0.08 GPUs are as one of 8."""
    config = EnvironmentConfig(objective=ObjectiveConfig(usd_per_gpu_hour=1.0))
    many = Scenario(make_trace([(0.0, HOUR, 1.0)] * 24), one_pool(max_nodes=1), config)
    few = Scenario(make_trace([(0.0, HOUR, 8.0)] * 3), one_pool(max_nodes=1), config)
    assert usd(many) == pytest.approx(usd(few), rel=1e-9)


def test_elastic_width_has_no_bound() -> None:
    scenario = Scenario(
        make_trace([(0.0, HOUR, 1.0)]), one_pool(), EnvironmentConfig(codec=CodecLayout(elastic_width=True))
    )
    assert np.isnan(usd(scenario))
    assert np.isnan(references(scenario.problem(), whole_trace(scenario.trace)).bound_usd)


def test_the_fluid_is_left_out_where_it_cannot_be_tighter() -> None:
    scenario = Scenario(make_trace([(0.0, HOUR, 8.0)] * 3), one_pool(max_nodes=3), EnvironmentConfig())
    window = whole_trace(scenario.trace)
    assert has_enough_gpus(scenario.problem(), window)
    assert np.isnan(references(scenario.problem(), window).fluid_usd)
    scarce = replace(scenario, cluster=one_pool(max_nodes=2))
    found = references(scarce.problem(), window)
    assert found.bound_usd == max(found.work_usd + found.fragmentation_usd, found.fluid_usd)


@given(
    jobs=job_lists(max_gpus=8),
    seed=st.integers(0, 1000),
    waiting=st.sampled_from([0.0, 0.1, 1.0]),
    nodes=st.integers(1, 4),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_no_policy_is_below(jobs: list[Job], seed: int, waiting: float, nodes: int) -> None:
    """Jobs of up to five hours on few nodes, under a signal that changes each hour."""
    here = RegionConfig("here", carbon=SignalConfig(f"synthetic:solar?days=9&seed={seed % 5}", "offset", START))
    objective = ObjectiveConfig(usd_per_gpu_hour=waiting, usd_per_tonne=300.0)
    config = EnvironmentConfig(objective=objective, regions=(here,), codec=CodecLayout(max_hold_seconds=1800.0))
    hours = [(60.0 * submit, 60.0 * seconds, gpus) for submit, seconds, gpus in jobs]
    scenario = Scenario(make_trace(hours), one_pool(max_nodes=nodes), config)
    problem, window = scenario.problem(), whole_trace(scenario.trace)
    found = references(problem, window)
    least = fluid_usd(problem, window)
    latest = latest_ends_ms(problem, fluid_jobs(problem, window))
    policies = (
        make_baseline("always-on", config.codec),
        ConstantSetpoint(config.codec, 0.0, 0.0),
        RandomPolicy(config.codec, np.random.default_rng(seed)),
    )
    for policy in policies:
        (rollout,) = run(policy, scenario, [window])
        measures = measure(rollout, problem, found)
        assert measures["objective_usd"] >= least * (1 - 1e-9)
        if (rollout.end_ms != NEVER).all() and (rollout.end_ms <= latest).all() and not np.isnan(found.carbon_kg):
            assert measures["carbon_kg.operational"] >= found.carbon_kg * (1 - 1e-9)
