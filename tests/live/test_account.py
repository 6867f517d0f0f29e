"""What the live loop believes was spent, worked out by hand; restarts, gaps, other configs, and what is measured."""

import json
from dataclasses import replace

import pytest

from autoscaler.live.account import Counts, LiveAccount, counts_of
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.objects import NodeState, ObjectRef, SuspendedBy, SuspendedJob
from autoscaler.live.signal_config import LiveRegion, SignalSettings, SignalSource
from envs.gpu_cluster.cooling import PuePoint
from envs.gpu_cluster.power import PowerConfig
from tests.live.views import node, pod

START = 1_772_409_600.0
POWER = PowerConfig(gpu_idle_watts=50.0, gpu_busy_watts=300.0, host_watts=400.0, boot_watts=100.0)
POOL = LivePool("gpu", 4, gpus_per_node=4, power=POWER, usd_per_kwh=0.2, region="west", usd_per_node_hour=1.0)
KWH = 3.6e6  # joules


class Steps:
    """A price that changes, carbon that is known until some moment, and perhaps a temperature."""

    def __init__(
        self,
        price: list[tuple[float, float | None]],
        carbon: list[tuple[float, float | None]],
        temperature: list[tuple[float, float | None]] | None = None,
    ) -> None:
        self.series = {"price": price, "carbon": carbon, "temperature": temperature or []}

    def pieces(self, region: str, quantity: str, start: float, end: float) -> list[tuple[float, float | None]]:
        found = [(at, value) for at, value in self.series[quantity] if at < end]
        before = [value for at, value in found if at <= start]
        return [(start, before[-1] if before else None), *((at, value) for at, value in found if at > start)]


def config(**changes: object) -> LiveConfig:
    signals = SignalSettings((LiveRegion("west"),), usd_per_tonne=100.0)
    return LiveConfig(**{"pools": (POOL,), "signals": signals, **changes})  # type: ignore[arg-type]


def view(seconds: float, *nodes: tuple[NodeState, int]) -> ClusterView:
    made = tuple(
        node(f"n{index}", "gpu", pods=[pod(gpus=used)] if used else (), gpus=4, state=state)
        for index, (state, used) in enumerate(nodes)
    )
    return ClusterView(now_seconds=START + seconds, pools=(PoolView(name="gpu", index=0, nodes=made),))


def look(account: LiveAccount, seconds: float, *nodes: tuple[NodeState, int]) -> None:
    account.observe(view(seconds, *nodes), START + seconds)


def test_gpus_of_suspended_jobs_wait_until_they_go_on() -> None:
    account = LiveAccount(config(), Steps([(START, 0.5)], [(START, 200.0)]))
    job = SuspendedJob(ObjectRef("Job", "j"), START, 4000, by=SuspendedBy.POLICY, pool="gpu")
    for seconds, is_suspended in ((0.0, True), (60.0, False), (100.0, False)):
        seen = replace(view(seconds), suspended=(replace(job, suspended=is_suspended),))
        account.observe(seen, START + seconds)
    assert account.waited_milli_ms == 4000 * 60_000


def test_a_node_by_state_for_ten_seconds_by_hand() -> None:
    account = LiveAccount(config(), Steps([(START, 0.5)], [(START, 200.0)]))
    look(account, 0.0, (NodeState.IDLE, 0), (NodeState.BUSY, 1), (NodeState.BOOTING, 0))
    assert account.energy.total == 0.0, "nothing is counted before time passes"
    look(account, 10.0)
    found = account.energy
    assert found.idle == pytest.approx(600.0 * 10 / KWH)
    assert found.busy == pytest.approx(400.0 * 10 / KWH), "a busy GPU and its quarter of the host"
    assert found.fragmentation == pytest.approx(3 * 150.0 * 10 / KWH)
    assert found.boot == pytest.approx(100.0 * 10 / KWH)
    assert account.total.carbon_g.total == pytest.approx(found.total * 200.0)
    assert account.total.energy_usd.total == pytest.approx(found.total * 0.5)
    assert account.total.node_usd == pytest.approx(3 * 10 / 3600.0)
    assert account.total.carbon_usd == pytest.approx(found.total * 200.0 * 100.0 / 1e6)


def test_a_price_that_changes_between_two_looks_counts_from_its_moment() -> None:
    account = LiveAccount(config(), Steps([(START, 0.1), (START + 4.0, 0.3)], [(START, 100.0)]))
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 10.0)
    assert account.total.energy_usd.total == pytest.approx(600.0 / KWH * (4 * 0.1 + 6 * 0.3))


def test_a_known_temperature_takes_the_place_of_the_pue_of_a_pool() -> None:
    """10 s at 20 degC, PUE 1.2, and 10 s that nobody knows, with the pool's own PUE of 1.5."""
    warm = LivePool("gpu", 4, gpus_per_node=4, power=replace(POWER, pue=1.5), usd_per_kwh=0.2, region="west")
    curve = (PuePoint(10.0, 1.1), PuePoint(30.0, 1.3))
    signals = SignalSettings((LiveRegion("west", temperature=SignalSource("file", {"path": "t.csv"}), pue=curve),))
    degrees: list[tuple[float, float | None]] = [(START, 20.0), (START + 10.0, None)]
    account = LiveAccount(config(pools=(warm,), signals=signals), Steps([(START, 0.5)], [(START, 200.0)], degrees))
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 20.0)
    kwh = 600.0 * 10 * (1.2 + 1.5) / KWH
    assert account.energy.idle == pytest.approx(kwh)
    assert account.total.carbon_g.idle == pytest.approx(kwh * 200.0)
    assert account.total.energy_usd.idle == pytest.approx(kwh * 0.5)


