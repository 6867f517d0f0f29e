"""Nodes that boot late or not at all, fail, are taken back and return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ClusterError, EndlessJobError, EnvironmentConfigError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import ALWAYS_ON, IDLE_AGE_EDGES_SECONDS, Pool
from envs.gpu_cluster.config import PhysicsConfig, QueueConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.episodes import draw_seed
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.simulator import Simulator, draws
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import Node, ReferenceSimulator
from envs.gpu_cluster.simulator.reference.draws import random_bits
from tests.envs.gpu_cluster.builders import Job, Play, small_problem
from tests.envs.gpu_cluster.worlds import crowded_problems, kernel_property, problems

FAILING = FailureConfig(mean_seconds=1000.0, repair_seconds=600.0)
SPOT = SpotConfig(mean_seconds=1000.0, notice_seconds=120.0, outage_seconds=600.0)
ONE_JOB: list[Job] = [(0.0, 1500.0, 2.0)]
WORLD = kernel_property(examples=40)
SEEDS = st.integers(0, 2**32 - 1)
MAX_STEPS = 300


def always(problem: Problem, kind: int, milliseconds: int) -> Problem:
    """The same world where every random draw of a kind is the same."""
    at = columns.POOL_QUANTILES + kind * columns.QUANTILES
    problem.pools[:, at : at + columns.QUANTILES] = milliseconds
    return problem


def failing(jobs: list[Job], pool: PoolConfig, checkpoints: float | None = None) -> Problem:
    """Jobs on a pool whose nodes fail or get their notice 1,000 s after they are ready, each time."""
    problem = small_problem(jobs, [pool], checkpoint_interval_seconds=[checkpoints] * len(jobs))
    for kind, mean in ((columns.DRAW_FAILURE, pool.failures), (columns.DRAW_RECLAIM, pool.spot)):
        if mean.mean_seconds is not None:
            always(problem, kind, 1_000_000)
    return problem


# Boots


def test_a_boot_takes_the_time_that_its_quantiles_say() -> None:
    pool = PoolConfig("gpu", max_nodes=1, boot=BootConfig(quantiles_seconds=(400.0, 400.0)))
    play = Play(small_problem(ONE_JOB, [pool]))
    assert play.simulator.snapshot().pools[0, Pool.BOOT_SECONDS] == 400.0
    assert play.run().starts() == [400.0]


def test_nodes_that_were_ordered_together_are_ready_one_by_one() -> None:
    """Boots are spread evenly over 60 to 600 s."""
    pool = PoolConfig("gpu", max_nodes=40, boot=BootConfig(quantiles_seconds=(60.0, 600.0)))
    play = Play(small_problem([(0.0, 1e5, 1.0)], [pool], debug=True), IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON)
    for until in (180.0, 300.0, 420.0, 540.0, 660.0):
        play.run(until)
        ready = play.pool()[columns.IDLE_TAIL] - play.pool()[columns.IDLE_HEAD] + play.pool()[columns.BUSY]
        assert ready == pytest.approx(min((play.now - 60.0) / 540.0, 1.0) * 40, abs=7)
    assert ready == 40


def test_a_failed_boot_is_noticed_at_its_time_out_and_costs_boot_energy() -> None:
    """The node is ordered again at once, so the job waits for each failed boot and for the one that succeeds."""
    pool = PoolConfig("gpu", max_nodes=1, boot=BootConfig(failure_probability=0.9, timeout_seconds=100.0))
    play = Play(small_problem(ONE_JOB, [pool])).run()
    fails = int(play.totals().boot_failures)
    assert fails > 0
    assert play.starts() == [300.0 + 100.0 * fails]
    assert play.totals().boot_node_ms == 300_000 + 100_000 * fails
    assert play.totals().nodes_added == 1 + fails


def test_a_reservation_counts_on_the_mean_boot_and_then_on_any_moment() -> None:
    """B needs both nodes; the second, ordered at 10, is expected at 210 and is ready at 1010.

    C ends before 210 and passes. D does not, as A would have ended by then; nor does E, when the boot is late.
    """
    jobs: list[Job] = [
        (0.0, 100.0, 4.0),
        (10.0, 100.0, 16.0),
        (20.0, 150.0, 2.0),
        (30.0, 250.0, 2.0),
        (300.0, 9.0, 2.0),
    ]
    pool = PoolConfig("gpu", max_nodes=2, min_nodes=1, boot=BootConfig(quantiles_seconds=(100.0, 300.0)))
    problem = small_problem(
        jobs,
        [pool],
        physics=PhysicsConfig(queue=QueueConfig(backfill_policy="backfill", estimates="exact")),
        settle_seconds=0.001,
        decision_interval_seconds=0.0,
    )
    starts = Play(always(problem, columns.DRAW_BOOT, 1_000_000)).run().starts()
    assert starts == pytest.approx([0.0, 1010.0, 20.0, 1110.0, 1110.0])


def test_boots_have_the_median_and_spread_of_their_description() -> None:
    table = draws.boots(PoolConfig("gpu", max_nodes=1, boot_seconds=200.0, boot=BootConfig(sigma=0.5)))
    logs = np.log(table / 200_000)
    assert np.median(logs) == pytest.approx(0.0, abs=0.002)
    assert logs.std() == pytest.approx(0.5, rel=0.01)
    assert (np.diff(table) >= 0).all()


def test_failures_are_exponential() -> None:
    table = draws.exponential(10_000.0)
    assert table.mean() == pytest.approx(1e7, rel=0.01)
    assert np.median(table) == pytest.approx(np.log(2) * 1e7, rel=0.01)
    assert table.min() > 0


def test_repairs_take_the_times_that_were_measured() -> None:
    """A quarter of 100 to 200 s, a quarter of 200 to 200 s, half of 200 to 1,000 s."""
    failures = FailureConfig(mean_seconds=1000.0, repair_quantiles_seconds=(100.0, 200.0, 200.0, 600.0, 1000.0))
    table = draws.repairs(PoolConfig("gpu", max_nodes=1, failures=failures))
    assert np.quantile(table, (0.125, 0.4, 0.75)) == pytest.approx((150_000, 200_000, 600_000), abs=1000)


# Failures


def test_a_failure_costs_the_work_since_the_last_checkpoint() -> None:
    """Runs from 300 to 1300, when 800 s are saved; repaired at 1900, ready at 2200, restarted at 2260, 700 s to go."""
    play = Play(failing(ONE_JOB, PoolConfig("gpu", max_nodes=1, failures=FAILING), 400.0)).run()
    assert play.now == 2960.0
    row = play.pool()
    assert row[[columns.FAILURES, columns.PREEMPTIONS, columns.RECLAIMS]].tolist() == [1, 1, 0]
    assert row[columns.OVERHEAD_MILLI_MS] == (200_000 + 60_000) * 2000
    assert row[columns.USED_MILLI_MS] == (1_500_000 + 260_000) * 2000
    assert row[columns.DOWN_NODE_MS] == 600_000
    assert row[columns.BUSY_NODE_MS] == 1_760_000
    assert row[columns.IDLE_NODE_MS] == 0
    assert play.clock[columns.WAITED_MILLI_MS] == (300_000 + 900_000) * 2000
    assert play.starts() == [300.0]


def test_without_checkpoints_all_is_lost() -> None:
    """The node lives for 1,000 s: first all of them are lost, then 60 s of restart and 940 s of work."""
    play = Play(failing(ONE_JOB, PoolConfig("gpu", max_nodes=1, failures=FAILING))).run(until=1300.0)
    assert play.totals().overhead_milli_ms == 1_000_000 * 2000
    play.run(until=3200.0)
    assert play.totals().preemptions == 2
    assert play.totals().overhead_milli_ms == play.totals().used_milli_ms == 2_000_000 * 2000


def test_a_failed_node_cannot_be_ordered_and_the_snapshot_says_so() -> None:
    pool = PoolConfig("gpu", max_nodes=2, failures=FAILING)
    play = Play(failing([(0.0, 1e4, 8.0)], pool, 100.0), IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON).run(until=1300.0)
    assert play.now == 1300.0
    assert play.simulator.snapshot().pools[0, Pool.UNAVAILABLE_NODES] == 2
    play.step()
    assert play.simulator.target_nodes[0, 0] == 0
    play.run(until=1900.0)
    assert play.simulator.snapshot().pools[0, Pool.UNAVAILABLE_NODES] == 0
    play.step()
    assert play.now == 2200.0
    assert play.simulator.snapshot().pools[0, Pool.IDLE_NODES] == 2


def test_a_gang_loses_all_its_nodes_and_the_others_become_idle() -> None:
    """Nodes that are ready at the beginning fail at second 1,000; the gang's third one came 300 s later."""
    pool = PoolConfig("gpu", max_nodes=3, min_nodes=2, failures=FAILING)
    play = Play(failing([(0.0, 2000.0, 24.0)], pool, 100.0)).run(until=1000.0)
    assert play.totals().node_failures == 2
    assert play.totals().preemptions == 1
    row = play.simulator.snapshot().pools[0]
    assert row[[Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.UNAVAILABLE_NODES, Pool.USED_GPUS]].tolist() == [1, 0, 2, 0]


