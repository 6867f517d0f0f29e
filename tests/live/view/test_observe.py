"""From a store to a view and a snapshot."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autoscaler.live.config import LivePool, NodeTemplate
from autoscaler.live.constraints import Taint
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.guardrails.state import without_gpus
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_CHECKPOINTABLE,
    ANNOTATION_DEADLINE,
    ANNOTATION_IDLE_SINCE,
    ANNOTATION_LATEST_START,
    ANNOTATION_RAN_SECONDS,
    ANNOTATION_REMOVAL_STEP,
    ANNOTATION_SUSPENDED_SECONDS,
    LABEL_POOL,
    TAINT_TO_BE_DELETED,
)
from autoscaler.live.objects import NodeState
from autoscaler.live.observer import unseen_orders, unwritten_idle_nodes
from autoscaler.live.policy.snapshot import fill_snapshot, plan_backlog, week_seconds
from autoscaler.live.prediction_config import PredictionSettings
from autoscaler.live.view.gangs import Submission
from autoscaler.live.view.store import Resource
from autoscaler.live.view.submissions import Submissions
from autoscaler.live.view.view import ViewBuilder
from envs.gpu_cluster.codec import ClusterSnapshot, CodecLayout, Pool, Signal, Slot
from tests.live import raw
from tests.live.raw import START, World

IGNORE = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def look(world: World, **options: Any) -> tuple[ClusterView, ClusterSnapshot]:
    view, submitted = ViewBuilder(world.config, world.clock).build(world.store.contents(), **options)
    submissions = Submissions(START)
    submissions.note(submitted, view.now_seconds)
    snapshot = fill_snapshot(view, submissions, world.config)
    return plan_backlog(view, world.config, snapshot), snapshot


def states(view: ClusterView) -> dict[str, str]:
    return {node.name: str(node.state) for pool in view.pools for node in pool.nodes}


def test_a_node_is_what_its_conditions_gpus_and_pods_make_it() -> None:
    cordoned = raw.node("cordoned", spec={"unschedulable": True})
    leaving = raw.node("leaving", spec={"taints": [{"key": TAINT_TO_BE_DELETED, "effect": "NoSchedule"}]})
    foreign = raw.node("foreign", spec={"taints": [{"key": "team", "value": "x", "effect": "NoSchedule"}]})
    nodes = [
        raw.node("idle"),
        raw.node("busy"),
        raw.node("boots", ready=False, gpus=None),
        raw.node("late", gpus=None),
        raw.node("dead", ready=False),
        raw.node("other", pool=None),
        cordoned,
        leaving,
        foreign,
    ]
    world = World().listed(nodes, [raw.pod("p", 2, "busy")])
    world.clock.seconds = START + 60.0
    view, snapshot = look(world)
    assert states(view) == {
        "idle": "idle",
        "busy": "busy",
        "boots": "booting",
        "late": "booting",
        "dead": "unready",
        "cordoned": "cordoned",
        "leaving": "draining",
        "foreign": "cordoned",
    }
    row = snapshot.pools[0]
    assert [row[column] for column in (Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.BOOTING_NODES)] == [1, 1, 2]
    assert row[Pool.USED_GPUS] == 2
    assert snapshot.free_nodes[0, 6] == 1
    assert snapshot.free_nodes.sum() == 1


def test_a_node_without_gpus_for_too_long_is_broken_and_a_restarted_plugin_gets_its_time_anew() -> None:
    world = World().listed([raw.node("late", gpus=None)])
    world.clock.seconds = START + 1000.0
    assert states(look(world)[0]) == {"late": "unready"}
    assert states(look(world, starting_since={"late": START + 500.0})[0]) == {"late": "booting"}


def test_what_a_node_lost_is_known_by_who_saw_it_or_by_its_annotation() -> None:
    world = World().listed([raw.node("n"), raw.node("boots", gpus=None)])
    old = raw.node("old", gpus=None)
    old["metadata"]["annotations"] = {ANNOTATION_IDLE_SINCE: f"{START}"}
    world.clock.seconds = START + 880.0
    world.store.apply(Resource.NODES, "MODIFIED", raw.node("n", gpus=None))
    world.store.apply(Resource.NODES, "ADDED", old)
    world.clock.seconds = START + 901.0
    view = look(world)[0]
    assert states(view) == {"n": "booting", "boots": "unready", "old": "booting"}
    lost = {node.name: node.lost_since_seconds for node in view.pools[0].nodes}
    assert lost == {"n": START + 880.0, "boots": None, "old": START + 880.0}
    world.store.apply(Resource.NODES, "MODIFIED", raw.node("n"))
    assert [node.lost_since_seconds for node in look(world)[0].pools[0].nodes if node.name == "n"] == [None]


CLAIM = {"resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": "t"}]}
MIG = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}]}


@pytest.mark.parametrize("spec", [CLAIM, MIG], ids=["claim", "slice"])
@pytest.mark.parametrize("gpus", [8, 0, None], ids=["with GPUs", "GPUs gone", "without GPUs"])
def test_a_node_whose_pod_uses_another_accelerator_is_busy_however_long(gpus: int | None, spec: dict[str, Any]) -> None:
    world = World().listed([raw.node("n", gpus=gpus)], [raw.pod("p", 0, "n", spec=spec)])
    world.clock.seconds = START + 10_000.0
    view, snapshot = look(world)
    assert states(view) == {"n": "busy"}
    assert snapshot.pools[0][Pool.USED_GPUS] == 0
    (node,) = view.pools[0].nodes
    assert node.idle_since_seconds is None
    assert not without_gpus(node)


def test_a_node_that_is_not_ready_is_not_given_up_while_a_pod_uses_another_accelerator() -> None:
    world = World().listed([raw.node("n", gpus=None, ready=False)], [raw.pod("p", 0, "n", spec=CLAIM)])
    view, _ = look(world)
    (node,) = view.pools[0].nodes
    assert str(node.state) == "unready"
    assert not without_gpus(node)


def test_the_pods_of_a_device_driver_hold_no_node() -> None:
    driver = raw.pod("p", 0, "n", spec=CLAIM)
    owner = {"kind": "DaemonSet", "name": "d", "uid": "d", "controller": True, "apiVersion": "apps/v1"}
    driver["metadata"]["ownerReferences"] = [owner]
    assert states(look(World().listed([raw.node("n")], [driver]))[0]) == {"n": "idle"}


def test_a_node_ages_from_when_its_last_accelerator_pod_was_seen_to_go() -> None:
    world = World().listed([raw.node("n")], [raw.pod("p", 0, "n", spec=CLAIM)])
    world.clock.seconds = START + 500.0
    world.store.apply(Resource.PODS, "DELETED", raw.pod("p", 0, "n", spec=CLAIM))
    assert look(world)[0].pools[0].nodes[0].idle_since_seconds == START + 500.0


def test_a_pod_that_waits_for_an_accelerator_of_no_pool_is_left_alone_and_shown() -> None:
    pods = [
        raw.pod("gated", 0, spec=CLAIM),
        raw.pod("plain", 0, gated=False, spec=MIG, status=raw.unschedulable()),
        raw.pod("new", 0, gated=False, spec=MIG),
        raw.pod("whole", 8),
    ]
    view, _ = look(World().listed(pods=pods))
    assert sorted(pod.name for pod in view.unserved) == ["gated", "plain"]
    assert [gang.ref.name for gang in view.queue] == ["whole"]


def test_a_taint_of_the_template_does_not_close_a_node() -> None:
    taint = {"key": "team", "value": "x", "effect": "NoSchedule"}
    pool = LivePool("gpu", 4, template=NodeTemplate(taints=(Taint("team", "x", "NoSchedule"),)))
    world = World(raw.config(pool)).listed([raw.node("n", spec={"taints": [taint]})], [raw.pod("p")])
    view, _ = look(world)
    assert states(view) == {"n": "idle"}
    assert not view.queue, "the pod does not tolerate the pool's taint"
    assert [gang.ref.name for gang in view.unplaceable] == ["p"]


def test_a_gang_is_its_job_with_all_its_pods_whole() -> None:
    pods = [raw.pod(f"j-{index}", 8, job="j", created=START + 1) for index in range(2)]
    world = World().listed(jobs=[raw.job("j", pods=3, gpus=8)], pods=pods)
    world.clock.seconds = START + 90.0
    view, snapshot = look(world)
    (gang,) = view.queue
    assert (gang.key, gang.parallelism, gang.missing_pods, gang.pending_gpu_milli) == ("uid-j", 3, 1, 24000)
    assert [snapshot.queue[0, slot] for slot in (Slot.PRESENT, Slot.GPUS, Slot.WAITED_SECONDS)] == [1.0, 24.0, 90.0]
    assert snapshot.signals[Signal.QUEUE_JOBS] == 1
    assert snapshot.signals[Signal.QUEUE_GPUS] == 24


def test_a_job_that_was_suspended_keeps_its_times_and_its_past_when_its_pods_are_made_again() -> None:
    said = {ANNOTATION_LATEST_START: f"{START + 100.0}", ANNOTATION_DEADLINE: f"{START + 900.0}"}
    past = {ANNOTATION_RAN_SECONDS: "60.5", ANNOTATION_SUSPENDED_SECONDS: "nan"}
    job = raw.job("j", 1)
    job["metadata"]["annotations"] = past
    again = raw.pod("j-0", job="j", node_name="n", created=START + 500.0, metadata={"annotations": said})
    world = World().listed([raw.node("n")], [again], [job])
    (gang,) = look(world)[0].running
    assert (gang.latest_start_seconds, gang.deadline_seconds) == (START + 100.0, START + 900.0)
    assert (gang.ran_seconds, gang.suspended_seconds) == (60.5, 0.0), "what is no time counts as none"


def test_pods_of_a_job_that_is_no_gang_are_jobs_of_their_own() -> None:
    job = raw.job("j", pods=4, gpus=1, spec={"completionMode": "NonIndexed", "parallelism": 4})
    world = World().listed(jobs=[job], pods=[raw.pod(f"j-{index}", 1, job="j") for index in range(4)])
    assert [gang.key for gang in look(world)[0].queue] == [f"uid-j-{index}" for index in range(4)]


def test_the_window_is_sorted_by_submission_then_uid_and_the_rest_is_the_backlog() -> None:
    settings = raw.config(LivePool("a", 8), LivePool("b", 8), layout=CodecLayout(window_slots=2))
    pods = [
        raw.pod("c", 1, created=START + 2),
        raw.pod("b", 2, created=START + 1),
        raw.pod("a", 4, created=START + 1),
        raw.pod("d", 3, created=START + 3, spec={"nodeSelector": {LABEL_POOL: "b"}}),
    ]
    world = World(settings).listed(pods=pods)
    world.clock.seconds = START + 10.0
    view, snapshot = look(world)
    assert [gang.ref.name for gang in view.queue] == ["a", "b", "c", "d"]
    assert list(snapshot.queue[:, Slot.GPUS]) == [4.0, 2.0]
    assert list(snapshot.queue[:, Slot.WAITED_SECONDS]) == [9.0, 9.0]
    assert list(snapshot.pools[:2, Pool.BACKLOG_GPUS]) == [1.0, 3.0]


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({}, True),
        ({"gated": False}, False),
        ({"gated": False, "status": raw.unschedulable()}, True),
        ({"spec": {"priority": -11}}, False),
        ({"spec": {"priority": -10}}, True),
        ({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}, False),
        (
            {"metadata": {"ownerReferences": [{"kind": "DaemonSet", "controller": True, "name": "d", "uid": "d"}]}},
            False,
        ),
        ({"gpus": 0}, False),
        ({"gated": False, "spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/topology"}]}}, False),
        ({"metadata": {"deletionTimestamp": raw.stamp(START)}}, False),
    ],
)
def test_which_pods_count(change: dict[str, Any], counted: bool) -> None:
    view, _ = look(World().listed(pods=[raw.pod("p", **change)]))
    assert bool(view.queue) is counted


@pytest.mark.parametrize(
    ("spec", "runs"),
    [
        ({"nodeSelector": {"kubernetes.io/os": "linux"}}, True),
        ({"nodeSelector": {"zone": "x"}}, False),
        ({"nodeSelector": {LABEL_POOL: "gpu"}}, True),
        ({"containers": [{"resources": {"requests": {"cpu": "97", raw.GPU: "1"}}}]}, False),
        ({"containers": [{"resources": {"requests": {"example.com/fpga": "1", raw.GPU: "1"}}}]}, False),
        ({"containers": [{"resources": {"requests": {raw.GPU: "9"}}}]}, False),
    ],
)
def test_which_pods_a_pool_can_ever_run(spec: dict[str, Any], runs: bool) -> None:
    view, _ = look(World().listed(pods=[raw.pod("p", spec=spec)]))
    assert (bool(view.queue), bool(view.unplaceable)) == (runs, not runs)


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi", "gpu.intel.com/xe"])
def test_gpus_of_every_vendor_count(resource: str) -> None:
    node, waiting = raw.node("n", gpus=None), raw.pod("p")
    node["status"]["allocatable"][resource] = "8"
    waiting["spec"]["containers"][0]["resources"] = {"limits": {resource: "4"}}
    settings = raw.config(LivePool("gpu", max_nodes=8, gpu_resource=resource))
    view, _ = look(World(settings).listed([node], [waiting]))
    (gang,) = view.queue
    assert states(view) == {"n": "idle"}
    assert (gang.pending_gpu_milli, gang.allowed_pools) == (4000, ("gpu",))


def test_only_our_namespaces_count_but_all_pods_fill_nodes() -> None:
    world = World(raw.config(namespaces=("team",))).listed([raw.node("n")], [raw.pod("p", 8, "n"), raw.pod("q")])
    view, _ = look(world)
    assert not view.queue
    assert not view.running
    assert states(view) == {"n": "busy"}


def test_an_idle_node_ages_from_when_its_last_pod_was_seen_to_go() -> None:
    world = World().listed([raw.node("n")], [raw.pod("p", 8, "n")])
    world.clock.seconds = START + 500.25
    world.store.apply(Resource.PODS, "MODIFIED", raw.pod("p", 8, "n", phase="Succeeded"))
    assert world.triggers == ["job-submitted", "job-finished"]
    world.clock.seconds = START + 620.25
    view, snapshot = look(world)
    (node,) = view.pools[0].nodes
    assert node.idle_since_seconds == START + 500.25
    assert list(snapshot.idle_age_nodes[0]) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_idle_age_survives_a_restart_through_its_annotation() -> None:
    before = World().listed([raw.node("n")], [raw.pod("p", 8, "n")])
    before.clock.seconds = START + 100.5
    before.store.apply(Resource.PODS, "DELETED", raw.pod("p", 8, "n"))
    view, _ = look(before)
    ((node, text),) = unwritten_idle_nodes(view, before.clock)
    assert (node.name, text) == ("n", f"{START + 100.5:.3f}")

    after = World(seconds=START + 200.0)
    after.listed([raw.node("n", metadata={"annotations": {ANNOTATION_IDLE_SINCE: text}})])
    view, _ = look(after)
    assert view.pools[0].nodes[0].idle_since_seconds == START + 100.5
    assert not list(unwritten_idle_nodes(view, after.clock))


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "1e400", str(START + 1e6), str(START - 1e6)])
def test_a_strange_idle_annotation_is_not_believed(text: str) -> None:
    world = World(seconds=START + 200.0)
    world.listed([raw.node("n", metadata={"annotations": {ANNOTATION_IDLE_SINCE: text}})])
    assert look(world)[0].pools[0].nodes[0].idle_since_seconds == START


def test_a_pod_that_cannot_be_read_makes_its_node_busy_and_full() -> None:
    odd = raw.pod("odd", node_name="n")
    odd["spec"]["containers"][0]["resources"]["limits"][raw.GPU] = "lots"
    view, snapshot = look(World().listed([raw.node("n")], [odd]))
    assert states(view) == {"n": "busy"}
    assert snapshot.free_nodes[0, 0] == 1


def test_submissions_are_counted_in_sliding_windows_and_once() -> None:
    submissions = Submissions(START)
    world = World().listed(jobs=[raw.job("j", 2, 8)], pods=[raw.pod(f"j-{i}", 8, job="j") for i in range(2)])
    _, submitted = ViewBuilder(world.config, world.clock).build(world.store.contents())
    for now in (START, START + 10.0):
        submissions.note(submitted, now)
    assert submissions.gpus(START + 599.999, 600.0) == 16.0
    assert submissions.gpus(START + 600.0, 600.0) == 0.0
    assert submissions.jobs(START + 600.0, 3600.0) == 1
    submissions.note([], START + 1e6)
    assert submissions.gpus(START + 1e6, 86400.0) == 0.0
    assert submissions.since_newest_seconds(START + 1e6) == 1e6


def test_what_is_remembered_of_submissions_does_not_depend_on_when_they_were_seen() -> None:
    """Jobs that are told late, or one by one over days, are remembered as if all had been known from the start."""
    generator = np.random.default_rng(0)
    at = START + np.cumsum(generator.choice([3.0, 50.0, 40_000.0], 40))
    jobs = [Submission(f"j{n}", float(when), 1000 * (1 + n % 3), f"user {n % 4}") for n, when in enumerate(at)]
    slowly, late, once = (Submissions(START, remembers=True) for _ in range(3))
    found = [np.zeros(len(Signal)) for _ in range(3)]
    for number, job in enumerate(jobs):
        slowly.note([job], job.seconds)
        slowly.write_memory(job.seconds, found[0])
        if number % 2:
            for told in (job, jobs[number - 1]):  # the second one came before the first
                late.note([told], job.seconds)
                late.write_memory(job.seconds, found[1])
    once.note(jobs, at[-1])
    once.write_memory(at[-1], found[2])
    assert found[2][Signal.FADING_JOBS_604800S] > 20.0
    assert once.jobs(at[-1], 86400.0) < len(jobs)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])


def test_the_user_of_a_job_is_a_label_of_its_pods_else_its_namespace() -> None:
    named = raw.pod("named", metadata={"labels": {"team/user": "ann"}})
    world = World(replace(raw.config(), prediction=PredictionSettings(user_label="team/user")))
    world.listed(pods=[named, raw.pod("unnamed")])
    _, submitted = ViewBuilder(world.config, world.clock).build(world.store.contents())
    assert {job.key: job.user for job in submitted} == {"uid-named": "ann", "uid-unnamed": "default"}


def test_unseen_orders_boot_and_a_failing_pool_shows_no_capacity() -> None:
    from autoscaler.live.guardrails import after_order
    from autoscaler.live.model import OrderView

    world = World().listed([raw.node("seen")])
    view, _ = look(world)
    state = GuardrailState()
    for name in ("seen", "hidden"):
        state = after_order(state, OrderView("gpu", name, START))
    unseen = unseen_orders(view, state)
    assert unseen == {"gpu": 1}
    snapshot = fill_snapshot(view, Submissions(START), world.config, unseen, {"gpu"})
    assert snapshot.pools[0, Pool.BOOTING_NODES] == 1
    assert snapshot.pools[0, Pool.MAX_NODES] == 2


def test_nodes_that_do_not_work_hold_places_that_no_order_can_have() -> None:
    """One is broken, one cordoned and one goes away; a pool never gives up a good node for them."""
    nodes = [
        raw.node("good"),
        raw.node("broken", ready=False),
        raw.node("cordoned", spec={"unschedulable": True}),
        raw.node("leaving", spec={"taints": [{"key": TAINT_TO_BE_DELETED, "value": "1", "effect": "NoSchedule"}]}),
    ]
    for most, unavailable in ((8, 3.0), (4, 3.0), (3, 2.0), (1, 0.0)):
        config = raw.config(LivePool("gpu", max_nodes=most))
        assert look(World(config).listed(nodes))[1].pools[0, Pool.UNAVAILABLE_NODES] == unavailable


def test_creation_is_when_the_watch_saw_it_within_the_second_that_kubernetes_knows() -> None:
    world = World()
    world.clock.seconds = START + 0.7
    world.store.apply(Resource.PODS, "ADDED", raw.pod("p"))
    world.clock.seconds = START + 5.0
    world.store.apply(Resource.PODS, "ADDED", raw.pod("late"))
    world.store.apply(Resource.PODS, "MODIFIED", raw.pod("p", gpus=4))
    created = {pod.name: pod.created_seconds for pod in world.store.contents().pods.values()}
    assert created == {"p": START + 0.7, "late": START + 1.0}


def test_the_week_begins_on_monday_in_the_zone_of_the_cluster() -> None:
    from zoneinfo import ZoneInfo

    monday = 1_699_833_600.0  # 2023-11-13 00:00 UTC, a Monday
    assert week_seconds(monday, ZoneInfo("UTC")) == 0.0
    assert week_seconds(monday + 0.5, ZoneInfo("Europe/Berlin")) == 3600.5
    assert week_seconds(monday - 0.001, ZoneInfo("UTC")) == 604799.999


def test_who_saw_a_node_go_remembers_its_name() -> None:
    world = World().listed([raw.node("n"), raw.node("m")])
    world.store.apply(Resource.NODES, "DELETED", raw.node("n"))
    world.store.replace(Resource.NODES, [])
    assert look(world)[0].gone == {"n": True, "m": True}


def test_a_relist_forgets_what_is_gone() -> None:
    world = World().listed([raw.node("a"), raw.node("b")], [raw.pod("p", 8, "a")])
    world.clock.seconds = START + 50.0
    world.listed([raw.node("a")])
    view, _ = look(world)
    assert [(node.name, node.idle_since_seconds) for node in view.pools[0].nodes] == [("a", START + 50.0)]


def test_an_empty_cluster_is_a_snapshot_of_zeros_but_for_the_pools_and_the_time() -> None:
    _, snapshot = look(World())
    assert np.count_nonzero(snapshot.queue) == 0
    assert np.count_nonzero(snapshot.free_nodes) == 0
    assert snapshot.pools[0, Pool.PRESENT] == 1.0
    assert snapshot.pools[1:].sum() == 0.0


def test_node_states_are_all_named() -> None:
    assert {str(state) for state in NodeState} == {"booting", "idle", "busy", "cordoned", "draining", "unready"}


def test_what_can_be_emptied_shows_once_the_interval_is_over() -> None:
    """Two nodes with half their GPUs free, and a third whose job does not go on from a checkpoint."""
    world = World(raw.config(layout=CodecLayout(consolidation=True)))
    annotated = {"annotations": {ANNOTATION_CHECKPOINTABLE: "true"}}
    pods = [raw.pod(name, 4, f"n-{name}", job=name, metadata=annotated) for name in ("x", "y")]
    pods.append(raw.pod("z", 4, "n-z", job="z"))
    world.listed([raw.node(f"n-{name}") for name in "xyz"], pods, [raw.job(name, 1, 4) for name in "xyz"])
    view, _ = ViewBuilder(world.config, world.clock).build(world.store.contents())
    columns = [Pool.EMPTIABLE_NODES, Pool.CONSOLIDATABLE, Pool.SINCE_CONSOLIDATION_SECONDS]

    def seen(since: float | None) -> list[float]:
        moved = None if since is None else {"gpu": START - since}
        snapshot = fill_snapshot(view, Submissions(START), world.config, consolidated=moved)
        return [float(snapshot.pools[0, column]) for column in columns]

    assert seen(1800.0) == [2.0, 1.0, 1800.0]
    assert seen(1799.999) == [0.0, 0.0, 1799.999]
    assert seen(None) == [0.0, 0.0, 0.0]
    off = raw.config()
    assert fill_snapshot(view, Submissions(START), off).pools[0, columns].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("step", "booting"), [("evicting move 1.0 u=1", 1.0), ("evicting drain 1.0", 0.0)])
def test_a_node_that_is_being_emptied_is_a_node_to_come(step: str, booting: float) -> None:
    taints = [{"key": TAINT_TO_BE_DELETED, "effect": "NoSchedule"}]
    leaving = raw.node("n", metadata={"annotations": {ANNOTATION_REMOVAL_STEP: step}}, spec={"taints": taints})
    view, snapshot = look(World().listed([leaving]))
    assert states(view) == {"n": "draining"}
    row = snapshot.pools[0]
    assert (row[Pool.BOOTING_NODES], row[Pool.IDLE_NODES], row[Pool.BUSY_NODES]) == (booting, 0.0, 0.0)


@pytest.mark.parametrize(
    ("spec", "status", "left"),
    [
        ({}, {}, 6),
        ({"backoffLimit": 3}, {"failed": 1}, 2),
        ({"backoffLimit": 0, "podFailurePolicy": {"rules": [IGNORE]}}, {}, None),
    ],
)
def test_how_often_pods_of_a_job_may_be_evicted(spec: dict[str, Any], status: dict[str, Any], left: int | None) -> None:
    """Also of a Job that is no gang: its pods are jobs of their own, which share the limit."""
    for parallel, mode in ((1, "Indexed"), (2, "NonIndexed")):
        made = raw.job("j", parallel, 4, spec={**spec, "completionMode": mode}, status=status)
        pods = [raw.pod(f"j-{index}", 4, "n", job="j") for index in range(parallel)]
        view, _ = look(World().listed([raw.node("n")], pods, [made]))
        assert [gang.evictions_left for gang in view.running] == [left] * parallel
    view, _ = look(World().listed([raw.node("n")], [raw.pod("bare", 4, "n")]))
    assert view.running[0].evictions_left == 0
