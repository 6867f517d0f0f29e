"""Which nodes go, how many at once, and when."""

from dataclasses import replace

import pytest

from autoscaler.live.guardrail_config import BackoffTimes, Cooldowns, HealthStop, StepLimits, TotalLimits
from autoscaler.live.guardrails import (
    GuardrailState,
    Rule,
    after_order,
    after_order_failure,
    after_removal_failure,
    evaluate,
)
from autoscaler.live.objects import NodeState
from tests.live.views import JOB, NOW, booting, config, decision, gang, node, order, pod, spare, unready, view


def run(cluster, want, state=None, settings=None):
    allowed = evaluate(cluster, want, state or GuardrailState(), settings or config())
    return [removal.name for removal in allowed.removals], [verdict.rule for verdict in allowed.verdicts]


def watched(*nodes):
    """The state of a process that has seen these nodes start."""
    return GuardrailState(starting_since={each.name: each.created_seconds for each in nodes})


def idle(count, pool="a"):
    return [node(f"{pool}{index}", pool, idle_for=7200.0 + index) for index in range(count)]


def test_the_longest_idle_nodes_go_first():
    assert run(view(idle(4)), decision(a=2)) == (["a3", "a2"], [])


def test_a_target_of_what_is_there_removes_nothing():
    assert run(view(idle(4)), decision(a=4)) == ([], [])


def test_busy_nodes_never_go():
    worker = pod(node="w", gpus=8, owner=JOB)
    cluster = view([node("w", pods=[worker]), *idle(1)], pods=[worker])
    assert run(cluster, decision()) == (["a0"], [])


def test_booting_cordoned_and_foreign_nodes_do_not_go():
    cordoned = node("c", state=NodeState.CORDONED)
    cluster = view([booting("b1"), cordoned, unready("u")], unmanaged=[node("x", None)])
    assert run(cluster, decision()) == ([], [])


def test_an_empty_node_goes_before_one_that_must_be_drained():
    web = pod(node="old")
    cluster = view([node("old", pods=[web], idle_for=90_000.0), *idle(1)], pods=[web])
    assert run(cluster, decision(a=1))[0] == ["a0"]


def test_a_held_node_is_no_reason_to_keep_another_one():
    bare = pod(node="held", owner=None)
    cluster = view([node("held", pods=[bare], idle_for=90_000.0), *idle(2)], pods=[bare])
    assert run(cluster, decision(a=1)) == (["a1", "a0"], [])


def test_never_below_the_pools_minimum():
    settings = config(a={"min_nodes": 3})
    assert run(view(idle(5)), decision(a=0), settings=settings) == (["a4", "a3"], [Rule.POOL_MIN])
    assert run(view(idle(3)), decision(a=-7), settings=settings) == ([], [Rule.POOL_MIN])


def test_never_below_the_total_minimum_of_nodes():
    settings = config(totals=TotalLimits(min_nodes=3))
    names, rules = run(view([*idle(2), *idle(3, "b")]), decision(), settings=settings)
    assert len(names) == 2
    assert set(rules) == {Rule.TOTAL_MIN_NODES}


def test_never_below_the_total_minimum_of_gpus():
    settings = config(a={"gpus_per_node": 4}, totals=TotalLimits(min_gpus=17))
    names, rules = run(view([*idle(2), *idle(3, "b")]), decision(), settings=settings)
    assert names == ["a1", "a0", "b2"][: len(names)]
    assert len(names) == 2  # 32 GPUs - 2 x 4 = 24; one more of 8 would leave 16
    assert Rule.TOTAL_MIN_GPUS in rules


def test_ten_removals_at_once_those_under_way_included():
    leaving = [node(f"d{index}", state=NodeState.DRAINING) for index in range(4)]
    settings = config(a={"max_nodes": 30})
    names, rules = run(view([*idle(20), *leaving]), decision(), settings=settings)
    assert len(names) == 6
    assert set(rules) == {Rule.STEP_REMOVALS}


def test_one_node_is_drained_at_a_time():
    pods = [pod(f"web{index}", node=f"n{index}") for index in range(3)]
    nodes = [node(f"n{index}", pods=[pods[index]]) for index in range(3)]
    names, rules = run(view(nodes, pods=pods, unmanaged=[spare()]), decision())
    assert names == ["n0"]
    assert rules == [Rule.STEP_DRAINING, Rule.STEP_DRAINING]


