"""What a simulation shows by name, against numbers that are worked out by hand.

One node of 8 GPUs boots for 300 s. The first job takes all of it; the two others wait for its end and then both fit.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.simulator import COST_TERMS, NEVER, PoolTotals, Simulator
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.builders import Play, small_problem

JOBS = [(0.0, 600.0, 8.0), (60.0, 300.0, 4.0), (120.0, 60.0, 2.0)]
KEEP_SECONDS = 3600.0


@pytest.fixture(scope="module")
def problem() -> Problem:
    pool = PoolConfig("gpu", max_nodes=1, gpus_per_node=8, boot_seconds=300.0)
    return small_problem(JOBS, [pool], settle_seconds=0.001, decision_interval_seconds=0.0)


@pytest.fixture
def played(problem: Problem) -> Simulator:
    return Play(problem, KEEP_SECONDS).run().simulator


def test_jobs_have_the_times_at_which_they_waited_and_ran(played: Simulator) -> None:
    jobs = played.job_times()
    assert jobs.first_job == 0
    assert jobs.gpu_milli.tolist() == [8000, 4000, 2000]
    assert jobs.start_seconds.tolist() == [300.0, 900.0, 900.0]
    assert jobs.end_seconds.tolist() == [900.0, 1200.0, 960.0]
    assert jobs.wait_seconds.tolist() == [300.0, 840.0, 780.0]
    assert jobs.completion_seconds.tolist() == [900.0, 1140.0, 840.0]


def test_totals_of_the_pool_are_exact(played: Simulator) -> None:
    (totals,) = played.pool_totals()
    assert (totals.boot_node_ms, totals.busy_node_ms, totals.idle_node_ms) == (300_000, 900_000, 0)
    assert totals.node_ms == 1_200_000
    assert totals.node_hours == pytest.approx(1 / 3)
    assert totals.used_milli_ms == 1_000_000 * (8 * 600 + 4 * 300 + 2 * 60)
    assert totals.used_gpu_hours == pytest.approx(6120 / 3600)
    assert (totals.nodes_added, totals.scale_ups, totals.nodes_removed, totals.scale_downs) == (1, 1, 0, 0)


def test_the_batch_has_times_and_counts_by_name(played: Simulator) -> None:
    assert played.done.tolist() == [True]
    assert played.truncated.tolist() == [False]
    assert (played.is_done(), played.is_truncated()) == (True, False)
    assert played.elapsed_ms.tolist() == played.time_ms.tolist() == [1_200_000]
    assert played.time_seconds.tolist() == [1200.0]
    assert played.finished_jobs.tolist() == played.submitted_jobs.tolist() == [3]
    assert (played.running_jobs[0], played.waiting_jobs[0]) == (0, 0)
    assert played.waited_milli_ms.tolist() == [1_000_000 * (8 * 300 + 4 * 840 + 2 * 780)]
    assert played.waited_gpu_hours.tolist() == pytest.approx([7320 / 3600])


def test_before_a_job_starts_or_ends_its_time_is_missing(problem: Problem) -> None:
    play = Play(problem, KEEP_SECONDS).run(until=900.0)
    jobs = play.simulator.job_times()
    assert (play.simulator.running_jobs[0], play.simulator.waiting_jobs[0]) == (0, 2)
    assert jobs.end_ms.tolist() == [900_000, NEVER, NEVER]
    np.testing.assert_array_equal(jobs.end_seconds, [900.0, np.nan, np.nan])
    np.testing.assert_array_equal(jobs.start_seconds, [300.0, np.nan, np.nan])
    np.testing.assert_array_equal(jobs.wait_seconds, [300.0, np.nan, np.nan])
    np.testing.assert_array_equal(jobs.completion_seconds, [900.0, np.nan, np.nan])


def test_the_reward_is_minus_the_sum_of_the_cost_terms(problem: Problem) -> None:
    play = Play(problem, KEEP_SECONDS)
    while not play.done:
        before = play.now
        reward = play.step()
        terms = dict(zip(COST_TERMS, play.simulator.cost_terms[0], strict=True))
        assert reward == pytest.approx(-sum(terms.values()))
        assert play.simulator.step_seconds[0] == play.now - before
    assert -sum(play.rewards) == pytest.approx(play.simulator.decided_usd()[0])


def test_what_is_called_a_view_shows_the_next_step_without_being_read_again(problem: Problem) -> None:
    play = Play(problem, KEEP_SECONDS)
    simulator = play.simulator
    names = ("observations", "action_masks", "rewards", "cost_terms", "step_seconds", "target_nodes")
    names += ("time_ms", "decisions", "submitted_jobs", "running_jobs", "finished_jobs", "waited_milli_ms")
    views = {name: getattr(simulator, name) for name in names}
    before = views["time_ms"].copy()
    play.step()
    assert views["time_ms"] > before
    for name, view in views.items():
        assert np.shares_memory(view, getattr(simulator, name)), name


def test_a_simulator_that_was_pickled_shows_its_own_steps(problem: Problem) -> None:
    play = Play(problem, KEEP_SECONDS)
    play.step()
    copy = pickle.loads(pickle.dumps(play.simulator))
    np.testing.assert_array_equal(copy.observations, play.simulator.observations)
    before = play.simulator.time_ms.tolist()
    copy.step(play.policy.act(copy.observations, copy.action_masks))
    assert copy.time_ms.tolist() > before == play.simulator.time_ms.tolist()


def test_totals_of_pools_add_up_field_by_field(played: Simulator) -> None:
    (totals,) = played.pool_totals()
    both = PoolTotals.sum([totals, totals])
    assert both.busy_node_ms == 2 * totals.busy_node_ms
    assert both.nodes_added == 2
    assert PoolTotals.sum([totals]) == totals


def test_the_clusters_of_a_batch_have_their_own_results(problem: Problem) -> None:
    """Cluster 1 begins after the first job was submitted, which then runs from the beginning."""
    simulator = Simulator.from_problem(problem, num_clusters=2)
    simulator.reset(np.array([0, 1]), np.array([[0, NEVER, 3], [1000, NEVER, 3]]))
    simulator.replay(np.full(2, problem.config.codec.setpoint(KEEP_SECONDS, 0.0)))
    assert [simulator.job_times(index).first_job for index in range(2)] == [0, 1]
    assert simulator.job_times(1).start_seconds.tolist() == [600.0, 600.0]
    assert simulator.pool_totals(1)[0].boot_node_ms == 0 < simulator.pool_totals(0)[0].boot_node_ms
    assert simulator.energy(1).total < simulator.energy(0).total
