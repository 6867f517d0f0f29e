"""How many nodes are ordered: bounds, steps, orders in flight, backoff, whole gangs."""

import dataclasses

import pytest

from autoscaler.live.guardrail_config import BackoffTimes, StepLimits, TotalLimits
from autoscaler.live.guardrails import GuardrailState, Rule, after_order, after_order_failure, evaluate
from autoscaler.live.objects import MachineView, NodeState
from autoscaler.live.observer import unseen_orders
from tests.live.views import NOW, booting, config, decision, gang, node, order, unready, view

TIMES = BackoffTimes()


def run(cluster, want, state=None, settings=None):
    allowed = evaluate(cluster, want, state or GuardrailState(), settings or config())
    return dict(allowed.orders), [verdict.rule for verdict in allowed.verdicts if verdict.kind == "pool"]


def test_the_difference_to_the_target_is_ordered():
    assert run(view([node("n")]), decision(a=3, b=1)) == ({"a": 2, "b": 1}, [])


def test_from_zero():
    assert run(view(), decision(a=2)) == ({"a": 2}, [])


@pytest.mark.parametrize(
    "existing",
    [
        [node("x"), node("y")],
        [booting("x"), booting("y")],
        [unready("x"), node("y", state=NodeState.DRAINING)],
        [node("x", state=NodeState.CORDONED), booting("y")],
    ],
)
def test_never_above_the_pools_maximum_whatever_state_its_nodes_are_in(existing):
    orders, rules = run(view(existing), decision(a=9), settings=config(a={"max_nodes": 3}))
    assert orders == {"a": 1}
    assert Rule.POOL_MAX in rules


def test_nothing_is_ordered_in_a_pool_that_is_closed():
    orders, rules = run(view([node("n")]), decision(a=3), settings=config(a={"max_nodes": 0}))
    assert orders == {}
    assert Rule.POOL_MAX in rules


def test_the_minimum_is_ordered_even_if_the_policy_does_not_want_it():
    assert run(view(), decision(), settings=config(a={"min_nodes": 2})) == ({"a": 2}, [Rule.POOL_MIN])


def test_never_above_the_total_maximum_of_nodes():
    settings = config(totals=TotalLimits(max_nodes=4))
    assert run(view([node("n")]), decision(a=3, b=3), settings=settings) == ({"a": 2, "b": 1}, [Rule.TOTAL_MAX_NODES])


def test_never_above_the_total_maximum_of_gpus():
    settings = config(b={"gpus_per_node": 4}, totals=TotalLimits(max_gpus=21))
    assert run(view([node("n")]), decision(a=3, b=3), settings=settings) == (
        {"a": 1, "b": 1},
        [Rule.TOTAL_MAX_GPUS, Rule.TOTAL_MAX_GPUS],
    )


def test_the_total_maximum_wins_over_a_pools_minimum():
    settings = config(a={"min_nodes": 5}, totals=TotalLimits(max_nodes=2))
    assert run(view(), decision(a=5), settings=settings)[0] == {"a": 2}


def test_a_step_is_limited_and_goes_on_in_the_next():
    settings = config(steps=StepLimits(max_new_nodes=3))
    assert run(view(), decision(a=8), settings=settings) == ({"a": 3}, [Rule.STEP_ORDERS])
    later = view([booting(f"n{index}") for index in range(3)])
    assert run(later, decision(a=8), settings=settings) == ({"a": 3}, [Rule.STEP_ORDERS])


@pytest.mark.parametrize(
    "cluster",
    [
        view([booting("n", age=800.0)]),
        view(orders=[order("n", age=800.0)]),
    ],
    ids=["a node boots, or its GPU plugin is late", "an order is no Node yet"],
)
def test_nothing_is_ordered_twice_while(cluster):
    state = GuardrailState()
    for _ in range(5):
        allowed = evaluate(cluster, decision(a=1), state, config())
        assert allowed.orders == {}
        state = allowed.state


def test_an_order_that_the_view_does_not_show_yet_counts():
    state = after_order(GuardrailState(), order("n", age=5.0))
    assert run(view(), decision(a=2), state) == ({"a": 1}, [Rule.IN_FLIGHT])


