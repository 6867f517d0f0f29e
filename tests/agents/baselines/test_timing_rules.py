"""Rules that act by the price of energy and carbon: prices and decisions are worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from agents.baselines.carbon_scaler import CLEAN, DIRTY, GROW, KEEP, SHRINK, CarbonScaler
from agents.baselines.gaia import Gaia
from agents.baselines.lets_wait_awhile import MARGIN, LetsWaitAwhile
from agents.baselines.rule import Facts
from agents.baselines.suspend_resume import CLEAN as RESUME_BELOW
from agents.baselines.suspend_resume import DIRTY as SUSPEND_ABOVE
from agents.baselines.suspend_resume import NONE, RESUME, SUSPEND, SuspendResume
from agents.baselines.tuned_combination import TunedCombination
from envs.gpu_cluster.codec import ClusterSnapshot, CodecLayout, PoolSignal, Slot
from tests.agents.baselines.test_placing_rules import FACTS
from tests.agents.baselines.worlds import LAYOUT, decide, moment

SIGNALS = replace(LAYOUT, signals=True)
SUSPENDING = replace(SIGNALS, suspension=True)


def priced(
    now: float,
    later: Mapping[int, float],
    slack_hours: float = 0.0,
    run_hours: float = 1.0,
    layout: CodecLayout = SIGNALS,
    **columns: float,
) -> ClusterSnapshot:
    """A job of 4 GPUs that fits now; energy costs `now`, and from each hour of `later` on what that says."""
    snapshot = moment(queue=[4.0], layout=layout, idle_nodes=1, shrinkable_gpus=4, growable_gpus=4, **columns)
    price = now
    for hour in range(25):
        price = later.get(hour, price)
        snapshot.pool_signals[0, PoolSignal.USD_PER_KWH + hour] = price
    snapshot.pool_signals[0, PoolSignal.KNOWN] = 1.0
    snapshot.queue[0, Slot.SLACK_SECONDS] = 3600.0 * slack_hours
    snapshot.queue[0, Slot.PREDICTED_SECONDS] = 3600.0 * run_hours
    return snapshot


HELD, STARTED = -1, 0


@pytest.mark.parametrize(
    ("slack_hours", "margin", "placement"),
    [
        (2.0, 0.0, HELD),
        (1.0, 0.0, HELD),
        (0.9, 0.0, STARTED),
        (2.0, 0.4, HELD),
        (2.0, 0.5, STARTED),
        (0.0, 0.0, STARTED),
    ],
)
def test_lets_wait_awhile_waits_for_a_lower_hour_in_time(slack_hours: float, margin: float, placement: int) -> None:
    """In an hour energy costs half: a saving of 0.5."""
    rule = LetsWaitAwhile(SIGNALS, {MARGIN: margin})
    assert decide(rule, priced(0.2, {1: 0.1}, slack_hours)).placement[0] == placement


def test_lets_wait_awhile_starts_at_the_lowest_hour() -> None:
    assert decide(LetsWaitAwhile(SIGNALS), priced(0.1, {1: 0.2}, 9.0)).placement[0] == STARTED


@pytest.mark.parametrize(("margin", "placement"), [(0.0, HELD), (0.3, HELD), (0.35, STARTED)])
def test_gaia_compares_whole_runs(margin: float, placement: int) -> None:
    """Two hours now cost 0.2 and 0.1, in an hour 0.1 and 0.1: a third is saved."""
    snapshot = priced(0.2, {1: 0.1}, slack_hours=1.0, run_hours=2.0)
    assert decide(Gaia(SIGNALS, {MARGIN: margin}), snapshot).placement[0] == placement


def test_gaia_does_not_wait_for_an_hour_that_a_long_run_does_not_feel() -> None:
    """One cheap hour comes, but the run of four hours meets it anyway if it starts now."""
    snapshot = priced(0.1, {2: 0.05, 3: 0.3}, slack_hours=1.0, run_hours=4.0)
    assert decide(LetsWaitAwhile(SIGNALS), priced(0.1, {1: 0.05, 2: 0.3}, 1.0, 4.0)).placement[0] == HELD
    assert decide(Gaia(SIGNALS), snapshot).placement[0] == STARTED


@pytest.mark.parametrize(("now", "width"), [(0.1, GROW), (0.2, KEEP), (0.4, SHRINK)])
def test_carbon_scaler_widens_while_energy_is_clean(now: float, width: int) -> None:
    rule = CarbonScaler(SIGNALS, {CLEAN: 0.7, DIRTY: 1.5})
    assert decide(rule, priced(now, {1: 0.2})).width[0] == width


@pytest.mark.parametrize(
    ("now", "tier", "suspension", "placement"),
    [(0.1, 3, RESUME, STARTED), (0.2, 3, NONE, STARTED), (0.4, 3, SUSPEND, HELD), (0.4, 2, SUSPEND, STARTED)],
)
def test_suspend_resume_stops_jobs_while_energy_is_dirty_and_starts_none_that_it_would_stop(
    now: float, tier: int, suspension: int, placement: int
) -> None:
    rule = SuspendResume(SUSPENDING, {RESUME_BELOW: 0.7, SUSPEND_ABOVE: 1.5})
    snapshot = priced(now, {1: 0.2}, layout=SUSPENDING, suspendable_gpus=8, suspended_gpus=8)
    snapshot.queue[0, Slot.FLEXIBILITY] = tier
    decision = decide(rule, snapshot)
    assert decision.suspension[0] == suspension
    assert decision.placement[0] == placement


def test_the_combination_waits_for_the_saving_that_it_was_tuned_to() -> None:
    facts: Facts = FACTS
    snapshot = priced(0.2, {1: 0.1}, slack_hours=1.0, run_hours=2.0)
    assert decide(TunedCombination(SIGNALS, {MARGIN: 0.3}, facts), snapshot).placement[0] == HELD
    assert decide(TunedCombination(SIGNALS, {MARGIN: 0.35}, facts), snapshot).placement[0] == STARTED
