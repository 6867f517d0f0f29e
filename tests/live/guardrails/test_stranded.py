"""Gangs that were sent to a pool which cannot run them."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.guardrail_config import TotalLimits
from autoscaler.live.guardrails import GuardrailState, after_order, after_order_failure, evaluate
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.stranded import stranded
from autoscaler.live.names import ANNOTATION_PLACED_AT, GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import NodeState
from autoscaler.live.telemetry.audit import AuditWriter, Header, read_audit
from autoscaler.live.view.view import ViewBuilder
from envs.gpu_cluster.codec import CodecLayout
from tests.live import raw
from tests.live.views import JOB, NOW, booting, config, decision, gang, node, order, pod, unready, view


def sent(pool="a", **fields):
    """A gang of two pods that was sent to a pool and is bound nowhere."""
    fields = {"node_selector": {LABEL_POOL: pool}, "annotations": {ANNOTATION_PLACED_AT: "1.0"}, **fields}
    members = tuple(pod(f"g-{index}", gpus=8, owner=JOB, **fields) for index in range(2))
    return replace(gang("g", 2, gated=False, members=members), replaceable=True)


def dead(pool="a", state=None):
    return after_order_failure(state or GuardrailState(), pool, NOW, config().guardrails.backoff)


def judged(cluster, state, settings=None):
    settings = settings or config()
    return stranded(cluster, state, settings, Capacity(cluster, state, settings.counted_resources))


def found(gangs, nodes=(), state=None, settings=None, **cluster):
    return [each.restart for each in judged(view(nodes, queue=gangs, **cluster), state or dead(), settings)]


def test_a_gang_whose_pool_died_is_made_again_for_another_pool():
    (each,) = evaluate(view([unready("u")], queue=[sent()]), decision(), dead(), config()).stranded
    assert each.restart
    assert "pool a died" in each.reason


def test_a_pool_that_is_not_in_the_config_any_more_is_dead():
    assert found([sent("gone")], state=GuardrailState()) == [True]


def test_a_pool_that_may_grow_is_not_dead():
    assert found([sent()], state=GuardrailState()) == []


@pytest.mark.parametrize("nodes", [[node("n")], [booting("n")]])
def test_a_pool_with_a_node_or_one_to_come_is_not_dead(nodes):
    assert found([sent()], nodes) == []


def test_a_pool_with_an_order_under_way_is_not_dead():
    assert found([sent()], orders=[order("o")]) == []
    assert found([sent()], state=dead(state=after_order(GuardrailState(), order("o")))) == []


def test_where_no_other_pool_can_run_it_nothing_is_evicted():
    assert found([sent()], state=dead("b", dead("a"))) == [False]
    assert found([sent(node_selector={LABEL_POOL: "a", "zone": "x"})]) == [False]


def refused(pool="a", **fields):
    """A gang of two pods of 8 GPUs for which the scheduler found no node in its pool."""
    return sent(pool, unschedulable=True, **fields)


SMALL = config(a={"max_nodes": 2})
NOTHING = GuardrailState()


def others(gpus=8):
    """Pods of others, one on each node of a pool of two."""
    return [pod(f"x{index}", node=f"n{index}", gpus=gpus) for index in range(2)]


def full(gpus=8):
    """The nodes of that pool."""
    return [node(each.node_name, pods=[each]) for each in others(gpus)]


def test_a_gang_that_was_sent_to_a_pool_which_is_full_now_is_made_again_for_another_one():
    (each,) = judged(view(full(), queue=[refused()], pods=others()), NOTHING, SMALL)
    assert each.restart
    assert "pool a is full" in each.reason


@pytest.mark.parametrize(
    "nodes",
    [
        [unready("n0"), unready("n1")],
        [node("n0", state=NodeState.CORDONED, unschedulable=True), unready("n1")],
        full(gpus=4),
    ],
)
def test_so_is_one_whose_pool_has_only_broken_nodes_or_too_small_gaps(nodes):
    assert found([refused()], nodes, NOTHING, SMALL, pods=others(4)) == [True]


def test_so_is_one_whose_pool_is_in_backoff_while_others_run_there():
    assert found([refused()], full(), pods=others()) == [True]
    assert found([refused()], full(), NOTHING, pods=others()) == []


def test_it_waits_until_the_scheduler_has_tried_all_its_pods():
    assert found([sent()], full(), NOTHING, SMALL, pods=others()) == []
    one, two = refused().pods
    mixed = replace(refused(), pods=(one, replace(two, unschedulable=False)))
    assert found([mixed], full(), NOTHING, SMALL, pods=others()) == []


@pytest.mark.parametrize(
    "nodes", [[node("n0"), node("n1")], [node("n0"), booting("n1")], [booting("n0"), booting("n1")], [node("n0")], []]
)
def test_it_stays_while_its_pool_has_capacity_or_can_grow(nodes):
    assert found([refused()], nodes, NOTHING, SMALL) == []


def test_it_stays_where_no_other_pool_can_take_it():
    both = config(a={"max_nodes": 2}, b={"max_nodes": 1})
    assert found([refused()], full(), NOTHING, both, pods=others()) == []
    assert found([refused()], full(), dead("b", NOTHING), SMALL, pods=others()) == []
    totals = config(a={"max_nodes": 2}, totals=TotalLimits(max_nodes=3))
    assert found([refused()], full(), NOTHING, totals, pods=others()) == []


def test_two_gangs_do_not_count_on_the_same_nodes():
    """Pool b has capacity for one of them."""
    other = replace(refused(), key="gang-h", ref=replace(refused().ref, name="h"))
    other = replace(other, pods=tuple(replace(each, name=f"h{each.name}", uid=f"h{each.uid}") for each in other.pods))
    settings = config(a={"max_nodes": 2}, b={"max_nodes": 3})
    assert found([refused(), other], full(), NOTHING, settings, pods=others()) == [True]


def test_a_gang_whose_job_would_fail_by_it_is_only_told():
    (each,) = judged(view(queue=[replace(sent(), replaceable=False)]), dead())
    assert not each.restart
    assert "delete its pods yourself" in each.reason


@pytest.mark.parametrize("fields", [{"gates": (GATE_PLACEMENT,)}, {"node": "n"}, {"annotations": {}}])
def test_a_gang_that_waits_at_the_gate_or_runs_in_part_or_was_placed_by_others_is_left_alone(fields):
    one, other = sent().pods[0], sent(**fields).pods[1]
    assert found([replace(sent(), pods=(one, other))]) == []


def test_the_audit_names_the_gangs_whose_pods_are_made_again(tmp_path):
    audit = AuditWriter(tmp_path / "audit.jsonl", Header(CodecLayout(), "", "reactive", False, config()))
    cluster = view([unready("u")], queue=[sent()])
    audit.verdicts(cluster, dead(), evaluate(cluster, decision(), dead(), config()))
    audit.close()
    (_, _), (_, record) = read_audit(tmp_path / "audit.jsonl")
    assert record["restarts"] == ["gang-g"]


IGNORE = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
COUNT = {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
EXIT = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}


@pytest.mark.parametrize(
    ("spec", "status", "replaceable"),
    [
        ({"backoffLimit": 2}, {}, True),
        ({}, {}, True),  # Kubernetes' default is 6
        ({"backoffLimit": 1}, {}, False),
        ({"backoffLimit": 0}, {}, False),
        ({"backoffLimit": 3}, {"failed": 2}, False),
        ({"backoffLimitPerIndex": 9}, {}, False),
        ({"backoffLimit": 0, "podFailurePolicy": {"rules": [EXIT, IGNORE]}}, {}, True),
        ({"backoffLimit": 0, "podFailurePolicy": {"rules": [COUNT, IGNORE]}}, {}, False),
        ({"backoffLimit": 0, "podFailurePolicy": {"rules": [EXIT]}}, {}, False),
    ],
)
def test_whether_a_job_survives_the_eviction_of_its_pods(
    spec: dict[str, Any], status: dict[str, Any], replaceable: bool
) -> None:
    assert seen(raw.job("j", spec=spec, status=status)).replaceable is replaceable


def test_a_job_without_our_gate_or_with_a_pool_of_its_own_is_not_restarted() -> None:
    ungated, pinned = raw.job("j"), raw.job("j")
    del ungated["spec"]["template"]["spec"]["schedulingGates"]
    pinned["spec"]["template"]["spec"]["nodeSelector"] = {LABEL_POOL: "gpu"}
    assert not seen(ungated).replaceable
    assert not seen(pinned).replaceable


def seen(job: dict[str, Any]) -> Any:
    """The gang of a Job with two pods that were sent to a pool."""
    selector = {"nodeSelector": {LABEL_POOL: "gpu"}}
    pods = [raw.pod(f"j-{index}", gated=False, job="j", spec=dict(selector)) for index in range(2)]
    world = raw.World().listed([], pods, [job])
    built, _ = ViewBuilder(world.config, world.clock).build(world.store.contents())
    (found_gang,) = built.queue
    return found_gang
