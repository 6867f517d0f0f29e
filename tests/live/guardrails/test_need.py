"""Nodes that waiting pods need and that GPUs alone do not show: worked out by hand."""

import json
from dataclasses import replace

import pytest

from autoscaler.live.constraints import PodTerm, Requirement, Spread
from autoscaler.live.guardrail_config import Cooldowns
from autoscaler.live.guardrails import GuardrailState, Rule, after_order, evaluate
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.model import NodeShape
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import PodsToCome
from autoscaler.live.telemetry.audit import allowed_dict
from tests.live.views import GPU, JOB, booting, config, decision, gang, node, order, pod, spare, view

HOST, ZONE = "kubernetes.io/hostname", "zone"
APP = (Requirement("app", "In", ("x",)),)
LABELS = {"app": "x"}
APART = {"labels": LABELS, "pod_anti_affinity": (PodTerm(HOST, APP, ("default",)),)}
SHAPE = NodeShape({LABEL_POOL: "a"}, (), {"cpu": 96_000, "pods": 110_000, GPU: 8000})


def job(name="g", pods=1, gpus=1, gated=True, **fields):
    gates = (GATE_PLACEMENT,) if gated else ()
    members = tuple(pod(f"{name}-{at}", gpus=gpus, gates=gates, owner=JOB, **fields) for at in range(pods))
    return gang(name, pods, gpus, members=members, pools=("a",))


def judged(cluster, target, state=None, settings=None, placement=(0, 0, 0)):
    """The guardrails' word, which a replay of the audit repeats."""
    settings, state, want = settings or config(), state or GuardrailState(), decision(a=target, placement=placement)
    allowed = evaluate(cluster, want, state, settings)
    seen, memory = unpack(json.loads(json.dumps(pack(cluster, state))))
    again = evaluate(seen, want, memory, settings)
    assert allowed_dict(again) == allowed_dict(allowed)
    assert again.state == allowed.state
    return allowed


def ordered(cluster, target, **more):
    allowed = judged(cluster, target, **more)
    return allowed.orders.get("a", 0), [verdict.rule for verdict in allowed.verdicts if verdict.kind == "pool"]


def with_shape(cluster, shape=SHAPE):
    return replace(cluster, pools=(replace(cluster.pools[0], shape=shape), *cluster.pools[1:]))


def test_seven_free_gpus_without_their_cpus_are_no_place():
    """The node has 7 GPUs and 6 CPUs left, the job wants 1 GPU and 8 CPUs; the policy sees GPUs and wants one node."""
    there = pod("there", node="n", gpus=1, cpu_milli=90_000, owner=JOB)
    cluster = view([node("n", pods=[there])], pods=[there], queue=[job(cpu_milli=8000)])
    assert ordered(cluster, 1) == (1, [Rule.NEEDED])


def test_six_free_cpus_are_a_place_for_six():
    there = pod("there", node="n", gpus=1, cpu_milli=90_000, owner=JOB)
    cluster = view([node("n", pods=[there])], pods=[there], queue=[job(cpu_milli=6000)])
    assert ordered(cluster, 1) == (0, [])


def test_jobs_share_a_new_node_as_far_as_its_cpus_go():
    """A node has 96 CPUs: five jobs of 40 CPUs take three nodes, two and two and one."""
    cluster = view(queue=[job(f"g{at}", cpu_milli=40_000) for at in range(5)])
    assert ordered(cluster, 1, placement=[0] * 5) == (3, [Rule.NEEDED])


def test_what_comes_already_is_not_ordered_again():
    cluster = view([booting("n")], queue=[job(f"g{at}", cpu_milli=40_000) for at in range(5)])
    assert ordered(cluster, 1, placement=[0] * 5) == (2, [Rule.NEEDED])
    hidden = after_order(after_order(GuardrailState(), order("o1")), order("o2"))
    assert ordered(cluster, 1, placement=[0] * 5, state=hidden)[0] == 0


@pytest.mark.parametrize("gated", [True, False])
def test_three_pods_that_want_to_be_apart_need_three_nodes(gated):
    cluster = view([node("n", labels={LABEL_POOL: "a", HOST: "n"})], queue=[job(pods=3, gated=gated, **APART)])
    assert ordered(cluster, 1) == (2, [Rule.NEEDED])


