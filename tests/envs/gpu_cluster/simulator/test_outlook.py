"""What a policy is told of energy in a run, when it may decide on it, and what deferral and another place then save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import HOLD, CodecLayout, PoolSignal, signal_row
from envs.gpu_cluster.config import ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.outlook import Outlook
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.builders import Job, Play, small_problem
from tests.envs.gpu_cluster.side_by_side import both_simulators, step_both, whole
from tests.envs.gpu_cluster.simulator.test_tariff import POWER, START, region, write_signal

HOUR_MS = 3_600_000
LAYOUT = CodecLayout(max_pools=2, window_slots=1, signals=True)
NODES = PoolConfig("gpu", 1, 1, 4, power=POWER)


def problem_of(
    jobs: list[Job], regions: tuple[RegionConfig, ...], pools: tuple[PoolConfig, ...] = (NODES,), **config: Any
) -> Problem:
    """Jobs on nodes of 4 GPUs that are always on, with signals in the observation."""
    config = {"codec": LAYOUT, "settle_seconds": 1.0, "resync_interval_seconds": 86400.0, **config}
    return small_problem(jobs, pools, regions=regions, **config)


def outlook_of(problem: Problem) -> Outlook:
    return problem.prices.outlook


def prices(outlook: Outlook, at: int, pool: int = 0) -> NDArray[np.float64]:
    """Now and the next 24 hours in piece `at`."""
    return outlook.rows[at, pool, PoolSignal.USD_PER_KWH :]


def test_each_hour_of_a_trace_has_its_row(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2], carbon=[100.0, 200.0, 0.0])
    outlook = outlook_of(problem_of([(1800.0, 7200.0, 1.0)], (here,), objective=ObjectiveConfig(usd_per_tonne=1000.0)))
    assert outlook.edges_ms[:3].tolist() == [1_800_000, HOUR_MS, 2 * HOUR_MS]
    assert prices(outlook, 0)[0] == pytest.approx(0.2)
    assert prices(outlook, 1)[0] == pytest.approx(0.5)
    # What is now is expected to stay, but for the hour of which yesterday's value is known: hour 0, in 23 hours.
    assert prices(outlook, 1)[1:] == pytest.approx([*[0.5] * 22, 0.2, 0.5])
    assert outlook.rows[:3, 0, PoolSignal.CARBON_G_PER_KWH].tolist() == [100.0, 200.0, 0.0]


@pytest.mark.parametrize("forecast", ["persistence", "last-week", "ridge", "perfect"])
def test_rows_are_those_that_a_live_loop_computes_at_any_moment_of_the_hour(tmp_path: Path, forecast: str) -> None:
    values = (0.1 + 0.01 * (np.arange(30 * 24) % 24) + 0.001 * np.arange(30 * 24)).tolist()
    signal = SignalConfig(
        f"csv:{write_signal(tmp_path, 'price', values)}?quantity=price", "offset", START, forecast=forecast
    )
    problem = problem_of([(25 * 86400.0, 4 * 86400.0, 1.0)], (RegionConfig("here", price=signal),))
    outlook, forecaster = outlook_of(problem), load_forecaster(signal)
    for index in (1, 20, 50):
        moment = 1704067200.0 + outlook.edges_ms[index] / 1000.0 + 1234.5
        live = signal_row(moment, Recorded(forecaster), 0.0, 0.0)
        np.testing.assert_array_equal(outlook.rows[index, 0], live)


def load_forecaster(config: SignalConfig) -> Any:
    from traces.signals import make_forecaster

    return make_forecaster(config.forecast, config.load("price"))


class Recorded:
    """A recorded signal with its forecaster, as a live source shows it."""

    def __init__(self, forecaster: Any) -> None:
        self.at = forecaster.signal.at
        self.forecast = forecaster.forecast


@pytest.mark.parametrize("forecast", ["persistence", "last-week", "ridge"])
def test_what_comes_later_changes_nothing_that_was_told_before(tmp_path: Path, forecast: str) -> None:
    generator = np.random.default_rng(0)
    values = generator.uniform(0.1, 0.3, 30 * 24)
    told = []
    for index, later in enumerate((values[-72:], values[-72:] * 9.0)):
        path = write_signal(tmp_path, f"price{index}", [*values[:-72], *later])
        signal = SignalConfig(f"csv:{path}?quantity=price", "offset", START, forecast=forecast)
        problem = problem_of([(24 * 86400.0, 5 * 86400.0, 1.0)], (RegionConfig("here", price=signal),))
        told.append(outlook_of(problem))
    before = np.searchsorted(told[0].edges_ms, 27 * 24 * HOUR_MS)
    assert before == 72
    np.testing.assert_array_equal(told[0].rows[:before], told[1].rows[:before])
    assert (told[0].rows[before] != told[1].rows[before]).any()


def test_a_perfect_forecast_tells_the_truth(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0.1, 0.3, 48).tolist()
    signal = SignalConfig(
        f"csv:{write_signal(tmp_path, 'price', values)}?quantity=price", "offset", START, forecast="perfect"
    )
    outlook = outlook_of(problem_of([(0.0, 86400.0, 1.0)], (RegionConfig("here", price=signal),)))
    assert prices(outlook, 5).tolist() == values[5:30]


def test_pools_are_told_of_their_own_region_and_of_none_where_they_have_none(tmp_path: Path) -> None:
    regions = (RegionConfig("plain"), region(tmp_path, "priced", price=[0.1, 0.4]))
    pools = (replace(NODES, name="a"), replace(NODES, name="b", region="priced"))
    outlook = outlook_of(problem_of([(0.0, 3600.0, 1.0)], regions, pools))
    assert outlook.rows[:, 0, PoolSignal.KNOWN].tolist() == [0.0, 0.0]
    assert outlook.rows[:, 1, PoolSignal.KNOWN].tolist() == [1.0, 1.0]
    assert outlook.rows[:, 0, PoolSignal.USD_PER_KWH].tolist() == [0.15, 0.15]
    assert outlook.rows[:, 1, PoolSignal.USD_PER_KWH].tolist() == [0.1, 0.4]


def test_nothing_is_told_where_the_switch_is_off(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.4])
    problem = problem_of([(0.0, 3600.0, 1.0)], (here,), codec=replace(LAYOUT, signals=False))
    assert outlook_of(problem).edges_ms.size == 0


def test_it_is_decided_when_an_hour_begins(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.1, 0.1, 0.4])
    played = Play(problem_of([(600.0, 9000.0, 4.0)], (here,)), timeout=0.0).run()
    assert played.times == [600.0, 3600.0, 7200.0, 9600.0]
    silent = problem_of([(600.0, 9000.0, 4.0)], (here,), codec=replace(LAYOUT, signals=False))
    assert Play(silent, timeout=0.0).run().times == [600.0, 9600.0]


def test_a_replay_by_rule_decides_when_steps_do(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2] * 40)
    jobs = [(397.0 * index, 3001.0 + 13 * index, 1.0 + index % 4) for index in range(25)]
    played = Play(problem_of(jobs, (here,))).run()
    replayed = Simulator.from_problem(played.simulator.problem)
    replayed.reset_all()
    replayed.replay(np.array([LAYOUT.setpoint(600.0, 0.0)]))
    assert replayed.decisions[0] == played.simulator.decisions[0] > 0
    np.testing.assert_array_equal(replayed.snapshot(0).pool_signals, played.simulator.snapshot(0).pool_signals)
    np.testing.assert_array_equal(replayed.spendings(), played.simulator.spendings())


def deferrable(regions: tuple[RegionConfig, ...], pools: tuple[PoolConfig, ...]) -> Problem:
    """One job of an hour on a whole node, that may start until 3 hours after its submission."""
    return problem_of(
        [(0.0, 3600.0, 4.0)],
        regions,
        pools,
        columns={"latest_start_seconds": [3 * 3600.0], "predicted_duration_seconds": [3600.0]},
        physics=PhysicsConfig(queue=QueueConfig(deferral=True)),
        objective=ObjectiveConfig(usd_per_tonne=100.0, usd_per_gpu_hour=1.0),
    )


def play_both(problem: Problem, placements: dict[float, int]) -> Simulator:
    """Both simulators with a placement from each moment (s) on; all that they count is equal."""
    fast, slow = both_simulators(problem, whole(problem))
    setpoint = LAYOUT.setpoint(0.0, 0.0)
    while not fast.is_done():
        placement = [chosen for moment, chosen in placements.items() if moment <= fast.time_seconds[0]][-1]
        step_both(fast, slow, np.array([setpoint, setpoint, placement]))
    return fast


def work_usd(simulator: Simulator) -> float:
    """Energy of GPUs that work, and its carbon."""
    account = simulator.account()
    return account.energy_usd.busy + account.carbon_g.busy * 100.0 / 1e6


def test_a_job_that_is_held_for_two_hours_costs_what_that_hour_costs(tmp_path: Path) -> None:
    # 4 GPUs at 125 W for an hour: 0.5 kWh. Now 0.30 USD and 400 g a kWh (0.04 USD), in two hours 0.10 and 100 g.
    here = region(tmp_path, price=[0.30, 0.20, 0.10, 0.40, 0.4], carbon=[400.0, 300.0, 100.0, 500.0, 500.0])
    problem = deferrable((here,), (NODES,))
    at_once = play_both(problem, {0.0: 1})
    held = play_both(problem, {0.0: HOLD, 7200.0: 1})
    assert at_once.job_times().start_ms.tolist() == [0]
    assert held.job_times().start_ms.tolist() == [2 * HOUR_MS]
    assert at_once.account().total_usd == pytest.approx(0.5 * (0.30 + 0.04), rel=1e-12)
    assert work_usd(held) == pytest.approx(0.5 * (0.10 + 0.01), rel=1e-12)
    # The node is idle for two hours at 200 W. The wait is free until the latest start.
    idle = 0.2 * (0.30 + 0.04) + 0.2 * (0.20 + 0.03)
    assert held.account().total_usd == pytest.approx(idle + 0.5 * (0.10 + 0.01), rel=1e-12)


def test_a_job_that_is_held_for_ever_starts_at_its_latest_start(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.30, 0.20, 0.10, 0.40, 0.4])
    held = play_both(deferrable((here,), (NODES,)), {0.0: HOLD})
    assert held.job_times().start_ms.tolist() == [3 * HOUR_MS]


def test_a_job_goes_to_the_region_where_energy_is_cheap(tmp_path: Path) -> None:
    regions = (
        region(tmp_path, "dear", price=[0.30, 0.20, 0.10, 0.40]),
        region(tmp_path, "cheap", price=[0.08, 0.40, 0.50, 0.60]),
    )
    pools = (replace(NODES, name="a", region="dear"), replace(NODES, name="b", region="cheap"))
    problem = deferrable(regions, pools)
    assert work_usd(play_both(problem, {0.0: 2})) == pytest.approx(0.5 * 0.08, rel=1e-12)
    assert work_usd(play_both(problem, {0.0: 1})) == pytest.approx(0.5 * 0.30, rel=1e-12)
    assert work_usd(play_both(problem, {0.0: HOLD, 7200.0: 1})) == pytest.approx(0.5 * 0.10, rel=1e-12)


def test_a_signal_that_does_not_cover_the_trace_is_refused_with_signals_on(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentConfigError, match=r"region here: price.*no values from 2024-01-01 02:00 UTC"):
        problem_of([(0.0, 10800.0, 1.0)], (region(tmp_path, price=[0.1, 0.2]),))