def test_a_drain_under_way_counts():
    pods = [pod("x", node="going"), pod("y", node="n")]
    nodes = [node("going", pods=[pods[0]], state=NodeState.DRAINING), node("n", pods=[pods[1]])]
    cluster = view(nodes, pods=pods, unmanaged=[spare()])
    assert run(cluster, decision()) == ([], [Rule.STEP_DRAINING])
    more = config(steps=StepLimits(max_draining=2))
    assert run(cluster, decision(), settings=more) == (["n"], [])


@pytest.mark.parametrize(("idle_for", "names"), [(599.0, []), (600.0, ["n"])])
def test_a_node_is_unneeded_for_ten_minutes_first(idle_for, names):
    assert run(view([node("n", idle_for=idle_for)]), decision())[0] == names


@pytest.mark.parametrize(("ago", "names"), [(599.0, []), (600.0, ["a0"])])
def test_nothing_goes_for_ten_minutes_after_a_scale_up(ago, names):
    state = GuardrailState(scaled_up={"b": NOW - ago})
    assert run(view(idle(1)), decision(), state)[0] == names


def test_the_cooldown_after_a_scale_up_can_be_per_pool():
    state = GuardrailState(scaled_up={"b": NOW - 1.0})
    settings = config(cooldowns=Cooldowns(per_pool=True))
    assert run(view([*idle(1), *idle(1, "b")]), decision(), state, settings) == (["a0"], [Rule.AFTER_SCALE_UP])


def test_an_order_in_the_same_reconcile_counts_as_a_scale_up():
    assert run(view(idle(1)), decision(b=1)) == ([], [Rule.AFTER_SCALE_UP])


@pytest.mark.parametrize(("ago", "names"), [(179.0, []), (180.0, ["a0"])])
def test_nothing_goes_for_three_minutes_after_a_failed_removal(ago, names):
    state = after_removal_failure(GuardrailState(), NOW - ago)
    assert run(view(idle(1)), decision(), state)[0] == names


def test_a_node_that_pods_are_about_to_use_stays():
    waiting = pod("w", gpus=8, owner=JOB, labels={}, node_selector={"autoscaler.green/pool": "a"})
    names, rules = run(view([node("a0")], pods=[waiting]), decision())
    assert (names, rules) == ([], [Rule.PROMISED])


def test_a_node_that_a_gang_was_just_sent_to_is_no_reason_to_keep_another_one():
    nodes = [node("a0", idle_for=9000.0), node("a1", idle_for=8000.0)]
    assert run(view(nodes, queue=[gang("g")]), decision(a=1, placement=[0])) == (["a1"], [])


def test_a_node_that_a_gang_was_just_sent_to_stays():
    cluster = view(idle(2), queue=[gang("g", pods=1)])
    names, rules = run(cluster, decision(a=0, placement=[0]))
    assert names == ["a1"]
    assert rules == [Rule.PROMISED]


@pytest.mark.parametrize(
    ("unready_nodes", "ready_nodes", "stops"),
    [
        (3, 0, False),  # never for 3 or fewer
        (4, 4, True),
        (9, 11, False),  # exactly 45 %
        (10, 11, True),
    ],
)
def test_more_than_45_percent_and_more_than_3_unready_nodes_stop_everything(unready_nodes, ready_nodes, stops):
    nodes = [unready(f"u{index}") for index in range(unready_nodes)] + idle(ready_nodes)
    waiting = gang("g")
    cluster = view(nodes, queue=[waiting])
    settings = config(a={"max_nodes": 50})
    allowed = evaluate(cluster, decision(a=1, b=2, placement=[0]), GuardrailState(), settings)
    if stops:
        assert (dict(allowed.orders), allowed.removals, allowed.releases) == ({}, (), ())
        assert [verdict.rule for verdict in allowed.verdicts] == [Rule.HEALTH_STOP]
    else:
        assert allowed.orders["b"] == 2


def test_unready_nodes_of_no_pool_do_not_stop_us():
    broken = [unready(f"x{index}", None) for index in range(50)]
    assert run(view(idle(2), unmanaged=broken), decision(a=1)) == (["a1"], [])


