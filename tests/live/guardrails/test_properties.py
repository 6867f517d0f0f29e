"""What holds for every cluster, every decision and every memory, however odd."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.guardrail_config import Cooldowns, StepLimits, TotalLimits
from autoscaler.live.guardrails import GuardrailState, after_order, evaluate
from autoscaler.live.guardrails.orders import counted_nodes, existing_nodes
from autoscaler.live.guardrails.protection import evictable_pods, node_hold
from autoscaler.live.objects import NodeState
from tests.live.views import JOB, NOW, booting, config, decision, gang, node, order, pdb, pod, unready, view

ANNOTATIONS = st.sampled_from(
    [
        {},
        {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
        {"karpenter.sh/do-not-disrupt": "true"},
    ]
)


@st.composite
def nodes(draw):
    """Up to 12 nodes in every state with pods of every kind, and those pods."""
    made, pods = [], []
    for index in range(draw(st.integers(0, 12))):
        name, pool = f"n{index}", draw(st.sampled_from(["a", "b"]))
        on_it = [
            pod(
                f"{name}-{at}",
                node=name,
                gpus=draw(st.sampled_from([0, 0, 1, 4])),
                owner=draw(st.sampled_from([None, JOB])),
                labels=draw(st.sampled_from([{}, {"app": "w"}])),
                annotations=draw(ANNOTATIONS),
                priority=draw(st.sampled_from([0, 0, -20])),
            )
            for at in range(draw(st.sampled_from([0, 0, 0, 1, 2])))
        ]
        kind = draw(st.sampled_from(["ready", "ready", "ready", "booting", "unready", "draining", "cordoned"]))
        if kind == "ready":
            made.append(node(name, pool, pods=on_it, idle_for=draw(st.sampled_from([0.0, 599.0, 600.0, 5000.0]))))
        elif kind == "booting":
            made.append(booting(name, pool, age=draw(st.floats(0.0, 2000.0)), pods=on_it))
        elif kind == "unready":
            made.append(unready(name, pool, pods=on_it))
        else:
            made.append(node(name, pool, state=NodeState(kind), pods=on_it))
        pods.extend(on_it)
    return made, pods


@st.composite
def scenarios(draw):
    """A cluster, a decision, a memory and settings."""
    made, pods = draw(nodes())
    queue = [
        gang(f"g{index}", pods=draw(st.integers(1, 4)), gpus=draw(st.sampled_from([1, 4, 8])))
        for index in range(draw(st.integers(0, 4)))
    ]
    orders = [order(f"o{index}", draw(st.sampled_from(["a", "b"])), 60.0) for index in range(draw(st.integers(0, 2)))]
    cluster = view(made, pods=pods, queue=queue, orders=orders, pdbs=(pdb(allowed=draw(st.integers(0, 1)), app="w"),))
    state = GuardrailState(starting_since={each.name: each.created_seconds for each in made})
    for index in range(draw(st.integers(0, 2))):
        state = after_order(state, order(f"hidden{index}", draw(st.sampled_from(["a", "b"])), 10.0))
    want = decision(
        draw(st.integers(-3, 14)), draw(st.integers(-3, 14)), draw(st.lists(st.integers(-1, 3), max_size=8))
    )
    limits = config(
        a={"min_nodes": draw(st.integers(0, 4)), "max_nodes": draw(st.integers(4, 12))},
        b={"max_nodes": draw(st.integers(1, 12))},
        totals=TotalLimits(min_nodes=draw(st.integers(0, 4)), max_nodes=draw(st.none() | st.integers(4, 20))),
        steps=StepLimits(max_new_nodes=draw(st.integers(1, 5)), max_removals=draw(st.sampled_from([0, 2, 10]))),
        cooldowns=Cooldowns(after_scale_up_seconds=draw(st.sampled_from([0.0, 600.0]))),
    )
    return cluster, want, state, limits


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_no_bound_is_broken(scenario):
    cluster, want, state, limits = scenario
    allowed = evaluate(cluster, want, state, limits)
    before = {pool.name: existing_nodes(pool, allowed.state) for pool in cluster.pools}
    for pool in limits.pools:
        ordered = allowed.orders.get(pool.name, 0)
        assert ordered == 0 or before[pool.name] + ordered <= pool.max_nodes
        assert ordered <= limits.guardrails.steps.max_new_nodes
    total = limits.guardrails.totals.max_nodes
    assert total is None or not allowed.orders or sum(before.values()) + sum(allowed.orders.values()) <= total


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_no_removal_goes_below_a_minimum(scenario):
    cluster, want, state, limits = scenario
    allowed = evaluate(cluster, want, state, limits)
    times = limits.guardrails.backoff
    idle_removals = [each for each in allowed.removals if each.node and each.node.state is NodeState.IDLE]
    counts = {pool.name: counted_nodes(pool, allowed.state, NOW, times) for pool in cluster.pools}
    for pool in limits.pools:
        gone = sum(each.pool == pool.name for each in idle_removals)
        assert gone == 0 or counts[pool.name] - gone >= pool.min_nodes
    if idle_removals:
        assert sum(counts.values()) - len(idle_removals) >= limits.guardrails.totals.min_nodes


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_no_node_with_a_protected_pod_and_no_node_that_serves_is_removed(scenario):
    cluster, want, state, limits = scenario
    allowed = evaluate(cluster, want, state, limits)
    released_pods = {each.uid for release in allowed.releases for each in release.pods}
    for removal in allowed.removals:
        if removal.node is None:
            continue
        assert node_hold(removal.node, cluster, limits.guardrails.protection) is None
        assert removal.node.state in (NodeState.IDLE, NodeState.BOOTING, NodeState.UNREADY)
        assert set(removal.evict) == {each.uid for each in evictable_pods(removal.node, cluster)}
        assert not released_pods & set(removal.evict)
    leaving = [each for pool in cluster.pools for each in pool.in_state(NodeState.DRAINING)]
    drains = sum(bool(evictable_pods(each, cluster)) for each in leaving) + sum(
        bool(each.evict) for each in allowed.removals
    )
    assert not any(each.evict for each in allowed.removals) or drains <= limits.guardrails.steps.max_draining
    assert not allowed.removals or len(allowed.removals) + len(leaving) <= limits.guardrails.steps.max_removals


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_gangs_go_whole_and_what_goes_fits(scenario):
    cluster, want, state, limits = scenario
    allowed = evaluate(cluster, want, state, limits)
    removed = {each.name for each in allowed.removals}
    for pool in cluster.pools:
        ready = [each for each in pool.in_state(NodeState.IDLE, NodeState.BUSY) if each.name not in removed]
        free = sum(each.allocatable_gpu_milli - each.used_gpu_milli for each in ready)
        taken = [release for release in allowed.releases if release.pool == pool.name]
        assert sum(release.gang.pending_gpu_milli for release in taken) <= free
        for release in taken:
            assert release.pods == release.gang.pods
            assert len(release.pods) == release.gang.parallelism


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_asking_again_after_everything_was_done_asks_for_nothing_twice(scenario):
    cluster, want, state, limits = scenario
    allowed = evaluate(cluster, want, state, limits)
    state = allowed.state
    for pool, count in allowed.orders.items():
        for index in range(count):
            state = after_order(state, order(f"{pool}-new{index}", pool, age=0.0))
    again = evaluate(cluster, want, state, limits)
    if all(count < limits.guardrails.steps.max_new_nodes for count in allowed.orders.values()):
        assert again.orders == {}


@settings(deadline=None, max_examples=200)
@given(scenarios())
def test_the_same_input_gives_the_same_verdicts_and_changes_nothing(scenario):
    cluster, want, state, limits = scenario
    before = dataclasses.replace(state)
    assert evaluate(cluster, want, state, limits) == evaluate(cluster, want, state, limits)
    assert state == before
