"""Parity: over a window that both see, the live account is that of the simulator, for energy, carbon and money.

As in `test_live_snapshot`, whatever happens in the reference simulator is told to the live store at the same moment;
the account looks at the view before each moment passes.
"""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from agents.registry import make_baseline
from autoscaler.live.account import LiveAccount
from autoscaler.live.config import HttpSettings, LiveConfig, LivePool
from autoscaler.live.signal_config import LiveRegion, Quantity, SignalSettings
from autoscaler.live.signals.base import Reading
from autoscaler.live.signals.series import LiveSeries
from envs.gpu_cluster.accounting import (
    ENERGY_INTEGRALS,
    SPENDINGS,
    Account,
    Waterfall,
    account,
    delayed_gpu_hours,
    energy_units,
    kwh_rates,
)
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.simulator.reference.costs import spendings
from envs.gpu_cluster.simulator.state import NEVER
from tests.parity.live_side import MONDAY, LiveSide, ToldSimulator, make_trace, tell_live

__all__ = ["tell_live"]  # the fixture, which every test of this file uses

BEGIN = datetime.fromtimestamp(MONDAY, UTC).isoformat()
POOLS = (
    PoolConfig("a", 3, 1, boot_seconds=90.0, region="west", usd_per_node_hour=2.0, embodied_g_per_node_hour=30.0),
    PoolConfig("b", 5, 0, boot_seconds=301.5, region="east", power=PowerConfig(40.0, 400.0, 500.0, 100.0, 12.0, 1.3)),
)


def recorded(preset: str, seed: int) -> SignalConfig:
    return SignalConfig(f"synthetic:{preset}?days=20&start=2023-11-10&seed={seed}", alignment="offset", start=BEGIN)


REGIONS = (
    RegionConfig("west", carbon=recorded("solar", 1), price=recorded("price", 2)),
    RegionConfig("east", carbon=recorded("wind", 3), temperature=recorded("hot", 4)),
)


class Recorded:
    """The recorded signals, live: hour by hour, as sources tell them."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], LiveSeries] = {}
        for region in REGIONS:
            for quantity, config in region.signals().items():
                signal, live = config.load(quantity), LiveSeries(quantity, region.name, 3600.0, "persistence")
                live.merge(Reading(signal.start_seconds, signal.values, signal.end_seconds), MONDAY)
                self.series[region.name, quantity] = live

    def pieces(self, region: str, quantity: Quantity, start: float, end: float) -> list[tuple[float, float | None]]:
        found = self.series.get((region, quantity))
        return [(start, None)] if found is None else found.pieces(start, end)


class AccountSide(LiveSide):
    """A live observer that keeps an account."""

    def __init__(self, problem: Problem, layout: CodecLayout, regions: bool) -> None:
        super().__init__(problem, layout)
        pools = tuple(
            LivePool(
                pool.name,
                pool.max_nodes,
                pool.min_nodes,
                pool.gpus_per_node,
                power=pool.power,
                region=pool.region if regions else None,
                usd_per_kwh=problem.config.objective.usd_per_kwh,
                usd_per_node_hour=pool.usd_per_node_hour,
                embodied_g_per_node_hour=pool.embodied_g_per_node_hour,
            )
            for pool in problem.cluster.pools
        )
        objective = problem.config.objective
        settings = SignalSettings(
            tuple(LiveRegion(region.name) for region in REGIONS) if regions else (),
            carbon_g_per_kwh=objective.carbon_g_per_kwh,
            usd_per_tonne=objective.usd_per_tonne,
        )
        config = LiveConfig(
            pools,
            codec=layout,
            signals=settings,
            usd_per_gpu_hour=objective.usd_per_gpu_hour,
            resync_interval_seconds=1e6,  # it looks when something happens
            http=HttpSettings(activity_timeout_seconds=1e6),
        )
        self.account = LiveAccount(config, Recorded() if regions else None)

    def at(self, milliseconds: int) -> None:
        if MONDAY + milliseconds / 1000.0 > self.clock.seconds:
            self.note()
        super().at(milliseconds)

    def note(self) -> None:
        view, _ = self.views.build(self.store.contents())
        self.account.observe(view, self.clock.seconds)


def simulated(simulator: ToldSimulator) -> tuple[Account, list[Waterfall]]:
    """What the simulator says that the window cost, and the energy of each pool."""
    problem, totals = simulator.problem, simulator.totals
    pools = problem.cluster.pools
    integrals = [np.array([getattr(each, name) for name in ENERGY_INTEGRALS]) for each in totals]
    hours = [float(each[:3].sum()) / 3.6e6 for each in integrals]
    delayed = delayed_gpu_hours(0, simulator.waited_milli_ms)
    energy = [
        Waterfall.of_amounts((energy_units(pool, each, simulator.now) * kwh_rates(pool)).tolist())
        for pool, each in zip(pools, integrals, strict=True)
    ]
    spent = spendings(simulator)
    if problem.prices.pue_changes:
        energy = [Waterfall.of_amounts(row[:, SPENDINGS.index("kwh")].tolist()) for row in spent]
    return account(pools, spent, hours, [0] * len(pools), delayed, problem.config.objective), energy


@pytest.mark.parametrize("regions", [True, False], ids=["hourly signals in two regions", "constants"])
@pytest.mark.parametrize("policy", ["reactive", "random"])
def test_the_live_account_is_that_of_the_simulator(policy: str, regions: bool) -> None:
    layout = CodecLayout(max_pools=3, window_slots=4, max_hold_seconds=1800.0)
    objective = ObjectiveConfig(usd_per_tonne=80.0, carbon_g_per_kwh=None if regions else 350.0)
    config = EnvironmentConfig(codec=layout, objective=objective, regions=REGIONS if regions else ())
    pools = POOLS if regions else tuple(replace(pool, region=None) for pool in POOLS)
    problem = make_problem(make_trace(2, 50), ClusterConfig(pools), config)
    live = AccountSide(problem, layout, regions)
    simulator = ToldSimulator(problem, live)
    acting = make_baseline(policy, layout, 0)
    simulator.reset(0, NEVER, problem.num_jobs)
    while not simulator.done:
        simulator.step(acting.act(simulator.observation[None], simulator.mask[None])[0])
    live.at(simulator.now)
    live.note()
    expected, energy = simulated(simulator)
    found = live.account
    assert found.observed_ms == simulator.now
    for pool, each in zip(problem.cluster.pools, energy, strict=True):
        assert found.pool(pool.name).energy == pytest.approx(each, rel=1e-9, abs=1e-12)
    for name in Account._fields:
        assert getattr(found.total, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-12), name
    assert expected.carbon_g.total > 0.0
    assert found.carbon_unknown_kwh == 0.0
    if regions:
        changes = Recorded().pieces("west", "carbon", MONDAY, MONDAY + simulator.now / 1000.0)
        assert len(changes) >= 3, "the signal changes within the window"
