"""Which pods hold their node: one scenario per convention of Cluster Autoscaler and Karpenter."""

import dataclasses

import pytest

from autoscaler.live.guardrails import GuardrailState, Rule, evaluate
from tests.live.views import DAEMON_SET, JOB, config, decision, node, pdb, pod, spare, view

SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
LOCAL = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
MIRROR = "kubernetes.io/config.mirror"
SYSTEM = "kube-system"


def removed(pods=(), pdbs=(), settings=None, **node_fields):
    """Names of what is removed from a pool whose one idle node nobody needs, and the rules that bit."""
    cluster = view([node("n", pods=pods, **node_fields)], pods=pods, pdbs=tuple(pdbs), unmanaged=[spare()])
    allowed = evaluate(cluster, decision(), GuardrailState(), settings or config())
    return [removal.name for removal in allowed.removals], [verdict.rule for verdict in allowed.verdicts]


def on_node(**fields):
    return pod(node="n", **fields)


HELD = [
    ("safe-to-evict false", [on_node(annotations={SAFE: "false"})], [], Rule.SAFE_TO_EVICT),
    ("do-not-disrupt true", [on_node(annotations={DO_NOT_DISRUPT: "true"})], [], Rule.DO_NOT_DISRUPT),
    ("bare pod", [on_node(owner=None)], [], Rule.BARE_POD),
    ("hostPath or emptyDir on disk", [on_node(local_volumes=("scratch",))], [], Rule.LOCAL_STORAGE),
    (
        "one local volume of two declared safe",
        [on_node(local_volumes=("scratch", "data"), annotations={LOCAL: "scratch"})],
        [],
        Rule.LOCAL_STORAGE,
    ),
    ("kube-system without a budget", [on_node(namespace=SYSTEM)], [], Rule.SYSTEM_POD),
    ("budget with 0 disruptions left", [on_node(labels={"app": "w"})], [pdb(app="w")], Rule.PDB),
    (
        "two pods, one disruption left",
        [on_node(name="x", labels={"app": "w"}), on_node(name="y", labels={"app": "w"})],
        [pdb(app="w", allowed=1)],
        Rule.PDB,
    ),
    (
        "two budgets on one pod",
        [on_node(labels={"app": "w"})],
        [pdb("one", allowed=5, app="w"), pdb("two", allowed=5, app="w")],
        Rule.TWO_PDBS,
    ),
    (
        "safe-to-evict true does not overrule a budget",
        [on_node(labels={"app": "w"}, annotations={SAFE: "true"})],
        [pdb(app="w")],
        Rule.PDB,
    ),
    ("unreadable pod", [on_node(readable=False)], [], Rule.UNREADABLE),
    ("device claim", [on_node(accelerators=("resource claim gpus",))], [], Rule.GPU_POD),
    ("slice of a GPU", [on_node(accelerators=("nvidia.com/mig-1g.10gb",))], [], Rule.GPU_POD),
    (
        "expendable but safe-to-evict false",
        [on_node(priority=-20, annotations={SAFE: "false"})],
        [],
        Rule.SAFE_TO_EVICT,
    ),
    ("priority -10 is not expendable", [on_node(priority=-10, owner=None)], [], Rule.BARE_POD),
    ("the second pod holds it", [on_node(name="x"), on_node(name="y", owner=None)], [], Rule.BARE_POD),
]