def test_jobs_that_share_a_gpu_of_a_node_fail_with_it() -> None:
    pool = PoolConfig("gpu", max_nodes=1, gpus_per_node=2, min_nodes=1, failures=FAILING)
    play = Play(failing([(0.0, 2000.0, 0.5), (0.0, 2000.0, 0.25), (0.0, 2000.0, 1.0)], pool, 100.0)).run(until=1000.0)
    assert play.totals().preemptions == 3
    assert play.clock[columns.PENDING_MILLI] == 1750
    assert play.simulator.snapshot().pools[0, Pool.SHARED_FREE_GPUS] == 0.0


def endless(max_fresh_restarts: int = 20) -> Problem:
    """A job of 12,000 s on four nodes, of which one fails each 1,000 s, though one that comes before it ends."""
    pool = PoolConfig("gpu", max_nodes=4, failures=FAILING)
    physics = PhysicsConfig(max_fresh_restarts=max_fresh_restarts)
    problem = small_problem([(0.0, 100.0, 1.0), (0.0, 12_000.0, 32.0)], [pool], physics=physics)
    return always(problem, columns.DRAW_FAILURE, 1_000_000)


ENDLESS = "job 1 lost all its work 21 times .* runs for 12,000 s and writes no checkpoint.* 4 node.s. .* after 250 s"


