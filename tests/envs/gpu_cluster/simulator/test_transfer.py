"""Jobs that start where their data are not, against numbers that are worked out by hand, in both simulators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.errors import ClusterError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import SUSPENSION_CHOICES, CodecLayout
from envs.gpu_cluster.config import ObjectiveConfig
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.regions import RegionConfig
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from envs.gpu_cluster.transfer import TransferConfig
from tests.envs.gpu_cluster.builders import Play, small_problem
from tests.envs.gpu_cluster.side_by_side import both_simulators, step_both, whole

POWER = PowerConfig(gpu_idle_watts=25.0, gpu_busy_watts=100.0, host_watts=100.0)
"""A node of 4 GPUs: 200 W idle, 500 W when all of them work."""
NETWORK = TransferConfig(seconds_per_gb=0.8, kwh_per_gb=0.001, usd_per_gb=0.02)
FREE = TransferConfig(0.0, 0.0, 0.0)
REGIONS = (RegionConfig("home"), RegionConfig("away"))
HOME, AWAY = 0, 1
LAYOUT = CodecLayout(max_pools=2, window_slots=1, suspension=True, data_transfer=True)
OBJECTIVE = ObjectiveConfig(usd_per_kwh=0.1, usd_per_gpu_hour=1.0, carbon_g_per_kwh=50.0, usd_per_tonne=100.0)
JOULES_PER_KWH = 3.6e6


def world(
    gigabytes: float | None = 100.0,
    place: str | None = "home",
    model: str | None = "B",
    network: TransferConfig = NETWORK,
    **config: Any,
) -> Problem:
    """A job of 100 s on 4 GPUs that runs only away from its data, a node of which is on; decisions every 10 s."""
    pools = [
        PoolConfig("home", 1, 0, 4, gpu_model="A", power=POWER, region="home", transfer=network),
        PoolConfig("away", 1, 1, 4, gpu_model="B", power=POWER, region="away", transfer=network),
    ]
    columns = {"data_gb": [gigabytes], "data_region": [place], "checkpoint_interval_seconds": [1e6]}
    settings = {"settle_seconds": 10.0, "resync_interval_seconds": 10.0, "regions": REGIONS, "objective": OBJECTIVE}
    models = None if model is None else [[model]]
    return small_problem([(0.0, 100.0, 4.0)], pools, models, LAYOUT, columns=columns, **{**settings, **config})


def action(problem: Problem, suspension: str = "none") -> NDArray[np.int64]:
    """Nodes stay as they are; jobs go where they go by default; and the lever of the pool that is away."""
    chosen = np.zeros(len(problem.config.codec.action_sizes), np.int64)
    chosen[:2] = problem.config.codec.setpoint(14400.0, 0.0)
    chosen[2] = 2
    chosen[-1] = SUSPENSION_CHOICES.index(suspension)
    return chosen


def play(problem: Problem, levers: dict[float, str] | None = None) -> tuple[Simulator, ReferenceSimulator]:
    """Both simulators at the end, which agreed after every decision; levers by the time of the decision, s."""
    fast, slow = both_simulators(problem, whole(problem))
    while not fast.is_done():
        step_both(fast, slow, action(problem, (levers or {}).get(float(fast.time_seconds[0]), "none")))
    return fast, slow


def end_of(fast: Simulator) -> float:
    return float(fast.job_times().end_seconds[0])


def test_a_job_away_from_its_data_holds_its_gpus_while_they_come_and_pays_for_the_network() -> None:
    fast, slow = play(world())
    assert end_of(fast) == 180.0  # 100 GB at 0.8 s each, then its 100 s
    totals = fast.pool_totals()[AWAY]
    assert totals.transferred_mb == slow.totals[AWAY].transferred_mb == 100_000
    assert totals.overhead_milli_ms == 4000 * 80_000
    energy, account = fast.energy(), fast.account()
    assert energy.busy * JOULES_PER_KWH == pytest.approx(180 * 500.0, rel=1e-12)
    assert energy.transfer * JOULES_PER_KWH == pytest.approx(100 * 3600.0, rel=1e-12)
    assert energy.total * JOULES_PER_KWH == pytest.approx(450_000.0, rel=1e-12)
    assert sum(energy) == pytest.approx(energy.total, abs=1e-9)
    assert account.carbon_g.transfer == pytest.approx(0.1 * 50.0, rel=1e-12)
    assert account.carbon_g.total == pytest.approx(0.125 * 50.0, rel=1e-12)
    assert account.energy_usd.transfer == pytest.approx(0.1 * 0.1, rel=1e-12)
    assert account.transfer_usd == pytest.approx(2.0, rel=1e-12)
    delay = 4 * 80.0 / 3600.0
    assert account.total_usd == pytest.approx(0.125 * 0.1 + 6.25 * 100 / 1e6 + 2.0 + delay, rel=1e-12)


def test_the_rewards_of_a_run_with_a_transfer_sum_to_what_decisions_changed() -> None:
    problem = world()
    fast, slow = both_simulators(problem, whole(problem))
    paid = 0.0
    while not fast.is_done():
        step_both(fast, slow, action(problem))
        paid -= float(fast.rewards[0])
    assert fast.decided_usd()[0] == pytest.approx(paid, rel=1e-9)


@pytest.mark.parametrize(
    ("gigabytes", "place", "network"),
    [
        (100.0, "away", NETWORK),
        (100.0, None, NETWORK),
        (None, "home", NETWORK),
        (0.0, "home", NETWORK),
        (100.0, "home", FREE),
    ],
    ids=["at home", "everywhere", "no size", "none", "a network that takes nothing"],
)
def test_nothing_is_transferred_where_there_is_no_need(
    gigabytes: float | None, place: str | None, network: TransferConfig
) -> None:
    problem = world(gigabytes, place, network=network)
    assert not problem.settings.transfers
    fast, _ = play(problem)
    assert end_of(fast) == 100.0
    assert fast.energy().transfer == fast.account().transfer_usd == 0.0


def test_without_regions_there_is_one_place() -> None:
    columns = {"data_gb": [100.0], "data_region": ["home"]}
    problem = small_problem([(0.0, 100.0, 4.0)], [PoolConfig("one", 1), PoolConfig("two", 1)], columns=columns)
    assert not problem.settings.transfers
    assert problem.transfer_mb.tolist() == [[0, 0]]


def test_a_job_that_is_suspended_finds_its_data_where_it_brought_them() -> None:
    problem = world()
    # It has its data at 80 s, is suspended at 100 s, goes on at 110 s and starts at 120 s: 120 s of restart, 80 s left.
    fast, _ = play(problem, {100.0: "suspend", 110.0: "resume"})
    assert fast.pool_totals()[AWAY].suspensions == 1
    assert fast.pool_totals()[AWAY].transferred_mb == 100_000
    assert end_of(fast) == 120.0 + 120.0 + 80.0


def test_data_that_have_not_all_come_when_a_job_is_stopped_come_anew() -> None:
    problem = world()
    fast, slow = both_simulators(problem, whole(problem))
    step_both(fast, slow, action(problem))
    assert fast.snapshot().transfer_gb[0].tolist() == [0.0, 0.0], "no job waits"
    fast, _ = play(problem, {40.0: "suspend", 50.0: "resume"})
    assert fast.pool_totals()[AWAY].transferred_mb == 200_000
    assert fast.pool_totals()[AWAY].overhead_milli_ms == 4000 * (40_000 + 120_000 + 80_000)
    assert end_of(fast) == 60.0 + 120.0 + 80.0 + 100.0


def test_a_policy_sees_what_it_would_have_to_bring_where() -> None:
    fast, slow = both_simulators(world(), whole(world()))
    assert fast.snapshot().transfer_gb.tolist() == slow.snapshot.transfer_gb.tolist() == [[0.0, 100.0]]


@pytest.mark.parametrize(("network", "pool"), [(NETWORK, HOME), (FREE, AWAY)])
def test_a_job_waits_by_default_for_a_node_beside_its_data_where_the_transfer_costs_more(
    network: TransferConfig, pool: int
) -> None:
    # A boot costs 0.083 USD of waiting for each GPU, the transfer 0.5 USD and more.
    play = Play(world(model=None, network=network)).run()
    assert [play.totals(number).used_milli_ms > 0 for number in (HOME, AWAY)] == [pool == HOME, pool == AWAY]


def test_a_job_that_ran_before_the_episode_has_its_data_where_it_is() -> None:
    problem = world()
    fast, slow = both_simulators(problem, (50_000, (2**62), 1))
    while not fast.is_done():
        step_both(fast, slow, action(problem))
    assert fast.pool_totals()[AWAY].transferred_mb == 0


def test_data_in_a_region_that_is_not_there_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ClusterError, match="test:jobs: the data of job job-1 are in region 'hme', which is not there"):
        world(place="hme")
    with pytest.raises(ClusterError, match="did you mean 'home'"):
        world(place="hme")


@pytest.mark.parametrize(
    ("name", "value"), [("seconds_per_gb", -1.0), ("kwh_per_gb", float("nan")), ("usd_per_gb", -0.1)]
)
def test_a_network_without_meaning_is_refused(name: str, value: float) -> None:
    with pytest.raises(ClusterError, match=f"transfer.{name}"):
        TransferConfig(**{name: value})
