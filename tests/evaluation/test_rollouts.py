"""Rollouts: stepping and replaying agree, windows do not touch each other, timelines lose nothing."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import traces
from agents.baselines import ConstantSetpoint, RandomPolicy
from agents.registry import make_baseline
from autoscaler.evaluation.errors import EvaluationError, PolicyFitError
from autoscaler.evaluation.metrics import energy
from autoscaler.evaluation.rollouts import Rollout, Scenario, run
from autoscaler.evaluation.timeline import course
from autoscaler.evaluation.windows import equal_windows, moment, whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from tests.evaluation.worlds import scenario


@pytest.fixture(scope="module")
def world() -> Scenario:
    trace = traces.load("synthetic:quickstart?days=4&seed=1")
    return Scenario(trace, auto_cluster(trace), EnvironmentConfig())


def assert_same(ours: Rollout, theirs: Rollout) -> None:
    for field in dataclasses.fields(Rollout):
        if field.name != "timeline":
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name), err_msg=field.name)


@pytest.mark.parametrize("name", ["reactive", "always-on"])
def test_stepping_and_replaying_are_the_same(world: Scenario, name: str) -> None:
    policy = make_baseline(name, world.config.codec)
    windows = equal_windows(world.trace, 0.25, 1.0, 3)
    for replayed, stepped in zip(
        run(policy, world, windows), run(policy, world, windows, always_step=True), strict=True
    ):
        assert_same(replayed, stepped)


def test_a_timeline_changes_nothing(world: Scenario) -> None:
    policy = make_baseline("reactive", world.config.codec)
    windows = equal_windows(world.trace, 0.25, 1.0, 2)
    plain = run(policy, world, windows)
    for always_step in (False, True):
        sampled = run(policy, world, windows, samples=50, always_step=always_step)
        for ours, theirs in zip(plain, sampled, strict=True):
            assert_same(ours, theirs)


def test_windows_side_by_side_are_as_windows_alone(world: Scenario) -> None:
    policy = make_baseline("reactive", world.config.codec)
    windows = equal_windows(world.trace, 0.0, 1.0, 3)
    for window, together in zip(windows, run(policy, world, windows), strict=True):
        assert_same(together, run(policy, world, [window])[0])


@pytest.mark.parametrize("samples", [4, 64, 100_000])
def test_power_over_time_adds_up_to_the_energy(world: Scenario, samples: int) -> None:
    rollout = run(make_baseline("reactive", world.config.codec), world, [whole_trace(world.trace)], samples=samples)[0]
    timeline = rollout.timeline
    assert timeline is not None
    assert len(timeline.time_ms) <= samples
    edges = np.linspace(rollout.window.start_ms, rollout.window.start_ms + rollout.elapsed_ms, 37)
    drawn = course(timeline, world.cluster, edges)
    kwh = float(drawn.watts @ np.diff(edges)) / 3.6e9
    assert kwh == pytest.approx(energy(rollout, world.problem()).total, rel=1e-9)
    waited = float(drawn.queue_gpus @ np.diff(edges)) * 1000
    assert waited == pytest.approx(rollout.waited_milli_ms, rel=1e-9)


def test_a_timeline_shows_boot_then_work() -> None:
    """A node boots from 0 s to 300 s while 8 GPUs wait, then all 8 work until 900 s."""
    world = scenario([(0.0, 600.0, 8.0)])
    policy = ConstantSetpoint(world.config.codec)
    timeline = run(policy, world, [whole_trace(world.trace)], samples=100)[0].timeline
    assert timeline is not None
    drawn = course(timeline, world.cluster, np.array([0.0, 300_000.0, 900_000.0]))
    np.testing.assert_allclose(drawn.booting_nodes, [1, 0])
    np.testing.assert_allclose(drawn.busy_nodes, [0, 1])
    np.testing.assert_allclose(drawn.queue_gpus, [8, 0])
    np.testing.assert_allclose(drawn.used_gpus, [0, 8])
    np.testing.assert_allclose(drawn.watts, [578.4, 8 * (305.6 + 37.5)])


def test_the_packer_of_the_policy_counts(world: Scenario) -> None:
    layout = world.config.codec
    own = run(ConstantSetpoint(layout, packer="worst-fit"), world, [whole_trace(world.trace)])[0]
    config = dataclasses.replace(world.config, packer="worst-fit")
    given = run(ConstantSetpoint(layout), dataclasses.replace(world, config=config), [whole_trace(world.trace)])[0]
    best = run(ConstantSetpoint(layout), world, [whole_trace(world.trace)])[0]
    assert_same(own, given)
    assert own.pools[0].busy_node_ms != best.pools[0].busy_node_ms


def test_progress_counts_every_job(world: Scenario) -> None:
    for policy in (make_baseline("reactive", world.config.codec), make_baseline("random", world.config.codec)):
        counts: list[int] = []
        run(policy, world, [whole_trace(world.trace)], on_jobs=counts.append)
        assert sum(counts) == world.trace.num_jobs


def test_a_seed_fixes_a_random_policy(world: Scenario) -> None:
    windows = equal_windows(world.trace, 0.5, 1.0, 2)
    first, second, other = (
        run(RandomPolicy(world.config.codec, np.random.default_rng(seed)), world, windows) for seed in (0, 0, 1)
    )
    assert_same(first[0], second[0])
    assert first[0].decisions != other[0].decisions


@pytest.mark.slow
@pytest.mark.parametrize("always_step", [False, True])
def test_a_policy_brings_its_own_codec(world: Scenario, always_step: bool) -> None:
    """It does what it would in an environment of that codec; what it sees beyond what it uses changes nothing."""
    windows = [whole_trace(world.trace)]
    scaling_only = CodecLayout(max_pools=1, window_slots=0)
    made_for_it = dataclasses.replace(world, config=dataclasses.replace(world.config, codec=scaling_only))
    policy = ConstantSetpoint(scaling_only)
    assert_same(run(policy, world, windows, always_step=always_step)[0], run(policy, made_for_it, windows)[0])
    ours = run(ConstantSetpoint(world.config.codec), world, windows)
    wide = ConstantSetpoint(CodecLayout(max_pools=2, job_hints=True))
    assert_same(ours[0], run(wide, world, windows, always_step=always_step)[0])


def test_a_policy_whose_codec_has_fewer_pools_than_the_cluster_is_refused() -> None:
    pools = (PoolConfig("a", max_nodes=2), PoolConfig("b", max_nodes=2))
    world = scenario([(0.0, 60.0, 1.0)], ClusterConfig(pools))
    policy = ConstantSetpoint(CodecLayout(max_pools=1))
    with pytest.raises(PolicyFitError, match=r"reactive was made with codec\.max_pools 1, the cluster has 2 pools"):
        run(policy, world, [whole_trace(world.trace)])


def test_windows_partition_their_part_of_the_trace(world: Scenario) -> None:
    windows = equal_windows(world.trace, 0.6, 1.0, 5)
    assert windows[0].start_ms == moment(world.trace, 0.6)
    assert windows[-1].last_job == world.trace.num_jobs
    for before, after in itertools.pairwise(windows):
        assert (before.end_ms, before.last_job) == (after.start_ms, after.first_job)


@pytest.mark.parametrize(
    ("fractions", "count", "message"),
    [((0.6, 0.5), 1, "must rise"), ((0.0, 1.5), 1, "within 0 and 1"), ((0.0, 1.0), 0, "windows is 0")],
)
def test_windows_without_meaning_are_refused(
    world: Scenario, fractions: tuple[float, float], count: int, message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        equal_windows(world.trace, *fractions, count)


def test_a_window_without_a_job_is_refused() -> None:
    trace = scenario([(0.0, 60.0, 1.0), (1000.0, 60.0, 1.0)]).trace
    with pytest.raises(EvaluationError, match="no job is submitted from 333 s to 667 s"):
        equal_windows(trace, 0.0, 1.0, 3)
