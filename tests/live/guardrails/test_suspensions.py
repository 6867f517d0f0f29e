"""What stops for a grid event on a cluster, and what goes on: idle nodes, then only jobs that said that they may."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.live.guardrails import GuardrailState, Rule, after_suspension, evaluate
from autoscaler.live.guardrails.record import pack, unpack
from autoscaler.live.moments import Moment, moments
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_FLEXIBILITY, LABEL_POOL
from autoscaler.live.objects import NodeState, ObjectRef, SuspendedJob
from envs.gpu_cluster.codec import CodecLayout
from tests.live.guardrails.test_consolidations import cluster, decide, running, worker
from tests.live.guardrails.test_power_budget import BUSY_GPU_KW, IDLE_KW, WATTS, event
from tests.live.views import NOW, config, decision, gang, node, pod

TIER_3 = {ANNOTATION_FLEXIBILITY: "3", ANNOTATION_CHECKPOINTABLE: "true"}
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def job(name, gpus=4, node=None, annotations=TIER_3, **fields):
    """A Job of one pod on a node of its own."""
    return running(worker(name, node or f"n-{name}", gpus, annotations=annotations), **fields)


def limits(*events, **guardrails):
    guardrails.setdefault("curb_for_grid_events", True)
    return config(a={"power": WATTS}, b={"power": WATTS}, grid_events=events, **guardrails)


def judge(seen, *events, state=None, want=None, **guardrails):
    return evaluate(
        seen, want or decision(a=len(seen.pools[0].nodes)), state or GuardrailState(), limits(*events, **guardrails)
    )


def suspended(allowed):
    return [each.gang.ref.name for each in allowed.suspensions]


def marked(name="x", since=NOW - 30.0, gpus=4, is_suspended=True):
    return SuspendedJob(ObjectRef("Job", name, "default", f"uid-{name}", "batch/v1"), since, gpus * 1000, is_suspended)


def test_the_largest_jobs_stop_first_and_no_more_than_the_budget_requires():
    seen = cluster(job("small", 1), job("large", 8), job("middle", 4))
    drawn = 3 * IDLE_KW + 13 * BUSY_GPU_KW
    assert suspended(judge(seen, event(drawn))) == []
    assert suspended(judge(seen, event(drawn - 0.01))) == ["large"]
    assert suspended(judge(seen, event(drawn - 8 * BUSY_GPU_KW - 0.01))) == ["large", "middle"]


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {ANNOTATION_FLEXIBILITY: "3"},
        {ANNOTATION_CHECKPOINTABLE: "true"},
        {**TIER_3, ANNOTATION_FLEXIBILITY: "2"},
        {**TIER_3, ANNOTATION_FLEXIBILITY: "03"},
        {**TIER_3, ANNOTATION_CHECKPOINTABLE: "yes"},
    ],
)
def test_a_job_that_did_not_say_both_is_never_suspended_and_hears_nothing_of_it(annotations):
    allowed = judge(cluster(job("x", annotations=annotations)), event(0.0))
    assert suspended(allowed) == []
    (verdict,) = (each for each in allowed.verdicts if each.rule is Rule.POWER_BUDGET)
    assert verdict.kind == "cluster"
    assert "nothing is left that may stop" in verdict.reason


def test_one_pod_that_did_not_say_so_keeps_its_whole_gang():
    members = [worker("x-0", "n1", job="x", annotations=TIER_3), worker("x-1", "n2", job="x", annotations={})]
    assert suspended(judge(cluster(running(*members)), event(0.0))) == []


def test_nothing_stops_unless_the_config_says_so():
    seen = cluster(job("x"), more=[node("idle")])
    allowed = judge(seen, event(0.0), curb_for_grid_events=False)
    assert (allowed.suspensions, allowed.removals) == ((), ())


def test_nothing_stops_before_an_event_begins():
    allowed = judge(cluster(job("x"), more=[node("idle")]), event(0.0, starts_in=60.0))
    assert (allowed.suspensions, allowed.removals) == ((), ())


def test_idle_nodes_go_before_jobs_stop_however_short_they_are_idle_and_below_the_minimum():
    idle = node("idle", idle_for=1.0)
    seen = cluster(job("x"), more=[idle])
    budget = event(IDLE_KW + 4 * BUSY_GPU_KW)
    settings = config(a={"power": WATTS, "min_nodes": 2}, grid_events=(budget,), curb_for_grid_events=True)
    allowed = evaluate(seen, decision(a=2), GuardrailState(), settings)
    assert [each.name for each in allowed.removals] == ["idle"]
    assert suspended(allowed) == []
    assert allowed.orders == {}


def test_an_idle_node_stays_where_the_budget_has_power_for_it():
    allowed = judge(cluster(job("x"), more=[node("idle", idle_for=1.0)]), event(2 * IDLE_KW + 4 * BUSY_GPU_KW))
    assert (allowed.removals, allowed.suspensions) == ((), ())


def test_what_stops_already_is_not_made_up_for_by_other_jobs():
    leaving = node("leaving", state=NodeState.DRAINING)
    ending = replace(worker("e", "n-e", 8, annotations={}), deleted_seconds=NOW - 1.0)
    seen = cluster(job("x"), running(ending), more=[leaving])
    budget = 2 * IDLE_KW + 4 * BUSY_GPU_KW
    assert suspended(judge(seen, event(budget))) == []
    assert suspended(judge(seen, event(budget - 0.01))) == ["x"]


def test_a_job_that_was_just_suspended_counts_as_stopping_until_its_pods_are_gone():
    seen = cluster(job("x", 8), job("y", 8))
    budget = event(2 * IDLE_KW + 8 * BUSY_GPU_KW)
    assert suspended(judge(seen, budget)) == ["x"]
    state = after_suspension(GuardrailState(), "uid-x", NOW - 1.0)
    assert suspended(judge(seen, budget, state=state)) == []
    seen = replace(seen, suspended=(marked("x", since=NOW - 1.0, gpus=8),))
    allowed = judge(seen, budget, state=state)
    assert suspended(allowed) == []
    assert allowed.state.suspended == {}, "the view shows it"


def test_measured_power_makes_jobs_stop_too():
    seen = cluster(job("x"))
    budget = event(IDLE_KW + 4 * BUSY_GPU_KW)
    (on,) = seen.pools[0].nodes
    hot = replace(seen.pools[0], nodes=(replace(on, measured_gpu_watts=5000.0),))
    assert suspended(judge(seen, budget)) == []
    assert suspended(judge(replace(seen, pools=(hot, seen.pools[1])), budget)) == ["x"]


@pytest.mark.parametrize(
    ("change", "rule", "reason"),
    [
        ({"managed_by": "Kueue"}, Rule.NOT_SUSPENDABLE, "Kueue starts and stops it"),
        ({"ref": ObjectRef("Pod", "x", "default", "uid-x")}, Rule.NOT_SUSPENDABLE, "a Pod has no field"),
        (
            {"ref": ObjectRef("Job", "x", "default", "uid-x", "batch.volcano.sh/v1alpha1")},
            Rule.NOT_SUSPENDABLE,
            "no field",
        ),
        ({"missing_pods": 1}, Rule.NOT_CHECKPOINTABLE, "come or go"),
    ],
)
def test_a_job_that_cannot_be_suspended_is_told_why(change, rule, reason):
    allowed = judge(cluster(replace(job("x"), **change)), event(0.0))
    assert suspended(allowed) == []
    (verdict,) = (each for each in allowed.verdicts if each.kind == "gang")
    assert verdict.rule is rule
    assert reason in verdict.reason


@pytest.mark.parametrize("kind", [("JobSet", "jobset.x-k8s.io/v1alpha2"), ("PyTorchJob", "kubeflow.org/v1")])
def test_groups_that_have_the_field_are_served(kind):
    ref = ObjectRef(kind[0], "x", "default", "uid-x", kind[1])
    assert suspended(judge(cluster(replace(job("x"), ref=ref)), event(0.0))) == ["x"]


def test_a_protected_pod_keeps_its_job():
    allowed = judge(cluster(job("x", annotations={**TIER_3, SAFE: "false"})), event(0.0))
    assert suspended(allowed) == []
    assert Rule.SAFE_TO_EVICT in {each.rule for each in allowed.verdicts}


def test_jobs_of_a_paused_pool_and_all_while_everything_is_paused_stay_as_they_are():
    seen = cluster(job("x"), suspended=(marked("y"),))
    paused = judge(replace(seen, paused_pools={"a": "by hand"}), event(0.0))
    assert suspended(paused) == []
    stopped = judge(replace(seen, paused="by hand"))
    assert (stopped.suspensions, stopped.resumptions) == ((), ())


def test_a_job_that_its_owner_let_go_on_is_left_alone_and_loses_its_mark_after_the_event():
    seen = cluster(job("x"), suspended=(marked("x", is_suspended=False),))
    during = judge(seen, event(0.0))
    assert (suspended(during), during.resumptions) == ([], ())
    assert [each.job.ref.name for each in judge(seen).resumptions] == ["x"]


def test_suspended_jobs_go_on_when_the_event_is_over_or_the_switch_is_off():
    seen = cluster(suspended=(marked("x"), marked("y")))
    assert judge(seen, event(100.0)).resumptions == ()
    assert [each.job.ref.name for each in judge(seen).resumptions] == ["x", "y"]
    assert len(judge(seen, event(100.0, starts_in=60.0)).resumptions) == 2
    assert len(judge(seen, event(100.0), curb_for_grid_events=False).resumptions) == 2


def test_in_an_event_that_follows_another_they_go_on_as_far_as_its_budget_has_power():
    seen = cluster(suspended=(marked("x", since=NOW - 7200.0), marked("y", since=NOW - 7000.0)))
    assert judge(seen, event(4 * BUSY_GPU_KW - 0.01)).resumptions == ()
    assert [each.job.ref.name for each in judge(seen, event(4 * BUSY_GPU_KW)).resumptions] == ["x"]


def test_what_goes_on_has_its_power_before_jobs_that_wait():
    waiting = replace(gang("g", gpus=4))
    seen = cluster(more=[node("n")], suspended=(marked("x", since=NOW - 7200.0),))
    seen = replace(seen, queue=(waiting,), pods={each.uid: each for each in waiting.pods})
    budget = event(IDLE_KW + 4 * BUSY_GPU_KW)
    allowed = judge(seen, budget, want=decision(a=1, placement=[0]))
    assert len(allowed.resumptions) == 1
    assert allowed.releases == ()


def test_the_jobs_of_a_node_are_not_moved_in_the_same_step():
    seen = cluster(job("x", node="n1"), job("y", node="n2"))
    layout = replace(limits(event(2 * IDLE_KW + 4 * BUSY_GPU_KW)), codec=CodecLayout(consolidation=True))
    allowed = evaluate(seen, decide(), GuardrailState(), layout)
    assert suspended(allowed) == ["x"]
    assert allowed.consolidations == ()


@settings(deadline=None, max_examples=60)
@given(
    jobs=st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["", "1", "3"])), max_size=8),
    idle=st.integers(0, 3),
    kw=st.floats(0.0, 25.0),
)
def test_after_what_stops_has_stopped_the_budget_holds_or_all_that_may_stop_did(jobs, idle, kw):
    """The record of the audit decides the same."""
    gangs = [
        job(f"j{index}", gpus, annotations=TIER_3 | {ANNOTATION_FLEXIBILITY: tier} if tier else {})
        for index, (gpus, tier) in enumerate(jobs)
    ]
    seen = cluster(*gangs, more=[node(f"i{index}", idle_for=1.0) for index in range(idle)])
    allowed = judge(seen, event(kw))
    stopped = {each.gang.key for each in allowed.suspensions}
    assert all(jobs[int(each.gang.ref.name[1:])][1] == "3" for each in allowed.suspensions)
    gpus = sum(jobs[index][0] for index, each in enumerate(gangs) if each.key not in stopped)
    left = (len(gangs) + idle - len(allowed.removals)) * IDLE_KW + gpus * BUSY_GPU_KW
    may_stop = sum(tier == "3" for _, tier in jobs)
    assert left <= kw + 1e-9 or (len(stopped) == may_stop and len(allowed.removals) == idle)
    view, state = unpack(pack(seen, GuardrailState()))
    again = evaluate(view, decision(a=len(seen.pools[0].nodes)), state, limits(event(kw)))
    assert suspended(again) == suspended(allowed)
    assert again.verdicts == allowed.verdicts


def test_the_record_keeps_which_jobs_are_suspended():
    seen = cluster(job("x"), suspended=(marked("y"), marked("z", is_suspended=False)))
    view, _ = unpack(pack(seen, GuardrailState()))
    assert view.suspended == seen.suspended


def test_what_failed_is_tried_again_soon():
    calm = cluster(job("x"))
    for seen, switch, expected in [
        (calm, True, True),
        (calm, False, False),
        (replace(calm, suspended=(marked(),)), False, True),
    ]:
        found = dict(moments(seen, GuardrailState(), limits(event(9.0), curb_for_grid_events=switch)))
        assert (found.get(Moment.CURB) == NOW + 10.0) is expected


def test_a_pod_of_no_pool_frees_no_power():
    elsewhere = running(worker("x", "foreign", 8, annotations=TIER_3))
    seen = cluster(elsewhere, nodes=[node("n", pods=[pod("p", node="n", gpus=8)])])
    assert suspended(judge(seen, event(0.0))) == []
    assert LABEL_POOL in elsewhere.pods[0].node_selector
