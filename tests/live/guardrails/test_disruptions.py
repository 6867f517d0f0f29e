"""Windows, budgets and pauses: when a node may go, and how many at once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from autoscaler.live.config import LiveConfig, LiveConfigError
from autoscaler.live.disruption_config import (
    DisruptionBudget,
    DisruptionConfig,
    DisruptionConfigError,
    DisruptionReason,
    DisruptionWindow,
    Schedule,
)
from autoscaler.live.guardrail_config import Cooldowns
from autoscaler.live.guardrails import Allowed, GuardrailState, evaluate
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.model import ClusterView
from tests.live.views import booting, config, decision, gang, node, pod, spare, unready, view

EMPTY, MOVED, REPAIR = DisruptionReason.EMPTY, DisruptionReason.UNDERUTILIZED, DisruptionReason.REPAIR
NIGHT = Schedule("0 22 * * *", 8 * 3600.0)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def settings(**disruption: Any) -> LiveConfig:
    return config(
        disruption=DisruptionConfig(**disruption), cooldowns=Cooldowns(unneeded_seconds=0.0, after_scale_up_seconds=0.0)
    )


def judged(seen: ClusterView, chosen: LiveConfig, state: GuardrailState | None = None) -> Allowed:
    """What may go when the policy wants nothing to stay; an audit of it comes out the same."""
    state = state or GuardrailState()
    allowed = evaluate(seen, decision(), state, chosen)
    again = evaluate(*unpack(pack(seen, state))[:1], decision(), unpack(pack(seen, state))[1], chosen)
    assert (again.verdicts, [each.name for each in again.removals]) == (
        allowed.verdicts,
        [each.name for each in allowed.removals],
    )
    return allowed


def removed(seen: ClusterView, chosen: LiveConfig, state: GuardrailState | None = None) -> list[str]:
    return [each.name for each in judged(seen, chosen, state).removals]


def reasons(allowed: Allowed, rule: str) -> list[str]:
    return [verdict.reason for verdict in allowed.verdicts if verdict.rule == rule]


def idle(count: int, **fields: Any) -> list[Any]:
    return [node(f"a-{index:02}", **fields) for index in range(count)]


@pytest.mark.parametrize(
    ("moment", "open_"), [("2026-03-02T21:59:59", False), ("2026-03-02T22:00:00", True), ("2026-03-03T06:00:00", False)]
)
def test_a_window_is_open_from_its_begin_and_closed_at_its_end(moment: str, open_: bool) -> None:
    assert (NIGHT.ends(at(moment)) is not None) is open_


def test_a_schedule_follows_the_clocks_of_its_zone() -> None:
    berlin = Schedule("0 9 * * mon-fri", 3600.0, "Europe/Berlin")
    assert berlin.ends(at("2026-03-27T08:30:00")) == at("2026-03-27T09:00:00"), "winter time"
    assert berlin.ends(at("2026-03-30T07:30:00")) == at("2026-03-30T08:00:00"), "summer time"
    assert berlin.ends(at("2026-03-28T08:30:00")) is None, "a Saturday"
    assert berlin.begins(at("2026-03-27T12:00:00")) == at("2026-03-30T07:00:00")


def test_times_that_overlap_end_together() -> None:
    assert Schedule("0 * * * *", 7200.0).ends(at("2026-03-02T10:30:00")) is not None
    assert Schedule("0 8,9 * * *", 5400.0).ends(at("2026-03-02T08:30:00")) == at("2026-03-02T10:30:00")


def test_a_window_that_is_closed_keeps_a_node_and_says_when_it_opens() -> None:
    chosen = settings(windows=(DisruptionWindow(NIGHT),))
    by_day = judged(view([*idle(1), spare()], now=at("2026-03-02T12:00:00")), chosen)
    assert not by_day.removals
    (reason,) = reasons(by_day, "disruption-window")
    assert reason == "the window '0 22 * * *' for empty nodes of pool a is closed; it opens at 2026-03-02T22:00:00Z"
    assert removed(view(idle(1, idle_for=0.0), now=at("2026-03-02T23:00:00")), chosen) == ["a-00"]


def test_a_window_counts_for_its_reasons_and_pools_only() -> None:
    noon = at("2026-03-02T12:00:00")
    nodes = [node("a-00"), node("b-00", "b")]
    assert removed(view(nodes, now=noon), settings(windows=(DisruptionWindow(NIGHT, pools=("a",)),))) == ["b-00"]
    assert len(removed(view(nodes, now=noon), settings(windows=(DisruptionWindow(NIGHT, reasons=(MOVED,)),)))) == 2


def test_one_open_window_of_several_is_enough() -> None:
    day = DisruptionWindow(Schedule("0 8 * * *", 10 * 3600.0))
    assert removed(view(idle(1), now=at("2026-03-02T12:00:00")), settings(windows=(DisruptionWindow(NIGHT), day)))


def test_a_budget_of_zero_keeps_every_node() -> None:
    allowed = judged(view(idle(3)), settings(budgets=(DisruptionBudget(0),)))
    assert not allowed.removals
    assert reasons(allowed, "disruption-budget")[0] == (
        "a budget allows 0 of 3 nodes (0) of pool a to be disrupted; 0 are"
    )


@pytest.mark.parametrize(("nodes", "gone"), [("10%", 2), ("0%", 0), (3, 3), ("100%", 10)])
def test_percentages_are_rounded_up_as_karpenter_does(nodes: int | str, gone: int) -> None:
    assert len(removed(view(idle(11)), settings(budgets=(DisruptionBudget(nodes),)))) == gone


def test_the_smallest_budget_wins_and_each_pool_has_its_own() -> None:
    budgets = (DisruptionBudget("50%"), DisruptionBudget(1, pools=("b",)))
    nodes = [*idle(4), *(node(f"b-{index}", "b") for index in range(4))]
    assert removed(view(nodes), settings(budgets=budgets)) == ["a-00", "a-01", "b-0"]


def test_nodes_that_leave_or_are_broken_use_the_budget_up() -> None:
    nodes = [*idle(4), unready("a-x"), booting("a-y")]
    assert len(removed(view(nodes), settings(budgets=(DisruptionBudget(3),)))) == 2


def test_a_broken_node_does_not_keep_itself_from_being_repaired() -> None:
    broken = booting("a-x", age=5000.0)
    state = GuardrailState(starting_since={"a-x": broken.created_seconds})
    assert removed(view([broken, *idle(1)]), settings(budgets=(DisruptionBudget(1, reasons=(REPAIR,)),)), state) == [
        "a-x",
        "a-00",
    ]
    assert removed(view([broken]), settings(budgets=(DisruptionBudget(0, reasons=(REPAIR,)),)), state) == []


def test_a_budget_for_one_reason_leaves_the_others_alone() -> None:
    web = pod("web", node="a-00")
    nodes = [node("a-00", pods=[web]), node("a-01")]
    seen = view([*nodes, spare()], pods=[web], unmanaged=[spare()])
    assert removed(seen, settings(budgets=(DisruptionBudget(0, reasons=(MOVED,)),))) == ["a-01"]
    assert removed(seen, settings(budgets=(DisruptionBudget(0, reasons=(EMPTY,)),))) == ["a-00"]


def test_a_budget_with_a_schedule_counts_only_then() -> None:
    chosen = settings(budgets=(DisruptionBudget(0, NIGHT),))
    assert removed(view(idle(1), now=at("2026-03-02T12:00:00")), chosen) == ["a-00"]
    night = judged(view(idle(1), now=at("2026-03-02T23:00:00")), chosen)
    assert "until 2026-03-03T06:00:00Z" in reasons(night, "disruption-budget")[0]


def test_paused_changes_nothing_at_all() -> None:
    seen = view([*idle(2), node("b-00", "b")], queue=[gang("j")], paused="paused by me")
    allowed = evaluate(seen, decision(a=5, placement=[0]), GuardrailState(), config())
    assert (allowed.orders, allowed.removals, allowed.releases, allowed.candidates) == ({}, (), (), None)
    assert [(each.rule, each.reason) for each in allowed.verdicts] == [("paused", "paused by me")]


def test_a_paused_pool_is_left_alone_and_the_others_are_not() -> None:
    nodes = [node("a-00"), node("b-00", "b")]
    seen = view(nodes, paused_pools={"a": "paused by me"})
    assert removed(seen, settings()) == ["b-00"]
    allowed = evaluate(view(paused_pools={"a": "paused by me"}), decision(a=2, b=1), GuardrailState(), config())
    assert allowed.orders == {"b": 1}
    assert reasons(allowed, "paused") == ["paused by me"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Schedule("61 * * * *", 3600.0), "bad minute"),
        (lambda: Schedule("@daily", 3600.0), "wrong number of fields"),
        (lambda: Schedule("0 9 * * *", 1.0), "duration_seconds"),
        (lambda: Schedule("0 9 * * *", 3600.0, "Mars/Base"), "IANA"),
        (lambda: DisruptionBudget("a few"), "percentage"),
        (lambda: DisruptionBudget("101%"), "percentage"),
        (lambda: DisruptionBudget(-1), "percentage"),
    ],
)
def test_what_has_no_meaning_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(DisruptionConfigError, match=problem):
        make()


def test_a_pool_that_there_is_not_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(LiveConfigError, match="no pool 'aa'"):
        settings(budgets=(DisruptionBudget(0, pools=("aa",)),))
