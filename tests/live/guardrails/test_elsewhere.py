"""A pod is evicted only if it fits on another ready node."""

import json
from dataclasses import replace

import pytest

from autoscaler.live.constraints import PodTerm, Requirement, Spread, Taint, Toleration
from autoscaler.live.guardrails import GuardrailState, Rule, evaluate
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.objects import NodeState
from autoscaler.live.telemetry.audit import allowed_dict
from tests.live.views import JOB, config, decision, gang, node, pod, spare, view


def judged(cluster, want=None):
    """What is removed and by which rules it is not; a replay of the audit says the same."""
    settings, want = config(), want or decision()
    allowed = evaluate(cluster, want, GuardrailState(), settings)
    seen, state = unpack(json.loads(json.dumps(pack(cluster, GuardrailState()))))
    assert allowed_dict(evaluate(seen, want, state, settings)) == allowed_dict(allowed)
    return [removal.name for removal in allowed.removals], [verdict.rule for verdict in allowed.verdicts]


def removed(others, *, pools=(), more_pods=(), **fields):
    """The same for a node `n` with one pod of a ReplicaSet and other nodes in the cluster."""
    web = pod("web", node="n", **fields)
    nodes = [node("n", pods=[web]), *pools]
    return judged(view(nodes, pods=[web, *more_pods], unmanaged=others), decision(a=len(pools)))


GOES = (["n"], [])
STAYS = ([], [Rule.NO_PLACE_TO_MOVE])


def test_on_the_last_node_of_the_cluster_it_stays():
    assert removed([]) == STAYS


def test_with_another_node_it_goes():
    assert removed([spare()]) == GOES


@pytest.mark.parametrize(
    "other",
    [
        {"ready": False},
        {"unschedulable": True},
        {"deleted_seconds": 1.0},
        {"taints": (Taint("team", "x"),)},
        {"taints": (Taint("gone", "", "NoExecute"),)},
    ],
    ids=["not ready", "cordoned", "being deleted", "taint", "evicting taint"],
)
def test_a_node_that_takes_no_pods_is_no_place(other):
    other = {"ready": True, **other}
    assert removed([node("o", None, gpus=0, state=NodeState.BOOTING, **other)]) == STAYS


def test_a_taint_that_it_tolerates_is_no_obstacle():
    assert removed([spare(taints=(Taint("team", "x"),))], tolerations=(Toleration("team", "Exists"),)) == GOES


@pytest.mark.parametrize(("cpu_milli", "expected"), [(96_000, GOES), (96_001, STAYS)])
def test_cpu_counts(cpu_milli, expected):
    assert removed([spare()], cpu_milli=cpu_milli) == expected


def test_what_pods_on_the_other_node_request_counts():
    there = pod("there", node="spare", cpu_milli=95_500)
    assert removed([spare(pods=[there])], more_pods=[there]) == STAYS


def test_a_node_with_as_many_pods_as_it_may_have_is_no_place():
    there = pod("there", node="spare", cpu_milli=0)
    full = replace(spare(pods=[there]), allocatable={"cpu": 96_000, "pods": 1000})
    assert removed([full], more_pods=[there]) == STAYS


@pytest.mark.parametrize(("zone", "expected"), [("z1", GOES), ("z2", STAYS)])
def test_selectors_and_affinity_count(zone, expected):
    other = [spare(labels={"zone": zone})]
    assert removed(other, node_selector={"zone": "z1"}) == expected
    assert removed(other, affinity_terms=((Requirement("zone", "In", ("z1",)),),)) == expected


WEB = (Requirement("app", "In", ("web",)),)
HOST = "kubernetes.io/hostname"
APART = {"labels": {"app": "web"}, "pod_anti_affinity": (PodTerm(HOST, WEB, ("default",)),)}
TOGETHER = {"labels": {"app": "web"}, "pod_affinity": (PodTerm(HOST, WEB, ("default",)),)}


@pytest.mark.parametrize(("there", "expected"), [({}, GOES), ({"app": "web"}, STAYS)])
def test_anti_affinity_to_pods_on_the_other_node_counts(there, expected):
    other = pod("other", node="spare", labels=there)
    assert removed([spare(pods=[other], labels={HOST: "spare"})], more_pods=[other], **APART) == expected


def test_a_pod_there_that_wants_no_such_pod_near_it_counts():
    other = pod("other", node="spare", labels={"app": "db"}, pod_anti_affinity=APART["pod_anti_affinity"])
    assert removed([spare(pods=[other], labels={HOST: "spare"})], more_pods=[other], labels={"app": "web"}) == STAYS


@pytest.mark.parametrize(("there", "expected"), [({}, STAYS), ({"app": "web"}, GOES)])
def test_affinity_to_pods_on_the_other_node_counts(there, expected):
    """A second pod of the app on a third node, so that the one that moves is not the first of its group."""
    other, third = pod("other", node="spare", labels=there), pod("third", node="full", labels={"app": "web"})
    full = spare("full", pods=[third], labels={HOST: "full"}, taints=(Taint("closed", ""),))
    others = [spare(pods=[other], labels={HOST: "spare"}), full]
    assert removed(others, more_pods=[other, third], **TOGETHER) == expected


@pytest.mark.parametrize(("skew", "expected"), [(1, STAYS), (2, GOES)])
def test_a_topology_spread_counts(skew, expected):
    """One such pod is on the spare node and none on the node that is full: a second one there is a skew of two."""
    there = pod("there", node="spare", labels={"app": "web"})
    nodes = [spare(pods=[there], labels={HOST: "spare"}), spare("full", labels={HOST: "full"}, unschedulable=True)]
    spread = Spread(HOST, skew, WEB)
    assert removed(nodes, more_pods=[there], labels={"app": "web"}, spreads=(spread,)) == expected


def test_a_busy_node_of_a_pool_is_a_place():
    worker = pod("w", node="w", gpus=8, owner=JOB)
    assert removed([], pools=[node("w", pods=[worker])], more_pods=[worker]) == GOES


def test_two_nodes_are_not_each_others_place():
    pods = [pod(f"web{index}", node=f"n{index}") for index in range(2)]
    names, rules = judged(view([node(f"n{index}", pods=[pods[index]]) for index in range(2)], pods=pods))
    assert names == ["n0"]
    assert rules == [Rule.PROMISED], "n1 is where the pod of n0 goes"


def test_what_a_gang_is_about_to_use_is_no_place():
    gates = ("autoscaler.green/placement",)
    member = pod("g-0", gpus=8, owner=JOB, cpu_milli=90_000, gates=gates)
    web = pod("web", node="n", cpu_milli=10_000)
    nodes = [node("n", pods=[web]), node("m")]
    cluster = view(nodes, pods=[web], queue=[gang("g", members=(member,), pools=("a",))])
    assert judged(cluster, decision(a=1, placement=[0])) == STAYS


def test_an_empty_node_needs_no_other():
    assert judged(view([node("n")])) == GOES
