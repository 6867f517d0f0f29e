"""Which nodes may be emptied, so that their jobs run closer together."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.constraints import Taint
from autoscaler.live.guardrail_config import Cooldowns, StepLimits
from autoscaler.live.guardrails import GuardrailState, Rule, after_consolidation, after_removal_failure, evaluate
from autoscaler.live.model import GangState, GangView
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_REMOVAL_STEP, LABEL_POOL
from autoscaler.live.objects import NodeState, ObjectRef
from autoscaler.live.policy.snapshot import fill_snapshot
from autoscaler.live.view.submissions import Submissions
from envs.gpu_cluster.codec import CodecLayout, Decision, Pool
from tests.live import views
from tests.live.views import DAEMON_SET, NOW, REPLICA_SET, booting, gang, node, order, pdb, pod, unready, view

ONE, ALL = 1, 2
CHECKPOINTABLE = {ANNOTATION_CHECKPOINTABLE: "true"}


def config(layout=None, **guardrails):
    return dataclasses.replace(views.config(**guardrails), codec=layout or CodecLayout(consolidation=True))


def worker(name, on, gpus=4, job=None, annotations=CHECKPOINTABLE, **fields):
    """A pod of a Job that runs on a node."""
    job = job or name
    owner = fields.pop("owner", ObjectRef("Job", job, "default", f"uid-{job}", "batch/v1"))
    fields.setdefault("node_selector", {LABEL_POOL: "a"})
    return pod(name, node=on, gpus=gpus, owner=owner, gang=f"uid-{job}", annotations=annotations, **fields)


def running(*members, evictions_left=6, **fields):
    """The gang of some pods that run."""
    first = members[0]
    return GangView(
        key=first.gang,
        ref=first.owner or first.ref,
        state=GangState.RUNNING,
        submitted_seconds=NOW - 1000.0,
        parallelism=len(members),
        gpu_milli_per_pod=first.gpu_milli,
        pods=members,
        evictions_left=evictions_left,
        **fields,
    )


def cluster(*gangs, others=(), nodes=None, **fields):
    """The nodes n1, n2 ... of pool a with the pods of gangs, and further pods."""
    pods = [*(each for gang in gangs for each in gang.pods), *others]
    names = sorted({each.node_name for each in pods if each.node_name})
    busy = [node(name, pods=[each for each in pods if each.node_name == name]) for name in names]
    more = fields.pop("more", ())
    return view([*(nodes or busy), *more], pods=pods, running=gangs, **fields)


def two(left=None, right=None):
    """Two half empty nodes with a Job each."""
    return [left or running(worker("x", "n1")), right or running(worker("y", "n2"))]


def decide(choice=ALL, a=2):
    full = np.zeros(4, np.int64)
    levers = full.copy()
    levers[0] = choice
    return Decision(np.array([a, 0, 0, 0]), np.full(8, -1, np.int64), levers, full, full, full, full, full)


def judge(seen, choice=ALL, state=None, limits=None, a=2):
    return evaluate(seen, decide(choice, a), state or GuardrailState(), limits or config())


def emptied(allowed):
    return [each.node.name for each in allowed.consolidations]


def rules(allowed):
    return {verdict.rule for verdict in allowed.verdicts}


def test_of_two_half_empty_nodes_one_is_emptied():
    allowed = judge(cluster(*two()))
    (found,) = allowed.consolidations
    assert (found.pool, found.node.name, found.evict) == ("a", "n1", ("uid-default-x",))
    assert "default/x" in found.reason
    assert "n2" in found.reason
    assert allowed.verdicts == ()


def test_the_emptiest_goes_first_and_what_receives_stays():
    gangs = [running(worker(name, on, gpus)) for name, on, gpus in (("x", "n1", 2), ("y", "n2", 1), ("z", "n3", 5))]
    assert emptied(judge(cluster(*gangs), ALL, a=3)) == ["n2", "n1"]
    assert emptied(judge(cluster(*gangs), ONE, a=3)) == ["n2"]


def test_nothing_without_the_decision():
    assert judge(cluster(*two()), 0).consolidations == ()


@pytest.mark.parametrize("choice", [-1, 3, 1000])
def test_a_choice_that_there_is_not_does_nothing(choice):
    assert judge(cluster(*two()), choice).consolidations == ()


def test_nothing_while_the_lever_is_off():
    allowed = judge(cluster(*two()), limits=config(CodecLayout()))
    assert allowed.consolidations == ()
    assert rules(allowed) == {Rule.CONSOLIDATION_OFF}


def test_the_interval_counts_from_the_last_one_and_from_the_begin():
    for state in (
        after_consolidation(GuardrailState(), "a", NOW - 1799.0),
        GuardrailState(began_seconds=NOW - 1799.0),
    ):
        allowed = judge(cluster(*two()), state=state)
        assert allowed.consolidations == ()
        assert rules(allowed) == {Rule.CONSOLIDATION_INTERVAL}
    for state in (
        after_consolidation(GuardrailState(began_seconds=NOW), "a", NOW - 1800.0),
        after_consolidation(GuardrailState(), "b", NOW),
    ):
        assert emptied(judge(cluster(*two()), state=state)) == ["n1"]


def test_not_while_a_removal_has_just_failed():
    state = after_removal_failure(GuardrailState(), NOW - 100.0)
    assert rules(judge(cluster(*two()), state=state)) == {Rule.AFTER_FAILURE}
    limits = config(cooldowns=Cooldowns(after_failure_seconds=99.0))
    assert emptied(judge(cluster(*two()), state=state, limits=limits)) == ["n1"]


@pytest.mark.parametrize(
    ("fields", "nodes_wanted"),
    [
        ({"more": [booting("n9")]}, 3),
        ({"orders": [order("n9")]}, 3),
        ({"more": [node("n9", state=NodeState.DRAINING)]}, 2),
        ({}, 3),
        ({"more": [node("n9")]}, 2),
    ],
    ids=["a node boots", "a node is ordered", "a node goes", "a node is about to be ordered", "a node is about to go"],
)
def test_not_while_nodes_of_the_pool_come_or_go(fields, nodes_wanted):
    allowed = judge(cluster(*two(), **fields), a=nodes_wanted)
    assert allowed.consolidations == ()
    assert Rule.CONSOLIDATION_BUSY in rules(allowed)


def test_nothing_is_ordered_in_place_of_a_node_that_is_being_emptied():
    emptying = {"annotations": {ANNOTATION_REMOVAL_STEP: "settling move 99000.000 uid-x=1"}}
    for annotations, ordered in ((emptying, {}), ({"annotations": {}}, {"a": 1})):
        gone = node("n1", state=NodeState.DRAINING, **annotations)
        seen = cluster(running(worker("y", "n2")), more=[gone])
        limits = dataclasses.replace(views.config(a={"min_nodes": 2}), codec=CodecLayout(consolidation=True))
        allowed = evaluate(seen, decide(0, a=2), GuardrailState(), limits)
        assert allowed.orders == ordered
        assert allowed.removals == ()


def test_not_while_too_many_nodes_are_unready():
    allowed = judge(cluster(*two(), more=[unready(f"u{index}") for index in range(5)]))
    assert allowed.consolidations == ()
    assert rules(allowed) == {Rule.HEALTH_STOP}


def test_only_so_many_nodes_at_once():
    names = "abcdefgh"
    gangs = [running(worker(name, f"n{index}", 1)) for index, name in enumerate(names)]
    gangs.append(running(worker("big", "n9", 0 + 4)))
    limits = config(steps=StepLimits(max_emptied=2))
    allowed = judge(cluster(*gangs), limits=limits, a=9)
    assert emptied(allowed) == ["n0", "n1"]
    assert [verdict.rule for verdict in allowed.verdicts] == [Rule.STEP_EMPTIED], "said once"
    assert judge(cluster(*gangs), limits=config(steps=StepLimits(max_emptied=0)), a=9).consolidations == ()


X = {"name": "x", "on": "n1"}
HELD = {
    "not annotated": (two(running(worker(**X, annotations={}))), {}, Rule.NOT_CHECKPOINTABLE),
    "annotated otherwise": (
        two(running(worker(**X, annotations={ANNOTATION_CHECKPOINTABLE: "yes"}))),
        {},
        Rule.NOT_CHECKPOINTABLE,
    ),
    "safe-to-evict false": (
        two(
            running(
                worker(**X, annotations={**CHECKPOINTABLE, "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"})
            )
        ),
        {},
        Rule.SAFE_TO_EVICT,
    ),
    "do-not-disrupt": (
        two(running(worker(**X, annotations={**CHECKPOINTABLE, "karpenter.sh/do-not-disrupt": "true"}))),
        {},
        Rule.DO_NOT_DISRUPT,
    ),
    "local data": (two(running(worker(**X, local_volumes=("scratch",)))), {}, Rule.LOCAL_STORAGE),
    "of a ReplicaSet": (two(running(worker(**X, owner=REPLICA_SET))), {}, Rule.NOT_CHECKPOINTABLE),
    "bare": (two(running(worker(**X, owner=None))), {}, Rule.BARE_POD),
    "of a DaemonSet": (
        two(),
        {"others": [worker("ds", "n1", 1, owner=DAEMON_SET)]},
        Rule.NOT_CHECKPOINTABLE,
    ),
    "a mirror": (
        two(),
        {"others": [worker("m", "n1", 1, annotations={**CHECKPOINTABLE, "kubernetes.io/config.mirror": "x"})]},
        Rule.NOT_CHECKPOINTABLE,
    ),
    "expendable": (two(), {"others": [worker("e", "n1", 1, priority=-20)]}, Rule.NOT_CHECKPOINTABLE),
    "unreadable": (two(), {"others": [pod("u", node="n1", readable=False)]}, Rule.UNREADABLE),
    "on its way out": (two(running(worker(**X, deleted_seconds=NOW))), {}, Rule.NOT_CHECKPOINTABLE),
    "its Job would fail": (two(running(worker(**X), evictions_left=0)), {}, Rule.JOB_WOULD_FAIL),
    "a budget": (two(running(worker(**X, labels={"app": "x"}))), {"pdbs": (pdb(app="x"),)}, Rule.PDB),
    "two budgets": (
        two(running(worker(**X, labels={"app": "x"}))),
        {"pdbs": (pdb("b", 1, app="x"), pdb("c", 1, app="x"))},
        Rule.TWO_PDBS,
    ),
    "a pod without GPUs that holds the node": (two(), {"others": [pod("web", node="n1", owner=None)]}, Rule.BARE_POD),
    "a gang of which one pod is not checkpointable": (
        two(running(worker("x", "n1", job="g"), worker("x2", "n3", 8, job="g", annotations={}))),
        {},
        Rule.NOT_CHECKPOINTABLE,
    ),
    "a gang of which one pod is protected": (
        two(
            running(
                worker("x", "n1", job="g"),
                worker("x2", "n3", 8, job="g", annotations={**CHECKPOINTABLE, "karpenter.sh/do-not-disrupt": "true"}),
            )
        ),
        {},
        Rule.DO_NOT_DISRUPT,
    ),
    "a gang of which pods come": (two(running(worker(**X), missing_pods=1)), {}, Rule.NOT_CHECKPOINTABLE),
}


@pytest.mark.parametrize(("gangs", "fields", "rule"), HELD.values(), ids=HELD)
def test_a_node_with_a_pod_that_may_not_move_stays(gangs, fields, rule):
    """The other node is emptied instead where its pod fits."""
    seen = cluster(*gangs, **fields)
    allowed = judge(seen, a=len(seen.pool("a").nodes))
    assert "n1" not in emptied(allowed)
    assert (rule in rules(allowed)) == (rule is not Rule.NOT_CHECKPOINTABLE), allowed.verdicts
    evicted = {uid for each in allowed.consolidations for uid in each.evict}
    assert evicted <= {"uid-default-y"}


def test_a_node_that_was_opted_out_stays():
    gangs = two()
    held = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
    nodes = [node("n1", pods=gangs[0].pods, annotations=held), node("n2", pods=gangs[1].pods, annotations=held)]
    allowed = judge(cluster(*gangs, nodes=nodes))
    assert allowed.consolidations == ()
    assert rules(allowed) == {Rule.OPT_OUT}


def test_a_gang_is_moved_where_all_its_pods_allow_it():
    whole = running(worker("x", "n1", job="g"), worker("x2", "n3", 8, job="g"))
    assert emptied(judge(cluster(*two(whole)), a=3)) == ["n1"]


def test_pods_of_daemon_sets_without_gpus_do_not_hold():
    assert emptied(judge(cluster(*two(), others=[pod("ds", node="n1", owner=DAEMON_SET)]))) == ["n1"]


def test_a_budget_is_used_up_by_the_nodes_before():
    gangs = [running(worker(name, f"n{name}", 2, labels={"app": "x"})) for name in "123"]
    allowed = judge(cluster(*gangs, running(worker("z", "n4", 4)), pdbs=(pdb("b", 1, app="x"),)), a=4)
    assert emptied(allowed) == ["n1"]
    assert Rule.PDB in rules(allowed)


def test_a_job_is_evicted_only_as_often_as_it_survives():
    """Pods of one Job that is no gang, each a job of its own, on three nodes."""
    gangs = [running(worker(name, f"n{name}", 2, job="j"), evictions_left=1) for name in "123"]
    allowed = judge(cluster(*gangs, running(worker("z", "n4", 4))), a=4)
    assert emptied(allowed) == ["n1"]
    assert Rule.JOB_WOULD_FAIL in rules(allowed)


def stays(seen, rule=Rule.DOES_NOT_FIT):
    allowed = judge(seen, a=len(seen.pool("a").nodes))
    return emptied(allowed) == [] and rule in rules(allowed)


GIB = 1000 << 30


def requesting(worker, memory=0):
    """The same with memory, in thousandths of a byte."""
    return dataclasses.replace(worker, requests={**worker.requests, "memory": memory})


def with_memory(seen, memory):
    """The same with nodes that have memory, in thousandths of a byte."""
    pools = []
    for pool in seen.pools:
        nodes = (dataclasses.replace(each, allocatable={**each.allocatable, "memory": memory}) for each in pool.nodes)
        pools.append(dataclasses.replace(pool, nodes=tuple(nodes)))
    return dataclasses.replace(seen, pools=tuple(pools))


def is_consolidatable(seen):
    """What the policy is told: whether the lever is valid in pool a."""
    snapshot = fill_snapshot(seen, Submissions(NOW), config(), consolidated={"a": NOW - 1800.0})
    assert snapshot.pools[0, Pool.EMPTIABLE_NODES] > 0.0
    return bool(snapshot.pools[0, Pool.CONSOLIDATABLE])


def plan_of(seen):
    """The nodes that the pods of each emptied node are said to go to, after the policy was told the same."""
    allowed = judge(seen, a=len(seen.pool("a").nodes))
    assert is_consolidatable(seen) == bool(allowed.consolidations)
    return {each.node.name: each.reason.split(" on ")[1] for each in allowed.consolidations}


def test_pods_that_would_not_fit_by_cpu_stay_and_the_policy_is_told():
    gangs = two(running(worker("x", "n1", cpu_milli=60_000)), running(worker("y", "n2", cpu_milli=60_000)))
    assert plan_of(cluster(*gangs)) == {}
    gangs = two(running(worker("x", "n1", cpu_milli=60_000)), running(worker("y", "n2", cpu_milli=36_000)))
    assert plan_of(cluster(*gangs)) == {"n1": "n2"}


@pytest.mark.parametrize(("gib", "target"), [(90, "n2"), (91, "n3")])
def test_a_node_with_gpus_but_without_memory_is_passed_over(gib, target):
    """The node with the fewest free GPUs has 10 GiB left, or less."""
    gangs = [
        running(requesting(worker("x", "n1", 1), 10 * GIB)),
        running(requesting(worker("y", "n2", 5, annotations={}), gib * GIB)),
        running(requesting(worker("z", "n3", 4, annotations={}), GIB)),
    ]
    assert plan_of(with_memory(cluster(*gangs), 100 * GIB)) == {"n1": target}


@pytest.mark.parametrize(("milli_bytes", "fits"), [(0, True), (1, False)])
def test_free_memory_is_never_rounded_up(milli_bytes, fits):
    gangs = [
        running(requesting(worker("x", "n1", 1), 10 * GIB)),
        running(requesting(worker("y", "n2", 4, annotations={}), 90 * GIB + milli_bytes)),
    ]
    assert bool(plan_of(with_memory(cluster(*gangs), 100 * GIB))) == fits
    gangs[0] = running(requesting(worker("x", "n1", 1), 10 * GIB + milli_bytes))
    gangs[1] = running(requesting(worker("y", "n2", 4, annotations={}), 90 * GIB))
    assert bool(plan_of(with_memory(cluster(*gangs), 100 * GIB))) == fits


def test_two_pods_of_a_node_need_cpus_together():
    left = [running(worker("x", "n1", 1, cpu_milli=30_000)), running(worker("w", "n1", 1, cpu_milli=30_000))]
    for used, plan in ((36_000, {"n1": "n2"}), (37_000, {})):
        assert plan_of(cluster(*left, running(worker("y", "n2", 5, annotations={}, cpu_milli=used)))) == plan


@pytest.mark.parametrize("owner", [DAEMON_SET, REPLICA_SET])
def test_pods_without_gpus_use_cpus_too(owner):
    gangs = two(right=running(worker("y", "n2", annotations={})))
    for cpu_milli, plan in ((94_000, {"n1": "n2"}), (95_000, {})):
        assert plan_of(cluster(*gangs, others=[pod("web", node="n2", owner=owner, cpu_milli=cpu_milli)])) == plan


def test_pods_that_may_not_run_on_the_other_node_stay():
    gangs = two(running(worker("x", "n1", node_selector={"rack": "1"})), running(worker("y", "n2", annotations={})))
    nodes = [
        node("n1", pods=gangs[0].pods, labels={LABEL_POOL: "a", "rack": "1"}),
        node("n2", pods=gangs[1].pods, labels={LABEL_POOL: "a", "rack": "2"}),
    ]
    assert stays(cluster(*gangs, nodes=nodes))
    nodes = [nodes[0], node("n2", pods=gangs[1].pods, labels=nodes[0].labels)]
    assert emptied(judge(cluster(*gangs, nodes=nodes))) == ["n1"]
    soft = node("n2", pods=gangs[1].pods, labels=nodes[0].labels, taints=(Taint("t", "", "NoExecute"),))
    assert emptied(judge(cluster(*gangs, nodes=[nodes[0], soft]))) == []


def test_an_idle_node_is_no_place_to_move_to():
    assert emptied(judge(cluster(running(worker("x", "n1")), more=[node("n5")]), a=2)) == []


def test_capacity_that_is_promised_to_another_job_does_not_count():
    promised = pod("late", gpus=4, owner=ObjectRef("Job", "l", "default", "uid-l"), node_selector={LABEL_POOL: "a"})
    seen = cluster(*two(running(worker("x", "n1", 4)), running(worker("y", "n2", 4))), others=[promised])
    allowed = judge(seen)
    assert allowed.consolidations == ()
    assert Rule.PROMISED in rules(allowed) or Rule.DOES_NOT_FIT in rules(allowed)


def test_capacity_that_a_job_takes_in_this_reconcile_does_not_count():
    waiting = gang("w", pods=1, gpus=4)
    seen = cluster(*two(), queue=(waiting,))
    wanted = decide()
    wanted.placement[0] = 0
    allowed = evaluate(seen, wanted, GuardrailState(), config())
    assert [release.gang.key for release in allowed.releases] == ["gang-w"]
    assert allowed.consolidations == ()


@st.composite
def clusters(draw):
    """Busy nodes with pods of gangs that may move or not, an idle node or none, and budgets."""
    gangs = []
    free = {f"n{index}": 8 for index in range(draw(st.integers(1, 6)))}
    for index in range(draw(st.integers(1, 10))):
        places = draw(st.lists(st.sampled_from(sorted(free)), min_size=1, max_size=2))
        gpus = draw(st.sampled_from([1, 2, 4]))
        if any(free[place] < gpus * places.count(place) for place in places):
            continue
        members = []
        for at, place in enumerate(places):
            free[place] -= gpus
            kinds = [CHECKPOINTABLE, CHECKPOINTABLE, CHECKPOINTABLE, {}, {**CHECKPOINTABLE, **PROTECTED}]
            fields = {
                "annotations": draw(st.sampled_from(kinds)),
                "labels": draw(st.sampled_from([{}, {"app": "w"}])),
                "cpu_milli": draw(st.sampled_from([1000, 30_000])),
            }
            members.append(worker(f"g{index}-{at}", place, gpus, job=f"g{index}", **fields))
        gangs.append(running(*members, evictions_left=draw(st.sampled_from([None, 0, 1, 6]))))
    more = [node("idle")] if draw(st.booleans()) else []
    return cluster(*gangs, more=more, pdbs=(pdb("b", draw(st.integers(0, 2)), app="w"),))


PROTECTED = {"karpenter.sh/do-not-disrupt": "true"}


@settings(deadline=None, max_examples=300)
@given(clusters(), st.sampled_from([ONE, ALL]), st.integers(0, 3))
def test_whatever_runs_only_what_may_move_is_moved_and_it_fits_elsewhere(seen, choice, most):
    limits = config(steps=StepLimits(max_emptied=most))
    allowed = judge(seen, choice, limits=limits, a=len(seen.pool("a").nodes))
    gone = {each.node.name: each for each in allowed.consolidations}
    assert len(gone) == len(allowed.consolidations) <= (min(1, most) if choice == ONE else most)
    moved = [seen.pods[uid] for each in gone.values() for uid in each.evict]
    gangs = {each.uid: gang for gang in seen.running for each in gang.pods}
    for each in moved:
        whole = gangs[each.uid].pods
        assert all(ANNOTATION_CHECKPOINTABLE in other.annotations for other in whole)
        assert not any(other.annotations.keys() & PROTECTED.keys() for other in whole)
        left = gangs[each.uid].evictions_left
        assert left is None or sum(other.gang == each.gang for other in moved) <= left
    assert sum("app" in each.labels for each in moved) <= seen.pdbs[0].disruptions_allowed
    for each in gone.values():
        assert each.node.state is NodeState.BUSY
        assert set(each.evict) == {uid for uid in each.node.pods if seen.pods[uid].gpu_milli}
    stay = [each for each in seen.pool("a").in_state(NodeState.BUSY) if each.name not in gone]
    free = sum(each.allocatable_gpu_milli - each.used_gpu_milli for each in stay)
    assert sum(each.gpu_milli for each in moved) <= free
    cpu = [96_000 - sum(other.requests["cpu"] for other in seen.pods_on(each)) for each in stay]
    assert sum(each.requests["cpu"] for each in moved) <= sum(max(0, each) for each in cpu)