def until_error(step: Callable[[], object]) -> tuple[int, str]:
    """How many steps there are before one says that a job never ends, and what it says."""
    for steps in range(2000):
        try:
            step()
        except EndlessJobError as error:
            return steps, str(error)
    raise AssertionError("no step said it")


@pytest.mark.parametrize("start_ms", [0, 500_000])
def test_a_job_that_never_ends_stops_the_replay_with_one_clear_line(start_ms: int) -> None:
    """Also where it ran before the episode began."""
    problem = endless()
    episode = (start_ms, columns.NEVER, problem.num_jobs)
    fast, slow = Simulator.from_problem(problem), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([episode]))
    with pytest.raises(EndlessJobError, match=ENDLESS) as error:
        fast.replay(np.array([0]))
    assert "\n" not in str(error.value)
    fast.reset(np.array([0]), np.array([episode]))
    slow.reset(*episode)
    action = fast._world.outcome.action[0] * 0
    steps = until_error(lambda: fast.step(action[None]))
    assert steps == until_error(lambda: slow.step(action))
    assert steps[1] == str(error.value)


def test_an_episode_that_ends_at_a_given_time_goes_on_with_a_job_that_never_ends() -> None:
    simulator = Simulator.from_problem(endless())
    simulator.reset(np.array([0]), np.array([(0, 200_000_000, 2)]))
    simulator.replay(np.array([0]))
    assert simulator.is_truncated()
    assert simulator._world.clusters.queue[0, 1, columns.JOB_LOSSES] > 21


# Spot


def test_a_notice_saves_the_work_of_jobs_that_write_checkpoints() -> None:
    """Notice at 1300, drained to 1420, back at 2020, ready at 2320, restarted at 2380, 500 s to go."""
    play = Play(failing(ONE_JOB, PoolConfig("gpu", max_nodes=1, spot=SPOT), 400.0)).run()
    assert play.now == 2880.0
    row = play.pool()
    assert row[[columns.FAILURES, columns.PREEMPTIONS, columns.RECLAIMS]].tolist() == [0, 1, 1]
    assert row[columns.OVERHEAD_MILLI_MS] == 60_000 * 2000
    assert row[columns.IDLE_NODE_MS] == 120_000
    assert row[columns.DOWN_NODE_MS] == 600_000