def test_an_order_that_the_observer_shows_counts_once_and_is_not_forgotten():
    coming = order("n", age=5.0)
    allowed = evaluate(view(orders=[coming]), decision(a=2), after_order(GuardrailState(), coming), config())
    assert allowed.orders == {"a": 1}
    assert evaluate(view(), decision(a=2), allowed.state, config()).orders == {"a": 1}


def test_an_order_counts_once_when_the_view_shows_its_node():
    state = after_order(GuardrailState(), order("n", age=5.0))
    allowed = evaluate(view([booting("n")]), decision(a=2), state, config())
    assert allowed.orders == {"a": 1}
    assert allowed.state.orders == {}


def test_eighty_nodes_are_not_ordered_for_forty_jobs():
    """The most common complaint: the GPU plugin is late, so the pods still wait, so the nodes are ordered again."""
    queue = [gang(f"g{index}") for index in range(40)]
    nodes = [booting(f"n{index}") for index in range(40)]
    settings = config(a={"max_nodes": 100})
    assert run(view(nodes, queue=queue), decision(a=40, placement=[0] * 8), settings=settings)[0] == {}


def test_an_overdue_node_no_longer_counts_as_coming():
    late = booting("late", age=901.0)
    state = GuardrailState(starting_since={"late": late.created_seconds})
    first = evaluate(view([late]), decision(a=1), state, config())
    assert first.orders == {}, "the pool is in backoff"
    assert first.verdicts[0].rule is Rule.BACKOFF
    after = dataclasses.replace(view([late]), now_seconds=NOW + 301.0)
    assert evaluate(after, decision(a=1), first.state, config()).orders == {"a": 1}


def test_an_order_that_never_shows_is_a_failure():
    state = after_order(GuardrailState(), order("lost", age=901.0))
    allowed = evaluate(view(), decision(a=1), state, config())
    assert allowed.state.orders == {}
    assert allowed.state.in_backoff("a", NOW)


def test_a_failing_pool_is_left_alone_and_the_other_one_is_not():
    state = after_order_failure(GuardrailState(), "a", NOW, TIMES)
    assert run(view(), decision(a=2, b=2), state) == ({"b": 2}, [Rule.BACKOFF])


def test_the_backoff_doubles_from_5_to_30_minutes():
    state, now, durations = GuardrailState(), NOW, []
    for _ in range(5):
        state = after_order_failure(state, "a", now, TIMES)
        durations.append(state.backoffs["a"].duration_seconds)
        assert state.in_backoff("a", now + durations[-1] - 1.0)
        now += durations[-1]
        assert not state.in_backoff("a", now)
    assert durations == [300.0, 600.0, 1200.0, 1800.0, 1800.0]


def test_failures_during_a_backoff_do_not_double_it():
    state = GuardrailState()
    for _ in range(10):
        state = after_order_failure(state, "a", NOW, TIMES)
    assert state.backoffs["a"].duration_seconds == 300.0


def test_a_backoff_is_forgotten_after_3_hours():
    state = after_order_failure(GuardrailState(), "a", NOW, TIMES)
    state = after_order_failure(state, "a", NOW + 600.0, TIMES)
    assert state.backoffs["a"].duration_seconds == 600.0
    state = after_order_failure(state, "a", NOW + 600.0 + 10_800.0, TIMES)
    assert state.backoffs["a"].duration_seconds == 300.0


def test_nodes_for_half_a_gang_are_not_ordered():
    settings = config(a={"max_nodes": 3})
    cluster = view(queue=[gang("big", pods=4, pools=("a",))])
    assert run(cluster, decision(a=4, placement=[0]), settings=settings) == ({}, [Rule.POOL_MAX, Rule.WHOLE_GANGS])


def test_a_smaller_gang_behind_one_that_cannot_be_whole_gets_its_nodes():
    settings = config(a={"max_nodes": 3})
    cluster = view(queue=[gang("big", pods=4, pools=("a",)), gang("small", pods=2, pools=("a",))])
    assert run(cluster, decision(a=6, placement=[0, 0]), settings=settings)[0] == {"a": 2}


