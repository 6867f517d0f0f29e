"""Copies of clusters: the same future to the same bits, or another one, and a look-ahead in copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import traces
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import RULE_SIZE, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import NEVER, Simulator
from envs.gpu_cluster.simulator.planning import Belief
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

pytestmark = pytest.mark.kernels

LAYOUT = CodecLayout(max_pools=1, window_slots=4)
SETPOINTS = [LAYOUT.setpoint(*pair) for pair in ((600.0, 0.0), (0.0, 0.0), (3600.0, 0.6))]


def trace_of(seed: int = 0) -> Trace:
    return traces.load(f"synthetic:quickstart?days=2&seed={seed}")


def problem_of(trace: Trace) -> Problem:
    return make_problem(trace, auto_cluster(trace_of()), EnvironmentConfig(codec=LAYOUT))


def begun(problem: Problem, clusters: int, decisions: int = 60) -> Simulator:
    """Cluster 0 somewhere in its episode, the others at its beginning."""
    simulator = Simulator.from_problem(problem, clusters, threads=1)
    simulator.reset_all()
    random = np.random.default_rng(0)
    for _ in range(decisions):
        rules = random.choice(SETPOINTS, clusters)
        simulator.replay_decisions(rules, 1)
    return simulator


def test_a_copy_with_the_true_future_replays_to_the_same_bits() -> None:
    simulator = begun(problem_of(trace_of()), 3)
    simulator.copy_clusters(np.array([0, 0]), np.array([1, 2]))
    simulator.replay(np.array([SETPOINTS[0], SETPOINTS[0], SETPOINTS[2]]))
    first, same, other = (simulator.energy_integrals[cluster] for cluster in range(3))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    for name in ("start_ms", "end_ms"):
        times = [getattr(simulator.job_times(cluster), name) for cluster in (0, 1)]
        np.testing.assert_array_equal(*times)
    assert simulator.account(0) == simulator.account(1)
    np.testing.assert_array_equal(simulator.observations[0], simulator.observations[1])


def test_a_cluster_that_was_a_copy_before_can_be_one_again() -> None:
    simulator = begun(problem_of(trace_of()), 2)
    simulator.copy_clusters(np.array([0]), np.array([1]))
    simulator.replay_decisions(np.array([SETPOINTS[0], SETPOINTS[2]]), 200)
    simulator.copy_clusters(np.array([0]), np.array([1]))
    simulator.replay(np.full(2, SETPOINTS[1]))
    np.testing.assert_array_equal(simulator.energy_integrals[0], simulator.energy_integrals[1])
    np.testing.assert_array_equal(simulator.job_times(0).start_ms, simulator.job_times(1).start_ms)


def test_a_copy_has_an_end_of_its_own_and_its_cost_counts_from_the_copy_on() -> None:
    simulator = begun(problem_of(trace_of()), 2)
    now, before = float(simulator.time_seconds[0]), float(simulator.decided_usd()[0])
    simulator.copy_clusters(np.array([0]), np.array([1]), np.array([now + 3600.0]))
    np.testing.assert_array_equal(simulator.take_costs()[1], 0.0)
    simulator.replay(np.full(2, SETPOINTS[0]))
    assert simulator.time_seconds[1] == now + 3600.0
    assert simulator.is_truncated(1)
    assert not simulator.is_truncated(0)
    assert simulator.take_costs()[1].sum() == pytest.approx(float(simulator.decided_usd()[1]) - before, rel=1e-9)


def test_a_copy_in_another_simulator_has_the_future_of_its_trace() -> None:
    trace = trace_of()
    simulator = begun(problem_of(trace), 1)
    now, submitted = int(simulator.time_ms[0]), int(simulator.submitted_jobs[0])
    columns = {name: trace.table.column(name) for name in trace.table.column_names}
    later = np.arange(trace.num_jobs) >= submitted
    columns["duration_seconds"] = np.where(later, 60.0, trace.duration_milliseconds / 1000.0)
    other = Simulator.from_problem(problem_of(Trace.from_columns(columns, uri="test:short")), 1, threads=1)
    other.reset_all()
    other.copy_clusters(np.array([0]), np.array([0]), origin=simulator)
    assert other.time_ms[0] == now
    for each in (simulator, other):
        each.replay(np.array([SETPOINTS[0]]))
    true, drawn = (each.job_times() for each in (simulator, other))
    ran = (drawn.end_ms - drawn.start_ms)[submitted:]
    assert (ran == 60_000).all()
    assert other.job_times().first_job + submitted < trace.num_jobs
    np.testing.assert_array_equal(true.start_ms[: submitted // 2], drawn.start_ms[: submitted // 2])


def test_running_jobs_of_a_copy_end_as_its_trace_says() -> None:
    trace = trace_of()
    simulator = begun(problem_of(trace), 1)
    now, submitted = int(simulator.time_ms[0]), int(simulator.submitted_jobs[0])
    jobs = simulator.job_times()
    running = np.flatnonzero((jobs.start_ms <= now) & (jobs.end_ms == NEVER))
    assert len(running) > 0
    columns = {name: trace.table.column(name) for name in trace.table.column_names}
    seconds = trace.duration_milliseconds / 1000.0
    seconds[running] += 500.0
    columns["duration_seconds"] = seconds
    other = Simulator.from_problem(problem_of(Trace.from_columns(columns, uri="test:long")), 1, threads=1)
    other.reset_all()
    other.copy_clusters(np.array([0]), np.array([0]), origin=simulator)
    other.replay(np.array([SETPOINTS[0]]))
    done = other.job_times()
    np.testing.assert_array_equal((done.end_ms - done.start_ms)[running], np.round(seconds[running] * 1000))
    assert submitted >= len(running)


def daily() -> Problem:
    """The same jobs on each of three days."""
    trace = traces.load("synthetic:quickstart?days=1&seed=1")
    day = np.repeat(np.arange(3), trace.num_jobs)
    columns = {name: np.tile(trace.table.column(name).to_numpy(), 3) for name in ("duration_seconds", "gpu_milli")}
    columns["submit_time_seconds"] = np.tile(trace.submit_milliseconds / 1000.0, 3) + 86_400.0 * day
    return make_problem(
        Trace.from_columns(columns, uri="test:daily"), auto_cluster(trace), EnvironmentConfig(codec=LAYOUT)
    )


def test_what_came_a_day_ago_can_come_again_and_what_is_true_comes_after_that() -> None:
    problem = daily()
    simulator = Simulator.from_problem(problem, 1, threads=1)
    simulator.reset_all()
    while simulator.time_seconds[0] < 1.5 * 86_400.0:
        simulator.replay_decisions(np.array([SETPOINTS[0]]), 1)
    true, copies = (Simulator.from_problem(problem.with_room(room), 2, threads=1) for room in (0, 400))
    ends = np.full(2, float(simulator.time_seconds[0]) + 6 * 3600.0)
    jobs = copies._world.jobs.copy()
    found = []
    for other, again in ((true, None), (copies, 86_400.0), (copies, 43_200.0), (copies, None)):
        other.reset_all()
        other.copy_clusters(np.zeros(2, np.int64), np.arange(2), ends, origin=simulator, again_seconds=again)
        other.replay(np.array([SETPOINTS[0], SETPOINTS[2]]))
        found.append((other.take_costs(), other.energy_integrals.copy(), other.submitted_jobs.copy()))
    for at in (1, 3):
        for mine, theirs in zip(found[at], found[0], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert (found[2][0] != found[0][0]).any()  # half a day ago it was night
    np.testing.assert_array_equal(copies._world.jobs, jobs)


def test_jobs_do_not_come_again_where_they_cannot() -> None:
    problem = daily()
    simulator = begun(problem, 2)
    sources, targets, ends = np.array([0]), np.array([0]), np.array([float(simulator.time_seconds[0]) + 3600.0])
    again = {"origin": simulator, "again_seconds": 3600.0}
    with pytest.raises(ValueError, match="another simulator"):
        Simulator.from_problem(problem, 1).copy_clusters(sources, targets, ends, **again)
    copies = Simulator.from_problem(problem.with_room(0), 2)
    with pytest.raises(ValueError, match="until ends_seconds"):
        copies.copy_clusters(sources, targets, None, **again)
    with pytest.raises(ValueError, match="of one cluster"):
        copies.copy_clusters(np.array([0, 1]), np.array([0, 1]), np.repeat(ends, 2), **again)
    late = Simulator.from_problem(problem, 1)
    late.reset_all()
    late.replay(np.array([SETPOINTS[0]]))
    now = float(problem.submit_ms[-1]) / 1000.0
    with pytest.raises(ValueError, match=r"with_room\(\d+\)"):
        copies.copy_clusters(sources, targets, np.array([now + 86_400.0]), origin=late, again_seconds=86_400.0)


def test_copies_that_cannot_be_are_refused() -> None:
    simulator = begun(problem_of(trace_of()), 2)
    with pytest.raises(ValueError, match="0 to 1 only"):
        simulator.copy_clusters(np.array([0]), np.array([2]))
    with pytest.raises(ValueError, match="as many sources"):
        simulator.copy_clusters(np.array([0]), np.array([1, 1]))
    with pytest.raises(ValueError, match="same call"):
        simulator.copy_clusters(np.array([0]), np.array([0]))
    elsewhere = begun(problem_of(trace_of(1)), 1)
    with pytest.raises(ValueError, match="submitted already"):
        simulator.copy_clusters(np.array([0]), np.array([0]), origin=elsewhere)


@pytest.mark.slow
def test_the_look_ahead_is_cheaper_than_the_rule_that_it_falls_back_on() -> None:
    problem = problem_of(trace_of())
    rules = np.zeros((len(SETPOINTS), RULE_SIZE), np.int64)
    rules[:, 0] = SETPOINTS
    ahead, alone = (Simulator.from_problem(problem, count, threads=1) for count in (2, 1))
    ahead.reset_all()
    alone.reset_all()
    alone.replay(np.array([SETPOINTS[0]]))
    while not ahead.look_ahead(rules, 600.0, 7200.0, 1000):
        pass
    assert ahead.decided_usd()[0] < 0.95 * alone.decided_usd()[0]
    assert ahead.finished_jobs[0] == alone.finished_jobs[0]


def test_a_look_ahead_that_has_one_rule_is_that_rule() -> None:
    problem = problem_of(trace_of())
    ahead, alone = (Simulator.from_problem(problem, count, threads=1) for count in (2, 1))
    ahead.reset_all()
    alone.reset_all()
    alone.replay(np.array([SETPOINTS[2]]))
    rules = np.zeros((1, RULE_SIZE), np.int64)
    rules[0, 0] = SETPOINTS[2]
    while not ahead.look_ahead(rules, 0.0, 3600.0, 1000):
        pass
    np.testing.assert_array_equal(ahead.energy_integrals[0], alone.energy_integrals[0])


def knowing(problem: Problem) -> Simulator:
    """A cluster that looks ahead and knows the future."""
    rules = np.zeros((len(SETPOINTS), RULE_SIZE), np.int64)
    rules[:, 0] = SETPOINTS
    ahead = Simulator.from_problem(problem, 2, threads=1)
    ahead.reset_all()
    while not ahead.look_ahead(rules, 600.0, 3600.0, 1000):
        pass
    return ahead


def test_a_look_ahead_without_levers_decides_as_through_the_whole_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = knowing(problem_of(trace_of()))
    monkeypatch.setattr(Simulator, "_is_plain", lambda *_: False)
    whole = knowing(problem_of(trace_of()))
    np.testing.assert_array_equal(quick.energy_integrals[0], whole.energy_integrals[0])
    np.testing.assert_array_equal(quick.job_times(0).start_ms, whole.job_times(0).start_ms)


def told(problem: Problem, copies: Problem, shifts_ms: list[int]) -> Simulator:
    """A cluster that looks ahead by what it believes."""
    simulator, imagined = (Simulator.from_problem(each, 1, threads=1) for each in (problem, copies))
    simulator.reset_all()
    imagined.reset_all()
    rules = np.zeros((len(SETPOINTS), RULE_SIZE), np.int64)
    rules[:, 0] = SETPOINTS
    beliefs = [Belief(imagined, np.array(shifts_ms))]
    while not simulator.look_ahead(rules, 600.0, 3600.0, 1000, beliefs):
        pass
    return simulator


def test_who_believes_what_comes_true_decides_as_who_knows_it() -> None:
    problem = problem_of(trace_of())
    believing = told(problem, replace(problem, jobs=problem.jobs.copy()), [0])
    np.testing.assert_array_equal(knowing(problem).energy_integrals[0], believing.energy_integrals[0])


def test_jobs_that_come_every_day_are_expected_and_who_expects_none_waits_longer() -> None:
    day, days = 86_400.0, 3
    times = np.array([3600.0, 7200.0, 7500.0, 30_000.0, 50_000.0, 51_000.0, 80_000.0])
    columns = {
        "submit_time_seconds": np.concatenate([times + day * number for number in range(days)]),
        "duration_seconds": np.full(days * len(times), 900.0),
        "gpu_milli": np.full(days * len(times), 8000),
    }
    trace = Trace.from_columns(columns, uri="test:daily")
    problem = make_problem(trace, auto_cluster(trace), EnvironmentConfig(codec=LAYOUT))
    more = np.repeat(problem.jobs[-2:-1], 4, axis=0)
    waits = []
    for shift_days in (1, 3):
        room = replace(problem, jobs=np.concatenate([problem.jobs[:-1], more, problem.jobs[-1:]]))
        done = told(problem, room, [shift_days * 86_400_000]).job_times()
        waits.append((done.start_ms - done.submit_ms)[len(times) :].sum())
        # What was imagined is gone, but for what came behind the last job.
        np.testing.assert_array_equal(room.jobs[: problem.num_jobs], problem.jobs[:-1])
    assert waits[0] < waits[1]


def test_there_must_be_a_belief_for_each_cluster() -> None:
    simulator = begun(problem_of(trace_of()), 2)
    belief = Belief(simulator, np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="1 beliefs are not one for each of 2 clusters"):
        simulator.look_ahead(np.zeros((1, RULE_SIZE), np.int64), 0.0, 60.0, 1, [belief])