def test_a_gang_that_wants_to_be_apart_goes_when_all_its_nodes_are_ready_and_not_before():
    nodes = [node(name, labels={LABEL_POOL: "a", HOST: name}) for name in "nmo"]
    for ready in (1, 2, 3):
        cluster = view(nodes[:ready], queue=[job(pods=3, **APART)])
        released = [len(release.pods) for release in judged(cluster, 3).releases]
        assert released == ([3] if ready == 3 else [])


def test_a_spread_over_hosts_needs_nodes_for_its_skew():
    """Four pods, at most one more on a host than on the emptiest: on n and new nodes, as the scheduler fills them."""
    cluster = view(
        [node("n", labels={LABEL_POOL: "a", HOST: "n"})],
        queue=[job(pods=4, labels=LABELS, spreads=(Spread(HOST, 1, APP, min_domains=2),))],
    )
    assert ordered(cluster, 1) == (1, [Rule.NEEDED])


def test_a_gang_at_our_gate_is_spread_over_the_zones_of_its_pool_alone():
    """With the selector of its pool only that counts: two pods go to z1 although z2 of pool b has none."""
    nodes = [node(name, name, labels={LABEL_POOL: name, ZONE: zone}) for name, zone in (("a", "z1"), ("b", "z2"))]
    waiting = job(pods=2, labels=LABELS, spreads=(Spread(ZONE, 1, APP),))
    assert [len(release.pods) for release in judged(view(nodes, queue=[waiting]), 1).releases] == [2]


def test_daemon_sets_are_on_each_new_node():
    """96 CPUs less 32 for DaemonSets hold one job of 40 CPUs, not two."""
    cluster = with_shape(view(queue=[job(f"g{at}", cpu_milli=40_000) for at in range(2)]))
    assert ordered(cluster, 1) == (1, [])
    loaded = with_shape(cluster, replace(SHAPE, overhead={"cpu": 32_000, "pods": 2000}))
    assert ordered(loaded, 1) == (2, [Rule.NEEDED])


def test_a_gang_that_the_policy_holds_raises_nothing():
    assert ordered(view(queue=[job(pods=3, **APART)]), 0, placement=[-1]) == (0, [])


def test_pods_that_do_not_exist_yet_count():
    template = pod("template", gpus=1, gates=(GATE_PLACEMENT,), owner=JOB, **APART)
    waiting = replace(job(pods=1, **APART), parallelism=3, missing_pods=2, to_come=(PodsToCome(template, 2),))
    assert ordered(view(queue=[waiting]), 1) == (3, [Rule.NEEDED])


def test_nodes_for_a_part_of_a_gang_that_wants_to_be_apart_are_not_ordered():
    cluster = view(queue=[job(pods=3, **APART)])
    orders, rules = ordered(cluster, 1, settings=config(a={"max_nodes": 2}))
    assert (orders, rules) == (0, [Rule.NEEDED, Rule.POOL_MAX, Rule.WHOLE_GANGS])


def test_the_policys_own_wish_for_more_stays():
    cluster = view(queue=[job(pods=3, **APART)])
    assert ordered(cluster, 5) == (5, [])


def test_idle_nodes_that_a_waiting_gang_needs_are_not_removed():
    """Two are ready and the third boots: the policy counts GPUs, finds one node enough and would remove the other."""
    nodes = [node(name, labels={LABEL_POOL: "a", HOST: name}) for name in "nm"]
    settings = config(cooldowns=Cooldowns(unneeded_seconds=0.0, after_scale_up_seconds=0.0))
    allowed = judged(view([*nodes, booting("o")], queue=[job(pods=3, **APART)]), 1, settings=settings)
    assert (allowed.orders, allowed.removals) == ({}, ())