@pytest.mark.parametrize(("pods", "pdbs", "rule"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_a_node_with_a_protected_pod_stays(pods, pdbs, rule):
    assert removed(pods, pdbs) == ([], [rule])


FREE = [
    ("no pod", [], []),
    ("a replicated pod", [on_node()], []),
    ("DaemonSet pod", [on_node(owner=DAEMON_SET, namespace=SYSTEM, annotations={SAFE: "false"})], []),
    ("mirror pod", [on_node(owner=None, namespace=SYSTEM, annotations={MIRROR: "hash"})], []),
    ("finished pod", [on_node(owner=None, phase="Succeeded")], []),
    (
        "device claim that is safe to evict",
        [on_node(accelerators=("resource claim gpus",), annotations={SAFE: "true"})],
        [],
    ),
    ("bare pod that is safe to evict", [on_node(owner=None, annotations={SAFE: "true"})], []),
    ("local storage that is safe to evict", [on_node(local_volumes=("s",), annotations={SAFE: "true"})], []),
    ("local volumes declared safe", [on_node(local_volumes=("s", "t"), annotations={LOCAL: "s, t"})], []),
    ("kube-system with a budget", [on_node(namespace=SYSTEM, labels={"app": "d"})], [pdb("d", 1, SYSTEM, app="d")]),
    ("budget with a disruption left", [on_node(labels={"app": "w"})], [pdb(app="w", allowed=1)]),
    ("budget of another namespace", [on_node(labels={"app": "w"})], [pdb("b", 0, "other", app="w")]),
    ("expendable priority", [on_node(priority=-11, owner=None)], []),
    ("a pod on its way out", [on_node(owner=None, deleted_seconds=1.0, labels={"app": "w"})], [pdb(app="w")]),
    ("safe-to-evict with another value", [on_node(annotations={SAFE: "False"})], []),
]


@pytest.mark.parametrize(("pods", "pdbs"), [row[1:] for row in FREE], ids=[row[0] for row in FREE])
def test_a_node_without_one_goes(pods, pdbs):
    assert removed(pods, pdbs) == (["n"], [])


def test_a_training_worker_holds_its_node():
    worker = pod(node="n", gpus=8, owner=JOB)
    idle_by_mistake = dataclasses.replace(node("n", pods=[worker]), state=node("x").state, idle_since_seconds=0.0)
    allowed = evaluate(view([idle_by_mistake], pods=[worker]), decision(), GuardrailState(), config())
    assert [verdict.rule for verdict in allowed.verdicts] == [Rule.GPU_POD]
    assert "annotate it" in allowed.verdicts[0].reason


@pytest.mark.parametrize("annotation", ["cluster-autoscaler.kubernetes.io/scale-down-disabled", DO_NOT_DISRUPT])
def test_a_node_that_was_opted_out_stays(annotation):
    assert removed(annotations={annotation: "true"}) == ([], [Rule.OPT_OUT])
    assert removed(annotations={annotation: "false"}) == (["n"], [])


@pytest.mark.parametrize(
    ("setting", "held"),
    [
        ({"local_storage": False}, on_node(local_volumes=("s",))),
        ({"system_pods": False}, on_node(namespace=SYSTEM)),
        ({"expendable_priority_below": 0}, on_node(priority=-1, owner=None)),
    ],
)
def test_protection_can_be_switched_off_as_in_cluster_autoscaler(setting, held):
    from autoscaler.live.guardrail_config import Protection

    assert removed([held])[0] == []
    assert removed([held], settings=config(protection=Protection(**setting))) == (["n"], [])


def test_the_verdict_names_pod_and_reason():
    held = pod("db-0", node="n", namespace="prod", annotations={SAFE: "false"})
    allowed = evaluate(view([node("n", pods=[held])], pods=[held]), decision(), GuardrailState(), config())
    (verdict,) = allowed.verdicts
    assert (verdict.kind, verdict.subject, verdict.requested, verdict.allowed) == ("node", "n", -1, 0)
    assert "prod/db-0" in verdict.reason
    assert SAFE in verdict.reason


def test_the_pods_to_evict_are_named():
    pods = [on_node(name="web"), on_node(name="agent", owner=DAEMON_SET)]
    allowed = evaluate(
        view([node("n", pods=pods)], pods=pods, unmanaged=[spare()]), decision(), GuardrailState(), config()
    )
    assert allowed.removals[0].evict == (pods[0].uid,)
