"""Pools whose nodes another autoscaler makes: nothing is ordered or removed, and gates open at once."""

import pytest

from autoscaler.live.guardrail_config import TotalLimits
from autoscaler.live.guardrails import GuardrailState, Rule, evaluate
from tests.live.views import booting, config, decision, gang, node, pod, view

OTHERS = {"provider": "capacity-buffer"}
WORK = pod("work", node="busy", gpus=8)
BUSY = node("busy", pods=(WORK,))


def run(cluster, want, **settings):
    settings = {"a": OTHERS, **settings}
    return evaluate(cluster, want, GuardrailState(), config(**settings))


@pytest.mark.parametrize(
    ("nodes", "target", "reserve"),
    [
        ([], 0, 0),
        ([], 3, 3),
        ([BUSY], 1, 0),
        ([BUSY], 3, 2),
        ([BUSY, node("idle"), booting("coming")], 3, 2),
        ([BUSY, node("idle")], 1, 0),
    ],
)
def test_what_a_policy_wants_beside_the_busy_nodes_is_kept_free(nodes, target, reserve):
    allowed = run(view(nodes), decision(a=target))
    assert allowed.reserves == {"a": reserve}
    assert allowed.orders == {}
    assert allowed.removals == ()
    assert allowed.candidates == ()


def test_nodes_for_waiting_jobs_are_no_reserve():
    allowed = run(view([BUSY], pods=[WORK], queue=[gang("g", pods=2, gated=False)]), decision(a=4, placement=[0]))
    assert allowed.reserves == {"a": 1}


def test_a_gang_goes_at_once_although_no_node_is_there_and_its_nodes_are_no_reserve():
    allowed = run(view(queue=[gang("g", pods=2)]), decision(a=3, placement=[0]))
    assert [release.gang.key for release in allowed.releases] == ["gang-g"]
    assert allowed.reserves == {"a": 1}


def test_an_incomplete_gang_still_waits():
    allowed = run(view(queue=[gang("g", pods=2, missing=1)]), decision(a=3, placement=[0]))
    assert allowed.releases == ()
    assert Rule.GANG_INCOMPLETE in [verdict.rule for verdict in allowed.verdicts]


def test_a_gang_of_an_ordinary_pool_waits_for_its_nodes():
    allowed = run(view(queue=[gang("g")]), decision(b=1, placement=[1]))
    assert allowed.releases == ()
    assert allowed.orders == {"b": 1}
    assert allowed.reserves == {"a": 0}


@pytest.mark.parametrize(
    ("settings", "reserve"),
    [
        ({"a": {**OTHERS, "min_nodes": 2}}, 2),
        ({"a": {**OTHERS, "max_nodes": 3}}, 2),
        ({"totals": TotalLimits(max_nodes=2)}, 1),
        ({"totals": TotalLimits(max_gpus=16)}, 1),
    ],
    ids=["least nodes of the pool", "most nodes of the pool", "most nodes of all", "most GPUs of all"],
)
def test_bounds_hold_for_what_the_reserve_adds(settings, reserve):
    target = 0 if "min_nodes" in settings.get("a", {}) else 9
    nodes = [] if target == 0 else [BUSY]
    assert run(view(nodes), decision(a=target), **settings).reserves == {"a": reserve}


def test_the_reserve_of_a_paused_pool_stays_as_it_is():
    cluster = view([BUSY], paused_pools={"a": "paused by you"})
    assert run(cluster, decision(a=5)).reserves == {}
