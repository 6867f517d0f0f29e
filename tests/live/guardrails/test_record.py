"""What the audit keeps of a view decides as the view does, and stays small."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from autoscaler.live.constraints import Requirement
from autoscaler.live.guardrails import GuardrailState, PoolBackoff, after_consolidation, after_release, evaluate
from autoscaler.live.guardrails.ailing import Ailment
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.model import GangState
from autoscaler.live.names import ANNOTATION_PLACED_AT, GATE_PLACEMENT, LABEL_POOL
from autoscaler.live.objects import Admission, MachineView, PodsToCome
from autoscaler.live.repair_config import Repair
from tests.live.guardrails import test_consolidations as moves
from tests.live.guardrails.test_properties import scenarios
from tests.live.views import DAEMON_SET, JOB, NOW, TOLERATE_ALL, config, decision, gang, node, order, pdb, pod, view


def through_json(cluster, state):
    return unpack(json.loads(json.dumps(pack(cluster, state))))


def judged(cluster, want, state, limits):
    """All that the guardrails say, by names: the views of nodes and pods are shorter when they are read back."""
    allowed = evaluate(cluster, want, state, limits)
    return (
        allowed.orders,
        [(each.pool, each.name, each.evict, each.reason) for each in allowed.removals],
        [(each.gang.key, each.pool, [pod.uid for pod in each.pods]) for each in allowed.releases],
        [(each.gang.key, each.restart, each.reason) for each in allowed.stranded],
        allowed.verdicts,
        allowed.candidates,
        [(each.pool, each.node.name, each.evict, each.reason) for each in allowed.consolidations],
        allowed.state,
    )


@settings(max_examples=200, deadline=None)
@given(scenarios())
def test_what_is_kept_decides_as_the_view_does(scenario):
    cluster, want, state, limits = scenario
    again, memory = through_json(cluster, state)
    assert memory == state
    assert judged(again, want, memory, limits) == judged(cluster, want, state, limits)


@pytest.mark.parametrize(("gangs", "fields", "rule"), [(moves.two(), {}, None), *moves.HELD.values()])
@pytest.mark.parametrize("state", [GuardrailState(), after_consolidation(GuardrailState(began_seconds=1.5), "a", NOW)])
def test_which_jobs_may_be_moved_is_kept(gangs, fields, rule, state):
    cluster = moves.cluster(*gangs, **fields)
    again, memory = through_json(cluster, state)
    assert memory == state
    want, limits = moves.decide(a=len(cluster.pool("a").nodes)), moves.config()
    before = judged(cluster, want, state, limits)
    assert judged(again, want, memory, limits) == before
    assert before[-2] or before[4] or rule is not None


def test_selectors_budgets_affinities_and_every_memory_are_kept():
    term = (Requirement("zone", "In", ("z1",)),)
    chosen = gang("g", members=(pod("g-0", gpus=4, affinity_terms=(term,), tolerations=TOLERATE_ALL, owner=JOB),))
    sent = pod("s-0", gpus=8, annotations={ANNOTATION_PLACED_AT: "1"}, node_selector={LABEL_POOL: "b"}, owner=JOB)
    web = pod("web", node="n1", labels={"app": "w", "other": "x"})
    nodes = (
        node("n1", pods=[web], labels={LABEL_POOL: "a", "zone": "z1", "host": "n1"}),
        node("n2", labels={LABEL_POOL: "a", "zone": "z2"}, annotations={"big": "x" * 1000}),
    )
    cluster = view(
        nodes,
        queue=[chosen],
        pods=[web],
        unplaceable=(gang("s", members=(sent,)),),
        pdbs=(pdb(app="w"), pdb("elsewhere", app="none")),
        machines=(MachineView(name="c", uid="c", pool="b"),),
    )
    cluster = replace(cluster, pods={**cluster.pods, sent.uid: sent})
    state = GuardrailState(
        awaited={"c": "b"},
        starting_since={"n1": 1.0 / 3.0},
        scaled_up={"a": NOW - 10.0},
        removal_failed_seconds=NOW - 1e-3,
        backoffs={"b": PoolBackoff(NOW + 60.0, 300.0, NOW - 240.0)},
        given_up=frozenset({"x", "y"}),
    )
    state = after_release(state, ["uid-default-g-0"], "a", NOW)
    again, memory = through_json(cluster, state)
    assert memory == state
    for want in (decision(), decision(3, 1, [0]), decision(0, 0, [1])):
        assert judged(again, want, memory, config()) == judged(cluster, want, state, config())
    assert "big" not in json.dumps(pack(cluster, state))
    assert [each.name for each in again.pdbs] == ["b"]


def test_100_nodes_with_their_pods_and_a_queue_are_less_than_100_kib():
    """The figure of docs/operate.md: 100 nodes, on each a pod with GPUs and two of DaemonSets, and 100 waiting jobs."""
    uid = "00000000-0000-4000-8000-{:012d}".format
    pods, nodes = [], []
    for at in range(100):
        name = f"gpu-7f3a9c21-{at}"
        on_it = [
            replace(pod(f"train-{at}-0-x7k2p", node=name, gpus=8, owner=JOB), uid=uid(3 * at)),
            replace(pod(f"dcgm-exporter-{at}", node=name, owner=DAEMON_SET, namespace="gpu"), uid=uid(3 * at + 1)),
            replace(pod(f"node-exporter-{at}", node=name, owner=DAEMON_SET, namespace="mon"), uid=uid(3 * at + 2)),
        ]
        labels = {LABEL_POOL: "a", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        nodes.append(replace(node(name, pods=on_it, labels=labels), uid=uid(9000 + at)))
        pods += on_it
    queue = [gang(f"job-{at}", pods=1) for at in range(100)]
    text = json.dumps(pack(view(nodes, pods=pods, queue=queue), GuardrailState()), separators=(",", ":"))
    assert 10_000 < len(text) < 100 * 1024, len(text)


def test_a_damaged_record_is_an_error():
    record = pack(view([node("n")]), GuardrailState())
    with pytest.raises(ValueError, match="cannot be read"):
        unpack({**record, "pods": {"shared": [], "rows": [[7, {}]]}})
    with pytest.raises(ValueError, match="now_seconds"):
        unpack({key: value for key, value in record.items() if key != "now_seconds"})


def test_groups_and_broken_nodes_are_judged_from_what_is_kept_as_they_were():
    unborn = PodsToCome(pod("worker", gpus=8), 2, "worker")
    launcher = pod("launcher", gates=(GATE_PLACEMENT,))
    begun = replace(
        gang("begun", members=(pod("leader", node="n1", gpus=8, node_selector={LABEL_POOL: "a"}),)),
        state=GangState.RUNNING,
        missing_pods=2,
        to_come=(unborn,),
        late=True,
        companions=(launcher,),
    )
    checks = ({"name": "nodes", "state": "Pending"},)
    admission = Admission(JOB, "7", "nodes", checks, ("main",))
    waits = replace(gang("w", members=()), missing_pods=2, to_come=(unborn,), late=True, admission=admission)
    nodes = [node(f"n{index}", faults=("XIDErrors",) if index == 3 else ()) for index in range(5)]
    cluster = view(nodes, queue=[waits], running=(begun,), pods=[*begun.pods, launcher], gone={"o": True, "old": True})
    state = GuardrailState(orders={"o": order("o")}, ailing={"uid-n3": Ailment(NOW - 700.0, None, NOW - 1000.0)})
    limits = config(a={"repair": Repair(enabled=True)})
    before = judged(cluster, decision(a=5, placement=[0]), state, limits)
    assert [name for _, name, *_ in before[1]] == ["n3"]
    assert [(pool, pods) for _, pool, pods in before[2]] == [("a", []), ("", ["uid-default-launcher"])]
    assert judged(*_with(decision(a=5, placement=[0]), through_json(cluster, state)), limits) == before


def _with(want, kept):
    cluster, state = kept
    return cluster, want, state