def test_a_node_that_drains_takes_no_job() -> None:
    pool = PoolConfig("gpu", max_nodes=1, min_nodes=1, spot=SPOT)
    play = Play(failing([(0.0, 1e4, 2.0), (1010.0, 10.0, 1.0)], pool, 400.0)).run(until=1010.0)
    row = play.simulator.snapshot().pools[0]
    assert row[[Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.UNAVAILABLE_NODES]].tolist() == [0, 0, 1]
    play.run(until=1200.0)
    assert play.starts() == [0.0, None]


def test_without_notice_the_work_since_the_last_checkpoint_is_lost() -> None:
    pool = PoolConfig("gpu", max_nodes=1, spot=replace(SPOT, notice_seconds=0.0))
    play = Play(failing(ONE_JOB, pool, 400.0)).run()
    assert play.now == 2960.0
    assert play.totals().overhead_milli_ms == (200_000 + 60_000) * 2000
    assert play.totals().idle_node_ms == 0


# Images


def test_a_job_waits_for_its_image_on_a_node_that_lacks_it() -> None:
    """The first pulls from 300 to 400; the second finds its image; the third has another; the last comes to a new node.

    The node is idle from 2150 and off at 2750.
    """
    jobs = [(0.0, 1000.0, 2.0), (500.0, 1000.0, 2.0), (1000.0, 1050.0, 4.0), (5000.0, 1000.0, 2.0)]
    pool = PoolConfig("gpu", max_nodes=1, pull_seconds=100.0)
    play = Play(small_problem(jobs, [pool], image=["a", "a", "b", "a"])).run()
    assert play.starts() == [300.0, 500.0, 1000.0, 5300.0]
    ends = play.simulator.job_times().end_ms / 1000
    assert ends.tolist() == [1400.0, 1500.0, 2150.0, 6400.0]
    assert play.totals().overhead_milli_ms == 100_000 * (2000 + 4000 + 2000)
    assert play.totals().nodes_removed == 1


def test_a_job_waits_for_the_rest_of_a_pull_that_another_began() -> None:
    """The pulls go from 0 to 100 and from 60 to 160; whoever comes during one waits until that one is over."""
    jobs = [(0.0, 500.0, 2.0), (60.0, 500.0, 2.0), (60.0, 500.0, 1.0), (120.0, 500.0, 1.0), (120.0, 500.0, 1.0)]
    pool = PoolConfig("gpu", max_nodes=1, min_nodes=1, pull_seconds=100.0)
    play = Play(small_problem(jobs, [pool], image=["a", "a", "b", "a", "b"])).run()
    assert play.starts() == [0.0, 60.0, 60.0, 120.0, 120.0]
    ends = play.simulator.job_times().end_ms / 1000
    assert ends.tolist() == [600.0, 600.0, 660.0, 620.0, 660.0]
    assert play.totals().overhead_milli_ms == (100 * 2 + 40 * 2 + 100 + 0 + 40) * 1_000_000


def test_a_gang_waits_once_for_an_image_that_one_of_its_nodes_lacks() -> None:
    pool = PoolConfig("gpu", max_nodes=2, min_nodes=2, pull_seconds=100.0)
    play = Play(small_problem([(0.0, 50.0, 4.0), (200.0, 50.0, 16.0)], [pool], image=["a", "a"])).run()
    ends = play.simulator.job_times().end_ms / 1000
    assert (ends - np.array(play.starts(), float)).tolist() == [150.0, 150.0]
    assert play.totals().overhead_milli_ms == 100_000 * 20_000


def test_without_images_or_time_to_pull_nothing_waits() -> None:
    for pull, images in ((100.0, [None]), (0.0, ["a"])):
        pool = PoolConfig("gpu", max_nodes=1, pull_seconds=pull)
        assert Play(small_problem(ONE_JOB, [pool], image=images)).run().now == 1800.0


def test_more_images_than_a_node_tells_apart_share_numbers() -> None:
    pool = PoolConfig("gpu", max_nodes=1, pull_seconds=1.0)
    problem = small_problem([(0.0, 1.0, 1.0)] * 100, [pool], image=[f"image-{index}" for index in range(100)])
    numbers = problem.jobs[:-1, columns.IMAGE]
    assert 1 <= numbers.min() <= numbers.max() <= columns.MAX_IMAGES
    assert len(set(numbers.tolist())) > 30