def test_an_unknown_price_is_that_of_the_pool_and_unknown_carbon_is_said() -> None:
    account = LiveAccount(config(), Steps([(START, 0.5), (START + 5.0, None)], [(START, 100.0), (START + 5.0, None)]))
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 10.0)
    assert account.total.energy_usd.total == pytest.approx(600.0 / KWH * (5 * 0.5 + 5 * 0.2))
    assert account.total.carbon_g.total == pytest.approx(600.0 / KWH * 5 * 100.0)
    assert account.carbon_unknown_kwh == pytest.approx(600.0 / KWH * 5)


def test_the_parts_sum_to_the_total_and_how_often_it_looks_changes_nothing() -> None:
    nodes = ((NodeState.BUSY, 3), (NodeState.IDLE, 0), (NodeState.BOOTING, 0))
    often, seldom = (LiveAccount(config(), Steps([(START, 0.5)], [(START, 200.0)])) for _ in range(2))
    for step in range(101):
        look(often, 0.1 * step, *nodes)
    for step in range(2):
        look(seldom, 10.0 * step, *nodes)
    assert often.energy == pytest.approx(seldom.energy, rel=1e-12)
    assert sum(often.energy) == often.energy.total
    assert often.total.total_usd == pytest.approx(seldom.total.total_usd, rel=1e-12)


@pytest.mark.parametrize("state", [NodeState.CORDONED, NodeState.DRAINING, NodeState.UNREADY])
def test_a_node_that_does_not_work_for_us_draws_power_all_the_same(state: NodeState) -> None:
    assert counts_of(view(0.0, (state, 0), (state, 2)).pools[0]) == Counts(1, 1, 0, 2000)


def test_a_restart_goes_on_and_says_what_nobody_saw() -> None:
    first = LiveAccount(config(), Steps([(START, 0.5)], [(START, 200.0)]))
    look(first, 0.0, (NodeState.IDLE, 0))
    look(first, 10.0, (NodeState.IDLE, 0))
    second = LiveAccount(config(), Steps([(START, 0.5)], [(START, 200.0)]))
    second.restore(first.to_text())
    assert second.report() == first.report()
    look(second, 70.0, (NodeState.IDLE, 0))
    look(second, 80.0, (NodeState.IDLE, 0))
    assert second.energy.idle == pytest.approx(600.0 * 20 / KWH)
    assert (second.observed_ms, second.unobserved_ms) == (20_000, 60_000)
    assert second.since_wall_seconds == START


@pytest.mark.parametrize("damage", ["no json", "[]", '{"schema": 9}', "pools", "amounts", "spendings"])
def test_a_damaged_text_is_refused_and_changes_nothing(damage: str) -> None:
    account = LiveAccount(config())
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 10.0, (NodeState.IDLE, 0))
    before, text = account.report(), damage
    if damage == "pools":
        text = json.dumps({**json.loads(account.to_text()), "pools": 3})
    elif damage in ("amounts", "spendings"):
        record = json.loads(account.to_text())
        record["pools"]["gpu"][damage] = [1]
        text = json.dumps(record)
    with pytest.raises(ValueError):  # noqa: PT011 (json's own, or ours)
        account.restore(text)
    assert account.report() == before


def test_a_time_that_is_longer_than_any_pause_of_the_loop_was_seen_by_nobody() -> None:
    account = LiveAccount(config())
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 3000.0, (NodeState.IDLE, 0))
    assert (account.energy.total, account.observed_ms, account.unobserved_ms) == (0.0, 0, 3_000_000)


def test_a_pool_that_leaves_the_config_keeps_what_it_spent() -> None:
    account = LiveAccount(config())
    look(account, 0.0, (NodeState.IDLE, 0))
    look(account, 10.0, (NodeState.IDLE, 0))
    before = account.energy.total
    account.use(config(pools=(LivePool("other", 2),)), None)
    look(account, 20.0)
    assert account.energy.total == before
    assert account.total.energy_usd.total == pytest.approx(before * 0.2)


def test_measured_energy_is_compared_with_that_of_the_gpus_alone() -> None:
    account = LiveAccount(config())
    account.observe(view(0.0, (NodeState.BUSY, 3)), START, is_measured=True)
    account.observe(view(100.0, (NodeState.BUSY, 3)), START + 100.0, is_measured=True)
    assert account.gpu_kwh == pytest.approx((3 * 300.0 + 50.0) * 100 / KWH)
    assert account.ratio is None
    account.measured_kwh += 855.0 * 100 / KWH
    assert account.ratio == pytest.approx(0.9)
    account.observe(view(200.0), START + 200.0, is_measured=False)
    assert account.ratio == pytest.approx(0.9), "what is not measured is not compared"
