"""Suspending jobs and letting them go on, against numbers that are worked out by hand; both simulators are driven."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baselines import ConstantSetpoint
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout, Pool
from envs.gpu_cluster.codec.levers import GO_ON, RESUME, SUSPEND
from envs.gpu_cluster.config import PhysicsConfig, QueueConfig
from envs.gpu_cluster.simulator import NEVER, Simulator
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from tests.envs.gpu_cluster.builders import Job, small_problem
from tests.envs.gpu_cluster.players import Player
from tests.envs.gpu_cluster.side_by_side import assert_same_times, both_simulators, step_both, whole
from tests.envs.gpu_cluster.worlds import crowded_problems, kernel_property

POOL = PoolConfig("gpu", max_nodes=2, min_nodes=2)
LAYOUT = CodecLayout(max_pools=1, window_slots=3, suspension=True)


def problem_of(jobs: list[Job], intervals: list[float | None] | None = None, **options: Any) -> Problem:
    """Jobs on two nodes that are always on, one decision each 100 s at least; a restart takes 60 s, a move 120 s."""
    physics = PhysicsConfig(
        max_suspend_seconds=options.pop("most", 5000.0), queue=options.pop("queue", QueueConfig(estimates="exact"))
    )
    return small_problem(
        jobs,
        [POOL],
        codec=options.pop("codec", LAYOUT),
        checkpoint_interval_seconds=intervals or [600.0] * len(jobs),
        physics=physics,
        settle_seconds=100.0,
        resync_interval_seconds=100.0,
        **options,
    )


class Pair:
    """Both simulators under one choice of the lever after the other."""

    def __init__(self, problem: Problem, episode: tuple[int, int, int] | None = None) -> None:
        self.fast, self.slow = both_simulators(problem, episode or whole(problem))
        self.layout = problem.config.codec

    def act(self, choice: int, times: int = 1) -> Pair:
        """Decide so often, with every job to the pool."""
        for _ in range(times):
            slots = [1] * self.layout.window_slots
            step_both(self.fast, self.slow, np.array([self.layout.setpoint(600.0, 0.0), *slots, choice]))
        return self

    def run(self) -> Pair:
        """To the end."""
        while not self.slow.done:
            self.act(GO_ON)
        assert_same_times(self.fast, self.slow)
        return self

    @property
    def row(self) -> np.ndarray:
        """What the snapshot says of the pool."""
        return self.slow.snapshot.pools[0]

    def ends(self) -> list[float]:
        """When each job ended, in s."""
        return self.fast.job_times().end_seconds.tolist()


def test_a_suspended_job_gives_back_its_gpus_and_pays_for_checkpoint_and_restart() -> None:
    """It starts at 0 s and has done 100 s of 1000 s; suspended for 300 s, it then restarts for 120 s."""
    pair = Pair(problem_of([(0.0, 1000.0, 8.0)])).act(GO_ON)
    assert pair.row[Pool.SUSPENDABLE_GPUS] == 8.0
    pair.act(SUSPEND, 1).act(GO_ON)
    assert (pair.row[Pool.SUSPENDED_GPUS], pair.row[Pool.USED_GPUS], pair.row[Pool.SUSPENDABLE_GPUS]) == (8.0, 0.0, 0.0)
    assert pair.row[Pool.NEXT_RESUME_SECONDS] == 4800.0
    pair.act(GO_ON).act(RESUME)  # it is queued at once, and placed by the next decision
    assert pair.fast.waiting_jobs[0] == 1
    pair.run()
    assert pair.ends() == [100.0 + 400.0 + 120.0 + 900.0]
    totals = pair.fast.pool_totals()[0]
    assert (totals.suspensions, totals.preemptions, totals.lost_milli_ms) == (1, 0, 0)
    assert totals.overhead_milli_ms == 8000 * 120_000
    assert pair.fast.waited_milli_ms[0] == 8000 * 400_000


def test_a_suspended_job_goes_on_by_itself_when_it_was_suspended_for_long_enough_and_is_not_suspended_again() -> None:
    pair = Pair(problem_of([(0.0, 1000.0, 8.0)], most=450.0)).act(GO_ON)
    pair.act(SUSPEND, 9)
    assert pair.fast.pool_totals()[0].suspensions == 1
    assert pair.row[Pool.SUSPENDABLE_GPUS] == 0.0
    assert pair.run().ends() == [600.0 + 120.0 + 900.0]  # queued at 550 s, placed by the next decision


def test_the_time_of_all_suspensions_counts() -> None:
    pair = Pair(problem_of([(0.0, 1000.0, 8.0)], most=450.0)).act(GO_ON)
    pair.act(SUSPEND, 2).act(RESUME).act(GO_ON, 2).act(SUSPEND)
    assert pair.row[Pool.NEXT_RESUME_SECONDS] == 450.0 - 200.0 - 100.0


@pytest.mark.parametrize(
    ("intervals", "deadline", "gpus"),
    [
        ([600.0], None, 8.0),
        ([None], None, 0.0),
        ([600.0], 1000.0 + 120.0, 0.0),
        ([600.0], 1000.0 + 120.1, 8.0),
    ],
    ids=["checkpoints", "no checkpoints", "no time before the deadline", "just in time"],
)
def test_which_jobs_may_be_suspended(intervals: list[float | None], deadline: float | None, gpus: float) -> None:
    columns = {"deadline_seconds": [deadline]}
    pair = Pair(problem_of([(0.0, 1000.0, 8.0)], intervals, columns=columns)).act(GO_ON)
    assert pair.row[Pool.SUSPENDABLE_GPUS] == gpus


def test_a_job_of_unknown_run_time_that_has_a_deadline_is_left_alone() -> None:
    columns = {"deadline_seconds": [9000.0, None]}
    jobs = [(0.0, 1000.0, 8.0), (0.0, 1000.0, 2.0)]
    pair = Pair(problem_of(jobs, columns=columns, queue=QueueConfig(estimates="none"))).act(GO_ON)
    assert pair.row[Pool.SUSPENDABLE_GPUS] == 2.0


def test_a_job_with_a_deadline_goes_on_early_enough_to_meet_it() -> None:
    """From 1500 s on it restarts for 120 s and works for the 900 s that are left."""
    columns = {"deadline_seconds": [2520.0]}
    pair = Pair(problem_of([(0.0, 1000.0, 8.0)], columns=columns)).act(GO_ON).act(SUSPEND)
    assert pair.row[Pool.NEXT_RESUME_SECONDS] == 2520.0 - 120.0 - 900.0 - 200.0
    assert pair.run().ends() == [2520.0]


def test_the_suspension_of_a_deferrable_job_is_free_and_ends_by_its_latest_end() -> None:
    """It could have started at 2020 s, so it may end at 3020 s: it goes on 120 s and 900 s before."""
    queue = QueueConfig(estimates="exact", deferral=True)
    problem = problem_of([(0.0, 1000.0, 8.0)], queue=queue, columns={"latest_start_seconds": [2020.0]})
    pair = Pair(problem).act(GO_ON).act(SUSPEND)
    assert pair.row[Pool.NEXT_RESUME_SECONDS] == 3020.0 - 120.0 - 900.0 - 200.0
    pair.run()
    assert pair.fast.waited_milli_ms[0] == 0
    assert pair.ends() == [3020.0]


def test_jobs_from_before_the_episode_are_left_alone() -> None:
    problem = problem_of([(0.0, 1000.0, 8.0), (500.0, 1000.0, 2.0)])
    pair = Pair(problem, (400_000, NEVER, 2)).act(GO_ON, 2)
    assert pair.row[Pool.USED_GPUS] == 10.0
    assert pair.row[Pool.SUSPENDABLE_GPUS] == 2.0


def test_the_log_tells_of_suspensions_the_most_gpus_first() -> None:
    problem = problem_of([(0.0, 1000.0, 2.0), (0.0, 1000.0, 8.0), (0.0, 1000.0, 2.0)])
    simulator = Simulator.from_problem(problem, log_rows=999)
    simulator.reset_all()
    for choice in (GO_ON, SUSPEND, RESUME, GO_ON):
        simulator.step(np.array([[problem.config.codec.setpoint(600.0, 0.0), 1, 1, 1, choice]]))
    log = simulator.event_log().to_pydict()
    rows = list(zip(log["event"], log["job"], log["node"], log["value"], log["time_ms"], strict=True))
    suspended = [row[1:] for row in rows if row[0] == "job_suspend"]
    assert [(job, value, time) for job, _, value, time in suspended] == [
        (1, 8000, 100_000),
        (0, 2000, 100_000),
        (2, 2000, 100_000),
    ]
    assert [row[1:] for row in rows if row[0] == "job_resume"] == [(job, None, 0, 200_000) for job in (1, 0, 2)]


def test_a_rule_that_suspends_whenever_it_may_comes_to_an_end() -> None:
    problem = problem_of([(0.0, 1000.0, 8.0), (50.0, 300.0, 4.0)], most=450.0)
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    simulator.replay(ConstantSetpoint(problem.config.codec, suspension=SUSPEND).rule[None])
    assert simulator.finished_jobs[0] == 2
    assert simulator.pool_totals()[0].suspensions == 2


@pytest.mark.slow
@kernel_property(examples=60)
@given(problem=crowded_problems(), seed=st.integers(0, 2**32 - 1))
def test_both_simulators_agree_where_jobs_are_suspended_whenever_they_may_be(problem: Problem, seed: int) -> None:
    """In a crowded queue with its rules: priorities, preemption, reservations, deferral, quotas."""
    player = Player(problem.config.codec, "crowded", np.random.default_rng(seed))
    fast, slow = both_simulators(problem, whole(problem))
    assert isinstance(slow, ReferenceSimulator)
    for _ in range(300):
        if slow.done:
            break
        step_both(fast, slow, player.act(slow.mask))
    assert_same_times(fast, slow)


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(EnvironmentConfigError, match=r"physics.max_suspend_seconds is -1"):
        PhysicsConfig(max_suspend_seconds=-1.0)
