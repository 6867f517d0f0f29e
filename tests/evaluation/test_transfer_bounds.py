"""Bounds where jobs bring their data to other regions: by hand, and against what policies cost and emit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint, RandomPolicy
from autoscaler.evaluation.cost_bounds import cost_bound
from autoscaler.evaluation.fluid_bounds import fluid_jobs, fluid_usd, latest_ends_ms
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.references import references
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator import NEVER
from envs.gpu_cluster.transfer import TransferConfig
from tests.evaluation.worlds import Job, job_lists, make_trace

START = "2024-01-01T00:00:00Z"
HOUR = 3600.0
BUSY_KWH = (305.6 + 300.0 / 8) / 1000.0  # per GPU-hour
NETWORK = TransferConfig(seconds_per_gb=3.6, kwh_per_gb=0.01, usd_per_gb=0.001)
HOME_USD, AWAY_USD = 0.5, 0.1


def constant(folder: Path, name: str, usd_per_kwh: float) -> RegionConfig:
    """A region whose energy always costs the same."""
    path = folder / f"{name}.csv"
    path.write_text("time,value\n" + "".join(f"{1704067200 + 3600 * hour},{usd_per_kwh}\n" for hour in range(60)))
    return RegionConfig(name, price=SignalConfig(f"csv:{path}?quantity=price", "offset", START))


def scenario(folder: Path, gigabytes: float, nodes: int = 4, jobs: int = 1) -> Scenario:
    """Jobs of an hour on 8 GPUs, with data at home, where energy costs five times as much."""
    regions = (constant(folder, "home", HOME_USD), constant(folder, "away", AWAY_USD))
    config = EnvironmentConfig(regions=regions, objective=ObjectiveConfig(usd_per_gpu_hour=1.0))
    pools = tuple(PoolConfig(region.name, nodes, region=region.name, transfer=NETWORK) for region in regions)
    data = {"data_gb": [gigabytes] * jobs, "data_region": ["home"] * jobs}
    return Scenario(make_trace([(0.0, HOUR, 8.0)] * jobs, **data), ClusterConfig(pools), config)


def away_usd(gigabytes: float) -> float:
    """What a job of an hour on 8 GPUs costs where energy is cheap."""
    wait_hours = 3.6 * gigabytes / HOUR
    held = 8.0 * wait_hours * (BUSY_KWH * AWAY_USD + 1.0)
    return 8.0 * BUSY_KWH * AWAY_USD + held + gigabytes * (0.01 * AWAY_USD + 0.001)


@pytest.mark.parametrize("gigabytes", [0.0, 10.0, 100.0, 1000.0])
def test_the_work_goes_where_price_and_transfer_cost_least(tmp_path: Path, gigabytes: float) -> None:
    world = scenario(tmp_path, gigabytes)
    bound = cost_bound(world.problem(), whole_trace(world.trace))
    home_usd = 8.0 * BUSY_KWH * HOME_USD
    assert (away_usd(gigabytes) < home_usd) == (gigabytes < 150.0)
    assert bound.work_usd == pytest.approx(min(home_usd, away_usd(gigabytes)), rel=1e-9)
    assert bound.fragmentation_usd == 0.0


def test_the_fluid_pays_the_transfer_by_the_share_of_the_work(tmp_path: Path) -> None:
    """Three jobs and a node in each place: two are done away (the second hour is not yet late), one at home."""
    world = scenario(tmp_path, 10.0, nodes=1, jobs=3)
    least = fluid_usd(world.problem(), whole_trace(world.trace))
    assert least == pytest.approx(8.0 * BUSY_KWH * HOME_USD + 2.0 * away_usd(10.0), rel=1e-6)


DATA_GB = st.sampled_from([None, 0.0, 0.5, 20.0, 300.0])
PLACES = st.sampled_from([None, "solar", "wind"])


@given(
    jobs=job_lists(max_gpus=8),
    seed=st.integers(0, 1000),
    waiting=st.sampled_from([0.0, 0.1, 1.0]),
    nodes=st.integers(1, 3),
    data=st.lists(st.tuples(DATA_GB, PLACES), min_size=12, max_size=12),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_no_policy_is_below(
    jobs: list[Job], seed: int, waiting: float, nodes: int, data: list[tuple[float | None, str | None]]
) -> None:
    """Jobs of up to five hours in two regions whose signals change each hour, and rules that send them anywhere."""
    regions = tuple(
        RegionConfig(name, carbon=SignalConfig(f"synthetic:{name}?days=19&seed={seed % 5}", "offset", START))
        for name in ("solar", "wind")
    )
    objective = ObjectiveConfig(usd_per_gpu_hour=waiting, usd_per_tonne=300.0)
    config = EnvironmentConfig(objective=objective, regions=regions, codec=CodecLayout(max_hold_seconds=1800.0))
    networks = (NETWORK, TransferConfig(0.8, 0.05, 0.0))
    pools = tuple(
        PoolConfig(f"{region.name}{number}", nodes, region=region.name, transfer=network)
        for region in regions
        for number, network in enumerate(networks)
    )
    hours = [(60.0 * submit, 60.0 * seconds, gpus) for submit, seconds, gpus in jobs]
    sizes, places = zip(*data[: len(jobs)], strict=True)
    trace = make_trace(hours, data_gb=list(sizes), data_region=list(places))
    world = Scenario(trace, ClusterConfig(pools), config)
    problem, window = world.problem(), whole_trace(trace)
    found, least = references(problem, window), fluid_usd(problem, window)
    latest = latest_ends_ms(problem, fluid_jobs(problem, window))
    for policy in (
        ConstantSetpoint(config.codec, 0.0, 0.0),
        RandomPolicy(config.codec, np.random.default_rng(seed)),
    ):
        (rollout,) = run(policy, world, [window])
        measures = measure(rollout, problem, found)
        assert measures["objective_usd"] >= max(least, found.bound_usd) * (1 - 1e-9)
        if (rollout.end_ms != NEVER).all() and (rollout.end_ms <= latest).all() and not np.isnan(found.carbon_kg):
            assert measures["carbon_kg.operational"] >= found.carbon_kg * (1 - 1e-9)