def test_a_pod_that_is_nominated_holds_its_node_whatever_is_free_there():
    """The pod that it preempts is still on n; what the nominated one needs is not offered to others."""
    small = pod("small", node="n", gpus=8, owner=JOB)
    chosen = pod("chosen", gpus=8, owner=JOB, nominated_node="n")
    idle = pod("idle", node="n", gpus=0)
    cluster = view([node("n", pods=[small, idle]), node("m")], pods=[small, idle, chosen], queue=[job(gpus=8)])
    (release,) = judged(cluster, 2).releases
    assert release.gang.ref.name == "g"
    settings = config(cooldowns=Cooldowns(unneeded_seconds=0.0, after_scale_up_seconds=0.0))
    empty = view([node("n"), node("m")], pods=[chosen])
    assert [removal.name for removal in judged(empty, 0, settings=settings).removals] == ["m"]


def test_topology_of_nodes_of_no_pool_counts_and_is_in_the_audit():
    """One such pod runs in zone z2 on a node of no pool, none in z1 where the pool is: two fit in z1, not three."""
    there = pod("there", node="spare", labels=LABELS)
    other = spare(pods=[there], labels={HOST: "spare", ZONE: "z2"})
    shape = replace(SHAPE, labels={LABEL_POOL: "a", ZONE: "z1"})
    spread = {"labels": LABELS, "spreads": (Spread(ZONE, 1, APP, honors_affinity=False),)}
    for pods, orders in ((2, 1), (3, 0)):
        cluster = with_shape(view(queue=[job(pods=pods, **spread)], pods=[there], unmanaged=[other]), shape)
        assert judged(cluster, 0).orders == ({"a": orders} if orders else {})


def test_a_job_that_is_gone_takes_its_orders_back():
    waiting = view(queue=[job(gpus=8), job("h", gpus=8)])
    first = judged(waiting, 2)
    assert first.orders == {"a": 2}
    assert dict(first.state.wanted) == {"gang-g": ("a", 1), "gang-h": ("a", 1)}
    coming = view([booting("n", age=5.0), booting("m", age=6.0)], queue=waiting.queue[:1])
    after = judged(coming, 2, state=first.state)
    assert [(removal.name, removal.evict) for removal in after.removals] == [("n", ())]
    assert after.orders == {}
    assert "n" in after.state.given_up, "its machine vanishes because we want it to"


def test_an_order_without_a_node_is_taken_back_first():
    first = judged(view(queue=[job(gpus=8)]), 1)
    coming = view([booting("n")], orders=[order("o")])
    (removal,) = judged(coming, 2, state=first.state).removals
    assert (removal.name, removal.node) == ("o", None)


def test_an_order_that_does_not_show_yet_is_taken_back_when_it_does():
    first = judged(view(queue=[job(gpus=8)]), 1)
    state = after_order(first.state, order("o", age=1.0))
    hidden = judged(view(), 1, state=state)
    assert hidden.removals == ()
    shown = judged(view(orders=[order("o", age=1.0)]), 1, state=hidden.state)
    assert [removal.name for removal in shown.removals] == ["o"]
    assert judged(view(), 0, state=shown.state).state.wanted == {}


def test_what_another_job_needs_or_the_minimum_is_not_taken_back():
    first = judged(view(queue=[job(gpus=8)]), 1)
    assert judged(view([booting("n")], queue=[job("new", gpus=8)]), 1, state=first.state).removals == ()
    settings = config(a={"min_nodes": 1})
    assert judged(view([booting("n")]), 1, state=first.state, settings=settings).removals == ()


def test_a_reserve_that_the_policy_ordered_is_not_taken_back():
    first = judged(view(queue=[job(gpus=8)]), 3)
    assert first.orders == {"a": 3}
    nodes = [booting(name, age=5.0) for name in "nmo"]
    assert len(judged(view(nodes), 3, state=first.state).removals) == 1


def test_a_job_that_runs_elsewhere_takes_nothing_back():
    first = judged(view(queue=[job(gpus=8)]), 1)
    worker = pod("g-0", node="m", gpus=8, owner=JOB)
    running = replace(job(gpus=8), pods=(worker,))
    cluster = view([booting("n"), node("m", pods=[worker])], pods=[worker], running=(running,))
    after = judged(cluster, 2, state=first.state)
    assert (after.removals, after.state.wanted) == ((), {})


def test_a_node_that_is_ready_before_its_job_goes_is_the_policys():
    first = judged(view(queue=[job(gpus=8)]), 1)
    after = judged(view([node("n", idle_for=1.0)]), 1, state=first.state)
    assert (after.removals, after.state.wanted) == ((), {})
