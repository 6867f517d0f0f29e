"""The memory of submissions: what it says is what sums over all jobs say, and kernels give the same bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import (
    CodecLayout,
    Signal,
    empty_habits,
    empty_memory,
    note_submission,
    write_arrivals,
)
from envs.gpu_cluster.codec.arrivals import HALF_LIVES_MS, LATELY, SOON, faded
from envs.gpu_cluster.codec.features import ArrivalFeature
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator.arrivals import signals_at, users_of
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.envs.gpu_cluster.side_by_side import assert_equal, both_simulators, step_both, whole
from traces.trace import Trace

MINUTE = 60_000.0


@dataclass
class Told:
    """Signals after some jobs of some users, (ms, GPUs, user) each."""

    jobs: list[tuple[float, float, int]]

    def at(self, now_ms: float) -> NDArray[np.float64]:
        memory, habits = empty_memory(), empty_habits(1 + max((user for _, _, user in self.jobs), default=0))
        for at_ms, gpus, user in self.jobs:
            if at_ms <= now_ms:
                note_submission(memory, habits[user], at_ms, gpus)
        signals = np.zeros(len(Signal))
        write_arrivals(memory, now_ms, signals)
        return signals


def random_jobs(seed: int, count: int = 300, users: int = 5) -> Told:
    generator = np.random.default_rng(seed)
    gaps = generator.choice([0.0, 1.0, 999.0, 30_000.0, 60_000.0, 60_001.0, 900_000.0, 5e7], count)
    gpus = generator.choice([0.5, 1.0, 2.0, 8.0, 64.0], count)
    return Told(list(zip(np.cumsum(gaps), gpus, generator.integers(0, users, count).tolist(), strict=True)))


@pytest.mark.parametrize("halvings", [0.0, 1e-9, 0.3, 0.999999, 1.0, 1.5, 7.25, 60.0, 199.9])
def test_what_is_left_halves_in_each_half_life(halvings: float) -> None:
    assert faded(halvings * MINUTE, MINUTE) == pytest.approx(2.0**-halvings, rel=1e-12)
    assert faded(1e12, MINUTE) == 0.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fading_sums_are_those_over_all_jobs(seed: int) -> None:
    told = random_jobs(seed)
    for now in (told.jobs[40][0], told.jobs[-1][0], told.jobs[-1][0] + 10 * MINUTE):
        signals = told.at(now)
        known = [(now - at, gpus) for at, gpus, _ in told.jobs if at <= now]
        for index, half_life in enumerate(HALF_LIVES_MS):
            left = [2.0 ** -(age / half_life) for age, _ in known]
            assert signals[Signal.FADING_JOBS_60S + index] == pytest.approx(sum(left))
            gpus = sum(share * job[1] for share, job in zip(left, known, strict=True))
            assert signals[Signal.FADING_GPUS_60S + index] == pytest.approx(gpus)
        left = [2.0 ** -(age / HALF_LIVES_MS[LATELY]) for age, _ in known]
        largest = max(share * gpus for share, (_, gpus) in zip(left, known, strict=True))
        assert signals[Signal.LARGEST_GANG_GPUS] == pytest.approx(largest)
        mean = sum(share * gpus for share, (_, gpus) in zip(left, known, strict=True)) / sum(left)
        assert signals[Signal.MEAN_GANG_GPUS] == pytest.approx(mean)
        assert signals[Signal.LAST_GANG_GPUS] == known[-1][1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_users_count_once_each_by_their_last_job_and_the_busiest_is_the_one_with_most_gpus(seed: int) -> None:
    told = random_jobs(seed)
    now = told.jobs[-1][0] + 3 * MINUTE
    signals, of_users = told.at(now), {}
    for at, gpus, user in told.jobs:
        of_users.setdefault(user, []).append((2.0 ** -((now - at) / HALF_LIVES_MS[LATELY]), gpus))
    assert signals[Signal.ACTIVE_USERS] == pytest.approx(sum(jobs[-1][0] for jobs in of_users.values()))
    sums = [sum(share * gpus for share, gpus in jobs) for jobs in of_users.values()]
    assert signals[Signal.BUSIEST_USER_SHARE] == pytest.approx(max(sums) / sum(sums))


def batch_at(told: Told, now_ms: float) -> list[float]:
    return told.at(now_ms)[[Signal.BATCH_JOBS, Signal.BATCH_GPUS, Signal.MEAN_BATCH_GPUS]].tolist()


def test_a_batch_ends_a_minute_after_its_last_job_and_becomes_a_habit() -> None:
    told = Told([(0.0, 2.0, 0), (MINUTE, 4.0, 0), (2 * MINUTE, 8.0, 0), (10 * MINUTE, 1.0, 0)])
    assert batch_at(told, MINUTE) == [2.0, 6.0, 0.0]
    assert batch_at(told, 3 * MINUTE) == [3.0, 14.0, 0.0]
    assert batch_at(told, 3 * MINUTE + 1.0) == [0.0, 0.0, 0.0]
    assert batch_at(told, 10 * MINUTE) == [1.0, 1.0, 14.0]


def test_habits_are_those_of_the_user_of_the_newest_job() -> None:
    """One user sends pairs of small jobs five minutes apart, each hour; another one a large job now and then."""
    hour = 60 * MINUTE
    often = [(hour * at + wait, 2.0, 0) for at in range(30) for wait in (0.0, 5 * MINUTE)]
    seldom = [(hour * at + 20 * MINUTE, 32.0, 1) for at in range(0, 30, 6)]
    told = Told(sorted(often + seldom))
    signals = told.at(29 * hour + 5 * MINUTE)
    assert signals[Signal.USER_MEAN_GPUS] == 2.0
    assert signals[Signal.USER_AGAIN] == pytest.approx(0.5, abs=0.06)
    assert signals[Signal.USER_GAP_SECONDS] == pytest.approx(1800.0, abs=160.0)
    signals = told.at(24 * hour + 20 * MINUTE)
    assert signals[Signal.USER_MEAN_GPUS] == 32.0
    assert signals[Signal.USER_AGAIN] == 0.0
    assert signals[Signal.USER_GAP_SECONDS] == pytest.approx(6 * 3600.0)
    # The rare user adds nothing to what is expected next; the frequent one half of two GPUs for each job, fading.
    ages = np.array([24 * hour + 20 * MINUTE - at for at, _, user in told.jobs if user == 0 and at <= 24 * hour + 1e6])
    expected = (2.0 ** -(ages / HALF_LIVES_MS[SOON])).sum()
    assert signals[Signal.USERS_NEXT_GPUS] == pytest.approx(expected, rel=0.15)


def test_before_the_first_job_there_is_nothing_to_remember() -> None:
    assert not Told([]).at(1e9).any()


def test_signals_and_features_have_one_order() -> None:
    names = [signal.name for signal in list(Signal)[Signal.FADING_GPUS_60S :]]
    assert names == [feature.name for feature in ArrivalFeature]


def problem_of(seed: int, users: bool, shown: bool = True) -> Problem:
    told = random_jobs(seed, 200)
    trace = Trace.from_columns(
        {
            "submit_time_seconds": [round(at / 1000.0, 3) for at, _, _ in told.jobs],
            "duration_seconds": [60.0] * len(told.jobs),
            "gpu_milli": [round(gpus * 1000.0) for _, gpus, _ in told.jobs],
            **({"user": [f"user {user}" for _, _, user in told.jobs]} if users else {}),
        }
    )
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=64),))
    return make_problem(trace, cluster, EnvironmentConfig(codec=CodecLayout(arrival_features=shown)))


@pytest.mark.parametrize("users", [True, False])
def test_kernels_remember_the_same_bits(users: bool) -> None:
    problem = problem_of(4, users)
    assert len(set(problem.users.tolist())) == (5 if users else 1)
    submit = problem.submit_ms
    moments = np.unique(np.concatenate([submit, submit + 1, submit + 61_000, submit + 10**8]))
    jobs = zip(submit.tolist(), problem.gpu_milli.tolist(), problem.users.tolist(), strict=True)
    told = Told([(float(at), milli / 1000.0, user) for at, milli, user in jobs])
    found = signals_at(problem, moments)
    for row, moment in list(zip(found, moments.tolist(), strict=True))[::7]:
        np.testing.assert_array_equal(row, told.at(float(moment)))


def test_the_user_of_a_job_is_its_group_where_it_names_none() -> None:
    trace = Trace.from_columns(
        {
            "submit_time_seconds": [0.0, 1.0, 2.0, 3.0, 4.0],
            "duration_seconds": [60.0] * 5,
            "gpu_milli": [1000] * 5,
            "user": ["ann", None, "ann", None, None],
            "group": ["g", "g", "h", "h", None],
        }
    )
    assert users_of(trace).tolist() == [0, 1, 0, 2, 3]


def test_without_the_switch_nothing_is_remembered() -> None:
    problem = problem_of(1, users=True, shown=False)
    assert problem.memories.shape == (0, 0)


def test_the_simulators_show_the_same_memory_at_each_decision() -> None:
    problem = problem_of(5, users=True)
    fast, slow = both_simulators(problem, whole(problem))
    for _ in range(60):
        step_both(fast, slow, np.zeros(len(problem.config.codec.action_sizes), np.int64))
        assert_equal(fast, slow)
    assert slow.snapshot.signals[Signal.FADING_JOBS_604800S] > 1.0
