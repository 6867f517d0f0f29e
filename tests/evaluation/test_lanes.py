"""Lanes tell of each node what the log says, and no node-hour is lost."""

from __future__ import annotations

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.lanes import Lanes, busiest_span, lanes_of
from autoscaler.evaluation.report.lane_figures import boxes_of
from autoscaler.evaluation.rollouts import Scenario, event_log, run
from autoscaler.evaluation.windows import Window, whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.evaluation.worlds import Job, make_trace, scenario

HOUR_MS = 3_600_000


def lanes(world: Scenario, end_ms: int, start_ms: int = 0, most: int = 48) -> Lanes:
    """Of Cluster Autoscaler's rule with consolidation."""
    window, rule = whole_trace(world.trace), ConstantSetpoint(world.config.codec, consolidation=2)
    return lanes_of(event_log(rule, world, window, end_ms), world.problem(), start_ms, end_ms, most)


def test_a_node_boots_works_idles_and_goes() -> None:
    """Boot from 0 to 300 s, work of 4 of 8 GPUs for 600 s, 600 s idle, then off."""
    drawn = lanes(scenario([(0.0, 600.0, 4.0), (7200.0, 60.0, 1.0)]), HOUR_MS)
    assert drawn.names == ("gpu 0",)
    assert drawn.nodes == 1
    np.testing.assert_allclose(drawn.booting[0], [1, *[0] * 11])
    np.testing.assert_allclose(drawn.busy[0], [0, 1, 1, *[0] * 9])
    np.testing.assert_allclose(drawn.idle[0], [0, 0, 0, 1, 1, *[0] * 7])
    np.testing.assert_allclose(drawn.used[0], [0, 0.5, 0.5, *[0] * 9])
    assert drawn.hours == pytest.approx({"booting": 300 / 3600, "busy": 600 / 3600, "idle": 600 / 3600})
    assert drawn.events["node_order"] == drawn.events["node_off"] == 1
    boxes = boxes_of(drawn)
    assert [(left, right) for left, right, _, _ in boxes["boot"]] == [(0.0, 300_000.0)]
    assert [(left, right) for left, right, _, _ in boxes["busy"]] == [(300_000.0, 900_000.0)]
    (_, _, top, middle), (_, _, below, bottom) = boxes["fragmentation"][0], boxes["busy"][0]
    assert top < middle == below < bottom
    assert middle - top == pytest.approx(bottom - below)


def test_a_move_leaves_its_old_node() -> None:
    """Two half-empty nodes: the job of the emptier one moves to the other, and its node idles and goes."""
    jobs = [(0.0, 36_000.0, 4.0), (0.0, 600.0, 4.0), (1.0, 36_000.0, 3.0), (1.0, 36_000.0, 1.0)]
    trace = make_trace(jobs, checkpoint_interval_seconds=[600.0] * 4)
    layout = CodecLayout(max_pools=1, window_slots=4, consolidation=True, consolidation_interval_seconds=1200.0)
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=3, boot_seconds=0.0),))
    drawn = lanes(Scenario(trace, cluster, EnvironmentConfig(codec=layout)), 2 * HOUR_MS)
    assert len(drawn.moves) == drawn.events["job_move"] > 0
    assert len(drawn.preemptions) == 0
    np.testing.assert_allclose(drawn.busy[:, -1].sum(), 1.0)
    assert drawn.used[:, -1].max() == 1.0


def test_node_hours_are_those_of_the_run() -> None:
    generator = np.random.default_rng(0)
    jobs: list[Job] = [
        (float(submit), float(run_time), float(gpus))
        for submit, run_time, gpus in zip(
            np.sort(generator.integers(0, 80_000, 60)),
            generator.integers(60, 9000, 60),
            generator.integers(1, 17, 60),
            strict=True,
        )
    ]
    world = scenario(jobs, ClusterConfig((PoolConfig("gpu", max_nodes=30),)))
    window: Window = whole_trace(world.trace)
    (rollout,) = run(ConstantSetpoint(world.config.codec), world, [window], samples=4096)
    end = window.start_ms + rollout.elapsed_ms
    drawn = lanes(world, end, start_ms=window.start_ms, most=5)
    (pool,) = rollout.pools
    node_ms = {"idle": pool.idle_node_ms, "busy": pool.busy_node_ms, "booting": pool.boot_node_ms}
    assert drawn.hours == pytest.approx({name: time / HOUR_MS for name, time in node_ms.items()})
    assert len(drawn.names) == 5 < drawn.nodes
    assert rollout.timeline is not None
    first, last = busiest_span(rollout.timeline, window.start_ms, end, 6 * HOUR_MS)
    assert last - first == 6 * HOUR_MS
    assert (first - window.start_ms) % HOUR_MS == 0
    assert busiest_span(rollout.timeline, window.start_ms, end, 1000 * HOUR_MS) == (window.start_ms, end)