def test_a_gang_that_fits_on_what_is_there_and_the_rest_is_whole():
    settings = config(a={"max_nodes": 4})
    cluster = view(
        [node("n1"), booting("n2")], queue=[gang("first", pods=4, pools=("a",)), gang("second", pods=2, pools=("a",))]
    )
    assert run(cluster, decision(a=6, placement=[0, 0]), settings=settings)[0] == {"a": 2}


def test_a_reserve_may_use_what_the_bound_leaves():
    settings = config(a={"max_nodes": 3})
    cluster = view(queue=[gang("g", pods=2, pools=("a",))])
    assert run(cluster, decision(a=5, placement=[0]), settings=settings)[0] == {"a": 3}


def test_a_reserve_that_is_on_its_way_is_not_ordered_again_beside_a_gang_that_cannot_be_whole():
    settings = config(a={"max_nodes": 2})
    cluster = view(queue=[gang("big", pods=3, pools=("a",))])
    assert run(cluster, decision(a=4, placement=[0]), settings=settings)[0] == {"a": 1}
    state = after_order(GuardrailState(), order("reserve"))
    assert run(cluster, decision(a=4, placement=[0]), state, settings)[0] == {}


def test_a_step_limit_may_split_a_gang_because_the_rest_follows():
    settings = config(steps=StepLimits(max_new_nodes=2))
    cluster = view(queue=[gang("big", pods=4, pools=("a",))])
    assert run(cluster, decision(a=4, placement=[0]), settings=settings)[0] == {"a": 2}


def test_pods_that_share_nodes_are_counted_by_gpus():
    settings = config(a={"max_nodes": 1})
    cluster = view(queue=[gang("g", pods=4, gpus=2, pools=("a",)), gang("h", pods=1, gpus=8, pools=("a",))])
    assert run(cluster, decision(a=2, placement=[0, 0]), settings=settings)[0] == {"a": 1}


def claim(name="n", **fields):
    return MachineView(name=name, uid=f"uid-{name}", pool="a", created_seconds=NOW - 5.0, **fields)


def test_a_claim_that_vanishes_before_it_is_a_node_is_a_failure():
    """Karpenter deletes a claim that it cannot launch; without a backoff it would be made again for ever."""
    state = after_order(GuardrailState(), order("n", age=5.0))
    seen = evaluate(view(orders=[order("n", age=5.0)], machines=(claim(),)), decision(a=1), state, config())
    assert (seen.orders, seen.state.orders, dict(seen.state.awaited)) == ({}, {}, {"n": "a"})
    after = evaluate(view(), decision(a=1), seen.state, config())
    assert after.orders == {}
    assert after.state.in_backoff("a", NOW)


def test_a_machine_that_was_launched_and_is_lost_is_ordered_again_at_once():
    launched = claim(provider_id="kwok://n")
    seen = evaluate(view(orders=[order("n", age=5.0)], machines=(launched,)), decision(a=1), GuardrailState(), config())
    assert evaluate(view(), decision(a=1), seen.state, config()).orders == {"a": 1}


def test_an_order_that_came_and_went_between_two_looks_is_made_again_at_once():
    state = after_order(GuardrailState(), order("n", age=5.0))
    lost = evaluate(view(gone={"n": True}), decision(a=1), state, config())
    assert (lost.orders, lost.state.orders) == ({"a": 1}, {})
    refused = evaluate(view(gone={"n": False}), decision(a=1), state, config())
    assert (refused.orders, refused.state.in_backoff("a", NOW)) == ({}, True)
    assert unseen_orders(view(gone={"n": True}), state) == {}
    assert unseen_orders(view(), state) == {"a": 1}


def test_a_claim_that_became_a_node_and_goes_is_none():
    state = GuardrailState(awaited={"n": "a"})
    ready = view([node("ip-1")], machines=(claim(node_name="ip-1"),))
    seen = evaluate(ready, decision(a=1), state, config())
    assert seen.state.awaited == {}
    assert not evaluate(view(), decision(a=1), seen.state, config()).state.in_backoff("a", NOW)


def test_a_claim_that_we_gave_up_counts_once():
    late = order("n", age=901.0)
    seen = evaluate(view(orders=[late], machines=(claim(),)), decision(a=1), GuardrailState(), config())
    assert seen.state.given_up == {"n"}
    after = evaluate(view(now=NOW + 400.0), decision(a=1), seen.state, config())
    assert after.orders == {"a": 1}
