"""What energy costs and emits by the hour, against numbers that are worked out by hand, in both simulators."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.baselines import ConstantSetpoint
from agents.setpoints import LearnedSetpoints
from envs.errors import ClusterError, EnvironmentConfigError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import ObjectiveConfig
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig, align_regions
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.builders import Job, Play, make_trace, small_problem
from tests.envs.gpu_cluster.side_by_side import both_simulators, keep_nodes, step_both, whole

JOULES_PER_KWH = 3.6e6
START = "2024-01-01T00:00:00Z"
POWER = PowerConfig(gpu_idle_watts=25.0, gpu_busy_watts=100.0, host_watts=100.0)
"""A node of 4 GPUs: 200 W idle; a GPU that works 125 W with its share of the host, one that does not 50 W."""


def write_signal(folder: Path, name: str, values: list[float], step_minutes: int = 60) -> str:
    """A CSV file of a signal from `START` on; its path."""
    rows = [f"{1704067200 + 60 * step_minutes * index},{value}" for index, value in enumerate(values)]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(["time,value", *rows]) + "\n")
    return str(path)


def region(folder: Path, name: str = "here", carbon: list[float] | None = None, price: list[float] | None = None,
           step_minutes: int = 60) -> RegionConfig:  # fmt: skip
    """A region with signals that begin at second 0 of the trace."""
    signals: dict[str, SignalConfig | None] = {"carbon": None, "price": None}
    for quantity, values, options in (("carbon", carbon, "&basis=average"), ("price", price, "")):
        if values is not None:
            path = write_signal(folder, f"{name}-{quantity}", values, step_minutes)
            uri = f"csv:{path}?quantity={quantity}{options}"
            signals[quantity] = SignalConfig(uri, alignment="offset", start=START)
    return RegionConfig(name, **signals)


def problem_of(jobs: list[Job], regions: tuple[RegionConfig, ...] = (), nodes: int = 1, **config: Any) -> Problem:
    """Jobs on nodes of 4 GPUs that are always on."""
    pools = config.pop("pools", [PoolConfig("gpu", nodes, nodes, 4, power=POWER)])
    return small_problem(jobs, pools, codec=CodecLayout(max_pools=2, window_slots=3), regions=regions, **config)


def test_energy_is_paid_at_the_price_of_its_hour(tmp_path: Path) -> None:
    # A node works from 1800 s to 5400 s: half an hour at 0.10 and half an hour at 0.30 USD/kWh, 4 GPUs at 125 W.
    here = region(tmp_path, price=[0.10, 0.30, 9.0], carbon=[100.0, 500.0, 9.0])
    problem = problem_of([(1800.0, 3600.0, 4.0)], (here,))
    play = Play(problem, timeout=0.0).run()
    assert play.starts() == [1800.0]
    account = play.simulator.account()
    assert account.energy_usd.busy == pytest.approx(0.25 * 0.10 + 0.25 * 0.30, rel=1e-12)
    assert account.carbon_g.busy == pytest.approx(0.25 * 100 + 0.25 * 500, rel=1e-12)
    assert play.simulator.energy().busy == pytest.approx(0.5, rel=1e-12)


def test_a_run_that_ends_inside_an_hour_pays_for_its_part_of_it(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.10, 0.30])
    account = Play(problem_of([(3000.0, 1200.0, 4.0)], (here,)), timeout=0.0).run().simulator.account()
    assert account.energy_usd.total == pytest.approx(0.5 * (600 * 0.10 + 600 * 0.30) / 3600, rel=1e-12)


def test_the_waterfall_of_every_unit_sums_to_its_total(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2, 0.15] * 20, carbon=[100.0, 480.0, 10.0, 0.0] * 20, step_minutes=7)
    jobs = [(60.0 * index, 90.0 + 7 * index, 1.0 + index % 4) for index in range(40)]
    play = Play(problem_of(jobs, (here,), nodes=3, objective=ObjectiveConfig(usd_per_tonne=80.0))).run()
    account, simulator = play.simulator.account(), play.simulator
    for parts in (account.energy_usd, account.carbon_g):
        assert sum(parts) == pytest.approx(parts.total, abs=1e-9)
    assert account.carbon_usd == pytest.approx(account.carbon_g.total * 80.0 / 1e6, rel=1e-12)
    useful = play.totals().used_milli_ms - play.totals().overhead_milli_ms
    paid = -sum(play.rewards) + useful * simulator.problem.settings.usd_per_useful_milli_ms
    assert paid == pytest.approx(account.total_usd, rel=1e-9)
    assert simulator.decided_usd()[0] == pytest.approx(-sum(play.rewards), rel=1e-9)


@pytest.mark.parametrize("interval", [0.1, 10.0])
def test_how_often_it_is_decided_changes_no_energy(tmp_path: Path, interval: float) -> None:
    here = region(tmp_path, price=[0.10, 0.30, 0.5])
    often = {"settle_seconds": interval, "resync_interval_seconds": 10.0}
    problem = problem_of([(0.0, 5000.0, 4.0), (0.0, 1000.0, 2.0)], (here,), nodes=2, **often)
    simulator = Play(problem).run().simulator
    node = 4 * 0.125 / 3600
    assert simulator.energy().busy == pytest.approx(5000 * node + 1000 * node / 2, rel=1e-12)
    assert simulator.energy().fragmentation == pytest.approx(1000 * 2 * 0.050 / 3600, rel=1e-12)
    usd = node * (3600 * 0.1 + 1400 * 0.3) + 1000 * node / 2 * 0.1
    assert simulator.account().energy_usd.busy == pytest.approx(usd, rel=1e-12)


def test_an_idle_node_for_ten_seconds_at_200_watts_is_2000_joules() -> None:
    problem = problem_of([(0.0, 10.0, 4.0), (20.0, 10.0, 4.0)], settle_seconds=1.0)
    fast, slow = both_simulators(problem, whole(problem))
    while not fast.is_done():
        step_both(fast, slow, keep_nodes(problem))
    assert fast.elapsed_ms[0] == 30_000
    assert fast.energy().idle * JOULES_PER_KWH == pytest.approx(2000.0, rel=1e-12)


def test_a_gang_that_is_stopped_has_its_energy_on_both_nodes() -> None:
    # Three of its four seconds, then the episode ends: two nodes of 500 W each.
    problem = problem_of([(0.0, 4.0, 8.0)], nodes=2, settle_seconds=1.0)
    fast, slow = both_simulators(problem, (0, 3000, 1))
    while not fast.is_done():
        step_both(fast, slow, keep_nodes(problem))
    assert fast.energy().busy * JOULES_PER_KWH == pytest.approx(3 * 2 * 500.0, rel=1e-12)
    assert fast.energy().total == fast.energy().busy


def test_two_jobs_of_half_a_node_share_its_energy() -> None:
    energy = Play(problem_of([(0.0, 100.0, 2.0), (0.0, 100.0, 2.0)])).run().simulator.energy()
    assert energy.total * JOULES_PER_KWH == pytest.approx(100 * 500.0, rel=1e-12)
    alone = Play(problem_of([(0.0, 100.0, 2.0)])).run().simulator.energy()
    assert alone.busy == pytest.approx(energy.busy / 2, rel=1e-12)
    assert alone.fragmentation * JOULES_PER_KWH == pytest.approx(100 * 2 * 50.0, rel=1e-12)


def test_no_power_when_off_and_no_boot_give_numbers() -> None:
    pool = PoolConfig("gpu", 2, 0, 4, boot_seconds=0.0, power=POWER)
    account = Play(problem_of([(0.0, 1.0, 1.0)], pools=[pool]), timeout=0.0).run().simulator.account()
    assert account.energy_usd.off == account.energy_usd.boot == account.carbon_g.total == 0.0
    assert np.isfinite(account.total_usd)


def test_nodes_and_their_making_cost_by_the_hour() -> None:
    pool = PoolConfig("gpu", 1, 0, 4, boot_seconds=1800.0, power=POWER, usd_per_node_hour=2.0,
                      embodied_g_per_node_hour=50.0)  # fmt: skip
    objective = ObjectiveConfig(usd_per_tonne=1000.0, carbon_g_per_kwh=400.0)
    play = Play(problem_of([(0.0, 5400.0, 4.0)], pools=[pool], objective=objective), timeout=0.0).run()
    account = play.simulator.account()
    assert (account.node_hours, account.node_usd, account.embodied_g) == (2.0, 4.0, 100.0)
    kwh = 0.5 * 0.2 + 1.5 * 0.5
    assert account.carbon_g.total == pytest.approx(kwh * 400.0, rel=1e-12)
    assert account.carbon_usd == pytest.approx((kwh * 400.0 + 100.0) / 1000.0, rel=1e-12)
    assert account.total_usd == pytest.approx(kwh * 0.15 + 4.0 + account.carbon_usd + account.delay_usd, rel=1e-12)
    assert play.simulator.decided_usd()[0] == pytest.approx(-sum(play.rewards), rel=1e-9)


def test_each_pool_pays_what_its_region_does(tmp_path: Path) -> None:
    regions = (region(tmp_path, "dear", price=[1.0, 1.0]), region(tmp_path, "cheap", price=[0.1, 0.1]))
    pools = [
        PoolConfig("a", 1, 1, 4, boot_seconds=0.0, power=POWER, region="dear"),
        PoolConfig("b", 1, 1, 4, boot_seconds=0.0, power=POWER, region="cheap"),
    ]
    play = Play(problem_of([(0.0, 3600.0, 4.0), (0.0, 3600.0, 4.0)], regions, pools=pools)).run()
    spent = play.simulator.spendings()[:, :, 0].sum(axis=1)
    assert spent == pytest.approx([0.5, 0.05], rel=1e-12)
    assert play.simulator.account().energy_usd.total == pytest.approx(0.55, rel=1e-12)


def test_both_simulators_agree_where_signals_change_within_steps(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2] * 40, carbon=[5.0, 0.0, 700.0, 20.0] * 30, step_minutes=3)
    jobs = [(97.0 * index, 301.0 + 13 * index, 1.0 + index % 4) for index in range(25)]
    pools = [PoolConfig("gpu", 4, 0, 4, power=POWER)]
    objective = ObjectiveConfig(usd_per_tonne=100.0)
    problem = problem_of(jobs, (here,), pools=pools, objective=objective, resync_interval_seconds=1800.0)
    fast, slow = both_simulators(problem, whole(problem))
    while not fast.is_done():
        step_both(fast, slow, keep_nodes(problem))
    assert len(np.unique(fast.spendings()[0, :, 0])) > 3


def test_a_replay_by_rule_spends_what_steps_do(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2] * 40, carbon=[5.0, 0.0, 700.0, 20.0] * 30, step_minutes=3)
    jobs = [(97.0 * index, 301.0 + 13 * index, 1.0 + index % 4) for index in range(25)]
    stepped = Play(problem_of(jobs, (here,))).run().simulator
    replayed = Play(problem_of(jobs, (here,))).simulator
    replayed.replay(np.array([replayed.problem.config.codec.setpoint(600.0, 0.0)]))
    np.testing.assert_array_equal(replayed.spendings(), stepped.spendings())
    assert replayed.account() == stepped.account()


@pytest.mark.slow
@pytest.mark.parametrize("consolidation", [0, 1])
def test_costs_of_a_replay_by_policy_are_those_of_every_hour(tmp_path: Path, consolidation: int) -> None:
    here = region(tmp_path, price=[0.1, 0.3, 0.2] * 40, step_minutes=3)
    jobs = [(97.0 * index, 301.0 + 13 * index, 1.0 + index % 4) for index in range(25)]
    codec = CodecLayout(max_pools=1, window_slots=3, consolidation=True)
    problem = small_problem(jobs, [PoolConfig("gpu", 4, 0, 4, power=POWER)], codec=codec, regions=(here,))
    start = ConstantSetpoint(codec, consolidation=consolidation)
    policy = LearnedSetpoints("p", start, ("since_submit",), (), np.zeros(4))
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    simulator.replay_policies(policy.policies, np.array([0]), policy.rule)
    assert simulator.take_costs().sum() == pytest.approx(float(simulator.decided_usd()[0]), rel=1e-9)


def test_after_its_end_a_signal_goes_on_with_its_last_week(tmp_path: Path) -> None:
    values = [0.1] * (7 * 24 - 1) + [0.7]  # the last hour of the week
    here = region(tmp_path, price=values)
    problem = problem_of([(6 * 86400.0, 86400.0, 4.0)], (here,))
    edges, rates = problem.prices.tariff.edges_ms, problem.prices.tariff.rates[:, 0, 4]
    week = 7 * 24 * 3_600_000
    at = np.searchsorted(edges, [week - 1, week, 2 * week - 1], side="right") - 1
    assert rates[at] / rates.min() == pytest.approx([7.0, 1.0, 7.0])


def test_a_signal_that_does_not_cover_the_trace_is_refused_with_the_missing_part(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.2])
    with pytest.raises(
        EnvironmentConfigError, match=r"region here: price.*no values from 2024-01-01 02:00 UTC to 2024-01-01 03"
    ):
        problem_of([(0.0, 10800.0, 1.0)], (here,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uri": "synthetic:solr"}, "did you mean 'solar'"),
        ({"uri": "synthetic:price"}, "is a signal of price, not of carbon"),
        ({"forecast": "persistance"}, "did you mean 'persistence'"),
    ],
)
def test_a_signal_that_cannot_be_is_one_clear_line(change: dict[str, str], message: str) -> None:
    config = SignalConfig(**{"uri": "synthetic:solar", "alignment": "offset", "start": START, **change})  # type: ignore[arg-type]
    with pytest.raises(EnvironmentConfigError, match=message):
        problem_of([(0.0, 60.0, 1.0)], (RegionConfig("here", carbon=config),))


def test_settings_that_have_no_meaning_are_refused() -> None:
    with pytest.raises(EnvironmentConfigError, match="did you mean 'season'"):
        SignalConfig("synthetic:solar", alignment="seasons")
    with pytest.raises(EnvironmentConfigError, match="give a start with alignment offset"):
        SignalConfig("synthetic:solar", start=START)
    with pytest.raises(EnvironmentConfigError, match="write it as 2022"):
        SignalConfig("synthetic:solar", alignment="offset", start="noon")
    with pytest.raises(EnvironmentConfigError, match="'a' is used twice"):
        problem_of([(0.0, 1.0, 1.0)], (RegionConfig("a"), RegionConfig("a")))
    with pytest.raises(ClusterError, match="no region 'her'; did you mean 'here'"):
        problem_of([(0.0, 1.0, 1.0)], (RegionConfig("here"),), pools=[PoolConfig("gpu", 1, region="her")])


def test_parts_of_a_trace_are_laid_over_the_hours_of_the_whole() -> None:
    trace = make_trace([(0.0, 60.0, 1.0), (40 * 86400.0, 60.0, 1.0)])
    trace = replace(trace, metadata=replace(trace.metadata, start_time=datetime.fromisoformat("2022-12-01")))
    described = (RegionConfig("here", carbon=SignalConfig("synthetic:solar?days=366")),)
    (found,) = align_regions(described, trace)
    assert found.carbon is not None
    assert found.carbon.alignment == "offset"
    assert align_regions((found,), trace) == (found,)