# Whatever happens


def play_random(problem: Problem, seed: int) -> Iterator[Simulator]:
    """The trace under random actions, at its beginning and after each step."""
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    generator = np.random.default_rng(seed)
    yield simulator
    for _ in range(MAX_STEPS):
        if simulator.is_done():
            return
        simulator.step(generator.integers(problem.config.codec.action_sizes)[None])
        yield simulator


@pytest.mark.slow
@WORLD
@given(problem=problems(is_stochastic=True), seed=SEEDS)
def test_nodes_are_in_one_state_each_and_node_time_adds_up(problem: Problem, seed: int) -> None:
    problem = replace(problem, settings=problem.settings._replace(debug=True))
    for simulator in play_random(problem, seed):  # raises where a rule of `invariants.RULES` is broken
        clock, pools = simulator._world.clusters.clock[0], simulator._world.clusters.pool[0]
        snapshot = simulator.snapshot()
        elapsed = clock[columns.NOW] - clock[columns.EPISODE_START]
        for row, shown, pool in zip(pools, snapshot.pools, problem.cluster.pools, strict=False):
            on = int(shown[[Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.BOOTING_NODES]].sum())
            assert 0 <= on <= pool.max_nodes - shown[Pool.UNAVAILABLE_NODES]
            lost = row[[columns.BOOT_FAILURES, columns.FAILURES, columns.RECLAIMS]].sum()
            assert row[columns.NODES_ADDED] - row[columns.NODES_REMOVED] - lost == on - pool.min_nodes
            spent = row[[columns.IDLE_NODE_MS, columns.BUSY_NODE_MS, columns.BOOT_NODE_MS, columns.DOWN_NODE_MS]].sum()
            assert spent <= elapsed * pool.max_nodes
    energy = simulator.energy()
    parts = energy.to_dict()
    assert parts.pop("total") == sum(parts.values())
    assert min(parts.values()) >= 0.0


@pytest.mark.slow
@WORLD
@given(problem=problems(is_stochastic=True), setpoint=st.integers(0, 23))
def test_no_job_is_lost_and_gpu_time_is_what_was_asked_and_the_overhead(problem: Problem, setpoint: int) -> None:
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    simulator.replay(np.array([setpoint]))
    clock, pools, jobs = simulator._world.clusters.clock[0], simulator._world.clusters.pool[0], problem.jobs[:-1]
    assert clock[columns.FINISHED] == problem.num_jobs
    assert clock[columns.PENDING_MILLI] == clock[columns.RUNNING] == 0
    requested = jobs[:, columns.MILLI] @ jobs[:, columns.DURATION_MS]
    used, overhead = pools[:, columns.USED_MILLI_MS].sum(), pools[:, columns.OVERHEAD_MILLI_MS].sum()
    if not problem.settings.has_curves:
        assert used == requested + overhead


@kernel_property(examples=100)
@given(
    problem=problems(is_stochastic=True) | crowded_problems(backfill_policies=["backfill"]),
    seed=SEEDS,
    moment=st.integers(0, 30_000_000) | st.integers(0, 600_000),
)
def test_draws_that_happen_later_change_nothing_before(problem: Problem, seed: int, moment: int) -> None:
    """A time longer than `moment` cannot happen before `moment`: such draws are changed, all before is the same."""
    first = int(problem.submit_ms[0])
    pools = problem.pools.copy()
    table = pools[:, columns.POOL_QUANTILES :]  # without columns where nothing is drawn
    table[table > moment] += 777_000
    changed = replace(problem, pools=pools)
    for ours, theirs in zip(play_random(problem, seed), play_random(changed, seed), strict=False):
        times = [int(one.time_ms[0]) for one in (ours, theirs)]
        if max(times) > first + moment:
            assert min(times) > first + moment
            break
        np.testing.assert_array_equal(ours._world.clusters.pool, theirs._world.clusters.pool)
        np.testing.assert_array_equal(ours.observations, theirs.observations)


# Seeds