def test_the_health_stop_can_be_tightened():
    settings = config(health=HealthStop(max_unready_fraction=0.0, ok_unready_nodes=0))
    assert run(view([unready("u"), *idle(9)]), decision(), settings=settings) == ([], [Rule.HEALTH_STOP])


def test_stale_data_stop_everything():
    cluster = view(idle(2), stale_resources=("nodes",))
    assert run(cluster, decision(b=3)) == ([], [Rule.STALE_DATA])


def test_a_node_without_its_gpus_after_15_minutes_is_given_up():
    nodes = [booting("late", age=901.0), booting("young", age=899.0)]
    allowed = evaluate(view(nodes), decision(a=2), watched(*nodes), config())
    assert [removal.name for removal in allowed.removals] == ["late"]
    assert allowed.state.in_backoff("a", NOW)
    rules = [verdict.rule for verdict in allowed.verdicts]
    assert rules == [Rule.BACKOFF, Rule.PROVISION_TIMEOUT]


def test_a_restart_does_not_give_a_booting_node_its_15_minutes_anew():
    first = evaluate(view([booting("late", age=800.0)]), decision(a=1), GuardrailState(), config())
    again = view([booting("late", age=800.0)], now=NOW + 101.0)
    assert [each.name for each in evaluate(again, decision(a=1), first.state, config()).removals] == ["late"]


def test_an_order_without_a_node_after_15_minutes_is_given_up():
    allowed = evaluate(view(orders=[order("o", age=901.0)]), decision(a=1), GuardrailState(), config())
    assert [(removal.name, removal.node) for removal in allowed.removals] == [("o", None)]


def test_a_node_that_lost_its_gpus_gets_15_minutes_too():
    old = node("old", gpus=0, state=NodeState.BOOTING)
    first = evaluate(view([old]), decision(), GuardrailState(), config())
    assert first.removals == ()
    assert not first.state.in_backoff("a", NOW)
    later = evaluate(view([old], now=NOW + 901.0), decision(), first.state, config())
    assert [removal.name for removal in later.removals] == ["old"]


def test_the_time_of_a_node_that_lost_its_gpus_counts_from_the_loss():
    """A plugin that restarts just before the node is 15 minutes old must not cost the node."""
    lost = booting("n", age=901.0, lost_since_seconds=NOW - 21.0)
    first = evaluate(view([lost]), decision(a=1), GuardrailState(), config())
    assert (first.removals, first.state.starting_since["n"]) == ((), NOW - 21.0)
    later = evaluate(view([lost], now=NOW + 880.0), decision(a=1), first.state, config())
    assert [removal.name for removal in later.removals] == ["n"]
    again = replace(lost, lost_since_seconds=NOW + 700.0)
    assert evaluate(view([again], now=NOW + 880.0), decision(a=1), first.state, config()).removals == ()


def test_one_late_node_is_one_failure_however_often_it_is_seen():
    held = booting("late", age=901.0, annotations={"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"})
    state = watched(held)
    for step in range(40):
        state = evaluate(view([held], now=NOW + 60.0 * step), decision(a=1), state, config()).state
    assert state.backoffs["a"].duration_seconds == 300.0


def test_a_late_node_with_a_protected_pod_stays():
    bare = pod(node="late", owner=None)
    late = booting("late", age=901.0, pods=[bare])
    assert run(view([late], pods=[bare]), decision(), watched(late)) == ([], [Rule.BARE_POD])


def test_giving_up_respects_the_minimum():
    settings = config(a={"min_nodes": 1})
    late = booting("late", age=901.0)
    names, rules = run(view([late]), decision(a=1), watched(late), settings)
    assert names == []
    assert Rule.POOL_MIN in rules


def test_the_provision_timeout_is_a_setting():
    settings = config(backoff=BackoffTimes(provision_timeout_seconds=100.0))
    late = booting("late", age=101.0)
    assert run(view([late]), decision(), watched(late), settings)[0] == ["late"]


def test_an_order_that_failed_is_no_scale_up():
    state = after_order_failure(GuardrailState(), "a", NOW, BackoffTimes())
    assert run(view(idle(1)), decision(), state) == (["a0"], [])


def test_an_order_is_a_scale_up():
    state = after_order(GuardrailState(), order("o", "b", age=0.0))
    assert run(view(idle(1)), decision(b=1), state) == ([], [Rule.IN_FLIGHT, Rule.AFTER_SCALE_UP])
