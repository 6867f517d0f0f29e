"""What is true in every world, whatever is decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.codec import Pool
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as columns
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.worlds import kernel_property, problems

MAX_STEPS = 600
WORLD = kernel_property(examples=50)
SEEDS = st.integers(0, 2**32 - 1)


def play(problem: Problem, seed: int) -> Iterator[Simulator]:
    """The whole trace under random actions, at its beginning and after each step."""
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    generator = np.random.default_rng(seed)
    yield simulator
    for _ in range(MAX_STEPS):
        if simulator.is_done():
            return
        simulator.step(generator.integers(problem.config.codec.action_sizes)[None])
        yield simulator
    # Random actions may hold and scale for ever; the rest of the trace runs under one rule.
    simulator.replay(np.array([problem.config.codec.setpoint(600.0, 0.0)]))


def end_of(problem: Problem, seed: int) -> Simulator:
    *_, last = play(problem, seed)
    return last


def starts_of(simulator: Simulator) -> np.ndarray:
    """[J] start of each job in ms."""
    starts: np.ndarray = simulator.job_times().start_ms
    return starts


def ends_of(simulator: Simulator) -> np.ndarray:
    """[J] end of each job in ms."""
    ends: np.ndarray = simulator.job_times().end_ms
    return ends


@pytest.mark.slow
@WORLD
@given(problem=problems(), seed=SEEDS)
def test_every_job_runs_once_and_for_as_long_as_it_asked(problem: Problem, seed: int) -> None:
    simulator = end_of(problem, seed)
    clock, jobs = simulator._world.clusters.clock[0], problem.jobs[:-1]
    assert clock[columns.FINISHED] == problem.num_jobs
    assert clock[columns.RUNNING] == clock[columns.PENDING_MILLI] == 0
    pools = simulator._world.clusters.pool[0]
    starts, ends = starts_of(simulator), ends_of(simulator)
    preemptions = pools[:, columns.PREEMPTIONS].sum()
    assert preemptions == 0 or problem.settings.queue.preempts
    suspensions = pools[:, columns.SUSPENSIONS].sum()
    assert suspensions == 0 or problem.config.codec.suspension
    if not problem.settings.has_curves and preemptions == suspensions == 0:
        _check_run_times(simulator, starts, ends)
    if not problem.config.codec.consolidation:
        assert pools[:, columns.MOVES].sum() == 0
    assert (starts != columns.NEVER).all()
    assert (starts >= jobs[:, columns.SUBMIT_MS]).all()
    due = jobs[:, columns.SUBMIT_MS]
    if problem.settings.queue.waits_free:
        due = np.maximum(due, jobs[:, columns.LATEST_MS])
    waited = np.maximum(starts - due, 0) @ jobs[:, columns.MILLI]
    assert (
        clock[columns.WAITED_MILLI_MS] == waited
        if preemptions + suspensions == 0
        else clock[columns.WAITED_MILLI_MS] >= waited
    )
    assert clock[columns.NOW] == ends.max()


def _check_run_times(simulator: Simulator, starts: np.ndarray, ends: np.ndarray) -> None:
    """Where all jobs have their reference speed, they wait for their data, run for their duration and for each move."""
    jobs, pools = simulator.problem.jobs[:-1], simulator._world.clusters.pool[0]
    requested = jobs[:, columns.MILLI] @ jobs[:, columns.DURATION_MS]
    overhead = pools[:, columns.OVERHEAD_MILLI_MS].sum()
    assert pools[:, columns.USED_MILLI_MS].sum() == requested + overhead
    late = ends - starts - jobs[:, columns.DURATION_MS]
    move_ms = simulator.problem.settings.move_ms
    assert (late >= 0).all()
    assert late @ jobs[:, columns.MILLI] == overhead
    # It ran in one of the pools, and its data came there.
    transfer_ms = simulator.problem.transfer_ms
    moves_ms = late[:, None] - transfer_ms
    is_fixed = jobs[:, columns.FLAGS] & columns.MOVABLE == 0
    assert (moves_ms[is_fixed] == 0).any(axis=1).all()
    # A gang may have parts on several nodes that are emptied, each a move of its own.
    least, most = transfer_ms.min(axis=1).sum(), transfer_ms.max(axis=1).sum()
    assert least <= late.sum() - pools[:, columns.MOVES].sum() * move_ms <= most


@pytest.mark.slow
@WORLD
@given(problem=problems(), seed=SEEDS)
def test_a_start_stays_what_it_was(problem: Problem, seed: int) -> None:
    before = np.full(problem.num_jobs, columns.NEVER)
    finished = 0
    for simulator in play(problem, seed):
        starts, clock = starts_of(simulator), simulator._world.clusters.clock[0]
        known = before != columns.NEVER
        np.testing.assert_array_equal(starts[known], before[known])
        started = int((starts != columns.NEVER).sum())
        waiting = clock[columns.QUEUE_TAIL] - clock[columns.QUEUE_HEAD]
        waiting += clock[columns.SUSPENDED]
        assert clock[columns.RUNNING] + clock[columns.FINISHED] + waiting == clock[columns.NEXT_JOB]
        again = started - clock[columns.RUNNING] - clock[columns.FINISHED]
        assert 0 <= again <= sum(pool.preemptions + pool.suspensions for pool in simulator.pool_totals())
        assert clock[columns.FINISHED] >= finished
        before, finished = starts.copy(), int(clock[columns.FINISHED])


@pytest.mark.slow
@WORLD
@given(problem=problems(), seed=SEEDS)
def test_nodes_stay_within_their_limits_and_gpus_within_the_nodes_that_are_on(problem: Problem, seed: int) -> None:
    for simulator in play(problem, seed):
        snapshot = simulator.snapshot()
        for index, pool in enumerate(problem.cluster.pools):
            row = snapshot.pools[index]
            nodes = row[Pool.IDLE_NODES] + row[Pool.BUSY_NODES] + row[Pool.BOOTING_NODES]
            assert pool.min_nodes <= nodes <= pool.max_nodes
            assert 0 <= row[Pool.USED_GPUS] <= row[Pool.BUSY_NODES] * pool.gpus_per_node
            free = snapshot.free_nodes[index]
            assert free.min() >= 0
            assert free.sum() == row[Pool.BUSY_NODES]
            unshared = free @ np.arange(free.size) + row[Pool.SHARED_FREE_GPUS]
            assert row[Pool.USED_GPUS] + unshared == pytest.approx(row[Pool.BUSY_NODES] * pool.gpus_per_node)
            ages = snapshot.idle_age_nodes[index]
            assert ages[0] == row[Pool.IDLE_NODES]
            assert (np.diff(ages) <= 0).all()
        assert snapshot.pools[len(problem.cluster.pools) :].sum() == 0


@WORLD
@given(problem=problems(), seed=SEEDS)
def test_energy_and_money_add_up(problem: Problem, seed: int) -> None:
    """Node time to pool size times time; parts to the total; rewards to the price of all that decisions change."""
    rewards = 0.0
    for simulator in play(problem, seed):
        rewards += simulator.rewards[0]
    clock, pools = simulator._world.clusters.clock[0], simulator._world.clusters.pool[0]
    elapsed = clock[columns.NOW] - clock[columns.EPISODE_START]
    for row, pool in zip(pools, problem.cluster.pools, strict=True):
        on = row[columns.IDLE_NODE_MS] + row[columns.BUSY_NODE_MS] + row[columns.BOOT_NODE_MS]
        assert pool.min_nodes * elapsed <= on <= pool.max_nodes * elapsed
        assert row[columns.USED_MILLI_MS] <= row[columns.BUSY_NODE_MS] * pool.gpus_per_node * 1000
        assert row[columns.NODES_ADDED] - row[columns.NODES_REMOVED] == (
            row[columns.IDLE_TAIL] - row[columns.IDLE_HEAD]
            + row[columns.BUSY] + row[columns.BOOT_TAIL] - row[columns.BOOT_HEAD] - pool.min_nodes
        )  # fmt: skip
    energy = simulator.energy()
    parts = energy.to_dict()
    total = parts.pop("total")
    assert sum(parts.values()) == total == energy.total
    assert min(parts.values()) >= 0.0
    if simulator.decisions[0] <= MAX_STEPS:
        prices, account = problem.config.objective, simulator.account()
        lost = pools[:, columns.OVERHEAD_MILLI_MS].sum()
        least_watts = min(
            (pool.power.gpu_busy_watts + pool.power.host_watts / pool.gpus_per_node) * pool.power.pue
            for pool in problem.cluster.pools
        )
        useful = pools[:, columns.USED_MILLI_MS].sum() - lost
        hours = (clock[columns.WAITED_MILLI_MS] + lost) / 3.6e9
        whole = account.total_usd
        if not problem.config.regions:
            useful_kwh = useful / 3.6e12 * least_watts
            usd = (total - useful_kwh) * prices.usd_per_kwh + hours * prices.usd_per_gpu_hour
            assert -rewards == pytest.approx(usd, rel=1e-9, abs=1e-9)
            assert whole == pytest.approx(total * prices.usd_per_kwh + account.delay_usd, rel=1e-9, abs=1e-9)
        assert account.delay_usd == pytest.approx(hours * prices.usd_per_gpu_hour, rel=1e-9, abs=1e-9)
        assert sum(account.carbon_g) == pytest.approx(account.carbon_g.total, abs=1e-9)
        useful_usd = useful * problem.settings.usd_per_useful_milli_ms
        assert -rewards == pytest.approx(whole - useful_usd, rel=1e-9, abs=1e-9)
        assert -rewards == pytest.approx(simulator.decided_usd()[0], rel=1e-9, abs=1e-9)


@pytest.mark.slow
@WORLD
@given(problem=problems(), seed=SEEDS, data=st.data())
def test_what_comes_later_changes_nothing_before(problem: Problem, seed: int, data: st.DataObject) -> None:
    """Other jobs are submitted after a moment, and jobs that run or wait then run longer: all before is the same."""
    jobs = problem.jobs[:-1]
    last_ms = int(jobs[-1, columns.SUBMIT_MS])
    moment = data.draw(st.integers(int(jobs[0, columns.SUBMIT_MS]), last_ms + 20_000_000), label="moment_ms")
    unfinished = ends_of(end_of(problem, seed)) > moment
    changed = _changed(problem, unfinished, jobs[:, columns.SUBMIT_MS] > moment)
    compared = 0
    for ours, theirs in zip(play(problem, seed), play(changed, seed), strict=False):
        times = [int(one.time_ms[0]) for one in (ours, theirs)]
        if max(times) > moment:
            assert min(times) > moment
            break
        assert times[0] == times[1]
        for one, other in zip(ours.snapshot(), theirs.snapshot(), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(ours.observations, theirs.observations)
        np.testing.assert_array_equal(ours.action_masks, theirs.action_masks)
        np.testing.assert_array_equal(ours._world.outcome.placement, theirs._world.outcome.placement)
        np.testing.assert_array_equal(ours.target_nodes, theirs.target_nodes)
        np.testing.assert_array_equal(ours._world.outcome.levers, theirs._world.outcome.levers)
        assert ours.rewards[0] == theirs.rewards[0]
        compared += 1
    assert compared > 0


def _changed(problem: Problem, unfinished: np.ndarray, future: np.ndarray) -> Problem:
    """The same world with another future: longer runs, and later submissions that come later and request one GPU."""
    jobs = problem.jobs.copy()
    rows = jobs[:-1]
    rows[future, columns.SUBMIT_MS] += 7000
    rows[unfinished, columns.DURATION_MS] += 3_333_000
    rows[future, columns.MILLI] = np.minimum(rows[future, columns.MILLI], 1000)
    jobs[1:, columns.MILLI_BEFORE] = np.cumsum(rows[:, columns.MILLI])
    return replace(problem, jobs=jobs)
