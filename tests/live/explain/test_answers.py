"""What `autoscaler explain` answers, from one dry look."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from autoscaler.live.config import LiveConfig
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.disruption_config import DisruptionBudget, DisruptionConfig
from autoscaler.live.explain.answers import Answer, Seen, answer
from autoscaler.live.explain.target import Target, TargetError, UnknownObjectError, parse_target
from autoscaler.live.grid_config import LiveGridEvent
from autoscaler.live.guardrail_config import Cooldowns
from autoscaler.live.guardrails import GuardrailState, evaluate
from autoscaler.live.model import ClusterView, GangState
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_FLEXIBILITY, ANNOTATION_REMOVAL_STEP
from autoscaler.live.objects import JobView, SuspendedBy, SuspendedJob
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.policy.snapshot import fill_snapshot
from autoscaler.live.view.store import Contents
from autoscaler.live.view.submissions import Submissions
from envs.gpu_cluster.codec import RESERVE_NODES, CodecLayout
from tests.live.views import (
    DAEMON_SET,
    JOB,
    NOW,
    REPLICA_SET,
    booting,
    config,
    gang,
    node,
    pod,
    spare,
    unready,
    view,
)

KEEPS = Baseline(lambda layout, _: ConstantSetpoint(layout, reserve_nodes=RESERVE_NODES.index(2)))
"""`reactive` with two nodes in reserve."""


def seen(
    cluster: ClusterView,
    settings: LiveConfig | None = None,
    state: GuardrailState | None = None,
    policy: str = "reactive",
) -> Seen:
    """One reconcile of a rule."""
    settings, state = settings or config(), state or GuardrailState()
    decided = make_decider(policy, settings.codec).decide(fill_snapshot(cluster, Submissions(0.0), settings))
    allowed = evaluate(cluster, decided.decision, state, settings)
    nodes = [*cluster.unmanaged_nodes, *(each for pool in cluster.pools for each in pool.nodes)]
    pods = {each.uid: each for each in cluster.pods.values()}
    jobs = {each.key: JobView(name=each.ref.name, namespace="default", uid=each.key) for each in cluster.queue}
    contents = Contents(nodes={each.uid: each for each in nodes}, pods=pods, jobs=jobs)
    return Seen(
        cluster, contents, decided, decided.decision, allowed, settings, lambda seconds: f"t{seconds - NOW:+.0f}"
    )


def ask(target: str, cluster: ClusterView, settings: LiveConfig | None = None, **more: Any) -> Answer:
    return answer(parse_target(target), seen(cluster, settings, **more))


def test_a_busy_node_names_its_pods_and_what_protects_them() -> None:
    worker = pod("train", node="a-0", gpus=8)
    found = ask("node/a-0", view([node("a-0", pods=[worker])], pods=[worker]))
    assert found.state == "busy"
    assert found.sentences[0] == "It is busy: pod default/train uses 8 GPUs."
    assert any("rule gpu-pod" in sentence for sentence in found.sentences)


def test_an_idle_node_says_since_when_and_until_when() -> None:
    found = ask("node/a-0", view([node("a-0", idle_for=100.0)]))
    assert found.state == "idle"
    assert found.sentences[:2] == (
        "It is idle since t-100: no pod on it uses GPUs.",
        "The policy reactive lets idle nodes of pool a go after 600 s: from t+500 on.",
    )


def test_an_idle_node_names_the_reserve_of_its_pool() -> None:
    keeps = "tests.live.explain.test_answers:KEEPS"
    chosen = replace(config(), codec=CodecLayout(reserve_nodes=True))
    found = ask("node/a-0", view([node("a-0", idle_for=100.0)]), chosen, policy=keeps)
    assert "keeps 2 idle in pool a as a reserve." in found.sentences[2]


def test_a_guardrail_that_waits_longer_than_the_policy_says_until_when() -> None:
    chosen = config(cooldowns=Cooldowns(unneeded_seconds=7200.0))
    found = ask("node/a-0", view([node("a-0", idle_for=1000.0)]), chosen)
    assert "The guardrails keep it until it was idle for 7200 s: t+6200." in found.sentences
    assert [str(each.rule) for each in found.verdicts] == ["unneeded"]


def test_a_node_that_goes_now_says_so() -> None:
    assert "It is removed now: the policy has no use for it." in ask("node/a-0", view([node("a-0")])).sentences


def test_the_least_size_of_a_pool_keeps_a_node() -> None:
    found = ask("node/a-0", view([node("a-0")]), config(a={"min_nodes": 1}))
    assert "Pool a has 1 nodes and min_nodes 1: none of them goes." in found.sentences


def test_a_budget_and_a_protected_pod_are_named() -> None:
    web = replace(pod("web", node="a-0"), annotations={"karpenter.sh/do-not-disrupt": "true"})
    chosen = config(disruption=DisruptionConfig(budgets=(DisruptionBudget(0),)))
    text = " ".join(ask("node/a-0", view([node("a-0", pods=[web])], pods=[web]), chosen).sentences)
    assert "(rule do-not-disrupt)" in text
    assert "It may not be disrupted now: a budget allows 0 of 1 nodes" in text


def test_a_cooldown_is_told_for_the_pool() -> None:
    state = GuardrailState(scaled_up={"a": NOW - 100.0})
    found = ask("node/a-0", view([node("a-0")]), state=state)
    assert any("rule after-scale-up" in sentence for sentence in found.sentences)


def test_a_node_that_boots_says_what_is_missing_and_when_it_is_given_up() -> None:
    found = ask("node/a-0", view([booting("a-0", age=60.0, ready=True)]))
    assert found.sentences[:2] == (
        "It is booting since t-60: it is ready, but reports no GPUs.",
        "It is given up at t+840 unless it has its GPUs by then.",
    )


def test_a_node_that_waits_for_its_devices_names_their_driver() -> None:
    settings = config(a={"devices": (DeviceTemplate("gpu.example.com"),)})
    found = ask("node/a-0", view([booting("a-0", age=60.0, ready=True)]), settings)
    said = "it is ready, but reports no GPUs; not all ResourceSlices of gpu.example.com are there"
    assert found.sentences[0] == f"It is booting since t-60: {said}."


def test_an_unready_node_says_what_kubernetes_says() -> None:
    found = ask("node/a-0", view([unready("a-0", ready_reason="NodeStatusUnknown")]))
    assert found.sentences[0] == "It is unready: Kubernetes says that it is not ready (NodeStatusUnknown)."


def test_a_node_that_is_drained_says_how_far_it_got() -> None:
    from autoscaler.live.objects import NodeState

    leaving = node("a-0", state=NodeState.DRAINING, annotations={ANNOTATION_REMOVAL_STEP: "evicting drain 1.0"})
    (sentence, *_) = ask("node/a-0", view([leaving])).sentences
    assert sentence == "It is being removed: the autoscaler evicts its pods (0 pods are on it)."


def test_a_node_of_no_pool_is_not_ours() -> None:
    found = ask("node/spare", view(unmanaged=[spare()]))
    assert (found.state, len(found.sentences)) == ("not-ours", 1)
    assert "has no label autoscaler.green/pool" in found.sentences[0]


def test_a_pause_is_all_there_is_to_say() -> None:
    found = ask("node/a-0", view([node("a-0")], paused="paused by me"))
    assert found.sentences[-1] == "Nothing at all is changed now: paused by me (rule paused)."


def test_a_waiting_job_and_its_pod_hear_the_same_pool_by_pool() -> None:
    cluster = view(queue=[gang("j", pools=("a",))])
    full = config(a={"max_nodes": 1})
    busy = pod("w", node="a-0", gpus=8)
    cluster = view([node("a-0", pods=[busy])], queue=[gang("j", pools=("a",))], pods=[busy])
    job, member = ask("job/j", cluster, full), ask("pod/default/j-0", cluster, full)
    assert job.state == member.state == "waiting"
    assert job.sentences == member.sentences
    assert job.pools["a"] == "pool at max: the pool has max_nodes 1, 1 exist or are ordered"
    assert "Pool a: pool at max" in " ".join(job.sentences)


def test_a_job_that_starts_or_runs_says_where() -> None:
    starts = ask("job/j", view([node("a-0")], queue=[gang("j")]))
    assert (starts.state, starts.sentences) == ("starting", ("It goes to pool a now: its pods fit on ready nodes.",))
    worker = pod("train", node="a-0", gpus=8)
    runs = ask("pod/train", view([node("a-0", pods=[worker])], pods=[worker]))
    assert (runs.state, runs.sentences) == ("running", ("It runs on a-0.",))


def test_a_suspended_job_hears_who_suspended_it_and_until_when() -> None:
    job = JobView(name="j", namespace="default", uid="u", suspended=True)
    ours = SuspendedJob(job.ref, NOW - 30.0, 8000)
    start = datetime.fromtimestamp(NOW - 60.0, UTC).isoformat()
    settings = config(grid_events=(LiveGridEvent(start, 3600.0, 1.0),), curb_for_grid_events=True)

    def said(cluster: ClusterView, limits: LiveConfig) -> str:
        look = seen(cluster, limits)
        found = answer(parse_target("job/j"), replace(look, contents=replace(look.contents, jobs={"u": job})))
        assert found.state == "suspended"
        return found.sentences[0]

    marked = view(suspended=(ours,))
    since = "A grid event suspended it at t-30; it goes on"
    assert said(view(), settings) == "It is suspended (spec.suspend), so it asks for nothing yet."
    assert said(marked, settings) == f"{since} when the event is over, at t+3540."
    assert said(marked, config()) == f"{since} now: no grid event needs it to wait."
    assert said(replace(marked, paused="by hand"), config()) == f"{since} as soon as something may be changed again."


def test_a_job_that_the_policy_suspended_hears_until_when() -> None:
    job = JobView(name="j", namespace="default", uid="u", suspended=True)
    ours = SuspendedJob(job.ref, NOW - 30.0, 8000, by=SuspendedBy.POLICY, pool="a", until_seconds=NOW + 90.0)
    lever = replace(config(), codec=CodecLayout(suspension=True))

    def said(limits: LiveConfig) -> str:
        look = seen(view(suspended=(ours,)), limits)
        found = answer(parse_target("job/j"), replace(look, contents=replace(look.contents, jobs={"u": job})))
        return found.sentences[0]

    since = "The policy suspended it at t-30; it goes on"
    assert said(lever) == f"{since} when the policy says so, at t+90 at the latest."
    assert "codec.suspension is off" in said(config())


def test_a_job_that_runs_hears_whether_the_policy_may_suspend_it() -> None:
    lever = replace(config(), codec=CodecLayout(suspension=True))
    opted_in = {ANNOTATION_FLEXIBILITY: "3", ANNOTATION_CHECKPOINTABLE: "true"}

    def said(annotations: dict[str, str], ran: float = 7200.0, limits: LiveConfig = lever) -> tuple[str, ...]:
        member = pod("train", node="a-0", gpus=8, owner=JOB, annotations=annotations)
        since = NOW - ran
        run = replace(gang("train", members=(member,)), state=GangState.RUNNING, running_since_seconds=since)
        return ask("pod/train", view([node("a-0", pods=[member])], pods=[member], running=(run,)), limits).sentences[1:]

    assert said(opted_in) == ("The policy may suspend it, until t+14400 at the latest.",)
    (short,) = said(opted_in, ran=800.0)
    assert short == "The policy may not suspend it now: it has run for 800 s since it started; wait 1000 s more."
    (never,) = said({})
    assert never.startswith("The policy never suspends it")
    assert said(opted_in, limits=config()) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gates": ("kueue.x-k8s.io/admission",), "gpus": 8}, "scheduling gates of others: kueue.x-k8s.io/admission"),
        ({"gpus": 0, "owner": REPLICA_SET}, "requests no GPUs"),
        ({"gpus": 8, "owner": DAEMON_SET}, "DaemonSets"),
        ({"gpus": 8}, "may be bound at any moment"),
    ],
)
def test_a_pod_that_is_left_alone_hears_why(change: dict[str, Any], words: str) -> None:
    found = ask("pod/p", view(pods=[pod("p", **change)]))
    assert found.state == "not-ours"
    assert words in found.sentences[0]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("node/a", Target("a", "Node")),
        ("nodes/a", Target("a", "Node")),
        ("pod/b", Target("b", "Pod", "default")),
        ("po/ns/b", Target("b", "Pod", "ns")),
        ("job.batch/ns/c", Target("c", "Job", "ns")),
        ("d", Target("d", "", "default")),
    ],
)
def test_objects_are_written_as_kubectl_reads_them(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "node/", "node/ns/a", "deployment/a", "a/b/c/d", "pod//b"])
def test_what_names_no_object_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        parse_target(text)


def test_an_unknown_object_is_refused_with_the_nearest_name() -> None:
    cluster = view([node("gpu-a1b2")], pods=[pod("train", namespace="team")])
    with pytest.raises(UnknownObjectError, match=r"^node/gpu-a1b3 does not exist; did you mean 'gpu-a1b2'\?$"):
        ask("node/gpu-a1b3", cluster)
    with pytest.raises(UnknownObjectError, match="there is one in the namespace 'team'"):
        ask("pod/train", cluster)


def test_a_name_that_two_kinds_have_must_say_which() -> None:
    with pytest.raises(TargetError, match="node/x, pod/default/x"):
        ask("x", view([node("x")], pods=[pod("x")]))