def world(seed: int, setpoint: int = 0) -> Simulator:
    pool = PoolConfig("gpu", max_nodes=8, boot=BootConfig(sigma=0.4), failures=FailureConfig(20_000.0))
    jobs = [(600.0 * index, 5000.0, 6.0) for index in range(60)]
    simulator = Simulator.from_problem(small_problem(jobs, [pool], physics=PhysicsConfig(seed=seed)))
    simulator.reset_all()
    simulator.replay(np.array([setpoint]))
    return simulator


def test_a_seed_is_a_world() -> None:
    one, other = world(1), world(2)
    np.testing.assert_array_equal(one._world.clusters.pool, world(1)._world.clusters.pool)
    assert one.pool_totals()[0].node_failures > 0
    assert (one._world.clusters.pool != other._world.clusters.pool).any()


def test_lots_are_spread_evenly_and_differ_by_node_life_and_kind() -> None:
    problem = small_problem(ONE_JOB, [PoolConfig("gpu", max_nodes=1, failures=FAILING)])
    simulator = ReferenceSimulator(problem)
    simulator.reset(0, columns.NEVER, 1, seed=5)
    parts = np.array(
        [
            random_bits(simulator, kind, Node(number, 0, 8, life=life)) / 2**64
            for kind in range(3)
            for number in range(20)
            for life in range(20)
        ]
    )
    assert len(set(parts)) == 1200
    counts = np.histogram(parts, 10, (0.0, 1.0))[0]
    assert ((counts - 120) ** 2 / 120).sum() < 27.9  # chi square, 9 degrees of freedom, 0.1 %


def test_an_environment_draws_another_world_for_each_episode_and_the_same_for_a_seed() -> None:
    problem = small_problem(ONE_JOB, [PoolConfig("gpu", max_nodes=1, failures=FAILING)])
    generator = np.random.default_rng(0)
    seeds = [draw_seed(problem, generator) for _ in range(3)]
    assert all(seed is not None and seed.dtype == np.int64 and seed[0] >= 0 for seed in seeds)
    assert len({int(seed[0]) for seed in seeds if seed is not None}) == 3
    assert draw_seed(small_problem(ONE_JOB), generator) is None
    cluster = ClusterConfig((PoolConfig("gpu", max_nodes=40, failures=FAILING),))
    env = GpuClusterEnv("synthetic:quickstart?days=1", cluster)
    drawn = [env.reset(seed=seed) and env._simulator._world.clusters.clock[0, columns.SEED] for seed in (1, 1, 2, None)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BootConfig(sigma=-1.0), r"boot\.sigma is -1\.0; it must be 0 to 3"),
        (lambda: BootConfig(quantiles_seconds=(2.0, 1.0)), r"boot\.quantiles_seconds is \[2\.0, 1\.0\]; give two or"),
        (lambda: BootConfig(quantiles_seconds=(2.0,)), r"boot\.quantiles_seconds is \[2\.0\]; give two or more"),
        (lambda: BootConfig(failure_probability=1.0), r"boot\.failure_probability is 1\.0; it must be at least 0"),
        (lambda: BootConfig(timeout_seconds=0.0), r"boot\.timeout_seconds is 0\.0; it must be 0\.001 to 1000000000"),
        (lambda: FailureConfig(mean_seconds=0.0), r"failures\.mean_seconds is 0\.0; it must be 1 to 1000000000"),
        (lambda: FailureConfig(repair_seconds=float("nan")), r"failures\.repair_seconds is nan"),
        (
            lambda: FailureConfig(repair_quantiles_seconds=(2.0, 1.0)),
            r"failures\.repair_quantiles_seconds is \[2\.0, 1",
        ),
        (lambda: SpotConfig(notice_seconds=-1.0), r"spot\.notice_seconds is -1\.0; it must be 0 to 1000000000"),
        (lambda: SpotConfig(outage_sigma=4.0), r"spot\.outage_sigma is 4\.0; it must be 0 to 3"),
    ],
)
def test_a_description_without_meaning_is_refused(make, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        make()


def test_no_job_may_restart_is_refused() -> None:
    with pytest.raises(EnvironmentConfigError, match=r"physics\.max_fresh_restarts is 0; it must be at least 1"):
        PhysicsConfig(max_fresh_restarts=0)


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(EnvironmentConfigError, match=r"physics\.seed is -1; it must be 0 to 9223372036854775807"):
        PhysicsConfig(seed=-1)
