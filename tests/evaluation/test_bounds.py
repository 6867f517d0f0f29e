"""The bounds on node-hours against brute force."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.bounds import node_hour_bounds, pool_groups
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import Window, whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig
from tests.evaluation.worlds import Job, job_lists, make_trace, one_pool, scenario

SLOW = [HealthCheck.too_slow]


@given(jobs=job_lists(), start=st.integers(0, 200), kept=st.integers(0, 2))
@settings(deadline=None, suppress_health_check=SLOW)
def test_the_packed_bound_is_the_sum_over_seconds(jobs: list[Job], start: int, kept: int) -> None:
    """Every second of a window: the nodes that just hold the GPUs in use, at least those that are always on."""
    world = scenario(jobs, one_pool(max_nodes=30, min_nodes=kept))
    last = sum(submit < 200 for submit, _, _ in jobs)
    window = Window(start * 1000, 200_000, sum(submit < start for submit, _, _ in jobs), last)
    end = max([int(submit + run) for submit, run, _ in jobs[:last]], default=0)
    node_seconds = work = 0.0
    for second in range(start, max(end, start)):
        used = sum(gpus for submit, run, gpus in jobs[:last] if submit <= second < submit + run)
        node_seconds += max(math.ceil(used / 8), kept)
        work += used
    bounds = node_hour_bounds(world.problem(), window)
    assert math.isclose(bounds.packed, node_seconds / 3600, abs_tol=1e-9)
    assert math.isclose(bounds.floor, max(work / 8, kept * max(end - start, 0)) / 3600, abs_tol=1e-9)
    assert bounds.floor <= bounds.packed + 1e-9


@given(jobs=job_lists(), setpoint=st.integers(0, 24))
@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
def test_no_policy_is_below_the_floor(jobs: list[Job], setpoint: int) -> None:
    world = scenario(jobs, one_pool(max_nodes=2))
    timeout, headroom = world.config.codec.setpoints[setpoint]
    policy = ConstantSetpoint(world.config.codec, timeout, headroom)
    got = measure(run(policy, world, [whole_trace(world.trace)])[0], world.problem())
    assert got["metrics.node_hours"] >= got["metrics.node_hours_floor"] - 1e-9


def two_pools(models: list[list[str] | None]) -> Scenario:
    """A job of 4 GPUs for each entry, all from 0 s to 3,600 s, on 4-GPU nodes of A and 8-GPU nodes of B."""
    cluster = ClusterConfig(
        (
            PoolConfig("a", max_nodes=4, gpus_per_node=4, gpu_model="A"),
            PoolConfig("b", max_nodes=4, gpus_per_node=8, gpu_model="B"),
        )
    )
    return Scenario(make_trace([(0.0, 3600.0, 4.0)] * len(models), models), cluster, EnvironmentConfig())


def test_pools_without_a_common_job_add_up() -> None:
    """A's job fills a 4-GPU node, the two of B an 8-GPU node."""
    problem = two_pools([["A"], ["B"], ["B"]]).problem()
    assert pool_groups(problem) == [0b01, 0b10]
    assert node_hour_bounds(problem, Window(0, 1, 0, 3)).packed == 2.0


def test_pools_with_a_common_job_are_packed_on_the_largest_node() -> None:
    """Three jobs of 4 GPUs, one of which may choose: 12 GPUs need two 8-GPU nodes at least."""
    problem = two_pools([["A"], ["B"], None]).problem()
    assert pool_groups(problem) == [0b11]
    assert node_hour_bounds(problem, Window(0, 1, 0, 3)).packed == 2.0
