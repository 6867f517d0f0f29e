"""A site's PUE by the temperature outdoors, against numbers that are worked out by hand, in both simulators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.accounting import SPENDINGS
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.cooling import PUE_CURVE, PuePoint, pue_at
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from tests.envs.gpu_cluster.builders import Play
from tests.envs.gpu_cluster.side_by_side import both_simulators, keep_nodes, step_both, whole
from tests.envs.gpu_cluster.simulator.test_tariff import POWER, START, problem_of, region, write_signal

CURVE = (PuePoint(10.0, 1.1), PuePoint(30.0, 1.5))
HOUR_KWH = 0.5
"""A node of 4 GPUs that all work, 500 W, for an hour."""


def warm(folder: Path, degrees: list[float], **signals: list[float]) -> RegionConfig:
    """A region with an hourly temperature from second 0 of the trace on."""
    path = write_signal(folder, "temperature", degrees)
    outdoors = SignalConfig(f"csv:{path}?quantity=temperature&unit=degC", alignment="offset", start=START)
    return replace(region(folder, **signals), temperature=outdoors, pue=CURVE)


def test_each_hour_has_the_pue_of_its_temperature(tmp_path: Path) -> None:
    # Half an hour at 20 degC (PUE 1.3) and half an hour at 40 degC (1.5, the last point).
    here = warm(tmp_path, [20.0, 40.0, 0.0], price=[0.10, 0.30, 9.0], carbon=[100.0, 500.0, 9.0])
    play = Play(problem_of([(1800.0, 3600.0, 4.0)], (here,)), timeout=0.0).run()
    account, half = play.simulator.account(), HOUR_KWH / 2
    assert play.simulator.energy().busy == pytest.approx(half * 1.3 + half * 1.5, rel=1e-12)
    assert account.energy_usd.busy == pytest.approx(half * 1.3 * 0.10 + half * 1.5 * 0.30, rel=1e-12)
    assert account.carbon_g.busy == pytest.approx(half * 1.3 * 100 + half * 1.5 * 500, rel=1e-12)


def test_the_curve_takes_the_place_of_the_pue_of_a_pool(tmp_path: Path) -> None:
    here = warm(tmp_path, [20.0, 40.0], carbon=[100.0, 500.0])
    pools = [PoolConfig("gpu", 1, 1, 4, power=replace(POWER, pue=2.0))]
    energies = [
        Play(problem_of([(1800.0, 3600.0, 4.0)], (here,), **kind), timeout=0.0).run().simulator.energy().total
        for kind in ({}, {"pools": pools})
    ]
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)


def test_both_simulators_agree_and_the_reward_pays_for_it(tmp_path: Path) -> None:
    here = warm(tmp_path, [5.0, 18.0, 33.0, 21.0] * 9, carbon=[100.0, 480.0, 10.0] * 12, price=[0.1, 0.3] * 18)
    problem = problem_of([(900.0 * index, 2000.0 + 70 * index, 1.0 + index % 4) for index in range(12)], (here,), 3)
    fast, slow = both_simulators(problem, whole(problem))
    rewards = 0.0
    while not fast.is_done():
        step_both(fast, slow, keep_nodes(problem))
        rewards += float(fast.rewards[0])
    assert fast.decided_usd()[0] == pytest.approx(-rewards, rel=1e-9)
    assert problem.prices.pue_changes


def test_without_a_temperature_energy_is_what_the_integrals_say_to_the_last_digit(tmp_path: Path) -> None:
    here = region(tmp_path, price=[0.1, 0.3])
    problem = problem_of([(1000.0, 3000.0, 3.0)], (here,))
    simulator = Play(problem).run().simulator
    assert not problem.prices.pue_changes
    booked = simulator.spendings()[:, :, SPENDINGS.index("kwh")].sum()
    assert booked == pytest.approx(simulator.energy().total, rel=1e-12)


def test_the_default_curve_is_that_of_its_source() -> None:
    fitted = pue_at(PUE_CURVE, np.array([-20.0, 0.0, 15.0, 40.0, 45.0]))
    assert fitted == pytest.approx([1.0743, 1.0743, 1.1538, 1.353, 1.353], abs=2e-3)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ((), "pue is empty"),
        ((PuePoint(20.0, 1.2), PuePoint(10.0, 1.1)), "the point at 10 degC follows that at 20"),
        (CURVE, "pue needs a temperature, and there is none"),
    ],
)
def test_a_curve_that_has_no_meaning_is_one_clear_line(curve: tuple[PuePoint, ...], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        RegionConfig("here", pue=curve)


@pytest.mark.parametrize(("degc", "pue"), [(99.0, 1.2), (20.0, 0.9), (20.0, float("nan"))])
def test_a_point_that_cannot_be_is_refused(degc: float, pue: float) -> None:
    with pytest.raises(EnvironmentConfigError, match="regions: pue"):
        PuePoint(degc, pue)


def test_a_signal_of_something_else_is_no_temperature() -> None:
    here = RegionConfig("here", temperature=SignalConfig("synthetic:solar", alignment="offset", start=START))
    with pytest.raises(EnvironmentConfigError, match="is a signal of carbon, not of temperature"):
        problem_of([(0.0, 60.0, 1.0)], (here,))
