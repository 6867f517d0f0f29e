"""What a run spent is attributed to jobs and pools, and nothing of it is lost or counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import SimulatorError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.simulator import AMOUNTS, SPENDINGS, Simulator, Usage, attribute_usage
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.builders import drawn_episodes, small_problem
from tests.envs.gpu_cluster.players import STYLES, Player
from tests.envs.gpu_cluster.side_by_side import keep_nodes, used, whole
from tests.envs.gpu_cluster.worlds import HOURLY, kernel_property, problems

MOST_STEPS = 150
JOULES_PER_KWH = 3.6e6
USED, GRAMS = AMOUNTS.index("used_milli_ms"), SPENDINGS.index("carbon_g")
ONE_NODE = PoolConfig("gpu", max_nodes=1, min_nodes=1, boot_seconds=0.0)


def play(
    problem: Problem, style: str = "levers", seed: int = 0, episode: Sequence[int] = (), steps: int = MOST_STEPS
) -> Simulator:
    """A run of so many decisions, with its event log."""
    simulator = used(problem, log_rows=None)
    simulator.reset(np.array([0]), np.array([episode or whole(problem)]))
    player = Player(problem.config.codec, style, np.random.default_rng(seed))
    for _ in range(steps):
        if simulator.is_done():
            break
        simulator.step(player.act(simulator.action_masks[0])[None])
    return simulator


def run(problem: Problem, episode: Sequence[int] = ()) -> Simulator:
    """A run that keeps its nodes and starts jobs where they fit."""
    simulator = Simulator.from_problem(problem, log_rows=None)
    simulator.reset(np.array([0]), np.array([episode or whole(problem)]))
    while not simulator.is_done():
        simulator.step(keep_nodes(problem)[None])
    return simulator


def usage_of(simulator: Simulator) -> Usage:
    return attribute_usage(simulator, simulator.event_log())


def assert_sums_to_the_account(simulator: Simulator) -> None:
    """Every column sums to what the simulator counted, over all and in each pool."""
    usage, account, totals = usage_of(simulator), simulator.account(), simulator.pool_totals()
    sums = {name: values.sum() for name, values in usage.columns.items()}
    expected = {
        "gpu_hours": sum(pool.used_gpu_hours for pool in totals),
        "waited_gpu_hours": simulator.waited_gpu_hours[0],
        "overhead_gpu_hours": sum(pool.overhead_milli_ms for pool in totals) / 3.6e9,
        "node_hours": account.node_hours,
        "transfer_kwh": simulator.energy().transfer,
        "kwh": simulator.energy().total,
        "energy_usd": account.energy_usd.total,
        "carbon_g": account.carbon_g.total,
        "embodied_g": account.embodied_g,
        "carbon_usd": account.carbon_usd,
        "node_usd": account.node_usd,
        "transfer_usd": account.transfer_usd,
        "delay_usd": account.delay_usd,
        "total_usd": account.total_usd,
    }
    for name, value in expected.items():
        assert sums[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    by_pool, spent = usage.sums(usage.pool, len(totals)), simulator.spendings().sum(axis=1)
    for name, column in (("energy_usd", "energy_usd"), ("carbon_g", "carbon_g"), ("kwh", "kwh")):
        np.testing.assert_allclose(by_pool[name], spent[:, SPENDINGS.index(column)], rtol=1e-9, atol=1e-12)
    own = simulator.spendings()[:, USED, SPENDINGS.index("kwh")]
    np.testing.assert_allclose(by_pool["own_kwh"], own, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_pool["node_hours"], [pool.node_hours for pool in totals], rtol=1e-9)


def with_prices_of_nodes(problem: Problem) -> Problem:
    """Where nodes themselves cost and emit, another amount in each pool."""
    pools = [
        replace(pool, usd_per_node_hour=1.5 + index, embodied_g_per_node_hour=40.0)
        for index, pool in enumerate(problem.cluster.pools)
    ]
    return replace(problem, cluster=ClusterConfig(tuple(pools)))


@kernel_property(examples=30)
@given(
    problem=problems(max_jobs=16) | problems(max_jobs=16, is_stochastic=True) | problems(max_jobs=12, has_grid=True),
    style=st.sampled_from(STYLES),
    seed=st.integers(0, 99),
    is_window=st.booleans(),
    steps=st.sampled_from([0, 1, 7, 60, MOST_STEPS]),
)
def test_jobs_and_pools_sum_to_what_the_simulator_counted(
    problem: Problem, style: str, seed: int, is_window: bool, steps: int
) -> None:
    problem = with_prices_of_nodes(problem)
    episode = drawn_episodes(problem, 1)[0].tolist() if is_window else ()
    assert_sums_to_the_account(play(problem, style, seed, episode, steps))


def test_two_jobs_on_half_of_a_node_each_have_half_of_the_node() -> None:
    simulator = run(small_problem([(0.0, 4.0, 4.0), (0.0, 4.0, 4.0)], [ONE_NODE]))
    usage, watts = usage_of(simulator), ONE_NODE.power.watts(8)
    own_joules = 4.0 * 4 * watts.busy_gpu * ONE_NODE.power.pue
    assert (usage.columns["own_kwh"] * JOULES_PER_KWH).tolist() == pytest.approx([own_joules] * 2)
    assert usage.columns["kwh"].tolist() == pytest.approx([simulator.energy().total / 2] * 2)


def test_idle_gpus_of_a_node_are_shared_by_gpu_time() -> None:
    """One job has 1 GPU for 4 s and one 3 GPUs for 4 s; the other 4 GPUs of the node are idle."""
    simulator = run(small_problem([(0.0, 4.0, 1.0), (0.0, 4.0, 3.0)], [ONE_NODE]))
    usage, energy = usage_of(simulator), simulator.energy()
    rest = energy.total - energy.busy
    assert rest == pytest.approx(energy.fragmentation)
    assert rest > 0
    assert usage.columns["own_kwh"].tolist() == pytest.approx([energy.busy / 4, energy.busy * 3 / 4])
    assert usage.columns["shared_kwh"].tolist() == pytest.approx([rest / 4, rest * 3 / 4])


def test_a_gang_that_is_cut_off_after_3_of_4_seconds_has_3_seconds_on_both_nodes() -> None:
    pool = replace(ONE_NODE, max_nodes=2, min_nodes=2)
    simulator = run(small_problem([(0.0, 4.0, 16.0)], [pool]), (0, 3000, 1))
    assert simulator.is_truncated()
    usage = usage_of(simulator)
    assert usage.columns["gpu_hours"].tolist() == [3.0 * 16 / 3600]
    joules = 3.0 * 16 * pool.power.watts(8).busy_gpu * pool.power.pue
    assert usage.columns["kwh"][0] * JOULES_PER_KWH == pytest.approx(joules)


def test_what_a_pool_spends_without_a_job_is_nobodys() -> None:
    pools = [replace(ONE_NODE, gpu_model="T4"), replace(ONE_NODE, name="spare", gpu_model="V100")]
    usage = usage_of(run(small_problem([(0.0, 60.0, 8.0)], pools, models=[["T4"]])))
    assert usage.job.tolist() == [0, -1]
    assert usage.pool.tolist() == [0, 1]
    assert usage.columns["own_kwh"][1] == 0.0
    assert usage.columns["kwh"][1] == pytest.approx(pools[1].power.watts(8).idle_node * pools[1].power.pue / 60_000)


def test_a_job_that_never_ran_has_waited_and_nothing_else() -> None:
    usage = usage_of(run(small_problem([(0.0, 3600.0, 8.0), (0.0, 60.0, 2.0)], [ONE_NODE]), (0, 1_800_000, 2)))
    assert usage.pool.tolist() == [0, -1]
    assert usage.columns["delay_usd"].tolist() == [0.0, pytest.approx(2 * 0.5)]
    assert usage.columns["kwh"][1] == usage.columns["node_hours"][1] == 0.0


def test_energy_costs_what_its_hour_costs() -> None:
    """Two jobs half a day apart, the second of two hours and a half: each emits by the intensity of its own hours."""
    jobs = [(0.0, 1800.0, 8.0), (12 * 3600.0, 9000.0, 8.0)]
    simulator = run(small_problem(jobs, [ONE_NODE], regions=(HOURLY,)))
    tariff, times = simulator.problem.prices.tariff, simulator.job_times()
    expected = np.zeros(2)
    for job, (start, end) in enumerate(zip(times.start_ms.tolist(), times.end_ms.tolist(), strict=True)):
        for ms in range(start, end, 1000):  # each second at the rate of its piece
            piece = np.searchsorted(tariff.edges_ms, ms, side="right") - 1
            expected[job] += 8000 * 1000 * tariff.spending_rates[piece, 0, USED, GRAMS]
    spent = usage_of(simulator).columns
    rest = simulator.account().carbon_g.total - expected.sum()
    share = spent["gpu_hours"] / spent["gpu_hours"].sum()
    assert spent["carbon_g"].tolist() == pytest.approx((expected + rest * share).tolist())
    assert expected[1] != pytest.approx(5 * expected[0], rel=0.05)


def test_a_run_that_has_not_begun_has_used_nothing() -> None:
    simulator = Simulator.from_problem(small_problem([(5.0, 60.0, 1.0)], [ONE_NODE]), log_rows=None)
    simulator.reset_all()
    usage = usage_of(simulator)
    assert usage.job.tolist() == [0, -1]
    assert {float(values.sum()) for values in usage.columns.values()} == {0.0}


def test_a_log_that_does_not_say_everything_is_refused() -> None:
    simulator = run(small_problem([(0.0, 60.0, 1.0)], [ONE_NODE]))
    with pytest.raises(SimulatorError, match=r"the event log has 0 of 60000000 thousandths.*from its reset on"):
        attribute_usage(simulator, simulator.event_log().slice(0, 0))
